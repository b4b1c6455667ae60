//! Networks of namespaces on one machine, for the tests, the demo and the benchmarks.
//!
//! ```text
//!   client ──┐
//!   attacker ┼── switch (bridge) ══ up0 edge: the daemon under test, the servers it protects
//!   proxy ───┘        N queues ══
//! ```
//!
//! Every lab has names of its own (process id and a counter), so labs run side by side. Dropping
//! one removes what it made, after a panic too; what a killed run left behind is swept away by the
//! next lab of whatever process. Nothing leaves the namespaces: there is no route to the machine's
//! own network.
//!
//! Pins live in a bpffs that the lab mounts in its own folder, so they vanish with it and no two
//! labs can see each other's tables.

mod api;
mod clock;
mod command;
mod daemon;
mod host;
pub mod load;
mod netns;
mod network;
pub mod packet;
mod samples;
mod sweep;
mod wire;

pub use api::{Answer, Api};
pub use clock::{eventually, now, pause};
pub use command::run;
pub use daemon::{Daemon, DaemonOptions, DaemonPaths};
pub use host::{Host, Process, echoes};
pub use network::{Lab, LabOptions, Place};
pub use samples::Samples;
pub use sweep::leftovers as sweep_leftovers;
pub use wire::{Capture, Injector};

/// Whether a test that needs root can run here; says so aloud if it cannot.
///
/// # Panics
/// When the environment has `PALISADE_REQUIRE_ROOT=1`: there, a skipped test is a failed one.
#[must_use]
pub fn require_root() -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    let required = std::env::var_os("PALISADE_REQUIRE_ROOT").is_some_and(|value| value == "1");
    assert!(
        !required,
        "needs root, and PALISADE_REQUIRE_ROOT=1 forbids skipping"
    );
    println!("skipped: needs root for network namespaces and BPF");
    false
}
