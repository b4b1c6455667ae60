//! What a worker needs from the rest of the program and from the kernel, as traits.
//!
//! The daemon plugs the kernel's maps in, [`xsk`](crate::xsk) the sockets, and tests plain memory.

use std::{io, os::fd::BorrowedFd, sync::Arc, sync::mpsc::SyncSender, time::Duration};

use palisade_abi::{Event, FlowKey, FlowVerdict};

use crate::{fragments::FragmentTable, pipeline::Replies};

/// Where verdicts go: the kernel's flow table.
pub trait VerdictSink: Send {
    /// Writes a batch, at most [`BATCH`](super::BATCH) verdicts, and returns how many were written.
    ///
    /// `FLOW_ADMITTED` is sticky: a drop that replaces a verdict with that flag must keep it, or the
    /// host's next packet of the flow would be learned as the start of one.
    fn write(&mut self, batch: &[(FlowKey, FlowVerdict)]) -> usize;
}

/// The cells of one worker in memory shared with the kernel: they outlive the worker.
pub trait WorkerCells: Send + Sync {
    /// Adds to the counter of a verdict and reason: see `palisade_abi::counter_cell`.
    fn add(&self, cell: usize, packets: u64, bytes: u64);

    /// Says that the worker is alive at `now_ns` of `CLOCK_MONOTONIC`. Zero: it is gone.
    fn beat(&self, now_ns: u64);
}

/// What the daemon hands to a worker.
#[expect(
    missing_debug_implementations,
    reason = "boxes of code have nothing to show"
)]
pub struct Ports {
    pub verdicts: Box<dyn VerdictSink>,
    pub cells: Arc<dyn WorkerCells>,
    /// Sampled packets. What the channel has no room for is counted and dropped.
    pub events: SyncSender<Event>,
    /// One table for all workers of an interface.
    pub fragments: Arc<FragmentTable>,
    pub replies: Box<dyn Replies + Send>,
    /// Puts the socket where the kernel program redirects to. Called once, after the first beat.
    pub register: Box<dyn FnOnce(BorrowedFd<'_>) -> io::Result<()> + Send>,
}

/// Packets that the kernel had redirected, but could not hand over, since the last call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Losses {
    pub packets: u64,
    /// Times that the kernel found no free frame.
    pub fill_ring_empty: u64,
}

/// Where packets come from: a batch at a time, whose frames stay with the intake.
pub trait Intake: Send {
    /// Takes the next batch and returns its size, at most [`BATCH`](super::BATCH).
    fn receive(&mut self) -> usize;

    /// The bytes of a frame of the batch. `None`: its descriptor led outside the memory that we
    /// share with the kernel, and was not followed.
    fn frame(&self, index: usize) -> Option<&[u8]>;

    /// Gives the frames of the batch back to the kernel, for others to come.
    fn release(&mut self);

    /// What was lost since the last call.
    fn losses(&mut self) -> io::Result<Losses>;

    /// Waits for packets.
    fn wait(&mut self, timeout: Duration) -> io::Result<()>;
}

/// What is kept with a packet on its way back, to be counted when the kernel has taken it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Note {
    /// Counter cell of its verdict.
    pub cell: usize,
    pub bytes: u64,
}

/// A packet could not be given back: no free frame, or it does not fit into one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// Where accepted packets go: back to the interface that they came from.
pub trait GiveBack: Send {
    /// Queues a copy of `frame`.
    fn send(&mut self, frame: &[u8], note: Note) -> Result<(), Refused>;

    /// Makes the kernel take what is queued. An error means that it never will again.
    fn kick(&mut self) -> io::Result<()>;

    /// Hands over the notes of the packets that the kernel has taken since the last call.
    fn collect(&mut self, taken: &mut dyn FnMut(Note));

    /// Hands over the notes of the packets that it has not. They are given up.
    fn abandon(&mut self, lost: &mut dyn FnMut(Note));

    /// Packets sent and not yet taken.
    fn in_flight(&self) -> usize;
}
