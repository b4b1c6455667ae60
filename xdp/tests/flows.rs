//! What the programs make of flows: verdicts, generations, flows that start here and strangers.
//!
//! Each test plays one story on an endpoint that a policy isolates and one that none does.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    os::fd::AsFd,
    time::Duration,
};

use palisade_abi::{
    ENDPOINT_INGRESS_ISOLATED, FLOW_ADMITTED, FLOW_IDLE_CLOSING_NS, FLOW_IDLE_OTHER_NS,
    FLOW_IDLE_TCP_NS, FlowKey, FlowVerdict, LEARNED_CLOSING, Reason, Verdict,
};
use palisade_xdp::{Action, BanEffect, BanEntry, InterfaceSpec, PortProtocol};
use rustix::time::{ClockId, clock_gettime};

use crate::support::{
    Bench, Xdp,
    frames::{
        ACK, DESTINATION, Ends, FIN, FRAGMENT, ICMP, ICMPV6, RST, SCTP, SYN, TCP, UDP, extension,
        fragment4, fragment6, icmp, sctp, tcp, udp,
    },
    spec,
};

type Answer = (Xdp, Verdict, Reason);

const NO_POLICY: Answer = (Xdp::Pass, Verdict::Pass, Reason::NoPolicy);
const ESTABLISHED: Answer = (Xdp::Pass, Verdict::Pass, Reason::FlowEstablished);
const REPLY: Answer = (Xdp::Pass, Verdict::Pass, Reason::Reply);
const GUARDED: Answer = (Xdp::Pass, Verdict::Pass, Reason::Guarded);
const DENIED: Answer = (Xdp::Drop, Verdict::Drop, Reason::PolicyDenied);
const BANNED: Answer = (Xdp::Drop, Verdict::Drop, Reason::Banned);
const INSPECTED: Answer = (Xdp::Redirect, Verdict::Inspect, Reason::NeedsPolicy);
const INSPECTED_FRAGMENT: Answer = (Xdp::Redirect, Verdict::Inspect, Reason::NeedsFragment);
const NO_WORKER: Answer = (Xdp::Drop, Verdict::Drop, Reason::NoWorker);
const WAVED_THROUGH: Answer = (Xdp::Pass, Verdict::Pass, Reason::NoWorker);

/// To the endpoint that a policy isolates.
const ISOLATED: Ends = Ends {
    source4: Ipv4Addr::new(192, 0, 2, 1),
    source6: Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1),
    destination4: Ipv4Addr::new(192, 0, 2, 10),
    destination6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 10),
};

/// To the endpoint that no policy selects.
const OPEN: Ends = Ends {
    destination4: Ipv4Addr::new(192, 0, 2, 20),
    destination6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 20),
    ..ISOLATED
};

/// Through the node, to nobody that it protects.
const ELSEWHERE: Ends = Ends {
    destination4: Ipv4Addr::new(192, 0, 2, 30),
    destination6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 30),
    ..ISOLATED
};

const GENERATION: u32 = 7;

fn bench() -> Bench {
    bench_of(&spec("probe"))
}

/// A slot with endpoints, but without a worker.
fn bench_of(spec: &InterfaceSpec) -> Bench {
    let bench = Bench::new(spec);
    let kernel = &bench.test.kernel;
    let isolated = ENDPOINT_INGRESS_ISOLATED;
    let endpoints: [(IpAddr, u32); 4] = [
        (ISOLATED.destination4.into(), isolated),
        (ISOLATED.destination6.into(), isolated),
        (OPEN.destination4.into(), 0),
        (OPEN.destination6.into(), 0),
    ];
    kernel
        .endpoints()
        .replace(&endpoints)
        .expect("there is room");
    kernel.state().set_generation(GENERATION);
    kernel
        .state()
        .set_heartbeat_timeout(Duration::from_secs(60));
    bench
}

/// A worker that is alive, as far as the program can see. It must be kept: the map forgets sockets
/// that are closed.
fn worker(bench: &Bench) -> std::os::fd::OwnedFd {
    const AF_XDP: u16 = 44;
    let family = rustix::net::AddressFamily::from_raw(AF_XDP);
    let socket = rustix::net::socket(family, rustix::net::SocketType::RAW, None).expect("AF_XDP");
    let kernel = &bench.test.kernel;
    kernel
        .sockets()
        .set(bench.slot, 0, socket.as_fd())
        .expect("there is a place");
    kernel
        .heartbeats()
        .cell(bench.slot, 0)
        .expect("there is a place")
        .beat(now());
    socket
}

fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    u64::try_from(time.tv_sec).expect("positive") * 1_000_000_000
        + u64::try_from(time.tv_nsec).expect("positive")
}

