//! The compiled form laid open, for tools: what is allowed on which ports, and
//! where along the addresses that changes.
//!
//! Slow and complete, while `decide` is fast and about one packet. The tests of
//! `policy diff` hold this against the oracle.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::Serialize;

use super::Compiled;
use crate::{
    policy::{Direction, Traffic, image::slot},
    types::Protocol,
};

const WHOLE: (u16, u16) = (0, u16::MAX);

/// Ports of each protocol, and whether protocols without ports are meant too.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PortList {
    /// Protocols other than TCP, UDP and SCTP.
    others: bool,
    tcp: Vec<(u16, u16)>,
    udp: Vec<(u16, u16)>,
    sctp: Vec<(u16, u16)>,
}

impl PortList {
    /// Every port of every protocol.
    pub fn everything() -> Self {
        let whole = || vec![WHOLE];
        Self {
            others: true,
            tcp: whole(),
            udp: whole(),
            sctp: whole(),
        }
    }

    fn of(others: bool, [tcp, udp, sctp]: [Vec<(u16, u16)>; 3]) -> Self {
        Self {
            others,
            tcp,
            udp,
            sctp,
        }
    }

    fn parts(&self) -> [(Protocol, &Vec<(u16, u16)>); 3] {
        [
            (Protocol::Tcp, &self.tcp),
            (Protocol::Udp, &self.udp),
            (Protocol::Sctp, &self.sctp),
        ]
    }

    pub fn is_empty(&self) -> bool {
        !self.others && self.parts().iter().all(|(_, ranges)| ranges.is_empty())
    }

    pub fn contains(&self, traffic: Traffic) -> bool {
        match traffic {
            Traffic::Other(_) => self.others,
            Traffic::Port(protocol, port) => {
                let ranges = self.parts().into_iter().nth(slot(protocol) as usize);
                ranges.is_some_and(|(_, ranges)| {
                    let holds = |(first, last): &(u16, u16)| (*first..=*last).contains(&port);
                    ranges.iter().any(holds)
                })
            }
        }
    }

    /// Adds the ports from `first` to `last`.
    pub fn add(&mut self, protocol: Protocol, first: u16, last: u16) {
        let ranges = match protocol {
            Protocol::Tcp => &mut self.tcp,
            Protocol::Udp => &mut self.udp,
            Protocol::Sctp => &mut self.sctp,
        };
        ranges.push((first, last));
        merge(ranges);
    }

    #[must_use]
    pub fn united(&self, other: &Self) -> Self {
        let both = |a: &[(u16, u16)], b: &[(u16, u16)]| {
            let mut ranges = [a, b].concat();
            merge(&mut ranges);
            ranges
        };
        Self {
            others: self.others || other.others,
            tcp: both(&self.tcp, &other.tcp),
            udp: both(&self.udp, &other.udp),
            sctp: both(&self.sctp, &other.sctp),
        }
    }

    /// What is here and not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self {
            others: self.others && !other.others,
            tcp: subtract(&self.tcp, &other.tcp),
            udp: subtract(&self.udp, &other.udp),
            sctp: subtract(&self.sctp, &other.sctp),
        }
    }

    pub fn meets(&self, other: &Self) -> bool {
        self.without(other) != *self
    }
}

/// Sorts, and joins what overlaps or touches.
fn merge(ranges: &mut Vec<(u16, u16)>) {
    ranges.sort_unstable();
    ranges.dedup_by(|next, kept| {
        let touches = u32::from(next.0) <= u32::from(kept.1) + 1;
        if touches {
            kept.1 = kept.1.max(next.1);
        }
        touches
    });
}

/// Both sorted and merged, as is the result.
fn subtract(from: &[(u16, u16)], holes: &[(u16, u16)]) -> Vec<(u16, u16)> {
    let mut left = from.to_vec();
    for (hole_first, hole_last) in holes.iter().copied() {
        left = left
            .into_iter()
            .flat_map(|(first, last)| {
                let below = hole_first.checked_sub(1).map(|end| (first, last.min(end)));
                let above = hole_last
                    .checked_add(1)
                    .map(|start| (first.max(start), last));
                [below, above]
            })
            .flatten()
            .filter(|(first, last)| first <= last)
            .collect();
    }
    left
}

impl fmt::Display for PortList {
    /// `TCP 80, 8000-8080; all UDP ports`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("no port");
        }
        if *self == Self::everything() {
            return f.write_str("all ports");
        }
        let mut parts = Vec::new();
        for (protocol, ranges) in self.parts() {
            if ranges.is_empty() {
                continue;
            }
            if ranges.as_slice() == [WHOLE] {
                parts.push(format!("all {protocol} ports"));
                continue;
            }
            let range = |(first, last): &(u16, u16)| match first == last {
                true => first.to_string(),
                false => format!("{first}-{last}"),
            };
            let ranges: Vec<_> = ranges.iter().map(range).collect();
            parts.push(format!("{protocol} {}", ranges.join(", ")));
        }
        if self.others {
            parts.push("protocols without ports".to_owned());
        }
        f.write_str(&parts.join("; "))
    }
}

