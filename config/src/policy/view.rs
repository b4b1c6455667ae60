//! Policies as a person sees them: groups of pods that are treated alike, and
//! for each direction who is let through, on which ports and by which rule.
//!
//! ```text
//! Inventory, PolicySet -> View -> explain (words)
//!                              \-> draw (a picture)
//! ```
//!
//! Rules stay apart here, as they are written, so that each grant names its
//! rule; the compiled form has them united. A test holds the two together.

mod words;

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

pub use self::words::{named_peers, named_pods, ports_words, selector_words};
use super::{
    Dialect, Direction, Inventory, IpBlock, NetworkPolicy, Peer, Place, Pod, PolicySet, PortList,
    PortSpec, Rule,
    oracle::{RuleMatch, isolates, selects},
};
use crate::types::{Prefix, Protocol};

/// Everything that policies say of an inventory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct View {
    pub dialect: Dialect,
    pub policies: usize,
    /// Pods that a policy isolates, in the order of their names.
    pub groups: Vec<Group>,
    /// Pods that no policy isolates, as `namespace/name`.
    pub open: Vec<String>,
    /// The same for a reader.
    pub open_words: String,
    /// Policies that select no pod of the inventory, as `namespace/name`.
    pub idle: Vec<String>,
}

/// Pods of one namespace that are treated alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// As `namespace/name`.
    pub pods: Vec<String>,
    /// The same for a reader.
    pub words: String,
    pub ingress: Side,
    pub egress: Side,
}

impl Group {
    pub fn side(&self, direction: Direction) -> &Side {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// One direction of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// No policy isolates it: everything is allowed.
    Open,
    /// What is not granted is denied.
    Isolated {
        /// The policies that isolate it, as `namespace/name`.
        by: Vec<String>,
        grants: Vec<Grant>,
    },
}

/// One peer of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Grant {
    pub who: Who,
    pub ports: PortList,
    /// Port names that stand for nothing, or for what each peer makes of them.
    pub names: Vec<PortName>,
    pub rule: RuleMatch,
    pub place: Place,
}

/// A port by name, to be looked up on the destination.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PortName {
    pub protocol: Protocol,
    pub name: String,
}

/// Whom a peer of a rule means.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    Anyone,
    Block {
        cidr: Prefix,
        #[serde(serialize_with = "texts")]
        except: Vec<Prefix>,
        /// The dialect keeps the block from meaning pods and nodes.
        strangers_only: bool,
    },
    Pods {
        /// As `namespace/name`.
        pods: Vec<String>,
        /// The same for a reader.
        words: String,
        /// The selectors in words.
        selector: String,
    },
}

pub(super) fn texts<S: Serializer>(prefixes: &[Prefix], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(prefixes.iter().map(ToString::to_string))
}

/// Looks at every pod of `inventory` that policies can select.
pub fn view(inventory: &Inventory, policies: &PolicySet, dialect: Dialect) -> View {
    let viewer = Viewer {
        inventory,
        policies,
        dialect,
    };
    let mut groups: Vec<(String, Group)> = Vec::new();
    let mut open = Vec::new();
    let reachable = |pod: &&Pod| !pod.own_addresses().is_empty();
    for pod in inventory.pods().filter(reachable) {
        let ingress = viewer.side(pod, Direction::Ingress);
        let egress = viewer.side(pod, Direction::Egress);
        if ingress == Side::Open && egress == Side::Open {
            open.push(pod.full_name());
            continue;
        }
        let same = groups.iter_mut().find(|(namespace, group)| {
            *namespace == pod.namespace && group.ingress == ingress && group.egress == egress
        });
        match same {
            Some((_, group)) => group.pods.push(pod.full_name()),
            None => groups.push((
                pod.namespace.clone(),
                Group {
                    pods: vec![pod.full_name()],
                    words: String::new(),
                    ingress,
                    egress,
                },
            )),
        }
    }
    let mut groups: Vec<_> = groups.into_iter().map(|(_, group)| group).collect();
    for group in &mut groups {
        group.words = named_pods(inventory, &group.pods);
    }
    View {
        dialect,
        policies: policies.len(),
        groups,
        open_words: named_pods(inventory, &open),
        open,
        idle: viewer.idle(),
    }
}

struct Viewer<'a> {
    inventory: &'a Inventory,
    policies: &'a PolicySet,
    dialect: Dialect,
}

