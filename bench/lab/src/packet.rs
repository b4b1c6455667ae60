//! Packets made by hand, sound ones and unsound ones.
//!
//! Sound packets come whole from [`udp`], [`tcp`], [`icmp_echo`] and [`ip`]; the other functions
//! change them. [`ethernet`] makes a frame of one.

use std::net::{IpAddr, SocketAddr};

pub const ICMP: u8 = 1;
pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
pub const ICMPV6: u8 = 58;

pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;

const IPV6_HEADER_BYTES: usize = 40;
const IPV6_FRAGMENT: u8 = 44;
/// Frames shorter than this are padded, as a wire would have them.
const FRAME_BYTES_MIN: usize = 60;

/// A VLAN tag.
#[derive(Clone, Copy, Debug)]
pub enum Tag {
    /// 802.1Q
    Customer(u16),
    /// 802.1ad
    Service(u16),
}

/// A frame around an IP packet; the ethertype is that of the packet's version.
#[must_use]
pub fn ethernet(to: [u8; 6], from: [u8; 6], tags: &[Tag], packet: &[u8]) -> Vec<u8> {
    let ethertype: u16 = if version(packet) == 6 { 0x86dd } else { 0x0800 };
    ethernet_of(to, from, tags, ethertype, packet)
}

/// A frame of any ethertype.
#[must_use]
pub fn ethernet_of(
    to: [u8; 6],
    from: [u8; 6],
    tags: &[Tag],
    ethertype: u16,
    payload: &[u8],
) -> Vec<u8> {
    let mut frame = [to, from].concat();
    for tag in tags {
        let (kind, number): (u16, u16) = match *tag {
            Tag::Customer(number) => (0x8100, number),
            Tag::Service(number) => (0x88a8, number),
        };
        frame.extend(kind.to_be_bytes());
        frame.extend(number.to_be_bytes());
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    if frame.len() < FRAME_BYTES_MIN {
        frame.resize(FRAME_BYTES_MIN, 0);
    }
    frame
}

/// # Panics
/// When the addresses are of different families or the payload is too long.
#[must_use]
pub fn udp(from: SocketAddr, to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let length = u16_of(8 + payload.len());
    let segment = [
        &from.port().to_be_bytes(),
        &to.port().to_be_bytes(),
        &length.to_be_bytes(),
        [0; 2].as_slice(),
        payload,
    ]
    .concat();
    ip(
        from.ip(),
        to.ip(),
        UDP,
        &summed(from.ip(), to.ip(), UDP, segment, 6),
    )
}

/// # Panics
/// When the addresses are of different families or the payload is too long.
#[must_use]
pub fn tcp(from: SocketAddr, to: SocketAddr, flags: u8, sequence: u32, payload: &[u8]) -> Vec<u8> {
    let mut segment = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
    segment.extend(sequence.to_be_bytes());
    segment.extend([0; 4]);
    segment.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
    segment.extend(payload);
    ip(
        from.ip(),
        to.ip(),
        TCP,
        &summed(from.ip(), to.ip(), TCP, segment, 16),
    )
}

/// # Panics
/// When the addresses are of different families or the payload is too long.
#[must_use]
pub fn icmp_echo(from: IpAddr, to: IpAddr, identifier: u16, payload: &[u8]) -> Vec<u8> {
    let rest = [identifier.to_be_bytes(), 1_u16.to_be_bytes()].concat();
    icmp(
        from,
        to,
        if from.is_ipv4() { 8 } else { 128 },
        0,
        &[&rest, payload].concat(),
    )
}

/// The message that a packet was too big for a link of `mtu` bytes, about a packet that `to` sent.
///
/// # Panics
/// When the addresses are of different families.
#[must_use]
pub fn icmp_too_big(from: IpAddr, to: IpAddr, mtu: u16, original: &[u8]) -> Vec<u8> {
    let quoted: Vec<u8> = original.iter().copied().take(512).collect();
    let rest = [[0; 2], mtu.to_be_bytes()].concat();
    let (kind, code) = if from.is_ipv4() { (3, 4) } else { (2, 0) };
    icmp(from, to, kind, code, &[rest, quoted].concat())
}

/// An ICMP or ICMPv6 message: `rest` is all behind the checksum.
fn icmp(from: IpAddr, to: IpAddr, kind: u8, code: u8, rest: &[u8]) -> Vec<u8> {
    let protocol = if from.is_ipv4() { ICMP } else { ICMPV6 };
    let message = [[kind, code, 0, 0].as_slice(), rest].concat();
    ip(from, to, protocol, &summed(from, to, protocol, message, 2))
}

/// An IP packet of the addresses' family.
///
/// # Panics
/// When the addresses are of different families or the payload is too long.
#[must_use]
pub fn ip(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let length = u16_of(20 + payload.len()).to_be_bytes();
            let mut header = vec![0x45, 0];
            header.extend(length);
            header.extend([0, 0, 0, 0, 64, protocol, 0, 0]);
            header.extend(from.octets());
            header.extend(to.octets());
            let sum = checksum(&header).to_be_bytes();
            put(&mut header, 10, sum);
            [&header, payload].concat()
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut packet = vec![0x60, 0, 0, 0];
            packet.extend(u16_of(payload.len()).to_be_bytes());
            packet.extend([protocol, 64]);
            packet.extend(from.octets());
            packet.extend(to.octets());
            packet.extend(payload);
            packet
        }
        _ => panic!("{from} and {to} are of different families"),
    }
}

