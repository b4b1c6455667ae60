//! From tables and sets to lines.
//!
//! Parts are added from the bottom up: port sets, then the tables that name their lines, then the
//! owners that name the tables.

use std::{collections::HashMap, net::IpAddr};

use palisade_abi::{
    POLICY_BLOCKS_SPARE_OWNERS, POLICY_FORM_ALL, POLICY_FORM_BITMAP, POLICY_FORM_NONE,
    POLICY_FORM_RANGES, POLICY_HEADER_DIGEST, POLICY_HEADER_FLAGS, POLICY_HEADER_LINES,
    POLICY_HEADER_OWNERS, POLICY_HEADER_OWNERS_MASK, POLICY_OWNER_ADDRESS, POLICY_OWNER_EGRESS,
    POLICY_OWNER_HOME, POLICY_OWNER_IDENTITY, POLICY_OWNER_INGRESS, POLICY_OWNER_NODE,
    POLICY_OWNER_POD, POLICY_OWNER_TAKEN, POLICY_PROBES_MAX, POLICY_SET_EVERYTHING,
    POLICY_SET_FORM, POLICY_SET_LINE, POLICY_TABLE_ANYONE, POLICY_TABLE_IDENTITIES,
    POLICY_TABLE_V4, POLICY_TABLE_V6, POLICY_TREE_COUNT, POLICY_TREE_LEVEL, POLICY_TREE_LEVELS,
    POLICY_TREE_SETS, PolicyLine,
};

use super::{Image, Key, LINE_WORDS, NONE, address_bits, hash};

/// How often the table of owners may be doubled to bring each owner near its place.
const SIZES_TRIED: u32 = 6;

/// A range of ports that holds none.
const NO_PORTS: u32 = 0xffff_0000;

/// What is known of one address. Numbers start at one, zero is nobody; tables are lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::policy) struct OwnerEntry {
    pub(in crate::policy) pod: u32,
    pub(in crate::policy) identity: u32,
    pub(in crate::policy) ingress: u32,
    pub(in crate::policy) egress: u32,
    pub(in crate::policy) node: u32,
    pub(in crate::policy) home: u32,
}

/// What a group allows in one direction. Trees are given by their sorted keys and the line of the
/// port set that holds from each key on.
#[derive(Debug, Default)]
pub(in crate::policy) struct TableEntry<'a> {
    pub(in crate::policy) anyone: u32,
    pub(in crate::policy) identities: &'a [(u32, u32)],
    pub(in crate::policy) v4: &'a [(u32, u32)],
    pub(in crate::policy) v6: &'a [(u128, u32)],
}

/// An image that grows.
#[derive(Debug)]
pub(in crate::policy) struct Writer {
    lines: Vec<PolicyLine>,
    /// Lines of ranges and bitmaps that are there already.
    ports: HashMap<Vec<u32>, u32>,
    has_owners: bool,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            lines: vec![PolicyLine::default()],
            ports: HashMap::new(),
            has_owners: false,
        }
    }
}

fn set(line: &mut PolicyLine, index: u32, value: u32) {
    if let Some(word) = line.words.get_mut(index as usize) {
        *word = value;
    }
}

impl Writer {
    /// The number of the next line. The limits of a compilation keep it far below four billion.
    fn next(&self) -> u32 {
        u32::try_from(self.lines.len()).unwrap_or(u32::MAX)
    }

    fn push(&mut self, line: PolicyLine) -> u32 {
        let number = self.next();
        self.lines.push(line);
        number
    }

    /// Adds words, filled up to whole lines.
    fn push_words(&mut self, words: &[u32], fill: u32) -> u32 {
        let first = self.next();
        for chunk in words.chunks(LINE_WORDS) {
            let mut line = PolicyLine {
                words: [fill; LINE_WORDS],
            };
            for (to, from) in line.words.iter_mut().zip(chunk) {
                *to = *from;
            }
            self.lines.push(line);
        }
        first
    }

