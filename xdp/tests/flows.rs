//! What the programs make of flows: verdicts, generations, flows that start here and strangers.
//!
//! Each test plays one story on an endpoint that a policy isolates and one that none does.

use std::net::Ipv4Addr;

use std::time::Duration;

use palisade_abi::{FLOW_IDLE_OTHER_NS, FLOW_IDLE_TCP_NS, Reason, Verdict};
use palisade_xdp::{Action, BanEffect, BanEntry, InterfaceSpec, PortProtocol};

use crate::support::{
    Xdp,
    answers::{
        Answer, BANNED, DENIED, ELSEWHERE, ESTABLISHED, GUARDED, INSPECTED, INSPECTED_FRAGMENT,
        ISOLATED, NO_WORKER, OPEN, PASSES, REPLY, WAVED_THROUGH,
    },
    endpoints::{
        ALLOWED, GENERATION, REFUSED, bench_with_endpoints, bench_with_endpoints_of, key, now,
        worker,
    },
    frames::{
        ACK, DESTINATION, Ends, FRAGMENT, ICMP, ICMPV6, SCTP, SYN, TCP, UDP, extension, fragment4,
        fragment6, icmp, sctp, tcp, udp,
    },
    spec,
};

#[test]
fn who_is_judged() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench_with_endpoints();
    let _worker = worker(&bench);
    let syn = tcp(40_000, 80, SYN);
    #[rustfmt::skip]
    let cases: [(&str, Vec<u8>, Answer); 16] = [
        ("to nobody we protect, IPv4",  ELSEWHERE.v4(TCP, &syn),                 PASSES),
        ("to nobody we protect, IPv6",  ELSEWHERE.v6(TCP, &syn),                 PASSES),
        ("to an open endpoint, IPv4",   OPEN.v4(TCP, &syn),                      PASSES),
        ("to an open endpoint, IPv6",   OPEN.v6(TCP, &syn),                      PASSES),
        ("to an isolated one, IPv4",    ISOLATED.v4(TCP, &syn),                  INSPECTED),
        ("to an isolated one, IPv6",    ISOLATED.v6(TCP, &syn),                  INSPECTED),
        ("UDP to an isolated one",      ISOLATED.v4(UDP, &udp(1, 2, &[])),       INSPECTED),
        ("echo to an isolated one",     ISOLATED.v6(ICMPV6, &icmp(128, 0, 9)),   INSPECTED),
        ("an ICMP error to it",         ISOLATED.v4(ICMP, &icmp(3, 4, 0)),       INSPECTED),
        ("GRE to an isolated one",      ISOLATED.v4(47, &[0; 8]),                INSPECTED),
        ("behind options",              ISOLATED.v6(DESTINATION, &extension(TCP, 0, &syn)), INSPECTED),
        ("a first fragment to it",      fragment4(ISOLATED.v4(TCP, &syn), 0, true),         INSPECTED_FRAGMENT),
        ("a later fragment to it",      ISOLATED.v6(FRAGMENT, &fragment6(TCP, 9, true, &[0; 8])), INSPECTED_FRAGMENT),
        ("an atomic fragment to it",    ISOLATED.v6(FRAGMENT, &fragment6(TCP, 0, false, &syn)),   INSPECTED),
        ("a fragment to an open one",   fragment4(OPEN.v4(TCP, &syn), 0, true),  PASSES),
        ("an orphan to an open one",    fragment4(OPEN.v4(TCP, &[0; 8]), 9, false), PASSES),
    ];
    for (name, frame, want) in cases {
        assert_eq!(bench.judge(&frame), want, "{name}");
    }
    bench.reconfigure(&InterfaceSpec {
        judge: false,
        ..spec("probe")
    });
    let frame = ISOLATED.v4(TCP, &syn);
    assert_eq!(
        bench.judge(&frame),
        PASSES,
        "without endpoints nothing is judged"
    );
}

