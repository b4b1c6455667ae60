//! Who set which field of a NetworkPolicy: `metadata.managedFields`, and server-side apply.
//!
//! A field here is what can be set on its own: a label, an annotation, and each key of the spec.
//! Selectors and lists of rules are whole to the API (`x-kubernetes-map-type: atomic`,
//! `x-kubernetes-list-type: atomic`), so a field is a path of at most three names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use super::stamp;
use crate::clock::Timestamp;

/// A field's names, outermost first.
pub type FieldPath = Vec<String>;

/// Who writes, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manager {
    pub name: String,
    /// Whether this is server-side apply; else an update.
    pub applies: bool,
    pub time: Timestamp,
}

impl Manager {
    /// This daemon, for what came in another way than the Kubernetes API.
    pub fn own(time: Timestamp) -> Self {
        Self {
            name: "palisade".to_owned(),
            applies: false,
            time,
        }
    }
}

fn operation(applies: bool) -> &'static str {
    if applies { "Apply" } else { "Update" }
}

/// A field that another manager has set to something else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    pub manager: String,
    pub operation: &'static str,
    pub field: FieldPath,
}

/// An entry of `managedFields`, read.
#[derive(Clone, Debug)]
struct Entry {
    name: String,
    applies: bool,
    time: String,
    fields: BTreeSet<FieldPath>,
}

/// Every field of a document and its value.
fn fields(document: &Value) -> BTreeMap<FieldPath, &Value> {
    let mut found = BTreeMap::new();
    for section in ["labels", "annotations"] {
        let values = document.pointer(&format!("/metadata/{section}"));
        for (name, value) in values.and_then(Value::as_object).into_iter().flatten() {
            let path = ["metadata", section, name].map(str::to_owned).to_vec();
            found.insert(path, value);
        }
    }
    for name in ["finalizers", "ownerReferences"] {
        if let Some(value) = document.pointer(&format!("/metadata/{name}")) {
            found.insert(["metadata", name].map(str::to_owned).to_vec(), value);
        }
    }
    let spec = document.get("spec").and_then(Value::as_object);
    for (name, value) in spec.into_iter().flatten() {
        found.insert(["spec", name].map(str::to_owned).to_vec(), value);
    }
    found
}

fn read(managed: &Value) -> Vec<Entry> {
    let text = |entry: &Value, key: &str| entry.get(key)?.as_str().map(str::to_owned);
    let entries = managed.as_array().into_iter().flatten();
    entries
        .filter_map(|entry| {
            let mut fields = BTreeSet::new();
            collect(entry.get("fieldsV1")?, &mut Vec::new(), &mut fields);
            Some(Entry {
                name: text(entry, "manager")?,
                applies: text(entry, "operation").as_deref() == Some("Apply"),
                time: text(entry, "time").unwrap_or_default(),
                fields,
            })
        })
        .collect()
}

/// Paths of at most three names; whatever lies deeper is part of the field.
fn collect(tree: &Value, path: &mut FieldPath, fields: &mut BTreeSet<FieldPath>) {
    let children: Vec<(&str, &Value)> = tree
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some((key.strip_prefix("f:")?, value)))
        .collect();
    let is_field = match path
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["metadata", "labels" | "annotations"] | ["metadata"] | ["spec"] | [] => false,
        [_, ..] => true,
    };
    if is_field {
        fields.insert(path.clone());
        return;
    }
    for (name, value) in children {
        path.push(name.to_owned());
        collect(value, path, fields);
        path.pop();
    }
}

fn written(entries: Vec<Entry>) -> Value {
    let entries = entries.into_iter().filter(|it| !it.fields.is_empty());
    entries
        .map(|entry| {
            let mut tree = Map::new();
            for path in &entry.fields {
                let mut place = &mut tree;
                for name in path {
                    let child = place
                        .entry(format!("f:{name}"))
                        .or_insert_with(|| Value::Object(Map::new()));
                    let Value::Object(child) = child else { break };
                    place = child;
                }
            }
            json!({
                "apiVersion": "networking.k8s.io/v1",
                "fieldsType": "FieldsV1",
                "fieldsV1": tree,
                "manager": entry.name,
                "operation": operation(entry.applies),
                "time": entry.time,
            })
        })
        .collect()
}

