//! A policy, and all that is known of a cluster, as documents that say the
//! same: for the store, `policy get` and whoever asks over HTTP.
//!
//! Defaults are written out (`policyTypes`, protocols), as the API server does.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{
    Direction, Inventory, IpBlock, Namespace, NetworkPolicy, Node, Peer, Pod, PolicySet, PortRule,
    PortSpec, Rule, Selector,
};

impl NetworkPolicy {
    /// The document in its JSON form; reading it gives the same policy.
    pub fn manifest(&self) -> Value {
        let mut metadata = json!({"name": self.name, "namespace": self.namespace});
        put_strings(&mut metadata, "labels", &self.labels);
        put_strings(&mut metadata, "annotations", &self.annotations);
        let mut types = Vec::new();
        let mut spec = json!({"podSelector": selector(&self.pod_selector)});
        for (direction, name) in [
            (Direction::Ingress, "Ingress"),
            (Direction::Egress, "Egress"),
        ] {
            if self.isolates(direction) {
                types.push(name);
            }
            if !self.rules(direction).is_empty() {
                let rules = self
                    .rules(direction)
                    .iter()
                    .map(|item| rule(item, direction));
                put(&mut spec, direction.name(), rules.collect());
            }
        }
        put(&mut spec, "policyTypes", json!(types));
        json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata,
            "spec": spec,
        })
    }

    /// Whether both say the same, wherever in a file they say it.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.manifest() == other.manifest()
    }
}

/// Everything that policies are judged by, as a List that reads back as itself.
pub fn list(inventory: &Inventory, policies: &PolicySet) -> Value {
    let namespaces: Vec<_> = inventory.namespaces().collect();
    let items: Vec<_> = (namespaces.iter().map(namespace))
        .chain(inventory.nodes().map(node))
        .chain(inventory.pods().map(pod))
        .chain(policies.iter().map(|policy| policy.manifest()))
        .collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

fn namespace(namespace: &Namespace) -> Value {
    let mut metadata = json!({"name": namespace.name});
    put_strings(&mut metadata, "labels", &namespace.labels);
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
}

fn node(node: &Node) -> Value {
    let address = |at| json!({"type": "InternalIP", "address": at});
    let addresses: Vec<_> = node.addresses.iter().map(address).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": node.name},
        "status": {"addresses": addresses},
    })
}

fn pod(pod: &Pod) -> Value {
    let mut metadata = json!({"name": pod.name, "namespace": pod.namespace});
    put_strings(&mut metadata, "labels", &pod.labels);
    let port = |port: &super::NamedPort| json!({"name": port.name, "containerPort": port.port, "protocol": port.protocol});
    let ports: Vec<_> = pod.ports.iter().map(port).collect();
    let mut spec = json!({"hostNetwork": pod.host_network});
    if !ports.is_empty() {
        put(
            &mut spec,
            "containers",
            json!([{"name": "main", "ports": ports}]),
        );
    }
    if let Some(node) = &pod.node {
        put(&mut spec, "nodeName", json!(node));
    }
    let addresses: Vec<_> = pod.addresses.iter().map(|at| json!({"ip": at})).collect();
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": spec,
        "status": {
            "phase": if pod.finished { "Succeeded" } else { "Running" },
            "podIPs": addresses,
        },
    })
}

fn put(object: &mut Value, key: &str, value: Value) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_owned(), value);
    }
}

fn put_strings(object: &mut Value, key: &str, strings: &BTreeMap<String, String>) {
    if !strings.is_empty() {
        put(object, key, json!(strings));
    }
}

fn selector(selector: &Selector) -> Value {
    let mut value = Value::Object(Map::new());
    put_strings(&mut value, "matchLabels", &selector.labels);
    if !selector.expressions.is_empty() {
        let expressions = selector.expressions.iter().map(|expression| {
            let mut value = json!({"key": expression.key, "operator": expression.operator.name()});
            if !expression.values.is_empty() {
                put(&mut value, "values", json!(expression.values));
            }
            value
        });
        put(&mut value, "matchExpressions", expressions.collect());
    }
    value
}

fn rule(rule: &Rule, direction: Direction) -> Value {
    let mut value = Value::Object(Map::new());
    if !rule.peers.is_empty() {
        put(
            &mut value,
            direction.peers_name(),
            rule.peers.iter().map(peer).collect(),
        );
    }
    if !rule.ports.is_empty() {
        put(&mut value, "ports", rule.ports.iter().map(port).collect());
    }
    value
}

fn peer(peer: &Peer) -> Value {
    let mut value = Value::Object(Map::new());
    match peer {
        Peer::Block(block) => put(&mut value, "ipBlock", ip_block(block)),
        Peer::Pods {
            namespaces, pods, ..
        } => {
            for (key, found) in [("namespaceSelector", namespaces), ("podSelector", pods)] {
                if let Some(found) = found {
                    put(&mut value, key, selector(found));
                }
            }
        }
    }
    value
}

fn ip_block(block: &IpBlock) -> Value {
    let mut value = json!({"cidr": block.cidr});
    if !block.except.is_empty() {
        put(&mut value, "except", json!(block.except));
    }
    value
}

fn port(rule: &PortRule) -> Value {
    let mut value = json!({"protocol": rule.protocol});
    match &rule.port {
        PortSpec::All => {}
        PortSpec::Named(name) => put(&mut value, "port", json!(name)),
        PortSpec::Range(first, last) => {
            put(&mut value, "port", json!(first));
            if first != last {
                put(&mut value, "endPort", json!(last));
            }
        }
    }
    value
}
