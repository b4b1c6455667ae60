//! The counters of a worker, and a way to say which of them may move.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use palisade_abi::{COUNTER_ROW, Reason, Verdict, counter_cell};
use palisade_fastpath::WorkerCells;

/// Counter cells and the heartbeat, as a worker would find them in shared memory.
#[derive(Debug)]
pub(crate) struct Ledger {
    packets: [AtomicU64; COUNTER_ROW],
    bytes: [AtomicU64; COUNTER_ROW],
    beat: AtomicU64,
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            packets: std::array::from_fn(|_| AtomicU64::new(0)),
            bytes: std::array::from_fn(|_| AtomicU64::new(0)),
            beat: AtomicU64::new(0),
        }
    }

    pub(crate) fn last_beat(&self) -> u64 {
        self.beat.load(Ordering::Relaxed)
    }

    /// Packets by `verdict.reason`, zeros left out.
    pub(crate) fn snapshot(&self) -> BTreeMap<String, u64> {
        let mut moved = BTreeMap::new();
        for verdict in Verdict::ALL {
            for reason in Reason::ALL {
                let packets = self.packets[counter_cell(verdict, reason)].load(Ordering::Relaxed);
                if packets > 0 {
                    moved.insert(format!("{}.{}", verdict.label(), reason.label()), packets);
                }
            }
        }
        moved
    }

    /// Every counter that has moved is named here, and no other has.
    #[track_caller]
    pub(crate) fn assert_counts(&self, want: &[(&str, u64)]) {
        let want: BTreeMap<String, u64> = want
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect();
        assert_eq!(self.snapshot(), want);
    }

    /// Packets of all counters: what the kernel must have handed over.
    pub(crate) fn total(&self) -> u64 {
        self.packets
            .iter()
            .map(|cell| cell.load(Ordering::Relaxed))
            .sum()
    }

    pub(crate) fn bytes(&self, verdict: Verdict, reason: Reason) -> u64 {
        self.bytes[counter_cell(verdict, reason)].load(Ordering::Relaxed)
    }
}

impl WorkerCells for Ledger {
    fn add(&self, cell: usize, packets: u64, bytes: u64) {
        self.packets[cell].fetch_add(packets, Ordering::Relaxed);
        self.bytes[cell].fetch_add(bytes, Ordering::Relaxed);
    }

    fn beat(&self, now_ns: u64) {
        self.beat.store(now_ns, Ordering::Relaxed);
    }
}