/// The managers after `manager` has updated the object from `before` to `after`: what changed is
/// theirs alone, what is gone is nobody's.
pub fn updated(managed: &Value, before: Option<&Value>, after: &Value, manager: &Manager) -> Value {
    let old = before.map(fields).unwrap_or_default();
    let new = fields(after);
    let changed: BTreeSet<FieldPath> = new
        .iter()
        .filter(|(path, value)| old.get(*path) != Some(value))
        .map(|(path, _)| path.clone())
        .collect();
    let mut entries = read(managed);
    let untouched = |path: &FieldPath| new.contains_key(path) && !changed.contains(path);
    let mut found = false;
    for entry in &mut entries {
        let is_theirs = entry.name == manager.name && entry.applies == manager.applies;
        found |= is_theirs;
        entry
            .fields
            .retain(|path| untouched(path) || (is_theirs && new.contains_key(path)));
        if is_theirs && !changed.is_empty() {
            entry.fields.extend(changed.iter().cloned());
            entry.time = stamp(manager.time);
        }
    }
    if !found {
        entries.push(Entry {
            name: manager.name.clone(),
            applies: manager.applies,
            time: stamp(manager.time),
            fields: changed,
        });
    }
    written(entries)
}

/// The document and managers after a server-side apply of `applied` by `manager`.
///
/// What the manager applied before and leaves out now is removed, unless others manage it too. A
/// field that others manage and that would change is a conflict, or with `force` taken from them.
pub fn applied(
    live: Option<(&Value, &Value)>,
    applied: &Value,
    manager: &Manager,
    force: bool,
) -> Result<(Value, Value), Vec<Conflict>> {
    let Some((document, managed)) = live else {
        let entry = Entry {
            name: manager.name.clone(),
            applies: true,
            time: stamp(manager.time),
            fields: fields(applied).into_keys().collect(),
        };
        return Ok((applied.clone(), written(vec![entry])));
    };
    let mut entries = read(managed);
    let is_theirs = |entry: &Entry| entry.name == manager.name && entry.applies;
    let old = fields(document);
    let new = fields(applied);
    let changes = |path: &FieldPath, value: &&Value| old.get(path) != Some(value);
    let mut conflicts = Vec::new();
    for (path, _) in new.iter().filter(|(path, value)| changes(path, value)) {
        for entry in entries.iter_mut().filter(|entry| !is_theirs(entry)) {
            if entry.fields.contains(path) {
                conflicts.push(Conflict {
                    manager: entry.name.clone(),
                    operation: operation(entry.applies),
                    field: path.clone(),
                });
                entry.fields.remove(path);
            }
        }
    }
    if !conflicts.is_empty() && !force {
        return Err(conflicts);
    }
    let mut result = document.clone();
    let before = entries.iter().find(|it| is_theirs(it));
    let before = before.map(|it| it.fields.clone()).unwrap_or_default();
    for path in before.iter().filter(|path| !new.contains_key(*path)) {
        let shared = entries
            .iter()
            .any(|it| !is_theirs(it) && it.fields.contains(path));
        if !shared {
            remove(&mut result, path);
        }
    }
    for (path, value) in &new {
        set(&mut result, path, (*value).clone());
    }
    let owned: BTreeSet<FieldPath> = new.keys().cloned().collect();
    match entries.iter_mut().find(|it| is_theirs(it)) {
        Some(entry) => {
            if entry.fields != owned || result != *document {
                entry.time = stamp(manager.time);
            }
            entry.fields = owned;
        }
        None => entries.push(Entry {
            name: manager.name.clone(),
            applies: true,
            time: stamp(manager.time),
            fields: owned,
        }),
    }
    Ok((result, written(entries)))
}

fn remove(document: &mut Value, path: &[String]) {
    let Some((name, parents)) = path.split_last() else {
        return;
    };
    let mut place = Some(document);
    for parent in parents {
        place = place.and_then(|value| value.get_mut(parent));
    }
    if let Some(map) = place.and_then(Value::as_object_mut) {
        map.remove(name);
    }
}

fn set(document: &mut Value, path: &[String], value: Value) {
    let mut place = document;
    for name in path {
        if !place.is_object() {
            *place = json!({});
        }
        let Value::Object(map) = place else { return };
        place = map.entry(name.clone()).or_insert(Value::Null);
    }
    *place = value;
}