impl Viewer<'_> {
    fn idle(&self) -> Vec<String> {
        let selects_some = |policy: &NetworkPolicy| {
            self.inventory.pods().any(|pod| {
                pod.namespace == policy.namespace
                    && !pod.own_addresses().is_empty()
                    && selects(&policy.pod_selector, &pod.labels)
            })
        };
        let idle = self.policies.iter().filter(|policy| !selects_some(policy));
        idle.map(|policy| format!("{}/{}", policy.namespace, policy.name))
            .collect()
    }

    fn side(&self, pod: &Pod, direction: Direction) -> Side {
        let mut by = Vec::new();
        let mut grants = Vec::new();
        for policy in self
            .policies
            .iter()
            .filter(|policy| isolates(policy, direction, pod))
        {
            by.push(format!("{}/{}", policy.namespace, policy.name));
            for (index, rule) in policy.rules(direction).iter().enumerate() {
                self.rule(pod, policy, direction, index, rule, &mut grants);
            }
        }
        if by.is_empty() {
            Side::Open
        } else {
            Side::Isolated { by, grants }
        }
    }

    fn rule(
        &self,
        pod: &Pod,
        policy: &NetworkPolicy,
        direction: Direction,
        index: usize,
        rule: &Rule,
        grants: &mut Vec<Grant>,
    ) {
        let own = (direction == Direction::Ingress).then_some(pod);
        let grant = |who, peer, (ports, names), place| Grant {
            who,
            ports,
            names,
            rule: RuleMatch {
                namespace: policy.namespace.clone(),
                name: policy.name.clone(),
                direction,
                rule: index,
                peer,
                port: None,
            },
            place,
        };
        if rule.peers.is_empty() {
            grants.push(grant(Who::Anyone, None, ports_of(rule, own), rule.place));
        }
        for (number, peer) in rule.peers.iter().enumerate() {
            match peer {
                Peer::Block(block) => {
                    let who = self.block(block);
                    grants.push(grant(who, Some(number), ports_of(rule, own), block.place));
                }
                Peer::Pods { place, .. } => {
                    // Names are looked up on the destination, so peers of an
                    // egress rule may differ in what the rule grants them.
                    let mut by_ports: BTreeMap<_, Vec<String>> = BTreeMap::new();
                    for other in self.meant(policy, peer) {
                        let ports = ports_of(rule, own.or(Some(other)));
                        by_ports.entry(ports).or_default().push(other.full_name());
                    }
                    if by_ports.is_empty() {
                        by_ports.insert(ports_of(rule, own), Vec::new());
                    }
                    for (ports, pods) in by_ports {
                        let who = Who::Pods {
                            words: named_pods(self.inventory, &pods),
                            pods,
                            selector: words::peer_words(policy, peer),
                        };
                        grants.push(grant(who, Some(number), ports, *place));
                    }
                }
            }
        }
    }

    fn block(&self, block: &IpBlock) -> Who {
        Who::Block {
            cidr: block.cidr,
            except: block.except.clone(),
            strangers_only: self.dialect == Dialect::Cilium,
        }
    }

    /// The pods that a selector peer means.
    fn meant(&self, policy: &NetworkPolicy, peer: &Peer) -> Vec<&Pod> {
        let Peer::Pods {
            namespaces, pods, ..
        } = peer
        else {
            return Vec::new();
        };
        let meant = |pod: &&Pod| {
            let namespace = match namespaces {
                None => pod.namespace == policy.namespace,
                Some(selector) => {
                    selects(selector, &self.inventory.namespace_labels(&pod.namespace))
                }
            };
            let selected = |selector| selects(selector, &pod.labels);
            namespace && !pod.own_addresses().is_empty() && pods.as_ref().is_none_or(selected)
        };
        self.inventory.pods().filter(meant).collect()
    }
}

/// What a rule's ports come to on `destination`, and the names it does not know.
pub(super) fn ports_of(rule: &Rule, destination: Option<&Pod>) -> (PortList, Vec<PortName>) {
    if rule.ports.is_empty() {
        return (PortList::everything(), Vec::new());
    }
    let mut ports = PortList::default();
    let mut names = Vec::new();
    for item in &rule.ports {
        match &item.port {
            PortSpec::All => ports.add(item.protocol, 0, u16::MAX),
            PortSpec::Range(first, last) => ports.add(item.protocol, *first, *last),
            PortSpec::Named(name) => {
                let known = destination.map(|pod| pod.ports.as_slice());
                let known = known.unwrap_or_default().iter();
                let matching = known
                    .filter(|port| port.name == *name && port.protocol == item.protocol)
                    .map(|port| port.port);
                let found: Vec<_> = matching.collect();
                if found.is_empty() {
                    names.push(PortName {
                        protocol: item.protocol,
                        name: name.clone(),
                    });
                }
                for port in found {
                    ports.add(item.protocol, port, port);
                }
            }
        }
    }
    (ports, names)
}

#[cfg(test)]
mod tests;
