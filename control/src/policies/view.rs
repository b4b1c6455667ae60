//! What readers see of the policies: a picture made with each change.

use palisade_config::policy::Document;

use super::book::{self, Book, File, cut_out};
use crate::core::{PolicyFileFault, PolicyFileState, PolicyFileStatus, PolicySource, StoredPolicy};

/// What readers see.
#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) policies: Vec<StoredPolicy>,
    pub(super) files: Vec<PolicyFileStatus>,
}

pub(super) fn view(book: &Book) -> View {
    let mut policies = Vec::new();
    let mut add = |good: &book::Good, source: &PolicySource, applied| {
        for document in &good.documents {
            if let Document::NetworkPolicy(policy) = document {
                policies.push(StoredPolicy {
                    namespace: policy.namespace.clone(),
                    name: policy.name.clone(),
                    source: source.clone(),
                    document: cut_out(&good.text, policy.place.line),
                    applied,
                });
            }
        }
    };
    for (name, file) in &book.files {
        if let Some(good) = &file.good {
            add(good, &PolicySource::File(name.clone()), None);
        }
    }
    for applied in book.api.values() {
        add(&applied.good, &PolicySource::Api, Some(applied.applied));
    }
    policies.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    let files = book
        .files
        .iter()
        .map(|(name, file)| file_status(name, file))
        .collect();
    View { policies, files }
}

fn file_status(name: &str, file: &File) -> PolicyFileStatus {
    let number = |value: usize| u64::try_from(value).unwrap_or(u64::MAX);
    PolicyFileStatus {
        file: name.to_owned(),
        state: match (&file.good, file.faults.is_empty()) {
            (_, true) => PolicyFileState::InForce,
            (Some(_), false) => PolicyFileState::BrokenLastGoodInForce,
            (None, false) => PolicyFileState::Broken,
        },
        documents: file
            .good
            .as_ref()
            .map_or(0, |good| number(good.documents.len())),
        faults: file
            .faults
            .iter()
            .map(|fault| PolicyFileFault {
                document: number(fault.document),
                line: number(fault.line),
                column: number(fault.column),
                field: fault.field.clone(),
                message: fault.message.clone(),
                hint: fault.hint.clone(),
            })
            .collect(),
    }
}
