//! What exists: namespaces, pods (endpoints among them) and nodes.

use std::{collections::BTreeMap, net::IpAddr};

use crate::types::Protocol;

/// A Namespace and its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}

/// A Pod, as far as policies can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    pub namespace: String,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub addresses: Vec<IpAddr>,
    pub ports: Vec<NamedPort>,
    pub node: Option<String>,
    /// Shares the node's addresses: no policy selects it.
    pub host_network: bool,
    /// Succeeded or failed: owns no address any more.
    pub finished: bool,
}

/// A container port with a name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NamedPort {
    pub name: String,
    pub protocol: Protocol,
    pub port: u16,
}

/// A Node and its addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub name: String,
    pub addresses: Vec<IpAddr>,
}

/// Everything that selectors choose from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    namespaces: BTreeMap<String, Namespace>,
    pods: BTreeMap<(String, String), Pod>,
    nodes: BTreeMap<String, Node>,
}
