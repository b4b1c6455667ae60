//! What to write so that both dialects agree.
//!
//! Dialects differ in whether a block means pods and nodes. So whoever wants the
//! connection says it with selectors, and whoever does not excepts the addresses
//! from the block.

use std::{collections::BTreeMap, fmt::Write as _, net::IpAddr};

use serde::Serialize;

use super::Span;
use crate::{
    policy::{Inventory, NAMESPACE_NAME_LABEL, Peer, Pod, PolicySet, oracle::RuleMatch},
    types::Prefix,
};

/// Both ways to agree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Remedy {
    /// Peers to add to each of the rules, so that both dialects allow.
    pub select: Vec<Selected>,
    /// Pods that no selector can mean, having no labels.
    pub unlabelled: Vec<String>,
    /// Nodes: no selector means them, so both dialects can only deny.
    pub nodes: Vec<String>,
    /// What to change in blocks, so that both dialects deny.
    pub blocks: Vec<BlockChange>,
}

/// A peer by selectors.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Selected {
    /// By its name; none for every namespace.
    pub namespace: Option<String>,
    /// None for every pod there.
    pub labels: Option<BTreeMap<String, String>>,
}

/// A change to the block of one rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BlockChange {
    pub rule: RuleMatch,
    /// To be added to `except`; empty where the block is no more than the peers
    /// and has to go.
    #[serde(serialize_with = "crate::policy::view::texts")]
    pub except: Vec<Prefix>,
}

/// More addresses than this are excepted by the prefix around them.
const ADDRESSES_MAX: usize = 8;

pub(super) fn remedy(
    inventory: &Inventory,
    policies: &PolicySet,
    rules: &[RuleMatch],
    endpoints: &[IpAddr],
    peers: &[Span],
) -> Remedy {
    let mut remedy = Remedy::default();
    let mut addresses = Vec::new();
    let mut pods = Vec::new();
    for span in peers {
        let Span::Owned(address) = *span else {
            continue;
        };
        addresses.push(address);
        match inventory.pod_at(address) {
            Some(pod) => pods.push(pod),
            None => {
                let mut nodes = inventory.nodes();
                let node = nodes.find(|node| node.addresses.contains(&address));
                remedy.nodes.extend(node.map(|node| node.name.clone()));
            }
        }
    }
    // To select the endpoints too does no harm where they are their only peers
    // missing: a pod always reaches itself.
    let own: Vec<_> = endpoints
        .iter()
        .filter_map(|address| inventory.pod_at(*address))
        .collect();
    let spare = own
        .first()
        .filter(|first| own.iter().all(|pod| pod == *first));
    select(inventory, &pods, spare.copied(), &mut remedy);
    remedy.blocks = rules
        .iter()
        .filter_map(|rule| {
            let except = excepts(policies, rule, &addresses)?;
            let rule = rule.clone();
            Some(BlockChange { rule, except })
        })
        .collect();
    remedy
}

fn select(inventory: &Inventory, pods: &[&Pod], spare: Option<&Pod>, remedy: &mut Remedy) {
    let members = |namespace: Option<&str>| {
        inventory
            .pods()
            .filter(|pod| namespace.is_none_or(|namespace| pod.namespace == namespace))
            .filter(|pod| !pod.own_addresses().is_empty())
            .collect::<Vec<_>>()
    };
    let all_of = |namespace| {
        members(namespace)
            .iter()
            .all(|pod| pods.contains(pod) || spare == Some(*pod))
    };
    if !pods.is_empty() && all_of(None) {
        remedy.select.push(Selected {
            namespace: None,
            labels: None,
        });
        return;
    }
    for pod in pods {
        let namespace = Some(pod.namespace.clone());
        if all_of(Some(&pod.namespace)) {
            remedy.select.push(Selected {
                namespace,
                labels: None,
            });
        } else if pod.labels.is_empty() {
            remedy.unlabelled.push(pod.full_name());
        } else {
            let labels = Some(pod.labels.clone());
            remedy.select.push(Selected { namespace, labels });
        }
    }
    remedy.select.sort_unstable();
    remedy.select.dedup();
}

