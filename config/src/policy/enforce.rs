//! What the daemon can enforce of a policy.

use super::{Fault, NetworkPolicy};

/// The directions that the data path enforces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Enforced {
    pub ingress: bool,
    pub egress: bool,
}

impl Enforced {
    pub const INGRESS_ONLY: Self = Self {
        ingress: true,
        egress: false,
    };
    pub const ALL: Self = Self {
        ingress: true,
        egress: true,
    };
}

/// What of `policy` cannot be enforced. Empty: all of it can.
pub fn unsupported(policy: &NetworkPolicy, enforced: Enforced) -> Vec<Fault> {
    let _ = (policy, enforced);
    Vec::new()
}
