//! Bans as callers ask for them and see them.

use std::{fmt, net::IpAddr, str::FromStr, sync::Arc, time::Duration};

use palisade_config::types::Prefix;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use utoipa::ToSchema;

use crate::clock::Timestamp;

/// Who asked for a ban: `api`, `cli`, the name of a feed, and so on.
///
/// Names become metric labels, so they are short, of a small alphabet, and the number of
/// different ones is bounded by [`ORIGINS_MAX`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(Arc<str>);

/// How many different origins may hold bans at once.
pub const ORIGINS_MAX: usize = 64;

/// Longest name of an origin in bytes.
pub const ORIGIN_BYTES_MAX: usize = 32;

/// Longest reason text in bytes.
pub const REASON_BYTES_MAX: usize = 1024;

/// The text is no name of an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("origin {text:?} is not 1 to {ORIGIN_BYTES_MAX} of the characters a-z, 0-9, _ and -")]
pub struct BadOrigin {
    pub text: String,
}

impl Origin {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text of an origin that was parsed before, shared.
    pub(crate) fn shared(&self) -> &Arc<str> {
        &self.0
    }

    /// An origin from what [`Self::shared`] gave.
    pub(crate) fn from_shared(text: &Arc<str>) -> Self {
        Self(Arc::clone(text))
    }
}

impl FromStr for Origin {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let fits = (1..=ORIGIN_BYTES_MAX).contains(&text.len());
        let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
        if fits && text.bytes().all(allowed) {
            Ok(Self(text.into()))
        } else {
            Err(BadOrigin {
                text: text.to_owned(),
            })
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// One origin's ban on one prefix.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ban {
    #[schema(value_type = String)]
    pub prefix: Prefix,
    #[schema(value_type = String)]
    pub origin: Origin,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub reason: Option<Arc<str>>,
    #[schema(value_type = String, format = DateTime)]
    pub created: Timestamp,
    /// When the ban ends; without it, never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub expires: Option<Timestamp>,
}

/// A wish to ban.
#[derive(Clone, Debug)]
pub struct BanRequest {
    pub prefix: Prefix,
    /// `None`: until it is lifted.
    pub ttl: Option<Duration>,
    pub reason: Option<String>,
    pub origin: Origin,
    /// Ban also what is refused as too short or as an address of the node or of the caller.
    pub force: bool,
    /// From where the wish came, if over the network.
    pub caller: Option<IpAddr>,
}

/// A ban in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanOutcome {
    pub ban: Ban,
    /// Whether this origin had no ban on the prefix before.
    pub created: bool,
    /// Guards inside the prefix: their addresses are not banned.
    pub exempted: Vec<Prefix>,
}

/// Which bans to list, in the order of their prefixes.
#[derive(Clone, Debug, Default)]
pub struct BanQuery {
    /// At most this many; clamped to 1 to [`PAGE_MAX`].
    pub limit: usize,
    /// The `next` of the page before.
    pub after: Option<String>,
    pub origin: Option<Origin>,
    /// Only bans on prefixes that hold this address.
    pub covers: Option<IpAddr>,
}

/// Most bans on one page.
pub const PAGE_MAX: usize = 10_000;

/// One page of bans.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BanPage {
    pub bans: Vec<Ban>,
    /// Ask with this as `after` for the following page; without it this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
