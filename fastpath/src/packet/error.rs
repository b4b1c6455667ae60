//! Why a frame is no IP packet that a rule could be applied to.

use palisade_abi::Reason;

/// A header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layer {
    Ethernet,
    Vlan,
    Llc,
    Ipv4,
    Ipv6,
    Extension,
    Tcp,
    Udp,
    Sctp,
    Icmp,
}

impl std::fmt::Display for Layer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Ethernet => "Ethernet",
            Self::Vlan => "VLAN",
            Self::Llc => "LLC",
            Self::Ipv4 => "IPv4",
            Self::Ipv6 => "IPv6",
            Self::Extension => "IPv6 extension",
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
            Self::Sctp => "SCTP",
            Self::Icmp => "ICMP",
        })
    }
}

/// Why [`parse`](super::parse) gave no packet. [`ParseError::reason`] says how it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    #[error("ethertype {ethertype:#06x} is not IP")]
    NotIp { ethertype: u16 },
    #[error("ethertype {ethertype:#06x} wraps packets that the parser does not open")]
    Encapsulated { ethertype: u16 },
    #[error("frame ends inside the {layer} header")]
    Truncated { layer: Layer },
    #[error("{layer} header is marked as IP version {version}")]
    WrongVersion { layer: Layer, version: u8 },
    #[error("{layer} header length of {bytes} bytes is below the minimum")]
    HeaderTooShort { layer: Layer, bytes: usize },
    #[error("{layer} length {total} does not fit the {available} bytes received")]
    BadLength {
        layer: Layer,
        total: usize,
        available: usize,
    },
    #[error("more than {max} IPv6 extension headers")]
    ChainTooLong { max: usize },
    #[error("fragment of a fragment")]
    NestedFragment,
}

impl ParseError {
    /// The reason under which such a frame is counted. Only `not_ip` is one for a pass.
    pub const fn reason(self) -> Reason {
        match self {
            Self::NotIp { .. } => Reason::NotIp,
            Self::Encapsulated { .. } => Reason::UnsupportedEncapsulation,
            _ => Reason::Malformed,
        }
    }
}
