//! `metadata` of any object.

use std::collections::BTreeMap;

use crate::{
    policy::yaml::fields::{Field, Object},
    types::{self, NameError},
};

/// What is used of `metadata`.
#[derive(Debug)]
pub(super) struct Metadata {
    pub(super) name: String,
    /// `default` where a namespaced object names none.
    pub(super) namespace: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) annotations: BTreeMap<String, String>,
}

/// Every field of ObjectMeta; what the API server fills in is taken and ignored.
const KEYS: &[&str] = &[
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

pub(super) fn metadata(root: &Object<'_>) -> Option<Metadata> {
    let Some(object) = root.get("metadata") else {
        root.missing("metadata.name", "name is required".to_owned());
        return None;
    };
    let object = object.object(KEYS, &[])?;
    let name = object
        .require("name")
        .and_then(|field| named(&field, types::subdomain));
    let namespace = match object.get("namespace") {
        Some(field) if field.text() != Some("") => named(&field, types::label_name),
        _ => Some("default".to_owned()),
    };
    let labels = object
        .get("labels")
        .map_or(Some(BTreeMap::new()), |field| labels(&field));
    let annotations = object
        .get("annotations")
        .map_or(Some(BTreeMap::new()), |field| field.strings());
    Some(Metadata {
        name: name?,
        namespace: namespace?,
        labels: labels?,
        annotations: annotations?,
    })
}

fn named(field: &Field<'_>, check: fn(&str) -> Result<(), NameError>) -> Option<String> {
    let text = field.text()?;
    match check(text) {
        Ok(()) => Some(text.to_owned()),
        Err(error) => {
            field.fault(format!("'{text}' {error}"));
            None
        }
    }
}

/// A map of labels; faults are at the map and name the key.
pub(super) fn labels(field: &Field<'_>) -> Option<BTreeMap<String, String>> {
    let labels = field.strings()?;
    for (key, value) in &labels {
        if let Err(error) = types::label_key(key) {
            field.fault(format!("label key '{key}' {error}"));
        }
        if let Err(error) = types::label_value(value) {
            field.fault(format!("value '{value}' of label '{key}' {error}"));
        }
    }
    Some(labels)
}
