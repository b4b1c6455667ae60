mod payload;
mod properties;

use super::{
    Fragment, Layer, Outcome, ParseError, Position, Train, Transport, checksum, checksum::Checksum,
    classify, icmp, parse, transport::PortPair,
};
use crate::frames::{
    AUTHENTICATION, DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, ICMP, ICMPV6, IPV4, IPV6, Ip, QINQ,
    ROUTING, SCTP, TCP, UDP, VLAN, authentication, ethernet, extension, fragment, icmp as message,
    sctp, tagged, tcp, udp,
};

const A4: &str = "198.51.100.7";
const B4: &str = "192.0.2.10";
const A6: &str = "2001:db8:a::7";
const B6: &str = "2001:db8:b::10";

const WEB: Transport = Transport::Tcp(PortPair {
    source: 40000,
    destination: 443,
});

fn v4() -> Ip {
    Ip::new(A4, B4, TCP, tcp(40000, 443, 2)).checked()
}

fn v6() -> Ip {
    Ip::new(A6, B6, TCP, tcp(40000, 443, 2)).checked()
}

fn with(mut ip: Ip, change: impl FnOnce(&mut Ip)) -> Vec<u8> {
    change(&mut ip);
    ip.frame()
}

fn edited(mut frame: Vec<u8>, edit: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    edit(&mut frame);
    frame
}

fn chained(extensions: &[(u8, Vec<u8>)]) -> Vec<u8> {
    with(v6(), |ip| ip.extensions = extensions.to_vec())
}

/// Frames of every kind that pass the parser: what they are, and where the transport header starts.
#[test]
fn packets() {
    use Fragment::{First, Later, Whole};
    let train = |identification, protocol| Train {
        identification,
        protocol,
    };
    let options = |bytes: usize| with(v4(), |ip| ip.options = vec![1; bytes]);
    let eight = vec![(DESTINATION_OPTIONS, extension(0)); 8];
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>, Transport, Fragment, usize)> = vec![
        ("IPv4",                   v4().frame(),                                  WEB, Whole, 34),
        ("IPv4, shortest options", options(4),                                    WEB, Whole, 38),
        ("IPv4, longest options",  options(40),                                   WEB, Whole, 74),
        ("IPv4, padded",           edited(v4().frame(), |f| f.extend([0xff; 6])), WEB, Whole, 34),
        ("IPv4, don't fragment",   with(v4(), |ip| ip.flags_and_offset = 0x4000), WEB, Whole, 34),
        ("IPv4, evil bit",         with(v4(), |ip| ip.flags_and_offset = 0x8000), WEB, Whole, 34),
        ("802.1Q",                 tagged(&v4().frame(), &[(VLAN, 7)]),           WEB, Whole, 38),
        ("priority tag",           tagged(&v4().frame(), &[(VLAN, 0xe000)]),      WEB, Whole, 38),
        ("802.1ad QinQ",           tagged(&v4().frame(), &[(QINQ, 7), (VLAN, 8)]), WEB, Whole, 42),
        ("QinQ of old",            tagged(&v6().frame(), &[(0x9100, 7), (VLAN, 8)]), WEB, Whole, 62),
        ("IPv6",                   v6().frame(),                                  WEB, Whole, 54),
        ("hop-by-hop",             chained(&[(HOP_BY_HOP, extension(0))]),        WEB, Whole, 62),
        ("routing",                chained(&[(ROUTING, extension(2))]),           WEB, Whole, 78),
        ("longest extension",      chained(&[(DESTINATION_OPTIONS, extension(255))]), WEB, Whole, 2102),
        ("authentication",         chained(&[(AUTHENTICATION, authentication(4))]), WEB, Whole, 78),
        ("eight extensions",       chained(&eight),                               WEB, Whole, 118),
        ("atomic fragment",        chained(&[(FRAGMENT, fragment(9, 0, false))]), WEB, Whole, 62),
        ("first fragment",         with(v4(), |ip| { ip.identification = 9; ip.flags_and_offset = 0x2000; }),
                                   WEB, First { train: train(9, TCP), lead: 0 }, 34),
        ("first fragment, cut",    with(v4(), |ip| { ip.flags_and_offset = 0x2000; ip.payload.truncate(8); }),
                                   Transport::Cut, First { train: train(0, TCP), lead: 0 }, 34),
        ("later fragment",         with(v4(), |ip| ip.flags_and_offset = 0x2001),
                                   Transport::Absent, Later { train: train(0, TCP), offset: 8 }, 34),
        ("last fragment",          with(v4(), |ip| { ip.flags_and_offset = 0x1fff; ip.payload.truncate(1); }),
                                   Transport::Absent, Later { train: train(0, TCP), offset: 65528 }, 34),
        ("first of IPv6",          chained(&[(FRAGMENT, fragment(0xdead_beef, 0, true)), (DESTINATION_OPTIONS, extension(1))]),
                                   WEB, First { train: train(0xdead_beef, DESTINATION_OPTIONS), lead: 16 }, 78),
        ("later of IPv6",          chained(&[(FRAGMENT, fragment(5, 1232, false))]),
                                   Transport::Absent, Later { train: train(5, TCP), offset: 1232 }, 62),
        ("later of IPv6, header number of its start",
                                   with(v6(), |ip| { ip.extensions = vec![(FRAGMENT, fragment(5, 8, true))]; ip.protocol = DESTINATION_OPTIONS; }),
                                   Transport::Absent, Later { train: train(5, DESTINATION_OPTIONS), offset: 8 }, 62),
    ];
    for (name, frame, transport, position, offset) in cases {
        let packet = parse(&frame).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(packet.transport, transport, "{name}");
        assert_eq!(packet.fragment, position, "{name}");
        assert_eq!(packet.transport_offset, offset, "{name}");
        assert_eq!(packet.frame_bytes, frame.len(), "{name}");
    }
}

