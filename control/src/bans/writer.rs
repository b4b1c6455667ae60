//! The one thread that changes bans.
//!
//! Changes on different prefixes that wait together share a transaction, since the disk is what
//! takes the time. The order is always store, desired state, kernel: a crash in between leaves a
//! ban that is durable and comes into force at the next start, never one that is in force and
//! forgotten.

mod bulk;
mod single;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use palisade_config::types::Prefix;
use tokio::sync::oneshot;
use tracing::{info, warn};

use super::{Drift, ParsedImport, SharedDesired, Surroundings, apply_in_order};
use crate::{
    clock::{Stopwatch, Timestamp},
    core::{Ban, BanOutcome, BanRequest, ImportOutcome, Origin, Refusal, What},
    desired::{Desired, Effect},
    store::{Change, PolicyChange, Store, StoreError},
};

/// Longest time between two looks at the clock, which may be set.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Bans that may expire in one transaction.
const EXPIRED_AT_ONCE: usize = 10_000;

/// How often a write to the kernel is tried before the caller hears of it.
const KERNEL_TRIES: u32 = 3;

/// Failed prefixes beyond which a scan of everything is cheaper than remembering them.
const PENDING_MAX: usize = 100_000;

#[derive(Debug)]
pub(super) enum Command {
    Ban {
        request: BanRequest,
        started: Stopwatch,
        reply: oneshot::Sender<Result<BanOutcome, Refusal>>,
    },
    Unban {
        prefix: Prefix,
        origin: Option<Origin>,
        started: Stopwatch,
        reply: oneshot::Sender<Result<Vec<Ban>, Refusal>>,
    },
    Import {
        import: ParsedImport,
        started: Stopwatch,
        reply: oneshot::Sender<Result<ImportOutcome, Refusal>>,
    },
    BeginScan(oneshot::Sender<()>),
    Repair {
        drift: Drift,
        reply: oneshot::Sender<Result<Vec<Prefix>, Refusal>>,
    },
    Policies {
        changes: Vec<PolicyChange>,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    Stop,
}

/// What changed while a scan reads the kernel's tables.
#[derive(Debug)]
enum Scan {
    None,
    Changed(BTreeSet<Prefix>),
    /// Too much changed to tell drift from change.
    Void,
}

pub(super) struct Writer {
    store: Store,
    desired: SharedDesired,
    surroundings: Surroundings,
    scan: Scan,
    /// Durable, but the kernel refused: tried again at every turn.
    pending: BTreeSet<Prefix>,
    pending_count: Arc<AtomicU64>,
}

impl Writer {
    pub(super) fn new(
        store: Store,
        desired: SharedDesired,
        surroundings: Surroundings,
        pending_count: Arc<AtomicU64>,
    ) -> Self {
        let pending = BTreeSet::new();
        Self {
            store,
            desired,
            surroundings,
            scan: Scan::None,
            pending,
            pending_count,
        }
    }

    pub(super) fn run(mut self, queue: &mpsc::Receiver<Command>) {
        let mut next = None;
        loop {
            let received = match next.take() {
                Some(command) => Ok(command),
                None => queue.recv_timeout(self.wait()),
            };
            self.expire();
            match received {
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Command::Import {
                    import,
                    started,
                    reply,
                }) => {
                    let outcome = self.import(import);
                    self.surroundings.apply_durations.observe(started.elapsed());
                    let _ = reply.send(outcome);
                }
                Ok(Command::BeginScan(reply)) => {
                    self.scan = Scan::Changed(BTreeSet::new());
                    let _ = reply.send(());
                }
                Ok(Command::Repair { drift, reply }) => {
                    let _ = reply.send(self.repair(drift));
                }
                Ok(Command::Policies { changes, reply }) => {
                    let stored = self.store.commit_policies(&changes);
                    let _ = reply.send(self.answer_store(stored));
                }
                Ok(first @ (Command::Ban { .. } | Command::Unban { .. })) => {
                    next = self.singles(first, queue);
                }
            }
            self.retry();
        }
    }

    fn wait(&self) -> Duration {
        let now = self.surroundings.clock.now();
        let expiry = self.desired.read().next_expiry();
        expiry
            .map_or(LOOK_INTERVAL, |expiry| now.until(expiry))
            .min(LOOK_INTERVAL)
    }

