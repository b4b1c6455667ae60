//! The kernel's parser and the workers' must say the same of every frame.
//!
//! Frames are built from parts that mean something (tags, headers, chains, fragments) and then
//! bent: cut, padded, bytes overwritten. The C parser runs in a program of its own that shows what
//! `parse.h` made of the frame.

use aya::{Ebpf, TestRun as _, TestRunOptions, include_bytes_aligned, maps::Array, programs::Xdp};
use palisade_fastpath::packet::{Outcome, Position, Summary, classify};
use proptest::{
    collection::vec,
    prelude::*,
    test_runner::{Config, TestRunner},
};

use crate::support::{
    TestKernel,
    frames::{
        AH, DESTINATION, Ends, FRAGMENT, HOP_BY_HOP, ICMP, ICMPV6, IPV4, IPV6, NO_NEXT, ROUTING,
        SCTP, TCP, UDP, ethernet, ipv4, ipv6, tagged,
    },
};

static PROBE: &[u8] = include_bytes_aligned!(env!("PALISADE_PARSE_PROBE"));

/// `struct result` of parse_probe.bpf.c.
const RESULT_BYTES: usize = 56;

struct Probe {
    object: Ebpf,
    /// Has the maps that the headers name.
    _kernel: TestKernel,
}

impl Probe {
    fn new() -> Self {
        let kernel = TestKernel::new();
        let mut object = kernel.load_beside(PROBE);
        let program: &mut Xdp = object
            .program_mut("parse_probe")
            .expect("there")
            .try_into()
            .expect("XDP");
        program.load().expect("the verifier accepts the probe");
        Self {
            object,
            _kernel: kernel,
        }
    }

    /// What the C parser makes of a frame, in the words of the Rust one.
    fn parse(&self, frame: &[u8]) -> Outcome {
        let program: &Xdp = self
            .object
            .program("parse_probe")
            .expect("there")
            .try_into()
            .expect("XDP");
        let options = TestRunOptions {
            data_in: Some(frame),
            repeat: 1,
            ..TestRunOptions::default()
        };
        program.test_run(options).expect("the frame can be run");
        let results: Array<_, [u8; RESULT_BYTES]> = self
            .object
            .map("results")
            .expect("there")
            .try_into()
            .expect("an array");
        let result = results.get(&0, 0).expect("readable");

        let word = |at: usize| u32::from_ne_bytes(result[at..at + 4].try_into().expect("four"));
        let port = |at: usize| u16::from_be_bytes([result[at], result[at + 1]]);
        let [parsed, fragment, must_pass] = [word(40), word(44), word(48)];
        let summary = || Summary {
            source: result[..16].try_into().expect("sixteen"),
            destination: result[16..32].try_into().expect("sixteen"),
            source_port: port(32),
            destination_port: port(34),
            protocol: result[36],
            position: match fragment {
                0 => Position::Whole,
                1 => Position::First,
                2 => Position::Later,
                other => panic!("fragment position {other}"),
            },
            transport_offset: 0,
        };
        match (parsed, must_pass) {
            (0, 0) => Outcome::Ip(summary()),
            (0, _) => Outcome::MustPass(summary()),
            (1, _) => Outcome::NotIp,
            (2, _) => Outcome::Encapsulated,
            (3, _) => Outcome::Malformed,
            other => panic!("the probe answered {other:?}"),
        }
    }
}

/// The offset of the transport header is the workers' own affair.
fn comparable(outcome: Outcome) -> Outcome {
    let forget = |summary| Summary {
        transport_offset: 0,
        ..summary
    };
    match outcome {
        Outcome::Ip(summary) => Outcome::Ip(forget(summary)),
        Outcome::MustPass(summary) => Outcome::MustPass(forget(summary)),
        other => other,
    }
}

// === frames ===

fn protocol() -> impl Strategy<Value = u8> {
    prop_oneof![
        8 => prop::sample::select(vec![TCP, UDP, SCTP, ICMP, ICMPV6]),
        1 => prop::sample::select(vec![NO_NEXT, AH, FRAGMENT, HOP_BY_HOP, DESTINATION, 4, 41, 47, 50]),
        1 => any::<u8>(),
    ]
}