#[test]
fn verdicts_are_remembered_under_their_generation() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench_with_endpoints();
    let _worker = worker(&bench);
    let flows = bench.test.kernel.flows();
    let state = bench.test.kernel.state();
    for v6 in [false, true] {
        let flow = key(&ISOLATED, v6, TCP, 40_000, 80);
        let segment = tcp(40_000, 80, ACK);
        let frame = if v6 {
            ISOLATED.v6(TCP, &segment)
        } else {
            ISOLATED.v4(TCP, &segment)
        };
        state.set_generation(GENERATION);
        assert_eq!(bench.judge(&frame), INSPECTED, "nothing is known yet");
        assert_eq!(flows.write(&[(flow, ALLOWED())]).expect("written"), 1);
        assert_eq!(bench.judge(&frame), ESTABLISHED);
        flows.write(&[(flow, REFUSED())]).expect("written");
        assert_eq!(
            bench.judge(&frame),
            DENIED,
            "with the reason of the verdict"
        );
        state.set_generation(GENERATION + 1);
        assert_eq!(
            bench.judge(&frame),
            INSPECTED,
            "another generation makes it stale"
        );
        state.set_generation(GENERATION);
        let first = fragment4(ISOLATED.v4(TCP, &segment), 0, true);
        assert_eq!(
            bench.judge(&first),
            INSPECTED_FRAGMENT,
            "fragments have no flow of their own"
        );
    }
    assert_eq!(flows.count().expect("readable"), 2);
    flows.clear().expect("cleared");
    assert_eq!(flows.count().expect("readable"), 0);
    assert_eq!(
        bench.judge(&ISOLATED.v4(TCP, &tcp(40_000, 80, ACK))),
        INSPECTED
    );
}

#[test]
fn only_the_same_flow_has_the_verdict() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench_with_endpoints();
    let _worker = worker(&bench);
    let flow = key(&ISOLATED, false, TCP, 40_000, 80);
    let echo = key(&ISOLATED, false, ICMP, 9, 9);
    bench
        .test
        .kernel
        .flows()
        .write(&[(flow, ALLOWED()), (echo, ALLOWED())])
        .expect("written");
    let other = Ends {
        source4: Ipv4Addr::new(192, 0, 2, 2),
        ..ISOLATED
    };
    #[rustfmt::skip]
    let cases = [
        ("the flow itself",        ISOLATED.v4(TCP, &tcp(40_000, 80, 0)),    ESTABLISHED),
        ("another source port",    ISOLATED.v4(TCP, &tcp(40_001, 80, 0)),    INSPECTED),
        ("another port",           ISOLATED.v4(TCP, &tcp(40_000, 81, 0)),    INSPECTED),
        ("another protocol",       ISOLATED.v4(UDP, &udp(40_000, 80, &[])),  INSPECTED),
        ("another source",         other.v4(TCP, &tcp(40_000, 80, 0)),       INSPECTED),
        ("the echo flow itself",   ISOLATED.v4(ICMP, &icmp(8, 0, 9)),        ESTABLISHED),
        ("another identifier",     ISOLATED.v4(ICMP, &icmp(8, 0, 10)),       INSPECTED),
        ("a reply, not a request", ISOLATED.v4(ICMP, &icmp(0, 0, 9)),        INSPECTED),
        ("an error",               ISOLATED.v4(ICMP, &icmp(3, 1, 9)),        INSPECTED),
    ];
    for (name, frame, want) in cases {
        assert_eq!(bench.judge(&frame), want, "{name}");
    }
}

