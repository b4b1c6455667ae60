//! The three ways to patch a JSON document. Pure.

use serde_json::{Map, Value};

/// A patch that cannot be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PatchError {
    #[error("operation {index}: {problem}")]
    Operation { index: usize, problem: String },
    #[error("a JSON patch is a list of operations")]
    NoList,
    #[error("the patch is no object")]
    NoObject,
    #[error("`$patch` is replace, delete or merge, not {found}")]
    Directive { found: String },
}

// === JSON merge patch (RFC 7396) ===

/// Merges `patch` into `target`: null deletes, maps merge, everything else replaces.
pub(super) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    let target = as_object(target);
    for (key, value) in patch {
        if value.is_null() {
            target.remove(&key);
        } else {
            merge(target.entry(key).or_insert(Value::Null), value);
        }
    }
}

/// The map that `value` is, or becomes.
fn as_object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    match value {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

// === Strategic merge patch ===

/// As [`merge`], with the directives of strategic merge patches.
///
/// Lists of a NetworkPolicy are atomic and replaced whole. Only `metadata.finalizers` (by value)
/// and `metadata.ownerReferences` (by uid) merge item by item.
pub(super) fn strategic(target: &mut Value, patch: Value) -> Result<(), PatchError> {
    if !patch.is_object() {
        return Err(PatchError::NoObject);
    }
    strategic_at(target, patch, "")
}

fn strategic_at(target: &mut Value, patch: Value, path: &str) -> Result<(), PatchError> {
    let mut patch = match patch {
        Value::Object(patch) => patch,
        Value::Array(items) if merge_key(path).is_some() => {
            return merge_list(target, items, path);
        }
        other => {
            *target = other;
            return Ok(());
        }
    };
    match patch.remove("$patch") {
        None => {}
        Some(directive) => match directive.as_str() {
            Some("merge") => {}
            Some("replace") => {
                *target = Value::Object(patch);
                return Ok(());
            }
            Some("delete") => {
                *target = Value::Null;
                return Ok(());
            }
            _ => {
                return Err(PatchError::Directive {
                    found: directive.to_string(),
                });
            }
        },
    }
    let kept = patch.remove("$retainKeys");
    let target = as_object(target);
    if let Some(Value::Array(kept)) = kept {
        target.retain(|key, _| kept.iter().any(|kept| kept == key));
    }
    for (key, value) in patch {
        if let Some(list) = key.strip_prefix("$deleteFromPrimitiveList/") {
            let items = target.get_mut(list).and_then(Value::as_array_mut);
            if let (Some(items), Value::Array(gone)) = (items, value) {
                items.retain(|item| !gone.contains(item));
            }
            continue;
        }
        // The order of items that merge is not promised by the fields that have such items here.
        if key.starts_with("$setElementOrder/") {
            continue;
        }
        if value.is_null() {
            target.remove(&key);
            continue;
        }
        let below = format!("{path}/{key}");
        let place = target.entry(key.clone()).or_insert(Value::Null);
        strategic_at(place, value, &below)?;
        if place.is_null() {
            target.remove(&key);
        }
    }
    Ok(())
}

/// How items of a list are told apart, where they merge: `Some("")` by their whole value.
fn merge_key(path: &str) -> Option<&'static str> {
    match path {
        "/metadata/finalizers" => Some(""),
        "/metadata/ownerReferences" => Some("uid"),
        _ => None,
    }
}

fn merge_list(target: &mut Value, items: Vec<Value>, path: &str) -> Result<(), PatchError> {
    let key = merge_key(path).unwrap_or_default();
    let replaces = items
        .iter()
        .any(|item| item.get("$patch").is_some_and(|it| it == "replace"));
    let mut list = match target.take() {
        Value::Array(list) if !replaces => list,
        _ => Vec::new(),
    };
    for mut item in items {
        let directive = item.as_object_mut().and_then(|it| it.remove("$patch"));
        if directive.as_ref().is_some_and(|it| it == "replace") {
            continue;
        }
        let is_it = |old: &Value| {
            if key.is_empty() {
                *old == item
            } else {
                old.get(key) == item.get(key)
            }
        };
        let place = list.iter().position(is_it);
        match (place, directive) {
            (Some(place), Some(directive)) if directive == "delete" => {
                list.remove(place);
            }
            (None, Some(directive)) if directive == "delete" => {}
            (Some(place), _) => {
                if let Some(old) = list.get_mut(place) {
                    strategic_at(old, item, &format!("{path}/-"))?;
                }
            }
            (None, _) => list.push(item),
        }
    }
    *target = Value::Array(list);
    Ok(())
}

