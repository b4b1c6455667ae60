//! Policies, namespaces and pods as objects that have a history.
//!
//! ```text
//! book, inventory -> changes -> plan -> store -> publish -> commit -> readers, watchers
//! ```
//!
//! An object has what the Kubernetes API promises of one: a uid, a creation time, a generation that
//! counts changes of its spec, and a resource version. One counter numbers every change of every
//! object, and is stored with it, so a version never comes back, not even after a restart.
//!
//! A plan is made before the store is written and committed after the tables are in force; what
//! fails in between leaves the readers with the old objects.

mod document;
mod history;
pub mod managed;
mod meta;
mod plan;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use serde_json::Value;
use tokio::sync::watch;
use tracing::warn;

pub use self::{
    document::{cleaned, stamp, stripped},
    history::{Event, Expired},
    plan::{Change, Plan, Wanted},
};
use self::{history::History, meta::Meta};
use crate::core::PolicySource;

/// What kinds of object there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    NetworkPolicy,
    Namespace,
    Pod,
}

/// Which object: kind, namespace (empty for a Namespace) and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub kind: Kind,
    pub namespace: String,
    pub name: String,
}

impl Key {
    pub fn new(kind: Kind, namespace: &str, name: &str) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// One version of an object.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    pub key: Key,
    pub revision: u64,
    /// `None` for the inventory.
    pub source: Option<PolicySource>,
    /// The whole object as clients get it.
    pub value: Value,
    meta: Meta,
}

impl Object {
    pub fn uid(&self) -> &str {
        &self.meta.uid
    }

    pub fn created(&self) -> crate::clock::Timestamp {
        self.meta.created
    }

    /// `metadata.managedFields`, always a list.
    pub fn managed(&self) -> &Value {
        &self.meta.managed
    }
}

/// Every object, and what happened to them lately.
#[derive(Debug)]
pub struct Objects {
    state: Mutex<State>,
    latest: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    objects: BTreeMap<Key, Arc<Object>>,
    /// What the store knew of policies that no source has declared yet in this run.
    known: HashMap<String, Meta>,
    history: History,
}

impl Objects {
    /// With what the store knows: the counter, and the metadata of each policy.
    pub fn new(revision: u64, stored: Vec<(String, String)>) -> Self {
        let mut known = HashMap::new();
        for (key, text) in stored {
            match serde_json::from_str(&text) {
                Ok(meta) => {
                    known.insert(key, meta);
                }
                Err(error) => {
                    warn!(policy = key, %error, "stored metadata cannot be read; made anew")
                }
            }
        }
        Self {
            state: Mutex::new(State {
                objects: BTreeMap::new(),
                known,
                history: History::from(revision),
            }),
            latest: watch::Sender::new(revision),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn get(&self, key: &Key) -> Option<Arc<Object>> {
        self.state().objects.get(key).cloned()
    }

    /// The counter, and every object of a kind, in one namespace or in all.
    pub fn list(&self, kind: Kind, namespace: Option<&str>) -> (u64, Vec<Arc<Object>>) {
        let state = self.state();
        let start = Key::new(kind, namespace.unwrap_or_default(), "");
        let objects = state
            .objects
            .range(start..)
            .take_while(|(key, _)| {
                key.kind == kind && namespace.is_none_or(|namespace| key.namespace == namespace)
            })
            .map(|(_, object)| Arc::clone(object))
            .collect();
        (state.history.revision(), objects)
    }

    /// What happened to a kind after `revision`, and up to which revision that reaches.
    pub fn since(&self, kind: Kind, revision: u64) -> Result<(u64, Vec<Event>), Expired> {
        let state = self.state();
        let events = state.history.since(kind, revision)?;
        Ok((state.history.revision(), events))
    }

    /// Tells of every new revision.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }
}
