//! Pods, selectors and ports in words.

use super::{Grant, PortName, Who};
use crate::policy::{
    Direction, Expression, Inventory, NetworkPolicy, Operator, Peer, PortList, Selector,
};

/// Pods by name, or as whole namespaces where none is left out.
pub fn named_pods(inventory: &Inventory, pods: &[String]) -> String {
    if pods.is_empty() {
        return "no pod".to_owned();
    }
    let mut words = Vec::new();
    let mut all = true;
    for namespace in inventory.namespaces() {
        let members: Vec<String> = inventory
            .pods()
            .filter(|pod| pod.namespace == namespace.name && !pod.own_addresses().is_empty())
            .map(|pod| pod.full_name())
            .collect();
        let listed: Vec<_> = members.iter().filter(|pod| pods.contains(pod)).collect();
        all &= listed.len() == members.len();
        if listed.is_empty() {
            continue;
        }
        if listed.len() == members.len() && listed.len() > 1 {
            words.push(format!("every pod of {}", namespace.name));
        } else {
            words.extend(listed.into_iter().cloned());
        }
    }
    if all && words.len() > 1 {
        return "every pod".to_owned();
    }
    words.join(", ")
}

/// `app=web, tier in (a, b), has key x`; empty selects everything.
pub fn selector_words(selector: &Selector) -> String {
    let labels = selector.labels.iter();
    let labels = labels.map(|(key, value)| format!("{key}={value}"));
    let words: Vec<_> = labels
        .chain(selector.expressions.iter().map(expression_words))
        .collect();
    words.join(", ")
}

fn expression_words(expression: &Expression) -> String {
    let Expression {
        key,
        operator,
        values,
    } = expression;
    let values = values.join(", ");
    match operator {
        Operator::In => format!("{key} in ({values})"),
        Operator::NotIn => format!("{key} not in ({values})"),
        Operator::Exists => format!("with {key}"),
        Operator::DoesNotExist => format!("without {key}"),
    }
}

/// A selector peer in words, as the policy means it.
pub(super) fn peer_words(policy: &NetworkPolicy, peer: &Peer) -> String {
    let Peer::Pods {
        namespaces, pods, ..
    } = peer
    else {
        return String::new();
    };
    let everyone = Selector::default();
    let pods = match pods {
        Some(selector) if *selector != everyone => {
            format!("pods with {}", selector_words(selector))
        }
        _ => "all pods".to_owned(),
    };
    match namespaces {
        None => format!("{pods} in namespace {}", policy.namespace),
        Some(selector) if *selector == everyone => format!("{pods} in any namespace"),
        Some(selector) => format!("{pods} in namespaces with {}", selector_words(selector)),
    }
}

/// Ports by number and by name: `TCP 80; UDP port named dns`.
pub fn ports_words(ports: &PortList, names: &[PortName]) -> String {
    let mut words = Vec::new();
    if !ports.is_empty() || names.is_empty() {
        words.push(ports.to_string());
    }
    let name = |port: &PortName| format!("{} port named {}", port.protocol, port.name);
    words.extend(names.iter().map(name));
    words.join("; ")
}

impl Grant {
    /// The ports in words, with what is known of names that stand for nothing.
    pub fn ports_words(&self) -> String {
        let words = ports_words(&self.ports, &self.names);
        let resolved = self.rule.direction == Direction::Ingress
            || matches!(&self.who, Who::Pods { pods, .. } if !pods.is_empty());
        if resolved && !self.names.is_empty() {
            format!("{words} (which the destination does not have)")
        } else {
            words
        }
    }
}

impl Who {
    /// Who that is, in one line.
    pub fn words(&self) -> String {
        match self {
            Self::Anyone => "anyone".to_owned(),
            Self::Block {
                cidr,
                except,
                strangers_only,
            } => {
                let mut words = cidr.to_string();
                if !except.is_empty() {
                    let except: Vec<_> = except.iter().map(ToString::to_string).collect();
                    words += &format!(" except {}", except.join(", "));
                }
                if *strangers_only {
                    words += " (never a pod or node)";
                }
                words
            }
            Self::Pods { words, .. } => words.clone(),
        }
    }
}
