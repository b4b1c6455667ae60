//! Reading typed values out of a tree, every fault with its path and place.
//!
//! A reader asks for what it knows. What it gets is a value or nothing, and
//! for nothing a fault has been noted: reading goes on, so that one pass over a
//! document finds all its faults.

use std::{cell::RefCell, collections::BTreeMap};

use super::{Node, Scalar, Value};
use crate::{
    policy::{Fault, Place},
    spelling::nearest,
};

/// Faults of one document, in the order in which they were found.
#[derive(Debug)]
pub(in crate::policy) struct Sink {
    document: usize,
    faults: RefCell<Vec<Fault>>,
}

impl Sink {
    pub(in crate::policy) fn new(document: usize) -> Self {
        Self {
            document,
            faults: RefCell::default(),
        }
    }

    pub(in crate::policy) fn into_faults(self) -> Vec<Fault> {
        self.faults.into_inner()
    }
}

pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() {
        key.to_owned()
    } else {
        format!("{path}.{key}")
    }
}

/// A node with the path that leads to it.
#[derive(Clone, Debug)]
pub(in crate::policy) struct Field<'a> {
    node: &'a Node,
    path: String,
    sink: &'a Sink,
}

impl<'a> Field<'a> {
    pub(in crate::policy) fn root(node: &'a Node, sink: &'a Sink) -> Self {
        Self {
            node,
            path: String::new(),
            sink,
        }
    }

    pub(in crate::policy) fn place(&self) -> Place {
        self.node.place
    }

    pub(in crate::policy) fn is_null(&self) -> bool {
        self.node.is_null()
    }

    pub(in crate::policy) fn fault(&self, message: impl Into<String>) {
        self.note(self.path.clone(), self.node, message.into(), None);
    }

    pub(in crate::policy) fn fault_with_hint(&self, message: String, hint: String) {
        self.note(self.path.clone(), self.node, message, Some(hint));
    }

    fn note(&self, field: String, node: &Node, message: String, hint: Option<String>) {
        let Place { line, column } = node.place;
        let document = self.sink.document;
        self.sink.faults.borrow_mut().push(Fault {
            document,
            field,
            line,
            column,
            message,
            hint,
        });
    }

    fn wrong_type(&self, wanted: &str) {
        self.fault(format!("expected {wanted}, found {}", self.node.describe()));
    }

    /// A mapping with no keys but `known`. `advice` says for a key that people
    /// tend to write here what is right instead.
    pub(in crate::policy) fn object(
        &self,
        known: &[&str],
        advice: &[(&str, &str)],
    ) -> Option<Object<'a>> {
        let object = self.open_object()?;
        for (key, _) in object.entries {
            let Some(name) = key.text().filter(|name| !known.contains(name)) else {
                continue;
            };
            let hint = match advice
                .iter()
                .find(|(written, _)| *written == name || *written == "*")
            {
                Some((_, advice)) => Some((*advice).to_owned()),
                None => nearest(name, known).map(|name| format!("did you mean '{name}'?")),
            };
            self.note(
                join(&self.path, name),
                key,
                format!("unknown field '{name}'"),
                hint,
            );
        }
        Some(object)
    }

    /// A mapping in which keys that nobody asks for do not matter.
    pub(in crate::policy) fn open_object(&self) -> Option<Object<'a>> {
        match &*self.node.value {
            Value::Map(entries) => Some(Object {
                field: self.clone(),
                entries,
            }),
            Value::Scalar(_) | Value::List(_) => {
                self.wrong_type("a mapping");
                None
            }
        }
    }

    pub(in crate::policy) fn list(&self) -> Option<Vec<Self>> {
        match &*self.node.value {
            Value::List(items) => {
                let item = |(index, node)| Self {
                    node,
                    path: format!("{}[{index}]", self.path),
                    sink: self.sink,
                };
                Some(items.iter().enumerate().map(item).collect())
            }
            Value::Scalar(_) | Value::Map(_) => {
                self.wrong_type("a list");
                None
            }
        }
    }

    pub(in crate::policy) fn text(&self) -> Option<&'a str> {
        if let Some(text) = self.node.text() {
            return Some(text);
        }
        match self.node.scalar().and_then(Scalar::as_written) {
            Some(written) => self.fault_with_hint(
                format!("expected a string, found {}", self.node.describe()),
                format!("quote it: \"{written}\""),
            ),
            None => self.wrong_type("a string"),
        }
        None
    }

    pub(in crate::policy) fn integer(&self) -> Option<i64> {
        if let Some(Scalar::Integer(value, _)) = self.node.scalar() {
            return Some(*value);
        }
        self.wrong_type("a whole number");
        None
    }

    pub(in crate::policy) fn boolean(&self) -> Option<bool> {
        if let Some(Scalar::Bool(value)) = self.node.scalar() {
            return Some(*value);
        }
        self.wrong_type("true or false");
        None
    }

    /// The text or whole number of a field that takes either.
    pub(in crate::policy) fn text_or_integer(&self) -> Option<Result<&'a str, i64>> {
        match self.node.scalar() {
            Some(Scalar::Text(text)) => Some(Ok(text)),
            Some(Scalar::Integer(value, _)) => Some(Err(*value)),
            _ => {
                self.wrong_type("a whole number or a string");
                None
            }
        }
    }

    /// A mapping from strings to strings, the values not checked further.
    pub(in crate::policy) fn strings(&self) -> Option<BTreeMap<String, String>> {
        let Value::Map(entries) = &*self.node.value else {
            self.wrong_type("a map of strings");
            return None;
        };
        let mut strings = BTreeMap::new();
        for (key, value) in entries {
            let Some(name) = key.text() else { continue };
            let value = Self {
                node: value,
                path: join(&self.path, name),
                sink: self.sink,
            };
            if let Some(text) = value.text() {
                strings.insert(name.to_owned(), text.to_owned());
            }
        }
        Some(strings)
    }
}

/// A mapping to ask for fields.
#[derive(Debug)]
pub(in crate::policy) struct Object<'a> {
    field: Field<'a>,
    entries: &'a [(Node, Node)],
}

impl<'a> Object<'a> {
    /// The field, unless it is absent or null, which mean the same.
    pub(in crate::policy) fn get(&self, key: &str) -> Option<Field<'a>> {
        let (_, node) = self
            .entries
            .iter()
            .find(|(name, _)| name.text() == Some(key))?;
        if node.is_null() {
            return None;
        }
        Some(Field {
            node,
            path: join(&self.field.path, key),
            sink: self.field.sink,
        })
    }

    /// The items of a list field; none when it is absent or null.
    pub(in crate::policy) fn items(&self, key: &str) -> Vec<Field<'a>> {
        self.get(key)
            .and_then(|field| field.list())
            .unwrap_or_default()
    }

    /// As [`Self::get`]; its absence is a fault at the field that is missing.
    pub(in crate::policy) fn require(&self, key: &str) -> Option<Field<'a>> {
        let field = self.get(key);
        if field.is_none() {
            self.missing(key, format!("{key} is required"));
        }
        field
    }

    /// Notes a fault for a field that is not there.
    pub(in crate::policy) fn missing(&self, key: &str, message: String) {
        let path = join(&self.field.path, key);
        self.field.note(path, self.field.node, message, None);
    }
}
