//! Time, as an argument.
//!
//! Decisions take a [`Now`]; only the worker's outer loop reads the clock, once a batch. It is the
//! clock of the kernel programs (`bpf_ktime_get_ns`), so that both sides compare the same numbers.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A reading of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Now {
    nanoseconds: u64,
}

impl Now {
    /// Reads the clock.
    pub fn read() -> Self {
        let time = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let rest = u64::try_from(time.tv_nsec).unwrap_or(0);
        Self::from_nanoseconds(seconds.saturating_mul(1_000_000_000).saturating_add(rest))
    }

    pub const fn from_nanoseconds(nanoseconds: u64) -> Self {
        Self { nanoseconds }
    }

    pub const fn nanoseconds(self) -> u64 {
        self.nanoseconds
    }

    pub const fn seconds(self) -> u64 {
        self.nanoseconds / 1_000_000_000
    }

    /// Time since `earlier`; zero when that lies ahead.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.nanoseconds.saturating_sub(earlier.nanoseconds))
    }
}

/// Lets time pass, in the few places that must ask the kernel again: never on the packet path.
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that may sleep, always with a deadline"
)]
pub(crate) fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

#[cfg(test)]
mod tests {
    use super::Now;

    #[test]
    fn the_clock_does_not_run_backwards() {
        let first = Now::read();
        let second = Now::read();
        assert!(first.nanoseconds() > 0);
        assert!(second >= first, "{first:?} {second:?}");
        assert_eq!(first.since(second).as_nanos(), 0);
    }
}
