//! A client of HTTP/1.1 by hand, so that a test sees what goes over the wire and can misbehave.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The longest that a test waits for what should happen at once.
const SOON: Duration = Duration::from_secs(20);

/// An answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    /// The body as one document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// The first header of this name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Waits for what should happen at once.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, future).await.unwrap_or_else(|_| panic!("never happened: {what}"))
}

/// Sends bytes and reads until the connection ends.
pub(crate) async fn exchange(address: SocketAddr, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.expect("because it is served");
    stream.write_all(sent).await.expect("because the kernel takes it");
    let mut text = Vec::new();
    // A connection that is reset behind its answer was answered.
    let _ = within("the connection ends", stream.read_to_end(&mut text)).await;
    String::from_utf8_lossy(&text).into_owned()
}

fn reply(text: &str) -> Reply {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    let status = status.unwrap_or_else(|| panic!("no status: {text:?}"));
    Reply { status, head: head.to_owned(), body: body.to_owned() }
}

/// Asks once, with these further lines of the head.
pub(crate) async fn ask(address: SocketAddr, method: &str, path: &str, lines: &[&str]) -> Reply {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n{lines}\r\n");
    reply(&exchange(address, head.as_bytes()).await)
}

/// Reads a path with a bearer token.
pub(crate) async fn get(address: SocketAddr, path: &str, token: &str) -> Reply {
    ask(address, "GET", path, &[&format!("Authorization: Bearer {token}")]).await
}