/// The prefixes that take `addresses` out of the rule's block; none at all when
/// the block is one of them.
fn excepts(policies: &PolicySet, rule: &RuleMatch, addresses: &[IpAddr]) -> Option<Vec<Prefix>> {
    let peer = policies.rule(rule)?.peers.get(rule.peer?)?;
    let Peer::Block(block) = peer else {
        return None;
    };
    let hosts: Vec<_> = addresses.iter().map(|at| Prefix::host(*at)).collect();
    if hosts.contains(&block.cidr) {
        return Some(Vec::new());
    }
    if hosts.len() > ADDRESSES_MAX
        && let Some(around) = around(addresses)
        && block.cidr.contains(&around)
        && around != block.cidr
        && around.len() > 0
    {
        return Some(vec![around]);
    }
    Some(hosts)
}

/// The longest prefix that holds all of `addresses`.
fn around(addresses: &[IpAddr]) -> Option<Prefix> {
    let first = *addresses.first()?;
    let longest = Prefix::host(first).len();
    (0..=longest).rev().find_map(|len| {
        let prefix = Prefix::around(first, len)?;
        let holds = addresses.iter().all(|at| prefix.contains_addr(*at));
        holds.then_some(prefix)
    })
}

impl Selected {
    /// The list item as it is written in a document, in two lines at most.
    fn yaml(&self) -> Vec<String> {
        let mapping = |labels: &BTreeMap<String, String>| {
            let pairs: Vec<_> = labels
                .iter()
                .map(|(key, value)| format!("{key}: \"{value}\""))
                .collect();
            format!("{{matchLabels: {{{}}}}}", pairs.join(", "))
        };
        let namespaces = match &self.namespace {
            None => "{}".to_owned(),
            Some(name) => mapping(&BTreeMap::from([(
                NAMESPACE_NAME_LABEL.to_owned(),
                name.clone(),
            )])),
        };
        let mut lines = vec![format!("- namespaceSelector: {namespaces}")];
        if let Some(labels) = &self.labels {
            lines.push(format!("  podSelector: {}", mapping(labels)));
        }
        lines
    }
}

impl Remedy {
    pub(super) fn words(&self) -> String {
        let mut text = String::new();
        if !self.select.is_empty() {
            let lists: Vec<_> = self
                .blocks
                .iter()
                .map(|change| list(&change.rule))
                .collect();
            let _ = writeln!(
                text,
                "   so that both allow it, add to {}:",
                lists.join(" or ")
            );
            for line in self.select.iter().flat_map(Selected::yaml) {
                let _ = writeln!(text, "     {line}");
            }
        }
        if !self.unlabelled.is_empty() {
            let _ = writeln!(
                text,
                "   to allow {} by a selector, give it a label first",
                self.unlabelled.join(", ")
            );
        }
        if !self.nodes.is_empty() {
            let _ = writeln!(
                text,
                "   no selector means a node ({}): both can deny it, and only a block can allow it",
                self.nodes.join(", ")
            );
        }
        for change in &self.blocks {
            let rule = &change.rule;
            if change.except.is_empty() {
                let _ = writeln!(text, "   so that both deny it, remove {rule}");
            } else {
                let except: Vec<_> = change.except.iter().map(ToString::to_string).collect();
                let _ = writeln!(
                    text,
                    "   so that both deny it, add to {rule}.ipBlock.except: [{}]",
                    except.join(", ")
                );
            }
        }
        text
    }
}

/// `x/web spec.ingress[0].from`
fn list(rule: &RuleMatch) -> String {
    let whole = RuleMatch {
        peer: None,
        ..rule.clone()
    };
    format!("{whole}.{}", rule.direction.peers_name())
}
