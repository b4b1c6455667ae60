//! Every packet that the kernel hands over ends in exactly one counter.

use std::sync::atomic::Ordering;

use palisade_abi::{Reason, Stage, Verdict};
use palisade_fastpath::clock::Now;

use crate::support::{
    case::{Line, tables},
    frames::{
        AUTHENTICATION, DESTINATION_OPTIONS, HOP_BY_HOP, Ip, QINQ, ROUTING, TCP, VLAN,
        authentication, ethernet, extension, tagged, tcp,
    },
    rings::{Bench, Options},
};

const CLOSED: &str = "
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: web, namespace: default}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{ports: [{protocol: TCP, port: 443}]}]
";

fn at(milliseconds: u64) -> Now {
    Now::from_nanoseconds(milliseconds * 1_000_000)
}

fn allowed(port: u16) -> Vec<u8> {
    Line::parse(&format!(
        "tcp 198.51.100.7:{port} -> 192.0.2.10:443 pass policy_allowed"
    ))
    .frame
}

fn denied(port: u16) -> Vec<u8> {
    Line::parse(&format!(
        "tcp 198.51.100.7:{port} -> 192.0.2.10:80 drop policy_denied"
    ))
    .frame
}

fn bench(options: Options) -> Bench {
    Bench::new(tables(CLOSED, 1), options)
}

#[test]
fn a_mixed_load_adds_up() {
    let mut bench = bench(Options::default());
    for port in 0..100 {
        bench.arrivals.push(allowed(port));
        bench.arrivals.push(denied(port));
        bench.arrivals.push(vec![0; 10]);
    }
    bench.arrivals.push(ethernet(0x0806, &[0; 28]));
    bench.arrivals.push(ethernet(0x8847, &[0; 28]));
    bench.arrivals.push_bad_descriptor();
    bench.arrivals.lost.store(5, Ordering::Relaxed);
    let mut rounds = 0;
    while bench.engine.turn(at(1_000)).unwrap() > 0 {
        rounds += 1;
    }
    assert_eq!(rounds, 5, "303 packets in batches of 64");
    assert_eq!(bench.arrivals.released.load(Ordering::Relaxed), 303);
    bench.ledger.assert_counts(&[
        ("pass.policy_allowed", 100),
        ("drop.policy_denied", 100),
        ("drop.malformed", 100),
        ("pass.not_ip", 1),
        ("drop.unsupported_encapsulation", 1),
        ("lost.worker_full", 6),
    ]);
    assert_eq!(bench.ledger.total(), 303 + 5);
    assert_eq!(bench.ledger.bytes(Verdict::Drop, Reason::Malformed), 1_000);
    assert_eq!(
        bench.ledger.bytes(Verdict::Pass, Reason::PolicyAllowed),
        100 * 54
    );
    assert_eq!(bench.departures.delivered.lock().unwrap().len(), 101);
}

/// Tags, options and extension headers in front of a port change nothing about it.
#[test]
fn dressed_up_packets_are_judged_like_plain_ones() {
    let mut bench = bench(Options::default());
    let plain4 = |port| Ip::new("198.51.100.7", "192.0.2.10", TCP, tcp(5, port, 2)).checked();
    let plain6 = |port| Ip::new("2001:db8:a::7", "2001:db8:b::10", TCP, tcp(5, port, 2)).checked();
    for port in [443, 80] {
        bench
            .arrivals
            .push(tagged(&plain4(port).frame(), &[(QINQ, 5), (VLAN, 6)]));
        bench
            .arrivals
            .push(tagged(&plain6(port).frame(), &[(VLAN, 0)]));
        bench.arrivals.push(
            Ip {
                options: vec![1; 12],
                ..plain4(port)
            }
            .frame(),
        );
        let extensions = vec![
            (HOP_BY_HOP, extension(0)),
            (DESTINATION_OPTIONS, extension(3)),
            (ROUTING, extension(2)),
            (AUTHENTICATION, authentication(4)),
        ];
        bench.arrivals.push(
            Ip {
                extensions,
                ..plain6(port)
            }
            .frame(),
        );
    }
    bench.engine.turn(at(1_000)).unwrap();
    bench
        .ledger
        .assert_counts(&[("pass.policy_allowed", 4), ("drop.policy_denied", 4)]);
}

#[test]
fn a_full_give_back_loses_and_says_so() {
    let mut bench = bench(Options::default());
    bench.departures.room.store(10, Ordering::Relaxed);
    bench.departures.stuck.store(true, Ordering::Relaxed);
    for port in 0..15 {
        bench.arrivals.push(allowed(port));
    }
    bench.engine.turn(at(1_000)).unwrap();
    bench.ledger.assert_counts(&[("lost.reinject_failed", 5)]);

    // Ten are in flight, and counted once the kernel takes them.
    bench.departures.stuck.store(false, Ordering::Relaxed);
    bench.engine.turn(at(1_001)).unwrap();
    bench
        .ledger
        .assert_counts(&[("lost.reinject_failed", 5), ("pass.policy_allowed", 10)]);
}

