//! Address prefixes of either family in one canonical spelling.
//!
//! No host bits, no IPv4-mapped IPv6: two equal sets of addresses are two equal
//! values, so a prefix can be a key. What is written otherwise is refused with
//! the form that was probably meant.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

/// A set of addresses that share their first bits.
///
/// Ordered by family (IPv4 first), address and length, so a prefix sorts before
/// those inside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix {
    /// Invariant: no bit after `len` is set, and never an IPv4-mapped address.
    address: IpAddr,
    /// Invariant: at most the width of the family.
    len: u8,
}

/// Why a text is no prefix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PrefixError {
    #[error("'{text}' is no address or CIDR prefix")]
    Malformed { text: String },
    #[error("'{text}' has leading zeros; write '{corrected}'")]
    LeadingZeros { text: String, corrected: String },
    #[error("'{text}' has a prefix length above {max}")]
    TooLong { text: String, max: u8 },
    #[error("'{text}' has host bits set; write '{corrected}' for the network")]
    HostBits { text: String, corrected: Prefix },
}

impl Prefix {
    /// The prefix that holds `address` and nothing else.
    pub fn host(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self {
            address,
            len: width(address),
        }
    }

    /// The prefix of length `len` around `address`, host bits cleared.
    ///
    /// `None` when the family has no such length.
    pub fn around(address: IpAddr, len: u8) -> Option<Self> {
        let (address, len) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(v4)) if len >= 96 => (IpAddr::V4(v4), len - 96),
            _ => (address, len),
        };
        (len <= width(address)).then(|| Self {
            address: masked(address, len),
            len,
        })
    }

    pub fn from_net(net: IpNet) -> Self {
        let address = net.network();
        Self::around(address, net.prefix_len()).unwrap_or_else(|| Self::host(address))
    }

    pub fn addr(&self) -> IpAddr {
        self.address
    }

    #[expect(clippy::len_without_is_empty, reason = "a prefix length, not a size")]
    pub fn len(&self) -> u8 {
        self.len
    }

    pub fn is_v4(&self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether this is one address.
    pub fn is_host(&self) -> bool {
        self.len == width(self.address)
    }

    /// The last address of the prefix.
    pub fn last(&self) -> IpAddr {
        match self.address {
            IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() | !mask4(self.len)).into(),
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() | !mask6(self.len)).into(),
        }
    }

    pub fn contains(&self, other: &Self) -> bool {
        other.len >= self.len
            && other.is_v4() == self.is_v4()
            && masked(other.address, self.len) == self.address
    }

    /// Whether `address` lies inside; an IPv4-mapped address counts as IPv4.
    pub fn contains_addr(&self, address: IpAddr) -> bool {
        self.contains(&Self::host(address))
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn mask4(len: u8) -> u32 {
    u32::MAX
        .checked_shl(32 - u32::from(len.min(32)))
        .unwrap_or(0)
}

fn mask6(len: u8) -> u128 {
    u128::MAX
        .checked_shl(128 - u32::from(len.min(128)))
        .unwrap_or(0)
}

fn masked(address: IpAddr, len: u8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits() & mask4(len)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & mask6(len)).into(),
    }
}

/// Strips the leading zeros that Rust, rightly, does not take in an IPv4 octet
/// or that a prefix length may carry. `None` when there were none.
fn without_leading_zeros(text: &str) -> Option<String> {
    let (address, len) = text
        .split_once('/')
        .map_or((text, None), |(a, l)| (a, Some(l)));
    let strip = |digits: &str| {
        let rest = digits.trim_start_matches('0');
        if rest.is_empty() {
            "0".to_owned()
        } else {
            rest.to_owned()
        }
    };
    let mut corrected = if address.contains(':') {
        address.to_owned()
    } else {
        address.split('.').map(strip).collect::<Vec<_>>().join(".")
    };
    if let Some(len) = len {
        corrected = format!("{corrected}/{}", strip(len));
    }
    (corrected != text && corrected.parse::<Prefix>().is_ok()).then_some(corrected)
}

