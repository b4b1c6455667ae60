//! What the programs tell us, and where they find the workers.
use crate::TableError;
use palisade_abi::{COUNTER_ROW, Counter, Event, Reason, Verdict, counter_cell};
use std::os::fd::{AsFd, BorrowedFd};

/// One counter row: a cell for each verdict and reason.
#[derive(Clone, Debug)]
pub struct Row(pub [Counter; COUNTER_ROW]);
impl Row {
    pub fn get(&self, verdict: Verdict, reason: Reason) -> Counter {
        self.0
            .get(counter_cell(verdict, reason))
            .copied()
            .unwrap_or_default()
    }
}
/// Stage xdp, by interface slot.
#[derive(Clone, Debug)]
pub struct Counters;
impl Counters {
    pub fn row(&self, _slot: u16) -> Result<Row, TableError> {
        todo!()
    }
}
/// Stage worker, by slot and queue.
#[derive(Clone, Debug)]
pub struct WorkerCounters;
impl WorkerCounters {
    pub fn cells(&self, _slot: u16, _queue: u32) -> Result<WorkerRow, TableError> {
        todo!()
    }
    /// Sum over the queues of a slot.
    pub fn row(&self, _slot: u16) -> Result<Row, TableError> {
        todo!()
    }
}
#[derive(Clone, Debug)]
pub struct WorkerRow;
impl WorkerRow {
    pub fn add(&self, _cell: usize, _packets: u64, _bytes: u64) {
        todo!()
    }
    pub fn row(&self) -> Row {
        todo!()
    }
}
#[derive(Clone, Debug)]
pub struct Heartbeats;
impl Heartbeats {
    pub fn cell(&self, _slot: u16, _queue: u32) -> Result<HeartbeatCell, TableError> {
        todo!()
    }
}
#[derive(Clone, Debug)]
pub struct HeartbeatCell;
impl HeartbeatCell {
    /// CLOCK_MONOTONIC.
    pub fn beat(&self, _now_ns: u64) {
        todo!()
    }
    pub fn last(&self) -> u64 {
        todo!()
    }
}
#[derive(Clone, Debug)]
pub struct SocketMap;
impl SocketMap {
    pub fn set(&self, _slot: u16, _queue: u32, _socket: BorrowedFd<'_>) -> Result<(), TableError> {
        todo!()
    }
    pub fn clear(&self, _slot: u16, _queue: u32) -> Result<(), TableError> {
        todo!()
    }
}
/// Pollable: readable when events wait.
#[derive(Debug)]
pub struct EventRing {
    fd: std::os::fd::OwnedFd,
}
impl EventRing {
    /// The oldest waiting event.
    pub fn take(&mut self) -> Option<Event> {
        todo!()
    }
}
impl AsFd for EventRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