#[test]
fn verdicts_end_when_the_flow_is_idle() {
    if !palisade_lab::require_root() {
        return;
    }
    const SECOND: u64 = 1_000_000_000;
    let bench = bench_with_endpoints();
    let _worker = worker(&bench);
    let flows = bench.test.kernel.flows();
    let frames = [
        (
            key(&ISOLATED, false, TCP, 1, 2),
            ISOLATED.v4(TCP, &tcp(1, 2, ACK)),
            FLOW_IDLE_TCP_NS,
        ),
        (
            key(&ISOLATED, false, UDP, 1, 2),
            ISOLATED.v4(UDP, &udp(1, 2, &[])),
            FLOW_IDLE_OTHER_NS,
        ),
    ];
    for (flow, frame, limit) in frames {
        // A machine that has not been up so long has no such past.
        let Some(long_ago) = now().checked_sub(limit + 10 * SECOND) else {
            println!("skipped: needs an uptime of {} s", limit / SECOND);
            continue;
        };
        let mut seen = ALLOWED();
        seen.last_seen_ns = long_ago;
        flows.write(&[(flow, seen)]).expect("written");
        assert_eq!(bench.judge(&frame), INSPECTED, "idle for too long");

        seen.last_seen_ns = long_ago + 20 * SECOND;
        flows.write(&[(flow, seen)]).expect("written");
        assert_eq!(bench.judge(&frame), ESTABLISHED, "just in time");
        let refreshed = flows
            .get(&flow)
            .expect("readable")
            .expect("there")
            .last_seen_ns;
        assert!(
            now() - refreshed < 10 * SECOND,
            "the packet kept the flow alive"
        );
    }
}

#[test]
fn a_ban_comes_before_every_flow() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench_with_endpoints();
    let _worker = worker(&bench);
    let kernel = &bench.test.kernel;
    bench.leave(&ISOLATED.reversed().v4(TCP, &tcp(443, 50_000, SYN)));
    kernel
        .flows()
        .write(&[(key(&ISOLATED, false, TCP, 1, 2), ALLOWED())])
        .expect("written");
    let reply = ISOLATED.v4(TCP, &tcp(50_000, 443, SYN | ACK));
    let established = ISOLATED.v4(TCP, &tcp(1, 2, ACK));
    assert_eq!(
        (bench.judge(&reply), bench.judge(&established)),
        (REPLY, ESTABLISHED)
    );

    let ban = |effect| BanEntry {
        prefix: (ISOLATED.source4.into(), 32),
        effect,
    };
    kernel
        .bans()
        .apply(&[ban(Some(BanEffect::Banned))])
        .expect("there is room");
    assert_eq!(
        (bench.judge(&reply), bench.judge(&established)),
        (BANNED, BANNED)
    );
    kernel.bans().apply(&[ban(None)]).expect("it is there");
    assert_eq!(
        (bench.judge(&reply), bench.judge(&established)),
        (REPLY, ESTABLISHED)
    );
}

#[test]
fn always_open_ports() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench_with_endpoints();
    let _worker = worker(&bench);
    let open = bench.test.kernel.always_open();
    let ports = [
        (PortProtocol::Tcp, 22),
        (PortProtocol::Tcp, 65_535),
        (PortProtocol::Udp, 0),
        (PortProtocol::Sctp, 64),
    ];
    open.replace(&ports);
    assert_eq!(open.ports(), ports);
    #[rustfmt::skip]
    let cases = [
        ("tcp/22",             ISOLATED.v4(TCP, &tcp(1, 22, SYN)),       GUARDED),
        ("tcp/22, IPv6",       ISOLATED.v6(TCP, &tcp(1, 22, SYN)),       GUARDED),
        ("tcp/65535",          ISOLATED.v4(TCP, &tcp(1, 65_535, SYN)),   GUARDED),
        ("udp/0",              ISOLATED.v4(UDP, &udp(1, 0, &[])),        GUARDED),
        ("sctp/64",            ISOLATED.v4(SCTP, &sctp(1, 64, 1)),       GUARDED),
        ("tcp/23",             ISOLATED.v4(TCP, &tcp(1, 23, SYN)),       INSPECTED),
        ("tcp from port 22",   ISOLATED.v4(TCP, &tcp(22, 1, SYN)),       INSPECTED),
        ("udp/22",             ISOLATED.v4(UDP, &udp(1, 22, &[])),       INSPECTED),
        ("sctp/22",            ISOLATED.v4(SCTP, &sctp(1, 22, 1)),       INSPECTED),
        ("tcp/22 in a fragment", fragment4(ISOLATED.v4(TCP, &tcp(1, 22, SYN)), 0, true), INSPECTED_FRAGMENT),
    ];
    for (name, frame, want) in cases {
        assert_eq!(bench.judge(&frame), want, "{name}");
    }
    open.replace(&[]);
    assert_eq!(bench.judge(&ISOLATED.v4(TCP, &tcp(1, 22, SYN))), INSPECTED);
}