#[test]
fn transports() {
    let ip = |protocol, payload: Vec<u8>| Ip::new(A4, B4, protocol, payload).frame();
    let pair = PortPair {
        source: 5,
        destination: 7,
    };
    let echo = message(8, 0, [0x12, 0x34, 0, 1], &[]);
    let error = message(3, 1, [0; 4], &[0; 28]);
    let icmp4 = |kind, code, echo| Transport::Icmp(super::Icmp { kind, code, echo });
    #[rustfmt::skip]
    let cases: [(&str, Vec<u8>, Transport, [u16; 2]); 12] = [
        ("UDP",               ip(UDP, udp(5, 7, b"x")),         Transport::Udp(pair),            [5, 7]),
        ("UDP, header alone", ip(UDP, udp(5, 7, b"")),          Transport::Udp(pair),            [5, 7]),
        ("SCTP",              ip(SCTP, sctp(5, 7)),             Transport::Sctp(pair),           [5, 7]),
        ("TCP without flags", ip(TCP, tcp(5, 7, 0)),            Transport::Tcp(pair),            [5, 7]),
        ("TCP, all flags",    ip(TCP, tcp(5, 7, 0xff)),         Transport::Tcp(pair),            [5, 7]),
        ("echo request",      ip(ICMP, echo),                   icmp4(8, 0, Some(0x1234)),       [0x1234; 2]),
        ("unreachable",       ip(ICMP, error),                  icmp4(3, 1, None),               [0, 0]),
        ("GRE",               ip(47, vec![0; 4]),               Transport::Other,                [0, 0]),
        ("IP in IP",          ip(4, v4().bytes()),              Transport::Other,                [0, 0]),
        ("no payload",        ip(255, vec![]),                  Transport::Other,                [0, 0]),
        ("protocol 0",        ip(0, vec![0; 8]),                Transport::Other,                [0, 0]),
        ("AH over IPv4 is not opened", ip(AUTHENTICATION, authentication(4)), Transport::Other,  [0, 0]),
    ];
    for (name, frame, transport, ports) in cases {
        let packet = parse(&frame).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(packet.transport, transport, "{name}");
        let flow = packet.flow().unwrap();
        assert_eq!(
            [flow.source_port, flow.destination_port],
            ports.map(u16::to_be_bytes),
            "{name}"
        );
        assert_eq!(
            flow.source[..12],
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff],
            "{name}"
        );
        assert_eq!(flow.source[12..], [198, 51, 100, 7], "{name}");
    }

    // IPv6 next headers that end the chain: ESP, none, mobility, HIP, shim6, experimental.
    for number in [50, 59, 135, 139, 140, 253] {
        let frame = Ip::new(A6, B6, number, vec![TCP, 0, 0, 0, 0, 0, 0, 0]).frame();
        let packet = parse(&frame).unwrap();
        assert_eq!(
            (packet.transport, packet.protocol),
            (Transport::Other, number)
        );
    }
}

