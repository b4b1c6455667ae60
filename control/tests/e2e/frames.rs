//! Frames made by hand: every wrapping in which a banned source could hide, and what is unsound.

#![expect(
    clippy::indexing_slicing,
    reason = "a frame that is too short fails the test, as it should"
)]

use crate::node::{Node, SOON};
use anyhow::Result;
use palisade_lab::packet::{
    self, ACK, SYN, Tag, ethernet, ethernet_of, fragments, icmp_echo, ip, put, tcp, udp,
    with_ipv4_options, with_ipv6_extension,
};
use palisade_lab::{Host, Lab, Place, eventually, require_root};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// In the payload of every frame, so that a capture knows it again.
const MARK: &[u8] = b"a marked end-to-end payload";

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
/// Bodies behind the next-header byte.
const PADDING_OPTION: [u8; 7] = [0, 1, 4, 0, 0, 0, 0];
const EMPTY_ROUTE: [u8; 7] = [0, 4, 0, 0, 0, 0, 0];
const AUTHENTICATION_BODY: [u8; 23] = [
    4, 0, 0, 0, 0, 0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];

struct Wire {
    to: [u8; 6],
    from: [u8; 6],
}

impl Wire {
    fn frame(&self, packet: &[u8]) -> Vec<u8> {
        ethernet(self.to, self.from, &[], packet)
    }

    fn tagged(&self, tags: &[Tag], packet: &[u8]) -> Vec<u8> {
        ethernet(self.to, self.from, tags, packet)
    }

    fn of(&self, ethertype: u16, payload: &[u8]) -> Vec<u8> {
        ethernet_of(self.to, self.from, &[], ethertype, payload)
    }
}

fn changed<const N: usize>(packet: &[u8], offset: usize, value: [u8; N]) -> Vec<u8> {
    let mut packet = packet.to_vec();
    put(&mut packet, offset, value);
    packet
}

fn ends(from: &Host, to: &Host, v4: bool) -> (SocketAddr, SocketAddr) {
    let pick = |host: &Host| {
        if v4 {
            IpAddr::from(host.v4)
        } else {
            host.v6.into()
        }
    };
    (
        SocketAddr::new(pick(from), 40_000),
        SocketAddr::new(pick(to), 9),
    )
}

