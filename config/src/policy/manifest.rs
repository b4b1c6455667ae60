//! A policy as the document that says the same: for the store, `policy get`
//! and whoever asks over HTTP.
//!
//! Defaults are written out (`policyTypes`, protocols), as the API server does.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{Direction, IpBlock, NetworkPolicy, Peer, PortRule, PortSpec, Rule, Selector};

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