fn key(ends: &Ends, v6: bool, protocol: u8, source_port: u16, destination_port: u16) -> FlowKey {
    let (source, destination) = if v6 {
        (ends.source6, ends.destination6)
    } else {
        (
            ends.source4.to_ipv6_mapped(),
            ends.destination4.to_ipv6_mapped(),
        )
    };
    FlowKey {
        source: source.octets(),
        destination: destination.octets(),
        source_port: source_port.to_be_bytes(),
        destination_port: destination_port.to_be_bytes(),
        protocol,
        reserved: [0; 3],
    }
}

fn verdict(verdict: Verdict, reason: Reason) -> FlowVerdict {
    FlowVerdict {
        last_seen_ns: now(),
        generation: GENERATION,
        verdict: verdict as u8,
        reason: reason as u8,
        flags: 0,
        reserved: 0,
    }
}

const ALLOWED: fn() -> FlowVerdict = || verdict(Verdict::Pass, Reason::PolicyAllowed);
const REFUSED: fn() -> FlowVerdict = || verdict(Verdict::Drop, Reason::PolicyDenied);

fn admitted(bench: &Bench, key: &FlowKey) -> Option<FlowVerdict> {
    let found = bench.test.kernel.flows().get(key).expect("readable");
    found.filter(|found| u32::from(found.flags) & FLOW_ADMITTED != 0)
}

#[test]
fn who_is_judged() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench();
    let _worker = worker(&bench);
    let syn = tcp(40_000, 80, SYN);
    #[rustfmt::skip]
    let cases: [(&str, Vec<u8>, Answer); 16] = [
        ("to nobody we protect, IPv4",  ELSEWHERE.v4(TCP, &syn),                 NO_POLICY),
        ("to nobody we protect, IPv6",  ELSEWHERE.v6(TCP, &syn),                 NO_POLICY),
        ("to an open endpoint, IPv4",   OPEN.v4(TCP, &syn),                      NO_POLICY),
        ("to an open endpoint, IPv6",   OPEN.v6(TCP, &syn),                      NO_POLICY),
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
        ("a fragment to an open one",   fragment4(OPEN.v4(TCP, &syn), 0, true),  NO_POLICY),
        ("an orphan to an open one",    fragment4(OPEN.v4(TCP, &[0; 8]), 9, false), NO_POLICY),
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
        NO_POLICY,
        "without endpoints nothing is judged"
    );
}

