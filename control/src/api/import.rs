//! Large lists of bans, as a stream.
//!
//! The list is never held as text: lines go to the core as they arrive. A caller that stops
//! sending is given up on, and nothing of its list comes into force.

use std::{io, net::IpAddr, time::Duration};

use axum::{
    Extension, Json,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Uri, header},
};
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::{
    io::{AsyncRead, AsyncReadExt, BufReader},
    sync::SemaphorePermit,
};
use tokio_util::io::StreamReader;

use super::{
    App,
    gate::Caller,
    problem::{Kind, Problem, ProblemItem},
    request::{Parameters, origin_or_api},
};
use crate::core::{ImportError, ImportMode, ImportOutcome, ImportRequest};

/// Longest list: several million lines.
const IMPORT_BYTES_MAX: usize = 1 << 30;

/// Longest pause between two pieces of a list.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What is still read of a list that was refused, so that the sender can read the answer.
const DRAIN_BYTES_MAX: u64 = 64 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

const CONTENT_TYPES: [&str; 6] = [
    "text/plain",
    "application/x-ndjson",
    "application/ndjson",
    "application/jsonl",
    "application/octet-stream",
    // What curl says when it is not told.
    "application/x-www-form-urlencoded",
];

/// Import a list of bans: all of it or nothing
///
/// One prefix or one JSON ban (`prefix`, and optionally `ttl` or `expires`, `reason`) a line; `#`
/// starts a comment. `replace` ends what this origin had and the list does not name.
#[utoipa::path(
    post,
    path = "/v1/bans/import",
    tag = "bans",
    params(
        ("origin" = Option<String>, Query, description = "On whose behalf [default: api]"),
        ("mode" = Option<String>, Query, description = "`add` or `replace` [default: add]"),
        ("force" = Option<bool>, Query, description = "Accept own addresses and very wide prefixes"),
    ),
    request_body(content(
        (String = "text/plain"),
        (String = "application/x-ndjson"),
    )),
    responses(
        (status = 200, body = ImportOutcome, description = "Durable and in force"),
        (status = 400, body = Problem, description = "`errors` names up to 100 bad lines"),
        (status = 409, body = Problem),
        (status = 413, body = Problem),
        (status = 503, body = Problem),
    )
)]
pub(crate) async fn import(
    State(app): State<App>,
    Extension(Caller(caller)): Extension<Caller>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<ImportOutcome>, Problem> {
    let chunks = Limited::new(body, IMPORT_BYTES_MAX).into_data_stream();
    let mut lines = BufReader::new(StreamReader::new(Box::pin(steady(chunks))));
    let outcome = match prepare(&app, caller, &uri, &headers) {
        Ok((request, _permit)) => app.core.import(request, &mut lines).await.map_err(refused),
        Err(problem) => Err(problem),
    };
    if outcome.is_err() {
        // The answer matters, not whether the rest of a refused list arrives.
        let _ = tokio::time::timeout(DRAIN_TIME_MAX, drain(lines)).await;
    }
    outcome.map(Json)
}

/// What is asked, and a place among the imports under way.
fn prepare<'a>(
    app: &'a App,
    caller: Option<IpAddr>,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<(ImportRequest, SemaphorePermit<'a>), Problem> {
    check_content_type(headers)?;
    let mut parameters = Parameters::of(uri, &["origin", "mode", "force"])?;
    let mode = match parameters.text("mode").as_deref() {
        None | Some("add") => ImportMode::Add,
        Some("replace") => ImportMode::Replace,
        Some(_) => return Err(Problem::field("/mode", "the mode is `add` or `replace`")),
    };
    let force = parameters.parsed("force")?.unwrap_or(false);
    let origin = origin_or_api(parameters.text("origin"))?;
    let permit = app
        .imports
        .try_acquire()
        .map_err(|_| Problem::new(Kind::Unavailable, "other imports are under way; try again"))?;
    Ok((
        ImportRequest {
            origin,
            mode,
            force,
            caller,
        },
        permit,
    ))
}

/// Reads what a refused sender still sends: one that cannot finish its sentence does not listen.
async fn drain(lines: impl AsyncRead + Unpin) -> io::Result<u64> {
    tokio::io::copy(&mut lines.take(DRAIN_BYTES_MAX), &mut tokio::io::sink()).await
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else {
        return Ok(());
    };
    let name = value
        .to_str()
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if CONTENT_TYPES
        .iter()
        .any(|known| name.eq_ignore_ascii_case(known))
    {
        return Ok(());
    }
    let detail = "send the list as text/plain or application/x-ndjson, one ban a line";
    Err(Problem::field("/content-type", detail))
}

/// The chunks of a body, with an end to patience.
fn steady<S, E>(chunks: S) -> impl Stream<Item = io::Result<Bytes>>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    stream::unfold(chunks, |mut chunks| async move {
        let chunk = match tokio::time::timeout(PAUSE_MAX, chunks.next()).await {
            Ok(None) => return None,
            Ok(Some(Ok(chunk))) => Ok(chunk),
            Ok(Some(Err(error))) => {
                let error: Box<dyn std::error::Error + Send + Sync> = error.into();
                let is_too_long = error.is::<LengthLimitError>();
                let kind = if is_too_long {
                    io::ErrorKind::FileTooLarge
                } else {
                    io::ErrorKind::UnexpectedEof
                };
                Err(io::Error::new(kind, error))
            }
            Err(_) => {
                let detail = format!("nothing came for {} s", PAUSE_MAX.as_secs());
                Err(io::Error::new(io::ErrorKind::TimedOut, detail))
            }
        };
        Some((chunk, chunks))
    })
}

fn refused(error: ImportError) -> Problem {
    match error {
        ImportError::Bad { errors, total } => {
            let first = errors
                .first()
                .map(|fault| format!("; line {}: {}", fault.line, fault.message));
            let detail = format!(
                "{total} bad {}, nothing was imported{}",
                if total == 1 { "line" } else { "lines" },
                first.unwrap_or_default(),
            );
            let errors = errors
                .into_iter()
                .map(|fault| ProblemItem {
                    message: fault.message,
                    line: Some(fault.line),
                    ..ProblemItem::default()
                })
                .collect();
            Problem {
                errors,
                ..Problem::new(Kind::Malformed, detail)
            }
        }
        ImportError::Refused(refusal) => refusal.into(),
        ImportError::Read(error) if error.kind() == io::ErrorKind::FileTooLarge => {
            let detail = format!("the list is longer than {IMPORT_BYTES_MAX} bytes");
            Problem::new(Kind::TooLarge, detail)
        }
        ImportError::Read(error) => Problem::new(
            Kind::Malformed,
            format!("the list broke off, nothing was imported: {error}"),
        ),
    }
}
