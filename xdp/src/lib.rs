//! The kernel side of palisade, from userspace: loads the programs of `xdp/bpf`, pins and attaches
//! them, and gives every map a typed handle.
//!
//! ```text
//! Kernel::open -> pinned maps, checked -> Kernel::attach -> XDP, egress, give-back
//!                        |
//!                        +-> bans  endpoints  flows  learned  always_open  state     (tables)
//!                        +-> counters  worker_counters  heartbeats  sockets  events  (the rest)
//! ```
//!
//! Enforcement outlives the process: maps and links are pinned under `<pin directory>/v<ABI>` and
//! only [`unload`] takes them away. This crate knows nothing of policies; it stores what it is told.

mod error;
pub mod features;
mod kernel;
pub mod maps;
pub mod tables;

pub use crate::{
    error::{LoadError, TableError},
    kernel::{
        Action, Attached, AttachedMode, InterfaceSlot, InterfaceSpec, Kernel, Mode, TcKind,
        Unloaded, unload,
    },
    maps::{
        Counters, EventRing, HeartbeatCell, Heartbeats, Row, SocketMap, WorkerCounters, WorkerRow,
    },
    tables::{
        AlwaysOpen, BanEffect, BanEntry, BanTable, EndpointTable, Family, FlowTable, LearnedTable,
        PortProtocol, StateCell,
    },
};