#[test]
fn verdicts_are_remembered_under_their_generation() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench();
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
    let bench = bench();
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
    let bench = bench();
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
    let bench = bench();
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
fn replies_to_what_starts_here_pass() {
    if !palisade_lab::require_root() {
        return;
    }
    // What leaves, in the other direction what comes back, and whether that passes as a reply.
    type Story = (
        &'static str,
        fn(&Ends) -> Vec<u8>,
        fn(&Ends) -> Vec<u8>,
        bool,
    );
    #[rustfmt::skip]
    let stories: [Story; 22] = [
        ("TCP",             |e| e.v4(TCP, &tcp(5, 6, SYN)),        |e| e.v4(TCP, &tcp(6, 5, SYN | ACK)), true),
        ("TCP, IPv6",       |e| e.v6(TCP, &tcp(5, 6, SYN)),        |e| e.v6(TCP, &tcp(6, 5, SYN | ACK)), true),
        ("TCP with ECN",    |e| e.v4(TCP, &tcp(5, 6, SYN | 0xc0)), |e| e.v4(TCP, &tcp(6, 5, ACK)),       true),
        ("TCP, other port", |e| e.v4(TCP, &tcp(5, 6, SYN)),        |e| e.v4(TCP, &tcp(7, 5, ACK)),       false),
        ("our SYN+ACK",     |e| e.v4(TCP, &tcp(5, 6, SYN | ACK)),  |e| e.v4(TCP, &tcp(6, 5, ACK)),       false),
        ("our data",        |e| e.v4(TCP, &tcp(5, 6, ACK)),        |e| e.v4(TCP, &tcp(6, 5, ACK)),       false),
        ("our RST",         |e| e.v4(TCP, &tcp(5, 6, RST | ACK)),  |e| e.v4(TCP, &tcp(6, 5, SYN)),       false),
        ("UDP",             |e| e.v4(UDP, &udp(5, 6, b"?")),       |e| e.v4(UDP, &udp(6, 5, b"!")),      true),
        ("UDP, IPv6",       |e| e.v6(UDP, &udp(5, 6, b"?")),       |e| e.v6(UDP, &udp(6, 5, b"!")),      true),
        ("UDP, other port", |e| e.v6(UDP, &udp(5, 6, b"?")),       |e| e.v6(UDP, &udp(6, 7, b"!")),      false),
        ("UDP, first fragment", |e| fragment4(e.v4(UDP, &udp(5, 6, &[0; 64])), 0, true), |e| e.v4(UDP, &udp(6, 5, b"!")), true),
        ("UDP, later fragment", |e| fragment4(e.v4(UDP, &udp(5, 6, &[0; 64])), 9, true), |e| e.v4(UDP, &udp(6, 5, b"!")), false),
        ("SCTP INIT",       |e| e.v4(SCTP, &sctp(5, 6, 1)),        |e| e.v4(SCTP, &sctp(6, 5, 2)),       true),
        ("SCTP data",       |e| e.v4(SCTP, &sctp(5, 6, 0)),        |e| e.v4(SCTP, &sctp(6, 5, 2)),       false),
        ("echo",            |e| e.v4(ICMP, &icmp(8, 0, 77)),       |e| e.v4(ICMP, &icmp(0, 0, 77)),      true),
        ("echo, IPv6",      |e| e.v6(ICMPV6, &icmp(128, 0, 77)),   |e| e.v6(ICMPV6, &icmp(129, 0, 77)),  true),
        ("echo, other identifier", |e| e.v4(ICMP, &icmp(8, 0, 77)), |e| e.v4(ICMP, &icmp(0, 0, 78)),     false),
        ("echo, answered by a request", |e| e.v4(ICMP, &icmp(8, 0, 77)), |e| e.v4(ICMP, &icmp(8, 0, 77)), false),
        ("our echo reply",  |e| e.v4(ICMP, &icmp(0, 0, 77)),       |e| e.v4(ICMP, &icmp(0, 0, 77)),      false),
        ("GRE",             |e| e.v4(47, &[0; 8]),                 |e| e.v4(47, &[0; 8]),                true),
        ("ESP, IPv6",       |e| e.v6(50, &[0; 8]),                 |e| e.v6(50, &[0; 8]),                true),
        ("another protocol", |e| e.v6(50, &[0; 8]),                |e| e.v6(47, &[0; 8]),                false),
    ];
    let bench = bench();
    let _worker = worker(&bench);
    for (name, leaving, arriving, passes) in stories {
        bench.test.kernel.learned().clear().expect("cleared");
        assert_eq!(
            bench.judge(&arriving(&ISOLATED)),
            INSPECTED,
            "{name}: nothing left yet"
        );
        bench.leave(&leaving(&ISOLATED.reversed()));
        let want = if passes { REPLY } else { INSPECTED };
        assert_eq!(bench.judge(&arriving(&ISOLATED)), want, "{name}");
        bench.test.kernel.state().set_generation(GENERATION + 1);
        assert_eq!(
            bench.judge(&arriving(&ISOLATED)),
            want,
            "{name}: whatever the generation"
        );
        bench.test.kernel.state().set_generation(GENERATION);
    }
}

#[test]
fn what_others_send_teaches_nothing() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench();
    let learned = bench.test.kernel.learned();
    bench.leave(&ELSEWHERE.reversed().v4(TCP, &tcp(5, 6, SYN)));
    assert_eq!(
        learned.count().expect("readable"),
        0,
        "the source is no endpoint"
    );
    bench.reconfigure(&InterfaceSpec {
        judge: false,
        ..spec("probe")
    });
    bench.leave(&ISOLATED.reversed().v4(TCP, &tcp(5, 6, SYN)));
    assert_eq!(
        learned.count().expect("readable"),
        0,
        "an interface without endpoints"
    );
    bench.reconfigure(&spec("probe"));
    bench.leave(&ISOLATED.reversed().v4(TCP, &tcp(5, 6, SYN)));
    assert_eq!(learned.count().expect("readable"), 1);
}

#[test]
fn closing_flows_end_sooner() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench();
    let learned = bench.test.kernel.learned();
    let flow = key(&ISOLATED, false, TCP, 6, 5);
    let flags = || {
        learned
            .get(&flow)
            .expect("readable")
            .expect("learned")
            .flags
    };
    let away = ISOLATED.reversed();
    for end in [FIN | ACK, RST] {
        bench.leave(&away.v4(TCP, &tcp(5, 6, SYN)));
        assert_eq!(flags(), 0);
        bench.leave(&away.v4(TCP, &tcp(5, 6, ACK)));
        assert_eq!(flags(), 0);
        bench.leave(&away.v4(TCP, &tcp(5, 6, end)));
        assert_eq!(flags(), LEARNED_CLOSING);
    }
    bench.leave(&away.v4(TCP, &tcp(5, 6, SYN)));
    assert_eq!(flags(), 0, "the same ports again are another connection");
    const { assert!(FLOW_IDLE_CLOSING_NS < FLOW_IDLE_OTHER_NS) };
}

