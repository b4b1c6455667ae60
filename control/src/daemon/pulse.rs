//! What the service manager hears: ready, still alive, stopping.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use palisade_xdp::Kernel;
use sd_notify::NotifyState;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::workers::{Roster, Seat};

/// Tells the service manager; without one nothing happens.
pub(super) fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        warn!(%error, "the service manager could not be told");
    }
}

/// Pings the service manager's watchdog, twice within its interval, as long as every live
/// worker's heart beats. A worker that hangs ends the pings, and the manager starts us again.
pub(super) async fn run(kernel: Kernel, roster: Arc<Roster>, stop: CancellationToken) {
    let Some(interval) = sd_notify::watchdog_enabled() else {
        return;
    };
    let pause = (interval / 2).max(Duration::from_millis(100));
    let mut beats: BTreeMap<Seat, u64> = BTreeMap::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        let now: BTreeMap<Seat, u64> = roster
            .alive()
            .into_iter()
            .filter_map(|seat| Some((seat, kernel.heartbeats().cell(seat.0, seat.1).ok()?.last())))
            .collect();
        let hung = now
            .iter()
            .find(|(seat, beat)| beats.get(*seat) == Some(*beat));
        match hung {
            Some(((slot, queue), _)) => warn!(slot, queue, "a worker hangs: no watchdog ping"),
            None => tell(&[NotifyState::Watchdog]),
        }
        beats = now;
    }
}
