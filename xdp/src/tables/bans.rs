//! Bans: source prefixes whose traffic ends, and the guards inside them.
//!
//! The longest prefix decides. A guard that lies inside a ban is an entry of its own that exempts;
//! a guard that lies in no ban needs none.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use palisade_abi::{BAN_BANNED, Lpm4Key, Lpm6Key};

use crate::{
    TableError,
    object::names,
    sys::map::{Map, Plain, Walk},
};

/// Entries in one system call.
const BATCH: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    const fn table(self) -> &'static str {
        match self {
            Self::V4 => names::BANS_V4,
            Self::V6 => names::BANS_V6,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BanEffect {
    Banned,
    /// A guard inside a wider ban.
    Exempt,
}

/// A change: `effect: None` removes the entry of exactly this prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BanEntry {
    pub prefix: (IpAddr, u8),
    pub effect: Option<BanEffect>,
}

/// The two ban tables. An IPv4-mapped prefix of 96 bits or more is the IPv4 prefix.
#[derive(Clone, Debug)]
pub struct BanTable {
    v4: Side<Lpm4Key>,
    v6: Side<Lpm6Key>,
}

impl BanTable {
    pub(crate) fn new(v4: Map<Lpm4Key, u8>, v6: Map<Lpm6Key, u8>) -> Self {
        Self {
            v4: Side::new(v4),
            v6: Side::new(v6),
        }
    }

    /// Writes changes, in batches. Refused as a whole, before anything is written, if a table could
    /// become too full.
    ///
    /// While it runs nobody is banned who is not in the end, and no guard is open: exemptions come
    /// before bans and go after them.
    pub fn apply(&self, entries: &[BanEntry]) -> Result<(), TableError> {
        let mut v4 = Changes::default();
        let mut v6 = Changes::default();
        for entry in entries {
            match entry.prefix {
                (IpAddr::V4(address), length) => {
                    v4.add(key4(address, length)?, entry.effect);
                }
                (IpAddr::V6(address), length) => match (address.to_ipv4_mapped(), length) {
                    (Some(address), 96..=128) => {
                        v4.add(key4(address, length - 96)?, entry.effect);
                    }
                    _ => v6.add(key6(address, length)?, entry.effect),
                },
            }
        }
        v4.check(Family::V4, &self.v4)?;
        v6.check(Family::V6, &self.v6)?;
        v4.write(Family::V4, &self.v4)?;
        v6.write(Family::V6, &self.v6)
    }

    /// Every entry in the kernel, in no order. With a writer at work entries may be missed or seen
    /// twice.
    pub fn entries(&self, family: Family) -> Bans {
        match family {
            Family::V4 => Bans(Entries::V4(self.v4.map.walk())),
            Family::V6 => Bans(Entries::V6(self.v6.map.walk())),
        }
    }

    /// Counts by walking the table: about a second for a million.
    pub fn count(&self, family: Family) -> Result<u64, TableError> {
        match family {
            Family::V4 => self.v4.recount(family),
            Family::V6 => self.v6.recount(family),
        }
    }

    pub fn capacity(&self, family: Family) -> u64 {
        match family {
            Family::V4 => self.v4.map.max_entries().into(),
            Family::V6 => self.v6.map.max_entries().into(),
        }
    }

    /// What the kernel finds for this source: the entry of the longest prefix.
    pub fn lookup(&self, source: IpAddr) -> Result<Option<BanEffect>, TableError> {
        let found = match source.to_canonical() {
            IpAddr::V4(address) => self.v4.map.get(&key4(address, 32)?),
            IpAddr::V6(address) => self.v6.map.get(&key6(address, 128)?),
        };
        let value = found.map_err(TableError::at("bans", "lookup"))?;
        Ok(value.map(decode))
    }
}

fn key4(address: Ipv4Addr, length: u8) -> Result<Lpm4Key, TableError> {
    if length > 32 {
        return Err(TableError::BadPrefix { length, bits: 32 });
    }
    Ok(Lpm4Key {
        prefix_length: length.into(),
        address: address.octets(),
    })
}

fn key6(address: Ipv6Addr, length: u8) -> Result<Lpm6Key, TableError> {
    if length > 128 {
        return Err(TableError::BadPrefix { length, bits: 128 });
    }
    Ok(Lpm6Key {
        prefix_length: length.into(),
        address: address.octets(),
    })
}

fn encode(effect: BanEffect) -> u8 {
    u8::from(effect == BanEffect::Banned)
}

fn decode(value: u8) -> BanEffect {
    if u32::from(value) == BAN_BANNED {
        BanEffect::Banned
    } else {
        BanEffect::Exempt
    }
}

// === one family's changes, in the order they are written ===

trait PrefixKey: Plain {
    fn length(&self) -> u32;
}

impl PrefixKey for Lpm4Key {
    fn length(&self) -> u32 {
        self.prefix_length
    }
}