/// Bytes that every transport may take for its header, with the ports and types that matter.
fn transport() -> impl Strategy<Value = Vec<u8>> {
    let interesting = prop::sample::select(vec![
        vec![0, 67, 0, 68],
        vec![2, 35, 2, 34],
        vec![133, 0, 0, 0],
        vec![137, 0, 0, 0],
        vec![138, 0, 0, 0],
        vec![8, 0, 1, 2],
        vec![0, 0, 1, 2],
        vec![128, 0, 1, 2],
        vec![129, 0, 1, 2],
        vec![3, 1, 1, 2],
    ]);
    (interesting, vec(any::<u8>(), 0..40)).prop_map(|(start, rest)| [start, rest].concat())
}

fn extension_header() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let plain = prop::sample::select(vec![HOP_BY_HOP, ROUTING, DESTINATION]);
    prop_oneof![
        4 => (plain, 0_u8..4).prop_map(|(kind, units)| {
            let mut header = vec![0, units];
            header.resize(8 + 8 * usize::from(units), 0xee);
            (kind, header)
        }),
        1 => (0_u8..6).prop_map(|words| {
            let mut header = vec![0, words];
            header.resize(8 + 4 * usize::from(words), 0xdd);
            (AH, header)
        }),
        2 => (0_u16..4, any::<bool>(), 0_u8..8).prop_map(|(offset, more, reserved)| {
            let field = offset << 3 | u16::from(reserved & 6) | u16::from(more);
            let [high, low] = field.to_be_bytes();
            (FRAGMENT, vec![0, reserved, high, low, 0, 0, 0, 7])
        }),
    ]
}

fn ends() -> impl Strategy<Value = Ends> {
    let v6 = prop::sample::select(vec![
        "2001:db8::1",
        "fe80::1",
        "::",
        "::ffff:192.0.2.1",
        "ff02::1",
    ]);
    (any::<[u8; 4]>(), any::<[u8; 4]>(), v6.clone(), v6).prop_map(|(from, to, from6, to6)| Ends {
        source4: from.into(),
        destination4: to.into(),
        source6: from6.parse().expect("an address"),
        destination6: to6.parse().expect("an address"),
    })
}

fn packet() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let fragment = prop_oneof![
        3 => Just(0_u16),
        1 => prop::sample::select(vec![0x2000_u16, 0x2001, 1, 0x4000, 0x8000, 0x6000, 0x1fff]),
    ];
    let v4 = (ends(), protocol(), 0_usize..11, transport(), fragment).prop_map(
        |(ends, protocol, words, payload, fragment)| {
            let options = vec![1; words * 4];
            let mut packet = ipv4(
                ends.source4,
                ends.destination4,
                protocol,
                &options,
                &payload,
            );
            packet[6..8].copy_from_slice(&fragment.to_be_bytes());
            (IPV4, packet)
        },
    );
    let limit = prop::sample::select(vec![255_u8, 255, 64, 254]);
    let v6 = (
        ends(),
        protocol(),
        vec(extension_header(), 0..10),
        transport(),
        limit,
    )
        .prop_map(|(ends, protocol, chain, payload, limit)| {
            let (next, body) = chain.into_iter().rev().fold(
                (protocol, payload),
                |(next, rest), (kind, mut header)| {
                    header[0] = next;
                    (kind, [header, rest].concat())
                },
            );
            let mut packet = ipv6(ends.source6, ends.destination6, next, &body);
            packet[7] = limit;
            (IPV6, packet)
        });
    prop_oneof![v4, v6]
}

/// What is done to a frame once it is built.
#[derive(Clone, Debug)]
enum Bend {
    Nothing,
    Cut(prop::sample::Index),
    Pad(usize),
    Overwrite(prop::sample::Index, u8),
    /// In the first bytes, where the lengths and types stand.
    Header(usize, u8),
}

