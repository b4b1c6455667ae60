//! NetworkPolicy (networking.k8s.io/v1) after validation.
//!
//! What Kubernetes leaves to defaults is filled in here: `policyTypes` have
//! become two flags, an absent protocol is TCP, and an empty list of peers or
//! ports means all of them.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::types::{Prefix, Protocol};

/// Whose reading of the specification's open points is followed.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Dialect {
    /// An `ipBlock` matches any address, pods and nodes included.
    #[default]
    Kubernetes,
    /// As Kubernetes.
    Calico,
    /// An `ipBlock` never matches a pod or node of the inventory.
    Cilium,
}

impl Dialect {
    pub const ALL: [Self; 3] = [Self::Kubernetes, Self::Calico, Self::Cilium];

    pub fn name(self) -> &'static str {
        match self {
            Self::Kubernetes => "kubernetes",
            Self::Calico => "calico",
            Self::Cilium => "cilium",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A text that names no dialect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is no dialect; write kubernetes, calico or cilium")]
pub struct DialectError {
    pub text: String,
}

impl FromStr for Dialect {
    type Err = DialectError;

    fn from_str(text: &str) -> Result<Self, DialectError> {
        Self::ALL
            .into_iter()
            .find(|dialect| dialect.name() == text)
            .ok_or_else(|| DialectError {
                text: text.to_owned(),
            })
    }
}

/// Which way a connection is opened, seen from the endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    /// The name of the section in a document.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    /// The name of the list of peers in a rule of this direction.
    pub fn peers_name(self) -> &'static str {
        match self {
            Self::Ingress => "from",
            Self::Egress => "to",
        }
    }
}

/// What a new connection carries, as far as a policy can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Traffic {
    /// A destination port of a protocol that has ports.
    Port(Protocol, u16),
    /// Any other protocol, by its number. Only a rule without ports allows it.
    Other(u8),
}

/// A place in the text a document came from, counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// One NetworkPolicy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkPolicy {
    pub namespace: String,
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    pub pod_selector: Selector,
    /// Whether selected pods are isolated for ingress.
    pub ingress_isolated: bool,
    /// Whether selected pods are isolated for egress.
    pub egress_isolated: bool,
    /// Whether the two above come from the default, `policyTypes` being absent.
    pub types_defaulted: bool,
    /// As written, even where `policyTypes` leaves the direction out.
    pub ingress: Vec<Rule>,
    pub egress: Vec<Rule>,
    pub place: Place,
}

impl NetworkPolicy {
    pub fn isolates(&self, direction: Direction) -> bool {
        match direction {
            Direction::Ingress => self.ingress_isolated,
            Direction::Egress => self.egress_isolated,
        }
    }

    pub fn rules(&self, direction: Direction) -> &[Rule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// One item of `ingress` or `egress`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Empty: everyone.
    pub peers: Vec<Peer>,
    /// Empty: every port of every protocol.
    pub ports: Vec<PortRule>,
    pub place: Place,
}

/// One item of `from` or `to`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    Block(IpBlock),
    Pods {
        /// Absent: the policy's own namespace.
        namespaces: Option<Selector>,
        /// Absent: every pod there.
        pods: Option<Selector>,
        place: Place,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IpBlock {
    pub cidr: Prefix,
    /// Each is strictly inside `cidr`; carved out of this block only.
    pub except: Vec<Prefix>,
    pub place: Place,
}

/// One item of `ports`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PortRule {
    pub protocol: Protocol,
    pub port: PortSpec,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PortSpec {
    /// Every port of the protocol.
    All,
    /// From the first to the last, both included.
    Range(u16, u16),
    /// Looked up on the destination pod, for the protocol.
    Named(String),
}

/// A label selector. Empty selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Selector {
    pub labels: BTreeMap<String, String>,
    pub expressions: Vec<Expression>,
}

impl Selector {
    /// Whether it selects something with these labels.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        super::oracle::selects(self, labels)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Expression {
    pub key: String,
    pub operator: Operator,
    /// At least one for `In` and `NotIn`, none for the others.
    pub values: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    In,
    NotIn,
    Exists,
    DoesNotExist,
}

impl Operator {
    pub const ALL: [Self; 4] = [Self::In, Self::NotIn, Self::Exists, Self::DoesNotExist];

    pub fn name(self) -> &'static str {
        match self {
            Self::In => "In",
            Self::NotIn => "NotIn",
            Self::Exists => "Exists",
            Self::DoesNotExist => "DoesNotExist",
        }
    }
}
