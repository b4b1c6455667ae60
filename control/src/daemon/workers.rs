//! Workers on the real kernel: what they write to, and who is alive.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::SyncSender},
    time::Duration,
};

use arc_swap::ArcSwap;
use palisade_abi::{
    Event, FLOW_IDLE_CLOSING_NS, FLOW_IDLE_OTHER_NS, FLOW_IDLE_TCP_NS, FlowKey, FlowVerdict,
    LEARNED_CLOSING,
};
use palisade_fastpath::{
    Ports, Replies, SpawnError, Tables, VerdictSink, Worker, WorkerCells, WorkerSettings,
    clock::Now, fragments::FragmentTable, spawn,
};
use palisade_xdp::{FlowTable, HeartbeatCell, Kernel, LearnedTable, TableError, WorkerRow};

use crate::policies::Adoption;

/// Slot and queue.
pub(super) type Seat = (u16, u32);

const PROTOCOL_TCP: u8 = 6;

/// The workers that run.
#[derive(Debug, Default)]
pub(super) struct Roster {
    workers: Mutex<BTreeMap<Seat, Arc<Worker>>>,
}

impl Roster {
    fn workers(&self) -> MutexGuard<'_, BTreeMap<Seat, Arc<Worker>>> {
        self.workers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self, seat: Seat) -> Option<Arc<Worker>> {
        self.workers().get(&seat).cloned()
    }

    pub(super) fn seat(&self, seat: Seat, worker: Worker) {
        self.workers().insert(seat, Arc::new(worker));
    }

    /// Takes a worker off the roster. It ends when the last hold on it is dropped, which waits
    /// for its thread.
    pub(super) fn dismiss(&self, seat: Seat) -> Option<Arc<Worker>> {
        self.workers().remove(&seat)
    }

    pub(super) fn alive(&self) -> Vec<Seat> {
        let workers = self.workers();
        workers
            .iter()
            .filter(|(_, worker)| worker.is_alive())
            .map(|(seat, _)| *seat)
            .collect()
    }

    pub(super) fn events_lost(&self) -> u64 {
        self.workers()
            .values()
            .map(|worker| worker.figures().events_lost)
            .sum()
    }
}

impl Adoption for Roster {
    fn oldest(&self) -> Option<u32> {
        let workers = self.workers();
        let alive = workers.values().filter(|worker| worker.is_alive());
        alive.map(|worker| worker.adopted_generation()).min()
    }
}

/// What all workers of one interface share.
#[derive(Clone, Debug)]
pub(super) struct Shop {
    pub(super) kernel: Kernel,
    pub(super) tables: Arc<ArcSwap<Tables>>,
    pub(super) fragments: Arc<FragmentTable>,
    pub(super) events: SyncSender<Event>,
}

impl Shop {
    /// Starts a worker. Blocks while the kernel lets go of a queue that a dead worker held.
    pub(super) fn start(&self, settings: WorkerSettings) -> Result<Worker, StartError> {
        let (slot, queue) = (settings.slot, settings.queue);
        let cells = Cells {
            row: self.kernel.worker_counters().cells(slot, queue)?,
            heartbeat: self.kernel.heartbeats().cell(slot, queue)?,
        };
        let sockets = self.kernel.sockets().clone();
        let ports = Ports {
            verdicts: Box::new(Verdicts(self.kernel.flows().clone())),
            cells: Arc::new(cells),
            events: self.events.clone(),
            fragments: Arc::clone(&self.fragments),
            replies: Box::new(Learned(self.kernel.learned().clone())),
            register: Box::new(move |socket| {
                sockets.set(slot, queue, socket).map_err(io::Error::other)
            }),
        };
        Ok(spawn(settings, Arc::clone(&self.tables), ports)?)
    }
}

/// Why a worker could not be started.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error(transparent)]
    Table(#[from] TableError),
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

struct Verdicts(FlowTable);

impl VerdictSink for Verdicts {
    fn write(&mut self, batch: &[(FlowKey, FlowVerdict)]) -> usize {
        // The worker counts what was not written; each packet has its verdict all the same.
        self.0.write(batch).unwrap_or(0)
    }
}

struct Cells {
    row: WorkerRow,
    heartbeat: HeartbeatCell,
}

impl WorkerCells for Cells {
    fn add(&self, cell: usize, packets: u64, bytes: u64) {
        self.row.add(cell, packets, bytes);
    }

    fn beat(&self, now_ns: u64) {
        self.heartbeat.beat(now_ns);
    }
}

struct Learned(LearnedTable);

impl Replies for Learned {
    fn expects(&self, flow: &FlowKey, now: Now) -> bool {
        let Ok(Some(learned)) = self.0.get(flow) else {
            return false;
        };
        let idle = if learned.flags & LEARNED_CLOSING != 0 {
            FLOW_IDLE_CLOSING_NS
        } else if flow.protocol == PROTOCOL_TCP {
            FLOW_IDLE_TCP_NS
        } else {
            FLOW_IDLE_OTHER_NS
        };
        let seen = Now::from_nanoseconds(learned.last_seen_ns);
        now.since(seen) < Duration::from_nanos(idle)
    }
}
