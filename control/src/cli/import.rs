//! `palisade bans import`: a list, streamed to the daemon.

use std::{
    io::{self, IsTerminal, Write},
    os::fd::AsFd,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::StreamExt;
use hyper::body::Bytes;
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use super::{
    arguments::Import,
    bans::with_force_hint,
    client::{Client, ClientError, with_query},
    exit::{Exit, Failure},
    output::{Output, grouped, printable},
};
use crate::core::ImportOutcome;

const CHUNK: usize = 256 << 10;
/// Guarded prefixes that are printed one by one.
const EXEMPTED_SHOWN: usize = 20;

const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

pub(super) async fn import(
    client: &Client,
    import: Import,
    origin: Option<String>,
    json: bool,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let Import { file, mode, force } = import;
    let query = [
        ("origin", Some(origin.unwrap_or_else(|| "file".to_owned()))),
        ("mode", Some(mode.label().to_owned())),
        ("force", force.then(|| "true".to_owned())),
    ];
    let path = with_query("/v1/bans/import", &query);
    let (source, total) = open(&file).await?;
    let sent = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&sent);
    let chunks =
        ReaderStream::with_capacity(source, CHUNK).inspect(move |chunk: &io::Result<Bytes>| {
            if let Ok(chunk) = chunk {
                count.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
        });
    let upload = client.upload::<ImportOutcome>(&path, "text/plain", chunks);
    let outcome = with_progress(upload, &sent, total).await;
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(ClientError::Problem(problem)) if !problem.errors.is_empty() => {
            let mut report = String::new();
            for fault in &problem.errors {
                let line = fault.line.unwrap_or_default();
                report += &format!("{}:{line}: {}\n", file.display(), printable(&fault.message));
            }
            let summary = problem.detail.split(';').next().unwrap_or_default();
            return Err(Failure::Reported(report + summary));
        }
        Err(error) => return Err(with_force_hint(error).into()),
    };
    if json {
        out.json(&outcome)?;
        return Ok(Exit::Done);
    }
    let ImportOutcome {
        added,
        unchanged,
        removed,
        exempted,
    } = outcome;
    let (added, unchanged, removed) = (grouped(added), grouped(unchanged), grouped(removed));
    out.line(&format!(
        "added {added}, unchanged {unchanged}, removed {removed}"
    ))?;
    for prefix in exempted.iter().take(EXEMPTED_SHOWN) {
        out.line(&format!("  guarded and not banned: {prefix}"))?;
    }
    if let Some(more) = exempted
        .len()
        .checked_sub(EXEMPTED_SHOWN)
        .filter(|more| *more > 0)
    {
        out.line(&format!("  and {more} more; --json names them all"))?;
    }
    Ok(Exit::Done)
}

type Source = Box<dyn AsyncRead + Send + Sync + Unpin>;

async fn open(file: &Path) -> Result<(Source, Option<u64>), Failure> {
    let failed = |source| Failure::Read {
        path: file.to_owned(),
        source,
    };
    if file == Path::new("-") {
        let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(failed)?;
        let stdin = tokio::fs::File::from_std(stdin.into());
        return Ok((Box::new(stdin), None));
    }
    let source = tokio::fs::File::open(file).await.map_err(failed)?;
    let metadata = source.metadata().await.map_err(failed)?;
    if metadata.is_dir() {
        return Err(failed(io::ErrorKind::IsADirectory.into()));
    }
    Ok((
        Box::new(source),
        metadata.is_file().then_some(metadata.len()),
    ))
}

/// Shows on a terminal how far `work` is, and nothing in a pipe.
async fn with_progress<T>(
    work: impl Future<Output = T>,
    sent: &AtomicU64,
    total: Option<u64>,
) -> T {
    if !io::stderr().is_terminal() {
        return work.await;
    }
    let mut work = std::pin::pin!(work);
    let mut ticks = tokio::time::interval(PROGRESS_INTERVAL);
    let done = loop {
        tokio::select! {
            done = work.as_mut() => break done,
            _ = ticks.tick() => {
                let sent = sent.load(Ordering::Relaxed);
                let line = match total {
                    Some(total) if sent >= total => "sent; being applied".to_owned(),
                    Some(total) => format!("{} %", sent.saturating_mul(100) / total.max(1)),
                    None => format!("{} KiB", grouped(sent >> 10)),
                };
                // Progress that cannot be shown is no reason to stop the work.
                let _ = write!(io::stderr(), "\r\x1b[Kimporting: {line}");
            }
        }
    };
    let _ = write!(io::stderr(), "\r\x1b[K");
    done
}
