//! The benchmark's clocks and its place on the machine.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::{
    thread::{CpuSet, sched_setaffinity},
    time::{ClockId, clock_gettime},
};

/// The generator and every receiving program run here.
pub(crate) const GENERATOR_CPU: usize = 0;
/// The AF_XDP worker under test runs here.
pub(crate) const WORKER_CPU: usize = 1;

/// Keeps the calling thread on one CPU.
pub(crate) fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("pinning to CPU {cpu}"))
}

/// CPU time of the calling thread that `work` takes. It includes the softirqs that run inside its
/// system calls, and leaves out what other processes take from the CPU.
pub(crate) fn cpu_time(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let read = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(
            u64::try_from(time.tv_sec).unwrap_or(0),
            u32::try_from(time.tv_nsec).unwrap_or(0),
        )
    };
    let start = read();
    work()?;
    Ok(read() - start)
}

/// Wall time that `work` takes.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place of the benchmark that reads a clock"
)]
pub(crate) fn wall_time(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}
