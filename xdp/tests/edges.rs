//! Frame by frame, goes on: cut frames, long frames, wrapped frames, prefixes inside prefixes.

use std::net::Ipv4Addr;

use palisade_abi::{Reason, Verdict};
use palisade_xdp::{Action, BanEffect, BanEntry, InterfaceSpec};

use crate::support::{
    Bench, Xdp,
    answers::{ATTACKER, BANNED, HONEST, MALFORMED, NOT_IP, PASSES},
    bans::{bench_with_bans, chain, syn},
    frames::{
        AH, DESTINATION, Ends, FRAGMENT, ICMP, ICMPV6, SCTP, TCP, UDP, authentication, changed,
        extension, fragment6, hop_limit, icmp, sctp, tagged, udp,
    },
    spec,
};

/// Cut anywhere, a frame whose headers promise more is malformed, whoever sent it.
#[test]
fn frames_cut_at_every_byte() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench_with_bans(&spec("probe"));
    let (next, rest) = chain(3);
    let frames = [
        ("IPv4 and TCP", HONEST.v4(TCP, &syn())),
        ("IPv4 and UDP", HONEST.v4(UDP, &udp(1, 2, b"data"))),
        ("IPv4 and ICMP", ATTACKER.v4(ICMP, &icmp(8, 0, 1))),
        (
            "a tag and IPv4",
            tagged(&[(0x8100, 7)], &HONEST.v4(TCP, &syn())),
        ),
        (
            "QinQ and IPv6",
            tagged(&[(0x88a8, 7), (0x8100, 8)], &ATTACKER.v6(TCP, &syn())),
        ),
        ("IPv6 and SCTP", HONEST.v6(SCTP, &sctp(1, 2, 1))),
        ("IPv6 and a chain", HONEST.v6(next, &rest)),
        (
            "IPv6 and a fragment",
            ATTACKER.v6(FRAGMENT, &fragment6(TCP, 0, true, &syn())),
        ),
        (
            "IPv6 and AH",
            HONEST.v6(AH, &authentication(UDP, &udp(1, 2, &[]))),
        ),
        (
            "neighbours",
            hop_limit(HONEST.v6(ICMPV6, &icmp(135, 0, 0)), 255),
        ),
    ];
    for (name, frame) in frames {
        // The kernel's test run takes no frame without a whole Ethernet header.
        for length in 14..frame.len() {
            assert_eq!(
                bench.judge(&frame[..length]),
                MALFORMED,
                "{name}, {length} bytes"
            );
        }
    }
}

/// Headers that lie behind the first buffer of a frame in several.
#[test]
fn headers_behind_the_first_buffer() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench_with_bans(&spec("probe"));
    for units in [200, 215, 216, 217, 255] {
        let (next, chain) = (0..3).fold((TCP, syn()), |(next, rest), _| {
            (DESTINATION, extension(next, units, &rest))
        });
        for (ends, want) in [(HONEST, PASSES), (ATTACKER, BANNED)] {
            let frame = ends.v6(next, &chain);
            assert_eq!(bench.judge(&frame), want, "three headers of {units} units");
            let cut = changed(frame, |frame| frame.truncate(frame.len() - 1));
            assert_eq!(bench.judge(&cut), MALFORMED, "the same, one byte short");
        }
    }
    let jumbo = HONEST.v4(UDP, &udp(1, 2, &[7; 8_900]));
    assert_eq!(bench.judge(&jumbo), PASSES, "a frame of 9 kB");
}

#[test]
fn encapsulated_pass_lets_it_in() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench_with_bans(&InterfaceSpec {
        encapsulated: Action::Pass,
        ..spec("probe")
    });
    let frame = tagged(
        &[(0x88a8, 7), (0x8100, 8), (0x8100, 9)],
        &ATTACKER.v4(TCP, &syn()),
    );
    let want = (Xdp::Pass, Verdict::Pass, Reason::UnsupportedEncapsulation);
    assert_eq!(bench.judge(&frame), want);
}

/// Exactly the interface's token opens the way, and the shim is gone behind it.
#[test]
fn shim_of_a_packet_given_back() {
    if !palisade_lab::require_root() {
        return;
    }
    const TOKEN: u64 = 0x1122_3344_5566_7788;
    let shim = |token: u64| {
        let mut shim = vec![2; 12];
        shim.extend([0x88, 0xb5]);
        shim.extend(token.to_ne_bytes());
        shim
    };
    let frame = HONEST.v4(TCP, &syn());

    let generic = Bench::with_shim(&spec("probe"), TOKEN);
    let before = generic.row();
    let (answer, out) = generic.run(&[shim(TOKEN), frame.clone()].concat());
    assert_eq!(
        (answer, out),
        (Xdp::Pass, frame.clone()),
        "the shim is taken off"
    );
    assert!(
        crate::support::moved(&before, &generic.row()).is_empty(),
        "and nothing is counted"
    );
    let wrong = [shim(TOKEN ^ 1), frame.clone()].concat();
    assert_eq!(
        generic.judge(&wrong),
        NOT_IP,
        "another token is a frame like others"
    );
    assert_eq!(generic.run(&wrong).1, wrong, "and stays as it is");

    let native = Bench::new(&spec("probe"));
    let zero = [shim(0), frame].concat();
    assert_eq!(
        native.judge(&zero),
        NOT_IP,
        "without a token no shim is known"
    );
}

#[test]
fn longest_prefix_decides() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = Bench::new(&spec("probe"));
    let entry = |prefix: &str, length, effect| BanEntry {
        prefix: (prefix.parse().expect("an address"), length),
        effect,
    };
    let banned = Some(BanEffect::Banned);
    let exempt = Some(BanEffect::Exempt);
    let bans = bench.test.kernel.bans();
    bans.apply(&[
        entry("198.51.0.0", 16, banned),
        entry("198.51.100.0", 24, exempt),
        entry("198.51.100.66", 32, banned),
        entry("2001:db8::", 32, banned),
        entry("2001:db8:bad::", 48, exempt),
    ])
    .expect("there is room");

    let from = |third: u8, last: u8| {
        let source4 = Ipv4Addr::new(198, 51, third, last);
        bench.judge(&Ends { source4, ..HONEST }.v4(TCP, &syn()))
    };
    assert_eq!(from(1, 1), BANNED, "inside the wide ban");
    assert_eq!(from(100, 1), PASSES, "inside the guard in it");
    assert_eq!(from(100, 66), BANNED, "inside the narrow ban in that");
    assert_eq!(bench.judge(&HONEST.v6(TCP, &syn())), BANNED);
    assert_eq!(
        bench.judge(&ATTACKER.v6(TCP, &syn())),
        PASSES,
        "a guard in an IPv6 ban"
    );

    bans.apply(&[entry("198.51.0.0", 16, None)])
        .expect("it is there");
    assert_eq!(from(1, 1), PASSES, "the ban has gone");
    assert_eq!(from(100, 66), BANNED, "the one inside it stays");
}
