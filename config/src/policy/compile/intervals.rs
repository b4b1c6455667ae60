//! Intervals of addresses and the port set of each.
//!
//! Built by a sweep: where an item starts or ends, the set of items that hold
//! changes, and with it the union of their port sets. Neighbours with the same
//! union are one interval, so `except` pieces that another rule fills vanish.

use std::collections::BTreeMap;

use super::ports::{Interner, SetId};

/// Addresses of one family as numbers.
pub(super) trait Number: Copy + Ord {
    const ALL: Span<Self>;
    fn next(self) -> Option<Self>;
    fn previous(self) -> Option<Self>;
}

impl Number for u32 {
    const ALL: Span<Self> = (0, Self::MAX);

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn previous(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

impl Number for u128 {
    const ALL: Span<Self> = (0, Self::MAX);

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn previous(self) -> Option<Self> {
        self.checked_sub(1)
    }
}

/// Addresses from the first to the last, both included.
pub(super) type Span<T> = (T, T);

/// `outer` without `holes`, which lie inside it.
pub(super) fn cut<T: Number>(outer: Span<T>, holes: &mut [Span<T>]) -> Vec<Span<T>> {
    holes.sort_unstable_by_key(|(first, _)| *first);
    let (mut from, last) = (Some(outer.0), outer.1);
    let mut pieces = Vec::with_capacity(holes.len() + 1);
    for (hole_first, hole_last) in holes.iter().copied() {
        let Some(start) = from else { return pieces };
        if let Some(end) = hole_first.previous().filter(|end| start <= *end) {
            pieces.push((start, end));
        }
        from = hole_last.next().map(|after| after.max(start));
    }
    if let Some(start) = from
        && start <= last
    {
        pieces.push((start, last));
    }
    pieces
}

/// Sorted, gapless intervals.
#[derive(Debug)]
pub(super) struct Intervals<T> {
    starts: Box<[T]>,
    /// As many as `starts`.
    sets: Box<[SetId]>,
}

impl<T> Default for Intervals<T> {
    fn default() -> Self {
        Self {
            starts: Box::default(),
            sets: Box::default(),
        }
    }
}

impl<T: Number> Intervals<T> {
    pub(super) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Where each interval starts, and the set that holds there.
    pub(super) fn iter(&self) -> impl Iterator<Item = (T, SetId)> + '_ {
        self.starts.iter().copied().zip(self.sets.iter().copied())
    }

    #[cfg(test)]
    pub(super) fn find(&self, address: T) -> SetId {
        let after = self.starts.partition_point(|start| *start <= address);
        let set = after.checked_sub(1).and_then(|index| self.sets.get(index));
        set.copied().unwrap_or(SetId::EMPTY)
    }

    /// Incomplete when the interner is full afterwards.
    pub(super) fn build(items: &[(Span<T>, SetId)], interner: &mut Interner) -> Self {
        // What holds everywhere is one set from the first address on. Without
        // that, many rules for everyone would be united anew at every boundary.
        let (everywhere, elsewhere): (Vec<_>, Vec<_>) =
            items.iter().partition(|(span, _)| *span == T::ALL);
        let base = everywhere.iter().fold(SetId::EMPTY, |base, (_, set)| {
            interner.union_two(base, *set)
        });
        let mut events = Vec::with_capacity(elsewhere.len() * 2 + 1);
        if base != SetId::EMPTY {
            events.push((T::ALL.0, base, 1));
        }
        for ((first, last), set) in elsewhere {
            events.push((first, set, 1_i32));
            if let Some(after) = last.next() {
                events.push((after, set, -1));
            }
        }
        events.sort_unstable();
        let mut starts = Vec::new();
        let mut sets: Vec<SetId> = Vec::new();
        let mut holding: BTreeMap<SetId, i32> = BTreeMap::new();
        for at in events.chunk_by(|a, b| a.0 == b.0) {
            for (_, set, change) in at {
                let count = holding.entry(*set).or_default();
                *count += change;
                if *count == 0 {
                    holding.remove(set);
                }
            }
            if interner.is_full() {
                break;
            }
            let ids: Vec<_> = holding.keys().copied().collect();
            let union = interner.union(&ids);
            if sets.last().copied().unwrap_or(SetId::EMPTY) != union {
                starts.extend(at.first().map(|event| event.0));
                sets.push(union);
            }
        }
        Self {
            starts: starts.into(),
            sets: sets.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{policy::compile::ports::PortRanges, types::Protocol};

    #[test]
    fn holes_are_cut_out() {
        /// A name, the whole, the holes and the pieces that are left.
        type Case = (
            &'static str,
            Span<u32>,
            &'static [Span<u32>],
            &'static [Span<u32>],
        );
        #[rustfmt::skip]
        let cases: [Case; 8] = [
            ("no hole",           (0, 9),        &[],                  &[(0, 9)]),
            ("in the middle",     (0, 9),        &[(3, 4)],            &[(0, 2), (5, 9)]),
            ("at the start",      (0, 9),        &[(0, 4)],            &[(5, 9)]),
            ("at the end",        (0, 9),        &[(5, 9)],            &[(0, 4)]),
            ("unsorted, nested",  (0, 9),        &[(6, 7), (2, 8), (2, 3)], &[(0, 1), (9, 9)]),
            ("side by side",      (0, 9),        &[(2, 3), (4, 5)],    &[(0, 1), (6, 9)]),
            ("last address",      (0, u32::MAX), &[(5, u32::MAX)],     &[(0, 4)]),
            ("covered by halves", (0, 9),        &[(0, 4), (5, 9)],    &[]),
        ];
        for (name, outer, holes, want) in cases {
            assert_eq!(cut(outer, &mut holes.to_vec()), want, "{name}");
        }
    }

    #[test]
    fn overlapping_items_are_united_and_equal_neighbours_merged() {
        let mut interner = Interner::default();
        let mut port = |port| {
            let mut set = PortRanges::default();
            set.add(Protocol::Tcp, port, port);
            interner.intern(set)
        };
        let (a, b) = (port(1), port(2));
        let both = interner.union_two(a, b);
        let items = [
            ((10, 19), a),
            ((15, 29), b),
            ((20, u32::MAX), a),
            (u32::ALL, a),
        ];
        let table = Intervals::build(&items, &mut interner);
        let found: Vec<_> = [0, 14, 15, 29, 30, u32::MAX]
            .map(|at| table.find(at))
            .into();
        assert_eq!(found, [a, a, both, both, a, a]);
        assert_eq!(table.len(), 3);

        let table = Intervals::<u32>::build(&[((10, 19), a), ((30, 39), b)], &mut interner);
        let found: Vec<_> = [0, 10, 19, 20, 30, 40].map(|at| table.find(at)).into();
        assert_eq!(found, [SetId::EMPTY, a, a, SetId::EMPTY, b, SetId::EMPTY]);
        assert_eq!(Intervals::<u128>::default().find(7), SetId::EMPTY);
    }
}
