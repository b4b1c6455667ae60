//! Warnings: policies that are valid and probably do not say what was meant.
//!
//! The traps are the classic ones of NetworkPolicy. A warning never changes a
//! verdict and is never in the way of applying a policy. What is written alone
//! in one document is looked at first, then how documents work together.
//!
//! Cost is quadratic in the policies of one namespace that carry an `except`:
//! for `policy check` and `apply`, not for packets.

mod alone;
mod together;

use std::fmt;

use serde::Serialize;

use super::{Inventory, NetworkPolicy, Place, PolicySet};

/// A valid policy that probably says something else than was meant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    pub namespace: String,
    pub name: String,
    /// Path of the field, as in a fault.
    pub field: String,
    /// In the text that the policy was read from.
    pub place: Place,
    pub trap: Trap,
    pub message: String,
}

/// The classic traps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Trap {
    /// What one block excepts, another rule allows.
    ExceptUndone,
    /// Two blocks with excepts each allow what the other excepts.
    BansCancel,
    /// An IPv4 block for everyone shuts out IPv6.
    Ipv6ShutOut,
    /// A policy about egress closes ingress by default.
    IngressClosedToo,
    /// A selector that selects no pod of the inventory.
    SelectsNothing,
    /// Egress is limited and no rule lets DNS out.
    DnsForgotten,
    /// Two list items where one with both selectors was probably meant.
    DashMeansOr,
}

impl fmt::Display for Warning {
    /// `line:column: namespace/name: field: message`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { line, column } = self.place;
        write!(f, "{line}:{column}: {}/{}: ", self.namespace, self.name)?;
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Every trap that `policies` walk into, in the order of the policies.
pub fn warnings(inventory: &Inventory, policies: &PolicySet) -> Vec<Warning> {
    let mut warnings = Vec::new();
    for policy in policies.iter() {
        alone::look(policy, inventory, &mut warnings);
        together::look(policy, inventory, policies, &mut warnings);
    }
    warnings
}

fn warning(
    policy: &NetworkPolicy,
    trap: Trap,
    field: impl Into<String>,
    place: Place,
    message: String,
) -> Warning {
    Warning {
        namespace: policy.namespace.clone(),
        name: policy.name.clone(),
        field: field.into(),
        place,
        trap,
        message,
    }
}

#[cfg(test)]
mod tests;
