//! The IPv6 header and its extension headers.
//!
//! Only headers that are known to be extension headers are walked. Every other number ends the
//! chain, so that the bytes of an unknown protocol are never taken for a header of ours.
//!
//! Before: [`link`](super::link). After: [`transport`](super::transport).

use etherparse::{
    IpAuthHeaderSlice, IpNumber, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice,
    err::ipv6::{HeaderError, HeaderSliceError},
};

use super::{Fragment, Layer, Network, ParseError, Train};

/// Extension headers that are walked. A packet with more is refused: nobody needs so many.
pub const EXTENSION_HEADERS_MAX: usize = 8;

/// Splits `bytes`, found at `offset` of the frame, into headers and the payload behind them.
///
/// A payload length of zero is taken as it stands: a jumbogram, whose length is in a hop-by-hop
/// option, so ends inside that header and is refused.
pub(super) fn parse(bytes: &[u8], offset: usize) -> Result<Network<'_>, ParseError> {
    let layer = Layer::Ipv6;
    let header = Ipv6HeaderSlice::from_slice(bytes).map_err(|error| match error {
        HeaderSliceError::Len(_) => ParseError::Truncated { layer },
        HeaderSliceError::Content(HeaderError::UnexpectedVersion { version_number }) => {
            ParseError::WrongVersion {
                layer,
                version: version_number,
            }
        }
    })?;
    let start = header.slice().len();
    let total = start + usize::from(header.payload_length());
    let payload = bytes.get(start..total).ok_or(ParseError::BadLength {
        layer,
        total,
        available: bytes.len(),
    })?;

    let first = header.next_header();
    let chain = walk(first, payload)?;
    Ok(Network {
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        protocol: chain.protocol.0,
        fragment: chain.fragment,
        payload: chain.rest,
        offset: offset + start + (payload.len() - chain.rest.len()),
        direct_hop_limit: (chain.headers == 0).then(|| header.hop_limit()),
        ipv4_header: None,
    })
}

/// What stands behind the extension headers.
struct Chain<'a> {
    protocol: IpNumber,
    fragment: Fragment,
    rest: &'a [u8],
    headers: usize,
}

fn walk(first: IpNumber, payload: &[u8]) -> Result<Chain<'_>, ParseError> {
    let mut chain = Chain {
        protocol: first,
        fragment: Fragment::Whole,
        rest: payload,
        headers: 0,
    };
    while is_extension(chain.protocol) {
        if chain.headers == EXTENSION_HEADERS_MAX {
            return Err(ParseError::ChainTooLong {
                max: EXTENSION_HEADERS_MAX,
            });
        }
        chain.headers += 1;
        let truncated = ParseError::Truncated {
            layer: Layer::Extension,
        };
        let (next, length) = match chain.protocol {
            IpNumber::IPV6_FRAGMENTATION_HEADER => {
                let header =
                    Ipv6FragmentHeaderSlice::from_slice(chain.rest).map_err(|_| truncated)?;
                if chain.fragment != Fragment::Whole {
                    return Err(ParseError::NestedFragment);
                }
                chain.fragment = position(&header);
                (header.next_header(), header.slice().len())
            }
            IpNumber::AUTHENTICATION_HEADER => {
                let header = IpAuthHeaderSlice::from_slice(chain.rest).map_err(|_| truncated)?;
                (header.next_header(), header.slice().len())
            }
            _ => {
                let header =
                    Ipv6RawExtHeaderSlice::from_slice(chain.rest).map_err(|_| truncated)?;
                (header.next_header(), header.slice().len())
            }
        };
        let was_fragment = chain.protocol == IpNumber::IPV6_FRAGMENTATION_HEADER;
        chain.protocol = next;
        chain.rest = chain.rest.get(length..).ok_or(truncated)?;
        match &mut chain.fragment {
            // What follows is the middle of a packet, no header.
            Fragment::Later { .. } => break,
            Fragment::First { lead, .. } if !was_fragment => {
                *lead += u32::try_from(length).map_err(|_| truncated)?;
            }
            _ => {}
        }
    }
    Ok(chain)
}

fn is_extension(number: IpNumber) -> bool {
    matches!(
        number,
        IpNumber::IPV6_HEADER_HOP_BY_HOP
            | IpNumber::IPV6_ROUTE_HEADER
            | IpNumber::IPV6_FRAGMENTATION_HEADER
            | IpNumber::IPV6_DESTINATION_OPTIONS
            | IpNumber::AUTHENTICATION_HEADER
    )
}

/// Position in the train. An atomic fragment (RFC 6946), the only one of its train, is a whole packet.
fn position(header: &Ipv6FragmentHeaderSlice<'_>) -> Fragment {
    let train = Train {
        identification: header.identification(),
        protocol: header.next_header().0,
    };
    match (header.fragment_offset().value(), header.more_fragments()) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First { train, lead: 0 },
        (units, _) => Fragment::Later {
            train,
            offset: u32::from(units) * 8,
        },
    }
}