#[test]
fn refused_frames() {
    let cut = |layer| ParseError::Truncated { layer };
    let short = |ip: Ip, keep| with(ip, |ip| ip.payload.truncate(keep));
    let over = |protocol, bytes: Vec<u8>| Ip::new(A4, B4, protocol, bytes).frame();
    let nine = vec![(DESTINATION_OPTIONS, extension(0)); 9];
    let nested = [
        (FRAGMENT, fragment(1, 0, true)),
        (FRAGMENT, fragment(2, 0, true)),
    ];
    let snap = |ethertype: u16| [&[0xaa, 0xaa, 3, 0, 0, 0][..], &ethertype.to_be_bytes()].concat();
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>, ParseError)> = vec![
        ("empty",                   vec![],                                        cut(Layer::Ethernet)),
        ("runt",                    v4().frame()[..13].to_vec(),                   cut(Layer::Ethernet)),
        ("tag cut",                 tagged(&v4().frame(), &[(VLAN, 7)])[..17].to_vec(), cut(Layer::Vlan)),
        ("third tag",               tagged(&v4().frame(), &[(VLAN, 1); 3]),        ParseError::Encapsulated { ethertype: VLAN }),
        ("MPLS",                    ethernet(0x8847, &[0; 40]),                    ParseError::Encapsulated { ethertype: 0x8847 }),
        ("PPPoE session",           ethernet(0x8864, &[0; 40]),                    ParseError::Encapsulated { ethertype: 0x8864 }),
        ("IP in SNAP",              ethernet(40, &snap(IPV4)),                     ParseError::Encapsulated { ethertype: IPV4 }),
        ("PPPoE discovery",         ethernet(0x8863, &[0; 40]),                    ParseError::NotIp { ethertype: 0x8863 }),
        ("ARP",                     ethernet(0x0806, &[0; 28]),                    ParseError::NotIp { ethertype: 0x0806 }),
        ("LLDP",                    ethernet(0x88cc, &[0; 28]),                    ParseError::NotIp { ethertype: 0x88cc }),
        ("LACP",                    ethernet(0x8809, &[0; 28]),                    ParseError::NotIp { ethertype: 0x8809 }),
        ("EAPOL",                   ethernet(0x888e, &[0; 28]),                    ParseError::NotIp { ethertype: 0x888e }),
        ("spanning tree",           ethernet(38, &[0x42; 38]),                     ParseError::NotIp { ethertype: 0 }),
        ("CDP in SNAP",             ethernet(40, &snap(0x2000)),                   ParseError::NotIp { ethertype: 0x2000 }),
        ("tagged ARP",              tagged(&ethernet(0x0806, &[0; 28]), &[(VLAN, 5)]), ParseError::NotIp { ethertype: 0x0806 }),
        ("IPv4 header cut",         v4().frame()[..33].to_vec(),                   cut(Layer::Ipv4)),
        ("IPv4 in IPv6's type",     ethernet(IPV6, &[v4().bytes(), vec![0; 20]].concat()), ParseError::WrongVersion { layer: Layer::Ipv6, version: 4 }),
        ("IPv6 in IPv4's type",     ethernet(IPV4, &v6().bytes()),                 ParseError::WrongVersion { layer: Layer::Ipv4, version: 6 }),
        ("ihl below five",          edited(v4().frame(), |f| f[14] = 0x44),        ParseError::HeaderTooShort { layer: Layer::Ipv4, bytes: 16 }),
        ("ihl past the frame",      edited(v4().frame(), |f| { f[14] = 0x4f; f.truncate(34); }), cut(Layer::Ipv4)),
        ("total below header",      edited(v4().frame(), |f| f[17] = 19),          ParseError::BadLength { layer: Layer::Ipv4, total: 19, available: 40 }),
        ("total past frame",        edited(v4().frame(), |f| f[17] = 41),          ParseError::BadLength { layer: Layer::Ipv4, total: 41, available: 40 }),
        ("IPv6 header cut",         v6().frame()[..53].to_vec(),                   cut(Layer::Ipv6)),
        ("IPv6 length past frame",  edited(v6().frame(), |f| f[19] = 21),          ParseError::BadLength { layer: Layer::Ipv6, total: 61, available: 60 }),
        ("jumbogram",               edited(chained(&[(HOP_BY_HOP, extension(0))]), |f| f[18..20].fill(0)), cut(Layer::Extension)),
        ("nine extensions",         chained(&nine),                                ParseError::ChainTooLong { max: 8 }),
        ("extension past packet",   with(v6(), |ip| { ip.extensions = vec![(ROUTING, extension(255))]; ip.extensions[0].1.truncate(8); }), cut(Layer::Extension)),
        ("extension cut",           with(v6(), |ip| { ip.protocol = ROUTING; ip.payload.truncate(7); }), cut(Layer::Extension)),
        ("AH of no length",         chained(&[(AUTHENTICATION, vec![0; 12])]),     cut(Layer::Extension)),
        ("fragment of a fragment",  chained(&nested),                              ParseError::NestedFragment),
        ("TCP cut",                 short(v4(), 19),                               cut(Layer::Tcp)),
        ("TCP cut over IPv6",       short(v6(), 0),                                cut(Layer::Tcp)),
        ("TCP cut, padding behind", edited(short(v4(), 19), |f| f.extend([0; 20])), cut(Layer::Tcp)),
        ("UDP cut",                 over(UDP, vec![0; 7]),                         cut(Layer::Udp)),
        ("SCTP cut",                over(SCTP, vec![0; 11]),                       cut(Layer::Sctp)),
        ("ICMP cut",                over(ICMP, vec![8; 7]),                        cut(Layer::Icmp)),
        ("atomic fragment, cut",    with(v6(), |ip| { ip.extensions = vec![(FRAGMENT, fragment(9, 0, false))]; ip.payload.truncate(8); }), cut(Layer::Tcp)),
    ];
    for (name, frame, want) in cases {
        assert_eq!(
            parse(&frame).map(|packet| packet.transport),
            Err(want),
            "{name}"
        );
    }
}

