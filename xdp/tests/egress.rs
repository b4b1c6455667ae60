//! What the egress program makes of packets that leave an endpoint under policies.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use palisade_abi::{
    ENDPOINT_EGRESS_ISOLATED, ENDPOINT_INGRESS_ISOLATED, FlowKey, FlowVerdict, Reason, Verdict,
};
use palisade_config::policy::{
    Compiled, Dialect, Document, Inventory, Limits, PolicySet, compile, parse_documents,
};
use palisade_xdp::PortProtocol;

use crate::support::{
    Bench,
    frames::{
        ACK, Ends, FRAGMENT, ICMP, ICMPV6, SCTP, SYN, TCP, UDP, changed, ethernet, fragment4,
        fragment6, hop_limit, icmp, sctp, tcp, udp,
    },
    spec,
};

/// A sentence, the frame, and the reason under which it is counted.
type Case = (&'static str, fn(&Ends) -> Vec<u8>, Reason);

/// From the endpoint to a peer that the policy allows TCP 443, UDP 53 and SCTP 9.
const TO_FRIEND: Ends = Ends {
    source4: Ipv4Addr::new(192, 0, 2, 10),
    source6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 10),
    destination4: Ipv4Addr::new(198, 51, 100, 1),
    destination6: Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, 1),
};

const TO_OTHER: Ends = Ends {
    destination4: Ipv4Addr::new(203, 0, 113, 1),
    destination6: Ipv6Addr::new(0x2001, 0xdb8, 0x113, 0, 0, 0, 0, 1),
    ..TO_FRIEND
};

const POD: &str = "{apiVersion: v1, kind: Pod, metadata: {name: web}, status: {podIPs: [{ip: 192.0.2.10}, {ip: \"2001:db8::a\"}]}}";

const EGRESS: &str = "egress: [{to: [{ipBlock: {cidr: 198.51.100.0/24}}, {ipBlock: {cidr: \"2001:db8:51::/48\"}}], \
    ports: [{port: 443}, {protocol: UDP, port: 53}, {protocol: SCTP, port: 9}]}]";

const GENERATION: u32 = 7;

fn compiled(spec: &str) -> Compiled {
    let text = format!(
        "{}\n---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p}}, \
         spec: {{podSelector: {{}}, {spec}}}}}",
        POD
    );
    let documents = parse_documents(&text, &Limits::default())
        .unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    let inventory: Inventory = documents.iter().collect();
    let policies = documents.into_iter().filter_map(|document| match document {
        Document::NetworkPolicy(policy) => Some(policy),
        _ => None,
    });
    compile(
        &inventory,
        &policies.collect::<PolicySet>(),
        Dialect::Kubernetes,
    )
    .expect("small")
}

fn publish(bench: &Bench, spec: &str, generation: u32) {
    let compiled = compiled(spec);
    let kernel = &bench.test.kernel;
    kernel
        .policy()
        .publish(compiled.image().lines(), generation)
        .expect("published");
    let endpoints: Vec<(IpAddr, u32)> = compiled
        .endpoints()
        .map(|(address, state)| {
            let flag = |set, flag| if set { flag } else { 0 };
            let flags = flag(state.ingress_isolated, ENDPOINT_INGRESS_ISOLATED)
                | flag(state.egress_isolated, ENDPOINT_EGRESS_ISOLATED);
            (address, flags)
        })
        .collect();
    assert_eq!(endpoints.len(), 2);
    kernel
        .endpoints()
        .replace(&endpoints)
        .expect("there is room");
    kernel.state().set_generation(generation);
}

fn bench(spec_text: &str) -> Bench {
    let bench = Bench::new(&spec("probe"));
    publish(&bench, spec_text, GENERATION);
    bench
}

fn run(bench: &Bench, cases: &[Case]) {
    for (name, frame, reason) in cases {
        for (ends, whose) in [(TO_FRIEND, "a friend"), (TO_OTHER, "somebody")] {
            let want = if whose == "somebody" && *reason == Reason::PolicyAllowed {
                Reason::PolicyDenied
            } else {
                *reason
            };
            let (leaves, got) = bench.judge_leaving(&frame(&ends));
            assert_eq!(got, Some(want), "{name}, to {whose}");
            let denied = [
                Reason::PolicyDenied,
                Reason::FragmentDenied,
                Reason::Malformed,
            ];
            assert_eq!(leaves, !denied.contains(&want), "{name}, to {whose}");
        }
    }
}

