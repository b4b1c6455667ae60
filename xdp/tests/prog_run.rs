//! Frame by frame: what the XDP program answers, and the one counter that moves.
//!
//! Every frame comes once from a source that is not banned and once from one that is. No endpoint
//! exists here, so what is let in is let in by the parser and the ban tables alone; tests/flows.rs
//! goes on from there.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::support::{
    answers::{ATTACKER, Answer, BANNED, GUARDED, HONEST, MALFORMED, NOT_IP, PASSES, WRAPPED},
    bans::{bench_with_bans, chain, syn},
    frames::{
        ACK, AH, DESTINATION, Ends, FRAGMENT, HOP_BY_HOP, ICMP, ICMPV6, IPV4, IPV6, NO_NEXT,
        ROUTING, SCTP, SYN, TCP, UDP, authentication, changed, ethernet, extension, fragment4,
        fragment6, hop_limit, icmp, ipv4, ipv6, llc, sctp, tagged, tcp, udp,
    },
    spec,
};

/// A sentence, the frame, and the answers to an honest source and to a banned one.
type Case = (&'static str, fn(&Ends) -> Vec<u8>, Answer, Answer);

fn run(cases: &[Case]) {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench_with_bans(&spec("probe"));
    for (name, frame, honest, banned) in cases {
        assert_eq!(
            bench.judge(&frame(&HONEST)),
            *honest,
            "{name}, from an honest source"
        );
        assert_eq!(
            bench.judge(&frame(&ATTACKER)),
            *banned,
            "{name}, from a banned source"
        );
    }
}

#[test]
#[rustfmt::skip]
fn link_layers() {
    run(&[
        ("untagged IPv4",            |e| e.v4(TCP, &syn()),                                         PASSES,    BANNED),
        ("untagged IPv6",            |e| e.v6(TCP, &syn()),                                         PASSES,    BANNED),
        ("802.1Q",                   |e| tagged(&[(0x8100, 7)], &e.v4(TCP, &syn())),                PASSES,    BANNED),
        ("802.1Q, IPv6",             |e| tagged(&[(0x8100, 7)], &e.v6(TCP, &syn())),                PASSES,    BANNED),
        ("priority tag",             |e| tagged(&[(0x8100, 0)], &e.v4(TCP, &syn())),                PASSES,    BANNED),
        ("priority tag with PCP",    |e| tagged(&[(0x8100, 0xe000)], &e.v4(TCP, &syn())),           PASSES,    BANNED),
        ("802.1ad alone",            |e| tagged(&[(0x88a8, 7)], &e.v4(TCP, &syn())),                PASSES,    BANNED),
        ("QinQ",                     |e| tagged(&[(0x88a8, 7), (0x8100, 8)], &e.v4(TCP, &syn())),   PASSES,    BANNED),
        ("QinQ, IPv6",               |e| tagged(&[(0x88a8, 7), (0x8100, 8)], &e.v6(TCP, &syn())),   PASSES,    BANNED),
        ("old QinQ numbers",         |e| tagged(&[(0x9100, 7), (0x8100, 8)], &e.v4(TCP, &syn())),   PASSES,    BANNED),
        ("three tags",               |e| tagged(&[(0x88a8, 7), (0x8100, 8), (0x8100, 9)], &e.v4(TCP, &syn())), WRAPPED, WRAPPED),
        ("PPPoE session",            |e| ethernet(0x8864, &[&[0x11, 0, 0, 1, 0, 42, 0, 0x21], &e.v4(TCP, &syn())[14..]].concat()), WRAPPED, WRAPPED),
        ("MPLS",                     |e| ethernet(0x8847, &[&[0, 0, 0x11, 64], &e.v4(TCP, &syn())[14..]].concat()), WRAPPED, WRAPPED),
        ("MPLS multicast",           |e| ethernet(0x8848, &[&[0, 0, 0x11, 64], &e.v6(TCP, &syn())[14..]].concat()), WRAPPED, WRAPPED),
        ("MPLS in a VLAN",           |e| tagged(&[(0x8100, 7)], &ethernet(0x8847, &e.v4(TCP, &syn())[10..])), WRAPPED, WRAPPED),
        ("SNAP with IPv4",           |e| llc(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &e.v4(TCP, &syn())[14..]), WRAPPED, WRAPPED),
        ("SNAP with IPv6",           |e| llc(&[0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd], &e.v6(TCP, &syn())[14..]), WRAPPED, WRAPPED),
        ("SNAP in a VLAN",           |e| tagged(&[(0x8100, 7)], &llc(&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &e.v4(TCP, &syn())[14..])), WRAPPED, WRAPPED),
        ("SNAP with CDP",            |_| llc(&[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0], &[0; 40]),      NOT_IP,    NOT_IP),
        ("spanning tree",            |_| llc(&[0x42, 0x42, 3], &[0; 35]),                           NOT_IP,    NOT_IP),
        ("spanning tree in a VLAN",  |_| tagged(&[(0x8100, 7)], &llc(&[0x42, 0x42, 3], &[0; 35])),  NOT_IP,    NOT_IP),
        ("LACP",                     |_| ethernet(0x8809, &[1; 46]),                                NOT_IP,    NOT_IP),
        ("LLDP",                     |_| ethernet(0x88cc, &[2; 46]),                                NOT_IP,    NOT_IP),
        ("EAPOL",                    |_| ethernet(0x888e, &[1; 46]),                                NOT_IP,    NOT_IP),
        ("ARP",                      |_| ethernet(0x0806, &[1; 28]),                                NOT_IP,    NOT_IP),
        ("PPPoE discovery",          |_| ethernet(0x8863, &[0x11; 46]),                             NOT_IP,    NOT_IP),
        ("nothing behind Ethernet",  |_| ethernet(IPV4, &[]),                                       MALFORMED, MALFORMED),
        ("nothing behind a tag",     |_| tagged(&[(0x8100, 7)], &ethernet(IPV6, &[])),              MALFORMED, MALFORMED),
        ("a tag cut short",          |_| ethernet(0x8100, &[0, 7]),                                 MALFORMED, MALFORMED),
        ("IPv4 type, IPv6 inside",   |e| ethernet(IPV4, &e.v6(TCP, &syn())[14..]),                  MALFORMED, MALFORMED),
        ("IPv6 type, IPv4 inside",   |e| ethernet(IPV6, &[&e.v4(TCP, &syn())[14..], &[0; 40]].concat()), MALFORMED, MALFORMED),
        ("version 0",                |e| changed(e.v4(TCP, &syn()), |f| f[14] = 0x05),              MALFORMED, MALFORMED),
        ("version 15",               |e| changed(e.v6(TCP, &syn()), |f| f[14] = 0xf0),              MALFORMED, MALFORMED),
    ]);
}

#[test]
#[rustfmt::skip]
fn ipv4_headers() {
    run(&[
        ("padding",                    |e| changed(e.v4(UDP, &udp(1, 2, b"x")), |f| f.resize(60, 0)), PASSES, BANNED),
        ("total length zero",          |e| changed(e.v4(TCP, &syn()), |f| f[16..18].fill(0)),   MALFORMED, MALFORMED),
        ("total below the header",     |e| changed(e.v4(TCP, &syn()), |f| f[17] = 19),          MALFORMED, MALFORMED),
        ("total past the frame",       |e| changed(e.v4(TCP, &syn()), |f| f[17] += 1),          MALFORMED, MALFORMED),
        ("padding is no transport",    |e| changed(e.v4(TCP, &syn()), |f| f[17] -= 1),          MALFORMED, MALFORMED),
        ("ihl of zero",                |e| changed(e.v4(TCP, &syn()), |f| f[14] = 0x40),        MALFORMED, MALFORMED),
        ("ihl of four",                |e| changed(e.v4(TCP, &syn()), |f| f[14] = 0x44),        MALFORMED, MALFORMED),
        ("ihl past the total",         |e| changed(e.v4(TCP, &syn()), |f| f[14] = 0x4f),        MALFORMED, MALFORMED),
        ("wrong header checksum",      |e| changed(e.v4(TCP, &syn()), |f| f[24] ^= 0xff),       PASSES, BANNED),
        ("time to live of zero",       |e| changed(e.v4(TCP, &syn()), |f| f[22] = 0),           PASSES, BANNED),
        ("evil bit",                   |e| changed(e.v4(TCP, &syn()), |f| f[20] = 0x80),        PASSES, BANNED),
        ("don't fragment",             |e| changed(e.v4(TCP, &syn()), |f| f[20] = 0x40),        PASSES, BANNED),
        ("first fragment",             |e| fragment4(e.v4(TCP, &syn()), 0, true),               PASSES, BANNED),
        ("first fragment, ports only", |e| fragment4(e.v4(TCP, &syn()[..8]), 0, true),          PASSES, BANNED),
        ("first fragment of nothing",  |e| fragment4(e.v4(TCP, &[]), 0, true),                  PASSES, BANNED),
        ("middle fragment",            |e| fragment4(e.v4(TCP, &[0; 64]), 8, true),             PASSES, BANNED),
        ("last fragment",              |e| fragment4(e.v4(TCP, &[1; 3]), 8, false),             PASSES, BANNED),
        ("fragment at offset one",     |e| fragment4(e.v4(TCP, &[0; 16]), 1, false),            PASSES, BANNED),
        ("DF and MF",                  |e| changed(e.v4(TCP, &syn()), |f| f[20] = 0x60),        PASSES, BANNED),
        ("UDP cut short",              |e| e.v4(UDP, &udp(1, 2, &[])[..7]),                     MALFORMED, MALFORMED),
        ("UDP",                        |e| e.v4(UDP, &udp(1, 2, &[])),                          PASSES, BANNED),
        ("SCTP cut short",             |e| e.v4(SCTP, &sctp(1, 2, 1)[..11]),                    MALFORMED, MALFORMED),
        ("SCTP",                       |e| e.v4(SCTP, &sctp(1, 2, 1)[..12]),                    PASSES, BANNED),
        ("ICMP cut short",             |e| e.v4(ICMP, &icmp(8, 0, 1)[..7]),                     MALFORMED, MALFORMED),
        ("ICMP echo",                  |e| e.v4(ICMP, &icmp(8, 0, 1)),                          PASSES, BANNED),
        ("ICMP error",                 |e| e.v4(ICMP, &icmp(3, 4, 0)),                          PASSES, BANNED),
        ("SYN+FIN",                    |e| e.v4(TCP, &tcp(1, 2, 3)),                            PASSES, BANNED),
        ("no TCP flags",               |e| e.v4(TCP, &tcp(1, 2, 0)),                            PASSES, BANNED),
        ("from port 53",               |e| e.v4(UDP, &udp(53, 40_000, &[])),                    PASSES, BANNED),
        ("GRE",                        |e| e.v4(47, &[0, 0, 8, 0]),                             PASSES, BANNED),
        ("IP in IP, banned inside",    |e| e.v4(4, &ATTACKER.v4(TCP, &syn())[14..]),            PASSES, BANNED),
        ("IPv6 in IPv4",               |e| e.v4(41, &ATTACKER.v6(TCP, &syn())[14..]),           PASSES, BANNED),
        ("ESP",                        |e| e.v4(50, &[0; 8]),                                   PASSES, BANNED),
        ("AH",                         |e| e.v4(AH, &authentication(TCP, &syn())),              PASSES, BANNED),
        ("UDP-Lite",                   |e| e.v4(136, &udp(1, 2, &[])),                          PASSES, BANNED),
        ("DCCP",                       |e| e.v4(33, &[0; 12]),                                  PASSES, BANNED),
        ("IGMP",                       |e| e.v4(2, &[0x16; 8]),                                 PASSES, BANNED),
        ("OSPF",                       |e| e.v4(89, &[2; 24]),                                  PASSES, BANNED),
        ("protocol 0",                 |e| e.v4(0, &[]),                                        PASSES, BANNED),
        ("protocol 255",               |e| e.v4(255, &[]),                                      PASSES, BANNED),
    ]);
}

#[test]
fn ipv4_options() {
    if !palisade_lab::require_root() {
        return;
    }
    let bench = bench_with_bans(&spec("probe"));
    for words in 0..=10 {
        let options = vec![1; words * 4];
        for (ends, want) in [(HONEST, PASSES), (ATTACKER, BANNED)] {
            let packet = ipv4(ends.source4, ends.destination4, TCP, &options, &syn());
            assert_eq!(
                bench.judge(&ethernet(IPV4, &packet)),
                want,
                "ihl {}",
                words + 5
            );
        }
    }
}

#[test]
#[rustfmt::skip]
fn ipv6_headers() {
    run(&[
        ("payload past the frame",   |e| changed(e.v6(TCP, &syn()), |f| f[19] += 1),            MALFORMED, MALFORMED),
        ("padding",                  |e| changed(e.v6(TCP, &syn()), |f| f.resize(90, 0)),       PASSES, BANNED),
        ("padding is no transport",  |e| changed(e.v6(TCP, &syn()), |f| f[19] -= 1),            MALFORMED, MALFORMED),
        ("no payload for TCP",       |e| e.v6(TCP, &[]),                                        MALFORMED, MALFORMED),
        ("jumbogram",                |e| changed(e.v6(HOP_BY_HOP, &extension(TCP, 0, &syn())), |f| f[18..20].fill(0)), MALFORMED, MALFORMED),
        ("hop-by-hop",               |e| e.v6(HOP_BY_HOP, &extension(TCP, 0, &syn())),          PASSES, BANNED),
        ("routing",                  |e| e.v6(ROUTING, &extension(TCP, 2, &syn())),             PASSES, BANNED),
        ("destination options",      |e| e.v6(DESTINATION, &extension(UDP, 3, &udp(1, 2, &[]))), PASSES, BANNED),
        ("AH",                       |e| e.v6(AH, &authentication(TCP, &syn())),                PASSES, BANNED),
        ("AH of length zero",        |e| e.v6(AH, &changed(authentication(TCP, &syn()), |h| h[1] = 0)), MALFORMED, MALFORMED),
        ("AH past the packet",       |e| e.v6(AH, &changed(authentication(TCP, &syn()), |h| h[1] = 255)), MALFORMED, MALFORMED),
        ("header length of 255",     |e| e.v6(DESTINATION, &changed(extension(TCP, 0, &syn()), |h| h[1] = 255)), MALFORMED, MALFORMED),
        ("header to the end",        |e| e.v6(DESTINATION, &extension(NO_NEXT, 0, &[])),        PASSES, BANNED),
        ("header cut short",         |e| e.v6(DESTINATION, &extension(TCP, 0, &[])[..7]),       MALFORMED, MALFORMED),
        ("eight headers",            |e| { let (next, rest) = chain(8); e.v6(next, &rest) },    PASSES, BANNED),
        ("nine headers",             |e| { let (next, rest) = chain(9); e.v6(next, &rest) },    MALFORMED, MALFORMED),
        ("atomic fragment",          |e| e.v6(FRAGMENT, &fragment6(TCP, 0, false, &syn())),     PASSES, BANNED),
        ("atomic fragment, cut TCP", |e| e.v6(FRAGMENT, &fragment6(TCP, 0, false, &syn()[..8])), MALFORMED, MALFORMED),
        ("first fragment",           |e| e.v6(FRAGMENT, &fragment6(TCP, 0, true, &syn())),      PASSES, BANNED),
        ("first fragment, cut TCP",  |e| e.v6(FRAGMENT, &fragment6(TCP, 0, true, &syn()[..8])), PASSES, BANNED),
        ("split in the chain",       |e| e.v6(FRAGMENT, &fragment6(DESTINATION, 0, true, &extension(TCP, 1, &[])[..8])), MALFORMED, MALFORMED),
        ("later fragment",           |e| e.v6(FRAGMENT, &fragment6(TCP, 3, true, &[0; 8])),     PASSES, BANNED),
        ("last fragment",            |e| e.v6(FRAGMENT, &fragment6(TCP, 3, false, &[0; 3])),    PASSES, BANNED),
        ("fragment of a fragment",   |e| e.v6(FRAGMENT, &fragment6(FRAGMENT, 0, true, &fragment6(TCP, 0, true, &syn()))), MALFORMED, MALFORMED),
        ("fragment behind options",  |e| e.v6(DESTINATION, &extension(FRAGMENT, 0, &fragment6(TCP, 9, true, &[0; 8]))), PASSES, BANNED),
        ("ESP",                      |e| e.v6(50, &[0; 8]),                                     PASSES, BANNED),
        ("no next header",           |e| e.v6(NO_NEXT, &[]),                                    PASSES, BANNED),
        ("unknown next header",      |e| e.v6(253, &[9; 12]),                                   PASSES, BANNED),
        ("IPv4 in IPv6",             |e| e.v6(4, &ATTACKER.v4(TCP, &syn())[14..]),              PASSES, BANNED),
        ("IPv6 in IPv6",             |e| e.v6(41, &ATTACKER.v6(TCP, &syn())[14..]),             PASSES, BANNED),
        ("GRE",                      |e| e.v6(47, &[0, 0, 0x86, 0xdd]),                         PASSES, BANNED),
        ("SCTP",                     |e| e.v6(SCTP, &sctp(1, 2, 1)),                            PASSES, BANNED),
        ("ICMPv6 echo",              |e| e.v6(ICMPV6, &icmp(128, 0, 1)),                        PASSES, BANNED),
        ("ICMPv6 error",             |e| e.v6(ICMPV6, &icmp(2, 0, 0)),                          PASSES, BANNED),
        ("ICMPv6 cut short",         |e| e.v6(ICMPV6, &icmp(128, 0, 1)[..7]),                   MALFORMED, MALFORMED),
        ("IPv4-mapped source",       |e| { let (from, to) = (e.source4.to_ipv6_mapped(), e.destination6);
                                           ethernet(IPV6, &ipv6(from, to, TCP, &syn())) },      PASSES, BANNED),
    ]);
}

#[test]
#[rustfmt::skip]
fn what_no_ban_cuts_off() {
    fn from6(source: &str, frame: Vec<u8>) -> Vec<u8> {
        let source: Ipv6Addr = source.parse().expect("an address");
        changed(frame, |frame| frame[22..38].copy_from_slice(&source.octets()))
    }
    fn from4(source: &str, frame: Vec<u8>) -> Vec<u8> {
        let source: Ipv4Addr = source.parse().expect("an address");
        changed(frame, |frame| frame[26..30].copy_from_slice(&source.octets()))
    }
    run(&[
        ("router solicitation",       |e| hop_limit(e.v6(ICMPV6, &icmp(133, 0, 0)), 255),       GUARDED, GUARDED),
        ("router advertisement",      |e| hop_limit(e.v6(ICMPV6, &icmp(134, 0, 0)), 255),       GUARDED, GUARDED),
        ("neighbour solicitation",    |e| hop_limit(e.v6(ICMPV6, &icmp(135, 0, 0)), 255),       GUARDED, GUARDED),
        ("neighbour advertisement",   |e| hop_limit(e.v6(ICMPV6, &icmp(136, 0, 0)), 255),       GUARDED, GUARDED),
        ("redirect",                  |e| hop_limit(e.v6(ICMPV6, &icmp(137, 0, 0)), 255),       GUARDED, GUARDED),
        ("neighbours in a VLAN",      |e| tagged(&[(0x8100, 7)], &hop_limit(e.v6(ICMPV6, &icmp(135, 0, 0)), 255)), GUARDED, GUARDED),
        ("neighbours, hop limit 254", |e| hop_limit(e.v6(ICMPV6, &icmp(135, 0, 0)), 254),       PASSES, BANNED),
        ("type 132",                  |e| hop_limit(e.v6(ICMPV6, &icmp(132, 0, 0)), 255),       PASSES, BANNED),
        ("type 138",                  |e| hop_limit(e.v6(ICMPV6, &icmp(138, 0, 0)), 255),       PASSES, BANNED),
        ("neighbours behind options", |e| hop_limit(e.v6(DESTINATION, &extension(ICMPV6, 0, &icmp(135, 0, 0))), 255), PASSES, BANNED),
        ("neighbours as a fragment",  |e| hop_limit(e.v6(FRAGMENT, &fragment6(ICMPV6, 0, false, &icmp(135, 0, 0))), 255), PASSES, BANNED),
        ("ICMP type 135 in IPv4",     |e| changed(e.v4(ICMPV6, &icmp(135, 0, 0)), |f| f[22] = 255), PASSES, BANNED),
        ("DHCP to the client",        |e| e.v4(UDP, &udp(67, 68, &[2; 240])),                   GUARDED, BANNED),
        ("DHCPv6 to the client",      |e| e.v6(UDP, &udp(547, 546, &[2; 40])),                  GUARDED, BANNED),
        ("DHCP to the server",        |e| e.v4(UDP, &udp(68, 67, &[1; 240])),                   PASSES, BANNED),
        ("DHCP port of the other family", |e| e.v4(UDP, &udp(547, 546, &[2; 40])),              PASSES, BANNED),
        ("DHCP from nowhere",         |e| from4("0.0.0.0", e.v4(UDP, &udp(67, 68, &[2; 240]))), GUARDED, GUARDED),
        ("DHCP from a banned link-local address", |e| from4("169.254.7.7", e.v4(UDP, &udp(67, 68, &[2; 240]))), GUARDED, GUARDED),
        ("DHCPv6 from a banned link-local address", |e| from6("fe80::7", e.v6(UDP, &udp(547, 546, &[2; 40]))), GUARDED, GUARDED),
        ("DHCPv6 from nowhere",       |e| from6("::", e.v6(UDP, &udp(547, 546, &[2; 40]))),     GUARDED, GUARDED),
        ("a banned link-local address", |e| from6("fe80::7", e.v6(TCP, &syn())),                BANNED, BANNED),
        ("DHCP as TCP",               |e| e.v4(TCP, &tcp(67, 68, SYN | ACK)),                   PASSES, BANNED),
        ("first fragment to DHCP",    |e| fragment4(e.v4(UDP, &udp(67, 68, &[2; 240])), 0, true), PASSES, BANNED),
    ]);
}