impl Compiled {
    /// Every port on which `endpoint` and `peer` may connect; none where no
    /// policy isolates the endpoint. What no policy can forbid (a pod and
    /// itself, a pod's own node) is left out: see [`Self::always`].
    pub fn listed(&self, direction: Direction, endpoint: IpAddr, peer: IpAddr) -> Option<PortList> {
        let image = self.image();
        let sets = image.sets_between(direction, endpoint, peer)?;
        let lists = sets.into_iter().map(|set| match image.ports_of(set) {
            (true, _) => PortList::everything(),
            (false, ranges) => PortList::of(false, ranges),
        });
        Some(lists.fold(PortList::default(), |all, list| all.united(&list)))
    }

    /// Whether no policy can forbid this: a pod and itself, its node to a pod.
    pub fn always(&self, direction: Direction, endpoint: IpAddr, peer: IpAddr) -> bool {
        self.image().always(direction, endpoint, peer)
    }

    /// The addresses of pods and nodes, sorted. Everybody else is judged by
    /// address alone.
    pub fn owned(&self) -> Vec<IpAddr> {
        let mut owned: Vec<_> = self.image().owned().collect();
        owned.sort_unstable();
        owned
    }

    pub fn is_owned(&self, address: IpAddr) -> bool {
        self.image().is_owned(address)
    }

    /// The first addresses of the stretches of the endpoint's family in which
    /// all that are not owned are judged alike; sorted, from the very first.
    pub fn stretches(&self, direction: Direction, endpoint: IpAddr) -> Vec<IpAddr> {
        let image = self.image();
        let mut starts: Vec<IpAddr> = match endpoint.to_canonical() {
            IpAddr::V4(_) => {
                let starts = image.starts_v4(direction, endpoint).into_iter();
                starts
                    .map(|bits| Ipv4Addr::from_bits(bits).into())
                    .collect()
            }
            IpAddr::V6(_) => {
                let starts = image.starts_v6(direction, endpoint).into_iter();
                starts
                    .map(|bits| Ipv6Addr::from_bits(bits).into())
                    .collect()
            }
        };
        starts.push(match endpoint.to_canonical() {
            IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        });
        starts.sort_unstable();
        starts.dedup();
        starts
    }

    /// What endpoints that are judged by one table have in common.
    pub(in crate::policy) fn group(&self, direction: Direction, endpoint: IpAddr) -> Option<u32> {
        self.image().table_of(direction, endpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(ranges: &[(u16, u16)]) -> PortList {
        let mut list = PortList::default();
        for (first, last) in ranges {
            list.add(Protocol::Tcp, *first, *last);
        }
        list
    }

    #[test]
    fn lists_are_taken_from_each_other() {
        /// A name, both lists, what is left, and how that reads.
        type Case<'a> = (&'a str, PortList, PortList, PortList, &'a str);
        #[rustfmt::skip]
        let cases: [Case<'_>; 7] = [
            ("nothing from nothing", tcp(&[]),                tcp(&[]),                   tcp(&[]),                        "no port"),
            ("apart",                tcp(&[(80, 80)]),        tcp(&[(81, 81)]),           tcp(&[(80, 80)]),                "TCP 80"),
            ("from the middle",      tcp(&[(80, 90)]),        tcp(&[(83, 85)]),           tcp(&[(80, 82), (86, 90)]),      "TCP 80-82, 86-90"),
            ("both ends",            tcp(&[(0, u16::MAX)]),   tcp(&[(0, 0), (65_535, 65_535)]), tcp(&[(1, 65_534)]),       "TCP 1-65534"),
            ("all of it",            tcp(&[(80, 90)]),        PortList::everything(),     tcp(&[]),                        "no port"),
            ("touching is one",      tcp(&[(80, 80), (81, 82)]), tcp(&[]),                tcp(&[(80, 82)]),                "TCP 80-82"),
            ("a whole protocol",     tcp(&[(0, u16::MAX)]),   tcp(&[]),                   tcp(&[(0, u16::MAX)]),           "all TCP ports"),
        ];
        for (name, from, holes, want, words) in cases {
            let left = from.without(&holes);
            assert_eq!(left, want, "{name}");
            assert_eq!(left.to_string(), words, "{name}");
            assert_eq!(from.meets(&holes), left != from, "{name}");
        }
        let rest = PortList::everything().without(&tcp(&[(22, 22)]));
        assert_eq!(
            rest.to_string(),
            "TCP 0-21, 23-65535; all UDP ports; all SCTP ports; protocols without ports"
        );
        assert!(
            rest.contains(Traffic::Other(1)) && !rest.contains(Traffic::Port(Protocol::Tcp, 22))
        );
        assert_eq!(rest.united(&tcp(&[(22, 22)])), PortList::everything());
    }
}