#[test]
fn without_a_worker_the_interface_decides() {
    if !palisade_lab::require_root() {
        return;
    }
    for (action, want) in [(Action::Drop, NO_WORKER), (Action::Pass, WAVED_THROUGH)] {
        let spec = InterfaceSpec {
            when_workers_fail: action,
            ..spec("probe")
        };
        let bench = bench_with_endpoints_of(&spec);
        let frame = ISOLATED.v4(TCP, &tcp(1, 2, SYN));
        assert_eq!(bench.judge(&frame), want, "nobody has ever been there");

        let socket = worker(&bench);
        assert_eq!(bench.judge(&frame), INSPECTED, "a worker is there");
        let beat = bench
            .test
            .kernel
            .heartbeats()
            .cell(bench.slot, 0)
            .expect("there is a place");
        bench
            .test
            .kernel
            .state()
            .set_heartbeat_timeout(Duration::from_secs(1));
        beat.beat(now() - 2_000_000_000);
        assert_eq!(bench.judge(&frame), want, "it has stopped beating");
        beat.beat(0);
        assert_eq!(bench.judge(&frame), want, "it says that it has gone");
        beat.beat(now());
        assert_eq!(bench.judge(&frame), INSPECTED, "it beats again");
        bench
            .test
            .kernel
            .state()
            .set_heartbeat_timeout(Duration::from_secs(60));

        let long = ISOLATED.v4(UDP, &udp(1, 2, &[0; 3_500]));
        assert_eq!(
            bench.judge(&long),
            want,
            "a frame that no worker can receive"
        );
        bench.reconfigure(&InterfaceSpec {
            queues: 0,
            ..spec.clone()
        });
        assert_eq!(bench.judge(&frame), want, "a queue that has no worker");
        bench.reconfigure(&spec);
        drop(socket);
        assert_eq!(bench.judge(&frame), want, "its socket has closed");
    }
}

/// Drops are sampled: some are told, none costs more than its count.
#[test]
fn drops_are_told_in_samples() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench_with_endpoints();
    let mut ring = bench.test.kernel.events().expect("the ring can be opened");
    let flow = key(&ISOLATED, false, TCP, 40_000, 80);
    bench
        .test
        .kernel
        .flows()
        .write(&[(flow, REFUSED())])
        .expect("written");
    let frame = ISOLATED.v4(TCP, &tcp(40_000, 80, ACK));
    let before = now();
    for _ in 0..1_000 {
        assert_eq!(bench.run(&frame).0, Xdp::Drop);
    }
    let mut events = Vec::new();
    while let Some(event) = ring.take() {
        events.push(event);
    }
    assert!(
        (1..500).contains(&events.len()),
        "{} events for 1000 drops",
        events.len()
    );
    for event in &events {
        assert!((before..=now()).contains(&event.time_ns));
        assert_eq!(event.source, flow.source);
        assert_eq!(event.destination, flow.destination);
        assert_eq!(event.source_port, flow.source_port);
        assert_eq!(event.destination_port, flow.destination_port);
        assert_eq!(
            (event.slot, usize::from(event.length)),
            (bench.slot, frame.len())
        );
        assert_eq!(event.protocol, TCP);
        assert_eq!(event.verdict, Verdict::Drop as u8);
        assert_eq!(event.reason, Reason::PolicyDenied as u8);
    }
    assert_eq!(bench.test.kernel.events_lost().expect("readable"), 0);
}
