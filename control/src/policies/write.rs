//! One policy, changed on the grounds of what it is: read, edited and written under one lock, so
//! that no other change comes in between.

use std::sync::Arc;

use palisade_config::policy::{Document, Fault};
use serde_json::Value;

use super::{Policies, book, conflict};
use crate::{
    core::{PolicyRefusal, PolicySource, Refusal},
    objects::{Change, Key, Kind, Object, Plan, Wanted, cleaned},
};

/// What an editor makes of an object.
#[derive(Debug)]
pub enum Edit {
    Put {
        /// What metadata it has from the daemon is left out of the document.
        document: Value,
        /// `metadata.managedFields`.
        managed: Value,
    },
    Delete,
}

/// Why a policy was not written. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum WriteError<E> {
    /// The editor's own refusal.
    #[error("the edit was refused")]
    Edit(E),
    #[error("it stands in file {file} of the policy directory; change it there")]
    ReadOnly { file: String },
    #[error(transparent)]
    Refused(#[from] PolicyRefusal),
}

impl<E> From<Refusal> for WriteError<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal.into())
    }
}

impl Policies {
    /// Writes what `edit` makes of a policy; answers the object after it, or the one deleted.
    ///
    /// `dry_run`: checks everything and changes nothing; the answer is what would be.
    pub async fn write<E>(
        &self,
        namespace: &str,
        name: &str,
        dry_run: bool,
        edit: impl FnOnce(Option<&Object>) -> Result<Edit, E>,
    ) -> Result<Arc<Object>, WriteError<E>> {
        let mut book = self.book.lock().await;
        let key = Key::new(Kind::NetworkPolicy, namespace, name);
        let live = self.objects.get(&key);
        let edited = edit(live.as_deref()).map_err(WriteError::Edit)?;
        if let Some(PolicySource::File(file)) = live.as_ref().and_then(|it| it.source.clone()) {
            return Err(WriteError::ReadOnly { file });
        }
        let mut next = book.clone();
        let now = self.surroundings.clock.now();
        let own = (namespace.to_owned(), name.to_owned());
        let plan = match edited {
            Edit::Delete => {
                next.api.remove(&own);
                self.objects.plan(vec![Change::Gone(key)], now)
            }
            Edit::Put { document, managed } => {
                let document = cleaned(document, namespace);
                let applied = read_one(&document, &own, now)?;
                next.api.insert(own, applied);
                let wanted = Wanted {
                    key,
                    source: Some(PolicySource::Api),
                    document,
                    managed: Some(managed),
                };
                self.objects.plan(vec![Change::Put(Box::new(wanted))], now)
            }
        };
        let answer =
            answer(&plan, live.as_ref(), dry_run).ok_or_else(|| not_found(namespace, name))?;
        let assembled = next.assemble().map_err(|clash| conflict(&clash))?;
        if !dry_run && !plan.is_empty() {
            self.put_in_force(&book, &next, assembled, plan).await?;
            *book = next;
            self.show(&book);
        }
        Ok(answer)
    }
}

fn not_found<E>(namespace: &str, name: &str) -> WriteError<E> {
    Refusal::NotFound {
        what: format!("policy {namespace}/{name}"),
    }
    .into()
}

/// The object that the caller gets: the new one, the deleted one, or the one that stays.
fn answer(plan: &Plan, live: Option<&Arc<Object>>, dry_run: bool) -> Option<Arc<Object>> {
    let Some(written) = plan.written() else {
        return live.cloned();
    };
    if !dry_run {
        return Some(Arc::clone(written));
    }
    // A version that never was must not be taken for one.
    let mut shown = Object::clone(written);
    let metadata = shown
        .value
        .get_mut("metadata")
        .and_then(Value::as_object_mut);
    if let Some(metadata) = metadata {
        match live {
            Some(live) => metadata.insert(
                "resourceVersion".to_owned(),
                live.revision.to_string().into(),
            ),
            None => metadata.remove("resourceVersion"),
        };
    }
    Some(Arc::new(shown))
}

/// Reads a document strictly, as one from a file would be.
fn read_one(
    document: &Value,
    own: &book::Name,
    now: crate::clock::Timestamp,
) -> Result<book::Applied, PolicyRefusal> {
    let text = format!("{document:#}");
    let good = book::read(text.as_bytes()).map_err(PolicyRefusal::Faults)?;
    let is_it = |document: &Document| match document {
        Document::NetworkPolicy(policy) => (&policy.namespace, &policy.name) == (&own.0, &own.1),
        _ => false,
    };
    if !matches!(good.documents.as_slice(), [document] if is_it(document)) {
        let fault = Fault {
            field: "metadata".to_owned(),
            ..book::fault(
                Default::default(),
                format!("the document is not NetworkPolicy {}/{}", own.0, own.1),
            )
        };
        return Err(PolicyRefusal::Faults(vec![fault]));
    }
    Ok(book::Applied {
        good: Arc::new(good),
        applied: now,
    })
}

#[cfg(test)]
mod tests;
