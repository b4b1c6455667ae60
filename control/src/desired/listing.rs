//! Bans in order: all of them, those that hold an address, those whose time has come.

use std::{net::IpAddr, ops::Bound};

use palisade_config::types::Prefix;

use super::{Bits, Cursor, Desired, bits, bound, prefix4, prefix6, table::Key};
use crate::{
    clock::Timestamp,
    core::{Ban, Origin},
};

impl Desired {
    /// Bans in the order of prefix and origin, from the start or after a cursor.
    pub fn after(&self, cursor: Option<&Cursor>) -> impl Iterator<Item = Ban> + use<'_> {
        let (v4, v6) = match cursor {
            None => (Some(Bound::Unbounded), Bound::Unbounded),
            Some((prefix, origin)) => {
                // Origins of one prefix are in the order of their numbers. When this one has no
                // number any more, nothing is left out by starting the prefix again.
                let number = self.origin_number(origin);
                let (number, exact) = (number.unwrap_or(0), number.is_some());
                match bits(prefix) {
                    Bits::V4(address, length) => (
                        Some(bound(
                            Key {
                                address,
                                length,
                                origin: number,
                            },
                            exact,
                        )),
                        Bound::Unbounded,
                    ),
                    Bits::V6(address, length) => (
                        None,
                        bound(
                            Key {
                                address,
                                length,
                                origin: number,
                            },
                            exact,
                        ),
                    ),
                }
            }
        };
        let v4 = v4.into_iter().flat_map(|start| self.v4.after(start));
        let v4 = v4.filter_map(|(key, record)| self.ban4(key, record));
        let v6 = self
            .v6
            .after(v6)
            .filter_map(|(key, record)| self.ban6(key, record));
        v4.chain(v6)
    }

    /// The bans whose prefix holds `address`, longest prefix first.
    pub fn covering(&self, address: IpAddr) -> Vec<Ban> {
        let host = Prefix::host(address);
        let mut bans = Vec::new();
        for length in (0..=host.len()).rev() {
            if let Some(prefix) = Prefix::around(host.addr(), length) {
                bans.extend(self.of_prefix(&prefix));
            }
        }
        bans
    }

    /// Bans that have expired at `now`, at most `limit`.
    pub fn expired(&self, now: Timestamp, limit: usize) -> Vec<(Prefix, Origin)> {
        let now = now.as_millis();
        let v4 = self
            .v4
            .expired(now)
            .map(|key| (prefix4(key.address, key.length), key.origin));
        let v6 = self
            .v6
            .expired(now)
            .map(|key| (prefix6(key.address, key.length), key.origin));
        v4.chain(v6)
            .take(limit)
            .filter_map(|(prefix, origin)| Some((prefix, self.origin(origin)?)))
            .collect()
    }

    /// When the next ban expires.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        let v4 = self.v4.next_expiry().map(|(expires, _)| expires);
        let v6 = self.v6.next_expiry().map(|(expires, _)| expires);
        v4.into_iter().chain(v6).min().map(Timestamp::from_millis)
    }

    /// The prefixes that `origin` bans, in order.
    pub fn prefixes_of(&self, origin: &Origin) -> impl Iterator<Item = Prefix> + use<'_> {
        let number = self.origin_number(origin);
        let v4 = self
            .v4
            .after(Bound::Unbounded)
            .filter(move |(key, _)| Some(key.origin) == number);
        let v6 = self
            .v6
            .after(Bound::Unbounded)
            .filter(move |(key, _)| Some(key.origin) == number);
        let v4 = v4.map(|(key, _)| prefix4(key.address, key.length));
        v4.chain(v6.map(|(key, _)| prefix6(key.address, key.length)))
    }
}
