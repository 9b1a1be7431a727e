//! Asks the running program, over loopback HTTP, which value is in force.
//!
//! One `GET` in HTTP/1.0 per address and pass, so that the answer is neither chunked nor
//! kept alive. Only loopback addresses are ever asked: a baseline cannot make a host call out.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use manifests::baseline::InForce;
use manifests::evidence::Why;
use manifests::value::{INTEGER_MAX, VALUE_BYTES_MAX, Value};

/// How long connecting, and the whole answer, may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(1);
/// The largest answer read, head included (64 KiB).
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Why there is no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// Nobody listens at the address.
    Refused,
    /// Anything else.
    Because(Why),
}

/// Answers of one pass: several settings may stand in one.
#[derive(Default)]
pub(crate) struct Asked(HashMap<String, Result<serde_json::Value, NoAnswer>>);

impl Asked {
    /// The value at the pointer.
    pub(crate) fn value(&mut self, at: &InForce, deadline: Instant) -> Result<Value, NoAnswer> {
        let answer = self.0.entry(at.url.clone()).or_insert_with(|| ask(&at.url, deadline));
        let value = answer.as_ref().map_err(|no| *no)?.pointer(&at.pointer);
        value.ok_or(NoAnswer::Because(Why::NotAnswering)).and_then(typed)
    }
}

fn typed(value: &serde_json::Value) -> Result<Value, NoAnswer> {
    let unexpected = Err(NoAnswer::Because(Why::UnexpectedValue));
    match value {
        serde_json::Value::Bool(boolean) => Ok(Value::Boolean(*boolean)),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) if whole.unsigned_abs() <= INTEGER_MAX => Ok(Value::Integer(whole)),
            _ => Ok(Value::Text(number.to_string())),
        },
        serde_json::Value::String(text) if text.len() <= VALUE_BYTES_MAX && !text.contains('\0') => {
            Ok(Value::Text(text.clone()))
        }
        _ => unexpected,
    }
}

/// `http://127.0.0.1:8080/path` (or `[::1]`, `localhost`, which is 127.0.0.1 here) as address, host and path.
fn parse(url: &str) -> Option<(SocketAddr, &str, &str)> {
    let rest = url.strip_prefix("http://")?;
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, 80),
    };
    let ip = match host {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        _ => match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            Some(six) => IpAddr::V6(six.parse::<Ipv6Addr>().ok()?),
            None => IpAddr::V4(host.parse::<Ipv4Addr>().ok()?),
        },
    };
    let plain = path.bytes().all(|byte| byte.is_ascii_graphic());
    (ip.is_loopback() && plain).then_some((SocketAddr::new(ip, port), authority, path))
}

fn ask(url: &str, deadline: Instant) -> Result<serde_json::Value, NoAnswer> {
    let (address, host, path) = parse(url).ok_or(NoAnswer::Because(Why::Unsupported))?;
    let end = deadline.min(crate::collect::read::deadline(ANSWER_TIME_MAX));
    let answer = exchange(address, host, path, end).map_err(|error| match error.kind() {
        std::io::ErrorKind::ConnectionRefused => NoAnswer::Refused,
        _ => NoAnswer::Because(Why::NotAnswering),
    })?;
    body(&answer).and_then(|body| serde_json::from_slice(body).ok()).ok_or(NoAnswer::Because(Why::NotAnswering))
}

fn exchange(address: SocketAddr, host: &str, path: &str, end: Instant) -> std::io::Result<Vec<u8>> {
    let left = || match end.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(std::io::Error::from(std::io::ErrorKind::TimedOut)),
        left => Ok(left),
    };
    let mut stream = TcpStream::connect_timeout(&address, left()?)?;
    stream.set_write_timeout(Some(left()?))?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {host}\r\nAccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        // Asked anew each time: a byte now and then must not stretch the whole.
        stream.set_read_timeout(Some(left()?))?;
        let count = stream.read(&mut buffer)?;
        answer.extend_from_slice(buffer.get(..count).unwrap_or_default());
        if count == 0 || is_complete(&answer) {
            return Ok(answer);
        }
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
    }
}

fn head_and_body(answer: &[u8]) -> Option<(&str, &[u8])> {
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let (head, body) = answer.split_at_checked(at + 4)?;
    Some((std::str::from_utf8(head).ok()?, body))
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    lines.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

/// Whether the body has the length that the head announced.
fn is_complete(answer: &[u8]) -> bool {
    head_and_body(answer).is_some_and(|(head, body)| {
        field(head, "content-length").and_then(|length| length.parse().ok()).is_some_and(|length| body.len() >= length)
    })
}

/// The body of a 200 that is neither chunked nor cut short.
fn body(answer: &[u8]) -> Option<&[u8]> {
    let (head, body) = head_and_body(answer)?;
    let status = head.lines().next()?.split_ascii_whitespace().nth(1)?;
    if status != "200" || field(head, "transfer-encoding").is_some() {
        return None;
    }
    match field(head, "content-length") {
        Some(length) => body.get(..length.parse().ok()?),
        None => Some(body),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answered(answer: impl AsRef<[u8]>, pointer: &str) -> Result<Value, NoAnswer> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/status", listener.local_addr().unwrap());
        let answer = answer.as_ref().to_owned();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let count = stream.read(&mut request).unwrap();
            assert!(request[..count].starts_with(b"GET /status HTTP/1.0\r\n"));
            stream.write_all(&answer).unwrap();
        });
        let at = InForce { url, pointer: pointer.to_owned() };
        let value = Asked::default().value(&at, crate::collect::read::deadline(Duration::from_secs(30)));
        server.join().unwrap();
        value
    }

    #[test]
    fn a_value_is_taken_from_a_whole_200_only() {
        let text = |t: &str| Ok(Value::Text(t.to_owned()));
        let no = |why| Err(NoAnswer::Because(why));
        let body = "{\"queue\":{\"lock\":\"exclusive\",\"n\":3,\"t\":true,\"o\":{}}}";
        let ok = &format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        assert_eq!(answered(ok, "/queue/lock"), text("exclusive"));
        assert_eq!(answered(ok, "/queue/n"), Ok(Value::Integer(3)));
        assert_eq!(answered(ok, "/queue/t"), Ok(Value::Boolean(true)));
        assert_eq!(answered(ok, "/queue/o"), no(Why::UnexpectedValue));
        assert_eq!(answered(ok, "/queue/none"), no(Why::NotAnswering));
        assert_eq!(answered(b"HTTP/1.0 200 OK\r\n\r\n[1.5]", "/0"), text("1.5"));
        for bad in [
            &b"HTTP/1.1 404 no\r\n\r\n[1]"[..],
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n[1]",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n[1]",
            b"HTTP/1.1 200 OK\r\n\r\n[1",
            b"garbage",
        ] {
            assert_eq!(answered(bad, "/0"), no(Why::NotAnswering), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn only_loopback_is_asked() {
        for url in
            ["http://192.0.2.1/x", "https://127.0.0.1/x", "http://example.org/x", "http://127.0.0.1/a b", "ftp://x"]
        {
            assert_eq!(parse(url), None, "{url}");
        }
        assert!(parse("http://127.0.0.1:8080/x").is_some() && parse("http://[::1]:1/").is_some());
        assert_eq!(parse("http://localhost"), Some(("127.0.0.1:80".parse().unwrap(), "localhost", "/")));
    }
}