/// Sound frames: a ban on the source drops them, without one they pass.
fn sound(from: &Host, edge: &Host) -> Vec<(&'static str, Vec<u8>)> {
    let wire = Wire {
        to: edge.mac,
        from: from.mac,
    };
    let (source, target) = ends(from, edge, true);
    let plain = udp(source, target, MARK);
    let long = MARK.repeat(5);
    let pieces = fragments(&udp(source, target, &long), 48, 77);
    let proto = |number| ip(source.ip(), target.ip(), number, MARK);
    #[rustfmt::skip]
    let mut frames = vec![
        ("v4 udp",                     wire.frame(&plain)),
        ("v4 tcp syn",                 wire.frame(&tcp(source, target, SYN, 1, MARK))),
        ("v4 tcp without a start",     wire.frame(&tcp(source, target, ACK, 1, MARK))),
        ("v4 tcp null",                wire.frame(&tcp(source, target, 0, 1, MARK))),
        ("v4 icmp echo",               wire.frame(&icmp_echo(source.ip(), target.ip(), 1, MARK))),
        ("v4 in a vlan",               wire.tagged(&[Tag::Customer(5)], &plain)),
        ("v4 with a priority tag",     wire.tagged(&[Tag::Customer(0)], &plain)),
        ("v4 in a service vlan",       wire.tagged(&[Tag::Service(6)], &plain)),
        ("v4 in two vlans",            wire.tagged(&[Tag::Service(6), Tag::Customer(7)], &plain)),
        ("v4 in two customer vlans",   wire.tagged(&[Tag::Customer(6), Tag::Customer(7)], &plain)),
        ("v4 with one option word",    wire.frame(&with_ipv4_options(&plain, &[1, 1, 1, 0]))),
        ("v4 with ten option words",   wire.frame(&with_ipv4_options(&plain, &[1; 40]))),
        ("v4 igmp",                    wire.frame(&proto(2))),
        ("v4 gre",                     wire.frame(&proto(47))),
        ("v4 esp",                     wire.frame(&proto(50))),
        ("v4 sctp",                    wire.frame(&proto(132))),
        ("v4 protocol 255",            wire.frame(&proto(255))),
        ("v4 bad header checksum",     wire.frame(&changed(&plain, 10, [0xde, 0xad]))),
        ("v4 first fragment",          wire.frame(&pieces[0])),
        ("v4 later fragment",          wire.frame(&pieces[1])),
        ("v4 last fragment",           wire.frame(&pieces[2])),
    ];
    let (source, target) = ends(from, edge, false);
    let plain = udp(source, target, MARK);
    let pieces = fragments(&udp(source, target, &long), 48, 78);
    let proto = |number| ip(source.ip(), target.ip(), number, MARK);
    let extended = |kind, body: &[u8]| wire.frame(&with_ipv6_extension(&plain, kind, body));
    let chain = |length: usize| {
        let wrap =
            |packet: Vec<u8>, _| with_ipv6_extension(&packet, DESTINATION_OPTIONS, &PADDING_OPTION);
        wire.frame(&(0..length).fold(plain.clone(), wrap))
    };
    #[rustfmt::skip]
    frames.extend([
        ("v6 udp",                     wire.frame(&plain)),
        ("v6 tcp syn",                 wire.frame(&tcp(source, target, SYN, 1, MARK))),
        ("v6 icmp echo",               wire.frame(&icmp_echo(source.ip(), target.ip(), 1, MARK))),
        ("v6 in two vlans",            wire.tagged(&[Tag::Service(6), Tag::Customer(7)], &plain)),
        ("v6 with hop-by-hop options", extended(HOP_BY_HOP, &PADDING_OPTION)),
        ("v6 with a routing header",   extended(ROUTING, &EMPTY_ROUTE)),
        ("v6 with authentication",     extended(AUTHENTICATION, &AUTHENTICATION_BODY)),
        ("v6 with options",            chain(1)),
        ("v6 with eight headers",      chain(8)),
        ("v6 esp",                     wire.frame(&proto(50))),
        ("v6 no next header",          wire.frame(&proto(59))),
        ("v6 experimental protocol",   wire.frame(&proto(253))),
        ("v6 first fragment",          wire.frame(&pieces[0])),
        ("v6 later fragment",          wire.frame(&pieces[1])),
        ("v6 nd from afar",            wire.frame(&nd(source.ip(), target.ip(), 64))),
    ]);
    frames
}

/// A neighbour solicitation with a mark behind it; only with hop limit 255 is it one.
fn nd(from: IpAddr, to: IpAddr, hop_limit: u8) -> Vec<u8> {
    let mut message = icmp_echo(from, to, 0, MARK);
    put(&mut message, 40, [135]);
    put(&mut message, 7, [hop_limit]);
    message
}

