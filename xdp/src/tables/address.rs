//! Addresses as the maps hold them.

use std::net::{IpAddr, Ipv6Addr};

/// The 16-byte form: IPv4 as `::ffff:a.b.c.d`.
pub(super) fn mapped(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

pub(super) fn unmapped(bytes: [u8; 16]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
}
