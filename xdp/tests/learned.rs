//! Flows that start here, whose replies pass, and strangers, whose answers start nothing.

use palisade_abi::{
    ENDPOINT_INGRESS_ISOLATED, FLOW_IDLE_CLOSING_NS, FLOW_IDLE_OTHER_NS, FlowVerdict,
    LEARNED_CLOSING,
};
use palisade_xdp::{Action, InterfaceSpec};

use crate::support::{
    answers::{
        DENIED, ELSEWHERE, ESTABLISHED, INSPECTED, ISOLATED, OPEN, PASSES, REPLY, WAVED_THROUGH,
    },
    endpoints::{
        GENERATION, REFUSED, admitted, bench_with_endpoints, bench_with_endpoints_of, key, worker,
    },
    frames::{
        ACK, Ends, FIN, ICMP, ICMPV6, RST, SCTP, SYN, TCP, UDP, fragment4, icmp, sctp, tcp, udp,
    },
    spec,
};

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
    let bench = bench_with_endpoints();
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
    let bench = bench_with_endpoints();
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
    let bench = bench_with_endpoints();
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
        let bench = bench_with_endpoints();
        let kernel = &bench.test.kernel;
        assert_eq!(bench.judge(&arriving(&OPEN)), PASSES, "{name}");
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
    let bench = bench_with_endpoints();
    let _worker = worker(&bench);
    let kernel = &bench.test.kernel;
    let question = OPEN.v4(UDP, &udp(6, 5, b"?"));
    let answer = OPEN.reversed().v4(UDP, &udp(5, 6, b"!"));
    let flow = key(&OPEN, false, UDP, 6, 5);
    assert_eq!(bench.judge(&question), PASSES);
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

/// Waved through without a worker, a stranger is one when the workers are back.
#[test]
fn a_stranger_that_was_waved_through_is_judged_later() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench_with_endpoints_of(&InterfaceSpec {
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
