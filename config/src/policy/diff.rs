//! Where two dialects disagree on the same documents.
//!
//! Complete, because it is read off the compiled forms and not off samples:
//! every address that a pod or node owns is compared by name, all others by the
//! stretches in which neither form tells them apart, and ports as whole sets.
//! Endpoints that share their tables in both forms are compared once.
//!
//! ```text
//! Compiled A, Compiled B -> cells (endpoints, peer, ports) -> Differences
//! ```

mod remedy;
mod words;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::Serialize;

pub use self::{
    remedy::{BlockChange, Remedy, Selected},
    words::words,
};
use super::{
    CompileError, Compiled, Dialect, Direction, Inventory, PolicySet, PortList, Traffic, compile,
    oracle::{self, RuleMatch},
    view::ports_of,
};

/// All that two dialects judge differently.
#[derive(Clone, Debug, Serialize)]
pub struct Diff {
    pub dialects: [Dialect; 2],
    pub differences: Vec<Difference>,
}

/// Connections that one dialect allows and the other denies, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub direction: Direction,
    pub allowed_under: Dialect,
    pub denied_under: Dialect,
    /// Addresses of the isolated pods.
    pub endpoints: Vec<IpAddr>,
    /// Of the same family.
    pub peers: Vec<Span>,
    /// Pairs of endpoint and peer to whom this does not apply: no policy can
    /// come between a pod and itself, or keep a node from its pod.
    pub spared: BTreeSet<(IpAddr, IpAddr)>,
    pub ports: PortList,
    /// The rules that allow it under one dialect and not under the other.
    pub rules: Vec<RuleMatch>,
    pub remedy: Remedy,
}

/// Peers that are judged alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Span {
    /// An address of a pod or node.
    Owned(IpAddr),
    /// The addresses from the first to the last that no pod or node owns.
    Strangers(IpAddr, IpAddr),
}

impl Diff {
    /// The difference that a connection falls under.
    pub fn find(
        &self,
        inventory: &Inventory,
        direction: Direction,
        endpoint: IpAddr,
        peer: IpAddr,
        traffic: Traffic,
    ) -> Option<&Difference> {
        let owned = inventory.pod_at(peer).is_some()
            || inventory.nodes().any(|node| node.addresses.contains(&peer));
        let holds = |span: &Span| match *span {
            Span::Owned(address) => address == peer,
            Span::Strangers(first, last) => !owned && first <= peer && peer <= last,
        };
        self.differences.iter().find(|difference| {
            difference.direction == direction
                && difference.endpoints.contains(&endpoint)
                && difference.ports.contains(traffic)
                && difference.peers.iter().any(holds)
                && !difference.spared.contains(&(endpoint, peer))
        })
    }
}

/// Compares what `policies` mean in `dialects`.
pub fn diff(
    inventory: &Inventory,
    policies: &PolicySet,
    dialects: [Dialect; 2],
) -> Result<Diff, CompileError> {
    let [one, two] = dialects;
    let forms = [
        compile(inventory, policies, one)?,
        compile(inventory, policies, two)?,
    ];
    let mut cells = BTreeMap::new();
    for direction in [Direction::Ingress, Direction::Egress] {
        for endpoints in groups(&forms, direction) {
            let comparison = Comparison {
                inventory,
                policies,
                dialects,
                forms: &forms,
                direction,
                endpoints: &endpoints,
            };
            comparison.compare(&mut cells);
        }
    }
    // Groups that differ in the same way are told together.
    let mut merged: BTreeMap<(CellKey, Vec<Span>), Vec<IpAddr>> = BTreeMap::new();
    for ((key, endpoints), peers) in cells {
        merged.entry((key, peers)).or_default().extend(endpoints);
    }
    let differences = merged
        .into_iter()
        .map(|((key, peers), endpoints)| finish(inventory, policies, &forms, key, peers, endpoints))
        .collect();
    Ok(Diff {
        dialects,
        differences,
    })
}

/// What makes differences one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct CellKey {
    direction: Direction,
    allowed_under: Dialect,
    denied_under: Dialect,
    v4: bool,
    rules: Vec<RuleMatch>,
    ports: PortList,
}

type Cells = BTreeMap<(CellKey, Vec<IpAddr>), Vec<Span>>;

/// Isolated addresses of one family that share their tables in both forms.
fn groups(forms: &[Compiled; 2], direction: Direction) -> Vec<Vec<IpAddr>> {
    let [one, two] = forms;
    let mut groups: BTreeMap<_, Vec<IpAddr>> = BTreeMap::new();
    for address in one.owned() {
        let tables = (one.group(direction, address), two.group(direction, address));
        if let (Some(first), Some(second)) = tables {
            let key = (address.is_ipv4(), first, second);
            groups.entry(key).or_default().push(address);
        }
    }
    groups.into_values().collect()
}

struct Comparison<'a> {
    inventory: &'a Inventory,
    policies: &'a PolicySet,
    dialects: [Dialect; 2],
    forms: &'a [Compiled; 2],
    direction: Direction,
    endpoints: &'a [IpAddr],
}

