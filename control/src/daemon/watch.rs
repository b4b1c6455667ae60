//! The policy directory, watched.
//!
//! Changes come by inotify and are taken together when they have calmed down. A slow look at the
//! whole directory finds what inotify missed, such as a directory that appears later.

use std::{path::Path, sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use inotify::{EventStream, Inotify, WatchMask};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{clock::Stopwatch, policies::Policies};

/// Quiet time after which changes are taken.
const QUIET: Duration = Duration::from_millis(100);

/// Longest time that a directory in motion is waited for.
const QUIET_AT_MOST: Duration = Duration::from_secs(1);

/// Time between two looks without an event.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);

const EVENT_BUFFER_BYTES: usize = 4096;

/// Reloads the policies whenever their directory changes, until told to stop.
pub(super) async fn run(policies: Arc<Policies>, stop: CancellationToken) {
    let mut events = watch(policies.directory());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            seen = next(&mut events) => {
                if seen {
                    calm_down(&mut events).await;
                } else {
                    events = None;
                }
            }
            () = tokio::time::sleep(LOOK_INTERVAL) => {
                if events.is_none() {
                    events = watch(policies.directory());
                }
            }
        }
        if let Err(error) = policies.reload().await {
            warn!(%error, "policies not taken; the old ones stay in force");
        }
    }
}

type Events = Option<EventStream<[u8; EVENT_BUFFER_BYTES]>>;

fn watch(directory: &Path) -> Events {
    let mask = WatchMask::CREATE
        | WatchMask::CLOSE_WRITE
        | WatchMask::MOVED_FROM
        | WatchMask::MOVED_TO
        | WatchMask::DELETE
        | WatchMask::DELETE_SELF
        | WatchMask::MOVE_SELF
        | WatchMask::ONLYDIR;
    let inotify = Inotify::init().ok()?;
    inotify.watches().add(directory, mask).ok()?;
    inotify.into_event_stream([0; EVENT_BUFFER_BYTES]).ok()
}

/// Waits for an event. `false`: the watch has ended, with the directory perhaps.
async fn next(events: &mut Events) -> bool {
    match events {
        Some(stream) => match stream.next().await {
            Some(Ok(event)) => !event.mask.contains(inotify::EventMask::IGNORED),
            Some(Err(_)) | None => false,
        },
        None => std::future::pending().await,
    }
}

async fn calm_down(events: &mut Events) {
    let since = Stopwatch::start();
    while since.elapsed() < QUIET_AT_MOST {
        match tokio::time::timeout(QUIET, next(events)).await {
            Ok(true) => {}
            Ok(false) => {
                *events = None;
                return;
            }
            Err(_quiet) => return,
        }
    }
}
