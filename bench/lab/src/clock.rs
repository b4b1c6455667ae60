//! Time, for code that watches other processes and the kernel.
//!
//! The only clock and the only sleep of the lab are here: who waits for something names it as a
//! condition and says how long it may take.

use std::time::{Duration, Instant};

/// How often a condition is looked at.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The present, for measuring.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the lab's clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Lets `duration` pass: for load that must last, never to wait for something to happen.
#[expect(clippy::disallowed_methods, reason = "the lab's only sleep")]
pub fn pause(duration: Duration) {
    std::thread::sleep(duration);
}

/// Looks at `condition` until it holds or `within` is over; whether it held.
pub fn eventually(within: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = now() + within;
    loop {
        if condition() {
            return true;
        }
        if now() >= end {
            return false;
        }
        pause(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::{eventually, now};
    use std::time::Duration;

    #[test]
    fn a_condition_is_polled_until_it_holds() {
        let mut looks = 0;
        assert!(eventually(Duration::from_secs(5), || {
            looks += 1;
            looks == 3
        }));
        assert_eq!(looks, 3);
    }

    #[test]
    fn a_condition_that_never_holds_ends_at_its_deadline() {
        let start = now();
        assert!(!eventually(Duration::from_millis(50), || false));
        assert!(start.elapsed() >= Duration::from_millis(50));
    }
}
