//! A real agent whose loopback address is crowded answers every question all the same.
#![expect(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

#[path = "support/unenrolled.rs"]
mod unenrolled;

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{ChildStdout, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use unenrolled::Agent;

/// The agent, what it says, and where its gate is.
fn start(base: &Path) -> (Agent, BufReader<ChildStdout>, SocketAddr) {
    let mut command = unenrolled::install(base);
    let mut agent = Agent(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let mut said = BufReader::new(agent.0.stdout.take().unwrap());
    let address =
        said.by_ref().lines().map_while(Result::ok).find_map(|line| line.strip_prefix("gate on http://")?.parse().ok());
    (agent, said, address.unwrap())
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

/// Connections on which nothing is asked.
fn idle(address: SocketAddr) -> Vec<TcpStream> {
    (0..300).map(|_| unasked(address)).collect()
}

fn unasked(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nonblocking(true).unwrap();
    stream
}

#[test]
fn three_hundred_idle_connections_and_bodies_that_dribble_keep_no_question_waiting() {
    let directory = tempfile::tempdir().unwrap();
    // Its output is kept: an agent that cannot say where its gate is ends.
    let (_agent, _said, address) = start(directory.path());
    // Heads and bodies that never come to an end, a byte now and then.
    let mut slow: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(address).unwrap()).collect();
    for (number, stream) in slow.iter_mut().enumerate() {
        let head = if number % 2 == 0 {
            "POST /v1/gate HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
        } else {
            "GET /v1/gate HT"
        };
        stream.write_all(head.as_bytes()).unwrap();
        stream.set_nonblocking(true).unwrap();
    }
    let (asked, all_asked) = channel::<()>();
    let dribbling = std::thread::spawn(move || {
        while all_asked.recv_timeout(Duration::from_millis(10)) == Err(RecvTimeoutError::Timeout) {
            slow.iter_mut().for_each(|stream| _ = stream.write(b"x")); // The agent may have cut it.
        }
    });
    // Answered while the others stay, and not because they ended. The agent ends them after seconds: where the machine
    // was away that long, once more.
    let mut answers = Vec::new();
    let mut idle = (0..20)
        .find_map(|_| {
            let mut idle = idle(address);
            answers.push(ask(address));
            let stays = |stream: &mut TcpStream| {
                stream.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
            };
            (idle.iter_mut().filter_map(|stream| stays(stream).then_some(())).count() > 150).then_some(idle)
        })
        .unwrap();
    for _ in 0..100 {
        // Whoever was cut comes back: there are never fewer than 300.
        for stream in &mut idle {
            if matches!(stream.read(&mut [0]), Ok(0)) {
                *stream = unasked(address);
            }
        }
        answers.push(ask(address));
    }
    drop(asked);
    dribbling.join().unwrap();
    assert!(answers.iter().all(|answer| answer.starts_with("HTTP/1.0 403 ")), "{answers:?}");
}
