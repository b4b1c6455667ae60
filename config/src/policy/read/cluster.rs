//! The cluster file of `policy eval`: an inventory in one short document.
//!
//! Its shape is that of `config/tests/netpol/cluster.yaml`. Keys that verdicts
//! do not depend on (`externals`, `podCIDRs`, notes) are left alone.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    inventory::{self, named_port},
    metadata::labels,
};
use crate::policy::{
    Inventory, Namespace, Node, Pod,
    yaml::{
        self,
        fields::{Field, Object, Sink},
    },
};

pub(in crate::policy) fn cluster(node: &yaml::Node, sink: &Sink) -> Inventory {
    let mut inventory = Inventory::default();
    let Some(root) = Field::root(node, sink).open_object() else {
        return inventory;
    };
    for field in root.items("namespaces") {
        if let Some(namespace) = namespace(&field) {
            inventory.add_namespace(namespace);
        }
    }
    for field in root.items("nodes") {
        if let Some(node) = cluster_node(&field) {
            inventory.add_node(node);
        }
    }
    for field in root.items("pods") {
        if let Some(pod) = pod(&field) {
            inventory.add_pod(pod);
        }
    }
    inventory
}

fn text(object: &Object<'_>, key: &str) -> Option<String> {
    object.require(key)?.text().map(ToOwned::to_owned)
}

fn label_map(object: &Object<'_>) -> BTreeMap<String, String> {
    object
        .get("labels")
        .and_then(|field| labels(&field))
        .unwrap_or_default()
}

fn addresses(object: &Object<'_>) -> Vec<IpAddr> {
    let fields = ["ipv4", "ipv6"]
        .into_iter()
        .filter_map(|key| object.get(key));
    fields
        .filter_map(|field| inventory::address(&field))
        .collect()
}

fn namespace(field: &Field<'_>) -> Option<Namespace> {
    let object = field.open_object()?;
    Some(Namespace {
        name: text(&object, "name")?,
        labels: label_map(&object),
    })
}

fn cluster_node(field: &Field<'_>) -> Option<Node> {
    let object = field.open_object()?;
    Some(Node {
        name: text(&object, "name")?,
        addresses: addresses(&object),
    })
}

pub(in crate::policy) fn pod(field: &Field<'_>) -> Option<Pod> {
    let object = field.open_object()?;
    let phase = object.get("phase").and_then(|field| field.text());
    let host_network = object.get("hostNetwork").and_then(|field| field.boolean());
    Some(Pod {
        namespace: text(&object, "namespace")?,
        name: text(&object, "name")?,
        labels: label_map(&object),
        addresses: addresses(&object),
        ports: object
            .items("ports")
            .iter()
            .filter_map(named_port)
            .collect(),
        node: object
            .get("node")
            .and_then(|field| field.text())
            .map(ToOwned::to_owned),
        host_network: host_network.unwrap_or(false),
        finished: matches!(phase, Some("Succeeded" | "Failed")),
    })
}
