//! Namespace, Pod and Node, as `kubectl get -o yaml` prints them.
//!
//! Of a Pod only what policies can tell is read; the many other fields of its
//! spec and status are left alone, known or not.

use std::net::IpAddr;

use super::metadata::metadata;
use crate::{
    policy::{
        NamedPort, Namespace, Node, Pod,
        yaml::{
            self,
            fields::{Field, Object, Sink},
        },
    },
    types::{self, Protocol},
};

const KEYS: &[&str] = &["apiVersion", "kind", "metadata", "spec", "status"];

pub(in crate::policy) fn namespace(node: &yaml::Node, sink: &Sink) -> Option<Namespace> {
    let root = Field::root(node, sink).object(KEYS, &[])?;
    let metadata = metadata(&root)?;
    if let Err(error) = types::label_name(&metadata.name) {
        root.missing("metadata.name", format!("'{}' {error}", metadata.name));
    }
    Some(Namespace {
        name: metadata.name,
        labels: metadata.labels,
    })
}

pub(in crate::policy) fn node(node: &yaml::Node, sink: &Sink) -> Option<Node> {
    let root = Field::root(node, sink).object(KEYS, &[])?;
    let metadata = metadata(&root);
    let mut addresses = Vec::new();
    if let Some(status) = root.get("status").and_then(|field| field.open_object()) {
        for item in status.items("addresses") {
            let Some(object) = item.open_object() else {
                continue;
            };
            let kind = object.require("type").and_then(|field| field.text());
            let is_ip = kind.is_some_and(|kind| matches!(kind, "InternalIP" | "ExternalIP"));
            let address = object.require("address").filter(|_| is_ip);
            addresses.extend(address.and_then(|field| self::address(&field)));
        }
    }
    Some(Node {
        name: metadata?.name,
        addresses,
    })
}

pub(in crate::policy) fn pod(node: &yaml::Node, sink: &Sink) -> Option<Pod> {
    let root = Field::root(node, sink).object(KEYS, &[])?;
    let metadata = metadata(&root);
    let spec = root.get("spec").and_then(|field| field.open_object());
    let status = root.get("status").and_then(|field| field.open_object());
    let text =
        |object: &Option<Object<'_>>, key| object.as_ref()?.get(key)?.text().map(ToOwned::to_owned);
    let ports = spec.as_ref().map(named_ports).unwrap_or_default();
    let host_network = spec.as_ref().and_then(|spec| spec.get("hostNetwork"));
    let phase = text(&status, "phase");
    let metadata = metadata?;
    Some(Pod {
        namespace: metadata.namespace,
        name: metadata.name,
        labels: metadata.labels,
        addresses: status.as_ref().map(addresses).unwrap_or_default(),
        ports,
        node: text(&spec, "nodeName"),
        host_network: host_network
            .and_then(|field| field.boolean())
            .unwrap_or(false),
        finished: matches!(phase.as_deref(), Some("Succeeded" | "Failed")),
    })
}

fn addresses(status: &Object<'_>) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    let primary = status.get("podIP");
    let listed = status.items("podIPs");
    let listed = listed
        .iter()
        .filter_map(|item| item.open_object()?.get("ip"));
    for field in primary.into_iter().chain(listed) {
        let address = address(&field);
        addresses.extend(address.filter(|address| !addresses.contains(address)));
    }
    addresses
}

pub(super) fn address(field: &Field<'_>) -> Option<IpAddr> {
    let text = field.text()?;
    let address = text.parse::<IpAddr>().ok();
    if address.is_none() {
        field.fault(format!("'{text}' is no address"));
    }
    address.map(|address| address.to_canonical())
}

fn named_ports(spec: &Object<'_>) -> Vec<NamedPort> {
    let mut ports = Vec::new();
    // Sidecars are init containers that go on running.
    for list in ["containers", "initContainers"] {
        for container in spec.items(list) {
            let Some(container) = container.open_object() else {
                continue;
            };
            ports.extend(container.items("ports").iter().filter_map(named_port));
        }
    }
    ports
}

/// A container port; none when it has no name to refer to it by.
pub(super) fn named_port(field: &Field<'_>) -> Option<NamedPort> {
    let object = field.open_object()?;
    let name = object.get("name")?;
    let name_text = name.text()?;
    if let Err(error) = types::port_name(name_text) {
        name.fault(format!("'{name_text}' is no port name: it {error}"));
    }
    let protocol = match object.get("protocol") {
        None => Protocol::Tcp,
        Some(field) => match field.text()?.parse() {
            Ok(protocol) => protocol,
            Err(error) => {
                field.fault(format!("{error}"));
                return None;
            }
        },
    };
    let number = object.require("containerPort")?;
    let value = number.integer()?;
    let port = u16::try_from(value).ok().filter(|port| *port != 0);
    if port.is_none() {
        number.fault(format!("{value} is not between 1 and 65535"));
    }
    Some(NamedPort {
        name: name_text.to_owned(),
        protocol,
        port: port?,
    })
}