#[test]
#[rustfmt::skip]
fn packets_are_judged_by_the_rules() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench(&format!("policyTypes: [Egress], {EGRESS}"));
    run(&bench, &[
        ("TCP to an allowed port",    |e| e.v4(TCP, &tcp(50_000, 443, SYN)),         Reason::PolicyAllowed),
        ("the same, IPv6",            |e| e.v6(TCP, &tcp(50_000, 443, SYN)),         Reason::PolicyAllowed),
        ("data of that connection",   |e| e.v4(TCP, &tcp(50_000, 443, ACK)),         Reason::PolicyAllowed),
        ("TCP to another port",       |e| e.v4(TCP, &tcp(50_000, 80, SYN)),          Reason::PolicyDenied),
        ("data to another port",      |e| e.v6(TCP, &tcp(50_000, 80, ACK)),          Reason::PolicyDenied),
        ("from an allowed port",      |e| e.v6(TCP, &tcp(443, 80, ACK)),             Reason::PolicyDenied),
        ("DNS",                       |e| e.v4(UDP, &udp(50_000, 53, b"?")),         Reason::PolicyAllowed),
        ("DNS by TCP",                |e| e.v4(TCP, &tcp(50_000, 53, SYN)),          Reason::PolicyDenied),
        ("UDP to another port",       |e| e.v6(UDP, &udp(50_000, 54, b"?")),         Reason::PolicyDenied),
        ("SCTP",                      |e| e.v4(SCTP, &sctp(5, 9, 1)),                Reason::PolicyAllowed),
        ("SCTP to another port",      |e| e.v4(SCTP, &sctp(5, 8, 1)),                Reason::PolicyDenied),
        ("echo",                      |e| e.v4(ICMP, &icmp(8, 0, 7)),                Reason::PolicyDenied),
        ("an echo reply to nobody",   |e| e.v6(ICMPV6, &icmp(129, 0, 7)),            Reason::PolicyDenied),
        ("an ICMP error about nothing", |e| e.v4(ICMP, &icmp(3, 1, 0)),              Reason::PolicyDenied),
        ("GRE",                       |e| e.v4(47, &[0; 8]),                         Reason::PolicyDenied),
        ("neighbour solicitation",    |e| hop_limit(e.v6(ICMPV6, &icmp(135, 0, 0)), 255), Reason::Guarded),
        ("one from afar",             |e| hop_limit(e.v6(ICMPV6, &icmp(135, 0, 0)), 64),  Reason::PolicyDenied),
        ("DHCP, renewing",            |e| e.v4(UDP, &udp(68, 67, &[])),              Reason::Guarded),
        ("DHCPv6, renewing",          |e| e.v6(UDP, &udp(546, 547, &[])),            Reason::Guarded),
        ("DHCP from another port",    |e| e.v4(UDP, &udp(69, 67, &[])),              Reason::PolicyDenied),
        ("nine extension headers",    |e| e.v6(60, &(0..9).fold(tcp(1, 443, SYN), |rest, n| [&[if n == 0 { TCP } else { 60 }, 0, 1, 4, 0, 0, 0, 0], &rest[..]].concat())), Reason::Malformed),
        ("TCP cut short",             |e| e.v4(TCP, &tcp(1, 443, SYN)[..19]),        Reason::Malformed),
        ("first fragment, ports only", |e| fragment4(e.v4(TCP, &tcp(1, 443, SYN)[..8]), 0, true), Reason::FragmentDenied),
    ]);
    for (name, frame) in [
        ("ARP", ethernet(0x0806, &[1; 28])),
        ("from no endpoint", TO_FRIEND.reversed().v4(TCP, &tcp(1, 2, SYN))),
    ] {
        assert_eq!(bench.judge_leaving(&frame), (true, None), "{name}");
    }
    let itself = Ends { destination4: TO_FRIEND.source4, ..TO_FRIEND };
    assert_eq!(bench.judge_leaving(&itself.v4(TCP, &tcp(1, 2, SYN))), (true, Some(Reason::PolicyAllowed)), "itself");
}

