//! Policies as callers hand them in and see them.

use palisade_config::policy::Fault;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Refusal;
use crate::clock::Timestamp;

/// A policy in force and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StoredPolicy {
    pub namespace: String,
    pub name: String,
    pub source: PolicySource,
    /// The document as it was written.
    pub document: String,
    /// When it was applied through the API; files carry none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub applied: Option<Timestamp>,
}

/// Where a policy came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PolicySource {
    Api,
    /// The file's name in the policy directory.
    File(String),
}

/// What an apply did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Applied {
    /// The generation in force, unless this was a dry run.
    pub generation: u32,
    /// `namespace/name` of each policy.
    pub created: Vec<String>,
    pub changed: Vec<String>,
    pub unchanged: Vec<String>,
}

/// Why documents were not applied. Nothing of them is in force.
#[derive(Debug, thiserror::Error)]
pub enum PolicyRefusal {
    #[error("{} faults in the documents", .0.len())]
    Faults(Vec<Fault>),
    #[error(transparent)]
    Refused(#[from] Refusal),
}
