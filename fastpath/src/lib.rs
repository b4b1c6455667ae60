//! The slow half of the data path: packets that the kernel's tables could not decide.
//!
//! ```text
//! XDP -> AF_XDP -> worker: parse -> decide -> write the verdict -> give back | drop
//! ```
//!
//! - [`packet`] reduces a frame to what rules look at,
//! - [`pipeline`] decides, by the snapshot in [`tables`] and what [`fragments`] remembers,
//! - [`worker`] carries decisions out, one thread for each receive queue,
//! - [`xsk`] is the only place that touches AF_XDP sockets and memory shared with the kernel.
//!
//! Everything but [`xsk`] runs without root. The worker names the edges that it needs as traits, for
//! the daemon and the tests to fill in.

#![deny(unsafe_code)]

pub mod clock;
pub mod fragments;
pub mod packet;
pub mod pipeline;
pub mod tables;
pub mod verdict;
pub mod worker;
#[expect(unsafe_code, reason = "rings and frames shared with the kernel")]
pub mod xsk;

#[cfg(test)]
#[path = "../tests/support/frames.rs"]
mod frames;

pub use packet::parse;
pub use pipeline::{NoReplies, Replies, decide, judge};
pub use tables::Tables;
pub use verdict::{Decision, Fate};
pub use worker::{
    Figures, Ports, SpawnError, VerdictSink, Worker, WorkerCells, WorkerSettings, spawn,
};
