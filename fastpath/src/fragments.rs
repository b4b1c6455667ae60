//! What became of the first fragments, for the later ones to follow.
//!
//! Only the first fragment of a train has the ports by which it is judged. Its fate is kept here for
//! [`LIFETIME_SECONDS`]; a later fragment follows it, and one that finds nothing is an orphan. Nothing
//! is reassembled or held back: a train whose fragments arrive out of order loses those that came too
//! early.
//!
//! The host reassembles what we let through, so two packets of one train must not be able to say
//! different things about its ports. A later fragment that reaches into the transport header is
//! therefore refused, and a second first fragment is judged anew: only allowed ones reach the host.
//!
//! The table is of fixed size, shared by the workers of an interface (the fragments of one train
//! may arrive on different queues) and free of locks: an entry is one `AtomicU64`, four of them form a
//! set, and the one that expires first makes room. The hash is keyed with a seed drawn at start, so
//! nobody outside can aim at a set or a tag. A collision of tags, one in 2^32, lets a stray fragment
//! through that no first fragment belongs to, which the host cannot use.
//!
//! Before: [`packet`](crate::packet). After: [`pipeline`](crate::pipeline).

use std::{
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering},
};

use palisade_abi::Reason;

use crate::{
    clock::Now,
    packet::{Fragment, Packet, Train},
    verdict::Fate,
};

/// How long later fragments may follow: as long as Linux waits for them.
pub const LIFETIME_SECONDS: u64 = 30;

/// Entries of a table made by [`FragmentTable::new`]: 512 KiB.
pub const ENTRIES: usize = 1 << 16;

const WAYS: usize = 4;

/// Names a train among those of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TrainKey {
    source: IpAddr,
    destination: IpAddr,
    train: Train,
    /// Bytes at the start of the fragmented part that no later fragment may touch.
    header_end: u32,
}

impl TrainKey {
    /// The train of `packet`; `None` for whole packets.
    pub fn of(packet: &Packet<'_>) -> Option<Self> {
        let (Fragment::First { train, .. } | Fragment::Later { train, .. }) = packet.fragment
        else {
            return None;
        };
        Some(Self {
            source: packet.source,
            destination: packet.destination,
            train,
            header_end: packet.header_end(),
        })
    }
}

/// What is known of the first fragment of a train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    pub fate: Fate,
    pub reason: Reason,
    /// Later fragments must start here or behind, in bytes of the fragmented part.
    pub header_end: u32,
}

/// The first fragments of the last [`LIFETIME_SECONDS`].
pub struct FragmentTable {
    sets: Box<[[AtomicU64; WAYS]]>,
    seed: RandomState,
}

impl std::fmt::Debug for FragmentTable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("FragmentTable")
            .field("sets", &self.sets.len())
            .finish()
    }
}

impl Default for FragmentTable {
    fn default() -> Self {
        Self::new()
    }
}

impl FragmentTable {
    pub fn new() -> Self {
        Self::with_entries(ENTRIES)
    }

    /// A table of `entries`, rounded up to a power of two, at least one set.
    pub fn with_entries(entries: usize) -> Self {
        let sets = entries.div_ceil(WAYS).max(1).next_power_of_two();
        Self {
            sets: (0..sets).map(|_| Default::default()).collect(),
            seed: RandomState::new(),
        }
    }

    /// The fate of the first fragment of the train of `key`.
    pub fn find(&self, key: &TrainKey, now: Now) -> Option<Lead> {
        let (set, tag) = self.place(key);
        set.iter()
            .map(|slot| Entry(slot.load(Ordering::Relaxed)))
            .find(|entry| entry.tag() == tag && entry.remaining(now) > 0)
            .and_then(Entry::lead)
    }

    /// Remembers the fate of a first fragment.
    pub fn record(&self, key: &TrainKey, fate: Fate, reason: Reason, now: Now) {
        let (set, tag) = self.place(key);
        let entry = Entry::new(tag, fate, reason, key.header_end, now);
        let victim = set.iter().min_by_key(|slot| {
            let old = Entry(slot.load(Ordering::Relaxed));
            if old.tag() == tag {
                0
            } else {
                1 + old.remaining(now)
            }
        });
        if let Some(slot) = victim {
            slot.store(entry.0, Ordering::Relaxed);
        }
    }

    fn place(&self, key: &TrainKey) -> (&[AtomicU64], u32) {
        let hash = self.seed.hash_one((key.source, key.destination, key.train));
        // The mask keeps the index below the number of sets, a power of two.
        let index =
            usize::try_from(hash & u64::from(u32::MAX)).unwrap_or(0) & (self.sets.len() - 1);
        let tag = u32::try_from(hash >> 32).unwrap_or(0);
        (self.sets.get(index).map_or(&[], <[_; WAYS]>::as_slice), tag)
    }
}

/// One word: tag 32, expiry in seconds 15, present 1, pass 1, reason 5, end of header 10 (in units
/// of eight bytes, rounded up: more than any frame holds).
#[derive(Clone, Copy)]
struct Entry(u64);

impl Entry {
    const EXPIRY_SHIFT: u32 = 17;
    const EXPIRY_MASK: u64 = 0x7fff;
    const PRESENT: u64 = 1 << 16;
    const PASS: u64 = 1 << 15;
    const REASON_SHIFT: u32 = 10;
    const REASON_MASK: u64 = 0x1f;
    const END_MASK: u64 = 0x3ff;

    fn new(tag: u32, fate: Fate, reason: Reason, header_end: u32, now: Now) -> Self {
        let expiry = (now.seconds() + LIFETIME_SECONDS) & Self::EXPIRY_MASK;
        let pass = if fate == Fate::Pass { Self::PASS } else { 0 };
        let end = u64::from(header_end.div_ceil(8)).min(Self::END_MASK);
        Self(
            u64::from(tag) << 32
                | expiry << Self::EXPIRY_SHIFT
                | Self::PRESENT
                | pass
                | (reason as u64) << Self::REASON_SHIFT
                | end,
        )
    }

    const fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Seconds that this entry has left. The clock of an entry goes round every nine hours: times
    /// further ahead than an entry can live are past ones, but for the second by which the clock of
    /// the worker that asks may be behind.
    const fn remaining(self, now: Now) -> u64 {
        if self.0 & Self::PRESENT == 0 {
            return 0;
        }
        let expiry = (self.0 >> Self::EXPIRY_SHIFT) & Self::EXPIRY_MASK;
        let left = expiry.wrapping_sub(now.seconds()) & Self::EXPIRY_MASK;
        if left <= LIFETIME_SECONDS + 1 {
            left
        } else {
            0
        }
    }

    fn lead(self) -> Option<Lead> {
        let reason = usize::try_from(self.0 >> Self::REASON_SHIFT & Self::REASON_MASK).ok()?;
        let end = u32::try_from(self.0 & Self::END_MASK).ok()?;
        Some(Lead {
            fate: if self.0 & Self::PASS == 0 {
                Fate::Drop
            } else {
                Fate::Pass
            },
            reason: *Reason::ALL.get(reason)?,
            header_end: end * 8,
        })
    }
}

const _: () = assert!(
    Reason::COUNT <= 32,
    "a reason fits in five bits of an entry"
);

#[cfg(test)]
mod tests;