/// The host's answer to a stranger must not look like the start of a flow.
#[test]
fn answers_to_strangers_are_not_learned() {
    if !palisade_lab::require_root() {
        return;
    }
    type Story = (
        &'static str,
        fn(&Ends) -> Vec<u8>,
        fn(&Ends) -> Vec<u8>,
        bool,
    );
    #[rustfmt::skip]
    let stories: [Story; 5] = [
        ("UDP",       |e| e.v4(UDP, &udp(6, 5, b"?")),    |e| e.v4(UDP, &udp(5, 6, b"!")),     true),
        ("UDP, IPv6", |e| e.v6(UDP, &udp(6, 5, b"?")),    |e| e.v6(UDP, &udp(5, 6, b"!")),     true),
        ("GRE",       |e| e.v4(47, &[0; 8]),              |e| e.v4(47, &[0; 8]),               true),
        ("TCP",       |e| e.v4(TCP, &tcp(6, 5, SYN)),     |e| e.v4(TCP, &tcp(5, 6, SYN | ACK)), false),
        ("SCTP",      |e| e.v4(SCTP, &sctp(6, 5, 1)),     |e| e.v4(SCTP, &sctp(5, 6, 2)),      false),
    ];
    for (name, arriving, leaving, noted) in stories {
        let bench = bench();
        let kernel = &bench.test.kernel;
        assert_eq!(bench.judge(&arriving(&OPEN)), NO_POLICY, "{name}");
        let count = kernel.flows().count().expect("readable");
        assert_eq!(
            count,
            u64::from(noted),
            "{name}: TCP and SCTP show who starts"
        );
        bench.leave(&leaving(&OPEN.reversed()));
        assert_eq!(
            kernel.learned().count().expect("readable"),
            0,
            "{name}: an answer"
        );
    }
}

#[test]
fn a_stranger_stays_one_when_a_policy_comes() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench();
    let _worker = worker(&bench);
    let kernel = &bench.test.kernel;
    let question = OPEN.v4(UDP, &udp(6, 5, b"?"));
    let answer = OPEN.reversed().v4(UDP, &udp(5, 6, b"!"));
    let flow = key(&OPEN, false, UDP, 6, 5);
    assert_eq!(bench.judge(&question), NO_POLICY);
    assert_eq!(
        bench.judge(&question),
        ESTABLISHED,
        "the note is a verdict of its generation"
    );

    // A policy selects the endpoint, and the worker denies the flow.
    kernel
        .endpoints()
        .apply(&[(OPEN.destination4.into(), Some(ENDPOINT_INGRESS_ISOLATED))])
        .expect("there is room");
    kernel.state().set_generation(GENERATION + 1);
    assert_eq!(bench.judge(&question), INSPECTED);
    let refused = FlowVerdict {
        generation: GENERATION + 1,
        ..REFUSED()
    };
    kernel.flows().write(&[(flow, refused)]).expect("written");
    assert!(admitted(&bench, &flow).is_some(), "a drop keeps the mark");
    assert_eq!(bench.judge(&question), DENIED);
    bench.leave(&answer);
    assert_eq!(kernel.learned().count().expect("readable"), 0);
    assert_eq!(
        bench.judge(&question),
        DENIED,
        "the host's late answer opens nothing"
    );

    // Denied from the start: the host was never asked, so what it sends is a start.
    let other = key(&OPEN, false, UDP, 8, 5);
    kernel.flows().write(&[(other, refused)]).expect("written");
    assert!(admitted(&bench, &other).is_none());
    bench.leave(&OPEN.reversed().v4(UDP, &udp(5, 8, b"?")));
    assert_eq!(bench.judge(&OPEN.v4(UDP, &udp(8, 5, b"!"))), REPLY);
}

#[test]
fn always_open_ports() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench();
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
        let bench = bench_of(&spec);
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
        beat.beat(now().saturating_sub(61_000_000_000));
        assert_eq!(bench.judge(&frame), want, "it has stopped beating");
        beat.beat(0);
        assert_eq!(bench.judge(&frame), want, "it says that it has gone");
        beat.beat(now());
        assert_eq!(bench.judge(&frame), INSPECTED, "it beats again");

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

/// Waved through without a worker, a stranger is one when the workers are back.
#[test]
fn a_stranger_that_was_waved_through_is_judged_later() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench_of(&InterfaceSpec {
        when_workers_fail: Action::Pass,
        ..spec("probe")
    });
    let question = ISOLATED.v4(UDP, &udp(6, 5, b"?"));
    assert_eq!(bench.judge(&question), WAVED_THROUGH);
    bench.leave(&ISOLATED.reversed().v4(UDP, &udp(5, 6, b"!")));
    let _worker = worker(&bench);
    assert_eq!(
        bench.judge(&question),
        INSPECTED,
        "neither a reply nor a verdict"
    );
}

/// Drops are sampled: some are told, none costs more than its count.
#[test]
fn drops_are_told_in_samples() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench();
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