// === JSON patch (RFC 6902) ===

/// Carries out the operations in order, all or none.
pub(super) fn json_patch(target: &mut Value, patch: &Value) -> Result<(), PatchError> {
    let operations = patch.as_array().ok_or(PatchError::NoList)?;
    let mut result = target.clone();
    for (index, operation) in operations.iter().enumerate() {
        carry_out(&mut result, operation)
            .map_err(|problem| PatchError::Operation { index, problem })?;
    }
    *target = result;
    Ok(())
}

fn carry_out(target: &mut Value, operation: &Value) -> Result<(), String> {
    let text = |key: &str| operation.get(key).and_then(Value::as_str);
    let needed = |key: &str| text(key).ok_or_else(|| format!("`{key}` is missing"));
    let value = || {
        let value = operation.get("value").cloned();
        value.ok_or_else(|| "`value` is missing".to_owned())
    };
    let path = needed("path")?;
    let missing = |path: &str| format!("there is nothing at {path}");
    match needed("op")? {
        "add" => add(target, path, value()?),
        "remove" => remove(target, path).map(|_| ()),
        "replace" => {
            let place = target.pointer_mut(path).ok_or_else(|| missing(path))?;
            *place = value()?;
            Ok(())
        }
        "move" => {
            let from = needed("from")?;
            if path.starts_with(&format!("{from}/")) {
                return Err(format!("{from} cannot move into itself"));
            }
            let moved = remove(target, from)?;
            add(target, path, moved)
        }
        "copy" => {
            let from = needed("from")?;
            let copied = target.pointer(from).cloned();
            add(target, path, copied.ok_or_else(|| missing(from))?)
        }
        "test" => {
            let wanted = value()?;
            match target.pointer(path) {
                Some(found) if *found == wanted => Ok(()),
                Some(found) => Err(format!("{path} is {found}, not {wanted}")),
                None => Err(missing(path)),
            }
        }
        other => Err(format!("unknown operation `{other}`")),
    }
}

/// The container of a path, and its last name.
fn parent<'v>(target: &'v mut Value, path: &str) -> Result<(&'v mut Value, String), String> {
    let (parent, last) = path
        .rsplit_once('/')
        .ok_or_else(|| format!("`{path}` is no JSON pointer to a part of the document"))?;
    let place = target.pointer_mut(parent);
    let place = place.ok_or_else(|| format!("there is nothing at {parent}"))?;
    Ok((place, last.replace("~1", "/").replace("~0", "~")))
}

fn add(target: &mut Value, path: &str, value: Value) -> Result<(), String> {
    if path.is_empty() {
        *target = value;
        return Ok(());
    }
    let (place, last) = parent(target, path)?;
    match place {
        Value::Object(map) => {
            map.insert(last, value);
            Ok(())
        }
        Value::Array(items) if last == "-" => {
            items.push(value);
            Ok(())
        }
        Value::Array(items) => {
            let index = index(&last).filter(|index| *index <= items.len());
            let index = index.ok_or_else(|| format!("{path} is outside of the list"))?;
            items.insert(index, value);
            Ok(())
        }
        _ => Err(format!("what holds {path} is neither a map nor a list")),
    }
}

fn remove(target: &mut Value, path: &str) -> Result<Value, String> {
    let missing = || format!("there is nothing at {path}");
    let (place, last) = parent(target, path)?;
    match place {
        Value::Object(map) => map.remove(&last).ok_or_else(missing),
        Value::Array(items) => {
            let index = index(&last).filter(|index| *index < items.len());
            Ok(items.remove(index.ok_or_else(missing)?))
        }
        _ => Err(missing()),
    }
}

fn index(text: &str) -> Option<usize> {
    let canonical = text == "0" || !text.starts_with(['0', '+']);
    text.parse().ok().filter(|_| canonical)
}

#[cfg(test)]
mod tests;