impl Comparison<'_> {
    fn compare(&self, cells: &mut Cells) {
        let Some(endpoint) = self.endpoints.first().copied() else {
            return;
        };
        for span in self.spans(endpoint) {
            let at = match span {
                Span::Owned(address) | Span::Strangers(address, _) => address,
            };
            let always = |endpoint: &IpAddr| {
                matches!(span, Span::Owned(_))
                    && self.forms[0].always(self.direction, *endpoint, at)
            };
            if self.endpoints.iter().all(always) {
                continue;
            }
            let [one, two] = self.forms.each_ref().map(|form| {
                let listed = form.listed(self.direction, endpoint, at);
                listed.unwrap_or_default()
            });
            let [first, second] = self.dialects;
            for (ports, allowed_under, denied_under) in [
                (one.without(&two), first, second),
                (two.without(&one), second, first),
            ] {
                if ports.is_empty() {
                    continue;
                }
                let key = CellKey {
                    direction: self.direction,
                    allowed_under,
                    denied_under,
                    v4: endpoint.is_ipv4(),
                    rules: self.rules([allowed_under, denied_under], endpoint, at, &ports),
                    ports,
                };
                let peers = cells.entry((key, self.endpoints.to_vec()));
                peers.or_default().push(span);
            }
        }
    }

    /// Every address of the endpoint's family, in spans that both forms judge
    /// alike.
    fn spans(&self, endpoint: IpAddr) -> Vec<Span> {
        let family = |address: &IpAddr| address.is_ipv4() == endpoint.is_ipv4();
        let owned = self.forms[0].owned().into_iter().filter(family);
        let mut spans: Vec<_> = owned.map(Span::Owned).collect();
        let starts: BTreeSet<IpAddr> = self
            .forms
            .iter()
            .flat_map(|form| form.stretches(self.direction, endpoint))
            .collect();
        let mut after = starts.iter().skip(1);
        for start in &starts {
            let last = match after.next() {
                Some(next) => step(*next, false),
                None => Some(last_of(*start)),
            };
            // The first address that stands for the others must be nobody's.
            let mut first = Some(*start);
            while let (Some(at), Some(last)) = (first, last) {
                if at > last {
                    break;
                }
                if !self.forms[0].is_owned(at) {
                    spans.push(Span::Strangers(at, last));
                    break;
                }
                first = step(at, true);
            }
        }
        spans
    }

    /// The rules that mean the peer under the first dialect and not the second.
    fn rules(
        &self,
        [allowed, denied]: [Dialect; 2],
        endpoint: IpAddr,
        peer: IpAddr,
        ports: &PortList,
    ) -> Vec<RuleMatch> {
        let [allowed, denied] = [allowed, denied].map(|dialect| {
            oracle::meaning(
                self.inventory,
                self.policies,
                dialect,
                self.direction,
                endpoint,
                peer,
            )
        });
        let destination = match self.direction {
            Direction::Ingress => endpoint,
            Direction::Egress => peer,
        };
        let destination = self.inventory.pod_at(destination);
        let decides = |rule: &RuleMatch| {
            let written = self.policies.rule(rule);
            !denied.contains(rule)
                && written.is_some_and(|rule| ports_of(rule, destination).0.meets(ports))
        };
        allowed.into_iter().filter(decides).collect()
    }
}

fn step(address: IpAddr, up: bool) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) if up => v4
            .to_bits()
            .checked_add(1)
            .map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V4(v4) => v4
            .to_bits()
            .checked_sub(1)
            .map(|bits| IpAddr::V4(bits.into())),
        IpAddr::V6(v6) if up => v6
            .to_bits()
            .checked_add(1)
            .map(|bits| IpAddr::V6(bits.into())),
        IpAddr::V6(v6) => v6
            .to_bits()
            .checked_sub(1)
            .map(|bits| IpAddr::V6(bits.into())),
    }
}

fn last_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => IpAddr::V4(u32::MAX.into()),
        IpAddr::V6(_) => IpAddr::V6(u128::MAX.into()),
    }
}

fn finish(
    inventory: &Inventory,
    policies: &PolicySet,
    forms: &[Compiled; 2],
    key: CellKey,
    peers: Vec<Span>,
    mut endpoints: Vec<IpAddr>,
) -> Difference {
    endpoints.sort_unstable();
    let mut spared = BTreeSet::new();
    for endpoint in &endpoints {
        for span in &peers {
            if let Span::Owned(peer) = span
                && forms[0].always(key.direction, *endpoint, *peer)
            {
                spared.insert((*endpoint, *peer));
            }
        }
    }
    let remedy = remedy::remedy(inventory, policies, &key.rules, &endpoints, &peers);
    Difference {
        direction: key.direction,
        allowed_under: key.allowed_under,
        denied_under: key.denied_under,
        endpoints,
        peers,
        spared,
        ports: key.ports,
        rules: key.rules,
        remedy,
    }
}

#[cfg(test)]
mod tests;
