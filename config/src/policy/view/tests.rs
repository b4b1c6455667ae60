//! The view grants what the oracle allows, and nothing else.

use std::net::IpAddr;

use proptest::{collection::vec, prelude::*, test_runner::Config};

use super::*;
use crate::policy::{PolicyVerdict, Traffic, oracle, tests::random};

/// Whether a grant lets `peer` through, judged by what the grant says alone.
fn lets(grant: &Grant, inventory: &Inventory, peer: IpAddr, traffic: Traffic) -> bool {
    let pod = inventory.pod_at(peer);
    let node = inventory.nodes().any(|node| node.addresses.contains(&peer));
    let meant = match &grant.who {
        Who::Anyone => true,
        Who::Block {
            cidr,
            except,
            strangers_only,
        } => {
            let managed = pod.is_some() || node;
            let holds = cidr.contains_addr(peer) && !except.iter().any(|it| it.contains_addr(peer));
            holds && !(*strangers_only && managed)
        }
        Who::Pods { pods, .. } => pod.is_some_and(|pod| pods.contains(&pod.full_name())),
    };
    let by_name = |name: &PortName| {
        let egress = grant.rule.direction == Direction::Egress;
        let ports = pod.filter(|_| egress).map(|pod| pod.ports.as_slice());
        ports.unwrap_or_default().iter().any(|port| {
            port.name == name.name
                && port.protocol == name.protocol
                && traffic == Traffic::Port(port.protocol, port.port)
        })
    };
    meant && (grant.ports.contains(traffic) || grant.names.iter().any(by_name))
}

proptest! {
    #![proptest_config(Config { failure_persistence: None, ..Config::with_cases(150) })]

    #[test]
    fn the_view_grants_what_the_oracle_allows(
        inventory in random::inventory(),
        policies in random::policies(),
        flows in vec((random::any_address(), random::any_traffic()), 16),
    ) {
        for dialect in Dialect::ALL {
            let view = view(&inventory, &policies, dialect);
            for (peer, traffic) in &flows {
                for group in &view.groups {
                    for name in &group.pods {
                        let (namespace, pod) = name.split_once('/').unwrap();
                        let at = inventory.pod(namespace, pod).unwrap().own_addresses()[0];
                        for direction in [Direction::Ingress, Direction::Egress] {
                            let want = oracle::decide(
                                &inventory, &policies, dialect, direction, at, *peer, *traffic,
                            );
                            let always = matches!(want.allowed_by, Some(
                                oracle::AllowedBy::Itself | oracle::AllowedBy::OwnNode { .. }
                            ));
                            if always {
                                continue;
                            }
                            let got = match group.side(direction) {
                                Side::Open => PolicyVerdict::NotIsolated,
                                Side::Isolated { grants, .. } => {
                                    let lets = |grant| lets(grant, &inventory, *peer, *traffic);
                                    match grants.iter().any(lets) {
                                        true => PolicyVerdict::Allowed,
                                        false => PolicyVerdict::Denied,
                                    }
                                }
                            };
                            prop_assert_eq!(got, want.verdict, "{} {} {:?}", name, peer, traffic);
                        }
                    }
                }
            }
            for name in &view.open {
                let (namespace, pod) = name.split_once('/').unwrap();
                let at = inventory.pod(namespace, pod).unwrap().own_addresses()[0];
                let (peer, traffic) = flows[0];
                let want = oracle::decide(
                    &inventory, &policies, dialect, Direction::Ingress, at, peer, traffic,
                );
                prop_assert_eq!(want.verdict, PolicyVerdict::NotIsolated);
            }
        }
    }
}

#[test]
fn pods_are_named_as_shortly_as_is_true() {
    let mut inventory = Inventory::default();
    for name in ["x/a", "x/b", "y/a", "y/b", "z/a"] {
        let (namespace, name) = name.split_once('/').unwrap();
        inventory.add_pod(Pod {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            labels: [].into(),
            addresses: vec![[10, namespace.as_bytes()[0], name.as_bytes()[0], 1].into()],
            ports: Vec::new(),
            node: None,
            host_network: false,
            finished: false,
        });
    }
    #[rustfmt::skip]
    let cases: [(&[&str], Option<&str>, &str); 9] = [
        (&[],                                  None,        "no pod"),
        (&["x/a"],                             None,        "x/a"),
        (&["z/a"],                             None,        "z/a"),
        (&["x/a", "x/b"],                      None,        "every pod of x"),
        (&["x/a", "y/a", "y/b", "z/a"],        None,        "x/a, z/a, every pod of y"),
        (&["x/a", "x/b", "y/a", "y/b"],        None,        "every pod of x and y"),
        (&["x/a", "x/b", "y/a", "y/b", "z/a"], None,        "every pod"),
        (&["x/b", "y/a", "y/b", "z/a"],        Some("x/a"), "every other pod"),
        (&["x/b", "y/a", "y/b"],               Some("x/a"), "x/b, every pod of y"),
    ];
    for (pods, alone, want) in cases {
        let pods: Vec<_> = pods.iter().map(|&pod| pod.to_owned()).collect();
        assert_eq!(named_peers(&inventory, &pods, alone), want, "{pods:?}");
    }
}
