//! The IPv4 header, with its options skipped.
//!
//! Before: [`link`](super::link). After: [`transport`](super::transport).

use etherparse::{
    Ipv4HeaderSlice,
    err::ipv4::{HeaderError, HeaderSliceError},
};

use super::{Fragment, Layer, Network, ParseError, Train};

/// Splits `bytes`, found at `offset` of the frame, into header and the payload that it declares.
///
/// Bytes behind the declared length are padding of the link and no part of the payload, so that a
/// short segment cannot be made longer by what the frame was padded with.
pub(super) fn parse(bytes: &[u8], offset: usize) -> Result<Network<'_>, ParseError> {
    let layer = Layer::Ipv4;
    let header = Ipv4HeaderSlice::from_slice(bytes).map_err(|error| match error {
        HeaderSliceError::Len(_) => ParseError::Truncated { layer },
        HeaderSliceError::Content(HeaderError::UnexpectedVersion { version_number }) => {
            ParseError::WrongVersion {
                layer,
                version: version_number,
            }
        }
        HeaderSliceError::Content(HeaderError::HeaderLengthSmallerThanHeader { ihl }) => {
            ParseError::HeaderTooShort {
                layer,
                bytes: usize::from(ihl) * 4,
            }
        }
    })?;
    let header_length = header.slice().len();
    let total = usize::from(header.total_len());
    let payload = bytes
        .get(header_length..total)
        .ok_or(ParseError::BadLength {
            layer,
            total,
            available: bytes.len(),
        })?;

    let protocol = header.protocol().0;
    let train = Train {
        identification: u32::from(header.identification()),
        protocol,
    };
    let fragment = match (header.fragments_offset().value(), header.more_fragments()) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First { train, lead: 0 },
        (units, _) => Fragment::Later {
            train,
            offset: u32::from(units) * 8,
        },
    };
    Ok(Network {
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        protocol,
        fragment,
        payload,
        offset: offset + header_length,
        direct_hop_limit: None,
        ipv4_header: Some(header.slice()),
    })
}
