//! One entry for each worker, that is for each slot and queue: its socket, its heartbeat and its
//! counters.
//!
//! Heartbeats and counters are shared memory: a worker pays a store and no system call. They stay
//! when the process ends, so that counting goes on after a restart.

use std::{
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::{Arc, atomic::Ordering},
};

use palisade_abi::{COUNTER_ROW, Counter, PALISADE_MAX_INTERFACES, PALISADE_MAX_QUEUES};

use super::{Row, queues, worker_index};
use crate::{
    TableError,
    object::names,
    sys::{map::Map, mapping::Mapping},
};

const WORKERS: usize = (PALISADE_MAX_INTERFACES * PALISADE_MAX_QUEUES) as usize;

/// Words of one counter: packets, then bytes.
const COUNTER_WORDS: usize = size_of::<Counter>() / size_of::<u64>();

// === counters ===

/// Stage worker.
#[derive(Clone, Debug)]
pub struct WorkerCounters {
    words: Arc<Mapping>,
}

impl WorkerCounters {
    pub(crate) fn new(map: &OwnedFd) -> Result<Self, TableError> {
        let words = Mapping::new(map.as_fd(), WORKERS * COUNTER_ROW * COUNTER_WORDS)
            .map_err(TableError::at(names::WORKER_COUNTERS, "map into memory"))?;
        Ok(Self {
            words: Arc::new(words),
        })
    }

    /// The row of one worker.
    pub fn cells(&self, slot: u16, queue: u32) -> Result<WorkerRow, TableError> {
        let index = worker_index(names::WORKER_COUNTERS, slot, queue)?;
        Ok(WorkerRow {
            words: Arc::clone(&self.words),
            start: index as usize * COUNTER_ROW * COUNTER_WORDS,
        })
    }

    /// The sum over all queues of a slot.
    pub fn row(&self, slot: u16) -> Result<Row, TableError> {
        let mut sum = Row::zero();
        for queue in queues() {
            let row = self.cells(slot, queue)?.row();
            row.0
                .into_iter()
                .enumerate()
                .for_each(|(cell, counter)| sum.add(cell, counter));
        }
        Ok(sum)
    }

    pub(crate) fn clear(&self, slot: u16) {
        for row in queues().filter_map(|queue| self.cells(slot, queue).ok()) {
            for word in 0..COUNTER_ROW * COUNTER_WORDS {
                if let Some(word) = row.words.word(row.start + word) {
                    word.store(0, Ordering::Relaxed);
                }
            }
        }
    }
}

/// The counters of one worker. `cell` is `palisade_abi::counter_cell`.
#[derive(Clone, Debug)]
pub struct WorkerRow {
    words: Arc<Mapping>,
    start: usize,
}

impl WorkerRow {
    pub fn add(&self, cell: usize, packets: u64, bytes: u64) {
        if cell >= COUNTER_ROW {
            return;
        }
        let index = self.start + cell * COUNTER_WORDS;
        if let (Some(packet_word), Some(byte_word)) =
            (self.words.word(index), self.words.word(index + 1))
        {
            packet_word.fetch_add(packets, Ordering::Relaxed);
            byte_word.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    pub fn row(&self) -> Row {
        let read = |index| {
            self.words
                .word(index)
                .map_or(0, |word| word.load(Ordering::Relaxed))
        };
        let mut row = Row::zero();
        for cell in 0..COUNTER_ROW {
            let index = self.start + cell * COUNTER_WORDS;
            row.add(
                cell,
                Counter {
                    packets: read(index),
                    bytes: read(index + 1),
                },
            );
        }
        row
    }
}

// === heartbeats ===

/// When each worker was last alive.
#[derive(Clone, Debug)]
pub struct Heartbeats {
    words: Arc<Mapping>,
}

impl Heartbeats {
    pub(crate) fn new(map: &OwnedFd) -> Result<Self, TableError> {
        let words = Mapping::new(map.as_fd(), WORKERS)
            .map_err(TableError::at(names::HEARTBEATS, "map into memory"))?;
        Ok(Self {
            words: Arc::new(words),
        })
    }

    pub fn cell(&self, slot: u16, queue: u32) -> Result<HeartbeatCell, TableError> {
        let index = worker_index(names::HEARTBEATS, slot, queue)? as usize;
        Ok(HeartbeatCell {
            words: Arc::clone(&self.words),
            index,
        })
    }

    pub(crate) fn clear(&self, slot: u16) {
        for cell in queues().filter_map(|queue| self.cell(slot, queue).ok()) {
            cell.beat(0);
        }
    }
}

#[derive(Clone, Debug)]
pub struct HeartbeatCell {
    words: Arc<Mapping>,
    index: usize,
}

impl HeartbeatCell {
    /// `now_ns` is CLOCK_MONOTONIC. Zero says that the worker has gone.
    pub fn beat(&self, now_ns: u64) {
        if let Some(word) = self.words.word(self.index) {
            word.store(now_ns, Ordering::Relaxed);
        }
    }

    pub fn last(&self) -> u64 {
        self.words
            .word(self.index)
            .map_or(0, |word| word.load(Ordering::Relaxed))
    }
}

// === sockets ===

/// The AF_XDP socket of each worker. The kernel drops an entry when its socket closes.
#[derive(Clone, Debug)]
pub struct SocketMap {
    map: Map<u32, u32>,
}

impl SocketMap {
    pub(crate) fn new(map: Map<u32, u32>) -> Self {
        Self { map }
    }

    /// The socket must be bound to this queue of the slot's interface.
    pub fn set(&self, slot: u16, queue: u32, socket: BorrowedFd<'_>) -> Result<(), TableError> {
        let index = worker_index(names::SOCKETS, slot, queue)?;
        let fd = u32::try_from(socket.as_raw_fd()).unwrap_or(u32::MAX);
        self.map
            .set(&index, &fd)
            .map_err(TableError::at(names::SOCKETS, "update"))
    }

    /// No error if there was none.
    pub fn clear(&self, slot: u16, queue: u32) -> Result<(), TableError> {
        let index = worker_index(names::SOCKETS, slot, queue)?;
        self.map
            .remove(&index)
            .map(drop)
            .map_err(TableError::at(names::SOCKETS, "delete"))
    }
}
