//! Port sets: what a rule allows, interned so that equal ones are one.
//!
//! While policies are compiled a set is a list of ranges for each protocol,
//! which unites in linear time. For packets it is that list while it is short
//! and a bitmap of all ports when it is not, so that a lookup never depends on
//! how many rules made the set.

use std::collections::HashMap;

use crate::{policy::Traffic, types::Protocol};

/// A set in the interner; the default is the empty one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SetId(u32);

impl SetId {
    pub(super) const EMPTY: Self = Self(0);

    pub(super) fn index(self) -> usize {
        self.0 as usize
    }
}

/// Ports of each protocol as sorted ranges that neither overlap nor touch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct PortRanges {
    /// Every protocol, also those without ports.
    everything: bool,
    ranges: [Vec<(u16, u16)>; 3],
}

pub(super) fn slot(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Tcp => 0,
        Protocol::Udp => 1,
        Protocol::Sctp => 2,
    }
}

impl PortRanges {
    pub(super) fn everything() -> Self {
        Self {
            everything: true,
            ranges: Default::default(),
        }
    }

    pub(super) fn add(&mut self, protocol: Protocol, first: u16, last: u16) {
        if let Some(ranges) = self.ranges.get_mut(slot(protocol)) {
            ranges.push((first, last));
        }
    }

    fn extend(&mut self, other: &Self) {
        self.everything |= other.everything;
        for (ranges, more) in self.ranges.iter_mut().zip(&other.ranges) {
            ranges.extend(more);
        }
    }

    /// About what the set takes now and, where it becomes bitmaps, later.
    fn weight(&self) -> usize {
        let ports = |ranges: &Vec<_>| {
            ranges
                .len()
                .max(if ranges.len() > RANGES_MAX { 1_024 } else { 1 })
        };
        self.ranges.iter().map(ports).sum()
    }

    /// Sorts and merges, so that equal sets are equal values.
    fn normalise(&mut self) {
        for ranges in &mut self.ranges {
            if self.everything {
                ranges.clear();
            }
            ranges.sort_unstable();
            ranges.dedup_by(|next, kept| {
                let touches = u32::from(next.0) <= u32::from(kept.1) + 1;
                if touches {
                    kept.1 = kept.1.max(next.1);
                }
                touches
            });
        }
    }
}

/// All sets of one compilation.
#[derive(Debug)]
pub(super) struct Interner {
    sets: Vec<PortRanges>,
    ids: HashMap<PortRanges, SetId>,
    unions: HashMap<Box<[SetId]>, SetId>,
    /// What sets and unions weigh, in units of about eight bytes.
    weight: usize,
}

/// Overlapping blocks with many different ports can make a set of each address;
/// beyond this, some 256 MB, the policies are refused instead.
const WEIGHT_MAX: usize = 32 << 20;

impl Default for Interner {
    fn default() -> Self {
        let empty = PortRanges::default();
        Self {
            ids: HashMap::from([(empty.clone(), SetId::EMPTY)]),
            sets: vec![empty],
            unions: HashMap::new(),
            weight: 0,
        }
    }
}

impl Interner {
    pub(super) fn intern(&mut self, mut set: PortRanges) -> SetId {
        set.normalise();
        if let Some(id) = self.ids.get(&set) {
            return *id;
        }
        // There are fewer sets than table entries, which are counted.
        let id = SetId(u32::try_from(self.sets.len()).unwrap_or(u32::MAX));
        self.weight += set.weight();
        self.sets.push(set.clone());
        self.ids.insert(set, id);
        id
    }

    /// The union of sets that are given in order and without repetition.
    pub(super) fn union(&mut self, ids: &[SetId]) -> SetId {
        match ids {
            [] => return SetId::EMPTY,
            [id] => return *id,
            _ => {}
        }
        if let Some(id) = self.unions.get(ids) {
            return *id;
        }
        let mut union = PortRanges::default();
        for id in ids {
            if let Some(set) = self.sets.get(id.index()) {
                union.extend(set);
            }
        }
        let id = self.intern(union);
        self.weight += ids.len();
        self.unions.insert(ids.into(), id);
        id
    }

    pub(super) fn union_two(&mut self, a: SetId, b: SetId) -> SetId {
        match a.cmp(&b) {
            std::cmp::Ordering::Equal => a,
            _ if a == SetId::EMPTY => b,
            _ if b == SetId::EMPTY => a,
            std::cmp::Ordering::Less => self.union(&[a, b]),
            std::cmp::Ordering::Greater => self.union(&[b, a]),
        }
    }

    /// Whether there is more than a compilation may hold. It is checked as work
    /// goes on, so a little more than the limit is possible.
    pub(super) fn is_full(&self) -> bool {
        self.weight > WEIGHT_MAX
    }

