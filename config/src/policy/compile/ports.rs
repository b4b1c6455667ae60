//! Port sets: what a rule allows, interned so that equal ones are one.
//!
//! While policies are compiled a set is a list of ranges for each protocol,
//! which unites in linear time. The image holds that list while it is short and
//! a bitmap of all ports when it is not, so that a lookup never depends on how
//! many rules made the set.

use std::collections::HashMap;

use crate::{policy::image, types::Protocol};

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
    pub(super) everything: bool,
    pub(super) ranges: [Vec<(u16, u16)>; 3],
}

impl PortRanges {
    pub(super) fn everything() -> Self {
        Self {
            everything: true,
            ranges: Default::default(),
        }
    }

    pub(super) fn add(&mut self, protocol: Protocol, first: u16, last: u16) {
        if let Some(ranges) = self.ranges.get_mut(image::slot(protocol) as usize) {
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

    /// The sets in the order of their ids.
    pub(super) fn finish(self) -> Vec<PortRanges> {
        self.sets
    }
}

/// More ranges than this become a bitmap of 8 KiB.
const RANGES_MAX: usize = 16;

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
}
