//! Packets that died with a worker, counted.
//!
//! The kernel counts what it hands to workers, the workers count what became of it. What stood in
//! the rings of a worker that was killed is in the first sum and not in the second. When an
//! interface is attached and none of its workers runs yet, the difference is exactly that.

use palisade_abi::{Reason, Verdict, counter_cell};
use palisade_xdp::{Kernel, Row, TableError};
use tracing::info;

/// Counts the packets that nobody accounted for as lost with reason `no_worker`.
pub(super) fn settle(kernel: &Kernel, slot: u16) -> Result<(), TableError> {
    let (handed, handed_bytes) = sum(&kernel.counters().row(slot)?, &[Verdict::Inspect]);
    let ended = [Verdict::Pass, Verdict::Drop, Verdict::Lost];
    let (accounted, accounted_bytes) = sum(&kernel.worker_counters().row(slot)?, &ended);
    let packets = handed.saturating_sub(accounted);
    if packets > 0 {
        let bytes = handed_bytes.saturating_sub(accounted_bytes);
        let cell = counter_cell(Verdict::Lost, Reason::NoWorker);
        kernel
            .worker_counters()
            .cells(slot, 0)?
            .add(cell, packets, bytes);
        info!(slot, packets, "packets had been lost with their workers");
    }
    Ok(())
}

fn sum(row: &Row, verdicts: &[Verdict]) -> (u64, u64) {
    let cells = verdicts.iter().flat_map(|verdict| {
        Reason::ALL
            .into_iter()
            .map(move |reason| row.get(*verdict, reason))
    });
    cells.fold((0, 0), |(packets, bytes), cell| {
        (packets + cell.packets, bytes + cell.bytes)
    })
}
