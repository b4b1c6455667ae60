//! One worker thread for each receive queue.

mod edges;

use std::{io, sync::Arc};

use arc_swap::ArcSwap;
use palisade_config::settings::ZeroCopy;

pub use edges::{GiveBack, Intake, Losses, Note, Ports, Refused, VerdictSink, WorkerCells};

use crate::tables::Tables;

/// Packets that are handled at once.
pub const BATCH: usize = 64;

/// What a worker is bound to.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    pub interface: String,
    pub ifindex: u32,
    pub slot: u16,
    pub queue: u32,
    /// CPU to run on; `None` leaves it to the scheduler.
    pub cpu: Option<usize>,
    pub zero_copy: ZeroCopy,
    /// Near end of the give-back pair, and the transmit queue of this worker there.
    pub give_back: String,
    pub give_back_queue: u32,
    /// Generic mode: the token by which the kernel program knows its own packets again.
    pub shim: Option<u64>,
    /// Frames for packets to come, a power of two.
    pub frame_count: u32,
    /// Bytes of a frame, 2048 or 4096.
    pub frame_bytes: u32,
}

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    #[error(
        "frames: {count} of {bytes} bytes; the count must be a power of two, the size 2048 or 4096"
    )]
    Frames { count: u32, bytes: u32 },
    #[error("memory for {frames} frames was refused by the kernel")]
    Memory { frames: u32, source: io::Error },
    #[error("an AF_XDP socket on {interface} queue {queue} could not be bound")]
    Bind {
        interface: String,
        queue: u32,
        source: io::Error,
    },
    #[error(
        "the socket of {interface} queue {queue} could not be registered with the kernel program"
    )]
    Register {
        interface: String,
        queue: u32,
        source: io::Error,
    },
    #[error("the thread of {interface} queue {queue} did not start")]
    Thread {
        interface: String,
        queue: u32,
        source: io::Error,
    },
}

/// What a worker counts besides its packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Verdicts for which the flow table had no room. Their packets got their verdict all the same.
    pub verdicts_unwritten: u64,
    /// Descriptors from the kernel that led outside our memory.
    pub bad_descriptors: u64,
    /// Times that the kernel found no free frame.
    pub fill_ring_empty: u64,
    /// Sampled events that found their channel full.
    pub events_lost: u64,
}

/// A running worker.
#[derive(Debug)]
pub struct Worker {}

/// Starts a worker: binds its sockets, registers it and runs its thread.
pub fn spawn(
    settings: WorkerSettings,
    tables: Arc<ArcSwap<Tables>>,
    ports: Ports,
) -> Result<Worker, SpawnError> {
    let _ = (tables, ports);
    Err(SpawnError::Bind {
        interface: settings.interface,
        queue: settings.queue,
        source: io::ErrorKind::Unsupported.into(),
    })
}

impl Worker {
    /// The generation of the tables that every packet from now on is judged by, at least.
    pub fn adopted_generation(&self) -> u32 {
        0
    }

    pub fn is_alive(&self) -> bool {
        false
    }

    pub fn zero_copy(&self) -> bool {
        false
    }

    pub fn figures(&self) -> Figures {
        Figures::default()
    }

    /// Drains what has arrived, then ends the thread.
    pub fn stop(self) {}
}
