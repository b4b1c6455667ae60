//! Frame bytes to a packet that rules can be applied to.
//!
//! ```text
//! frame -> link -> ipv4 | ipv6 -> transport -> Packet
//! ```
//!
//! The parser is strict: lengths and versions must agree, and what is cut short, nested or too long
//! is an error with a reason, never a guess. It classifies frames exactly as the kernel program does
//! (`xdp/bpf/parse.h`); a parity test compares [`classify`] with it. It allocates nothing, and no
//! bytes make it panic.
//!
//! Checksums are not verified here, since no rule depends on them: whoever believes a payload calls
//! [`checksum::verify`] first.
//!
//! Before: the frame. After: [`pipeline`](crate::pipeline).

pub mod checksum;
mod error;
pub mod icmp;
mod ipv4;
mod ipv6;
mod link;
mod outcome;
#[cfg(test)]
mod tests;
mod transport;

use std::net::IpAddr;

use palisade_abi::FlowKey;

pub use error::{Layer, ParseError};
pub use ipv6::EXTENSION_HEADERS_MAX;
pub use link::VLAN_TAGS_MAX;
pub use outcome::{Outcome, Position, Summary, classify};
pub use transport::{Icmp, PortPair, Transport};

/// A parsed IP packet, borrowed from its frame.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    pub source: IpAddr,
    pub destination: IpAddr,
    /// Number of the protocol behind the extension headers.
    pub protocol: u8,
    pub transport: Transport,
    pub fragment: Fragment,
    /// From the transport header to the end that the IP header declares.
    pub payload: &'a [u8],
    /// Where `payload` starts in the frame.
    pub transport_offset: usize,
    /// Bytes of the frame, padding included.
    pub frame_bytes: usize,
    /// Hop limit, if nothing stands between the IPv6 header and the transport header.
    direct_hop_limit: Option<u8>,
    /// The IPv4 header with its options, for its checksum.
    ipv4_header: Option<&'a [u8]>,
}

/// What fragments of one packet have in common, besides their addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Train {
    pub identification: u32,
    /// Number of the header at the start of the fragmented part.
    pub protocol: u8,
}

/// Where a packet sits in a train of fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fragment {
    Whole,
    /// Starts the train. `lead` bytes of extension headers precede the transport header.
    First {
        train: Train,
        lead: u32,
    },
    /// Has no transport header: only rules for whole addresses could match it.
    Later {
        train: Train,
        offset: u32,
    },
}

/// The network layer of a packet.
struct Network<'a> {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    fragment: Fragment,
    payload: &'a [u8],
    offset: usize,
    direct_hop_limit: Option<u8>,
    ipv4_header: Option<&'a [u8]>,
}

/// Parses one frame.
pub fn parse(frame: &[u8]) -> Result<Packet<'_>, ParseError> {
    let link = link::parse(frame)?;
    let bytes = frame.get(link.offset..).unwrap_or_default();
    let network = match link.version {
        link::IpVersion::V4 => ipv4::parse(bytes, link.offset)?,
        link::IpVersion::V6 => ipv6::parse(bytes, link.offset)?,
    };
    let transport = transport::parse(&network)?;
    Ok(Packet {
        source: network.source,
        destination: network.destination,
        protocol: network.protocol,
        transport,
        fragment: network.fragment,
        payload: network.payload,
        transport_offset: network.offset,
        frame_bytes: frame.len(),
        direct_hop_limit: network.direct_hop_limit,
        ipv4_header: network.ipv4_header,
    })
}

impl Packet<'_> {
    /// Whether this is what no policy may cut off: neighbour discovery as RFC 4861 has it, and DHCP
    /// to the client port.
    pub fn must_pass(&self) -> bool {
        const NEIGHBOUR_DISCOVERY: std::ops::RangeInclusive<u8> = 133..=137;
        const DHCP_CLIENT: u16 = 68;
        const DHCPV6_CLIENT: u16 = 546;
        match self.transport {
            _ if self.fragment != Fragment::Whole => false,
            Transport::Icmpv6(icmp) => {
                self.destination.is_ipv6()
                    && NEIGHBOUR_DISCOVERY.contains(&icmp.kind)
                    && self.direct_hop_limit == Some(u8::MAX)
            }
            Transport::Udp(ports) => {
                let client = if self.destination.is_ipv4() {
                    DHCP_CLIENT
                } else {
                    DHCPV6_CLIENT
                };
                ports.destination == client
            }
            _ => false,
        }
    }

    /// The flow that this packet belongs to; `None` for later fragments and those cut short.
    pub fn flow(&self) -> Option<FlowKey> {
        let ports = match self.transport {
            Transport::Absent | Transport::Cut => return None,
            Transport::Icmp(icmp) | Transport::Icmpv6(icmp) => {
                let identifier = icmp.echo.unwrap_or(0);
                PortPair {
                    source: identifier,
                    destination: identifier,
                }
            }
            _ => self.transport.ports().unwrap_or(PortPair {
                source: 0,
                destination: 0,
            }),
        };
        Some(FlowKey {
            source: mapped(self.source),
            destination: mapped(self.destination),
            source_port: ports.source.to_be_bytes(),
            destination_port: ports.destination.to_be_bytes(),
            protocol: self.protocol,
            reserved: [0; 3],
        })
    }

    /// The flow, if a verdict on this packet may stand for the next ones of it. ICMP messages other
    /// than echo all share one key, and errors among them are judged one by one by what they quote:
    /// a remembered verdict would let one message decide for another.
    pub fn lasting_flow(&self) -> Option<FlowKey> {
        match self.transport {
            Transport::Icmp(icmp) | Transport::Icmpv6(icmp) if icmp.echo.is_none() => None,
            _ => self.flow(),
        }
    }

    /// Bytes of the fragmented part that later fragments must leave alone: everything up to the end
    /// of the transport header.
    pub fn header_end(&self) -> u32 {
        let lead = match self.fragment {
            Fragment::First { lead, .. } => lead,
            _ => 0,
        };
        lead.saturating_add(u32::try_from(transport::header_bytes(self.protocol)).unwrap_or(0))
    }
}

/// The form in which tables shared with the kernel hold an address: IPv4 as `::ffff:a.b.c.d`.
pub fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}
