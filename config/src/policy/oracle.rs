//! The slow evaluator that follows the specification word by word.
//!
//! It shares nothing with the compiler but the model: it walks policies, rules,
//! peers and ports in the order in which a person would read them, has its own
//! reading of selectors and prefixes, and says which item allowed a connection.
//! `explain` shows that; the tests hold the compiled form against it.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use serde::Serialize;

use super::{
    Dialect, Direction, Expression, Inventory, IpBlock, NetworkPolicy, Operator, Peer, Pod,
    PolicySet, PolicyVerdict, PortRule, PortSpec, Rule, Selector, Traffic,
};
use crate::types::Prefix;

/// What one end says of a new connection, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    pub verdict: PolicyVerdict,
    /// `namespace/name` of the pod that owns the endpoint's address.
    pub endpoint: Option<String>,
    /// The policies that isolate the endpoint in this direction, as `namespace/name`.
    pub isolated_by: Vec<String>,
    pub allowed_by: Option<AllowedBy>,
}

/// The first thing that allows a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum AllowedBy {
    Rule(RuleMatch),
    /// A pod can always reach itself.
    Itself,
    /// A pod can always be reached from its node.
    OwnNode {
        node: String,
    },
}

/// A rule and the items of it that matched.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct RuleMatch {
    pub namespace: String,
    pub name: String,
    pub direction: Direction,
    pub rule: usize,
    /// Index into `from` or `to`; none when the rule has no peers (everyone).
    pub peer: Option<usize>,
    /// Index into `ports`; none when the rule has no ports (all).
    pub port: Option<usize>,
}

impl RuleMatch {
    /// Path of the item in its document, as in `spec.ingress[0].from[1]`.
    pub fn field(&self) -> String {
        let (section, peers) = (self.direction.name(), self.direction.peers_name());
        match self.peer {
            None => format!("spec.{section}[{}]", self.rule),
            Some(peer) => format!("spec.{section}[{}].{peers}[{peer}]", self.rule),
        }
    }
}

impl fmt::Display for RuleMatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{} {}", self.namespace, self.name, self.field())
    }
}

/// Judges a new connection between `endpoint` and `peer`, opened by `peer` for
/// ingress and by `endpoint` for egress.
pub fn decide(
    inventory: &Inventory,
    policies: &PolicySet,
    dialect: Dialect,
    direction: Direction,
    endpoint: IpAddr,
    peer: IpAddr,
    traffic: Traffic,
) -> Judgement {
    // Host-network pods own no address, so nothing here is about them.
    let Some(pod) = inventory.pod_at(endpoint) else {
        return open(None);
    };
    // A pod is isolated for a direction once a policy of that type selects it.
    let isolating: Vec<_> = policies
        .iter()
        .filter(|policy| isolates(policy, direction, pod))
        .collect();
    if isolating.is_empty() {
        return open(Some(pod));
    }
    let question = Question {
        inventory,
        dialect,
        pod,
        peer: peer.to_canonical(),
        traffic,
    };
    let allowed_by = question.always_allowed(direction).or_else(|| {
        // Policies add up; the first that allows is as good as any.
        isolating
            .iter()
            .find_map(|policy| question.policy(policy, direction))
    });
    let name = |policy: &NetworkPolicy| format!("{}/{}", policy.namespace, policy.name);
    Judgement {
        verdict: match allowed_by {
            Some(_) => PolicyVerdict::Allowed,
            None => PolicyVerdict::Denied,
        },
        endpoint: Some(pod.full_name()),
        isolated_by: isolating.into_iter().map(|policy| name(policy)).collect(),
        allowed_by,
    }
}

/// Every rule that means `peer`, with the item that does, whatever the ports.
pub fn meaning(
    inventory: &Inventory,
    policies: &PolicySet,
    dialect: Dialect,
    direction: Direction,
    endpoint: IpAddr,
    peer: IpAddr,
) -> Vec<RuleMatch> {
    let Some(pod) = inventory.pod_at(endpoint) else {
        return Vec::new();
    };
    let question = Question {
        inventory,
        dialect,
        pod,
        peer: peer.to_canonical(),
        traffic: Traffic::Other(0),
    };
    let mut found = Vec::new();
    for policy in policies
        .iter()
        .filter(|policy| isolates(policy, direction, pod))
    {
        for (rule, item) in policy.rules(direction).iter().enumerate() {
            let matched = |peer| RuleMatch {
                namespace: policy.namespace.clone(),
                name: policy.name.clone(),
                direction,
                rule,
                peer,
                port: None,
            };
            if item.peers.is_empty() {
                found.push(matched(None));
            }
            let peers = item.peers.iter().enumerate();
            let meant = peers.filter(|(_, peer)| question.peer(policy, peer));
            found.extend(meant.map(|(number, _)| matched(Some(number))));
        }
    }
    found
}

fn open(pod: Option<&Pod>) -> Judgement {
    Judgement {
        verdict: PolicyVerdict::NotIsolated,
        endpoint: pod.map(Pod::full_name),
        isolated_by: Vec::new(),
        allowed_by: None,
    }
}

/// The policy is of the pod's namespace, isolates the direction and its
/// selector selects the pod.
pub(super) fn isolates(policy: &NetworkPolicy, direction: Direction, pod: &Pod) -> bool {
    policy.namespace == pod.namespace
        && policy.isolates(direction)
        && selects(&policy.pod_selector, &pod.labels)
}

