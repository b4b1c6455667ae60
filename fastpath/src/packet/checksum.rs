//! Checksums, verified before a payload is believed.
//!
//! The kernel does not verify the checksums of frames that a program redirects, and the host's stack
//! does so only after we gave the packet back. Whoever draws conclusions from a payload (the packet
//! quoted by an ICMP error, a PROXY header) must therefore ask here first: otherwise bytes that the
//! host throws away would have taught us something.

use std::net::IpAddr;

use etherparse::{IpNumber, checksum::Sum16BitWords};

use super::{Fragment, Packet};

/// What the checksums say of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checksum {
    Good,
    /// At least one is wrong.
    Bad,
    /// UDP over IPv4 may go without one.
    Absent,
    /// A fragment, whose checksum spans others, or a protocol without one that we know of.
    Unknown,
}

impl Checksum {
    /// Whether the host would accept the payload.
    pub const fn is_believable(self) -> bool {
        matches!(self, Self::Good | Self::Absent)
    }
}

/// Verifies the IPv4 header checksum and that of the transport protocol.
pub fn verify(packet: &Packet<'_>) -> Checksum {
    if packet.ipv4_header.is_some_and(|header| sum(header) != 0) {
        return Checksum::Bad;
    }
    if packet.fragment != Fragment::Whole {
        return Checksum::Unknown;
    }
    match IpNumber(packet.protocol) {
        IpNumber::TCP => with_pseudo_header(packet, packet.payload),
        IpNumber::UDP => udp(packet),
        IpNumber::ICMP => judge(sum(packet.payload) == 0),
        IpNumber::IPV6_ICMP => with_pseudo_header(packet, packet.payload),
        IpNumber::SCTP => sctp(packet.payload),
        _ => Checksum::Unknown,
    }
}

const fn judge(good: bool) -> Checksum {
    if good { Checksum::Good } else { Checksum::Bad }
}

fn sum(bytes: &[u8]) -> u16 {
    Sum16BitWords::new().add_slice(bytes).ones_complement()
}

/// UDP's own length counts, as the host cuts the datagram there. Over IPv6 a checksum is mandatory.
fn udp(packet: &Packet<'_>) -> Checksum {
    const HEADER_BYTES: usize = 8;
    let [_, _, _, _, high, low, checksum @ ..] = packet.payload else {
        return Checksum::Bad;
    };
    let length = usize::from(u16::from_be_bytes([*high, *low]));
    let Some(datagram) = packet
        .payload
        .get(..length)
        .filter(|_| length >= HEADER_BYTES)
    else {
        return Checksum::Bad;
    };
    if checksum.starts_with(&[0, 0]) {
        return if packet.source.is_ipv4() {
            Checksum::Absent
        } else {
            Checksum::Bad
        };
    }
    with_pseudo_header(packet, datagram)
}

fn with_pseudo_header(packet: &Packet<'_>, bytes: &[u8]) -> Checksum {
    let mut words = Sum16BitWords::new();
    words = match (packet.source, packet.destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => words
            .add_4bytes(source.octets())
            .add_4bytes(destination.octets()),
        (IpAddr::V6(source), IpAddr::V6(destination)) => words
            .add_16bytes(source.octets())
            .add_16bytes(destination.octets()),
        _ => return Checksum::Bad,
    };
    let Ok(length) = u32::try_from(bytes.len()) else {
        return Checksum::Bad;
    };
    let words = words
        .add_4bytes(length.to_be_bytes())
        .add_2bytes([0, packet.protocol])
        .add_slice(bytes);
    judge(words.ones_complement() == 0)
}

/// CRC32c over the packet with its checksum field as zero (RFC 9260, appendix A), little endian.
fn sctp(packet: &[u8]) -> Checksum {
    let (Some(head), Some(field), Some(tail)) =
        (packet.get(..8), packet.get(8..12), packet.get(12..))
    else {
        return Checksum::Bad;
    };
    let crc = [head, &[0; 4], tail]
        .into_iter()
        .flatten()
        .fold(u32::MAX, crc32c_step);
    judge((!crc).to_le_bytes() == *field)
}

/// One byte of CRC32c, bit by bit: SCTP payloads are read too rarely to pay for a table.
pub(super) fn crc32c_step(crc: u32, byte: &u8) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
        (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 }
    })
}
