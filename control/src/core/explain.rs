//! Why a packet would pass or be dropped, step by step.

use std::net::IpAddr;

use palisade_config::types::{Prefix, Protocol};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Ban;

/// A packet that starts a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub from: IpAddr,
    pub to: IpAddr,
    pub protocol: Protocol,
    pub port: u16,
}

/// The chain of tables that decides, in the order in which they are asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    #[schema(value_type = String)]
    pub from: IpAddr,
    #[schema(value_type = String)]
    pub to: IpAddr,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    pub port: u16,
    /// `pass` or `drop`.
    pub verdict: String,
    /// One of the closed list of reasons.
    pub reason: String,
    pub generation: u32,
    pub steps: Vec<Step>,
    /// Where what is in force differs from what is wanted: each is a fault of palisade, or a
    /// repair that has not happened yet.
    pub faults: Vec<String>,
}

/// What one table said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// `ban`, `endpoint`, `egress_policy`, `flow`, `always_open` or `policy`.
    pub table: String,
    /// Whether this step decided.
    pub decided: bool,
    /// One sentence for people.
    pub finding: String,
    /// The bans that hold the source, longest prefix first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bans: Vec<Ban>,
    /// The guard that exempts the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub guard: Option<Prefix>,
    /// `namespace/name` of the endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The rule that allows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<RulePlace>,
    /// `namespace/name` of each policy that selects the endpoint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}

/// Where a rule stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RulePlace {
    pub namespace: String,
    pub name: String,
    /// The file in the policy directory, unless the policy came through the API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Field path such as `spec.ingress[0].from[1]`.
    pub field: String,
}
