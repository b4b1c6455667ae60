//! The compiled form.

use std::net::IpAddr;

use super::{Dialect, Direction, Inventory, PolicySet, Traffic};

/// What the policies say of one new connection, seen from one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyVerdict {
    /// The address is no endpoint, or no policy isolates it in this direction.
    NotIsolated,
    Allowed,
    Denied,
}

/// In which directions an endpoint is isolated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndpointState {
    pub ingress_isolated: bool,
    pub egress_isolated: bool,
}

/// Why valid policies and inventory cannot be compiled together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    #[error("address {address} belongs to both {first} and {second}")]
    AddressTaken {
        address: IpAddr,
        first: String,
        second: String,
    },
    #[error("the tables would need more than {max} entries")]
    TooLarge { max: usize },
}

/// Policies and inventory as packets need them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Compiled {}

pub fn compile(
    inventory: &Inventory,
    policies: &PolicySet,
    dialect: Dialect,
) -> Result<Compiled, CompileError> {
    let _ = (inventory, policies, dialect);
    Ok(Compiled::default())
}

impl Compiled {
    /// Every address of every pod that policies can select.
    pub fn endpoints(&self) -> impl Iterator<Item = (IpAddr, EndpointState)> + '_ {
        std::iter::empty()
    }

    /// Judges a new connection between `endpoint` and `peer`, opened by `peer`
    /// for ingress and by `endpoint` for egress. No allocation, no lock.
    pub fn decide(
        &self,
        direction: Direction,
        endpoint: IpAddr,
        peer: IpAddr,
        traffic: Traffic,
    ) -> PolicyVerdict {
        let _ = (direction, endpoint, peer, traffic);
        PolicyVerdict::NotIsolated
    }
}
