//! From one book to another, as changes of the store. Turned round, it is the way back.

use super::book::{Applied, Book, Name};
use crate::store::{PolicyChange, PolicyRecord};

/// What the store has to know when `after` takes the place of `before`. Empty: both have the same
/// in force.
pub(super) fn changes(before: &Book, after: &Book) -> Vec<PolicyChange> {
    let mut changes = Vec::new();
    for (name, file) in &before.files {
        let good = after.files.get(name).and_then(|file| file.good.as_ref());
        if file.good.is_some() && good.is_none() {
            changes.push(PolicyChange::FileGone { name: name.clone() });
        }
    }
    for (name, file) in &after.files {
        let Some(good) = &file.good else { continue };
        let old = before.files.get(name).and_then(|old| old.good.as_ref());
        if old.is_none_or(|old| old.text != good.text) {
            let (name, text) = (name.clone(), good.text.to_string());
            changes.push(PolicyChange::File { name, text });
        }
    }
    let gone = before
        .api
        .keys()
        .filter(|name| !after.api.contains_key(*name));
    changes.extend(gone.map(|name| PolicyChange::Delete { key: key(name) }));
    for (name, applied) in &after.api {
        let same = |old: &Applied| old.applied == applied.applied && old.good == applied.good;
        if !before.api.get(name).is_some_and(same) {
            let record = PolicyRecord {
                applied: applied.applied,
                text: applied.good.text.to_string(),
            };
            changes.push(PolicyChange::Put {
                key: key(name),
                record,
            });
        }
    }
    changes
}

/// `namespace/name`.
pub(super) fn key((namespace, name): &Name) -> String {
    format!("{namespace}/{name}")
}
