//! A real agent whose loopback address is crowded answers every question all the same.
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// An agent that knows nothing and reaches no controller; ended with the test.
struct Agent(Child, Option<BufReader<ChildStdout>>);

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(base: &Path) -> (Agent, SocketAddr) {
    let key = rcgen::KeyPair::generate().unwrap();
    let ca = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(base.join("ca.pem"), ca.self_signed(&key).unwrap().pem()).unwrap();
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/tests/data/vectors");
    std::fs::copy(vectors.join("tuf/metadata/1.root.json"), base.join("root.json")).unwrap();
    let config = base.join("agent.toml");
    let text = "product = \"convenience-issuance\"\nhost = \"402206-ap1\"\ncontrollers = [\"https://127.0.0.1:9\"]\n\
                ca = \"ca.pem\"\nroot = \"root.json\"\nstate = \"state\"\n\
                [gate]\nsocket = \"gate.sock\"\nlisten = \"127.0.0.1:0\"\n";
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_sekisho-agent"));
    command.arg("run").arg("--config").arg(&config);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut agent = Agent(child, None);
    // Kept: an agent that cannot say where its gate is ends.
    let mut said = BufReader::new(agent.0.stdout.take().unwrap());
    let address =
        said.by_ref().lines().map_while(Result::ok).find_map(|line| line.strip_prefix("gate on http://")?.parse().ok());
    agent.1 = Some(said);
    (agent, address.unwrap())
}

/// Asks on a connection of its own; the status line.
fn ask(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream.write_all(b"GET /v1/gate HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.lines().next().unwrap_or_default().to_owned()
}

#[test]
fn three_hundred_idle_connections_and_bodies_that_dribble_keep_no_question_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let (_agent, address) = start(directory.path());
    let mut idle: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(address).unwrap()).collect();
    // Heads and bodies that never come to an end, a byte now and then.
    let mut slow: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    for (number, stream) in slow.iter_mut().enumerate() {
        let head = if number % 2 == 0 {
            "POST /v1/gate HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
        } else {
            "GET /v1/gate HT"
        };
        stream.write_all(head.as_bytes()).unwrap();
    }
    let asked = Arc::new(AtomicBool::new(false));
    let dribbling = std::thread::spawn({
        let asked = Arc::clone(&asked);
        move || {
            while !asked.load(Ordering::Relaxed) {
                slow.iter_mut().for_each(|stream| _ = stream.write_all(b"x")); // The agent may have cut it.
                std::thread::yield_now();
            }
        }
    });
    let mut answers = vec![ask(address)];
    // Answered while the others stay, and not because they ended.
    let stays = idle.iter_mut().map(|stream| {
        stream.set_nonblocking(true).unwrap();
        stream.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    });
    assert!(stays.filter(|stays| *stays).count() > 150);
    for _ in 1..100 {
        // Whoever was cut comes back: there are never fewer than 300.
        for stream in &mut idle {
            if matches!(stream.read(&mut [0]), Ok(0)) {
                *stream = TcpStream::connect(address).unwrap();
                stream.set_nonblocking(true).unwrap();
            }
        }
        answers.push(ask(address));
    }
    asked.store(true, Ordering::Relaxed);
    dribbling.join().unwrap();
    assert_eq!(answers.len(), 100);
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.0 403 ")), "{answers:?}");
}
