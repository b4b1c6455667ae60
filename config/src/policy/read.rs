//! Kubernetes objects out of trees: which kind, and what it says.
//!
//! Before: `yaml`. After: the model. Each reader notes all faults it finds and
//! returns something only when what it returns can be built; the caller takes
//! it only when no fault was noted.

mod cluster;
mod inventory;
mod metadata;
mod network_policy;
mod rule;
mod selector;

#[cfg(test)]
pub(super) use self::cluster::pod as cluster_pod;
pub(super) use self::{
    cluster::cluster,
    inventory::{namespace, node, pod},
    network_policy::network_policy,
};
use super::{
    Fault,
    yaml::{
        self,
        fields::{Field, Sink},
    },
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    NetworkPolicy,
    Namespace,
    Pod,
    Node,
}

const KINDS: [(&str, &str, Kind); 4] = [
    (NETWORKING, "NetworkPolicy", Kind::NetworkPolicy),
    (CORE, "Namespace", Kind::Namespace),
    (CORE, "Pod", Kind::Pod),
    (CORE, "Node", Kind::Node),
];
const NETWORKING: &str = "networking.k8s.io/v1";
const CORE: &str = "v1";

pub(super) fn is_list_kind(kind: &str) -> bool {
    kind == "List"
        || kind
            .strip_suffix("List")
            .is_some_and(|item| KINDS.iter().any(|(_, k, _)| *k == item))
}

/// Faults of a List around its items.
pub(super) fn list_wrapper(root: &yaml::Node, document: usize) -> Vec<Fault> {
    let sink = Sink::new(document);
    let field = Field::root(root, &sink);
    field.object(&["apiVersion", "kind", "metadata", "items"], &[]);
    sink.into_faults()
}

/// What `node` is, from `apiVersion` and `kind`.
pub(super) fn kind(node: &yaml::Node, sink: &Sink) -> Option<Kind> {
    let root = Field::root(node, sink);
    let object = root.open_object()?;
    let version = object.require("apiVersion")?;
    let kind = object.require("kind")?;
    let (version_text, kind_text) = (version.text()?, kind.text()?);
    let known = KINDS.iter().find(|(_, name, _)| *name == kind_text);
    match known {
        Some((wanted, _, kind)) if *wanted == version_text => Some(*kind),
        // A kind of the core group under the policies' version, or no kind at all.
        _ if version_text == NETWORKING => {
            kind.fault(format!(
                "unknown kind '{kind_text}' in {NETWORKING}; it has NetworkPolicy"
            ));
            None
        }
        Some((wanted, name, _)) => {
            version.fault(format!(
                "{name} is of apiVersion {wanted}, not '{version_text}'"
            ));
            None
        }
        None => {
            version.fault(format!(
                "{version_text} {kind_text} is not read here; NetworkPolicy of {NETWORKING} and Namespace, Pod and Node of {CORE} are"
            ));
            None
        }
    }
}
