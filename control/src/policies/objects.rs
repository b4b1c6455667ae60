//! Which objects a change of the book and the inventory touches.
//!
//! Sources share their documents by pointer from one book to the next, so what did not change
//! costs a comparison of pointers.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use palisade_config::policy::{Document, Inventory, Namespace, NetworkPolicy, Pod};
use serde_json::{Value, json};

use super::{
    Policies,
    book::{Book, Good, Name},
};
use crate::{
    core::PolicySource,
    objects::{Change, Key, Kind, Plan, Wanted, cleaned},
};

impl Policies {
    /// The objects' side of a change of the book, and of the inventory where that may change.
    pub(super) fn plan(
        &self,
        before: &Book,
        after: &Book,
        inventory: Option<(&Inventory, &Inventory)>,
    ) -> Plan {
        let mut changes = book_changes(before, after);
        if let Some((before, after)) = inventory {
            changes.extend(inventory_changes(before, after));
        }
        self.objects.plan(changes, self.surroundings.clock.now())
    }

    /// Everything, at the start.
    pub(super) fn first_plan(&self, book: &Book, inventory: &Inventory) -> Plan {
        let empty = Book {
            files: BTreeMap::new(),
            api: BTreeMap::new(),
            ..book.clone()
        };
        let mut changes = book_changes(&empty, book);
        changes.extend(inventory_changes(&Inventory::default(), inventory));
        let now = self.surroundings.clock.now();
        self.objects.plan_first(changes, now)
    }
}

/// The document of a policy as an object has it.
///
/// A text in JSON comes back as it was written. A text in YAML comes back as what was read from
/// it.
pub(super) fn document_of(good: &Good, policy: &NetworkPolicy) -> Value {
    let written = serde_json::from_str::<Value>(&good.text).ok();
    let is_it = |value: &Value| {
        let text = |pointer| value.pointer(pointer).and_then(Value::as_str);
        text("/kind") == Some("NetworkPolicy")
            && text("/metadata/name") == Some(&policy.name)
            && text("/metadata/namespace").unwrap_or("default") == policy.namespace
    };
    let value = written.filter(is_it).unwrap_or_else(|| policy.manifest());
    cleaned(value, &policy.namespace)
}

fn put(good: &Good, policy: &NetworkPolicy, source: PolicySource) -> Change {
    Change::Put(Box::new(Wanted {
        key: Key::new(Kind::NetworkPolicy, &policy.namespace, &policy.name),
        source: Some(source),
        document: document_of(good, policy),
        managed: None,
    }))
}

fn policies(good: &Good) -> impl Iterator<Item = &NetworkPolicy> {
    good.documents.iter().filter_map(|document| match document {
        Document::NetworkPolicy(policy) => Some(policy),
        _ => None,
    })
}

fn name(policy: &NetworkPolicy) -> Name {
    (policy.namespace.clone(), policy.name.clone())
}

fn book_changes(before: &Book, after: &Book) -> Vec<Change> {
    let mut gone: BTreeSet<Name> = BTreeSet::new();
    let mut puts = Vec::new();
    for (name, applied) in &before.api {
        if !after.api.contains_key(name) {
            gone.extend(policies(&applied.good).map(self::name));
        }
    }
    for (name, applied) in &after.api {
        let old = before.api.get(name);
        if !old.is_some_and(|old| Arc::ptr_eq(&old.good, &applied.good)) {
            for policy in policies(&applied.good) {
                puts.push((
                    self::name(policy),
                    put(&applied.good, policy, PolicySource::Api),
                ));
            }
        }
    }
    let files: BTreeSet<&String> = before.files.keys().chain(after.files.keys()).collect();
    for file in files {
        let good = |book: &Book| book.files.get(file).and_then(|file| file.good.clone());
        let (old, new) = (good(before), good(after));
        match (&old, &new) {
            (None, None) => continue,
            (Some(old), Some(new)) if Arc::ptr_eq(old, new) => continue,
            _ => {}
        }
        gone.extend(old.iter().flat_map(|good| policies(good)).map(name));
        if let Some(good) = &new {
            for policy in policies(good) {
                let source = PolicySource::File(file.clone());
                puts.push((name(policy), put(good, policy, source)));
            }
        }
    }
    for (name, _) in &puts {
        gone.remove(name);
    }
    let gone = gone
        .iter()
        .map(|(namespace, name)| Change::Gone(Key::new(Kind::NetworkPolicy, namespace, name)));
    gone.chain(puts.into_iter().map(|(_, change)| change))
        .collect()
}

fn inventory_changes(before: &Inventory, after: &Inventory) -> Vec<Change> {
    let mut changes = Vec::new();
    let pod_key = |pod: &Pod| Key::new(Kind::Pod, &pod.namespace, &pod.name);
    for pod in before.pods() {
        if after.pod(&pod.namespace, &pod.name).is_none() {
            changes.push(Change::Gone(pod_key(pod)));
        }
    }
    for pod in after.pods() {
        if before.pod(&pod.namespace, &pod.name) != Some(pod) {
            changes.push(wanted(pod_key(pod), pod_document(pod)));
        }
    }
    let namespaces = |inventory: &Inventory| -> BTreeMap<String, Namespace> {
        let named = |namespace: Namespace| (namespace.name.clone(), namespace);
        inventory.namespaces().map(named).collect()
    };
    let (old, new) = (namespaces(before), namespaces(after));
    let key = |name: &str| Key::new(Kind::Namespace, "", name);
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        changes.push(Change::Gone(key(name)));
    }
    for (name, namespace) in &new {
        if old.get(name) != Some(namespace) {
            changes.push(wanted(key(name), namespace_document(namespace)));
        }
    }
    changes
}

fn wanted(key: Key, document: Value) -> Change {
    Change::Put(Box::new(Wanted {
        key,
        source: None,
        document,
        managed: None,
    }))
}

fn namespace_document(namespace: &Namespace) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": namespace.name, "labels": namespace.labels},
        "spec": {"finalizers": ["kubernetes"]},
        "status": {"phase": "Active"},
    })
}

/// A pod with what the inventory knows of it, and nothing made up besides the name of a container
/// to hold its ports.
fn pod_document(pod: &Pod) -> Value {
    let ports: Vec<Value> = pod
        .ports
        .iter()
        .map(|port| {
            json!({
                "name": port.name,
                "containerPort": port.port,
                "protocol": port.protocol.to_string().to_uppercase(),
            })
        })
        .collect();
    let addresses: Vec<Value> = pod.addresses.iter().map(|ip| json!({"ip": ip})).collect();
    let mut value = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": pod.name, "namespace": pod.namespace, "labels": pod.labels},
        "spec": {"containers": [{"name": "endpoint", "ports": ports}]},
        "status": {
            "phase": if pod.finished { "Succeeded" } else { "Running" },
            "podIPs": addresses,
        },
    });
    let mut set = |pointer: &str, key: &str, given: Value| {
        if let Some(Value::Object(map)) = value.pointer_mut(pointer) {
            map.insert(key.to_owned(), given);
        }
    };
    if let Some(address) = pod.addresses.first() {
        set("/status", "podIP", json!(address));
    }
    if let Some(node) = &pod.node {
        set("/spec", "nodeName", json!(node));
    }
    if pod.host_network {
        set("/spec", "hostNetwork", json!(true));
    }
    value
}
