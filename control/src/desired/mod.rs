//! What should be banned: the truth that the kernel's tables are a cache of.
//!
//! ```text
//! request -> rules (guard, length, own address) -> change -> Desired -> what the kernel should hold
//! ```
//!
//! Pure: no I/O, no clock. A ban belongs to one origin; a prefix stays banned until its last
//! origin lets go. Guards are subtracted when the kernel's entries are worked out:
//!
//! - a ban wholly inside a guard has no entry;
//! - a guard inside any other ban is an entry of its own that exempts.
//!
//! The longest prefix wins in the kernel. An address inside a guard has no ban entry longer than
//! the guard, by the first rule, so the exemption decides; an address outside every guard meets no
//! exemption. `tests` checks that against a naive set of addresses.
//!
//! Before: core. After: store, reconcile.

mod guards;
mod listing;
mod names;
mod rules;
mod table;
#[cfg(test)]
mod tests;
mod wanted;

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Bound,
};

use palisade_config::types::Prefix;

pub use self::{
    guards::Guards,
    rules::{OwnAddresses, exempted, refuse},
};
use self::{
    names::Names,
    table::{Key, NEVER, Record, Table},
};
use crate::{
    clock::Timestamp,
    core::{Ban, Family, Origin},
};

/// What the kernel should do with the sources of one prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Effect {
    Exempt,
    Banned,
}

/// Every ban, by prefix and origin.
#[derive(Debug, Default)]
pub struct Desired {
    v4: Table<4>,
    v6: Table<16>,
    origins: Names,
    reasons: Names,
    counts: BTreeMap<(Family, Origin), u64>,
    guards: Guards,
}

/// A place in the order of bans, from which to go on.
pub type Cursor = (Prefix, Origin);

/// A prefix as its family's table has it.
enum Bits {
    V4([u8; 4], u8),
    V6([u8; 16], u8),
}

fn bits(prefix: &Prefix) -> Bits {
    match prefix.addr() {
        IpAddr::V4(address) => Bits::V4(address.octets(), prefix.len()),
        IpAddr::V6(address) => Bits::V6(address.octets(), prefix.len()),
    }
}

/// The family of a prefix.
pub fn family(prefix: &Prefix) -> Family {
    if prefix.is_v4() {
        Family::V4
    } else {
        Family::V6
    }
}

fn prefix4(address: [u8; 4], length: u8) -> Prefix {
    let address = IpAddr::V4(Ipv4Addr::from(address));
    Prefix::around(address, length).unwrap_or_else(|| Prefix::host(address))
}

fn prefix6(address: [u8; 16], length: u8) -> Prefix {
    let address = IpAddr::V6(Ipv6Addr::from(address));
    Prefix::around(address, length).unwrap_or_else(|| Prefix::host(address))
}

impl Desired {
    pub fn new(guards: Guards) -> Self {
        Self {
            guards,
            ..Self::default()
        }
    }

    pub fn guards(&self) -> &Guards {
        &self.guards
    }

    /// The ban of `origin` on `prefix`.
    pub fn get(&self, prefix: &Prefix, origin: &Origin) -> Option<Ban> {
        let origin = self.origin_number(origin)?;
        match bits(prefix) {
            Bits::V4(address, length) => {
                let key = Key {
                    address,
                    length,
                    origin,
                };
                self.v4
                    .get(&key)
                    .and_then(|record| self.ban4(&key, &record))
            }
            Bits::V6(address, length) => {
                let key = Key {
                    address,
                    length,
                    origin,
                };
                self.v6
                    .get(&key)
                    .and_then(|record| self.ban6(&key, &record))
            }
        }
    }

    /// Every origin's ban on exactly `prefix`.
    pub fn of_prefix(&self, prefix: &Prefix) -> Vec<Ban> {
        match bits(prefix) {
            Bits::V4(address, length) => {
                let bans = self.v4.of_prefix(address, length);
                bans.filter_map(|(key, record)| self.ban4(key, record))
                    .collect()
            }
            Bits::V6(address, length) => {
                let bans = self.v6.of_prefix(address, length);
                bans.filter_map(|(key, record)| self.ban6(key, record))
                    .collect()
            }
        }
    }

    /// Puts a ban in; returns the one that this origin had on the prefix.
    pub fn insert(&mut self, ban: &Ban) -> Option<Ban> {
        let before = self.get(&ban.prefix, &ban.origin);
        let origin = self.origins.take(Some(ban.origin.shared()));
        let reason = self.reasons.take(ban.reason.as_ref());
        let record = Record {
            expires: ban.expires.map_or(NEVER, Timestamp::as_millis),
            created: u32::try_from(ban.created.as_millis() / 1000).unwrap_or(0),
            reason,
        };
        // Origins are at most `ORIGINS_MAX`: the numbers in use fit into a byte with room to spare.
        let origin = u8::try_from(origin).unwrap_or(0);
        let old = self.set(&ban.prefix, origin, Some(record));
        match old {
            Some(old) => {
                self.origins.give_back(u32::from(origin));
                self.reasons.give_back(old.reason);
            }
            None => {
                *self
                    .counts
                    .entry((family(&ban.prefix), ban.origin.clone()))
                    .or_default() += 1
            }
        }
        before
    }

