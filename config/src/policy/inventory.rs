//! What exists: namespaces, pods (endpoints among them) and nodes.
//!
//! Selectors choose from this, so it decides with the policies what is allowed:
//! a changed label is a changed verdict. Objects are kept by name, a later one
//! replacing its namesake.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::Document;
use crate::{settings::Endpoint, types::Protocol};

/// The label that every namespace carries without being asked.
pub const NAMESPACE_NAME_LABEL: &str = "kubernetes.io/metadata.name";

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
    /// Shares the node's addresses: no policy selects it and no selector means it.
    pub host_network: bool,
    /// Succeeded or failed: owns no address any more.
    pub finished: bool,
}

impl Pod {
    /// The addresses that are this pod's and nobody else's.
    pub fn own_addresses(&self) -> &[IpAddr] {
        if self.host_network || self.finished {
            &[]
        } else {
            &self.addresses
        }
    }

    /// `namespace/name`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

impl From<&Endpoint> for Pod {
    fn from(endpoint: &Endpoint) -> Self {
        let port = |(name, port): (&String, &crate::types::PortProtocol)| NamedPort {
            name: name.clone(),
            protocol: port.protocol,
            port: port.port,
        };
        Self {
            namespace: endpoint.namespace.clone(),
            name: endpoint.name.clone(),
            labels: endpoint.labels.clone(),
            addresses: endpoint.addresses.clone(),
            ports: endpoint.ports.iter().map(port).collect(),
            node: None,
            host_network: false,
            finished: false,
        }
    }
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

impl Inventory {
    pub fn add_namespace(&mut self, namespace: Namespace) {
        self.namespaces.insert(namespace.name.clone(), namespace);
    }

    pub fn add_pod(&mut self, pod: Pod) {
        self.pods
            .insert((pod.namespace.clone(), pod.name.clone()), pod);
    }

    pub fn add_node(&mut self, node: Node) {
        self.nodes.insert(node.name.clone(), node);
    }

    /// Adds what a document declares; a policy declares nothing here.
    pub fn add_document(&mut self, document: &Document) {
        match document {
            Document::NetworkPolicy(_) => {}
            Document::Namespace(namespace) => self.add_namespace(namespace.clone()),
            Document::Pod(pod) => self.add_pod(pod.clone()),
            Document::Node(node) => self.add_node(node.clone()),
        }
    }

    pub fn add_endpoint(&mut self, endpoint: &Endpoint) {
        self.add_pod(endpoint.into());
    }

    /// Removes a namespace with its pods.
    pub fn remove_namespace(&mut self, name: &str) {
        self.namespaces.remove(name);
        self.pods.retain(|(namespace, _), _| namespace != name);
    }

    pub fn remove_pod(&mut self, namespace: &str, name: &str) -> Option<Pod> {
        self.pods.remove(&(namespace.to_owned(), name.to_owned()))
    }

    pub fn remove_node(&mut self, name: &str) -> Option<Node> {
        self.nodes.remove(name)
    }

    pub fn pod(&self, namespace: &str, name: &str) -> Option<&Pod> {
        self.pods.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// In the order of namespace and name.
    pub fn pods(&self) -> impl ExactSizeIterator<Item = &Pod> {
        self.pods.values()
    }

    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Node> {
        self.nodes.values()
    }

    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.get(name)
    }

    /// Every namespace with the labels it is selected by: those that were
    /// declared, and those that pods live in.
    pub fn namespaces(&self) -> impl Iterator<Item = Namespace> {
        let names: BTreeSet<&str> = self
            .namespaces
            .keys()
            .map(String::as_str)
            .chain(self.pods.keys().map(|(namespace, _)| namespace.as_str()))
            .collect();
        names.into_iter().map(|name| Namespace {
            name: name.to_owned(),
            labels: self.namespace_labels(name),
        })
    }

    /// The labels that `namespace` is selected by, its name among them.
    pub fn namespace_labels(&self, namespace: &str) -> BTreeMap<String, String> {
        let declared = self.namespaces.get(namespace);
        let mut labels = declared
            .map(|found| found.labels.clone())
            .unwrap_or_default();
        labels.insert(NAMESPACE_NAME_LABEL.to_owned(), namespace.to_owned());
        labels
    }

    /// The pod that owns `address`.
    ///
    /// A search through all pods: for tools, not for packets.
    pub fn pod_at(&self, address: IpAddr) -> Option<&Pod> {
        let address = address.to_canonical();
        self.pods()
            .find(|pod| pod.own_addresses().contains(&address))
    }
}

impl<'a> FromIterator<&'a Document> for Inventory {
    fn from_iter<I: IntoIterator<Item = &'a Document>>(documents: I) -> Self {
        let mut inventory = Self::default();
        for document in documents {
            inventory.add_document(document);
        }
        inventory
    }
}