/// The packet with IPv4 options, filled up with zeros to whole words.
///
/// # Panics
/// When `packet` is no IPv4 packet without options.
#[must_use]
pub fn with_ipv4_options(packet: &[u8], options: &[u8]) -> Vec<u8> {
    let (header, payload) = packet.split_at_checked(20).expect("an IPv4 packet");
    let mut header = header.to_vec();
    header.extend(options);
    header.resize(header.len().next_multiple_of(4), 0);
    let words = u8::try_from(header.len() / 4).expect("options of at most 40 bytes");
    put(&mut header, 0, [0x40 | words]);
    let total = u16_of(header.len() + payload.len()).to_be_bytes();
    put(&mut header, 2, total);
    put(&mut header, 10, [0, 0]);
    let sum = checksum(&header).to_be_bytes();
    put(&mut header, 10, sum);
    [&header, payload].concat()
}

/// The packet with an IPv6 extension header directly behind the fixed one. `body` is what follows
/// the next-header byte.
///
/// # Panics
/// When `packet` is no IPv6 packet.
#[must_use]
pub fn with_ipv6_extension(packet: &[u8], kind: u8, body: &[u8]) -> Vec<u8> {
    let (header, payload) = packet
        .split_at_checked(IPV6_HEADER_BYTES)
        .expect("an IPv6 packet");
    let mut header = header.to_vec();
    let next = header.get(6).copied().unwrap_or_default();
    put(&mut header, 6, [kind]);
    let length = u16_of(1 + body.len() + payload.len()).to_be_bytes();
    put(&mut header, 4, length);
    [&header, [next].as_slice(), body, payload].concat()
}

/// Cuts a packet into fragments of `bytes` of its payload (a multiple of eight).
///
/// # Panics
/// When `packet` is no IP packet without options or extension headers.
#[must_use]
pub fn fragments(packet: &[u8], bytes: usize, identifier: u16) -> Vec<Vec<u8>> {
    assert_eq!(bytes % 8, 0, "fragments are whole units of eight bytes");
    let header_bytes = if version(packet) == 6 {
        IPV6_HEADER_BYTES
    } else {
        20
    };
    let (header, payload) = packet.split_at_checked(header_bytes).expect("an IP packet");
    let pieces = payload.chunks(bytes);
    let last = pieces.len() - 1;
    let piece =
        |(index, piece)| fragment(header, index * bytes / 8, index < last, identifier, piece);
    pieces.enumerate().map(piece).collect()
}

/// One fragment, `offset` in units of eight bytes.
fn fragment(header: &[u8], offset: usize, more: bool, identifier: u16, piece: &[u8]) -> Vec<u8> {
    let mut header = header.to_vec();
    if version(&header) == 6 {
        let next = header.get(6).copied().unwrap_or_default();
        put(&mut header, 6, [IPV6_FRAGMENT]);
        put(&mut header, 4, u16_of(8 + piece.len()).to_be_bytes());
        let place = u16_of(offset << 3 | usize::from(more)).to_be_bytes();
        let extension = [[next, 0], place, [0, 0], identifier.to_be_bytes()].concat();
        return [&header, &extension, piece].concat();
    }
    put(&mut header, 2, u16_of(20 + piece.len()).to_be_bytes());
    put(&mut header, 4, identifier.to_be_bytes());
    put(
        &mut header,
        6,
        u16_of(usize::from(more) << 13 | offset).to_be_bytes(),
    );
    put(&mut header, 10, [0, 0]);
    let sum = checksum(&header).to_be_bytes();
    put(&mut header, 10, sum);
    [&header, piece].concat()
}

