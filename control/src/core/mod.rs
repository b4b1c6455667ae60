//! What the rest of the world may ask of the daemon.
//!
//! ```text
//! API, CLI -> Core -> writer thread -> store -> desired state -> kernel -> answer
//!                  \-> policies -> compile -> store -> publish -> answer
//! ```
//!
//! [`Core`] is the only way in. It answers a change when the change is durable and in force, and
//! reads without waiting for changes under way.

mod ban;
mod explain;
mod figures;
mod import;
mod notice;
mod objects;
mod policy;
mod refusal;
mod status;

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use palisade_config::types::Prefix;
use tokio::{io::AsyncBufRead, sync::broadcast};

pub use self::{
    ban::{
        BadOrigin, Ban, BanOutcome, BanPage, BanQuery, BanRequest, ORIGIN_BYTES_MAX, ORIGINS_MAX,
        Origin, PAGE_MAX, REASON_BYTES_MAX,
    },
    explain::{Explanation, Question, RulePlace, Step},
    figures::{BanFigures, CellFigures, Family, Figures, HistogramFigures, InterfaceFigures},
    import::{ImportError, ImportMode, ImportOutcome, ImportRequest, LINE_ERRORS_MAX, LineError},
    notice::{Notice, PacketNotice, SharedNotice, What},
    policy::{Applied, PolicyRefusal, PolicySource, StoredPolicy},
    refusal::{Refusal, Whose},
    status::{
        InterfaceStatus, PolicyFileFault, PolicyFileState, PolicyFileStatus, Readiness,
        ReconcileStatus, Status,
    },
};
use crate::{
    bans::{Bans, Surroundings},
    clock::Timestamp,
    policies::Policies,
    reconcile::{Occasion, Reconciler},
};

/// The daemon's one entrance. Clones are handles on the same daemon.
#[derive(Clone, Debug)]
pub struct Core(Arc<Parts>);

/// What the daemon says of itself, for status, readiness and metrics.
#[derive(Debug, Default)]
pub struct Board {
    /// Set once everything has started.
    pub started: AtomicBool,
    pub interfaces: Mutex<Vec<InterfaceStatus>>,
    /// Remembered flows at the last count.
    pub flows: AtomicU64,
    /// Sampled packets that found no room on their way here from the workers.
    pub worker_events_lost: AtomicU64,
}

impl Board {
    pub fn interfaces(&self) -> Vec<InterfaceStatus> {
        self.interfaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub fn set_interfaces(&self, interfaces: Vec<InterfaceStatus>) {
        *self
            .interfaces
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = interfaces;
    }
}

/// What a [`Core`] is made of.
#[derive(Debug)]
pub struct Parts {
    pub bans: Bans,
    pub policies: Arc<Policies>,
    pub reconciler: Arc<Reconciler>,
    pub surroundings: Surroundings,
    pub board: Arc<Board>,
    pub started: Timestamp,
}

impl Core {
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Bans a prefix for an origin, or changes the ban it has.
    pub async fn ban(&self, request: BanRequest) -> Result<BanOutcome, Refusal> {
        self.0.bans.ban(request).await
    }

    /// Lifts the ban of `origin` on `prefix`, or those of all origins.
    pub async fn unban(&self, prefix: Prefix, origin: Option<Origin>) -> Result<Vec<Ban>, Refusal> {
        self.0.bans.unban(prefix, origin).await
    }

    /// One page of bans. Refused only for an `after` that no page gave.
    pub fn bans(&self, query: &BanQuery) -> Result<BanPage, Refusal> {
        self.0.bans.page(query)
    }

    /// Takes a list of bans, in whole or not at all.
    pub async fn import(
        &self,
        request: ImportRequest,
        lines: impl AsyncBufRead + Unpin + Send,
    ) -> Result<ImportOutcome, ImportError> {
        self.0.bans.import(request, lines).await
    }

    /// The chain of tables that decides about a packet.
    pub fn explain(&self, question: &Question) -> Result<Explanation, Refusal> {
        let parts = &*self.0;
        Ok(crate::explain::explain(
            question,
            parts.bans.desired(),
            &parts.policies.published(),
            parts.policies.always_open(),
            &*parts.surroundings.enforcer,
        ))
    }