    pub(in crate::policy) fn blocks_spare_owners(&mut self) {
        if let Some(header) = self.lines.first_mut() {
            set(header, POLICY_HEADER_FLAGS, POLICY_BLOCKS_SPARE_OWNERS);
        }
    }

    /// Adds a port set: sorted ranges of TCP, UDP and SCTP.
    pub(in crate::policy) fn set(
        &mut self,
        everything: bool,
        ranges: &[Vec<(u16, u16)>; 3],
    ) -> u32 {
        let mut line = PolicyLine::default();
        set(&mut line, POLICY_SET_EVERYTHING, u32::from(everything));
        for (slot, ranges) in (0..).zip(ranges) {
            let (form, at) = self.ports(ranges);
            set(&mut line, POLICY_SET_FORM + slot, form);
            set(&mut line, POLICY_SET_LINE + slot, at);
        }
        self.push(line)
    }

    fn ports(&mut self, ranges: &[(u16, u16)]) -> (u32, u32) {
        match ranges {
            [] => return (POLICY_FORM_NONE, NONE),
            [(0, u16::MAX)] => return (POLICY_FORM_ALL, NONE),
            _ => {}
        }
        let (form, words) = if ranges.len() <= LINE_WORDS {
            let ranges = ranges.iter();
            let words = ranges.map(|(first, last)| u32::from(*first) << 16 | u32::from(*last));
            (POLICY_FORM_RANGES, words.collect())
        } else {
            (POLICY_FORM_BITMAP, bitmap(ranges))
        };
        if let Some(line) = self.ports.get(&words) {
            return (form, *line);
        }
        let line = self.push_words(&words, NO_PORTS);
        self.ports.insert(words, line);
        (form, line)
    }

    pub(in crate::policy) fn table(&mut self, table: &TableEntry<'_>) -> u32 {
        let identities = self.tree(table.identities);
        let (v4, v6) = (self.tree(table.v4), self.tree(table.v6));
        let mut line = PolicyLine::default();
        set(&mut line, POLICY_TABLE_ANYONE, table.anyone);
        set(&mut line, POLICY_TABLE_IDENTITIES, identities);
        set(&mut line, POLICY_TABLE_V4, v4);
        set(&mut line, POLICY_TABLE_V6, v6);
        self.push(line)
    }

    pub(super) fn tree<K: Key>(&mut self, entries: &[(K, u32)]) -> u32 {
        let Some((first, _)) = entries.first() else {
            return NONE;
        };
        let below = (*first != K::FIRST).then_some((K::FIRST, NONE));
        let all = || below.iter().chain(entries).copied();
        let mut keys: Vec<K> = all().map(|(key, _)| key).collect();
        let sets: Vec<u32> = all().map(|(_, set)| set).collect();

        let mut tree = PolicyLine::default();
        set(
            &mut tree,
            POLICY_TREE_COUNT,
            u32::try_from(keys.len()).unwrap_or(u32::MAX),
        );
        set(&mut tree, POLICY_TREE_SETS, self.push_words(&sets, NONE));
        let mut levels = 0;
        loop {
            set(&mut tree, POLICY_TREE_LEVEL + levels, self.next());
            levels += 1;
            let groups = keys.chunks(K::FAN as usize);
            let above: Vec<K> = groups
                .clone()
                .filter_map(|group| group.first().copied())
                .collect();
            for group in groups {
                self.lines.push(key_line(group));
            }
            if above.len() <= 1 {
                break;
            }
            keys = above;
        }
        set(&mut tree, POLICY_TREE_LEVELS, levels);
        self.push(tree)
    }

