//! The compiled form: what workers, kernel programs and `policy eval` judge by.
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
//! prefixes, and a decision costs two hash lookups, two searches and a bit,
//! whether there are ten policies or ten thousand.
//!
//! `except` needs no rule of its own: a block is cut into the intervals that it
//! allows, and the intervals of all rules are united.
//!
//! The result is one [`Image`], which the kernel gets byte by byte.

mod address;
mod build;
mod identity;
mod intervals;
mod lines;
mod listing;
mod ports;
mod rules;

use std::{fmt, net::IpAddr, sync::Arc};

pub use self::{build::compile, listing::PortList};
use self::{intervals::Intervals, ports::SetId};
use super::{Dialect, Direction, Image, Traffic};

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
    image: Image,
    size: CompiledSize,
}

/// What one group allows in one direction, before it becomes lines.
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
}

impl Compiled {
    /// Every address of every pod that policies can select.
    pub fn endpoints(&self) -> impl Iterator<Item = (IpAddr, EndpointState)> + '_ {
        self.inner.image.endpoints()
    }

    /// The lines that the kernel gets.
    pub fn image(&self) -> &Image {
        &self.inner.image
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
        self.inner.image.decide(direction, endpoint, peer, traffic)
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
