//! Pods, selectors and ports in words.

use super::{Grant, PortName, Who};
use crate::policy::{
    Direction, Expression, Inventory, NetworkPolicy, Operator, Peer, PortList, Selector,
};

/// Pods by name, or as whole namespaces where none is left out.
pub fn named_pods(inventory: &Inventory, pods: &[String]) -> String {
    named_peers(inventory, pods, None)
}

/// As [`named_pods`], for the peers of the one pod `alone`: nobody is missed
/// where only that pod is, since it is not its own peer.
pub fn named_peers(inventory: &Inventory, pods: &[String], alone: Option<&str>) -> String {
    if pods.is_empty() {
        return "no pod".to_owned();
    }
    let alone = alone.filter(|alone| !pods.iter().any(|pod| pod == alone));
    let (mut names, mut whole, mut other) = (Vec::new(), Vec::new(), None);
    let mut everywhere = true;
    for namespace in inventory.namespaces() {
        let members: Vec<String> = inventory
            .pods()
            .filter(|pod| pod.namespace == namespace.name && !pod.own_addresses().is_empty())
            .map(|pod| pod.full_name())
            .collect();
        let lives_here = members.iter().any(|pod| Some(pod.as_str()) == alone);
        let counted = members.len() - usize::from(lives_here);
        let listed: Vec<_> = members
            .into_iter()
            .filter(|pod| pods.contains(pod))
            .collect();
        everywhere &= listed.len() == counted;
        if listed.len() < counted || listed.len() < 2 {
            names.extend(listed);
        } else if lives_here {
            other = Some(namespace.name);
        } else {
            whole.push(namespace.name);
        }
    }
    let kinds = names.len() + whole.len() + usize::from(other.is_some());
    if everywhere && (kinds > 1 || other.is_some()) {
        let other = if alone.is_some() {
            "every other"
        } else {
            "every"
        };
        return format!("{other} pod");
    }
    names.extend(other.map(|namespace| format!("every other pod of {namespace}")));
    if !whole.is_empty() {
        names.push(format!("every pod of {}", listing(&whole)));
    }
    names.join(", ")
}

/// `a, b and c`
fn listing(words: &[String]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        words => words.concat(),
    }
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

/// Ports by number and by name: `TCP 80; UDP "dns"`.
pub fn ports_words(ports: &PortList, names: &[PortName]) -> String {
    let mut words = Vec::new();
    if !ports.is_empty() || names.is_empty() {
        words.push(ports.to_string());
    }
    let name = |port: &PortName| format!("{} \"{}\"", port.protocol, port.name);
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
