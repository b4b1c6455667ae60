//! What all programs share: the generation in force and the patience with workers.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use palisade_abi::State;

use crate::{TableError, object::names, sys::mapping::Mapping};

const WORDS: usize = size_of::<State>() / size_of::<u64>();
const GENERATION: usize = std::mem::offset_of!(State, generation) / size_of::<u64>();
const HEARTBEAT_TIMEOUT: usize =
    std::mem::offset_of!(State, heartbeat_timeout_ns) / size_of::<u64>();

/// The generation is the first half of its word.
const _: () = assert!(std::mem::offset_of!(State, generation).is_multiple_of(size_of::<u64>()));

#[derive(Clone, Debug)]
pub struct StateCell {
    words: Arc<Mapping>,
}

impl StateCell {
    pub(crate) fn new(map: &OwnedFd) -> Result<Self, TableError> {
        let words = Mapping::new(map.as_fd(), WORDS)
            .map_err(TableError::at(names::STATE, "map into memory"))?;
        Ok(Self {
            words: Arc::new(words),
        })
    }

    /// Flow verdicts of another generation are no verdict.
    pub fn generation(&self) -> u32 {
        self.generation_cell()
            .map_or(0, |cell| cell.load(Ordering::Acquire))
    }

    /// One store: from here on every packet sees the new generation.
    pub fn set_generation(&self, generation: u32) {
        if let Some(cell) = self.generation_cell() {
            cell.store(generation, Ordering::Release);
        }
    }

    /// A worker that has not beaten for so long counts as gone.
    pub fn heartbeat_timeout(&self) -> Duration {
        let nanoseconds = self
            .timeout_cell()
            .map_or(0, |cell| cell.load(Ordering::Acquire));
        Duration::from_nanos(nanoseconds)
    }

    pub fn set_heartbeat_timeout(&self, timeout: Duration) {
        if let Some(cell) = self.timeout_cell() {
            cell.store(
                u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX),
                Ordering::Release,
            );
        }
    }

    fn generation_cell(&self) -> Option<&AtomicU32> {
        self.words.half(GENERATION)
    }

    fn timeout_cell(&self) -> Option<&AtomicU64> {
        self.words.word(HEARTBEAT_TIMEOUT)
    }
}
