//! The differences are those of the oracle, no more and no fewer, and what is
//! advised makes them go away.

use proptest::{collection::vec, prelude::*, test_runner::Config};

use super::*;
use crate::policy::{
    Document, Limits, Peer, Place, PolicyVerdict, Selector, parse_documents, tests::random,
};

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(300) })]

    #[test]
    fn differences_are_those_of_the_oracle(
        inventory in random::inventory(),
        policies in random::policies(),
        flows in vec((random::any_address(), random::any_traffic()), 16),
    ) {
        for dialects in [
            [Dialect::Kubernetes, Dialect::Cilium],
            [Dialect::Cilium, Dialect::Calico],
            [Dialect::Kubernetes, Dialect::Calico],
        ] {
            let diff = diff(&inventory, &policies, dialects).unwrap();
            for endpoint in (0..32).map(random::address) {
                for (peer, traffic) in &flows {
                    if peer.is_ipv4() != endpoint.is_ipv4() {
                        continue;
                    }
                    for direction in [Direction::Ingress, Direction::Egress] {
                        let [one, two] = dialects.map(|dialect| oracle::decide(
                            &inventory, &policies, dialect, direction, endpoint, *peer, *traffic,
                        ).verdict);
                        let found = diff.find(&inventory, direction, endpoint, *peer, *traffic);
                        let got = found.map(|found| (found.allowed_under, found.denied_under));
                        let want = match (one, two) {
                            (PolicyVerdict::Allowed, PolicyVerdict::Denied) => Some((dialects[0], dialects[1])),
                            (PolicyVerdict::Denied, PolicyVerdict::Allowed) => Some((dialects[1], dialects[0])),
                            _ => None,
                        };
                        prop_assert_eq!(
                            got, want,
                            "{} of {} with {} {:?}: {:?} {:?}", direction.name(), endpoint, peer, traffic, one, two
                        );
                        if let Some(found) = found {
                            prop_assert!(!found.rules.is_empty(), "{:?} names no rule", found);
                        }
                    }
                }
            }
        }
    }
}

/// The agreement above is worth something only if dialects differ in the random
/// worlds, in both directions and in both families.
#[test]
fn random_worlds_hold_differences() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let world = (random::inventory(), random::policies());
    let mut seen = BTreeMap::<_, usize>::new();
    for _ in 0..300 {
        let (inventory, policies) = world.new_tree(&mut runner).unwrap().current();
        let dialects = [Dialect::Kubernetes, Dialect::Cilium];
        for found in diff(&inventory, &policies, dialects).unwrap().differences {
            let v4 = found.endpoints[0].is_ipv4();
            *seen.entry((found.direction, v4)).or_default() += 1;
        }
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
    assert!(seen.values().all(|times| *times > 15), "{seen:?}");
}

const WORLD: &str = r"
{apiVersion: v1, kind: Node, metadata: {name: edge}, status: {addresses: [{type: InternalIP, address: 10.0.9.1}]}}
---
{apiVersion: v1, kind: Pod, metadata: {name: db, namespace: shop, labels: {app: db}}, spec: {}, status: {podIP: 10.0.0.1}}
---
{apiVersion: v1, kind: Pod, metadata: {name: web, namespace: shop, labels: {app: web}}, spec: {}, status: {podIP: 10.0.0.2}}
---
{apiVersion: v1, kind: Pod, metadata: {name: ops, namespace: tools}, spec: {}, status: {podIP: 10.0.1.1}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: db, namespace: shop}
spec:
  podSelector: {matchLabels: {app: db}}
  ingress:
  - from:
    - ipBlock: {cidr: 10.0.0.0/16, except: [10.0.1.128/25]}
    ports: [{port: 5432}]
";

fn world() -> (Inventory, PolicySet) {
    let documents = parse_documents(WORLD, &Limits::default()).unwrap();
    let inventory = documents.iter().collect();
    let policies = documents.into_iter().filter_map(|document| match document {
        Document::NetworkPolicy(policy) => Some(policy),
        _ => None,
    });
    (inventory, policies.collect())
}

const DIALECTS: [Dialect; 2] = [Dialect::Kubernetes, Dialect::Cilium];

#[test]
fn a_difference_is_told_with_its_rule_and_what_to_write() {
    let (inventory, policies) = world();
    let diff = diff(&inventory, &policies, DIALECTS).unwrap();
    let want = "\
1. ingress over IPv4: kubernetes allows it, cilium denies it
   from  every other pod, node edge (10.0.9.1)
   to    shop/db
   ports TCP 5432
   rule  shop/db spec.ingress[0].from[0]
   so that both allow it, add to shop/db spec.ingress[0].from:
     - namespaceSelector: {}
   no selector means a node (edge): both can deny it, and only a block can allow it
   so that both deny it, add to shop/db spec.ingress[0].from[0].ipBlock.except: [10.0.0.2/32, 10.0.1.1/32, 10.0.9.1/32]
1 difference between kubernetes and cilium
";
    assert_eq!(words(&diff, &inventory, &|_| None), want);
    let same = super::diff(
        &inventory,
        &policies,
        [Dialect::Kubernetes, Dialect::Calico],
    )
    .unwrap();
    assert_eq!(
        words(&same, &inventory, &|_| None),
        "kubernetes and calico agree on every connection\n"
    );
}

/// Follows what `change` makes of each difference's remedy.
fn followed(change: impl Fn(&Remedy, &mut crate::policy::Rule)) -> Diff {
    let (inventory, policies) = world();
    let before = diff(&inventory, &policies, DIALECTS).unwrap();
    let mut policy = crate::policy::NetworkPolicy::clone(policies.get("shop", "db").unwrap());
    for difference in &before.differences {
        change(&difference.remedy, &mut policy.ingress[0]);
    }
    diff(&inventory, &[policy].into_iter().collect(), DIALECTS).unwrap()
}

#[test]
fn following_the_advice_makes_the_dialects_agree() {
    let denied = followed(|remedy, rule| {
        let Peer::Block(block) = &mut rule.peers[0] else {
            panic!("a block")
        };
        block.except.extend(&remedy.blocks[0].except);
    });
    assert_eq!(denied.differences, []);

    let allowed = followed(|remedy, rule| {
        for selected in &remedy.select {
            let labels = |labels| Selector {
                labels,
                expressions: Vec::new(),
            };
            let name = selected.namespace.clone().map(|name| {
                labels([(crate::policy::NAMESPACE_NAME_LABEL.to_owned(), name)].into())
            });
            rule.peers.push(Peer::Pods {
                namespaces: Some(name.unwrap_or_default()),
                pods: selected.labels.clone().map(labels),
                place: Place::default(),
            });
        }
    });
    let left: Vec<_> = allowed.differences.iter().map(|it| &it.peers).collect();
    assert_eq!(
        left,
        [&[Span::Owned([10, 0, 9, 1].into())]],
        "only the node is left"
    );
}
