//! What a batch adds to the counters, added up before it is published.

use palisade_abi::{COUNTER_ROW, Reason, Verdict, counter_cell};

use super::{Note, WorkerCells};

/// Packets and bytes by cell since the last [`Tally::publish`].
#[derive(Debug)]
pub(super) struct Tally {
    cells: [(u64, u64); COUNTER_ROW],
    dirty: bool,
}

impl Tally {
    pub(super) const fn new() -> Self {
        Self {
            cells: [(0, 0); COUNTER_ROW],
            dirty: false,
        }
    }

    pub(super) fn count(&mut self, note: Note) {
        self.add(note.cell, 1, note.bytes);
    }

    /// `packets` of unknown length that are lost for `reason`.
    pub(super) fn lost(&mut self, reason: Reason, packets: u64) {
        if packets > 0 {
            self.add(counter_cell(Verdict::Lost, reason), packets, 0);
        }
    }

    /// A packet that was accepted and could not be given back.
    pub(super) fn not_given_back(&mut self, note: Note) {
        self.add(
            counter_cell(Verdict::Lost, Reason::ReinjectFailed),
            1,
            note.bytes,
        );
    }

    fn add(&mut self, cell: usize, packets: u64, bytes: u64) {
        if let Some(cell) = self.cells.get_mut(cell) {
            cell.0 += packets;
            cell.1 += bytes;
            self.dirty = true;
        }
    }

    pub(super) fn publish(&mut self, to: &dyn WorkerCells) {
        if !std::mem::replace(&mut self.dirty, false) {
            return;
        }
        for (index, cell) in self.cells.iter_mut().enumerate() {
            let (packets, bytes) = std::mem::take(cell);
            if packets > 0 {
                to.add(index, packets, bytes);
            }
        }
    }
}
