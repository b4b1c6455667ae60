//! What the kernel should hold: the union of all origins' bans, guards subtracted.
//!
//! Before: the set of bans. After: reconcile and the writer, which bring the kernel there.

use std::ops::Bound;

use palisade_config::types::Prefix;

use super::{
    Bits, Desired, Effect, bits, bound, prefix4, prefix6,
    table::{Key, masked},
};

impl Desired {
    /// What the kernel should hold for exactly `prefix`.
    pub fn wanted(&self, prefix: &Prefix) -> Option<Effect> {
        if self.guards.is_guard(prefix) {
            return self.is_banned_from_above(prefix).then_some(Effect::Exempt);
        }
        let banned = self.has_prefix(prefix) && self.guards.holding(prefix).is_none();
        banned.then_some(Effect::Banned)
    }

    /// The entries that a change of the bans on `prefix` can touch, with what they should be.
    pub fn touched(&self, prefix: &Prefix) -> impl Iterator<Item = (Prefix, Option<Effect>)> {
        std::iter::once(*prefix)
            .chain(self.guards.inside(prefix))
            .map(|prefix| (prefix, self.wanted(&prefix)))
    }

    /// At most `limit` prefixes that the kernel should ban, in order, after `cursor`.
    pub fn wanted_bans(&self, cursor: Option<&Prefix>, limit: usize) -> Vec<Prefix> {
        let (v4, v6) = match cursor.map(bits) {
            None => (Some(Bound::Unbounded), Bound::Unbounded),
            Some(Bits::V4(address, length)) => (
                Some(bound(
                    Key {
                        address,
                        length,
                        origin: u8::MAX,
                    },
                    true,
                )),
                Bound::Unbounded,
            ),
            Some(Bits::V6(address, length)) => (
                None,
                bound(
                    Key {
                        address,
                        length,
                        origin: u8::MAX,
                    },
                    true,
                ),
            ),
        };
        let v4 = v4.into_iter().flat_map(|start| self.v4.after(start));
        let v4 = v4.map(|(key, _)| prefix4(key.address, key.length));
        let v6 = self
            .v6
            .after(v6)
            .map(|(key, _)| prefix6(key.address, key.length));
        let mut last = None;
        v4.chain(v6)
            .filter(|prefix| last.replace(*prefix) != Some(*prefix))
            .filter(|prefix| self.guards.holding(prefix).is_none())
            .take(limit)
            .collect()
    }

    /// The guards that the kernel should exempt, in order.
    pub fn wanted_exemptions(&self) -> Vec<Prefix> {
        self.guards
            .iter()
            .filter(|guard| self.is_banned_from_above(guard))
            .collect()
    }

    /// Whether anybody bans exactly `prefix`.
    pub fn has_prefix(&self, prefix: &Prefix) -> bool {
        match bits(prefix) {
            Bits::V4(address, length) => self.v4.has_prefix(address, length),
            Bits::V6(address, length) => self.v6.has_prefix(address, length),
        }
    }

    /// Whether a ban strictly wider than `prefix` holds it.
    fn is_banned_from_above(&self, prefix: &Prefix) -> bool {
        (0..prefix.len()).any(|length| match bits(prefix) {
            Bits::V4(address, _) => self.v4.has_prefix(masked(address, length), length),
            Bits::V6(address, _) => self.v6.has_prefix(masked(address, length), length),
        })
    }
}
