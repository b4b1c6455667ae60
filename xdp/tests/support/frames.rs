//! Frames made byte by byte, sound and unsound.

use std::net::{Ipv4Addr, Ipv6Addr};

pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMP: u8 = 1;
pub(crate) const ICMPV6: u8 = 58;
pub(crate) const SCTP: u8 = 132;

pub(crate) const HOP_BY_HOP: u8 = 0;
pub(crate) const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const AH: u8 = 51;
pub(crate) const NO_NEXT: u8 = 59;
pub(crate) const DESTINATION: u8 = 60;

pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;

/// Who sends to whom, in both families.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ends {
    pub(crate) source4: Ipv4Addr,
    pub(crate) source6: Ipv6Addr,
    pub(crate) destination4: Ipv4Addr,
    pub(crate) destination6: Ipv6Addr,
}

impl Ends {
    /// The packet in the other direction.
    pub(crate) fn reversed(self) -> Self {
        Self {
            source4: self.destination4,
            source6: self.destination6,
            destination4: self.source4,
            destination6: self.source6,
        }
    }

    pub(crate) fn v4(&self, protocol: u8, payload: &[u8]) -> Vec<u8> {
        ethernet(
            IPV4,
            &ipv4(self.source4, self.destination4, protocol, &[], payload),
        )
    }

    pub(crate) fn v6(&self, next: u8, payload: &[u8]) -> Vec<u8> {
        ethernet(IPV6, &ipv6(self.source6, self.destination6, next, payload))
    }
}

// === link ===

pub(crate) fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![0x02, 0, 0, 0, 0, 1, 0x02, 0, 0, 0, 0, 2];
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// Puts tags, given as (ethertype, VLAN), behind the addresses of a frame.
pub(crate) fn tagged(tags: &[(u16, u16)], frame: &[u8]) -> Vec<u8> {
    let mut out = frame[..12].to_vec();
    for (kind, vlan) in tags {
        out.extend(kind.to_be_bytes());
        out.extend(vlan.to_be_bytes());
    }
    out.extend(&frame[12..]);
    out
}

/// An IEEE 802.3 frame: length, LLC header, payload.
pub(crate) fn llc(header: &[u8], payload: &[u8]) -> Vec<u8> {
    let body = [header, payload].concat();
    let mut frame = ethernet(u16::try_from(body.len()).expect("short"), &body);
    frame.resize(frame.len().max(60), 0);
    frame
}

pub(crate) fn changed(mut frame: Vec<u8>, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    change(&mut frame);
    frame
}

// === IP ===

/// `options` must be a multiple of four bytes.
pub(crate) fn ipv4(
    source: Ipv4Addr,
    destination: Ipv4Addr,
    protocol: u8,
    options: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let words = u8::try_from(5 + options.len() / 4).expect("at most 40 bytes of options");
    let total = u16::try_from(20 + options.len() + payload.len()).expect("fits");
    let mut packet = vec![0x40 | words, 0];
    packet.extend(total.to_be_bytes());
    packet.extend([0x12, 0x34, 0, 0, 64, protocol, 0, 0]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(options);
    let sum: u32 = packet
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]))
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded");
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
    packet.extend(payload);
    packet
}

/// Makes the IPv4 packet in an untagged frame a fragment: offset in units of eight bytes.
pub(crate) fn fragment4(frame: Vec<u8>, offset: u16, more: bool) -> Vec<u8> {
    changed(frame, |frame| {
        let field = offset | if more { 0x2000 } else { 0 };
        frame[20..22].copy_from_slice(&field.to_be_bytes());
    })
}

pub(crate) fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(payload.len()).expect("fits").to_be_bytes());
    packet.extend([next, 64]);
    packet.extend(source.octets());
    packet.extend(destination.octets());
    packet.extend(payload);
    packet
}

pub(crate) fn hop_limit(frame: Vec<u8>, limit: u8) -> Vec<u8> {
    changed(frame, |frame| frame[21] = limit)
}

/// An extension header of the usual form, `units` times eight bytes long behind the first eight.
pub(crate) fn extension(next: u8, units: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = vec![next, units];
    header.resize(8 * (usize::from(units) + 1), 0);
    header.extend(rest);
    header
}

/// An IPv6 fragment header.
pub(crate) fn fragment6(next: u8, offset: u16, more: bool, rest: &[u8]) -> Vec<u8> {
    let mut header = vec![next, 0];
    header.extend((offset << 3 | u16::from(more)).to_be_bytes());
    header.extend([0, 0, 0, 7]);
    header.extend(rest);
    header
}

/// An authentication header with 12 bytes of check value.
pub(crate) fn authentication(next: u8, rest: &[u8]) -> Vec<u8> {
    let mut header = vec![next, 4];
    header.resize(24, 0);
    header.extend(rest);
    header
}

// === transport: checksums are left zero, nobody here reads them ===

pub(crate) fn tcp(source: u16, destination: u16, flags: u8) -> Vec<u8> {
    let mut header = ports(source, destination);
    header.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    header
}

pub(crate) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut header = ports(source, destination);
    header.extend(
        u16::try_from(8 + payload.len())
            .expect("fits")
            .to_be_bytes(),
    );
    header.extend([0, 0]);
    header.extend(payload);
    header
}

/// With one chunk of this type; 1 is INIT.
pub(crate) fn sctp(source: u16, destination: u16, chunk: u8) -> Vec<u8> {
    let mut header = ports(source, destination);
    header.extend([0, 0, 0, 9, 0, 0, 0, 0, chunk, 0, 0, 4]);
    header
}

/// ICMP or ICMPv6: type, code, and an identifier where echo has it.
pub(crate) fn icmp(kind: u8, code: u8, identifier: u16) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0];
    message.extend(identifier.to_be_bytes());
    message.extend([0, 1]);
    message.extend([0xab; 16]);
    message
}

fn ports(source: u16, destination: u16) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes()].concat()
}
