use proptest::prelude::*;

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
fn checksums() {
    use Checksum::{Absent, Bad, Good, Unknown};
    let udp4 = || Ip::new(A4, B4, UDP, udp(5, 7, b"odd")).checked();
    let udp6 = || Ip::new(A6, B6, UDP, udp(5, 7, b"odd")).checked();
    let sctp4 = || Ip::new(A4, B4, SCTP, sctp(5, 7)).checked();
    let echo4 = || Ip::new(A4, B4, ICMP, message(8, 0, [1; 4], b"ping")).checked();
    let echo6 = || Ip::new(A6, B6, ICMPV6, message(128, 0, [1; 4], b"ping")).checked();
    let flip = |ip: Ip| with(ip, |ip| *ip.payload.last_mut().unwrap() ^= 1);
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>, Checksum)> = vec![
        ("TCP",                      v4().frame(),                                    Good),
        ("TCP, padded",              edited(v4().frame(), |f| f.extend([9; 5])),      Good),
        ("TCP over IPv6",            v6().frame(),                                    Good),
        ("TCP, one bit off",         flip(v4()),                                      Bad),
        ("TCP over IPv6, one bit off", flip(v6()),                                    Bad),
        ("IPv4 header",              edited(v4().frame(), |f| f[22] ^= 1),            Bad),
        ("IPv4 options",             with(v4(), |ip| ip.options = vec![1; 8]),        Good),
        ("UDP",                      udp4().frame(),                                  Good),
        ("UDP, one bit off",         flip(udp4()),                                    Bad),
        ("UDP without",              with(udp4(), |ip| ip.payload[6..8].fill(0)),     Absent),
        ("UDP over IPv6",            udp6().frame(),                                  Good),
        ("UDP over IPv6 without",    with(udp6(), |ip| ip.payload[6..8].fill(0)),     Bad),
        ("UDP shorter than IP says", with(udp4(), |ip| ip.payload.extend([7; 3])),    Good),
        ("UDP longer than IP says",  with(udp4(), |ip| ip.payload[5] += 1),           Bad),
        ("UDP length below header",  with(udp4(), |ip| ip.payload[5] = 7),            Bad),
        ("SCTP",                     sctp4().frame(),                                 Good),
        ("SCTP, one bit off",        flip(sctp4()),                                   Bad),
        ("ICMP",                     echo4().frame(),                                 Good),
        ("ICMP, one bit off",        flip(echo4()),                                   Bad),
        ("ICMPv6",                   echo6().frame(),                                 Good),
        ("ICMPv6, one bit off",      flip(echo6()),                                   Bad),
        ("fragment",                 with(v4(), |ip| ip.flags_and_offset = 0x2000),   Unknown),
        ("GRE",                      Ip::new(A4, B4, 47, vec![0; 4]).frame(),         Unknown),
    ];
    for (name, frame, want) in cases {
        assert_eq!(checksum::verify(&parse(&frame).unwrap()), want, "{name}");
    }
    // RFC 3720, B.4: 32 bytes of zeros.
    let zeros = [0_u8; 32].iter().fold(u32::MAX, checksum::crc32c_step);
    assert_eq!(!zeros, 0x8a91_36aa);
}

