//! What a worker's thread and its handle both see.

use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

/// What a worker counts besides its packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Verdicts for which the flow table had no room. Their packets got their verdict all the same
    /// and are counted under it: this is a figure of its own, not part of the sum of packets.
    pub verdicts_unwritten: u64,
    /// Descriptors from the kernel that led outside our memory. Their packets are counted as lost.
    pub bad_descriptors: u64,
    /// Times that the kernel found no free frame. When copying, its packets are counted as lost.
    pub fill_ring_empty: u64,
    /// Sampled events that found their channel full.
    pub events_lost: u64,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) stop: AtomicBool,
    pub(super) alive: AtomicBool,
    pub(super) adopted: AtomicU32,
    pub(super) verdicts_unwritten: AtomicU64,
    pub(super) bad_descriptors: AtomicU64,
    pub(super) fill_ring_empty: AtomicU64,
    pub(super) events_lost: AtomicU64,
    failure: Mutex<Option<String>>,
}

impl Shared {
    pub(super) fn figures(&self) -> Figures {
        let read = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        Figures {
            verdicts_unwritten: read(&self.verdicts_unwritten),
            bad_descriptors: read(&self.bad_descriptors),
            fill_ring_empty: read(&self.fill_ring_empty),
            events_lost: read(&self.events_lost),
        }
    }

    pub(super) fn failure(&self) -> Option<String> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn fail(&self, why: String) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }
}
