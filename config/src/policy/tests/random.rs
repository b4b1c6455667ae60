//! Strategies for inventories and policies over a small world, small enough
//! that selectors select, blocks meet and names resolve all the time.

use std::{collections::BTreeMap, net::IpAddr};

use proptest::{collection::vec, option, prelude::*, sample::select};

use crate::{
    policy::{
        Expression, Inventory, IpBlock, NamedPort, Namespace, NetworkPolicy, Node, Operator, Peer,
        Place, Pod, PolicySet, PortRule, PortSpec, Rule, Selector, Traffic,
    },
    types::{Prefix, Protocol},
};

/// Thirty-two addresses; pods, nodes and strangers share them.
pub(in crate::policy) fn address(number: u8) -> IpAddr {
    if number.is_multiple_of(2) {
        IpAddr::from([10, 0, number / 16, number])
    } else {
        IpAddr::from([
            0xfd00,
            0,
            0,
            0,
            0,
            0,
            u16::from(number / 16),
            u16::from(number),
        ])
    }
}

pub(in crate::policy) fn any_address() -> impl Strategy<Value = IpAddr> {
    (0_u8..32).prop_map(address)
}

/// Every port that policies name, its neighbours, and the ends.
pub(in crate::policy) fn any_traffic() -> impl Strategy<Value = Traffic> {
    let port = select(vec![
        1_u16, 52, 53, 79, 80, 81, 89, 90, 91, 443, 8080, 65_535,
    ]);
    prop_oneof![
        12 => (protocol(), port).prop_map(|(protocol, port)| Traffic::Port(protocol, port)),
        1 => select(vec![1_u8, 58, 47]).prop_map(Traffic::Other),
    ]
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![3 => Just(Protocol::Tcp), 2 => Just(Protocol::Udp), 1 => Just(Protocol::Sctp)]
}

fn namespace() -> impl Strategy<Value = String> {
    select(vec!["n0", "n1", "n2"]).prop_map(str::to_owned)
}

fn key() -> impl Strategy<Value = String> {
    select(vec!["app", "tier"]).prop_map(str::to_owned)
}

fn value() -> impl Strategy<Value = String> {
    select(vec!["a", "b", ""]).prop_map(str::to_owned)
}

fn labels() -> impl Strategy<Value = BTreeMap<String, String>> {
    vec((key(), value()), 0..3).prop_map(|labels| labels.into_iter().collect())
}

fn selector() -> impl Strategy<Value = Selector> {
    let expression = (key(), select(Operator::ALL.to_vec()), vec(value(), 1..3));
    let expression = expression.prop_map(|(key, operator, values)| {
        let takes_values = matches!(operator, Operator::In | Operator::NotIn);
        Expression {
            key,
            operator,
            values: if takes_values { values } else { Vec::new() },
        }
    });
    let labels = vec((key(), value()), 0..2).prop_map(|labels| labels.into_iter().collect());
    (labels, vec(expression, 0..2)).prop_map(|(labels, expressions)| Selector {
        labels,
        expressions,
    })
}

fn port_name() -> impl Strategy<Value = String> {
    select(vec!["http", "dns"]).prop_map(str::to_owned)
}

fn port_rule() -> impl Strategy<Value = PortRule> {
    let port = prop_oneof![
        1 => Just(PortSpec::All),
        3 => select(vec![53_u16, 80, 443]).prop_map(|port| PortSpec::Range(port, port)),
        2 => (select(vec![53_u16, 80]), select(vec![90_u16, 443, 65_535]))
            .prop_map(|(first, last)| PortSpec::Range(first, last)),
        3 => port_name().prop_map(PortSpec::Named),
    ];
    (protocol(), port).prop_map(|(protocol, port)| PortRule { protocol, port })
}

fn block() -> impl Strategy<Value = IpBlock> {
    let inside = (any_address(), 0_u8..=24);
    (any_address(), 0_u8..=12, vec(inside, 0..3)).prop_map(|(address, host_bits, inside)| {
        let width = if address.is_ipv4() { 32 } else { 128 };
        // Half of the blocks are small, the other half everything or nearly so.
        let len = if host_bits > 9 {
            host_bits - 10
        } else {
            width - host_bits
        };
        let cidr = Prefix::around(address, len).unwrap();
        let except = inside.into_iter().filter_map(|(address, longer)| {
            let except = Prefix::around(address, (len + 1 + longer).min(width))?;
            (cidr.contains(&except) && except != cidr).then_some(except)
        });
        IpBlock {
            cidr,
            except: except.collect(),
            place: Place::default(),
        }
    })
}

