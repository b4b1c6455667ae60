//! The decision and the worker's loop, on rings made of plain memory: no root, no kernel.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is a test"
)]

mod accounting;
mod allocation;
mod cases;
#[path = "../support/mod.rs"]
mod support;
mod thread;
