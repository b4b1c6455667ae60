//! The kernel side of palisade, from userspace: loads the programs of `xdp/bpf`, pins and attaches
//! them, and gives every map a typed handle.
//!
//! ```text
//! Kernel::open -> pinned maps, checked -> Kernel::attach -> XDP, egress, give-back
//!                        |
//!                        +-> bans  endpoints  policy  flows  learned  always_open  state  (tables)
//!                        +-> counters  worker_counters  heartbeats  sockets  events  (maps)
//! ```
//!
//! Enforcement outlives the process: maps and links are pinned under `<pin directory>/v<ABI>` and
//! only [`unload()`] takes them away. This crate knows nothing of policies; it stores what it is told.

mod attach;
mod error;
pub mod features;
mod interface;
mod kernel;
pub mod maps;
mod object;
mod pins;
mod programs;
mod sys;
pub mod tables;
mod unload;

pub use crate::{
    error::{Difference, LoadError, TableError},
    interface::{Action, Attached, AttachedMode, InterfaceSlot, InterfaceSpec, Mode, TcKind},
    kernel::Kernel,
    maps::{
        Counters, EventRing, HeartbeatCell, Heartbeats, Row, SocketMap, WorkerCounters, WorkerRow,
    },
    object::OBJECT,
    programs::Programs,
    tables::{
        AlwaysOpen, BanEffect, BanEntry, BanTable, EndpointTable, Family, FlowTable, LearnedTable,
        PolicySlot, PolicyStamp, PortProtocol, StateCell,
    },
    unload::{Unloaded, unload},
};