    /// Ends the bans whose time has come.
    fn expire(&mut self) {
        loop {
            let now = self.surroundings.clock.now();
            let expired = self.desired.read().expired(now, EXPIRED_AT_ONCE);
            if expired.is_empty() {
                return;
            }
            let changes = expired.iter().cloned();
            let changes = changes.map(|(prefix, origin)| Change::Delete(prefix, origin));
            if let Err(error) = self.store.commit(changes) {
                // The stored ban carries its expiry, so a restart drops it all the same.
                warn!(%error, bans = expired.len(), "expired bans stay in the state file");
                self.recover();
            }
            let mut touched = Vec::with_capacity(expired.len());
            let mut ended = Vec::with_capacity(expired.len());
            {
                let mut desired = self.desired.write();
                for (prefix, origin) in &expired {
                    ended.extend(desired.remove(prefix, origin));
                    touched.push(*prefix);
                }
            }
            // A failure is remembered and tried again; nobody waits for an answer.
            let _ = self.enforce(&touched);
            info!(bans = ended.len(), "bans expired");
            for ban in ended {
                self.surroundings.notify(What::BanExpired { ban });
            }
        }
    }

    /// Brings the kernel in line for these prefixes; on failure they become pending.
    fn enforce(&mut self, prefixes: &[Prefix]) -> Result<(), Refusal> {
        match &mut self.scan {
            Scan::Changed(changed) if changed.len() + prefixes.len() <= PENDING_MAX => {
                changed.extend(prefixes);
            }
            Scan::Changed(_) => self.scan = Scan::Void,
            Scan::None | Scan::Void => {}
        }
        let desired = self.desired.read();
        let entries = entries(&desired, prefixes);
        let mut result = Ok(());
        for _ in 0..KERNEL_TRIES {
            result = apply_in_order(&*self.surroundings.enforcer, &desired, &entries);
            if result.is_ok() {
                break;
            }
        }
        drop(desired);
        result.map_err(|error| {
            warn!(%error, prefixes = prefixes.len(), "the kernel refused bans; trying again");
            self.pending.extend(prefixes.iter().take(PENDING_MAX));
            self.count_pending();
            Refusal::Unavailable {
                message: format!(
                    "the change is on disk, but the kernel refused it: {error}; \
                     it is tried again until it is in force"
                ),
            }
        })
    }

    /// Tries again what the kernel refused.
    fn retry(&mut self) {
        if self.pending.is_empty() {
            return;
        }
        let desired = self.desired.read();
        let prefixes: Vec<Prefix> = self.pending.iter().copied().collect();
        let entries = entries(&desired, &prefixes);
        let result = apply_in_order(&*self.surroundings.enforcer, &desired, &entries);
        drop(desired);
        if result.is_ok() {
            info!(
                prefixes = prefixes.len(),
                "bans that the kernel had refused are in force"
            );
            self.pending.clear();
            self.count_pending();
        }
    }

    fn count_pending(&self) {
        let count = u64::try_from(self.pending.len()).unwrap_or(u64::MAX);
        self.pending_count.store(count, Ordering::Relaxed);
    }

    /// Puts right what a scan found, as far as it was no change of ours meanwhile.
    fn repair(&mut self, drift: Drift) -> Result<Vec<Prefix>, Refusal> {
        let changed = match std::mem::replace(&mut self.scan, Scan::None) {
            Scan::Changed(changed) => changed,
            Scan::None | Scan::Void => return Ok(Vec::new()),
        };
        let real: Vec<Prefix> = drift.prefixes.difference(&changed).copied().collect();
        if !real.is_empty() {
            self.enforce(&real)?;
        }
        Ok(real)
    }

    /// Opens the state file again after it could not be written: it takes no more writes before.
    fn recover(&mut self) {
        if let Err(error) = self.store.reopen() {
            warn!(%error, "the state file cannot be opened again yet");
        }
    }

    fn answer_store(&mut self, stored: Result<(), StoreError>) -> Result<(), Refusal> {
        stored.map_err(|error| {
            warn!(%error, "a change could not be made durable; nothing of it is in force");
            self.recover();
            Refusal::Unavailable {
                message: format!("{error}; nothing has changed"),
            }
        })
    }

    fn now(&self) -> Timestamp {
        self.surroundings.clock.now()
    }
}

/// What the kernel should hold for these prefixes and the guards inside them.
fn entries(desired: &Desired, prefixes: &[Prefix]) -> Vec<(Prefix, Option<Effect>)> {
    prefixes
        .iter()
        .flat_map(|prefix| desired.touched(prefix))
        .collect()
}
