//! Workers on real AF_XDP sockets: the kernel's programs on a veth pair, in namespaces of their own.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "this is a test"
)]

mod rig;
#[expect(dead_code, reason = "the tests without root use the rest")]
#[path = "../support/mod.rs"]
mod support;
mod worker;
