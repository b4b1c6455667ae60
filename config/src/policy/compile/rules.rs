//! One rule, taken apart: whom it means and which ports it allows them.

use std::{net::IpAddr, rc::Rc};

use super::{
    identity::Identities,
    intervals::{Span, cut},
    ports::{Interner, PortRanges, SetId},
};
use crate::{
    policy::{Direction, IpBlock, NamedPort, NetworkPolicy, Peer, PortSpec, Rule},
    types::{Prefix, Protocol},
};

#[derive(Debug)]
pub(super) struct RuleParts<'a> {
    /// Ports given by number, or everything where the rule names none.
    pub(super) ports: SetId,
    /// Ports given by name, to be looked up on the destination.
    pub(super) names: Vec<(Protocol, &'a str)>,
    /// No peers: the rule means everyone.
    pub(super) anyone: bool,
    pub(super) identities: Vec<Rc<[u32]>>,
    pub(super) v4: Vec<Span<u32>>,
    pub(super) v6: Vec<Span<u128>>,
}

impl<'a> RuleParts<'a> {
    /// The rules of `policy` in one direction.
    pub(super) fn of(
        policy: &'a NetworkPolicy,
        direction: Direction,
        identities: &mut Identities<'a>,
        interner: &mut Interner,
    ) -> Vec<Self> {
        let rules = policy.rules(direction).iter();
        rules
            .map(|rule| Self::new(rule, &policy.namespace, identities, interner))
            .collect()
    }

    fn new(
        rule: &'a Rule,
        namespace: &'a str,
        identities: &mut Identities<'a>,
        interner: &mut Interner,
    ) -> Self {
        let (ports, names) = ports(rule);
        let mut parts = Self {
            ports: interner.intern(ports),
            names,
            anyone: rule.peers.is_empty(),
            identities: Vec::new(),
            v4: Vec::new(),
            v6: Vec::new(),
        };
        for peer in &rule.peers {
            match peer {
                Peer::Block(block) => parts.add_block(block),
                Peer::Pods {
                    namespaces, pods, ..
                } => {
                    let selected = identities.peer(namespace, namespaces.as_ref(), pods.as_ref());
                    parts.identities.push(selected);
                }
            }
        }
        parts
    }

    fn add_block(&mut self, block: &IpBlock) {
        let holes = block.except.iter();
        match (block.cidr.addr(), block.cidr.last()) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                let mut holes: Vec<_> = holes.filter_map(span4).collect();
                self.v4
                    .extend(cut((first.to_bits(), last.to_bits()), &mut holes));
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                let mut holes: Vec<_> = holes.filter_map(span6).collect();
                self.v6
                    .extend(cut((first.to_bits(), last.to_bits()), &mut holes));
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {}
        }
    }

    /// The ports that the rule's names stand for on a pod with `ports`.
    pub(super) fn resolve(&self, ports: &[&NamedPort], interner: &mut Interner) -> SetId {
        if self.names.is_empty() {
            return SetId::EMPTY;
        }
        let mut set = PortRanges::default();
        for port in ports.iter().filter(|port| self.has_name(port)) {
            set.add(port.protocol, port.port, port.port);
        }
        interner.intern(set)
    }

    pub(super) fn has_name(&self, port: &NamedPort) -> bool {
        self.names
            .iter()
            .any(|(protocol, name)| port.protocol == *protocol && port.name == *name)
    }

    /// Whether one of the rule's blocks holds `address`.
    pub(super) fn block_holds(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => self.v4.iter().any(|span| holds(*span, v4.to_bits())),
            IpAddr::V6(v6) => self.v6.iter().any(|span| holds(*span, v6.to_bits())),
        }
    }
}

fn holds<T: Ord>((first, last): Span<T>, address: T) -> bool {
    first <= address && address <= last
}

fn span4(prefix: &Prefix) -> Option<Span<u32>> {
    match (prefix.addr(), prefix.last()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => Some((first.to_bits(), last.to_bits())),
        _ => None,
    }
}

fn span6(prefix: &Prefix) -> Option<Span<u128>> {
    match (prefix.addr(), prefix.last()) {
        (IpAddr::V6(first), IpAddr::V6(last)) => Some((first.to_bits(), last.to_bits())),
        _ => None,
    }
}

fn ports(rule: &Rule) -> (PortRanges, Vec<(Protocol, &str)>) {
    if rule.ports.is_empty() {
        return (PortRanges::everything(), Vec::new());
    }
    let mut ports = PortRanges::default();
    let mut names = Vec::new();
    for rule in &rule.ports {
        match &rule.port {
            PortSpec::All => ports.add(rule.protocol, 0, u16::MAX),
            PortSpec::Range(first, last) => ports.add(rule.protocol, *first, *last),
            PortSpec::Named(name) => names.push((rule.protocol, name.as_str())),
        }
    }
    (ports, names)
}
