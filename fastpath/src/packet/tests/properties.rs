//! What holds for any bytes.

use proptest::prelude::*;

use super::*;

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
