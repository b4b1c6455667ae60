//! NetworkPolicy: from documents to the form that packets are judged by.
//!
//! ```text
//! text -> yaml (tree with places) -> read (typed, strict) -> Document
//! Document -> Inventory, PolicySet -> compile -> Compiled -> verdict
//!                                  \-> oracle (slow, names the rule) -> verdict
//! ```
//!
//! A document is taken whole or refused with every fault found and its place.
//! Nothing is guessed and nothing is loosened: what cannot be read exactly as
//! Kubernetes means it does not come into force.

mod compile;
pub mod diff;
mod document;
pub mod draw;
pub mod eval;
pub mod explain;
mod fault;
mod image;
mod inventory;
mod manifest;
mod model;
pub mod oracle;
mod read;
mod set;
pub mod view;
mod warn;
mod yaml;

pub use self::{
    compile::{
        CompileError, Compiled, CompiledSize, EndpointState, PolicyVerdict, PortList, compile,
    },
    document::{Document, parse_bytes, parse_cluster, parse_documents},
    fault::{Fault, Limits},
    image::Image,
    inventory::{Inventory, NAMESPACE_NAME_LABEL, NamedPort, Namespace, Node, Pod},
    manifest::list,
    model::{
        Dialect, DialectError, Direction, Expression, IpBlock, NetworkPolicy, Operator, Peer,
        Place, PortRule, PortSpec, Rule, Selector, Traffic,
    },
    set::PolicySet,
    warn::{Trap, Warning, warnings},
};

#[cfg(test)]
mod tests;
