//! Numbers for `/metrics`, as plain data.

use palisade_abi::{Reason, Stage, Verdict};

use super::Origin;

/// All numbers at one moment.
#[derive(Clone, Debug, Default)]
pub struct Figures {
    pub interfaces: Vec<InterfaceFigures>,
    pub bans: Vec<BanFigures>,
    /// Remembered flow verdicts, as far as the kernel can count them cheaply.
    pub flows: u64,
    pub generation: u64,
    pub events_lost: u64,
    pub apply: HistogramFigures,
    pub drift_repaired: u64,
    pub reconcile_runs: u64,
    /// Most prefixes that the kernel can hold, IPv4 and IPv6.
    pub bans_capacity: (u64, u64),
}

/// Numbers of one interface.
#[derive(Clone, Debug, Default)]
pub struct InterfaceFigures {
    pub name: String,
    /// Only cells that are not zero.
    pub cells: Vec<CellFigures>,
    pub workers_alive: u64,
}

/// One cell of the packet counters.
#[derive(Clone, Copy, Debug)]
pub struct CellFigures {
    pub stage: Stage,
    pub verdict: Verdict,
    pub reason: Reason,
    pub packets: u64,
    pub bytes: u64,
}

/// Address family as a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const fn label(self) -> &'static str {
        match self {
            Self::V4 => "ipv4",
            Self::V6 => "ipv6",
        }
    }
}

/// How many prefixes an origin bans.
#[derive(Clone, Debug)]
pub struct BanFigures {
    pub family: Family,
    pub origin: Origin,
    pub count: u64,
}

/// A histogram at one moment.
#[derive(Clone, Debug, Default)]
pub struct HistogramFigures {
    /// Upper bound in seconds and how many were at most that long.
    pub buckets: Vec<(f64, u64)>,
    pub sum_seconds: f64,
    pub count: u64,
}
