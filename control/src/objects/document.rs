//! What users wrote, apart from what the daemon adds to it.

use serde_json::{Map, Value, json};

use super::{Key, Kind, meta::Meta};
use crate::clock::Timestamp;

/// Metadata that the daemon fills in. What a document says about it is not part of the document.
const FILLED_IN: [&str; 9] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generateName",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// The user's part of a NetworkPolicy, with its `policyTypes` written out, which `kubectl describe`
/// needs. Inside the rules nothing is written out: lists of rules are whole to kubectl, which would
/// take a protocol that it did not write for a change, and apply it again for ever.
pub fn cleaned(value: Value, namespace: &str) -> Value {
    let mut value = stripped(value, namespace);
    if let Some(object) = value.as_object_mut() {
        let spec = object.entry("spec").or_insert_with(|| json!({}));
        if let Some(spec) = spec.as_object_mut() {
            set_types(spec);
        }
    }
    value
}

/// The user's part of an object, with no field that they have not set.
///
/// Nulls vanish, as they do for every reader of typed objects.
pub fn stripped(mut value: Value, namespace: &str) -> Value {
    drop_nulls(&mut value);
    let Some(object) = value.as_object_mut() else {
        return value;
    };
    object.remove("status");
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for key in FILLED_IN {
            metadata.remove(key);
        }
        for key in ["labels", "annotations"] {
            if metadata.get(key).is_some_and(is_empty) {
                metadata.remove(key);
            }
        }
        let unnamed = metadata.get("namespace").is_none_or(|it| it == "");
        if unnamed {
            metadata.insert("namespace".to_owned(), namespace.into());
        }
    }
    value
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty)
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// `policyTypes` by default: ingress, and egress where there are rules for it.
fn set_types(spec: &mut Map<String, Value>) {
    spec.entry("podSelector").or_insert_with(|| json!({}));
    let is_list = |spec: &Map<String, Value>, key: &str, empty: bool| {
        let list = spec.get(key).and_then(Value::as_array);
        list.is_some_and(|items| items.is_empty() == empty)
    };
    if !spec.contains_key("policyTypes") || is_list(spec, "policyTypes", true) {
        let types = if is_list(spec, "egress", false) {
            json!(["Ingress", "Egress"])
        } else {
            json!(["Ingress"])
        };
        spec.insert("policyTypes".to_owned(), types);
    }
}

/// A time as the API writes it: whole seconds.
pub fn stamp(time: Timestamp) -> String {
    let seconds = time.as_millis().div_euclid(1000);
    Timestamp::from_millis(seconds.saturating_mul(1000)).to_string()
}

/// The object as clients get it.
pub(super) fn presented(document: &Value, key: &Key, meta: &Meta) -> Value {
    let mut value = document.clone();
    let metadata = value.get_mut("metadata").and_then(Value::as_object_mut);
    if let Some(metadata) = metadata {
        metadata.insert("uid".to_owned(), meta.uid.as_str().into());
        let version = meta.revision.to_string();
        metadata.insert("resourceVersion".to_owned(), version.into());
        metadata.insert("creationTimestamp".to_owned(), stamp(meta.created).into());
        if key.kind == Kind::NetworkPolicy {
            metadata.insert("generation".to_owned(), meta.generation.into());
        }
        if meta.managed.as_array().is_some_and(|it| !it.is_empty()) {
            metadata.insert("managedFields".to_owned(), meta.managed.clone());
        }
    }
    value
}