/// Frames that nobody may send, with the reason.
fn unsound(from: &Host, edge: &Host) -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let wire = Wire {
        to: edge.mac,
        from: from.mac,
    };
    let (source, target) = ends(from, edge, true);
    let (v4, v4_bytes) = (udp(source, target, MARK), 28 + MARK.len());
    let three = [Tag::Service(1), Tag::Customer(2), Tag::Customer(3)];
    let total = |bytes: usize| changed(&v4, 2, u16::try_from(bytes).expect("short").to_be_bytes());
    let snap = |packet: &[u8]| [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], packet].concat();
    #[rustfmt::skip]
    let mut frames = vec![
        ("three tags",              wire.tagged(&three, &v4),                      "unsupported_encapsulation"),
        ("mpls",                    wire.of(0x8847, &[&[0, 1, 1, 64], &v4[..]].concat()), "unsupported_encapsulation"),
        ("pppoe session",           wire.of(0x8864, &[&[0x11, 0, 0, 1, 0, 60, 0, 0x21], &v4[..]].concat()), "unsupported_encapsulation"),
        ("ip in llc and snap",      wire.of(u16::try_from(8 + v4_bytes).expect("short"), &snap(&v4)), "unsupported_encapsulation"),
        ("ihl of four words",       wire.frame(&changed(&v4, 0, [0x44])),          "malformed"),
        ("ihl past the packet",     wire.of(0x0800, &changed(&v4, 0, [0x4f])[..24]), "malformed"),
        ("total below the header",  wire.frame(&total(19)),                        "malformed"),
        ("total past the frame",    wire.frame(&total(1400)),                      "malformed"),
        ("v6 under a v4 type",      wire.of(0x0800, &changed(&v4, 0, [0x65])),     "malformed"),
        ("v4 under a v6 type",      wire.of(0x86dd, &v4),                          "malformed"),
        ("udp header cut short",    wire.frame(&ip(source.ip(), target.ip(), packet::UDP, &[0, 9, 0, 9])), "malformed"),
        ("tcp header cut short",    wire.frame(&ip(source.ip(), target.ip(), packet::TCP, &[0; 12])), "malformed"),
    ];
    let (source, target) = ends(from, edge, false);
    let v6 = udp(source, target, MARK);
    let nine = (0..9).fold(v6.clone(), |packet, _| {
        with_ipv6_extension(&packet, DESTINATION_OPTIONS, &PADDING_OPTION)
    });
    let overlong = with_ipv6_extension(&v6, DESTINATION_OPTIONS, &[255, 1, 4, 0, 0, 0, 0]);
    #[rustfmt::skip]
    frames.extend([
        ("v6 payload past the frame", wire.frame(&changed(&v6, 4, 1400_u16.to_be_bytes())), "malformed"),
        ("v6 jumbogram",              wire.frame(&changed(&v6, 4, [0, 0])),        "malformed"),
        ("v6 with nine headers",      wire.frame(&nine),                           "malformed"),
        ("v6 header past the packet", wire.frame(&overlong),                       "malformed"),
        ("v6 header cut short",       wire.of(0x86dd, &v6[..39]),                  "malformed"),
    ]);
    frames
}

/// Sends frames one by one; each must move exactly one drop counter or reach the stack.
fn check(node: &Node, from: &Host, frames: &[(&str, Vec<u8>, &'static str)]) -> Result<()> {
    let injector = from.injector()?;
    let mut capture = node.edge().capture("up0")?;
    let mut wanted: BTreeMap<&str, u64> = BTreeMap::new();
    let before = node.daemon.metrics()?;
    let dropped = |samples: &palisade_lab::Samples, reason: &str| {
        samples.packets(&[("stage", "xdp"), ("verdict", "drop"), ("reason", reason)])
    };
    for (name, frame, reason) in frames {
        *wanted.entry(reason).or_default() += 1;
        injector.send(frame)?;
        let mut seen = Vec::new();
        let moved = eventually(SOON, || {
            let Ok(samples) = node.daemon.metrics() else {
                return false;
            };
            let counts = wanted.iter().filter(|(reason, _)| **reason != "passes");
            seen = counts
                .map(|(reason, want)| {
                    (
                        *reason,
                        *want,
                        dropped(&samples, reason) - dropped(&before, reason),
                    )
                })
                .collect();
            let passed = capture.count(MARK).unwrap_or_default();
            let passes = wanted.get("passes").copied().unwrap_or_default();
            u64::try_from(passed) == Ok(passes) && seen.iter().all(|(_, want, got)| want == got)
        });
        let passed = capture.count(MARK)?;
        assert!(
            moved,
            "{name} ({reason}): {passed} reached the stack, (reason, wanted, got) {seen:?}"
        );
    }
    Ok(())
}

#[test]
fn no_wrapping_hides_a_banned_source() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::start()?;
    for address in node.attacker.addresses() {
        node.ban(&address.to_string())?;
    }
    let frames = sound(&node.attacker, node.edge());
    let frames: Vec<_> = frames
        .into_iter()
        .map(|(name, frame)| (name, frame, "banned"))
        .collect();
    check(&node, &node.attacker, &frames)
}

#[test]
fn sound_frames_of_others_pass() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::start()?;
    node.ban("203.0.113.0/24")?;
    node.ban("2001:db8:bad::/48")?;
    let frames = sound(&node.client, node.edge());
    let frames: Vec<_> = frames
        .into_iter()
        .map(|(name, frame)| (name, frame, "passes"))
        .collect();
    check(&node, &node.client, &frames)
}

