//! The bans of one address family, ordered and small.
//!
//! A million bans have to fit into little memory, so a key is its bare bytes and a record refers
//! to its origin and reason by number. The order of the keys is the order of pages: address,
//! length, origin.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
};

/// One origin's ban on one prefix. `N` is the length of an address in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key<const N: usize> {
    pub(super) address: [u8; N],
    pub(super) length: u8,
    pub(super) origin: u8,
}

/// What is kept of a ban.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Milliseconds since 1970, or [`NEVER`].
    pub(super) expires: i64,
    /// Seconds since 1970.
    pub(super) created: u32,
    pub(super) reason: u32,
}

/// The expiry of a ban that does not expire.
pub(super) const NEVER: i64 = i64::MAX;

/// The bans of one family.
#[derive(Debug, Default)]
pub(super) struct Table<const N: usize> {
    bans: BTreeMap<Key<N>, Record>,
    /// Those that expire, soonest first.
    expiries: BTreeSet<(i64, Key<N>)>,
    /// Prefixes with at least one ban.
    prefixes: u64,
}

impl<const N: usize> Key<N> {
    /// The first key that the prefix can have.
    pub(super) fn first(address: [u8; N], length: u8) -> Self {
        Self {
            address,
            length,
            origin: 0,
        }
    }

    fn last(address: [u8; N], length: u8) -> Self {
        Self {
            address,
            length,
            origin: u8::MAX,
        }
    }
}

/// The first `length` bits of `address`.
pub(super) fn masked<const N: usize>(address: [u8; N], length: u8) -> [u8; N] {
    let mut masked = address;
    let mut left = u32::from(length);
    for byte in &mut masked {
        let keep = left.min(8);
        *byte &= u8::try_from((0xff00_u32 >> keep) & 0xff).unwrap_or(0);
        left -= keep;
    }
    masked
}

impl<const N: usize> Table<N> {
    pub(super) fn get(&self, key: &Key<N>) -> Option<Record> {
        self.bans.get(key).copied()
    }

    /// Puts a ban in, or takes it out with `None`; returns what was there.
    pub(super) fn set(&mut self, key: Key<N>, record: Option<Record>) -> Option<Record> {
        let before = match record {
            Some(record) => self.bans.insert(key, record),
            None => self.bans.remove(&key),
        };
        if let Some(before) = before
            && before.expires != NEVER
        {
            self.expiries.remove(&(before.expires, key));
        }
        if let Some(record) = record
            && record.expires != NEVER
        {
            self.expiries.insert((record.expires, key));
        }
        if before.is_some() != record.is_some() {
            let others = self
                .of_prefix(key.address, key.length)
                .any(|(other, _)| *other != key);
            match (others, record.is_some()) {
                (true, _) => {}
                (false, true) => self.prefixes += 1,
                (false, false) => self.prefixes -= 1,
            }
        }
        before
    }

    pub(super) fn of_prefix(
        &self,
        address: [u8; N],
        length: u8,
    ) -> impl Iterator<Item = (&Key<N>, &Record)> {
        self.bans
            .range(Key::first(address, length)..=Key::last(address, length))
    }

    pub(super) fn has_prefix(&self, address: [u8; N], length: u8) -> bool {
        self.of_prefix(address, length).next().is_some()
    }

    /// Every ban after `start`, in order.
    pub(super) fn after(&self, start: Bound<Key<N>>) -> impl Iterator<Item = (&Key<N>, &Record)> {
        self.bans.range((start, Bound::Unbounded))
    }

    /// The ban that expires first.
    pub(super) fn next_expiry(&self) -> Option<(i64, Key<N>)> {
        self.expiries.first().copied()
    }

    /// Bans that have expired at `now`, soonest first.
    pub(super) fn expired(&self, now: i64) -> impl Iterator<Item = &Key<N>> {
        self.expiries
            .iter()
            .take_while(move |(expires, _)| *expires <= now)
            .map(|(_, key)| key)
    }

    pub(super) fn prefixes(&self) -> u64 {
        self.prefixes
    }

    pub(super) fn len(&self) -> usize {
        self.bans.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Key, NEVER, Record, Table, masked};

    fn key(last: u8, origin: u8) -> Key<4> {
        Key {
            address: [192, 0, 2, last],
            length: 32,
            origin,
        }
    }

    fn record(expires: i64) -> Record {
        Record {
            expires,
            created: 0,
            reason: 0,
        }
    }

    #[test]
    fn masks_keep_the_first_bits() {
        #[rustfmt::skip]
        let cases: [(u8, [u8; 4]); 6] = [
            (0,  [0, 0, 0, 0]),
            (1,  [128, 0, 0, 0]),
            (9,  [255, 128, 0, 0]),
            (24, [255, 255, 255, 0]),
            (31, [255, 255, 255, 254]),
            (32, [255, 255, 255, 255]),
        ];
        for (length, want) in cases {
            assert_eq!(masked([255; 4], length), want, "/{length}");
        }
    }

    #[test]
    fn a_prefix_counts_once_whatever_its_origins() {
        let mut table = Table::<4>::default();
        let steps = [
            ("first ban", key(1, 0), Some(record(NEVER)), 1),
            ("other origin", key(1, 1), Some(record(NEVER)), 1),
            ("other prefix", key(2, 0), Some(record(NEVER)), 2),
            ("first origin ends", key(1, 0), None, 1 + 1),
            ("last origin ends", key(1, 1), None, 1),
            ("nothing ends", key(1, 1), None, 1),
        ];
        for (name, key, record, want) in steps {
            table.set(key, record);
            assert_eq!(table.prefixes(), want, "{name}");
        }
    }

    #[test]
    fn a_changed_expiry_leaves_no_trace_of_the_old_one() {
        let mut table = Table::<4>::default();
        table.set(key(1, 0), Some(record(10)));
        table.set(key(1, 0), Some(record(30)));
        table.set(key(2, 0), Some(record(20)));
        assert_eq!(table.next_expiry(), Some((20, key(2, 0))));
        assert_eq!(table.expired(19).count(), 0);
        assert_eq!(table.expired(20).collect::<Vec<_>>(), [&key(2, 0)]);
        table.set(key(1, 0), Some(record(NEVER)));
        assert_eq!(table.expired(i64::MAX - 1).count(), 1);
    }
}
