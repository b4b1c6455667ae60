//! How the size of the compiled form grows.

use std::net::IpAddr;

use super::super::{
    CompileError, Dialect, Document, Inventory, Limits, NetworkPolicy, Peer, PolicySet, PortSpec,
    compile, parse_documents,
};
use crate::types::Prefix;

fn world(text: &str) -> (Inventory, PolicySet) {
    let documents = parse_documents(
        text,
        &Limits {
            nodes: 4_000_000,
            ..Limits::default()
        },
    )
    .unwrap();
    let inventory = documents.iter().collect();
    let policies = documents.into_iter().filter_map(|document| match document {
        Document::NetworkPolicy(policy) => Some(policy),
        _ => None,
    });
    (inventory, policies.collect())
}

fn pod(number: u32, app: u32) -> String {
    let (high, low) = (number / 256, number % 256);
    format!(
        "---\n{{apiVersion: v1, kind: Pod, metadata: {{name: p{number}, labels: {{app: a{app}}}}}, status: {{podIP: 10.0.{high}.{low}}}}}\n"
    )
}

fn policy(number: u32, app: &str, rule: &str) -> String {
    format!(
        "---\n{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: p{number}}}, spec: {{podSelector: {{matchLabels: {{app: {app}}}}}, ingress: [{rule}]}}}}\n"
    )
}

/// Pods of one kind share a table, so a hundred times the pods is no more of it.
#[test]
fn tables_grow_with_policies_and_not_with_pods() {
    let rule = "{from: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.9/32]}}, {podSelector: {}}], ports: [{port: 80}]}";
    let size = |pods: u32| {
        let mut text = policy(0, "a0", rule) + &policy(1, "a1", rule);
        for number in 0..pods {
            text.push_str(&pod(number, number % 2));
        }
        let (inventory, policies) = world(&text);
        compile(&inventory, &policies, Dialect::Kubernetes)
            .unwrap()
            .size()
    };
    let (few, many) = (size(10), size(1_000));
    assert_eq!((few.endpoints, many.endpoints), (10, 1_000));
    assert_eq!((few.tables, few.entries), (2, 12));
    assert_eq!((many.tables, many.entries), (few.tables, few.entries));
}

/// Each policy carves its own random holes for its own port out of everything,
/// so that almost every hole has a port set of its own.
#[test]
fn policies_that_would_fill_the_memory_are_refused() {
    let rule = "{from: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 1}]}";
    let (inventory, policies) = world(&(pod(1, 0) + &policy(0, "a0", rule)));
    let pattern = policies.iter().next().unwrap();
    let mut state = 1_u32;
    let carved = (0..60_u16).map(|number| {
        let mut policy = NetworkPolicy {
            name: format!("p{number}"),
            ..(**pattern).clone()
        };
        policy.ingress[0].ports[0].port = PortSpec::Range(number * 2 + 1, number * 2 + 1);
        if let Peer::Block(block) = &mut policy.ingress[0].peers[0] {
            block.except.extend((0..4_000).map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let address = (20 << 24) + (state >> 8);
                Prefix::around(IpAddr::from(address.to_be_bytes()), 24).unwrap()
            }));
        }
        policy
    });
    let refused = compile(&inventory, &carved.collect(), Dialect::Kubernetes).err();
    assert!(
        matches!(refused, Some(CompileError::TooLarge { .. })),
        "{refused:?}"
    );
}

#[test]
fn an_address_of_two_pods_is_refused() {
    let text = pod(7, 0) + &pod(7, 0).replace("p7", "q7");
    let (inventory, policies) = world(&text);
    let refused = compile(&inventory, &policies, Dialect::Kubernetes).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "address 10.0.0.7 belongs to both default/p7 and default/q7"
    );
}
