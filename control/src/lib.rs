//! The control plane: what palisade should enforce, and everything that makes it so.
//!
//! ```text
//! api, cli -> core -> desired + store -> reconcile -> kernel
//!                  -> policy documents -> workers
//! ```
//!
//! [`core`] is what callers see. `desired` and `store` are the truth; the kernel's maps are a
//! cache of it that `reconcile` compares and repairs. [`daemon`] starts and stops all of it.
#![forbid(unsafe_code)]

pub mod api;
pub mod assemble;
pub mod bans;
pub mod cli;
pub mod clock;
pub mod core;
pub mod daemon;
pub mod desired;
pub mod enforce;
mod explain;
pub mod histogram;
pub mod metrics;
pub mod objects;
pub mod policies;
pub mod reconcile;
pub mod store;
#[doc(hidden)]
pub mod testing;
