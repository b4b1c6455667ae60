//! Traps between rules and between policies for the same pods.

use super::{Trap, Warning, warning};
use crate::{
    policy::{
        Direction, Inventory, IpBlock, NetworkPolicy, Peer, PolicySet, PortRule, PortSpec, Rule,
        Selector, oracle::selects,
    },
    types::{Prefix, Protocol},
};

pub(super) fn look(
    policy: &NetworkPolicy,
    inventory: &Inventory,
    policies: &PolicySet,
    warnings: &mut Vec<Warning>,
) {
    for direction in [Direction::Ingress, Direction::Egress] {
        if !policy.isolates(direction) || policy.rules(direction).is_empty() {
            continue;
        }
        let allies: Vec<&NetworkPolicy> = policies
            .iter()
            .map(|other| &**other)
            .filter(|other| other.isolates(direction) && share_pods(policy, other, inventory))
            .collect();
        if direction == Direction::Egress {
            dns(policy, &allies, warnings);
        }
        for (index, rule) in policy.rules(direction).iter().enumerate() {
            for (number, peer) in rule.peers.iter().enumerate() {
                let Peer::Block(block) = peer else { continue };
                let peers = direction.peers_name();
                let here = Here {
                    policy,
                    direction,
                    rule,
                    block,
                    path: format!(
                        "spec.{}[{index}].{peers}[{number}].ipBlock",
                        direction.name()
                    ),
                };
                here.excepts(&allies, warnings);
                here.other_family(&allies, warnings);
            }
        }
    }
}

/// Whether some pod may be selected by both: as far as the inventory tells, or
/// where it is silent, as far as the selectors do.
fn share_pods(a: &NetworkPolicy, b: &NetworkPolicy, inventory: &Inventory) -> bool {
    let (one, two) = (&a.pod_selector, &b.pod_selector);
    let everyone = Selector::default();
    a.namespace == b.namespace
        && (one == two
            || *one == everyone
            || *two == everyone
            || inventory
                .pods()
                .filter(|pod| pod.namespace == a.namespace)
                .any(|pod| selects(one, &pod.labels) && selects(two, &pod.labels)))
}

struct Here<'a> {
    policy: &'a NetworkPolicy,
    direction: Direction,
    rule: &'a Rule,
    block: &'a IpBlock,
    path: String,
}

impl Here<'_> {
    fn excepts(&self, allies: &[&NetworkPolicy], warnings: &mut Vec<Warning>) {
        for (index, except) in self.block.except.iter().enumerate() {
            let undone = allies.iter().find_map(|ally| {
                ally.rules(self.direction)
                    .iter()
                    .enumerate()
                    .find_map(|(number, rule)| {
                        let by = self.undone_by(*except, rule)?;
                        Some((ally, number, by))
                    })
            });
            let Some((ally, number, by)) = undone else {
                continue;
            };
            let section = self.direction.name();
            let rule = format!("{}/{} {section}[{number}]", ally.namespace, ally.name);
            let (trap, what) = match by {
                Undoer::Anyone => (Trap::ExceptUndone, "allows everyone".to_owned()),
                Undoer::Block(other) if other.except.is_empty() => {
                    (Trap::ExceptUndone, format!("allows {}", other.cidr))
                }
                Undoer::Block(other) => {
                    let what = format!(
                        "allows {} but for its own excepts: the two cancel each other, put all excepts into one block",
                        other.cidr
                    );
                    (Trap::BansCancel, what)
                }
            };
            let message = format!("{except} is not denied: {rule} {what}");
            let field = format!("{}.except[{index}]", self.path);
            warnings.push(warning(self.policy, trap, field, self.block.place, message));
        }
    }

    /// What in `rule` allows addresses that `except` takes out of this block.
    fn undone_by<'r>(&self, except: Prefix, rule: &'r Rule) -> Option<Undoer<'r>> {
        if !share_ports(self.rule, rule) {
            return None;
        }
        if rule.peers.is_empty() {
            return Some(Undoer::Anyone);
        }
        rule.peers.iter().find_map(|peer| match peer {
            Peer::Block(other) if allows_some(other, except) => Some(Undoer::Block(other)),
            Peer::Block(_) | Peer::Pods { .. } => None,
        })
    }

    /// A block for all of IPv4, and for IPv6 nothing but perhaps pods.
    fn other_family(&self, allies: &[&NetworkPolicy], warnings: &mut Vec<Warning>) {
        if !self.block.cidr.is_v4() || self.block.cidr.len() != 0 {
            return;
        }
        let speaks_v6 = |rule: &Rule| {
            let v6 = |peer: &Peer| matches!(peer, Peer::Block(block) if !block.cidr.is_v4());
            rule.peers.is_empty() || rule.peers.iter().any(v6)
        };
        if !allies
            .iter()
            .any(|ally| ally.rules(self.direction).iter().any(speaks_v6))
        {
            warnings.push(warning(
                self.policy,
                Trap::Ipv6ShutOut,
                format!("{}.cidr", self.path),
                self.block.place,
                "0.0.0.0/0 is IPv4 only, so IPv6 is denied altogether; add an ipBlock with ::/0 if that is not meant".to_owned(),
            ));
        }
    }
}

enum Undoer<'a> {
    Anyone,
    Block(&'a IpBlock),
}

/// Whether `block` allows any address of `except`.
fn allows_some(block: &IpBlock, except: Prefix) -> bool {
    let meet = block.cidr.contains(&except) || except.contains(&block.cidr);
    meet && !block
        .except
        .iter()
        .any(|other| other.contains(&except) || other.contains(&block.cidr))
}

fn share_ports(a: &Rule, b: &Rule) -> bool {
    a.ports.is_empty()
        || b.ports.is_empty()
        || a.ports
            .iter()
            .any(|one| b.ports.iter().any(|two| share_port(one, two)))
}

fn share_port(a: &PortRule, b: &PortRule) -> bool {
    let meet = match (&a.port, &b.port) {
        (PortSpec::Range(a1, a2), PortSpec::Range(b1, b2)) => a1 <= b2 && b1 <= a2,
        (PortSpec::Named(one), PortSpec::Named(two)) => one == two,
        (PortSpec::All, _) | (_, PortSpec::All) => true,
        (PortSpec::Named(_), PortSpec::Range(..)) | (PortSpec::Range(..), PortSpec::Named(_)) => {
            false
        }
    };
    a.protocol == b.protocol && meet
}

/// Egress rules of a policy, and no rule for its pods that lets DNS out.
fn dns(policy: &NetworkPolicy, allies: &[&NetworkPolicy], warnings: &mut Vec<Warning>) {
    let lets_dns_out = |rule: &Rule| {
        let dns = |port: &PortRule| {
            port.protocol == Protocol::Udp
                && match &port.port {
                    PortSpec::All => true,
                    PortSpec::Range(first, last) => (*first..=*last).contains(&53),
                    PortSpec::Named(name) => name.contains("dns") || name.contains("domain"),
                }
        };
        rule.ports.is_empty() || rule.ports.iter().any(dns)
    };
    if !allies
        .iter()
        .any(|ally| ally.egress.iter().any(lets_dns_out))
    {
        warnings.push(warning(
            policy,
            Trap::DnsForgotten,
            "spec.egress",
            policy
                .egress
                .first()
                .map_or(policy.place, |rule| rule.place),
            "no rule lets the pods ask for names; allow UDP and TCP port 53 to the resolver"
                .to_owned(),
        ));
    }
}
