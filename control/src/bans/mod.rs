//! Bans from wish to kernel.
//!
//! ```text
//! wish -> rules -> store (durable) -> desired state -> kernel -> answer
//! ```
//!
//! One thread, the writer, carries out every change, so that two wishes on one prefix have an
//! order and the kernel is never written by two. Readers take the desired state's lock shared and
//! never wait for the disk.

mod import;
mod page;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
};

use arc_swap::ArcSwap;
use palisade_config::types::Prefix;
use tokio::sync::{broadcast, oneshot};
use tokio_util::sync::CancellationToken;

pub(crate) use self::import::{ParsedImport, read_import};
use self::writer::{Command, Writer};
use crate::{
    clock::{Clock, Stopwatch, Timestamp},
    core::{
        Ban, BanOutcome, BanPage, BanQuery, BanRequest, ImportError, ImportOutcome, ImportRequest,
        Notice, Origin, Refusal, SharedNotice, What,
    },
    desired::{Desired, Effect},
    enforce::Enforcer,
    histogram::Histogram,
    store::{PolicyChange, Store, StoreError},
};

/// Most changes that wait for the writer. Beyond it callers are told to come back.
const QUEUE_MAX: usize = 4096;

/// The desired state as several threads share it.
#[derive(Clone, Debug, Default)]
pub struct SharedDesired(Arc<RwLock<Desired>>);

impl SharedDesired {
    pub fn new(desired: Desired) -> Self {
        Self(Arc::new(RwLock::new(desired)))
    }

    // A panic while the lock is held leaves a set in which every single ban is whole, so the
    // poison of the lock says nothing that matters here.
    pub fn read(&self) -> RwLockReadGuard<'_, Desired> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Desired> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the parts of the daemon share with the writer.
#[derive(Clone, Debug)]
pub struct Surroundings {
    pub enforcer: Arc<dyn Enforcer>,
    pub clock: Arc<dyn Clock>,
    pub notices: broadcast::Sender<SharedNotice>,
    pub apply_durations: Arc<Histogram>,
    /// Addresses of this node, kept up to date by the daemon.
    pub node_addresses: Arc<ArcSwap<Vec<IpAddr>>>,
}

impl Surroundings {
    pub(crate) fn notify(&self, what: What) {
        // An error only says that nobody listens.
        let _ = self.notices.send(Arc::new(Notice {
            time: self.clock.now(),
            what,
        }));
    }
}

/// What the kernel holds and should not, or does not hold and should.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    pub prefixes: BTreeSet<Prefix>,
}

/// The handle on the writer thread.
#[derive(Clone, Debug)]
pub struct Bans {
    desired: SharedDesired,
    surroundings: Surroundings,
    commands: mpsc::SyncSender<Command>,
    /// Prefixes that are decided and durable, but not yet in the kernel.
    pending: Arc<AtomicU64>,
}

/// The writer thread, to wait for.
#[derive(Debug)]
pub struct WriterThread {
    thread: std::thread::JoinHandle<()>,
    ended: CancellationToken,
}

impl WriterThread {
    /// Cancelled when the thread has ended, by a panic too.
    pub fn ended(&self) -> CancellationToken {
        self.ended.clone()
    }

    /// Returns when everything that was asked for before is done.
    pub fn join(self) {
        // A panic of the thread has been reported by the panic hook.
        let _ = self.thread.join();
    }
}

impl Bans {
    /// Starts the writer on what the store holds.
    pub fn start(
        store: Store,
        desired: Desired,
        surroundings: Surroundings,
    ) -> std::io::Result<(Self, WriterThread)> {
        let (commands, queue) = mpsc::sync_channel(QUEUE_MAX);
        let desired = SharedDesired::new(desired);
        let pending = Arc::new(AtomicU64::new(0));
        let writer = Writer::new(
            store,
            desired.clone(),
            surroundings.clone(),
            Arc::clone(&pending),
        );
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let thread = std::thread::Builder::new()
            .name("writer".to_owned())
            .spawn(move || {
                let _guard = guard;
                writer.run(&queue);
            })?;
        let bans = Self {
            desired,
            surroundings,
            commands,
            pending,
        };
        Ok((bans, WriterThread { thread, ended }))
    }

