//! What the rest of the world may ask of the daemon.
//!
//! ```text
//! API, CLI -> Core -> writer thread -> store -> desired state -> kernel -> answer
//!                  \> policy manager -> compile -> publish -> answer
//! ```
//!
//! [`Core`] is the only way in. It answers a change when the change is durable and in force, and
//! reads without waiting for changes under way.

mod ban;
mod explain;
mod figures;
mod import;
mod notice;
mod policy;
mod refusal;
mod status;

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

use palisade_config::types::Prefix;
use tokio::{io::AsyncBufRead, sync::broadcast};

/// The daemon's one entrance. Clones are handles on the same daemon.
#[derive(Clone, Debug)]
pub struct Core {}

fn unbuilt() -> Refusal {
    Refusal::Unavailable {
        message: "not built yet".to_owned(),
    }
}

impl Core {
    /// Bans a prefix for an origin, or changes the ban it has.
    pub async fn ban(&self, _request: BanRequest) -> Result<BanOutcome, Refusal> {
        Err(unbuilt())
    }

    /// Lifts the ban of `origin` on `prefix`, or those of all origins.
    pub async fn unban(
        &self,
        _prefix: Prefix,
        _origin: Option<Origin>,
    ) -> Result<Vec<Ban>, Refusal> {
        Err(unbuilt())
    }

    /// One page of bans. `Err` only for an `after` that no page gave.
    pub fn bans(&self, _query: &BanQuery) -> Result<BanPage, Refusal> {
        Err(unbuilt())
    }

    /// Takes a list of bans, in whole or not at all.
    pub async fn import(
        &self,
        _request: ImportRequest,
        _lines: impl AsyncBufRead + Unpin + Send,
    ) -> Result<ImportOutcome, ImportError> {
        Err(unbuilt().into())
    }

    /// The chain of tables that decides about a packet.
    pub fn explain(&self, _question: &Question) -> Result<Explanation, Refusal> {
        Err(unbuilt())
    }

    pub fn status(&self) -> Status {
        todo!()
    }

    /// Puts documents in force, all or none.
    pub async fn apply_policies(
        &self,
        _text: String,
        _dry_run: bool,
    ) -> Result<Applied, PolicyRefusal> {
        Err(unbuilt().into())
    }

    /// Ends a policy that came through the API; one from a file is a conflict.
    pub async fn delete_policy(&self, _namespace: &str, _name: &str) -> Result<(), PolicyRefusal> {
        Err(unbuilt().into())
    }

    /// Every policy in force, by namespace and name.
    pub fn policies(&self) -> Vec<StoredPolicy> {
        Vec::new()
    }

    /// What happens from now on. A slow subscriber loses the oldest and is told how many.
    pub fn subscribe(&self) -> broadcast::Receiver<SharedNotice> {
        broadcast::channel(1).1
    }

    pub fn readiness(&self) -> Readiness {
        Readiness::default()
    }

    pub fn figures(&self) -> Figures {
        Figures::default()
    }
}
