//! How long things took, in buckets.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::core::HistogramFigures;

/// Upper bounds of the buckets in microseconds: from a fast disk to a slow import.
const BOUNDS_MICROS: [u64; 12] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 1_000_000, 5_000_000,
    30_000_000,
];

/// A histogram that any thread may add to.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS_MICROS.len()],
    count: AtomicU64,
    sum_micros: AtomicU64,
}

impl Histogram {
    pub fn observe(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let buckets = BOUNDS_MICROS.iter().zip(&self.buckets);
        for (_, bucket) in buckets.filter(|(bound, _)| micros <= **bound) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    pub fn figures(&self) -> HistogramFigures {
        let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
        HistogramFigures {
            buckets: BOUNDS_MICROS
                .iter()
                .zip(&self.buckets)
                .map(|(bound, bucket)| (seconds(*bound), bucket.load(Ordering::Relaxed)))
                .collect(),
            sum_seconds: seconds(self.sum_micros.load(Ordering::Relaxed)),
            count: self.count.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Histogram;

    #[test]
    fn buckets_are_cumulative() {
        let histogram = Histogram::default();
        for millis in [1, 1, 20, 90_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let figures = histogram.figures();
        let at_most = |seconds: f64| {
            figures
                .buckets
                .iter()
                .find(|(bound, _)| *bound >= seconds)
                .map(|(_, count)| *count)
        };
        assert_eq!(at_most(0.0005), Some(0));
        assert_eq!(at_most(0.001), Some(2));
        assert_eq!(at_most(0.025), Some(3));
        assert_eq!(at_most(30.0), Some(3));
        assert_eq!(figures.count, 4);
    }
}