    pub fn desired(&self) -> &SharedDesired {
        &self.desired
    }

    /// Prefixes that are decided and durable, but not yet in the kernel.
    pub fn pending(&self) -> u64 {
        self.pending.load(Ordering::Relaxed)
    }

    pub async fn ban(&self, request: BanRequest) -> Result<BanOutcome, Refusal> {
        let started = Stopwatch::start();
        self.ask(|reply| Command::Ban {
            request,
            started,
            reply,
        })
        .await?
    }

    pub async fn unban(&self, prefix: Prefix, origin: Option<Origin>) -> Result<Vec<Ban>, Refusal> {
        let started = Stopwatch::start();
        self.ask(|reply| Command::Unban {
            prefix,
            origin,
            started,
            reply,
        })
        .await?
    }

    pub async fn import(
        &self,
        request: ImportRequest,
        lines: impl tokio::io::AsyncBufRead + Unpin + Send,
    ) -> Result<ImportOutcome, ImportError> {
        let started = Stopwatch::start();
        let guards = self.desired.read().guards().clone();
        let node = self.surroundings.node_addresses.load_full();
        let now = self.surroundings.clock.now();
        let import = read_import(request, lines, &guards, &node, now).await?;
        Ok(self
            .ask(|reply| Command::Import {
                import,
                started,
                reply,
            })
            .await??)
    }

    pub fn page(&self, query: &BanQuery) -> Result<BanPage, Refusal> {
        page::page(&self.desired.read(), query)
    }

    /// From now until [`Self::repair`], changes are remembered as no drift.
    pub async fn begin_scan(&self) -> Result<(), Refusal> {
        self.ask(Command::BeginScan).await
    }

    /// Puts right what a scan found; returns what had really drifted.
    pub async fn repair(&self, drift: Drift) -> Result<Vec<Prefix>, Refusal> {
        self.ask(|reply| Command::Repair { drift, reply }).await?
    }

    /// Makes changes of policies durable.
    pub async fn store_policies(&self, changes: Vec<PolicyChange>) -> Result<(), Refusal> {
        self.ask(|reply| Command::Policies { changes, reply })
            .await?
    }

    /// Ends the writer after what was asked for before.
    pub fn stop(&self) {
        // An error says that it has ended already.
        let _ = self.commands.send(Command::Stop);
    }

    async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .try_send(command(reply))
            .map_err(|error| match error {
                mpsc::TrySendError::Full(_) => Refusal::Unavailable {
                    message: format!("{QUEUE_MAX} changes are waiting already; try again"),
                },
                mpsc::TrySendError::Disconnected(_) => stopping(),
            })?;
        answer.await.map_err(|_| stopping())
    }
}

fn stopping() -> Refusal {
    Refusal::Unavailable {
        message: "the daemon is stopping".to_owned(),
    }
}

/// Reads every ban of the store that has not expired; the expired ones are returned, to be
/// deleted.
pub fn load(
    store: &Store,
    desired: &mut Desired,
    now: Timestamp,
) -> Result<Vec<(Prefix, Origin)>, StoreError> {
    let mut expired = Vec::new();
    store.load_bans(|ban| {
        if ban.expires.is_some_and(|expires| expires <= now) {
            expired.push((ban.prefix, ban.origin));
        } else {
            desired.insert(&ban);
        }
    })?;
    Ok(expired)
}

/// Writes entries so that no address inside a guard is cut off in between: exemptions go in
/// before the bans around them and leave after them.
pub(crate) fn apply_in_order(
    enforcer: &dyn Enforcer,
    desired: &Desired,
    entries: &[(Prefix, Option<Effect>)],
) -> Result<(), palisade_xdp::TableError> {
    let guards = desired.guards();
    let phase = |(prefix, effect): &(Prefix, Option<Effect>)| match effect {
        Some(Effect::Exempt) => 0,
        Some(Effect::Banned) => 1,
        None if !guards.is_guard(prefix) => 2,
        None => 3,
    };
    let mut sorted = entries.to_vec();
    sorted.sort_by_key(phase);
    sorted.dedup();
    for batch in sorted.chunk_by(|first, second| phase(first) == phase(second)) {
        enforcer.apply_bans(batch)?;
    }
    Ok(())
}
