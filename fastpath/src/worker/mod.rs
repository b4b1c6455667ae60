//! One worker thread for each receive queue: decisions carried out.
//!
//! [`Engine`] is the loop, generic over where packets come from and go to; [`spawn`] runs it on AF_XDP
//! sockets. A worker shares nothing with others but the fragment table of its interface, and talks to
//! the daemon through the traits in [`Ports`].
//!
//! Every packet that the kernel redirected ends in exactly one counter: passed or dropped with the
//! reason of its verdict, or lost. `worker_full`: the kernel had no frame for it. `reinject_failed`: it
//! was accepted, and the give-back pair did not take it.
//!
//! Before: [`pipeline`](crate::pipeline).

mod edges;
mod engine;
mod sampler;
mod shared;
mod tally;
mod thread;

use std::io;

use palisade_config::settings::ZeroCopy;

pub use edges::{GiveBack, Intake, Losses, Note, Ports, Refused, VerdictSink, WorkerCells};
pub use engine::Engine;
pub use shared::Figures;
pub use thread::{Worker, spawn};

use crate::xsk::{BindError, LayoutError};

/// Packets that are handled at once.
pub const BATCH: usize = 64;

/// What a worker is bound to.
#[derive(Clone, Debug)]
pub struct WorkerSettings {
    pub interface: String,
    /// The interface as the kernel program knows it: sockets are bound by name, and names move.
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

impl WorkerSettings {
    /// The longest packet that can be received and given back: what the kernel program must know as
    /// `frame_bytes_max`.
    pub const fn packet_bytes_max(frame_bytes: u32) -> u32 {
        frame_bytes.saturating_sub(XDP_HEADROOM + SHIM_BYTES)
    }
}

/// Bytes that the kernel keeps free in front of a packet (`XDP_PACKET_HEADROOM`).
const XDP_HEADROOM: u32 = 256;

/// Bytes that generic mode puts in front of a packet given back.
const SHIM_BYTES: u32 = 22;

const _: () = assert!(SHIM_BYTES as usize == size_of::<palisade_abi::Shim>());

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("{interface} is not the interface with index {ifindex} any more")]
    Renamed { interface: String, ifindex: u32 },
    #[error("the socket of {interface} queue {queue} was not taken by the kernel program's map")]
    Register {
        interface: String,
        queue: u32,
        source: io::Error,
    },
    #[error("no thread for {interface} queue {queue}")]
    Thread {
        interface: String,
        queue: u32,
        source: io::Error,
    },
}