impl FromStr for Prefix {
    type Err = PrefixError;

    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let malformed = || match without_leading_zeros(text) {
            Some(corrected) => PrefixError::LeadingZeros {
                text: text.to_owned(),
                corrected,
            },
            None => PrefixError::Malformed {
                text: text.to_owned(),
            },
        };
        let (written, len) = match text.split_once('/') {
            None => (text, None),
            Some((address, len)) => (address, Some(len)),
        };
        let address: IpAddr = written.parse().map_err(|_| malformed())?;
        let Some(len) = len else {
            return Ok(Self::host(address));
        };
        let plain = !len.is_empty()
            && len.bytes().all(|byte| byte.is_ascii_digit())
            && (len == "0" || !len.starts_with('0'));
        if !plain {
            return Err(malformed());
        }
        let max = width(address);
        let too_long = || PrefixError::TooLong {
            text: text.to_owned(),
            max,
        };
        let len: u8 = len.parse().map_err(|_| too_long())?;
        let prefix = Self::around(address, len).ok_or_else(too_long)?;
        if masked(address, len) != address {
            return Err(PrefixError::HostBits {
                text: text.to_owned(),
                corrected: prefix,
            });
        }
        Ok(prefix)
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.len)
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;

    fn try_from(text: String) -> Result<Self, PrefixError> {
        text.parse()
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_as_written_or_refused() {
        #[rustfmt::skip]
        let cases: [(&str, Result<&str, &str>); 23] = [
            ("192.0.2.1",            Ok("192.0.2.1/32")),
            ("192.0.2.0/24",         Ok("192.0.2.0/24")),
            ("0.0.0.0/0",            Ok("0.0.0.0/0")),
            ("2001:db8::/32",        Ok("2001:db8::/32")),
            ("2001:DB8:0::1",        Ok("2001:db8::1/128")),
            ("::/0",                 Ok("::/0")),
            ("::ffff:192.0.2.1",     Ok("192.0.2.1/32")),
            ("::ffff:192.0.2.0/120", Ok("192.0.2.0/24")),
            ("192.0.2.1/24",         Err("'192.0.2.1/24' has host bits set; write '192.0.2.0/24' for the network")),
            ("::ffff:192.0.2.1/120", Err("'::ffff:192.0.2.1/120' has host bits set; write '192.0.2.0/24' for the network")),
            ("2001:db8::10/64",      Err("'2001:db8::10/64' has host bits set; write '2001:db8::/64' for the network")),
            ("010.0.0.0/8",          Err("'010.0.0.0/8' has leading zeros; write '10.0.0.0/8'")),
            ("10.0.0.0/08",          Err("'10.0.0.0/08' has leading zeros; write '10.0.0.0/8'")),
            ("192.0.2.0/33",         Err("'192.0.2.0/33' has a prefix length above 32")),
            ("192.0.2.0/999",        Err("'192.0.2.0/999' has a prefix length above 32")),
            ("::/129",               Err("'::/129' has a prefix length above 128")),
            ("192.0.2.0/+8",         Err("'192.0.2.0/+8' is no address or CIDR prefix")),
            ("192.0.2.0/",           Err("'192.0.2.0/' is no address or CIDR prefix")),
            (" 192.0.2.0/24",        Err("' 192.0.2.0/24' is no address or CIDR prefix")),
            ("fe80::1%eth0/64",      Err("'fe80::1%eth0/64' is no address or CIDR prefix")),
            ("2001::db8::/32",       Err("'2001::db8::/32' is no address or CIDR prefix")),
            ("192.0.2",              Err("'192.0.2' is no address or CIDR prefix")),
            ("",                     Err("'' is no address or CIDR prefix")),
        ];
        for (text, want) in cases {
            let got = text.parse::<Prefix>();
            let got = got
                .map(|prefix| prefix.to_string())
                .map_err(|error| error.to_string());
            assert_eq!(
                got,
                want.map(str::to_owned).map_err(str::to_owned),
                "{text:?}"
            );
        }
    }

    #[test]
    fn containment_keeps_to_its_family() {
        #[rustfmt::skip]
        let cases = [
            ("10.0.0.0/8",  "10.1.0.0/16",     true),
            ("10.0.0.0/8",  "10.0.0.0/8",      true),
            ("10.1.0.0/16", "10.0.0.0/8",      false),
            ("10.0.0.0/8",  "11.0.0.0/16",     false),
            ("0.0.0.0/0",   "2001:db8::/32",   false),
            ("::/0",        "10.0.0.0/8",      false),
            ("::/0",        "2001:db8::/32",   true),
        ];
        for (outer, inner, want) in cases {
            let [a, b]: [Prefix; 2] = [outer, inner].map(|text| text.parse().unwrap());
            assert_eq!(a.contains(&b), want, "{outer} contains {inner}");
        }
        let net: Prefix = "192.0.2.0/25".parse().unwrap();
        assert!(net.contains_addr("::ffff:192.0.2.9".parse().unwrap()));
        assert_eq!(net.last(), "192.0.2.127".parse::<IpAddr>().unwrap());
        assert_eq!(Prefix::from_net("192.0.2.77/25".parse().unwrap()), net);
    }
}
