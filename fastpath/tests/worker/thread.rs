//! The thread of a worker: it lives, drains, and dies alone.

use std::sync::atomic::Ordering;

use palisade_fastpath::{Tables, clock::Now};

use crate::support::{
    case::Line,
    rings::{Bench, Options},
};

/// Waits until `condition` holds, at most five seconds.
#[track_caller]
fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Now::read();
    while !condition() {
        assert!(Now::read().since(start).as_secs() < 5, "never: {what}");
        std::thread::yield_now();
    }
}

fn packet(port: u16) -> Vec<u8> {
    Line::parse(&format!(
        "tcp 198.51.100.7:{port} -> 192.0.2.20:80 pass no_policy"
    ))
    .frame
}

fn bench() -> Bench {
    let none = Tables {
        generation: 9,
        ..Tables::default()
    };
    Bench::new(none, Options::default())
}

#[test]
fn a_worker_runs_and_stops_with_nothing_left() {
    let bench = bench();
    let worker = bench.engine.start("test".to_owned(), Some(0)).unwrap();
    eventually("alive and adopted", || {
        worker.is_alive() && worker.adopted_generation() == 9
    });
    eventually("a beat", || bench.ledger.last_beat() > 0);
    (0..100).for_each(|port| bench.arrivals.push(packet(port)));
    worker.stop();
    bench.ledger.assert_counts(&[("pass.no_policy", 100)]);
    assert!(bench.arrivals.is_empty());
    assert_eq!(
        bench.ledger.last_beat(),
        0,
        "the kernel is told that nobody is here"
    );
}

#[test]
fn what_the_kernel_never_takes_is_lost_at_the_end() {
    let bench = bench();
    bench.departures.stuck.store(true, Ordering::Relaxed);
    (0..10).for_each(|port| bench.arrivals.push(packet(port)));
    let worker = bench.engine.start("test".to_owned(), None).unwrap();
    worker.stop();
    bench.ledger.assert_counts(&[("lost.reinject_failed", 10)]);
}

#[test]
fn a_panic_ends_one_worker_and_not_the_program() {
    let healthy = bench();
    let doomed = bench();
    doomed.flows.panics.store(true, Ordering::Relaxed);
    let other = healthy.engine.start("healthy".to_owned(), None).unwrap();
    let worker = doomed.engine.start("doomed".to_owned(), None).unwrap();
    assert!(worker.is_alive());
    doomed.arrivals.push(packet(1));
    eventually("the end of the worker", || !worker.is_alive());
    assert_eq!(worker.failure().as_deref(), Some("panic"));
    assert_eq!(doomed.ledger.last_beat(), 0);
    doomed.ledger.assert_counts(&[("lost.reinject_failed", 1)]);

    healthy.arrivals.push(packet(1));
    eventually("the other goes on", || healthy.ledger.total() == 1);
    assert!(other.is_alive() && other.failure().is_none());
}

#[test]
fn a_device_that_is_gone_ends_the_worker() {
    let bench = bench();
    bench.departures.broken.store(true, Ordering::Relaxed);
    let worker = bench.engine.start("test".to_owned(), None).unwrap();
    assert!(worker.failure().is_none());
    bench.arrivals.push(packet(1));
    eventually("the end of the worker", || !worker.is_alive());
    assert!(worker.failure().is_some());
    assert_eq!(bench.ledger.last_beat(), 0);
    bench.ledger.assert_counts(&[("lost.reinject_failed", 1)]);
}