/// The pair takes no more than ten at once, but takes them when asked to: nothing is lost.
#[test]
fn a_small_give_back_is_emptied_on_the_way() {
    let mut bench = bench(Options::default());
    bench.departures.room.store(10, Ordering::Relaxed);
    (0..64).for_each(|port| bench.arrivals.push(allowed(port)));
    bench.engine.turn(at(1_000)).unwrap();
    bench.ledger.assert_counts(&[("pass.policy_allowed", 64)]);
}

#[test]
fn a_full_flow_table_costs_no_packet() {
    let mut bench = bench(Options {
        flow_room: 3,
        ..Options::default()
    });
    (0..5).for_each(|port| bench.arrivals.push(allowed(port)));
    (0..5).for_each(|port| bench.arrivals.push(denied(port)));
    bench.engine.turn(at(1_000)).unwrap();
    bench
        .ledger
        .assert_counts(&[("pass.policy_allowed", 5), ("drop.policy_denied", 5)]);
    assert_eq!(bench.flows.written.lock().unwrap().len(), 3);
    assert_eq!(bench.engine.figures().verdicts_unwritten, 7);
}

#[test]
fn a_burst_of_one_flow_is_written_once() {
    let mut bench = bench(Options::default());
    (0..20).for_each(|_| bench.arrivals.push(allowed(7)));
    bench.engine.turn(at(1_000)).unwrap();
    bench.ledger.assert_counts(&[("pass.policy_allowed", 20)]);
    assert_eq!(bench.flows.written.lock().unwrap().len(), 1);
}

#[test]
fn losses_are_read_now_and_then() {
    let mut bench = bench(Options::default());
    bench.engine.turn(at(1_000)).unwrap();
    bench.arrivals.lost.store(3, Ordering::Relaxed);
    bench.engine.turn(at(1_050)).unwrap();
    bench.ledger.assert_counts(&[]);
    bench.engine.turn(at(1_100)).unwrap();
    bench.ledger.assert_counts(&[("lost.worker_full", 3)]);
    bench.engine.turn(at(1_300)).unwrap();
    bench.ledger.assert_counts(&[("lost.worker_full", 3)]);
}

#[test]
fn a_turn_beats_and_takes_up_new_tables() {
    let mut bench = bench(Options::default());
    bench.engine.turn(at(1_000)).unwrap();
    assert_eq!(bench.ledger.last_beat(), 1_000_000_000);
    bench.arrivals.push(denied(1));
    bench.engine.turn(at(1_010)).unwrap();

    let open = CLOSED.replace("443", "80");
    bench.tables.store(std::sync::Arc::new(tables(&open, 2)));
    bench.arrivals.push(denied(1));
    bench.engine.turn(at(1_020)).unwrap();
    bench
        .ledger
        .assert_counts(&[("drop.policy_denied", 1), ("pass.policy_allowed", 1)]);
    let generations: Vec<u32> = bench
        .flows
        .written
        .lock()
        .unwrap()
        .iter()
        .map(|(_, verdict)| verdict.generation)
        .collect();
    assert_eq!(generations, [1, 2]);
}

#[test]
fn events_have_a_budget_and_count_their_losses() {
    let mut bench = bench(Options {
        event_room: 30,
        ..Options::default()
    });
    (0..60).for_each(|port| bench.arrivals.push(denied(port)));
    bench.engine.turn(at(1_000)).unwrap();
    let events: Vec<_> = bench.events.try_iter().collect();
    assert_eq!(events.len(), 30);
    assert_eq!(bench.engine.figures().events_lost, 30);
    let event = events[0];
    assert_eq!((event.slot, event.stage), (3, Stage::Worker as u8));
    assert_eq!(
        (event.verdict, event.reason),
        (Verdict::Drop as u8, Reason::PolicyDenied as u8)
    );
    assert_eq!((event.destination_port, event.protocol), ([0, 80], 6));
    assert_eq!(event.source[10..], [0xff, 0xff, 198, 51, 100, 7]);
    assert_eq!(event.length, 54);

    // 40 of the second's 100 are left, and passes have a budget of their own.
    (0..50).for_each(|port| bench.arrivals.push(denied(port)));
    bench.engine.turn(at(1_500)).unwrap();
    bench.events.try_iter().for_each(drop);
    assert_eq!(
        bench.engine.figures().events_lost,
        40,
        "10 more lost, the rest not sampled"
    );
    (0..50).for_each(|port| bench.arrivals.push(allowed(port)));
    bench.engine.turn(at(1_600)).unwrap();
    assert_eq!(bench.events.try_iter().count(), 20);
    (0..5).for_each(|port| bench.arrivals.push(denied(port)));
    bench.engine.turn(at(2_000)).unwrap();
    assert_eq!(bench.events.try_iter().count(), 5, "a new second");
}

#[test]
fn a_broken_give_back_ends_the_worker_and_loses_nothing_uncounted() {
    let mut bench = bench(Options::default());
    bench.departures.broken.store(true, Ordering::Relaxed);
    (0..8).for_each(|port| bench.arrivals.push(allowed(port)));
    (0..4).for_each(|port| bench.arrivals.push(denied(port)));
    assert!(bench.engine.turn(at(1_000)).is_err());
    bench.engine.settle();
    bench
        .ledger
        .assert_counts(&[("lost.reinject_failed", 8), ("drop.policy_denied", 4)]);
}
