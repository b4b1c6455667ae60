//! Single policies as the API hands them in and the store keeps them.

use std::sync::Arc;

use palisade_config::policy::{Document, Fault, NetworkPolicy, Peer, Place};

use super::book::{self, Name};
use crate::store::PolicyRecord;

/// The policies among `documents`; anything else is a fault.
pub(super) fn only_policies(documents: &[Document]) -> Result<Vec<&NetworkPolicy>, Vec<Fault>> {
    let mut policies = Vec::new();
    for (document, found) in documents.iter().enumerate() {
        match found {
            Document::NetworkPolicy(policy) => policies.push(policy),
            Document::Namespace(_) | Document::Pod(_) | Document::Node(_) => {
                let message = "only NetworkPolicy documents can be applied".to_owned();
                return Err(vec![Fault {
                    document,
                    field: "kind".to_owned(),
                    hint: Some("inventory comes from the policy directory".to_owned()),
                    ..book::fault(Place::default(), message)
                }]);
            }
        }
    }
    Ok(policies)
}

/// A stored policy as the book has it: the document of the stored text that bears the key.
pub(super) fn stored_policy(key: &str, record: &PolicyRecord) -> Option<(Name, book::Applied)> {
    let good = book::read(record.text.as_bytes()).ok()?;
    let document = good.documents.into_iter().find(|document| match document {
        Document::NetworkPolicy(policy) => key == format!("{}/{}", policy.namespace, policy.name),
        _ => false,
    })?;
    let Document::NetworkPolicy(policy) = &document else {
        return None;
    };
    let name = (policy.namespace.clone(), policy.name.clone());
    let good = Arc::new(book::Good {
        text: good.text,
        documents: vec![document],
    });
    Some((
        name,
        book::Applied {
            good,
            applied: record.applied,
        },
    ))
}

/// Whether a document says what `policy` says, wherever it stands in its text.
pub(super) fn is_same(documents: &[Document], policy: &NetworkPolicy) -> bool {
    let anywhere = |policy: &NetworkPolicy| format!("{:?}", placeless(policy));
    documents.iter().any(|document| match document {
        Document::NetworkPolicy(old) => anywhere(old) == anywhere(policy),
        _ => false,
    })
}

fn placeless(policy: &NetworkPolicy) -> NetworkPolicy {
    let mut policy = policy.clone();
    policy.place = Place::default();
    for rule in policy.ingress.iter_mut().chain(&mut policy.egress) {
        rule.place = Place::default();
        for peer in &mut rule.peers {
            match peer {
                Peer::Block(block) => block.place = Place::default(),
                Peer::Pods { place, .. } => *place = Place::default(),
            }
        }
    }
    policy
}
