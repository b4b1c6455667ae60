//! A small HTTP client for the daemon's unix socket: one request a connection.

use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Longest wait for one answer; imports of a million lines are the slowest calls.
const ANSWER_WITHIN: Duration = Duration::from_mins(2);

/// The daemon's API behind its unix socket.
#[derive(Clone, Debug)]
pub struct Api {
    socket: PathBuf,
}

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_str(&self.body)
            .with_context(|| format!("no JSON in answer {}: {}", self.status, self.body))
    }

    /// The answer, or an error when its status is another one.
    pub fn expect(self, status: u16) -> Result<Self> {
        if self.status != status {
            bail!(
                "answered {} instead of {status}: {}",
                self.status,
                self.body
            );
        }
        Ok(self)
    }
}

impl Api {
    #[must_use]
    pub fn at(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    pub fn get(&self, path: &str) -> Result<Answer> {
        self.call("GET", path, "application/json", b"")
    }

    pub fn delete(&self, path: &str) -> Result<Answer> {
        self.call("DELETE", path, "application/json", b"")
    }

    /// Bans a prefix; `body` is the JSON of the call, or nothing.
    pub fn ban(&self, prefix: &str, body: &str) -> Result<Answer> {
        let path = format!("/v1/bans/{}", encoded(prefix));
        self.call("PUT", &path, "application/json", body.as_bytes())
    }

    pub fn unban(&self, prefix: &str) -> Result<Answer> {
        self.delete(&format!("/v1/bans/{}", encoded(prefix)))
    }

    /// One call. An answer that comes before the body is sent is an answer too.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> Result<Answer> {
        let what = || format!("{method} {path}");
        let mut stream = UnixStream::connect(&self.socket)
            .with_context(|| format!("connecting to {}", self.socket.display()))?;
        stream.set_read_timeout(Some(ANSWER_WITHIN))?;
        stream.set_write_timeout(Some(ANSWER_WITHIN))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: palisade\r\nconnection: close\r\n\
             content-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let sent = stream
            .write_all(head.as_bytes())
            .and_then(|()| stream.write_all(body));
        let mut bytes = Vec::new();
        let received = stream.read_to_end(&mut bytes);
        if bytes.is_empty() {
            sent.with_context(what)?;
            received.with_context(what)?;
        }
        parse(&bytes).with_context(what)
    }
}

/// The slash of a prefix must not part the path.
fn encoded(prefix: &str) -> String {
    prefix.replace('/', "%2F").replace(':', "%3A")
}

fn parse(bytes: &[u8]) -> Result<Answer> {
    let end = bytes
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("no HTTP header")?;
    let (head, rest) = bytes.split_at(end);
    let head = std::str::from_utf8(head).context("a header that is no text")?;
    let status = head
        .split(' ')
        .nth(1)
        .context("no status")?
        .parse()
        .context("a bad status")?;
    let body = rest.get(4..).unwrap_or_default();
    let chunked = head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked");
    let body = if chunked {
        unchunked(body)?
    } else {
        body.to_vec()
    };
    Ok(Answer {
        status,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

fn unchunked(mut rest: &[u8]) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest
            .windows(2)
            .position(|window| window == b"\r\n")
            .context("a cut chunk")?;
        let (size, after) = rest.split_at(end);
        let size = std::str::from_utf8(size)?
            .split(';')
            .next()
            .unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).context("a bad chunk size")?;
        if size == 0 {
            return Ok(body);
        }
        let after = after.get(2..).context("a cut chunk")?;
        body.extend(after.get(..size).context("a cut chunk")?);
        rest = after.get(size + 2..).context("a cut chunk")?;
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn answers_are_read_whole_and_in_chunks() {
        let cases: [(&str, &[u8], u16, &str); 3] = [
            ("with a length", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, "ok"),
            ("without a body", b"HTTP/1.1 204 No Content\r\n\r\n", 204, ""),
            (
                "in chunks",
                b"HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1;x=y\r\nd\r\n0\r\n\r\n",
                404,
                "abcd",
            ),
        ];
        for (name, bytes, status, body) in cases {
            let answer = parse(bytes).expect(name);
            assert_eq!(
                (answer.status, answer.body.as_str()),
                (status, body),
                "{name}"
            );
        }
        assert!(parse(b"HTTP/1.1 200 OK\r\n").is_err());
    }
}
