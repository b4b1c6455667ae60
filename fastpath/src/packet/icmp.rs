//! The packet that an ICMP error quotes.
//!
//! A router or host that could not handle a packet sends its start back. Such errors belong to the
//! traffic that they are about (path MTU discovery needs them), not to a flow of their own.

use std::net::IpAddr;

use etherparse::{Ipv4HeaderSlice, Ipv6HeaderSlice};

use super::{Fragment, Packet, Transport};

/// Bytes of an ICMP error before the packet that it quotes.
const HEADER_BYTES: usize = 8;

/// Who had sent what to whom, by the quoted IP header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quoted {
    pub source: IpAddr,
    pub destination: IpAddr,
}

/// Whether `packet` is an ICMP error: destination unreachable, packet too big, time exceeded or
/// parameter problem.
pub fn is_error(packet: &Packet<'_>) -> bool {
    match packet.transport {
        _ if packet.fragment != Fragment::Whole => false,
        Transport::Icmp(icmp) => packet.source.is_ipv4() && matches!(icmp.kind, 3 | 11 | 12),
        Transport::Icmpv6(icmp) => packet.source.is_ipv6() && matches!(icmp.kind, 1..=4),
        _ => false,
    }
}

/// The packet quoted by an ICMP error, if its IP header is whole. Verify the checksum first.
pub fn quoted(packet: &Packet<'_>) -> Option<Quoted> {
    if !is_error(packet) {
        return None;
    }
    let quote = packet.payload.get(HEADER_BYTES..)?;
    match packet.transport {
        Transport::Icmp(_) => {
            let header = Ipv4HeaderSlice::from_slice(quote).ok()?;
            Some(Quoted {
                source: header.source_addr().into(),
                destination: header.destination_addr().into(),
            })
        }
        _ => {
            let header = Ipv6HeaderSlice::from_slice(quote).ok()?;
            Some(Quoted {
                source: header.source_addr().into(),
                destination: header.destination_addr().into(),
            })
        }
    }
}