impl PrefixKey for Lpm6Key {
    fn length(&self) -> u32 {
        self.prefix_length
    }
}

struct Changes<K> {
    exempt: Vec<(K, u8)>,
    banned: Vec<(K, u8)>,
    removed: Vec<K>,
}

impl<K> Default for Changes<K> {
    fn default() -> Self {
        Self {
            exempt: Vec::new(),
            banned: Vec::new(),
            removed: Vec::new(),
        }
    }
}

impl<K: PrefixKey> Changes<K> {
    fn add(&mut self, key: K, effect: Option<BanEffect>) {
        match effect {
            Some(effect @ BanEffect::Exempt) => self.exempt.push((key, encode(effect))),
            Some(effect @ BanEffect::Banned) => self.banned.push((key, encode(effect))),
            None => self.removed.push(key),
        }
    }

    /// Every written entry may be a new one. Only where that could be too many the table is counted.
    fn check(&self, family: Family, side: &Side<K>) -> Result<(), TableError> {
        let capacity = u64::from(side.map.max_entries());
        let wanted = (self.exempt.len() + self.banned.len()) as u64;
        if wanted == 0 || side.held_max(family)?.saturating_add(wanted) <= capacity {
            return Ok(());
        }
        let held = side.recount(family)?;
        if held.saturating_add(wanted) > capacity {
            return Err(TableError::Full {
                table: family.table(),
                capacity,
                held,
                wanted,
            });
        }
        Ok(())
    }

    fn write(mut self, family: Family, side: &Side<K>) -> Result<(), TableError> {
        for batch in [&self.exempt, &self.banned]
            .into_iter()
            .flat_map(|list| list.chunks(BATCH))
        {
            side.held_max
                .fetch_add(batch.len() as u64, Ordering::Relaxed);
            side.map
                .set_batch(batch)
                .map_err(|(_, source)| TableError::at(family.table(), "update")(source))?;
        }
        // A ban is shorter than the exemptions inside it, and goes before them.
        self.removed.sort_unstable_by_key(PrefixKey::length);
        for batch in self.removed.chunks(BATCH) {
            let removed = side
                .map
                .remove_batch(batch)
                .map_err(TableError::at(family.table(), "delete"))?;
            side.held_max.fetch_sub(removed, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// One family's table, and how many entries it may hold.
#[derive(Debug)]
struct Side<K> {
    map: Map<K, u8>,
    /// An upper bound, since an entry that is written again counts twice. `UNKNOWN` until counted.
    held_max: Arc<AtomicU64>,
}

/// Far from both ends, so that a change on the way does not make it a number.
const UNKNOWN: u64 = 1 << 62;

impl<K> Clone for Side<K> {
    fn clone(&self) -> Self {
        Self {
            map: self.map.clone(),
            held_max: Arc::clone(&self.held_max),
        }
    }
}

impl<K: PrefixKey> Side<K> {
    fn new(map: Map<K, u8>) -> Self {
        Self {
            map,
            held_max: Arc::new(AtomicU64::new(UNKNOWN)),
        }
    }

    fn held_max(&self, family: Family) -> Result<u64, TableError> {
        match self.held_max.load(Ordering::Relaxed) {
            known if known < UNKNOWN / 2 => Ok(known),
            _ => self.recount(family),
        }
    }

    fn recount(&self, family: Family) -> Result<u64, TableError> {
        let held = self
            .map
            .walk()
            .try_fold(0, |count, entry| entry.map(|_| count + 1))
            .map_err(TableError::at(family.table(), "walk"))?;
        self.held_max.store(held, Ordering::Relaxed);
        Ok(held)
    }
}

// === walking ===

/// The entries of one family: see [`BanTable::entries`].
#[derive(Debug)]
pub struct Bans(Entries);

#[derive(Debug)]
enum Entries {
    V4(Walk<Lpm4Key, u8>),
    V6(Walk<Lpm6Key, u8>),
}

impl Iterator for Bans {
    type Item = Result<((IpAddr, u8), BanEffect), TableError>;

    fn next(&mut self) -> Option<Self::Item> {
        let length = |length: u32| u8::try_from(length).unwrap_or(u8::MAX);
        let (family, entry) = match &mut self.0 {
            Entries::V4(walk) => {
                let entry = walk.next()?.map(|(key, value)| {
                    (
                        (IpAddr::from(key.address), length(key.prefix_length)),
                        decode(value),
                    )
                });
                (Family::V4, entry)
            }
            Entries::V6(walk) => {
                let entry = walk.next()?.map(|(key, value)| {
                    (
                        (IpAddr::from(key.address), length(key.prefix_length)),
                        decode(value),
                    )
                });
                (Family::V6, entry)
            }
        };
        Some(entry.map_err(TableError::at(family.table(), "walk")))
    }
}
