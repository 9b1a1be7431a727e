//! Asks a gate from a script: `sekisho-agent gate`, also as systemd's `ExecCondition`.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// How long the whole question may take. Longer than any `verify_hold`.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The longest answer read, in bytes.
const ANSWER_BYTES_MAX: u64 = 256 << 10;

/// What a gate answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// 200.
    Issue(String),
    /// 403; the body says why.
    Hold(String),
}

/// Asks the gate behind `socket`; `path` is its own or the status's.
///
/// # Errors
/// In words, where nobody answers, or not like a gate.
pub async fn ask(socket: &Path, path: &str, entry: Option<&str>) -> Result<Answered, String> {
    let question = async {
        let unreachable = |error: std::io::Error| format!("no gate answers on {}: {error}", socket.display());
        let mut stream = UnixStream::connect(socket).await.map_err(unreachable)?;
        let entry = entry.map(|entry| format!("X-Sekisho-Entry: {entry}\r\n")).unwrap_or_default();
        // HTTP/1.0: the answer ends with the connection, and never comes in chunks.
        let head = format!("GET {path} HTTP/1.0\r\nHost: localhost\r\n{entry}\r\n");
        stream.write_all(head.as_bytes()).await.map_err(unreachable)?;
        let mut answer = Vec::new();
        stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await.map_err(unreachable)?;
        let text = String::from_utf8(answer).map_err(|_| "the answer is not UTF-8".to_owned())?;
        let (head, body) = text.split_once("\r\n\r\n").ok_or("the answer is cut off")?;
        match head.split(' ').nth(1) {
            Some("200") => Ok(Answered::Issue(body.to_owned())),
            Some("403") => Ok(Answered::Hold(body.to_owned())),
            other => Err(format!("the gate answers with status {}", other.unwrap_or("none"))),
        }
    };
    tokio::time::timeout(TIMEOUT, question).await.map_err(|_| "the gate does not answer in time".to_owned())?
}