    /// Takes a ban out; returns it.
    pub fn remove(&mut self, prefix: &Prefix, origin: &Origin) -> Option<Ban> {
        let before = self.get(prefix, origin)?;
        let number = self.origin_number(origin)?;
        if let Some(old) = self.set(prefix, number, None) {
            self.origins.give_back(u32::from(number));
            self.reasons.give_back(old.reason);
            let place = (family(prefix), origin.clone());
            if let Some(count) = self.counts.get_mut(&place) {
                *count -= 1;
                if *count == 0 {
                    self.counts.remove(&place);
                }
            }
        }
        Some(before)
    }

    fn set(&mut self, prefix: &Prefix, origin: u8, record: Option<Record>) -> Option<Record> {
        match bits(prefix) {
            Bits::V4(address, length) => self.v4.set(
                Key {
                    address,
                    length,
                    origin,
                },
                record,
            ),
            Bits::V6(address, length) => self.v6.set(
                Key {
                    address,
                    length,
                    origin,
                },
                record,
            ),
        }
    }

    /// How many (prefix, origin) pairs there are.
    pub fn len(&self) -> usize {
        self.v4.len() + self.v6.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many prefixes of a family are banned by anybody.
    pub fn prefixes(&self, family: Family) -> u64 {
        match family {
            Family::V4 => self.v4.prefixes(),
            Family::V6 => self.v6.prefixes(),
        }
    }

    /// How many prefixes each origin bans.
    pub fn counts(&self) -> impl Iterator<Item = (Family, &Origin, u64)> {
        self.counts
            .iter()
            .map(|((family, origin), count)| (*family, origin, *count))
    }

    /// The origins that hold bans.
    pub fn origins(&self) -> impl Iterator<Item = Origin> {
        (1..=u32::from(u8::MAX))
            .filter_map(|number| self.origins.text(number))
            .map(Origin::from_shared)
    }

    /// Whether `origin` holds bans.
    pub fn knows(&self, origin: &Origin) -> bool {
        self.origins.number(origin.as_str()).is_some()
    }

    /// When the ban of `origin` on `prefix` ends: `None` if there is no ban, `Some(None)` if it
    /// does not end.
    pub fn expiry(&self, prefix: &Prefix, origin: &Origin) -> Option<Option<Timestamp>> {
        let origin = self.origin_number(origin)?;
        let record = match bits(prefix) {
            Bits::V4(address, length) => self.v4.get(&Key {
                address,
                length,
                origin,
            }),
            Bits::V6(address, length) => self.v6.get(&Key {
                address,
                length,
                origin,
            }),
        }?;
        Some((record.expires != NEVER).then(|| Timestamp::from_millis(record.expires)))
    }

    /// Whether there is room for bans of `origin`.
    pub fn has_room_for(&self, origin: &Origin) -> bool {
        self.origins.number(origin.as_str()).is_some()
            || self.origins.len() < crate::core::ORIGINS_MAX
    }

    // === Records to bans ===

    fn ban4(&self, key: &Key<4>, record: &Record) -> Option<Ban> {
        self.ban(prefix4(key.address, key.length), key.origin, record)
    }

    fn ban6(&self, key: &Key<16>, record: &Record) -> Option<Ban> {
        self.ban(prefix6(key.address, key.length), key.origin, record)
    }

    fn ban(&self, prefix: Prefix, origin: u8, record: &Record) -> Option<Ban> {
        Some(Ban {
            prefix,
            origin: self.origin(origin)?,
            reason: self.reasons.text(record.reason).cloned(),
            created: Timestamp::from_millis(i64::from(record.created) * 1000),
            expires: (record.expires != NEVER).then(|| Timestamp::from_millis(record.expires)),
        })
    }

    fn origin(&self, number: u8) -> Option<Origin> {
        self.origins
            .text(u32::from(number))
            .map(Origin::from_shared)
    }

    fn origin_number(&self, origin: &Origin) -> Option<u8> {
        self.origins
            .number(origin.as_str())
            .and_then(|number| u8::try_from(number).ok())
    }
}

fn bound<const N: usize>(key: Key<N>, exact: bool) -> Bound<Key<N>> {
    if exact {
        Bound::Excluded(key)
    } else {
        Bound::Included(key)
    }
}