#[test]
fn what_must_pass() {
    let solicit = || {
        let ip = Ip::new(
            "fe80::1",
            "ff02::1:ff00:10",
            ICMPV6,
            message(135, 0, [0; 4], &[0; 16]),
        );
        Ip {
            hop_limit: 255,
            ..ip
        }
        .checked()
    };
    let router = |kind| with(solicit(), |ip| ip.payload[0] = kind);
    let dhcp = |source, destination, port| Ip::new(source, destination, UDP, udp(67, port, b"x"));
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>, bool)> = vec![
        ("neighbour solicitation",       solicit().frame(),                            true),
        ("router solicitation",          router(133),                                  true),
        ("redirect",                     router(137),                                  true),
        ("listener report",              router(131),                                  false),
        ("type behind",                  router(138),                                  false),
        ("from beyond a router",         with(solicit(), |ip| ip.hop_limit = 254),     false),
        ("behind an extension header",   with(solicit(), |ip| ip.extensions = vec![(HOP_BY_HOP, extension(0))]), false),
        ("as an atomic fragment",        with(solicit(), |ip| ip.extensions = vec![(FRAGMENT, fragment(1, 0, false))]), false),
        ("IPv4 claiming ICMPv6",         Ip { hop_limit: 255, ..Ip::new(A4, B4, ICMPV6, message(135, 0, [0; 4], &[])) }.frame(), false),
        ("DHCP offer",                   dhcp("0.0.0.0", "255.255.255.255", 68).frame(), true),
        ("DHCP from a server",           dhcp(A4, B4, 68).frame(),                     true),
        ("DHCP to a server",             dhcp(A4, B4, 67).frame(),                     false),
        ("DHCP in a fragment",           with(dhcp(A4, B4, 68), |ip| ip.flags_and_offset = 0x2000), false),
        ("DHCPv6 reply",                 dhcp("fe80::1", "fe80::2", 546).frame(),      true),
        ("DHCP port over IPv6",          dhcp("fe80::1", "fe80::2", 68).frame(),       false),
        ("DHCPv6 port over IPv4",        dhcp(A4, B4, 546).frame(),                    false),
        ("TCP to that port",             Ip::new(A4, B4, TCP, tcp(67, 68, 2)).frame(), false),
    ];
    for (name, frame, want) in cases {
        assert_eq!(parse(&frame).unwrap().must_pass(), want, "{name}");
        assert_eq!(
            matches!(classify(&frame), Outcome::MustPass(_)),
            want,
            "{name}"
        );
    }
}

#[test]
fn outcomes() {
    let Outcome::Ip(summary) = classify(&tagged(&v6().frame(), &[(VLAN, 7)])) else {
        panic!("an IP packet");
    };
    assert_eq!(
        summary.source,
        A6.parse::<std::net::Ipv6Addr>().unwrap().octets()
    );
    assert_eq!(
        (summary.source_port, summary.destination_port),
        (40000, 443)
    );
    assert_eq!(
        (summary.position, summary.transport_offset),
        (Position::Whole, 58)
    );
    let cut = with(v4(), |ip| {
        ip.flags_and_offset = 0x2000;
        ip.payload.truncate(8);
    });
    let Outcome::Ip(summary) = classify(&cut) else {
        panic!("an IP packet")
    };
    assert_eq!(
        (summary.source_port, summary.destination_port),
        (0, 0),
        "no ports in a cut header"
    );
    assert_eq!(summary.position, Position::First);
    assert_eq!(classify(&ethernet(0x0806, &[])), Outcome::NotIp);
    assert_eq!(classify(&ethernet(0x8847, &[])), Outcome::Encapsulated);
    assert_eq!(classify(&[]), Outcome::Malformed);
}