fn peer() -> impl Strategy<Value = Peer> {
    let pods = (option::of(selector()), option::of(selector()));
    let pods = pods.prop_filter_map("a peer needs a selector", |(namespaces, pods)| {
        let place = Place::default();
        (namespaces.is_some() || pods.is_some()).then_some(Peer::Pods {
            namespaces,
            pods,
            place,
        })
    });
    prop_oneof![3 => block().prop_map(Peer::Block), 2 => pods]
}

fn rule() -> impl Strategy<Value = Rule> {
    (vec(peer(), 0..4), vec(port_rule(), 0..3)).prop_map(|(peers, ports)| Rule {
        peers,
        ports,
        place: Place::default(),
    })
}

fn policy() -> impl Strategy<Value = NetworkPolicy> {
    let isolated = select(vec![(true, false), (false, true), (true, true)]);
    let rules = (vec(rule(), 0..3), vec(rule(), 0..3));
    (namespace(), 0_u8..8, selector(), isolated, rules).prop_map(
        |(namespace, number, pod_selector, (ingress_isolated, egress_isolated), rules)| {
            NetworkPolicy {
                namespace,
                name: format!("p{number}"),
                labels: BTreeMap::new(),
                annotations: BTreeMap::new(),
                pod_selector,
                ingress_isolated,
                egress_isolated,
                types_defaulted: false,
                ingress: rules.0,
                egress: rules.1,
                place: Place::default(),
            }
        },
    )
}

pub(in crate::policy) fn policies() -> impl Strategy<Value = PolicySet> {
    vec(policy(), 0..8).prop_map(|policies| policies.into_iter().collect())
}

fn pod() -> impl Strategy<Value = Pod> {
    let port = (port_name(), protocol(), select(vec![53_u16, 80, 8080])).prop_map(
        |(name, protocol, port)| NamedPort {
            name,
            protocol,
            port,
        },
    );
    let node = option::of(select(vec!["node0", "node1"]).prop_map(str::to_owned));
    (namespace(), labels(), vec(port, 0..3), node, 0_u8..12).prop_map(
        |(namespace, labels, ports, node, luck)| Pod {
            namespace,
            name: String::new(),
            labels,
            addresses: Vec::new(),
            ports,
            node,
            host_network: luck == 0,
            finished: luck == 1,
        },
    )
}

/// Pods with one or two addresses of their own, nodes with what is left; the
/// first pod may live on a node's address, as an endpoint on the node does.
pub(in crate::policy) fn inventory() -> impl Strategy<Value = Inventory> {
    let numbers = Just((0_u8..32).collect::<Vec<_>>()).prop_shuffle();
    let namespaces = vec(labels(), 2);
    (
        vec(pod(), 0..10),
        namespaces,
        numbers,
        vec(1_usize..3, 10),
        any::<bool>(),
    )
        .prop_map(|(pods, namespaces, numbers, counts, shared)| {
            let mut inventory = Inventory::default();
            for (number, labels) in namespaces.into_iter().enumerate() {
                inventory.add_namespace(Namespace {
                    name: format!("n{number}"),
                    labels,
                });
            }
            let mut numbers = numbers.into_iter().map(address);
            for (index, (pod, count)) in pods.into_iter().zip(counts).enumerate() {
                let addresses = numbers.by_ref().take(count).collect();
                inventory.add_pod(Pod {
                    name: format!("pod{index}"),
                    addresses,
                    ..pod
                });
            }
            let first = inventory.pods().next().map(|pod| pod.addresses.clone());
            for name in ["node0", "node1"] {
                let mut addresses: Vec<_> = numbers.by_ref().take(2).collect();
                addresses.extend(first.iter().flatten().filter(|_| shared && name == "node0"));
                inventory.add_node(Node {
                    name: name.to_owned(),
                    addresses,
                });
            }
            inventory
        })
}
