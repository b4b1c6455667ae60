//! The image laid open, for tools that show what it holds. Slow and complete.

use std::net::{IpAddr, Ipv6Addr};

use palisade_abi::{
    POLICY_FORM_ALL, POLICY_FORM_NONE, POLICY_FORM_RANGES, POLICY_HEADER_OWNERS,
    POLICY_HEADER_OWNERS_MASK, POLICY_OWNER_EGRESS, POLICY_OWNER_INGRESS, POLICY_OWNER_TAKEN,
    POLICY_SET_EVERYTHING, POLICY_SET_FORM, POLICY_SET_LINE, POLICY_TABLE_V4, POLICY_TABLE_V6,
    POLICY_TREE_COUNT, POLICY_TREE_LEVEL, PolicyLine,
};

use super::{Image, Key, NONE, always_allowed, word};
use crate::{
    policy::{Direction, Traffic},
    types::Protocol,
};

impl Image {
    fn owner_at(&self, address: IpAddr) -> Option<PolicyLine> {
        self.owner(&self.line(0), address.to_canonical())
    }

    /// The line of the table that judges an endpoint.
    pub(in crate::policy) fn table_of(
        &self,
        direction: Direction,
        endpoint: IpAddr,
    ) -> Option<u32> {
        let owner = self.owner_at(endpoint)?;
        let table = match direction {
            Direction::Ingress => word(&owner, POLICY_OWNER_INGRESS),
            Direction::Egress => word(&owner, POLICY_OWNER_EGRESS),
        };
        (table != NONE).then_some(table)
    }

    /// The port sets on which a peer is allowed; `None` where no policy isolates the endpoint.
    pub(in crate::policy) fn sets_between(
        &self,
        direction: Direction,
        endpoint: IpAddr,
        peer: IpAddr,
    ) -> Option<Vec<u32>> {
        let table = self.table_of(direction, endpoint)?;
        let other = self.owner_at(peer);
        let header = self.line(0);
        let sets = self.sets(&header, table, peer.to_canonical(), other.as_ref());
        Some(sets.collect())
    }

    /// Whether a set is everything, and its ports of TCP, UDP and SCTP.
    pub(in crate::policy) fn ports_of(&self, set: u32) -> (bool, [Vec<(u16, u16)>; 3]) {
        if set == NONE {
            return Default::default();
        }
        let line = self.line(set);
        let everything = word(&line, POLICY_SET_EVERYTHING) != 0;
        let protocols = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
        let ranges = protocols.map(|protocol| {
            let slot = super::slot(protocol);
            match word(&line, POLICY_SET_FORM + slot) {
                POLICY_FORM_NONE => Vec::new(),
                POLICY_FORM_ALL => vec![(0, u16::MAX)],
                POLICY_FORM_RANGES => ranges_of(&self.line(word(&line, POLICY_SET_LINE + slot))),
                _ => self.ranges_of_bits(set, protocol),
            }
        });
        (everything, ranges)
    }

    fn ranges_of_bits(&self, set: u32, protocol: Protocol) -> Vec<(u16, u16)> {
        let held = |port: &u16| self.set_holds(set, Traffic::Port(protocol, *port));
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for port in (0..=u16::MAX).filter(held) {
            match ranges.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(port) => *last = port,
                _ => ranges.push((port, port)),
            }
        }
        ranges
    }

    /// Whether no policy can forbid this.
    pub(in crate::policy) fn always(
        &self,
        direction: Direction,
        endpoint: IpAddr,
        peer: IpAddr,
    ) -> bool {
        match (self.owner_at(endpoint), self.owner_at(peer)) {
            (Some(endpoint), Some(peer)) => always_allowed(direction, &endpoint, &peer),
            _ => false,
        }
    }

    pub(in crate::policy) fn is_owned(&self, address: IpAddr) -> bool {
        self.owner_at(address).is_some()
    }

    /// Addresses of pods and nodes, in no order.
    pub(in crate::policy) fn owned(&self) -> impl Iterator<Item = IpAddr> + '_ {
        self.owners().map(|(address, _)| address)
    }

    /// All lines of the table of owners that are taken.
    pub(super) fn owners(&self) -> impl Iterator<Item = (IpAddr, &PolicyLine)> + '_ {
        let header = self.line(0);
        let first = word(&header, POLICY_HEADER_OWNERS) as usize;
        let count = word(&header, POLICY_HEADER_OWNERS_MASK) as usize + 1;
        let lines = self.lines.iter().skip(first).take(count);
        lines
            .filter(|owner| word(owner, POLICY_OWNER_TAKEN) != 0)
            .map(|owner| {
                let bits = u128::read(owner.words.get(..4).unwrap_or_default());
                (IpAddr::V6(Ipv6Addr::from_bits(bits)).to_canonical(), owner)
            })
    }

    /// Where the IPv4 intervals of an endpoint's table start.
    pub(in crate::policy) fn starts_v4(&self, direction: Direction, endpoint: IpAddr) -> Vec<u32> {
        self.starts(direction, endpoint, POLICY_TABLE_V4)
    }

    /// Where the IPv6 intervals of an endpoint's table start.
    pub(in crate::policy) fn starts_v6(&self, direction: Direction, endpoint: IpAddr) -> Vec<u128> {
        self.starts(direction, endpoint, POLICY_TABLE_V6)
    }

    fn starts<K: Key>(&self, direction: Direction, endpoint: IpAddr, which: u32) -> Vec<K> {
        let table = self.table_of(direction, endpoint);
        let tree = table.map_or(NONE, |table| word(&self.line(table), which));
        if tree == NONE {
            return Vec::new();
        }
        let tree = self.line(tree);
        let first = word(&tree, POLICY_TREE_LEVEL) as usize;
        let lines = self.lines.iter().skip(first);
        lines
            .flat_map(|line| line.words.chunks_exact(K::WORDS))
            .take(word(&tree, POLICY_TREE_COUNT) as usize)
            .map(K::read)
            .collect()
    }
}

fn ranges_of(line: &PolicyLine) -> Vec<(u16, u16)> {
    let port = |number: u32| u16::try_from(number).unwrap_or(0);
    let ranges = line.words.iter();
    ranges
        .map(|range| (port(range >> 16), port(range & 0xffff)))
        .filter(|(first, last)| first <= last)
        .collect()
}