    pub fn status(&self) -> Status {
        let parts = &*self.0;
        let published = parts.policies.published();
        let count = |length: usize| u64::try_from(length).unwrap_or(u64::MAX);
        let Readiness { ready, problems } = self.readiness();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: parts.started,
            ready,
            problems,
            generation: published.generation,
            bans: count(parts.bans.desired().read().len()),
            endpoints: count(published.endpoints.len()),
            policies: count(published.policies.len()),
            interfaces: parts.board.interfaces(),
            policy_files: parts.policies.files(),
            reconcile: parts.reconciler.status(),
        }
    }

    /// Puts documents in force, all or none.
    pub async fn apply_policies(
        &self,
        text: String,
        dry_run: bool,
    ) -> Result<Applied, PolicyRefusal> {
        self.0.policies.apply(text, dry_run).await
    }

    /// Ends a policy that came through the API; one from a file is a conflict.
    pub async fn delete_policy(&self, namespace: &str, name: &str) -> Result<(), PolicyRefusal> {
        self.0.policies.delete(namespace, name).await
    }

    /// Every policy in force, by namespace and name.
    pub fn policies(&self) -> Vec<StoredPolicy> {
        self.0.policies.list()
    }

    /// Everything that policies are judged by: inventory, policies and dialect.
    pub fn in_force(&self) -> Arc<crate::policies::Published> {
        self.0.policies.published()
    }

    /// Looks at the policy directory now.
    pub async fn reload_policies(&self) -> Result<(), Refusal> {
        self.0.policies.reload().await
    }

    /// Compares the kernel's tables with what is wanted now; returns how many entries were
    /// repaired.
    pub async fn reconcile(&self) -> Result<u64, Refusal> {
        self.0.reconciler.run_once(Occasion::Check).await
    }

    /// What happens from now on. A slow subscriber loses the oldest and is told how many.
    pub fn subscribe(&self) -> broadcast::Receiver<SharedNotice> {
        self.0.surroundings.notices.subscribe()
    }

    pub fn readiness(&self) -> Readiness {
        let parts = &*self.0;
        let mut problems = Vec::new();
        if !parts.board.started.load(Ordering::Acquire) {
            problems.push("starting".to_owned());
        }
        let judges = !parts.policies.published().endpoints.is_empty();
        for interface in parts.board.interfaces() {
            let InterfaceStatus {
                name,
                attached,
                queues,
                workers_alive,
                problem,
                ..
            } = interface;
            let why = problem
                .map(|problem| format!(": {problem}"))
                .unwrap_or_default();
            if !attached {
                problems.push(format!("interface {name} is not attached{why}"));
            } else if judges && workers_alive < queues {
                problems.push(format!(
                    "interface {name} has {workers_alive} workers for {queues} queues{why}"
                ));
            }
        }
        let pending = parts.bans.pending();
        if pending > 0 {
            problems.push(format!("{pending} prefixes are not in the kernel yet"));
        }
        if let Some(problem) = parts.reconciler.status().problem {
            problems.push(format!("the kernel's tables cannot be compared: {problem}"));
        }
        Readiness {
            ready: problems.is_empty(),
            problems,
        }
    }

    pub fn figures(&self) -> Figures {
        let parts = &*self.0;
        let enforcer = &*parts.surroundings.enforcer;
        let status = parts.board.interfaces();
        let mut interfaces = enforcer.interface_figures().unwrap_or_default();
        for interface in &mut interfaces {
            let found = status.iter().find(|status| status.name == interface.name);
            interface.workers_alive = found.map_or(0, |status| u64::from(status.workers_alive));
        }
        let bans = {
            let desired = parts.bans.desired().read();
            let figures = |(family, origin, count): (Family, &Origin, u64)| BanFigures {
                family,
                origin: origin.clone(),
                count,
            };
            desired.counts().map(figures).collect()
        };
        let reconcile = parts.reconciler.status();
        let lost = parts.board.worker_events_lost.load(Ordering::Relaxed);
        Figures {
            interfaces,
            bans,
            flows: parts.board.flows.load(Ordering::Relaxed),
            generation: u64::from(parts.policies.published().generation),
            events_lost: enforcer.events_lost().unwrap_or(0) + lost,
            apply: parts.surroundings.apply_durations.figures(),
            drift_repaired: reconcile.drift_repaired,
            reconcile_runs: reconcile.runs,
            bans_capacity: (
                enforcer.ban_capacity(Family::V4),
                enforcer.ban_capacity(Family::V6),
            ),
        }
    }
}
