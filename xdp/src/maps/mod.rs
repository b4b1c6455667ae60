//! What the programs report, and where they find the workers.

mod counters;
mod events;
mod workers;

pub(crate) use self::events::LostEvents;
pub use self::{
    counters::{Counters, Row},
    events::EventRing,
    workers::{HeartbeatCell, Heartbeats, SocketMap, WorkerCounters, WorkerRow},
};

use palisade_abi::{PALISADE_MAX_INTERFACES, PALISADE_MAX_QUEUES};

use crate::TableError;

/// The index of a worker in the maps that have one entry for each.
fn worker_index(table: &'static str, slot: u16, queue: u32) -> Result<u32, TableError> {
    let out_of_range = |index, limit| TableError::OutOfRange {
        table,
        index,
        limit,
    };
    let slot = u32::from(slot);
    if slot >= PALISADE_MAX_INTERFACES {
        return Err(out_of_range(slot.into(), PALISADE_MAX_INTERFACES.into()));
    }
    if queue >= PALISADE_MAX_QUEUES {
        return Err(out_of_range(queue.into(), PALISADE_MAX_QUEUES.into()));
    }
    Ok(slot * PALISADE_MAX_QUEUES + queue)
}

/// All queues of a slot.
fn queues() -> std::ops::Range<u32> {
    0..PALISADE_MAX_QUEUES
}
