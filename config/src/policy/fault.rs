//! What is wrong with a document, and how large one may be.

use std::fmt;

use serde::Serialize;

/// One fault in a text of documents.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Index of the document in the text, from 0; items of a List count.
    pub document: usize,
    /// Path of the field, as in `spec.ingress[0].from[1].ipBlock.cidr`; empty
    /// for faults below the field level.
    pub field: String,
    /// Counted from 1; 0 when unknown.
    pub line: usize,
    /// Counted from 1; 0 when unknown.
    pub column: usize,
    pub message: String,
    /// What was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl fmt::Display for Fault {
    /// `line:column: field: message; hint`, to stand behind a file name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: ", self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

/// How much a text of documents may hold. Beyond it the text is refused, so
/// that a hostile file costs bounded time and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub bytes: usize,
    pub depth: usize,
    /// Scalars, lists and mappings in all documents, aliases expanded.
    pub nodes: usize,
    /// Nodes that come from the expansion of aliases.
    pub alias_nodes: usize,
}

impl Default for Limits {
    /// The byte limit is the Kubernetes API server's for a request.
    fn default() -> Self {
        Self {
            bytes: 3 << 20,
            depth: 64,
            nodes: 1_000_000,
            alias_nodes: 10_000,
        }
    }
}