/// Overwrites bytes at `offset`: what a test does to make a packet unsound.
///
/// # Panics
/// When they would lie outside.
pub fn put<const N: usize>(bytes: &mut [u8], offset: usize, value: [u8; N]) {
    let place = bytes
        .get_mut(offset..offset + N)
        .expect("a place inside the packet");
    place.copy_from_slice(&value);
}

/// Whether a frame has these bytes anywhere.
#[must_use]
pub fn holds(frame: &[u8], bytes: &[u8]) -> bool {
    frame.windows(bytes.len()).any(|window| window == bytes)
}

/// Whether an untagged frame is ARP or neighbour discovery, which nothing ever drops.
#[must_use]
pub fn is_discovery(frame: &[u8]) -> bool {
    match frame.get(12..14) {
        Some([0x08, 0x06]) => true,
        Some([0x86, 0xdd]) => {
            frame.get(20) == Some(&ICMPV6)
                && frame.get(54).is_some_and(|kind| (133..=137).contains(kind))
        }
        _ => false,
    }
}

fn version(packet: &[u8]) -> u8 {
    packet.first().copied().unwrap_or_default() >> 4
}

fn u16_of(length: usize) -> u16 {
    u16::try_from(length).expect("a length of sixteen bits")
}

/// `segment` with its checksum at `offset`, over the pseudo header where the protocol has one.
fn summed(from: IpAddr, to: IpAddr, protocol: u8, mut segment: Vec<u8>, offset: usize) -> Vec<u8> {
    let mut covered = match (from, to) {
        _ if protocol == ICMP => Vec::new(),
        (IpAddr::V4(from), IpAddr::V4(to)) => [from.octets(), to.octets()].concat(),
        (IpAddr::V6(from), IpAddr::V6(to)) => [from.octets(), to.octets()].concat(),
        _ => panic!("{from} and {to} are of different families"),
    };
    if protocol != ICMP {
        covered.extend([0, protocol]);
        covered.extend(u16_of(segment.len()).to_be_bytes());
    }
    covered.extend(&segment);
    let sum = checksum(&covered);
    put(&mut segment, offset, sum.to_be_bytes());
    segment
}

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        let high = u32::from(pair.first().copied().unwrap_or_default());
        let low = u32::from(pair.get(1).copied().unwrap_or_default());
        sum += high << 8 | low;
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::{checksum, fragments, ip, udp, with_ipv4_options, with_ipv6_extension};
    use std::net::IpAddr;

    #[test]
    fn the_checksum_of_rfc_1071s_example_is_right() {
        assert_eq!(
            checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            !0xddf2
        );
    }

    #[test]
    fn fragments_add_up_to_the_payload() {
        let payload = [7; 100];
        for (family, header) in [("192.0.2.1", 20), ("2001:db8::1", 48)] {
            let address: IpAddr = family.parse().unwrap();
            let pieces = fragments(&ip(address, address, 17, &payload), 24, 9);
            let bytes: Vec<u8> = pieces
                .iter()
                .flat_map(|piece| piece[header..].to_vec())
                .collect();
            assert_eq!(pieces.len(), 5, "{family}");
            assert_eq!(bytes, payload, "{family}");
        }
    }

    #[test]
    fn changed_headers_tell_their_lengths() {
        let v4 = udp(
            "192.0.2.1:1".parse().unwrap(),
            "192.0.2.2:2".parse().unwrap(),
            b"abcd",
        );
        let with_options = with_ipv4_options(&v4, &[1, 1, 1]);
        assert_eq!(with_options[0], 0x46);
        assert_eq!(usize::from(with_options[3]), with_options.len());
        assert_eq!(checksum(&with_options[..24]), 0);

        let v6 = udp(
            "[2001:db8::1]:1".parse().unwrap(),
            "[2001:db8::2]:2".parse().unwrap(),
            b"",
        );
        let with_extension = with_ipv6_extension(&v6, 60, &[0, 1, 4, 0, 0, 0, 0]);
        assert_eq!((with_extension[6], with_extension[40]), (60, 17));
        assert_eq!(usize::from(with_extension[5]), with_extension.len() - 40);
    }
}