struct Question<'a> {
    inventory: &'a Inventory,
    dialect: Dialect,
    pod: &'a Pod,
    peer: IpAddr,
    traffic: Traffic,
}

impl Question<'_> {
    /// Neither a pod's traffic to itself nor its node's to it can be forbidden.
    fn always_allowed(&self, direction: Direction) -> Option<AllowedBy> {
        if self.pod.own_addresses().contains(&self.peer) {
            return Some(AllowedBy::Itself);
        }
        let node = self.inventory.node(self.pod.node.as_deref()?)?;
        let from_it = direction == Direction::Ingress && node.addresses.contains(&self.peer);
        from_it.then(|| AllowedBy::OwnNode {
            node: node.name.clone(),
        })
    }

    fn policy(&self, policy: &NetworkPolicy, direction: Direction) -> Option<AllowedBy> {
        // No rules, nothing allowed.
        policy
            .rules(direction)
            .iter()
            .enumerate()
            .find_map(|(index, rule)| {
                let (peer, port) = self.rule(policy, rule, direction)?;
                Some(AllowedBy::Rule(RuleMatch {
                    namespace: policy.namespace.clone(),
                    name: policy.name.clone(),
                    direction,
                    rule: index,
                    peer,
                    port,
                }))
            })
    }

    /// A peer and a port must match; an empty list matches everything.
    fn rule(
        &self,
        policy: &NetworkPolicy,
        rule: &Rule,
        direction: Direction,
    ) -> Option<(Option<usize>, Option<usize>)> {
        let peer = if rule.peers.is_empty() {
            None
        } else {
            Some(rule.peers.iter().position(|peer| self.peer(policy, peer))?)
        };
        let port = if rule.ports.is_empty() {
            None
        } else {
            Some(
                rule.ports
                    .iter()
                    .position(|port| self.port(port, direction))?,
            )
        };
        Some((peer, port))
    }

    fn peer(&self, policy: &NetworkPolicy, peer: &Peer) -> bool {
        match peer {
            Peer::Block(block) => self.block(block),
            // Both selectors of one item must match. Without a namespace selector
            // the policy's own namespace is meant.
            Peer::Pods {
                namespaces, pods, ..
            } => {
                let Some(pod) = self.inventory.pod_at(self.peer) else {
                    return false;
                };
                let namespace = match namespaces {
                    None => pod.namespace == policy.namespace,
                    Some(selector) => {
                        selects(selector, &self.inventory.namespace_labels(&pod.namespace))
                    }
                };
                namespace
                    && pods
                        .as_ref()
                        .is_none_or(|selector| selects(selector, &pod.labels))
            }
        }
    }

    /// `except` takes from its own block only. Whether a block can mean a pod or a
    /// node is the dialect's choice.
    fn block(&self, block: &IpBlock) -> bool {
        let managed = self.inventory.pod_at(self.peer).is_some()
            || self
                .inventory
                .nodes()
                .any(|node| node.addresses.contains(&self.peer));
        if self.dialect == Dialect::Cilium && managed {
            return false;
        }
        within(self.peer, &block.cidr)
            && !block.except.iter().any(|except| within(self.peer, except))
    }

    /// An item speaks of one protocol; what has no ports matches no item.
    fn port(&self, rule: &PortRule, direction: Direction) -> bool {
        let Traffic::Port(protocol, number) = self.traffic else {
            return false;
        };
        if protocol != rule.protocol {
            return false;
        }
        match &rule.port {
            PortSpec::All => true,
            PortSpec::Range(first, last) => *first <= number && number <= *last,
            PortSpec::Named(name) => {
                let destination = match direction {
                    Direction::Ingress => Some(self.pod),
                    Direction::Egress => self.inventory.pod_at(self.peer),
                };
                destination.is_some_and(|pod| {
                    pod.ports.iter().any(|port| {
                        port.name == *name && port.protocol == protocol && port.port == number
                    })
                })
            }
        }
    }
}

/// Every label and every expression must hold.
pub(super) fn selects(selector: &Selector, labels: &BTreeMap<String, String>) -> bool {
    for (key, wanted) in &selector.labels {
        match labels.get(key) {
            Some(value) if value == wanted => {}
            _ => return false,
        }
    }
    selector
        .expressions
        .iter()
        .all(|expression| expression_holds(expression, labels))
}

fn expression_holds(expression: &Expression, labels: &BTreeMap<String, String>) -> bool {
    match (expression.operator, labels.get(&expression.key)) {
        (Operator::Exists, value) => value.is_some(),
        (Operator::DoesNotExist, value) => value.is_none(),
        (Operator::In, None) => false,
        (Operator::In, Some(value)) => expression.values.iter().any(|listed| listed == value),
        // An absent key is in no list.
        (Operator::NotIn, None) => true,
        (Operator::NotIn, Some(value)) => expression.values.iter().all(|listed| listed != value),
    }
}

/// The families are separate, and the first bits decide.
fn within(address: IpAddr, prefix: &Prefix) -> bool {
    let common = match (address, prefix.addr()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
        _ => return false,
    };
    common >= u32::from(prefix.len())
}
