//! Checksums, and the packets that ICMP errors quote.

use super::*;

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