#[test]
fn unsound_frames_are_dropped_from_everybody() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::start()?;
    check(&node, &node.client, &unsound(&node.client, node.edge()))
}

#[test]
fn what_keeps_a_link_alive_passes_from_the_banned_too() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let node = Node::start()?;
    for prefix in ["203.0.113.0/24", "2001:db8:bad::/48", "169.254.0.0/16"] {
        node.ban(prefix)?;
    }
    let wire = Wire {
        to: node.edge().mac,
        from: node.attacker.mac,
    };
    let (source, target) = ends(&node.attacker, node.edge(), false);
    let address = |text: &str| -> Result<SocketAddr> { Ok(text.parse()?) };
    let spanning_tree = [&[0x42, 0x42, 3], MARK].concat();
    let length = u16::try_from(spanning_tree.len())?;
    let offer = udp(address("0.0.0.0:67")?, address("192.0.2.10:68")?, MARK);
    let reply = udp(
        address("[fe80::1]:547")?,
        address("[2001:db8::10]:546")?,
        MARK,
    );
    #[rustfmt::skip]
    let cases = [
        ("lldp",                wire.of(0x88cc, MARK),                        "not_ip"),
        ("lacp",                wire.of(0x8809, MARK),                        "not_ip"),
        ("eapol",               wire.of(0x888e, MARK),                        "not_ip"),
        ("spanning tree",       wire.of(length, &spanning_tree),              "not_ip"),
        ("neighbour discovery", wire.frame(&nd(source.ip(), target.ip(), 255)), "guarded"),
        ("dhcp",                wire.frame(&offer),                           "guarded"),
        ("dhcp for ipv6",       wire.frame(&reply),                           "guarded"),
    ];
    let injector = node.attacker.injector()?;
    let mut capture = node.edge().capture("up0")?;
    for (number, (name, frame, reason)) in cases.iter().enumerate() {
        let before = node.packets("xdp", "pass", reason)?;
        injector.send(frame)?;
        let passed = || capture.count(MARK).unwrap_or_default() == number + 1;
        assert!(eventually(SOON, passed), "{name} does not reach the stack");
        node.wait_for_packets(("xdp", "pass", reason), before, 1)?;
    }
    Ok(())
}
/// What the tests above conclude from, without a daemon: no frame is lost on its way.
#[test]
fn the_lab_carries_all_of_these() -> Result<()> {
    if !require_root() {
        return Ok(());
    }
    let mut lab = Lab::new()?;
    let client = lab.add_host("client", Place::Client)?;
    let injector = client.injector()?;
    let mut capture = lab.edge.capture("up0")?;
    let unsound = unsound(&client, &lab.edge)
        .into_iter()
        .map(|(name, frame, _)| (name, frame));
    let mut sent = 0;
    for (name, frame) in sound(&client, &lab.edge).into_iter().chain(unsound) {
        injector.send(&frame)?;
        sent += usize::from(packet::holds(&frame, MARK));
        assert!(
            eventually(SOON, || capture.count(MARK).is_ok_and(|got| got == sent)),
            "{name}"
        );
    }
    Ok(())
}
