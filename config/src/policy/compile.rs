//! The compiled form: what workers, kernel tables and `policy eval` judge by.
//!
//! ```text
//! endpoint address -> owner -> table of its group, per direction
//! peer address     -> owner -> identity -> port set   (selector peers)
//!                  -> interval          -> port set   (ipBlock peers)
//! anyone                                -> port set   (rules without peers)
//! ```
//!
//! Pods with the same namespace, labels and named ports are one *identity*: no
//! policy can tell them apart. Identities that the same policies select are one
//! *group* and share a table in each direction. So the size is bounded by the
//! prefixes of the policies that select a group, not by the product of pods and
//! prefixes, and a decision costs two hash lookups, two binary searches and a
//! bit, whether there are ten policies or ten thousand.
//!
//! `except` needs no rule of its own: a block is cut into the intervals that it
//! allows, and the intervals of all rules are united.

mod address;
mod build;
mod identity;
mod intervals;
mod listing;
mod ports;
mod rules;

use std::{fmt, net::IpAddr, sync::Arc};

use self::{
    address::{AddressMap, Owner},
    intervals::Intervals,
    ports::{PortSet, SetId},
};
pub use self::{build::compile, listing::PortList};
use super::{Dialect, Direction, Traffic};

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
    #[error("the tables of these policies would need more than {max} entries")]
    TooLarge { max: usize },
}

/// How large the compiled form is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CompiledSize {
    pub endpoints: usize,
    pub identities: usize,
    pub tables: usize,
    /// Entries of all tables.
    pub entries: usize,
    pub port_sets: usize,
}

/// Policies and inventory as packets need them. Immutable and cheap to clone.
#[derive(Clone, Default)]
pub struct Compiled {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    dialect: Dialect,
    owners: AddressMap<Owner>,
    tables: Vec<Table>,
    sets: Vec<PortSet>,
    size: CompiledSize,
}

/// What one group allows in one direction.
#[derive(Debug, Default)]
struct Table {
    /// Allowed whoever the peer is.
    anyone: SetId,
    /// Allowed for pods, by identity; sorted.
    identities: Box<[(u32, SetId)]>,
    v4: Intervals<u32>,
    v6: Intervals<u128>,
}

impl Table {
    fn entries(&self) -> usize {
        self.identities.len() + self.v4.len() + self.v6.len()
    }

    fn for_identity(&self, identity: u32) -> SetId {
        let found = self
            .identities
            .binary_search_by_key(&identity, |(identity, _)| *identity);
        let entry = found.ok().and_then(|index| self.identities.get(index));
        entry.map_or(SetId::EMPTY, |(_, set)| *set)
    }

    fn for_address(&self, address: IpAddr) -> SetId {
        match address {
            IpAddr::V4(v4) => self.v4.find(v4.to_bits()),
            IpAddr::V6(v6) => self.v6.find(v6.to_bits()),
        }
    }
}

impl Compiled {
    /// Every address of every pod that policies can select.
    pub fn endpoints(&self) -> impl Iterator<Item = (IpAddr, EndpointState)> + '_ {
        self.inner
            .owners
            .iter()
            .filter(|(_, owner)| owner.pod.is_some())
            .map(|(address, owner)| {
                let state = EndpointState {
                    ingress_isolated: owner.ingress.is_some(),
                    egress_isolated: owner.egress.is_some(),
                };
                (address, state)
            })
    }

    pub fn size(&self) -> CompiledSize {
        self.inner.size
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
        let inner = &*self.inner;
        let peer = peer.to_canonical();
        let Some(owner) = inner.owners.get(endpoint.to_canonical()) else {
            return PolicyVerdict::NotIsolated;
        };
        let table = match direction {
            Direction::Ingress => owner.ingress,
            Direction::Egress => owner.egress,
        };
        let Some(table) = table.and_then(|index| inner.tables.get(index.get())) else {
            return PolicyVerdict::NotIsolated;
        };
        let other = inner.owners.get(peer);
        let allowed = other.is_some_and(|other| always_allowed(direction, owner, other))
            || inner.allows(table.anyone, traffic)
            || other
                .and_then(|other| other.identity)
                .is_some_and(|id| inner.allows(table.for_identity(id.get_u32()), traffic))
            || (inner.blocks_match(other) && inner.allows(table.for_address(peer), traffic));
        if allowed {
            PolicyVerdict::Allowed
        } else {
            PolicyVerdict::Denied
        }
    }
}

/// What no policy can forbid: a pod reaching itself, and a pod's own node
/// reaching the pod.
fn always_allowed(direction: Direction, endpoint: &Owner, peer: &Owner) -> bool {
    let itself = endpoint.pod == peer.pod;
    let own_node = peer.node.is_some() && peer.node == endpoint.home;
    itself || (direction == Direction::Ingress && own_node)
}

impl Inner {
    fn allows(&self, set: SetId, traffic: Traffic) -> bool {
        self.sets
            .get(set.index())
            .is_some_and(|set| set.contains(traffic))
    }

    /// Whether an `ipBlock` can mean this peer at all.
    fn blocks_match(&self, peer: Option<&Owner>) -> bool {
        match self.dialect {
            Dialect::Kubernetes | Dialect::Calico => true,
            Dialect::Cilium => peer.is_none(),
        }
    }
}

impl fmt::Debug for Compiled {
    /// The size only: the tables can hold a hundred thousand prefixes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compiled")
            .field("dialect", &self.inner.dialect)
            .field("size", &self.inner.size)
            .finish_non_exhaustive()
    }
}
