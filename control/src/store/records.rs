//! Bytes of the stored records. Keys sort by family, address, length and origin.
//!
//! ```text
//! ban key    family (4|6)  address (4|16)  length (1)  origin (text)
//! ban value  created ms (8)  expires ms (8, i64::MAX = never)  reason (text, empty = none)
//! policy     applied ms (8)  text
//! ```
//! Numbers are little-endian.

use std::net::IpAddr;

use palisade_config::types::Prefix;

use crate::{
    clock::Timestamp,
    core::{Ban, Origin},
};

/// A policy that came through the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRecord {
    pub applied: Timestamp,
    pub text: String,
}

pub(super) fn write_key(key: &mut Vec<u8>, prefix: &Prefix, origin: &Origin) {
    key.clear();
    match prefix.addr() {
        IpAddr::V4(address) => {
            key.push(4);
            key.extend(address.octets());
        }
        IpAddr::V6(address) => {
            key.push(6);
            key.extend(address.octets());
        }
    }
    key.push(prefix.len());
    key.extend(origin.as_str().bytes());
}

pub(super) fn write_value(value: &mut Vec<u8>, ban: &Ban) {
    value.clear();
    value.extend(ban.created.as_millis().to_le_bytes());
    value.extend(
        ban.expires
            .map_or(i64::MAX, Timestamp::as_millis)
            .to_le_bytes(),
    );
    value.extend(ban.reason.as_deref().unwrap_or_default().bytes());
}

pub(super) fn ban(key: &[u8], value: &[u8]) -> Option<Ban> {
    let (family, rest) = key.split_first()?;
    let (address, rest): (IpAddr, &[u8]) = match family {
        4 => {
            let (bytes, rest) = rest.split_first_chunk::<4>()?;
            ((*bytes).into(), rest)
        }
        6 => {
            let (bytes, rest) = rest.split_first_chunk::<16>()?;
            ((*bytes).into(), rest)
        }
        _ => return None,
    };
    let (length, origin) = rest.split_first()?;
    let prefix = Prefix::around(address, *length).filter(|prefix| prefix.addr() == address)?;
    let (created, value) = value.split_first_chunk::<8>()?;
    let (expires, reason) = value.split_first_chunk::<8>()?;
    let expires = i64::from_le_bytes(*expires);
    let reason = std::str::from_utf8(reason).ok()?;
    Some(Ban {
        prefix,
        origin: std::str::from_utf8(origin).ok()?.parse().ok()?,
        reason: (!reason.is_empty()).then(|| reason.into()),
        created: Timestamp::from_millis(i64::from_le_bytes(*created)),
        expires: (expires != i64::MAX).then(|| Timestamp::from_millis(expires)),
    })
}

impl PolicyRecord {
    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(8 + self.text.len());
        bytes.extend(self.applied.as_millis().to_le_bytes());
        bytes.extend(self.text.bytes());
        bytes
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let (applied, text) = bytes.split_first_chunk::<8>()?;
        Some(Self {
            applied: Timestamp::from_millis(i64::from_le_bytes(*applied)),
            text: std::str::from_utf8(text).ok()?.to_owned(),
        })
    }
}