    /// Adds the owners of addresses: all of them, once. `None` if they cannot be hashed.
    pub(in crate::policy) fn owners(&mut self, owners: &[(IpAddr, OwnerEntry)]) -> Option<()> {
        let least = (owners.len() * 2).next_power_of_two();
        let mut sizes = (0..SIZES_TRIED).map(|doubled| least << doubled);
        let (size, places) = sizes.find_map(|size| Some((size, places(owners, size)?)))?;
        let first = self.next();
        self.lines.extend(places.into_iter().map(|owner| {
            owner
                .and_then(|owner| owners.get(owner))
                .map_or_else(PolicyLine::default, |(address, owner)| {
                    owner_line(*address, owner)
                })
        }));
        if let Some(header) = self.lines.first_mut() {
            set(header, POLICY_HEADER_OWNERS, first);
            let mask = u32::try_from(size - 1).unwrap_or(u32::MAX);
            set(header, POLICY_HEADER_OWNERS_MASK, mask);
        }
        self.has_owners = true;
        Some(())
    }

    pub(in crate::policy) fn finish(mut self) -> Option<Image> {
        if !self.has_owners {
            self.owners(&[])?;
        }
        let count = self.next();
        let digest = self.lines.iter().fold(0_u64, |digest, line| {
            line.words.iter().fold(digest, |digest, word| {
                (digest ^ u64::from(*word))
                    .wrapping_mul(palisade_abi::POLICY_HASH_FACTOR)
                    .rotate_left(29)
            })
        });
        if let Some(header) = self.lines.first_mut() {
            set(header, POLICY_HEADER_LINES, count);
            for (place, half) in (0..).zip([digest >> 32, digest & 0xffff_ffff]) {
                let half = u32::try_from(half).unwrap_or(0);
                set(header, POLICY_HEADER_DIGEST + place, half);
            }
        }
        Some(Image {
            lines: self.lines.into(),
        })
    }
}

fn bitmap(ranges: &[(u16, u16)]) -> Vec<u32> {
    let mut bits = vec![0_u32; 65_536 / 32];
    for port in ranges.iter().flat_map(|(first, last)| *first..=*last) {
        if let Some(word) = bits.get_mut(usize::from(port / 32)) {
            *word |= 1 << (port % 32);
        }
    }
    bits
}

fn key_line<K: Key>(keys: &[K]) -> PolicyLine {
    let mut line = PolicyLine::default();
    let keys = keys.iter().copied().chain(std::iter::repeat(K::LAST));
    for (words, key) in line.words.chunks_exact_mut(K::WORDS).zip(keys) {
        key.write(words);
    }
    line
}

fn owner_line(address: IpAddr, owner: &OwnerEntry) -> PolicyLine {
    let mut line = PolicyLine::default();
    let from = POLICY_OWNER_ADDRESS as usize;
    if let Some(words) = line.words.get_mut(from..from + 4) {
        address_bits(address).write(words);
    }
    for (index, value) in [
        (POLICY_OWNER_TAKEN, 1),
        (POLICY_OWNER_POD, owner.pod),
        (POLICY_OWNER_IDENTITY, owner.identity),
        (POLICY_OWNER_INGRESS, owner.ingress),
        (POLICY_OWNER_EGRESS, owner.egress),
        (POLICY_OWNER_NODE, owner.node),
        (POLICY_OWNER_HOME, owner.home),
    ] {
        set(&mut line, index, value);
    }
    line
}

/// Which owner goes to which of `size` lines; `None` if one would lie too far from its place.
fn places(owners: &[(IpAddr, OwnerEntry)], size: usize) -> Option<Vec<Option<usize>>> {
    let mut places: Vec<Option<usize>> = vec![None; size];
    for (index, (address, _)) in owners.iter().enumerate() {
        let home = hash(address_bits(*address)) as usize;
        let place = (0..POLICY_PROBES_MAX as usize)
            .map(|probe| home.wrapping_add(probe) & (size - 1))
            .find(|place| matches!(places.get(*place), Some(None)))?;
        if let Some(free) = places.get_mut(place) {
            *free = Some(index);
        }
    }
    Some(places)
}
