//! The policy image: policies as lines of 64 bytes, the same for workers and kernel.
//!
//! ```text
//! header -> owners (hash by address) -> table of the group -> anyone      -> port set
//!                                                          -> identities  -> port set
//!                                                          -> v4, v6 tree -> port set
//! ```
//!
//! The layout stands in `abi.h`; `xdp/bpf/policy.h` reads it in the kernel, and this module in Rust.
//! Both answer alike, which the tests of `palisade-xdp` check. A lookup costs a bounded number of
//! lines, allocates nothing and follows no pointer: a broken image gives a wrong answer at worst.
//!
//! Before: [`compile`](mod@super::compile).

mod list;
mod write;

use std::{fmt, net::IpAddr};

pub(super) use self::write::{OwnerEntry, TableEntry, Writer};
use palisade_abi::{
    POLICY_BLOCKS_SPARE_OWNERS, POLICY_FORM_ALL, POLICY_FORM_BITMAP, POLICY_FORM_RANGES,
    POLICY_HASH_FACTOR, POLICY_HEADER_DIGEST, POLICY_HEADER_FLAGS, POLICY_HEADER_OWNERS,
    POLICY_HEADER_OWNERS_MASK, POLICY_LEVELS_MAX, POLICY_OWNER_ADDRESS, POLICY_OWNER_EGRESS,
    POLICY_OWNER_HOME, POLICY_OWNER_IDENTITY, POLICY_OWNER_INGRESS, POLICY_OWNER_NODE,
    POLICY_OWNER_POD, POLICY_OWNER_TAKEN, POLICY_PROBES_MAX, POLICY_SET_EVERYTHING,
    POLICY_SET_FORM, POLICY_SET_LINE, POLICY_TABLE_ANYONE, POLICY_TABLE_IDENTITIES,
    POLICY_TABLE_V4, POLICY_TABLE_V6, POLICY_TREE_COUNT, POLICY_TREE_LEVEL, POLICY_TREE_LEVELS,
    POLICY_TREE_SETS, PolicyLine,
};

use super::{Direction, PolicyVerdict, Traffic, compile::EndpointState};
use crate::types::Protocol;

const LINE_WORDS: usize = size_of::<PolicyLine>() / size_of::<u32>();

/// A line number of zero.
const NONE: u32 = 0;

/// The image of one compilation.
#[derive(Clone)]
pub struct Image {
    lines: Box<[PolicyLine]>,
}

impl Default for Image {
    /// Nobody owns an address, so nothing is isolated.
    fn default() -> Self {
        Writer::default().finish().unwrap_or(Self {
            lines: Box::default(),
        })
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Image")
            .field("lines", &self.lines.len())
            .field("digest", &self.digest())
            .finish()
    }
}

/// A word of a line; zero beyond its end.
fn word(line: &PolicyLine, index: u32) -> u32 {
    line.words.get(index as usize).copied().unwrap_or(0)
}

/// IPv4 as IPv4-mapped IPv6; callers pass canonical addresses.
fn address_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// Mixes an address in two multiplications.
///
/// It has no secret: what is stored comes from the operator, and a stranger who sends packets only
/// chooses what is looked up.
#[expect(clippy::cast_possible_truncation, reason = "the two halves are wanted")]
fn hash(address: u128) -> u32 {
    let high = ((address >> 64) as u64)
        .wrapping_mul(POLICY_HASH_FACTOR)
        .rotate_left(32);
    let mixed = (high ^ address as u64).wrapping_mul(POLICY_HASH_FACTOR);
    (mixed >> 32) as u32
}

/// Keys of a search tree.
trait Key: Copy + Ord {
    /// How many words one takes.
    const WORDS: usize;
    /// How many a line holds.
    const FAN: u32;
    const FIRST: Self;
    const LAST: Self;
    fn read(words: &[u32]) -> Self;
    fn write(self, words: &mut [u32]);
}

impl Key for u32 {
    const WORDS: usize = 1;
    const FAN: Self = 16;
    const FIRST: Self = 0;
    const LAST: Self = Self::MAX;

    fn read(words: &[u32]) -> Self {
        words.first().copied().unwrap_or(0)
    }

    fn write(self, words: &mut [u32]) {
        words.fill(self);
    }
}