fn bend() -> impl Strategy<Value = Bend> {
    prop_oneof![
        3 => Just(Bend::Nothing),
        2 => any::<prop::sample::Index>().prop_map(Bend::Cut),
        1 => (1_usize..50).prop_map(Bend::Pad),
        2 => (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Bend::Overwrite(at, byte)),
        2 => (12_usize..64, any::<u8>()).prop_map(|(at, byte)| Bend::Header(at, byte)),
    ]
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop::sample::select(vec![0x8100_u16, 0x88a8, 0x9100]);
    let tags = prop_oneof![
        3 => Just(Vec::new()),
        2 => vec((kind, any::<u16>()), 1..4),
    ];
    let ethertype = prop_oneof![
        8 => Just(None),
        1 => prop::sample::select(vec![0x0806_u16, 0x8847, 0x8848, 0x8863, 0x8864, 0x88cc, 0x05ff, 0x0600])
            .prop_map(Some),
        1 => (0_u16..0x600).prop_map(Some),
        1 => any::<u16>().prop_map(Some),
    ];
    let snap = prop_oneof![
        6 => Just(None),
        1 => prop::sample::select(vec![
            vec![0xaa, 0xaa, 3, 0, 0, 0, 8, 0],
            vec![0xaa, 0xaa, 3, 0, 0, 0, 0x86, 0xdd],
            vec![0xaa, 0xaa, 3, 0, 0, 0, 0x81, 0],
            vec![0xaa, 0xab, 3, 0, 0, 0, 8, 0],
            vec![0x42, 0x42, 3],
        ])
        .prop_map(Some),
    ];
    (packet(), tags, ethertype, snap, vec(bend(), 0..3)).prop_map(
        |((own_type, packet), tags, ethertype, snap, bends)| {
            let mut frame = match snap {
                Some(header) => ethernet(100, &[header, packet].concat()),
                None => ethernet(ethertype.unwrap_or(own_type), &packet),
            };
            frame = tagged(&tags, &frame);
            for bend in bends {
                bend_frame(&mut frame, &bend);
            }
            // The kernel's test run takes no frame without a whole Ethernet header.
            frame.resize(frame.len().max(14), 0);
            frame
        },
    )
}

fn bend_frame(frame: &mut Vec<u8>, bend: &Bend) {
    match bend {
        Bend::Nothing => {}
        Bend::Cut(at) => frame.truncate(at.index(frame.len() + 1)),
        Bend::Pad(bytes) => frame.resize(frame.len() + bytes, 0),
        Bend::Overwrite(at, byte) if !frame.is_empty() => {
            let at = at.index(frame.len());
            frame[at] = *byte;
        }
        Bend::Header(at, byte) if *at < frame.len() => frame[*at] = *byte,
        _ => {}
    }
}

#[test]
fn both_parsers_agree() {
    if !palisade_lab::require_root() {
        return;
    }
    const FRAMES: u32 = 30_000;
    let probe = Probe::new();
    let mut seen = [0_u32; 5];
    let config = Config {
        cases: FRAMES,
        failure_persistence: None,
        ..Config::default()
    };
    let kinds = std::cell::RefCell::new(&mut seen);
    let outcome = TestRunner::new(config).run(&frame(), |frame| {
        let ours = comparable(classify(&frame));
        let theirs = probe.parse(&frame);
        prop_assert_eq!(
            ours,
            theirs,
            "Rust on the left, C on the right: {:02x?}",
            frame
        );
        let kind = match ours {
            Outcome::NotIp => 0,
            Outcome::Encapsulated => 1,
            Outcome::Malformed => 2,
            Outcome::MustPass(_) => 3,
            Outcome::Ip(_) => 4,
        };
        kinds.borrow_mut()[kind] += 1;
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    // A generator that never reaches one of them would prove little.
    assert!(
        seen.iter().all(|&count| count > FRAMES / 500),
        "kinds of frames seen: {seen:?}"
    );
}