#[test]
fn an_endpoint_without_egress_policies_sends_what_it_likes() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench("policyTypes: [Ingress]");
    let frame = TO_OTHER.v4(TCP, &tcp(1, 2, SYN));
    assert_eq!(bench.judge_leaving(&frame), (true, None));
    publish(&bench, "policyTypes: [Egress]", GENERATION + 1);
    assert_eq!(
        bench.judge_leaving(&frame),
        (false, Some(Reason::PolicyDenied))
    );
}

#[test]
fn only_what_may_leave_is_learned() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench(&format!("policyTypes: [Egress], {EGRESS}"));
    let learned = bench.test.kernel.learned();
    bench.judge_leaving(&TO_OTHER.v4(TCP, &tcp(1, 443, SYN)));
    bench.judge_leaving(&TO_OTHER.v6(UDP, &udp(1, 53, b"?")));
    assert_eq!(learned.count().expect("readable"), 0);
    bench.judge_leaving(&TO_FRIEND.v4(TCP, &tcp(1, 443, SYN)));
    bench.judge_leaving(&TO_FRIEND.v6(UDP, &udp(1, 53, b"?")));
    assert_eq!(learned.count().expect("readable"), 2);
}

/// What arrives before, what leaves then, and whether that is an answer.
#[test]
#[rustfmt::skip]
fn answers_to_strangers_leave() {
    if !palisade_lab::require_root() {
        return;
    }
    type Story = (&'static str, fn(&Ends) -> Vec<u8>, fn(&Ends) -> Vec<u8>, Reason);
    let stories: [Story; 15] = [
        ("TCP",              |e| e.v4(TCP, &tcp(6, 80, SYN)),       |e| e.v4(TCP, &tcp(80, 6, SYN | ACK)), Reason::Reply),
        ("TCP, IPv6",        |e| e.v6(TCP, &tcp(6, 80, SYN)),       |e| e.v6(TCP, &tcp(80, 6, ACK)),       Reason::Reply),
        ("TCP, midstream",   |e| e.v4(TCP, &tcp(6, 80, ACK)),       |e| e.v4(TCP, &tcp(80, 6, ACK)),       Reason::Reply),
        ("TCP, other port",  |e| e.v4(TCP, &tcp(6, 80, SYN)),       |e| e.v4(TCP, &tcp(81, 6, ACK)),       Reason::PolicyDenied),
        ("TCP, our own SYN", |e| e.v4(TCP, &tcp(6, 80, SYN)),       |e| e.v4(TCP, &tcp(80, 6, SYN)),       Reason::PolicyDenied),
        ("TCP, unasked SYN+ACK", |e| e.v4(TCP, &tcp(6, 80, SYN | ACK)), |e| e.v4(TCP, &tcp(80, 6, ACK)),   Reason::PolicyDenied),
        ("UDP",              |e| e.v4(UDP, &udp(6, 80, b"?")),      |e| e.v4(UDP, &udp(80, 6, b"!")),      Reason::Reply),
        ("UDP, other port",  |e| e.v6(UDP, &udp(6, 80, b"?")),      |e| e.v6(UDP, &udp(80, 7, b"!")),      Reason::PolicyDenied),
        ("UDP, asked in fragments", |e| fragment4(e.v4(UDP, &udp(6, 80, &[0; 64])), 0, true), |e| e.v4(UDP, &udp(80, 6, b"!")), Reason::Reply),
        ("SCTP",             |e| e.v4(SCTP, &sctp(6, 80, 1)),       |e| e.v4(SCTP, &sctp(80, 6, 2)),       Reason::Reply),
        ("SCTP, our INIT",   |e| e.v4(SCTP, &sctp(6, 80, 1)),       |e| e.v4(SCTP, &sctp(80, 6, 1)),       Reason::PolicyDenied),
        ("echo",             |e| e.v4(ICMP, &icmp(8, 0, 7)),        |e| e.v4(ICMP, &icmp(0, 0, 7)),        Reason::Reply),
        ("echo, IPv6",       |e| e.v6(ICMPV6, &icmp(128, 0, 7)),    |e| e.v6(ICMPV6, &icmp(129, 0, 7)),    Reason::Reply),
        ("echo, other identifier", |e| e.v4(ICMP, &icmp(8, 0, 7)),  |e| e.v4(ICMP, &icmp(0, 0, 8)),        Reason::PolicyDenied),
        ("GRE",              |e| e.v4(47, &[0; 8]),                 |e| e.v4(47, &[0; 8]),                 Reason::Reply),
    ];
    let bench = bench("policyTypes: [Egress]");
    for (name, arriving, leaving, answer) in stories {
        publish(&bench, "policyTypes: [Egress]", GENERATION);
        bench.test.kernel.flows().clear().expect("cleared");
        let leaving = leaving(&TO_OTHER);
        assert_eq!(bench.judge_leaving(&leaving), (false, Some(Reason::PolicyDenied)), "{name}: unasked");
        bench.run(&arriving(&TO_OTHER.reversed()));
        assert_eq!(bench.judge_leaving(&leaving).1, Some(answer), "{name}");
        assert_eq!(bench.test.kernel.learned().count().expect("readable"), 0, "{name}");
        // The stranger is not let in any more.
        publish(&bench, "policyTypes: [Ingress, Egress]", GENERATION + 1);
        assert_eq!(bench.judge_leaving(&leaving), (false, Some(Reason::PolicyDenied)), "{name}: cut");
        publish(&bench, "policyTypes: [Ingress, Egress], ingress: [{}]", GENERATION + 2);
        assert_eq!(bench.judge_leaving(&leaving).1, Some(answer), "{name}: let in again");
    }
}

#[test]
fn a_workers_verdict_counts_under_its_generation() {
    if !palisade_lab::require_root() {
        return;
    }
    // The image allows UDP 80 alone; the verdicts say otherwise.
    let rules = "policyTypes: [Ingress, Egress], ingress: [{ports: [{protocol: UDP, port: 80}]}]";
    let bench = bench(rules);
    let flow = |port: u16| FlowKey {
        source: TO_OTHER.destination4.to_ipv6_mapped().octets(),
        destination: TO_OTHER.source4.to_ipv6_mapped().octets(),
        source_port: 6_u16.to_be_bytes(),
        destination_port: port.to_be_bytes(),
        protocol: UDP,
        reserved: [0; 3],
    };
    #[rustfmt::skip]
    let cases = [
        ("let in now",            80, Verdict::Pass, 0, GENERATION,     Reason::Reply),
        ("let in now, by chance", 81, Verdict::Pass, 0, GENERATION,     Reason::Reply),
        ("let in before, still",  80, Verdict::Pass, 0, GENERATION - 1, Reason::Reply),
        ("let in before",         81, Verdict::Pass, 0, GENERATION - 1, Reason::PolicyDenied),
        ("denied now",            80, Verdict::Drop, 1, GENERATION,     Reason::PolicyDenied),
        ("never let in",          80, Verdict::Drop, 0, GENERATION - 1, Reason::PolicyDenied),
    ];
    for (name, port, verdict, flags, generation, want) in cases {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let entry = FlowVerdict {
            last_seen_ns: u64::try_from(time.tv_sec).expect("positive") * 1_000_000_000,
            generation,
            verdict: verdict as u8,
            reason: Reason::PolicyAllowed as u8,
            flags,
            reserved: 0,
        };
        let flows = bench.test.kernel.flows();
        flows.clear().expect("cleared");
        flows.write(&[(flow(port), entry)]).expect("written");
        let frame = TO_OTHER.v4(UDP, &udp(port, 6, b"!"));
        assert_eq!(bench.judge_leaving(&frame).1, Some(want), "{name}");
    }
}

#[test]
fn open_ports_answer_whatever_the_policies() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench("policyTypes: [Ingress, Egress]");
    let open = [(PortProtocol::Tcp, 22), (PortProtocol::Udp, 22)];
    bench.test.kernel.always_open().replace(&open);
    let tcp_data = TO_OTHER.v4(TCP, &tcp(22, 6, ACK));
    assert_eq!(
        bench.judge_leaving(&tcp_data),
        (true, Some(Reason::Guarded))
    );
    let start = TO_OTHER.v4(TCP, &tcp(22, 6, SYN));
    assert_eq!(
        bench.judge_leaving(&start),
        (false, Some(Reason::PolicyDenied))
    );
    let answer = TO_OTHER.v4(UDP, &udp(22, 6, b"!"));
    assert_eq!(
        bench.judge_leaving(&answer),
        (false, Some(Reason::PolicyDenied))
    );
    bench.run(&TO_OTHER.reversed().v4(UDP, &udp(6, 22, b"?")));
    assert_eq!(bench.judge_leaving(&answer), (true, Some(Reason::Guarded)));
}

