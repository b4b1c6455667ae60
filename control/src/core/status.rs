//! The daemon's state for people and probes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::Timestamp;

/// Everything in one answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Status {
    pub version: String,
    #[schema(value_type = String, format = DateTime)]
    pub started: Timestamp,
    pub ready: bool,
    /// What keeps it from being ready.
    pub problems: Vec<String>,
    pub generation: u32,
    /// (Prefix, origin) pairs.
    pub bans: u64,
    pub endpoints: u64,
    pub policies: u64,
    pub interfaces: Vec<InterfaceStatus>,
    pub policy_files: Vec<PolicyFileStatus>,
    pub reconcile: ReconcileStatus,
}

/// One interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InterfaceStatus {
    pub name: String,
    /// Whether the program is attached.
    pub attached: bool,
    /// `native` or `generic`.
    pub mode: String,
    /// Why not the mode that was asked for first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fell_back: Option<String>,
    pub queues: u32,
    pub workers_alive: u32,
    pub zero_copy: bool,
    /// Why it is not attached or a worker does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// One file of the policy directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyFileStatus {
    pub file: String,
    pub state: PolicyFileState,
    /// Documents of the file that are in force.
    pub documents: u64,
    pub faults: Vec<PolicyFileFault>,
}

/// Whether a file is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PolicyFileState {
    InForce,
    /// Its last version without a fault is in force.
    BrokenLastGoodInForce,
    /// It never had a version without a fault.
    Broken,
}

/// A fault in a file of the policy directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PolicyFileFault {
    pub document: u64,
    pub line: u64,
    pub column: u64,
    pub field: String,
    pub message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What the comparisons with the kernel found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReconcileStatus {
    pub runs: u64,
    /// Entries that were missing, wrong or too many, and have been repaired.
    pub drift_repaired: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub last: Option<Timestamp>,
    /// Why the last one did not end well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Whether the daemon enforces what it was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Readiness {
    pub ready: bool,
    pub problems: Vec<String>,
}
