//! The slow evaluator that follows the specification word by word.

use std::net::IpAddr;

use serde::Serialize;

use super::{Dialect, Direction, Inventory, PolicySet, PolicyVerdict, Traffic};

/// What one end says of a new connection, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: PolicyVerdict,
    /// `namespace/name` of the pod that owns the endpoint's address.
    pub endpoint: Option<String>,
    /// The policies that isolate the endpoint in this direction, as `namespace/name`.
    pub isolated_by: Vec<String>,
    pub allowed_by: Option<AllowedBy>,
}

/// The first thing that allows a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum AllowedBy {
    Rule(RuleMatch),
    /// A pod can always reach itself.
    Itself,
    /// A pod can always be reached from its node.
    OwnNode {
        node: String,
    },
}

/// A rule and the items of it that matched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RuleMatch {
    pub namespace: String,
    pub name: String,
    pub direction: Direction,
    pub rule: usize,
    /// Index into `from` or `to`; none when the rule has no peers (everyone).
    pub peer: Option<usize>,
    /// Index into `ports`; none when the rule has no ports (all).
    pub port: Option<usize>,
}

pub fn decide(
    inventory: &Inventory,
    policies: &PolicySet,
    dialect: Dialect,
    direction: Direction,
    endpoint: IpAddr,
    peer: IpAddr,
    traffic: Traffic,
) -> Judgement {
    let _ = (
        inventory, policies, dialect, direction, endpoint, peer, traffic,
    );
    Judgement {
        verdict: PolicyVerdict::NotIsolated,
        endpoint: None,
        isolated_by: Vec::new(),
        allowed_by: None,
    }
}