    /// The sets for packets, in the order of their ids.
    pub(super) fn finish(self) -> Vec<PortSet> {
        self.sets.into_iter().map(PortSet::new).collect()
    }
}

/// A set as packets need it.
#[derive(Debug)]
pub(super) struct PortSet {
    everything: bool,
    ports: [Ports; 3],
}

#[derive(Debug)]
enum Ports {
    Ranges(Box<[(u16, u16)]>),
    /// One bit for each port.
    Bitmap(Box<[u64]>),
}

/// More ranges than this become a bitmap of 8 KiB.
const RANGES_MAX: usize = 16;

impl Ports {
    fn new(ranges: Vec<(u16, u16)>) -> Self {
        if ranges.len() <= RANGES_MAX {
            return Self::Ranges(ranges.into());
        }
        let mut bits = vec![0_u64; 65_536 / 64].into_boxed_slice();
        for port in ranges.into_iter().flat_map(|(first, last)| first..=last) {
            if let Some(word) = bits.get_mut(usize::from(port / 64)) {
                *word |= 1 << (port % 64);
            }
        }
        Self::Bitmap(bits)
    }

    /// Sorted, neither overlapping nor touching.
    fn ranges(&self) -> Vec<(u16, u16)> {
        if let Self::Ranges(ranges) = self {
            return ranges.to_vec();
        }
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for port in (0..=u16::MAX).filter(|port| self.contains(*port)) {
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(port) => *last = port,
                _ => ranges.push((port, port)),
            }
        }
        ranges
    }

    fn contains(&self, port: u16) -> bool {
        match self {
            Self::Ranges(ranges) => ranges
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&port)),
            Self::Bitmap(bits) => bits
                .get(usize::from(port / 64))
                .is_some_and(|word| word & (1 << (port % 64)) != 0),
        }
    }
}

impl PortSet {
    fn new(set: PortRanges) -> Self {
        Self {
            everything: set.everything,
            ports: set.ranges.map(Ports::new),
        }
    }

    /// Whether it is every port and every protocol.
    pub(super) fn is_everything(&self) -> bool {
        self.everything
    }

    /// Ports of TCP, UDP and SCTP, in this order.
    pub(super) fn ranges(&self) -> [Vec<(u16, u16)>; 3] {
        [0, 1, 2].map(|slot| self.ports.get(slot).map(Ports::ranges).unwrap_or_default())
    }

    pub(super) fn contains(&self, traffic: Traffic) -> bool {
        self.everything
            || match traffic {
                Traffic::Port(protocol, port) => self
                    .ports
                    .get(slot(protocol))
                    .is_some_and(|ports| ports.contains(port)),
                Traffic::Other(_) => false,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ranges: &[(u16, u16)]) -> PortRanges {
        let mut set = PortRanges::default();
        for (first, last) in ranges {
            set.add(Protocol::Tcp, *first, *last);
        }
        set
    }

    #[test]
    fn equal_sets_are_one_however_they_are_written() {
        let mut interner = Interner::default();
        let whole = interner.intern(set(&[(80, 90)]));
        assert_eq!(interner.intern(set(&[(85, 90), (80, 84)])), whole);
        assert_eq!(interner.intern(set(&[(80, 90), (82, 83)])), whole);
        let low = interner.intern(set(&[(80, 82)]));
        let high = interner.intern(set(&[(83, 90)]));
        assert_eq!(interner.union(&[low, high]), whole);
        assert_eq!(interner.union_two(high, low), whole);
        assert_eq!(interner.union_two(SetId::EMPTY, low), low);
        assert_eq!(interner.intern(PortRanges::default()), SetId::EMPTY);
    }

    #[test]
    fn ranges_and_bitmaps_hold_the_same_ports() {
        let many: Vec<_> = (0..40)
            .map(|n| (n * 100, n * 100 + 10))
            .chain([(65_535, 65_535)])
            .collect();
        let bitmap = Ports::new(many.clone());
        assert!(matches!(bitmap, Ports::Bitmap(_)));
        let ranges = Ports::Ranges(many.into());
        for port in 0..=u16::MAX {
            assert_eq!(bitmap.contains(port), ranges.contains(port), "port {port}");
        }
    }

    #[test]
    fn only_everything_holds_other_protocols() {
        let tcp = PortSet::new(set(&[(0, 65_535)]));
        assert!(tcp.contains(Traffic::Port(Protocol::Tcp, 65_535)));
        assert!(!tcp.contains(Traffic::Port(Protocol::Udp, 53)));
        assert!(!tcp.contains(Traffic::Other(1)));
        let everything = PortSet::new(PortRanges::everything());
        assert!(everything.contains(Traffic::Other(1)));
        assert!(everything.contains(Traffic::Port(Protocol::Sctp, 1)));
    }
}
