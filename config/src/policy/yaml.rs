//! YAML (JSON with it) as a tree in which every node knows its place.
//!
//! Before: the text. After: `fields`, which reads typed values by name.
//!
//! Cost is bounded before anything is built: bytes, depth, nodes, and nodes
//! that aliases stand for. Nothing here recurses on the input beyond the depth
//! limit, and an alias shares its anchor's node, so a bomb costs nothing.

mod build;
mod check;
pub(super) mod fields;
mod scalar;

use std::rc::Rc;

pub(super) use self::{build::load, check::check, scalar::Scalar};
use super::Place;

#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) value: Rc<Value>,
    pub(super) place: Place,
    /// Nodes in this one, itself included, aliases expanded.
    size: usize,
    /// Levels of lists and mappings, itself included.
    depth: usize,
    /// A tag that is not of the YAML core schema.
    foreign_tag: Option<Rc<str>>,
}

#[derive(Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

impl Node {
    pub(super) fn scalar(&self) -> Option<&Scalar> {
        match &*self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        self.scalar().is_some_and(|scalar| *scalar == Scalar::Null)
    }

    /// The value under `key` of a mapping.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        match &*self.value {
            Value::Map(entries) => entries
                .iter()
                .find(|(name, _)| name.text() == Some(key))
                .map(|(_, value)| value),
            Value::Scalar(_) | Value::List(_) => None,
        }
    }

    /// The text of a string.
    pub(super) fn text(&self) -> Option<&str> {
        match self.scalar() {
            Some(Scalar::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// What this is, for messages: `a list`, `the number 10`.
    pub(super) fn describe(&self) -> String {
        match &*self.value {
            Value::Scalar(scalar) => scalar.describe(),
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }
}