impl Key for u128 {
    const WORDS: usize = 4;
    const FAN: u32 = 4;
    const FIRST: Self = 0;
    const LAST: Self = Self::MAX;

    fn read(words: &[u32]) -> Self {
        words
            .iter()
            .fold(0, |key, word| key << 32 | Self::from(*word))
    }

    #[expect(clippy::cast_possible_truncation, reason = "word by word")]
    fn write(self, words: &mut [u32]) {
        for (word, shift) in words.iter_mut().zip([96, 64, 32, 0]) {
            *word = (self >> shift) as u32;
        }
    }
}

impl Image {
    /// The lines as the kernel gets them. The generation in the header is zero here.
    pub fn lines(&self) -> &[PolicyLine] {
        &self.lines
    }

    /// Equal for equal images; another one differs in all likelihood.
    pub fn digest(&self) -> u64 {
        let header = self.line(0);
        u64::from(word(&header, POLICY_HEADER_DIGEST)) << 32
            | u64::from(word(&header, POLICY_HEADER_DIGEST + 1))
    }

    /// A line; one of zeroes beyond the end.
    fn line(&self, number: u32) -> PolicyLine {
        self.lines.get(number as usize).copied().unwrap_or_default()
    }

    /// Every address that a pod has, and whether policies isolate it.
    pub(super) fn endpoints(&self) -> impl Iterator<Item = (IpAddr, EndpointState)> + '_ {
        self.owners()
            .filter(|(_, owner)| word(owner, POLICY_OWNER_POD) != 0)
            .map(|(address, owner)| {
                let state = EndpointState {
                    ingress_isolated: word(owner, POLICY_OWNER_INGRESS) != NONE,
                    egress_isolated: word(owner, POLICY_OWNER_EGRESS) != NONE,
                };
                (address, state)
            })
    }

    /// Judges a new connection between `endpoint` and `peer`, opened by `peer` for ingress and by
    /// `endpoint` for egress.
    pub fn decide(
        &self,
        direction: Direction,
        endpoint: IpAddr,
        peer: IpAddr,
        traffic: Traffic,
    ) -> PolicyVerdict {
        let (header, peer) = (self.line(0), peer.to_canonical());
        let Some(owner) = self.owner(&header, endpoint.to_canonical()) else {
            return PolicyVerdict::NotIsolated;
        };
        let table = match direction {
            Direction::Ingress => word(&owner, POLICY_OWNER_INGRESS),
            Direction::Egress => word(&owner, POLICY_OWNER_EGRESS),
        };
        if table == NONE {
            return PolicyVerdict::NotIsolated;
        }
        let other = self.owner(&header, peer);
        let allowed = other.is_some_and(|other| always_allowed(direction, &owner, &other))
            || self.table_allows(&header, table, peer, other.as_ref(), traffic);
        if allowed {
            PolicyVerdict::Allowed
        } else {
            PolicyVerdict::Denied
        }
    }

    fn owner(&self, header: &PolicyLine, address: IpAddr) -> Option<PolicyLine> {
        let bits = address_bits(address);
        let mask = word(header, POLICY_HEADER_OWNERS_MASK);
        let first = word(header, POLICY_HEADER_OWNERS);
        (0..POLICY_PROBES_MAX)
            .map(|probe| self.line(first.wrapping_add(hash(bits).wrapping_add(probe) & mask)))
            .take_while(|owner| word(owner, POLICY_OWNER_TAKEN) != 0)
            .find(|owner| {
                let from = POLICY_OWNER_ADDRESS as usize;
                u128::read(owner.words.get(from..from + 4).unwrap_or_default()) == bits
            })
    }

    fn table_allows(
        &self,
        header: &PolicyLine,
        table: u32,
        peer: IpAddr,
        other: Option<&PolicyLine>,
        traffic: Traffic,
    ) -> bool {
        self.sets(header, table, peer, other)
            .any(|set| self.set_holds(set, traffic))
    }

    /// The port sets that a table has for a peer, found one by one: those for anyone, for the
    /// peer's identity and for its address.
    fn sets(
        &self,
        header: &PolicyLine,
        table: u32,
        peer: IpAddr,
        other: Option<&PolicyLine>,
    ) -> impl Iterator<Item = u32> {
        let table = self.line(table);
        let identity = other.map_or(0, |other| word(other, POLICY_OWNER_IDENTITY));
        let spared =
            other.is_some() && word(header, POLICY_HEADER_FLAGS) & POLICY_BLOCKS_SPARE_OWNERS != 0;
        (0..3).map(move |kind| match (kind, peer) {
            (0, _) => word(&table, POLICY_TABLE_ANYONE),
            (1, _) if identity != 0 => self.find(word(&table, POLICY_TABLE_IDENTITIES), identity),
            (2, IpAddr::V4(v4)) if !spared => {
                self.find(word(&table, POLICY_TABLE_V4), v4.to_bits())
            }
            (2, IpAddr::V6(v6)) if !spared => {
                self.find(word(&table, POLICY_TABLE_V6), v6.to_bits())
            }
            _ => NONE,
        })
    }

    /// The port set of the interval that holds `key`.
    fn find<K: Key>(&self, tree: u32, key: K) -> u32 {
        if tree == NONE {
            return NONE;
        }
        let tree = self.line(tree);
        let level_line = |level| word(&tree, POLICY_TREE_LEVEL + level);
        let mut index = 0;
        for level in (0..word(&tree, POLICY_TREE_LEVELS).min(POLICY_LEVELS_MAX)).rev() {
            let line = self.line(level_line(level).wrapping_add(index));
            let keys = line.words.chunks_exact(K::WORDS);
            // The first key of a line is not above what led here.
            let rank = (1..)
                .zip(keys)
                .take_while(|(_, words)| K::read(words) <= key);
            let rank: u32 = rank.last().map_or(1, |(rank, _)| rank);
            // Unused keys are the highest there can be, and so is what is looked for sometimes.
            let held = match level.checked_sub(1) {
                None => word(&tree, POLICY_TREE_COUNT),
                Some(below) => level_line(level).wrapping_sub(level_line(below)),
            };
            index = index
                .wrapping_mul(K::FAN)
                .wrapping_add(rank - 1)
                .min(held.saturating_sub(1));
        }
        let words = u32::try_from(LINE_WORDS).unwrap_or(1);
        let sets = self.line(word(&tree, POLICY_TREE_SETS).wrapping_add(index / words));
        word(&sets, index % words)
    }

    fn set_holds(&self, set: u32, traffic: Traffic) -> bool {
        if set == NONE {
            return false;
        }
        let set = self.line(set);
        if word(&set, POLICY_SET_EVERYTHING) != 0 {
            return true;
        }
        let Traffic::Port(protocol, port) = traffic else {
            return false;
        };
        let slot = slot(protocol);
        let at = word(&set, POLICY_SET_LINE + slot);
        let port = u32::from(port);
        match word(&set, POLICY_SET_FORM + slot) {
            POLICY_FORM_ALL => true,
            POLICY_FORM_RANGES => self
                .line(at)
                .words
                .iter()
                .any(|range| range >> 16 <= port && port <= range & 0xffff),
            POLICY_FORM_BITMAP => {
                let line = self.line(at.wrapping_add(port / 512));
                word(&line, port / 32 % 16) >> (port % 32) & 1 != 0
            }
            _ => false,
        }
    }
}

/// Where a protocol's ports stand in a set.
pub(super) fn slot(protocol: Protocol) -> u32 {
    match protocol {
        Protocol::Tcp => palisade_abi::PORTS_TCP,
        Protocol::Udp => palisade_abi::PORTS_UDP,
        Protocol::Sctp => palisade_abi::PORTS_SCTP,
    }
}

/// What no policy can forbid: a pod reaching itself, and a pod's own node
/// reaching the pod.
fn always_allowed(direction: Direction, endpoint: &PolicyLine, peer: &PolicyLine) -> bool {
    let itself = word(endpoint, POLICY_OWNER_POD) == word(peer, POLICY_OWNER_POD);
    let node = word(peer, POLICY_OWNER_NODE);
    let own_node = node != 0 && node == word(endpoint, POLICY_OWNER_HOME);
    itself || (direction == Direction::Ingress && own_node)
}

#[cfg(test)]
mod tests;
