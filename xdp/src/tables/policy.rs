//! The policy image in force: a map of its own in the one slot that the programs look into.
//!
//! Publishing makes a new map, fills it and stores it in the slot. A packet takes hold of the map
//! in the slot once, so it is judged by one image as a whole. The old map goes when nobody reads it
//! any more.

use std::{
    os::fd::{AsFd, AsRawFd},
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use palisade_abi::{
    POLICY_HEADER_DIGEST, POLICY_HEADER_GENERATION, POLICY_HEADER_LINES, PolicyLine,
};

use crate::{
    TableError,
    object::names,
    sys::{
        map::{Map, create_array, id},
        mapping::Mapping,
    },
};

/// As in `bpf/maps.h`: the slot takes nothing else.
const IMAGE_FLAGS: u32 = libbpf_sys::BPF_F_MMAPABLE | libbpf_sys::BPF_F_INNER_MAP;

/// Which image it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyStamp {
    pub generation: u32,
    pub digest: u64,
    pub lines: u32,
}

impl PolicyStamp {
    fn of(header: &PolicyLine) -> Self {
        let word = |index: u32| header.words.get(index as usize).copied().unwrap_or(0);
        Self {
            generation: word(POLICY_HEADER_GENERATION),
            digest: u64::from(word(POLICY_HEADER_DIGEST)) << 32
                | u64::from(word(POLICY_HEADER_DIGEST + 1)),
            lines: word(POLICY_HEADER_LINES),
        }
    }
}

type Image = Map<u32, PolicyLine>;

#[derive(Clone, Debug)]
pub struct PolicySlot {
    /// Written by descriptor, read as the number of the map.
    slot: Map<u32, u32>,
    /// What this process has stored last. Only the owner of a map may look into it without rights
    /// over the whole system.
    own: Arc<Mutex<Option<Image>>>,
}

impl PolicySlot {
    pub(crate) fn new(slot: Map<u32, u32>) -> Self {
        Self {
            slot,
            own: Arc::default(),
        }
    }

    /// Puts an image in force. Packets that are under way end with the old one; when this returns
    /// there are none of them left.
    pub fn publish(&self, lines: &[PolicyLine], generation: u32) -> Result<(), TableError> {
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let image = fill(lines, generation)?;
        let fd = u32::try_from(image.as_fd().as_raw_fd()).unwrap_or(u32::MAX);
        self.slot
            .set(&0, &fd)
            .map_err(TableError::at(names::POLICY, "update"))?;
        *own = Some(image);
        Ok(())
    }

    /// The image in force; `None` if there is none, or another process has stored it.
    pub fn stamp(&self) -> Result<Option<PolicyStamp>, TableError> {
        let failed = || TableError::at(names::POLICY, "lookup");
        let own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(image) = &*own else {
            return Ok(None);
        };
        if self.slot.get(&0).map_err(failed())? != Some(id(image.as_fd()).map_err(failed())?) {
            return Ok(None);
        }
        let header = image.get(&0).map_err(failed())?;
        Ok(header.as_ref().map(PolicyStamp::of))
    }
}

/// A new map with these lines under this generation.
fn fill(lines: &[PolicyLine], generation: u32) -> Result<Image, TableError> {
    let count = u32::try_from(lines.len()).map_err(|_| TableError::OutOfRange {
        table: names::POLICY,
        index: lines.len() as u64,
        limit: u32::MAX.into(),
    })?;
    let failed = |operation| TableError::at(names::POLICY, operation);
    let fd = create_array(c"policy_image", size_of::<PolicyLine>(), count, IMAGE_FLAGS)
        .map_err(failed("create an image for"))?;
    let words = size_of_val(lines) / size_of::<u64>();
    let mapping = Mapping::new(fd.as_fd(), words).map_err(failed("map an image of"))?;
    let mut index = 0;
    for (number, line) in lines.iter().enumerate() {
        let mut line = *line;
        if let Some(word) = line.words.get_mut(POLICY_HEADER_GENERATION as usize)
            && number == 0
        {
            *word = generation;
        }
        for pair in line.words.chunks_exact(2) {
            if let (Some(cell), [low, high]) = (mapping.word(index), pair) {
                cell.store(joined(*low, *high), Ordering::Relaxed);
            }
            index += 1;
        }
    }
    let image = Map::new(fd).map_err(failed("query an image of"))?;
    image.ok_or(TableError::OutOfRange {
        table: names::POLICY,
        index: 0,
        limit: 0,
    })
}

/// Two words as they lie in memory.
fn joined(first: u32, second: u32) -> u64 {
    let ([a, b, c, d], [e, f, g, h]) = (first.to_ne_bytes(), second.to_ne_bytes());
    u64::from_ne_bytes([a, b, c, d, e, f, g, h])
}
