//! Large lists of bans, taken in whole or not at all.

use std::net::IpAddr;

use palisade_config::types::Prefix;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Origin, Refusal};

/// What a list does to the bans that its origin had before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ImportMode {
    /// They stay.
    Add,
    /// Those that the list does not name end.
    Replace,
}

/// A list of bans on its way in.
///
/// Each line is a prefix or a JSON object with `prefix` and, optionally, `ttl` or `expires`,
/// `reason`, `origin` and `created`; `#` starts a comment, empty lines are ignored. In
/// [`ImportMode::Replace`] a line that names another origin is a fault.
#[derive(Clone, Debug)]
pub struct ImportRequest {
    /// The origin of lines that name none.
    pub origin: Origin,
    pub mode: ImportMode,
    pub force: bool,
    pub caller: Option<IpAddr>,
}

/// A list in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportOutcome {
    /// Bans that are new or have another expiry.
    pub added: u64,
    pub unchanged: u64,
    pub removed: u64,
    /// Lines that lie inside a guard, and guards inside a line's prefix.
    #[schema(value_type = Vec<String>)]
    pub exempted: Vec<Prefix>,
}

/// A fault in one line of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LineError {
    /// Counted from 1, comments and empty lines included.
    pub line: u64,
    pub message: String,
}

/// Most faults that one answer names.
pub const LINE_ERRORS_MAX: usize = 100;

/// Why a list was not taken. Nothing of it is in force.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The first faults, at most [`LINE_ERRORS_MAX`], and how many there are in all.
    #[error("{total} bad lines")]
    Bad { errors: Vec<LineError>, total: u64 },
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The caller's stream broke off.
    #[error("the list could not be read to its end: {0}")]
    Read(#[from] std::io::Error),
}
