//! Frames to test with, built byte by byte: well formed unless a test says otherwise.

use std::net::IpAddr;

pub(crate) const IPV4: u16 = 0x0800;
pub(crate) const IPV6: u16 = 0x86dd;
pub(crate) const VLAN: u16 = 0x8100;
pub(crate) const QINQ: u16 = 0x88a8;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;
pub(crate) const SCTP: u8 = 132;

pub(crate) const HOP_BY_HOP: u8 = 0;
pub(crate) const ROUTING: u8 = 43;
pub(crate) const FRAGMENT: u8 = 44;
pub(crate) const AUTHENTICATION: u8 = 51;
pub(crate) const DESTINATION_OPTIONS: u8 = 60;

/// An Ethernet frame, not padded.
pub(crate) fn ethernet(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(ethertype.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The frame with VLAN tags between the addresses and the type, the outermost first.
pub(crate) fn tagged(frame: &[u8], tags: &[(u16, u16)]) -> Vec<u8> {
    let mut tagged = frame[..12].to_vec();
    for (ethertype, id) in tags {
        tagged.extend(ethertype.to_be_bytes());
        tagged.extend(id.to_be_bytes());
    }
    tagged.extend(&frame[12..]);
    tagged
}

/// An IP packet in the making.
#[derive(Clone, Debug)]
pub(crate) struct Ip {
    pub(crate) source: IpAddr,
    pub(crate) destination: IpAddr,
    pub(crate) hop_limit: u8,
    /// IPv4 options, a multiple of four bytes.
    pub(crate) options: Vec<u8>,
    /// IPv4 identification and the field of flags and offset.
    pub(crate) identification: u16,
    pub(crate) flags_and_offset: u16,
    /// IPv6 extension headers, outermost first: number and bytes, of which the first is replaced by
    /// the number of what follows.
    pub(crate) extensions: Vec<(u8, Vec<u8>)>,
    pub(crate) protocol: u8,
    pub(crate) payload: Vec<u8>,
}

impl Ip {
    pub(crate) fn new(source: &str, destination: &str, protocol: u8, payload: Vec<u8>) -> Self {
        Self {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            hop_limit: 64,
            options: Vec::new(),
            identification: 0,
            flags_and_offset: 0,
            extensions: Vec::new(),
            protocol,
            payload,
        }
    }

    /// The packet with the checksum of its transport protocol filled in.
    pub(crate) fn checked(mut self) -> Self {
        let at = match self.protocol {
            TCP => 16,
            UDP => 6,
            ICMP | ICMPV6 => 2,
            SCTP => {
                self.payload[8..12].fill(0);
                let crc = crc32c(&self.payload);
                self.payload[8..12].copy_from_slice(&crc.to_le_bytes());
                return self;
            }
            other => panic!("no checksum known for protocol {other}"),
        };
        self.payload[at..at + 2].fill(0);
        let mut covered = Vec::new();
        if self.protocol != ICMP {
            covered.extend(octets(self.source));
            covered.extend(octets(self.destination));
            covered.extend(u32::try_from(self.payload.len()).unwrap().to_be_bytes());
            covered.extend([0, 0, 0, self.protocol]);
        }
        covered.extend(&self.payload);
        let sum = match internet_checksum(&covered) {
            0 if self.protocol == UDP => 0xffff,
            sum => sum,
        };
        self.payload[at..at + 2].copy_from_slice(&sum.to_be_bytes());
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        if self.source.is_ipv4() {
            self.ipv4()
        } else {
            self.ipv6()
        }
    }

    pub(crate) fn frame(&self) -> Vec<u8> {
        ethernet(
            if self.source.is_ipv4() { IPV4 } else { IPV6 },
            &self.bytes(),
        )
    }

    fn ipv4(&self) -> Vec<u8> {
        let header_bytes = 20 + self.options.len();
        let mut bytes = vec![0x40 | u8::try_from(header_bytes / 4).unwrap(), 0];
        bytes.extend(
            u16::try_from(header_bytes + self.payload.len())
                .unwrap()
                .to_be_bytes(),
        );
        bytes.extend(self.identification.to_be_bytes());
        bytes.extend(self.flags_and_offset.to_be_bytes());
        bytes.extend([self.hop_limit, self.protocol, 0, 0]);
        bytes.extend(octets(self.source));
        bytes.extend(octets(self.destination));
        bytes.extend(&self.options);
        let sum = internet_checksum(&bytes);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(&self.payload);
        bytes
    }

    fn ipv6(&self) -> Vec<u8> {
        let mut chain = Vec::new();
        for (index, (_, body)) in self.extensions.iter().enumerate() {
            let next = self
                .extensions
                .get(index + 1)
                .map_or(self.protocol, |(number, _)| *number);
            let mut body = body.clone();
            body[0] = next;
            chain.extend(body);
        }
        let first = self
            .extensions
            .first()
            .map_or(self.protocol, |(number, _)| *number);
        let mut bytes = vec![0x60, 0, 0, 0];
        bytes.extend(
            u16::try_from(chain.len() + self.payload.len())
                .unwrap()
                .to_be_bytes(),
        );
        bytes.extend([first, self.hop_limit]);
        bytes.extend(octets(self.source));
        bytes.extend(octets(self.destination));
        bytes.extend(chain);
        bytes.extend(&self.payload);
        bytes
    }
}

/// An extension header of `units` of eight bytes behind the first eight.
pub(crate) fn extension(units: u8) -> Vec<u8> {
    let mut bytes = vec![0; 8 * (usize::from(units) + 1)];
    bytes[1] = units;
    bytes
}

/// An authentication header of `words` of four bytes, as it counts them: without two.
pub(crate) fn authentication(words: u8) -> Vec<u8> {
    let mut bytes = vec![0; 4 * (usize::from(words) + 2)];
    bytes[1] = words;
    bytes
}

/// An IPv6 fragment header.
pub(crate) fn fragment(identification: u32, offset_bytes: u16, more: bool) -> Vec<u8> {
    assert_eq!(offset_bytes % 8, 0);
    let mut bytes = vec![0, 0];
    bytes.extend((offset_bytes | u16::from(more)).to_be_bytes());
    bytes.extend(identification.to_be_bytes());
    bytes
}

pub(crate) fn tcp(source: u16, destination: u16, flags: u8) -> Vec<u8> {
    let mut bytes = ports(source, destination);
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes
}

pub(crate) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ports(source, destination);
    bytes.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    bytes
}

pub(crate) fn sctp(source: u16, destination: u16) -> Vec<u8> {
    let mut bytes = ports(source, destination);
    bytes.extend([0; 8]);
    bytes.extend([1, 0, 0, 4]);
    bytes
}

/// An ICMP message: type, code, the four bytes behind the checksum, and what follows.
pub(crate) fn icmp(kind: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind, code, 0, 0];
    bytes.extend(rest);
    bytes.extend(payload);
    bytes
}

fn ports(source: u16, destination: u16) -> Vec<u8> {
    [source.to_be_bytes(), destination.to_be_bytes()].concat()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// RFC 1071, the slow way.
pub(crate) fn internet_checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        let low = pair.get(1).copied().unwrap_or(0);
        sum += u32::from(u16::from_be_bytes([pair[0], low]));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 {
                crc >> 1 ^ 0x82f6_3b78
            } else {
                crc >> 1
            }
        })
    })
}
