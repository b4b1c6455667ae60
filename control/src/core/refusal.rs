//! Why a wish was not granted. Nothing has changed then, except where a variant says otherwise.

use std::net::IpAddr;

use palisade_config::types::Prefix;

/// Why a wish was not granted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Not to be forced: take the prefix out of `guard.never_ban` first.
    #[error("{prefix} lies inside the guard {guard}, which is never banned")]
    Guarded { prefix: Prefix, guard: Prefix },
    /// May be forced.
    #[error("{prefix} holds {address}, {whose}")]
    OwnAddress {
        prefix: Prefix,
        address: IpAddr,
        whose: Whose,
    },
    /// May be forced.
    #[error("{prefix} is shorter than /{shortest}: it would cut off a large part of the network")]
    TooShort { prefix: Prefix, shortest: u8 },
    #[error("there is no {what}")]
    NotFound { what: String },
    #[error("{message}")]
    Conflict { message: String },
    #[error(
        "the {table} table holds {used} of at most {capacity} entries: no room for {needed} more"
    )]
    Full {
        table: &'static str,
        used: u64,
        needed: u64,
        capacity: u64,
    },
    /// The disk or the kernel did not do its part. A ban that is on disk but not in the kernel is
    /// kept, and tried again until it is in force.
    #[error("{message}")]
    Unavailable { message: String },
    #[error("{message}")]
    Invalid { pointer: String, message: String },
}

/// Whose address a ban would cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    Node,
    Caller,
}

impl std::fmt::Display for Whose {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Node => "an address of this node",
            Self::Caller => "the address that this call comes from",
        })
    }
}

impl Refusal {
    /// Whether the same wish with `force` may be granted.
    pub fn may_be_forced(&self) -> bool {
        matches!(self, Self::OwnAddress { .. } | Self::TooShort { .. })
    }
}
