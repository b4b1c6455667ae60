//! Faults that any document can have, whatever its kind: duplicate keys, keys
//! that are no strings, tags that are not YAML's own.
//!
//! Kubernetes, asked without strict validation, lets the last of two equal keys
//! win in silence; half of a policy would vanish.

use std::collections::HashSet;

use super::{Node, Scalar, Value, fields::join, scalar::shortened};
use crate::policy::Fault;

/// Adds the faults of `node` and all below it. Recursion ends at the depth
/// limit of the tree.
pub(in crate::policy) fn check(node: &Node, document: usize, path: &str, faults: &mut Vec<Fault>) {
    if let Some(tag) = &node.foreign_tag {
        // Below the field level, as a syntax error is: the value cannot be read.
        let message = format!("the tag '{tag}' is not supported at {}", named(path));
        faults.push(fault(node, document, String::new(), message));
        return;
    }
    match &*node.value {
        Value::Scalar(_) => {}
        Value::List(items) => {
            for (index, item) in items.iter().enumerate() {
                check(item, document, &format!("{path}[{index}]"), faults);
            }
        }
        Value::Map(entries) => {
            let mut seen = HashSet::new();
            for (key, value) in entries {
                match key.text() {
                    None => faults.push(bad_key(key, document, path)),
                    Some(name) => {
                        let path = join(path, name);
                        if !seen.insert(name) {
                            let message = format!("the key '{}' is there twice", shortened(name));
                            faults.push(fault(key, document, path.clone(), message));
                        }
                        check(value, document, &path, faults);
                    }
                }
            }
        }
    }
}

fn bad_key(key: &Node, document: usize, path: &str) -> Fault {
    let message = format!("a key must be a string, found {}", key.describe());
    let mut fault = fault(key, document, path.to_owned(), message);
    fault.hint = key
        .scalar()
        .and_then(Scalar::as_written)
        .map(|text| format!("write \"{text}\""));
    fault
}

fn named(path: &str) -> &str {
    if path.is_empty() { "the top" } else { path }
}

fn fault(node: &Node, document: usize, field: String, message: String) -> Fault {
    Fault {
        document,
        field,
        line: node.place.line,
        column: node.place.column,
        message,
        hint: None,
    }
}
