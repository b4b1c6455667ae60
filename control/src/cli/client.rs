//! The daemon's HTTP API over its unix socket, from the calling side.

use std::{
    fmt::Write as _,
    io,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use futures_util::{Stream, StreamExt, TryStreamExt};
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use super::exit::Exit;
use crate::api::{CALLER_HEADER, problem::Problem};

/// How long an answer may take that is not a stream.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long an import may take after its last line was sent.
const IMPORT_TIMEOUT: Duration = Duration::from_secs(600);

/// Longest answer that is held in memory.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Why the daemon did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    #[error(
        "no daemon answers on {}: {source}\n\
         Start it with `systemctl start palisade`, or name its socket with --socket PATH.",
        socket.display()
    )]
    Unreachable { socket: PathBuf, source: io::Error },
    #[error(
        "permission denied on {}\n\
         Run this as root or as a member of the group `palisade`.",
        socket.display()
    )]
    Permission { socket: PathBuf },
    #[error("the daemon's answer broke off: {0}")]
    BrokeOff(#[from] hyper::Error),
    #[error("the daemon gave no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    #[error("the daemon's answer is not understood: {0}")]
    NotUnderstood(String),
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
}

impl ClientError {
    /// The exit code that goes with it.
    pub(super) fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } | Self::Permission { .. } => Exit::Unreachable,
            Self::BrokeOff(_) | Self::TimedOut(_) | Self::NotUnderstood(_) => Exit::Failed,
            Self::Problem(problem) => match problem.status {
                400 if problem.errors.is_empty() => Exit::Usage,
                404 => Exit::NotFound,
                409 => Exit::Refused,
                _ => Exit::Failed,
            },
        }
    }
}

type RequestBody = BoxBody<Bytes, io::Error>;

/// One daemon, by its socket. Every call is a connection of its own.
#[derive(Clone, Debug)]
pub(super) struct Client {
    socket: PathBuf,
    caller: Option<IpAddr>,
}

impl Client {
    pub(super) fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
            caller: None,
        }
    }

    /// Tells the daemon from which address the person at the terminal came.
    #[must_use]
    pub(super) fn on_behalf_of(mut self, caller: Option<IpAddr>) -> Self {
        self.caller = caller;
        self
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let (_, answer) = self.call(Method::GET, path, None).await?;
        understand(&answer)
    }

    /// A call with or without a JSON body, and its status and answer.
    pub(super) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<String>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let body = match body {
            Some(body) => Full::new(Bytes::from(body))
                .map_err(|never| match never {})
                .boxed(),
            None => Empty::new().map_err(|never| match never {}).boxed(),
        };
        let request = self.request(method, path, "application/json", body)?;
        timed(ANSWER_TIMEOUT, async {
            collect(self.send(request).await?).await
        })
        .await
    }

    /// Sends a stream, and gives the answer that comes after its end.
    pub(super) async fn upload<T: DeserializeOwned>(
        &self,
        path: &str,
        content_type: &str,
        chunks: impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static,
    ) -> Result<T, ClientError> {
        let body = BodyExt::boxed(StreamBody::new(chunks.map_ok(Frame::data)));
        let request = self.request(Method::POST, path, content_type, body)?;
        let (_, answer) = timed(IMPORT_TIMEOUT, async {
            collect(self.send(request).await?).await
        })
        .await?;
        understand(&answer)
    }

    /// The body of a GET as it comes.
    pub(super) async fn stream(
        &self,
        path: &str,
    ) -> Result<impl Stream<Item = Result<Bytes, ClientError>> + Unpin + use<>, ClientError> {
        let body = Empty::new().map_err(|never| match never {}).boxed();
        let request = self.request(Method::GET, path, "application/json", body)?;
        let response = timed(ANSWER_TIMEOUT, self.send(request)).await?;
        if !response.status().is_success() {
            let (status, _) = collect(response).await?;
            return Err(ClientError::NotUnderstood(format!("status {status}")));
        }
        Ok(response
            .into_body()
            .into_data_stream()
            .map(|chunk| Ok(chunk?))
            .boxed())
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: RequestBody,
    ) -> Result<Request<RequestBody>, ClientError> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::CONTENT_TYPE, content_type);
        if let Some(caller) = self.caller {
            request = request.header(CALLER_HEADER, caller.to_string());
        }
        request
            .body(body)
            .map_err(|error| ClientError::NotUnderstood(error.to_string()))
    }

    async fn send(&self, request: Request<RequestBody>) -> Result<Response<Incoming>, ClientError> {
        let socket = UnixStream::connect(&self.socket).await.map_err(|source| {
            let socket = self.socket.clone();
            match source.kind() {
                io::ErrorKind::PermissionDenied => ClientError::Permission { socket },
                _ => ClientError::Unreachable { socket, source },
            }
        })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        tokio::spawn(connection);
        Ok(sender.send_request(request).await?)
    }
}

async fn timed<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    tokio::time::timeout(limit, work)
        .await
        .unwrap_or(Err(ClientError::TimedOut(limit)))
}

/// The whole answer, or the problem that it is.
async fn collect(response: Response<Incoming>) -> Result<(StatusCode, Bytes), ClientError> {
    let status = response.status();
    let body = http_body_util::Limited::new(response.into_body(), ANSWER_BYTES_MAX);
    let answer = body
        .collect()
        .await
        .map_err(|error| ClientError::NotUnderstood(error.to_string()));
    let answer = answer?.to_bytes();
    if status.is_success() {
        return Ok((status, answer));
    }
    match serde_json::from_slice::<Problem>(&answer) {
        Ok(problem) => Err(ClientError::Problem(Box::new(problem))),
        Err(_) => Err(ClientError::NotUnderstood(format!("status {status}"))),
    }
}

fn understand<T: DeserializeOwned>(answer: &[u8]) -> Result<T, ClientError> {
    serde_json::from_slice(answer).map_err(|error| ClientError::NotUnderstood(error.to_string()))
}

/// `text` as one path segment or query value.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
    out
}

/// A path with a query of those parameters that are set.
pub(super) fn with_query(path: &str, parameters: &[(&str, Option<String>)]) -> String {
    let mut out = path.to_owned();
    let mut separator = '?';
    for (name, value) in parameters {
        if let Some(value) = value {
            out.push(separator);
            let _ = write!(out, "{name}={}", encoded(value));
            separator = '&';
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{encoded, with_query};

    #[test]
    fn paths_and_queries_are_encoded() {
        assert_eq!(encoded("2001:db8::/32"), "2001%3Adb8%3A%3A%2F32");
        let query = [
            ("limit", Some("10".to_owned())),
            ("after", None),
            ("origin", Some("a&b".to_owned())),
        ];
        assert_eq!(
            with_query("/v1/bans", &query),
            "/v1/bans?limit=10&origin=a%26b"
        );
        assert_eq!(with_query("/v1/bans", &[("after", None)]), "/v1/bans");
    }
}
