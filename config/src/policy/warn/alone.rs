//! Traps in one document.

use super::{Trap, Warning, warning};
use crate::policy::{
    Direction, Inventory, NetworkPolicy, Peer, Place, Rule, Selector, oracle::selects,
};

pub(super) fn look(policy: &NetworkPolicy, inventory: &Inventory, warnings: &mut Vec<Warning>) {
    if policy.types_defaulted && policy.egress_isolated && policy.ingress.is_empty() {
        warnings.push(warning(
            policy,
            Trap::IngressClosedToo,
            "spec.policyTypes",
            policy.place,
            "without policyTypes the policy also denies all ingress; write policyTypes: [Egress] to leave ingress alone".to_owned(),
        ));
    }
    let inhabited = inventory
        .pods()
        .any(|pod| pod.namespace == policy.namespace);
    if inhabited
        && !selects_pod(
            inventory,
            &policy.namespace,
            None,
            Some(&policy.pod_selector),
        )
    {
        warnings.push(warning(
            policy,
            Trap::SelectsNothing,
            "spec.podSelector",
            policy.place,
            format!("selects no pod of namespace {}", policy.namespace),
        ));
    }
    for direction in [Direction::Ingress, Direction::Egress] {
        if !policy.isolates(direction) {
            continue;
        }
        for (index, rule) in policy.rules(direction).iter().enumerate() {
            let path = format!(
                "spec.{}[{index}].{}",
                direction.name(),
                direction.peers_name()
            );
            dash(policy, rule, &path, warnings);
            empty_peers(policy, rule, &path, inventory, warnings);
        }
    }
}

/// A namespace selector and, in the next list item, a pod selector.
fn dash(policy: &NetworkPolicy, rule: &Rule, path: &str, warnings: &mut Vec<Warning>) {
    for (index, pair) in rule.peers.windows(2).enumerate() {
        let [
            Peer::Pods {
                namespaces: Some(_),
                pods: None,
                ..
            },
            Peer::Pods {
                namespaces: None,
                pods: Some(_),
                place,
            },
        ] = pair
        else {
            continue;
        };
        warnings.push(warning(
            policy,
            Trap::DashMeansOr,
            format!("{path}[{}]", index + 1),
            *place,
            format!(
                "the dash makes this a peer of its own: every pod of the namespaces above, or these pods of namespace {}; without the dash both selectors must match",
                policy.namespace
            ),
        ));
    }
}

fn empty_peers(
    policy: &NetworkPolicy,
    rule: &Rule,
    path: &str,
    inventory: &Inventory,
    warnings: &mut Vec<Warning>,
) {
    if inventory.pods().len() == 0 {
        return;
    }
    for (index, peer) in rule.peers.iter().enumerate() {
        let Peer::Pods {
            namespaces,
            pods,
            place,
        } = peer
        else {
            continue;
        };
        if !selects_pod(
            inventory,
            &policy.namespace,
            namespaces.as_ref(),
            pods.as_ref(),
        ) {
            let (field, place): (_, Place) = (format!("{path}[{index}]"), *place);
            let message = "selects no pod of the inventory".to_owned();
            warnings.push(warning(policy, Trap::SelectsNothing, field, place, message));
        }
    }
}

fn selects_pod(
    inventory: &Inventory,
    own: &str,
    namespaces: Option<&Selector>,
    pods: Option<&Selector>,
) -> bool {
    inventory
        .pods()
        .filter(|pod| !pod.own_addresses().is_empty())
        .any(|pod| {
            let namespace = match namespaces {
                None => pod.namespace == own,
                Some(selector) => selects(selector, &inventory.namespace_labels(&pod.namespace)),
            };
            namespace && pods.is_none_or(|selector| selects(selector, &pod.labels))
        })
}
