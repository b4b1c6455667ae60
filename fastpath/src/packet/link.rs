//! Ethernet, up to two VLAN tags, and what stands behind them.
//!
//! Before: the frame. After: [`ipv4`](super::ipv4), [`ipv6`](super::ipv6).

use etherparse::{EtherType, Ethernet2HeaderSlice, SingleVlanHeaderSlice};

use super::{Layer, ParseError};

/// Tags that are opened. What stands behind a third one is wrapped.
pub const VLAN_TAGS_MAX: usize = 2;

const MPLS: u16 = 0x8847;
const MPLS_MULTICAST: u16 = 0x8848;
const PPPOE_SESSION: u16 = 0x8864;

/// Smaller values of the type field are the length of an IEEE 802.3 frame.
const ETHERTYPE_MIN: u16 = 0x0600;

/// Version of an IP packet, as the frame claims it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum IpVersion {
    V4,
    V6,
}

/// Where the IP header starts, and which one it is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) version: IpVersion,
    pub(super) offset: usize,
}

/// Finds the IP header of `frame`. Priority tags (VLAN 0) are tags like others.
pub(super) fn parse(frame: &[u8]) -> Result<Link, ParseError> {
    let header = Ethernet2HeaderSlice::from_slice(frame).map_err(|_| ParseError::Truncated {
        layer: Layer::Ethernet,
    })?;
    let mut offset = header.slice().len();
    let mut ethertype = header.ether_type();

    for _ in 0..VLAN_TAGS_MAX {
        if !is_vlan(ethertype) {
            break;
        }
        let tag = frame
            .get(offset..)
            .and_then(|rest| SingleVlanHeaderSlice::from_slice(rest).ok())
            .ok_or(ParseError::Truncated { layer: Layer::Vlan })?;
        offset += tag.slice().len();
        ethertype = tag.ether_type();
    }

    match ethertype.0 {
        _ if ethertype == EtherType::IPV4 => Ok(Link {
            version: IpVersion::V4,
            offset,
        }),
        _ if ethertype == EtherType::IPV6 => Ok(Link {
            version: IpVersion::V6,
            offset,
        }),
        length if length < ETHERTYPE_MIN => Err(llc(frame.get(offset..).unwrap_or_default())),
        wrapper if is_vlan(ethertype) || wraps(wrapper) => {
            Err(ParseError::Encapsulated { ethertype: wrapper })
        }
        other => Err(ParseError::NotIp { ethertype: other }),
    }
}

fn is_vlan(ethertype: EtherType) -> bool {
    matches!(
        ethertype,
        EtherType::VLAN_TAGGED_FRAME
            | EtherType::PROVIDER_BRIDGING
            | EtherType::VLAN_DOUBLE_TAGGED_FRAME
    )
}

const fn wraps(ethertype: u16) -> bool {
    matches!(ethertype, MPLS | MPLS_MULTICAST | PPPOE_SESSION)
}

/// What an IEEE 802.3 frame carries: IP by SNAP is wrapped, all else (spanning tree, IS-IS) is not IP.
fn llc(payload: &[u8]) -> ParseError {
    /// Both service access points "SNAP", unnumbered information.
    const SNAP: [u8; 3] = [0xaa, 0xaa, 0x03];
    match payload {
        [a, b, c, _, _, _, high, low, ..] if [*a, *b, *c] == SNAP => {
            let ethertype = u16::from_be_bytes([*high, *low]);
            if matches!(EtherType(ethertype), EtherType::IPV4 | EtherType::IPV6) {
                ParseError::Encapsulated { ethertype }
            } else {
                ParseError::NotIp { ethertype }
            }
        }
        _ => ParseError::NotIp { ethertype: 0 },
    }
}