#[test]
fn later_fragments_follow_their_first() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench(&format!("policyTypes: [Egress], {EGRESS}"));
    let of = |ends: &Ends, id: u8, offset, port| {
        let payload = if offset == 0 {
            udp(5, port, &[0; 64])
        } else {
            vec![0; 64]
        };
        let frame = fragment4(ends.v4(UDP, &payload), offset, true);
        changed(frame, |frame| frame[19] = id)
    };
    let allowed = (true, Some(Reason::PolicyAllowed));
    let denied = (false, Some(Reason::PolicyDenied));
    let orphan = (false, Some(Reason::FragmentDenied));
    #[rustfmt::skip]
    let cases = [
        ("an orphan",              of(&TO_FRIEND, 1, 9, 0),  orphan),
        ("a first one",            of(&TO_FRIEND, 1, 0, 53), allowed),
        ("one that follows",       of(&TO_FRIEND, 1, 9, 0),  allowed),
        ("one over the ports",     of(&TO_FRIEND, 1, 0, 54), denied),
        ("one of another packet",  of(&TO_FRIEND, 2, 9, 0),  orphan),
        ("one to somebody else",   of(&TO_OTHER, 1, 9, 0),   orphan),
        ("a denied first one",     of(&TO_OTHER, 3, 0, 53),  denied),
        ("one that follows it",    of(&TO_OTHER, 3, 9, 0),   denied),
        ("IPv6, an orphan",        TO_FRIEND.v6(FRAGMENT, &fragment6(UDP, 9, true, &[0; 64])), orphan),
        ("IPv6, a first one",      TO_FRIEND.v6(FRAGMENT, &fragment6(UDP, 0, true, &udp(5, 53, &[0; 64]))), allowed),
        ("IPv6, one that follows", TO_FRIEND.v6(FRAGMENT, &fragment6(UDP, 9, true, &[0; 64])), allowed),
    ];
    for (name, frame, want) in cases {
        assert_eq!(bench.judge_leaving(&frame), want, "{name}");
    }
}

