//! TCP, UDP, SCTP and ICMP headers: ports and types.
//!
//! Before: [`ipv4`](super::ipv4), [`ipv6`](super::ipv6). After: [`pipeline`](crate::pipeline).

use etherparse::IpNumber;

use super::{Fragment, Layer, Network, ParseError};

/// Bytes of a TCP header without options.
const TCP_BYTES: usize = 20;
const UDP_BYTES: usize = 8;
const SCTP_BYTES: usize = 12;
/// Bytes that every ICMP message has.
const ICMP_BYTES: usize = 8;

/// Source and destination port, as numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortPair {
    pub source: u16,
    pub destination: u16,
}

/// The transport header, as far as rules look at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    Tcp(PortPair),
    Udp(PortPair),
    Sctp(PortPair),
    Icmp(Icmp),
    Icmpv6(Icmp),
    /// A protocol without ports that we know of.
    Other,
    /// A later fragment: what follows is the middle of a packet.
    Absent,
    /// A first fragment that ends inside its transport header.
    Cut,
}

/// Type and code of an ICMP or ICMPv6 message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Icmp {
    pub kind: u8,
    pub code: u8,
    /// Identifier, in echo requests and replies.
    pub echo: Option<u16>,
}

impl Transport {
    /// Whether such a packet can be the answer to one of ours. Of ICMP only an echo reply is: a
    /// request with the same identifier belongs to the other side.
    pub const fn may_be_reply(&self) -> bool {
        match self {
            Self::Icmp(icmp) => icmp.kind == 0,
            Self::Icmpv6(icmp) => icmp.kind == 129,
            Self::Absent | Self::Cut => false,
            _ => true,
        }
    }

    /// PortPair, where the protocol has them and the packet holds them.
    pub const fn ports(&self) -> Option<PortPair> {
        match self {
            Self::Tcp(ports) | Self::Udp(ports) | Self::Sctp(ports) => Some(*ports),
            _ => None,
        }
    }
}

/// Bytes of the transport header that must be in one piece, before rules believe its ports.
pub(super) const fn header_bytes(protocol: u8) -> usize {
    match IpNumber(protocol) {
        IpNumber::TCP => TCP_BYTES,
        IpNumber::UDP => UDP_BYTES,
        IpNumber::SCTP => SCTP_BYTES,
        IpNumber::ICMP | IpNumber::IPV6_ICMP => ICMP_BYTES,
        _ => 0,
    }
}

/// Reads the transport header of a packet.
pub(super) fn parse(network: &Network<'_>) -> Result<Transport, ParseError> {
    if matches!(network.fragment, Fragment::Later { .. }) {
        return Ok(Transport::Absent);
    }
    let bytes = network.payload;
    if bytes.len() < header_bytes(network.protocol) {
        return match network.fragment {
            Fragment::First { .. } => Ok(Transport::Cut),
            _ => Err(ParseError::Truncated {
                layer: layer(network.protocol),
            }),
        };
    }
    Ok(match IpNumber(network.protocol) {
        IpNumber::TCP => Transport::Tcp(ports(bytes)),
        IpNumber::UDP => Transport::Udp(ports(bytes)),
        IpNumber::SCTP => Transport::Sctp(ports(bytes)),
        IpNumber::ICMP => Transport::Icmp(icmp(bytes, [0, 8])),
        IpNumber::IPV6_ICMP => Transport::Icmpv6(icmp(bytes, [128, 129])),
        _ => Transport::Other,
    })
}

const fn layer(protocol: u8) -> Layer {
    match IpNumber(protocol) {
        IpNumber::TCP => Layer::Tcp,
        IpNumber::UDP => Layer::Udp,
        IpNumber::SCTP => Layer::Sctp,
        _ => Layer::Icmp,
    }
}

/// The ports, which TCP, UDP and SCTP have in the same place. Zero past the end, which
/// [`parse`] excludes.
fn ports(bytes: &[u8]) -> PortPair {
    match bytes {
        [a, b, c, d, ..] => PortPair {
            source: u16::from_be_bytes([*a, *b]),
            destination: u16::from_be_bytes([*c, *d]),
        },
        _ => PortPair {
            source: 0,
            destination: 0,
        },
    }
}

fn icmp(bytes: &[u8], echo_kinds: [u8; 2]) -> Icmp {
    match bytes {
        [kind, code, _, _, high, low, ..] => Icmp {
            kind: *kind,
            code: *code,
            echo: echo_kinds
                .contains(kind)
                .then(|| u16::from_be_bytes([*high, *low])),
        },
        _ => Icmp {
            kind: 0,
            code: 0,
            echo: None,
        },
    }
}