#[test]
fn quotes() {
    let ours4 = Ip::new(B4, A4, UDP, udp(7, 5, b"x")).bytes();
    let ours6 = Ip::new(B6, A6, UDP, udp(7, 5, b"x")).bytes();
    let from4 = |kind, quote: &[u8]| {
        Ip::new("203.0.113.1", B4, ICMP, message(kind, 4, [0; 4], quote))
            .checked()
            .frame()
    };
    let from6 = |kind, quote: &[u8]| {
        Ip::new("2001:db8::1", B6, ICMPV6, message(kind, 0, [0; 4], quote))
            .checked()
            .frame()
    };
    let (b4, b6) = (Some(B4), Some(B6));
    #[rustfmt::skip]
    let cases: Vec<(&str, Vec<u8>, Option<&str>)> = vec![
        ("unreachable",             from4(3, &ours4),           b4),
        ("time exceeded",           from4(11, &ours4),          b4),
        ("parameter problem",       from4(12, &ours4),          b4),
        ("quote of 8 bytes",        from4(3, &ours4[..28]),     b4),
        ("quoted header cut",       from4(3, &ours4[..19]),     None),
        ("quotes IPv6 over IPv4",   from4(3, &ours6),           None),
        ("redirect is no error",    from4(5, &ours4),           None),
        ("echo with a packet in it", from4(8, &ours4),          None),
        ("unreachable v6",          from6(1, &ours6),           b6),
        ("packet too big",          from6(2, &ours6),           b6),
        ("time exceeded v6",        from6(3, &ours6[..40]),     b6),
        ("parameter problem v6",    from6(4, &ours6),           b6),
        ("quoted v6 header cut",    from6(1, &ours6[..39]),     None),
        ("echo v6",                 from6(128, &ours6),         None),
        ("type 0 v6",               from6(0, &ours6),           None),
    ];
    for (name, frame, want) in cases {
        let packet = parse(&frame).unwrap();
        let source = icmp::quoted(&packet).map(|quoted| quoted.source.to_string());
        assert_eq!(source.as_deref(), want, "{name}");
    }
    let fragmented = with(
        Ip::new(A4, B4, ICMP, message(3, 4, [0; 4], &ours4)).checked(),
        |ip| ip.flags_and_offset = 0x2000,
    );
    assert_eq!(
        icmp::quoted(&parse(&fragmented).unwrap()),
        None,
        "a fragment quotes nothing"
    );
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

/// Frames near to valid ones: the deep parts of the parser, with fields that do not agree.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let seeds = vec![
        v4().frame(),
        v6().frame(),
        tagged(&v4().frame(), &[(QINQ, 7), (VLAN, 8)]),
        with(v4(), |ip| ip.options = vec![1; 40]),
        chained(&[
            (HOP_BY_HOP, extension(1)),
            (ROUTING, extension(0)),
            (AUTHENTICATION, authentication(4)),
            (FRAGMENT, fragment(7, 0, true)),
            (DESTINATION_OPTIONS, extension(0)),
        ]),
        Ip::new(A4, B4, ICMP, message(3, 4, [0; 4], &v4().bytes()))
            .checked()
            .frame(),
        Ip::new(A6, B6, ICMPV6, message(2, 0, [0; 4], &v6().bytes()))
            .checked()
            .frame(),
        Ip::new(A4, B4, UDP, udp(5, 7, b"payload"))
            .checked()
            .frame(),
        Ip::new(A6, B6, SCTP, sctp(5, 7)).checked().frame(),
    ];
    let edits = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6);
    (
        prop::sample::select(seeds),
        edits,
        any::<prop::sample::Index>(),
        any::<bool>(),
    )
        .prop_map(|(mut frame, edits, cut, shorten)| {
            for (index, byte) in edits {
                let at = index.index(frame.len());
                frame[at] = byte;
            }
            if shorten {
                frame.truncate(cut.index(frame.len() + 1));
            }
            frame
        })
}

/// Nothing that a parsed packet says of itself leaves the frame that it came from.
fn is_sound(frame: &[u8]) {
    let Ok(packet) = parse(frame) else { return };
    let end = packet.transport_offset + packet.payload.len();
    assert!(
        end <= frame.len(),
        "payload ends at {end} of {}",
        frame.len()
    );
    assert_eq!(
        frame.get(packet.transport_offset..end),
        Some(packet.payload)
    );
    let _ = (
        checksum::verify(&packet),
        icmp::quoted(&packet),
        packet.must_pass(),
    );
    match packet.fragment {
        Fragment::Later { .. } => assert_eq!(packet.flow(), None),
        _ => assert_eq!(packet.flow().is_none(), packet.transport == Transport::Cut),
    }
}

proptest! {
    #[test]
    fn any_bytes_are_survived(frame in prop::collection::vec(any::<u8>(), 0..200)) {
        is_sound(&frame);
    }

    #[test]
    fn mutated_frames_are_survived(frame in mutated()) {
        is_sound(&frame);
    }

    /// What is cut off a whole packet makes it malformed, and never another packet.
    #[test]
    fn a_shortened_frame_is_no_packet(cut in 1_usize..54) {
        let frame = v4().frame();
        prop_assert!(parse(&frame[..frame.len() - cut]).is_err());
    }
}