#[test]
fn errors_about_allowed_flows_leave() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench("policyTypes: [Egress]");
    let asked = TO_OTHER.reversed();
    for v6 in [false, true] {
        let question = if v6 {
            asked.v6(UDP, &udp(6, 80, b"?"))
        } else {
            asked.v4(UDP, &udp(6, 80, b"?"))
        };
        let other = if v6 {
            asked.v6(UDP, &udp(6, 81, b"?"))
        } else {
            asked.v4(UDP, &udp(6, 81, b"?"))
        };
        let error = |quoted: &[u8], ends: &Ends| {
            if v6 {
                ends.v6(ICMPV6, &[&icmp(1, 4, 0)[..8], &quoted[14..]].concat())
            } else {
                ends.v4(ICMP, &[&icmp(3, 3, 0)[..8], &quoted[14..]].concat())
            }
        };
        let denied = (false, Some(Reason::PolicyDenied));
        assert_eq!(
            bench.judge_leaving(&error(&question, &TO_OTHER)),
            denied,
            "nobody asked"
        );
        bench.run(&question);
        assert_eq!(
            bench.judge_leaving(&error(&question, &TO_OTHER)),
            (true, Some(Reason::Reply))
        );
        assert_eq!(
            bench.judge_leaving(&error(&other, &TO_OTHER)),
            denied,
            "about another flow"
        );
        assert_eq!(
            bench.judge_leaving(&error(&question, &TO_FRIEND)),
            denied,
            "to somebody else"
        );
    }
}
