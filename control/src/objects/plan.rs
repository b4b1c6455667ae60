//! From what sources declare now to new versions of objects.

use std::{collections::HashMap, sync::Arc};

use serde_json::Value;

use super::{
    Event, Key, Kind, Object, Objects, State,
    document::presented,
    managed::{self, Manager},
    meta::{Meta, digest, lasting_uid, uid},
};
use crate::{clock::Timestamp, core::PolicySource, store::PolicyChange};

/// What a source declares of an object.
#[derive(Clone, Debug)]
pub struct Wanted {
    pub key: Key,
    pub source: Option<PolicySource>,
    /// The user's part, as [`super::cleaned`] gives it.
    pub document: Value,
    /// `metadata.managedFields`, where the writer has worked them out. Without them the change
    /// counts as this daemon's own.
    pub managed: Option<Value>,
}

/// A change of what sources declare.
#[derive(Clone, Debug)]
pub enum Change {
    Put(Box<Wanted>),
    Gone(Key),
}

/// New versions, not in sight yet.
#[derive(Debug, Default)]
pub struct Plan {
    events: Vec<Event>,
    /// Objects of this run that are as the store knew them: no event, and nothing to store.
    found: Vec<Arc<Object>>,
    revision: u64,
    /// The first plan of a run, before which nobody can have watched.
    first: bool,
}

impl Plan {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty() && self.found.is_empty()
    }

    /// The last object that the plan writes.
    pub fn written(&self) -> Option<&Arc<Object>> {
        self.events.iter().rev().find_map(|it| it.after.as_ref())
    }

    /// What the store has to know.
    pub fn stored(&self) -> Vec<PolicyChange> {
        let sides = self.events.iter().map(|it| (&it.before, &it.after));
        let mut changes = stored_changes(sides);
        if !self.events.is_empty() {
            changes.push(PolicyChange::Revision(self.revision));
        }
        changes
    }

    /// What the store has to know when the plan is given up after all. The counter stays: nobody
    /// has seen its numbers, and going on from them does no harm.
    pub fn taken_back(&self) -> Vec<PolicyChange> {
        stored_changes(self.events.iter().map(|it| (&it.after, &it.before)))
    }
}

/// The way from one side to the other, for the objects that are stored.
fn stored_changes<'p>(
    sides: impl Iterator<Item = (&'p Option<Arc<Object>>, &'p Option<Arc<Object>>)>,
) -> Vec<PolicyChange> {
    let change = |(from, to): (&Option<Arc<Object>>, &Option<Arc<Object>>)| {
        let object = to.as_ref().or(from.as_ref())?;
        if object.key.kind != Kind::NetworkPolicy {
            return None;
        }
        let key = stored_key(&object.key);
        match to {
            None => Some(PolicyChange::ObjectGone { key }),
            Some(object) => serde_json::to_string(&object.meta)
                .ok()
                .map(|meta| PolicyChange::Object { key, meta }),
        }
    };
    sides.filter_map(change).collect()
}

fn stored_key(key: &Key) -> String {
    format!("{}/{}", key.namespace, key.name)
}

impl Objects {
    /// New versions for what changed. Nobody sees them before [`Self::commit`].
    pub fn plan(&self, changes: Vec<Change>, now: Timestamp) -> Plan {
        self.state().plan(changes, now)
    }

    /// As [`Self::plan`] for the first time in a run, with everything that is declared. What the
    /// store knew and is declared no more is gone.
    pub fn plan_first(&self, mut changes: Vec<Change>, now: Timestamp) -> Plan {
        let state = self.state();
        let mut left: HashMap<&str, &Meta> = HashMap::new();
        for (key, meta) in &state.known {
            left.insert(key, meta);
        }
        for change in &changes {
            if let Change::Put(wanted) = change
                && wanted.key.kind == Kind::NetworkPolicy
            {
                left.remove(stored_key(&wanted.key).as_str());
            }
        }
        for key in left.into_keys() {
            if let Some((namespace, name)) = key.split_once('/') {
                changes.push(Change::Gone(Key::new(Kind::NetworkPolicy, namespace, name)));
            }
        }
        let plan = state.plan(changes, now);
        Plan {
            first: true,
            ..plan
        }
    }

    /// Puts new versions in sight.
    pub fn commit(&self, plan: Plan) {
        if plan.is_empty() {
            return;
        }
        let mut state = self.state();
        let state = &mut *state;
        for object in plan.found {
            state.objects.insert(object.key.clone(), object);
        }
        for event in &plan.events {
            let (before, after) = (event.before.as_ref(), event.after.as_ref());
            if let Some(object) = after {
                state.objects.insert(object.key.clone(), Arc::clone(object));
            } else if let Some(object) = before {
                state.objects.remove(&object.key);
            }
        }
        if plan.first {
            state.known.clear();
            state.history.restart(plan.revision);
        } else {
            state.history.extend(plan.events, plan.revision);
        }
        self.latest.send_replace(plan.revision);
    }
}

impl State {
    fn plan(&self, changes: Vec<Change>, now: Timestamp) -> Plan {
        let mut plan = Plan {
            revision: self.history.revision(),
            ..Plan::default()
        };
        for change in changes {
            match change {
                Change::Put(wanted) => self.put(*wanted, now, &mut plan),
                Change::Gone(key) => self.gone(key, now, &mut plan),
            }
        }
        plan
    }

    /// What the store knew of an object. It knows policies only.
    fn known(&self, key: &Key) -> Option<&Meta> {
        let is_policy = key.kind == Kind::NetworkPolicy;
        self.known.get(&stored_key(key)).filter(|_| is_policy)
    }

    fn gone(&self, key: Key, now: Timestamp, plan: &mut Plan) {
        let known = || {
            let meta = self.known(&key)?.clone();
            Some(Arc::new(Object {
                value: Value::Null,
                key: key.clone(),
                revision: meta.revision,
                source: None,
                meta: Meta {
                    created: now,
                    ..meta
                },
            }))
        };
        if let Some(before) = self.objects.get(&key).cloned().or_else(known) {
            plan.revision += 1;
            plan.events.push(Event {
                revision: plan.revision,
                before: Some(before),
                after: None,
            });
        }
    }

    fn put(&self, wanted: Wanted, now: Timestamp, plan: &mut Plan) {
        let before = self.objects.get(&wanted.key);
        let old = before
            .map(|object| &object.meta)
            .or_else(|| self.known(&wanted.key));
        let (digest, spec_digest) = (
            digest(&wanted.document),
            digest(wanted.document.get("spec").unwrap_or(&Value::Null)),
        );
        let same_document = old.is_some_and(|old| old.digest == digest);
        let managed = match (&wanted.managed, old) {
            (Some(managed), _) => managed.clone(),
            (None, Some(old)) if same_document => old.managed.clone(),
            (None, _) if wanted.key.kind != Kind::NetworkPolicy => Value::Array(Vec::new()),
            (None, _) => {
                let before = before.map(|object| &object.value);
                let managers = old.map_or(&Value::Null, |old| &old.managed);
                managed::updated(managers, before, &wanted.document, &Manager::own(now))
            }
        };
        let same = same_document && old.is_some_and(|old| old.managed == managed);
        if let (true, Some(old)) = (same, old) {
            let source_changed = before.is_none_or(|object| object.source != wanted.source);
            if source_changed {
                plan.found.push(Arc::new(object(wanted, old.clone())));
            }
            return;
        }
        plan.revision += 1;
        let revision = plan.revision;
        let meta = Meta {
            uid: match old {
                Some(old) => old.uid.clone(),
                None if wanted.key.kind == Kind::NetworkPolicy => uid(&wanted.key, now, revision),
                None => lasting_uid(&wanted.key),
            },
            created: old.map_or(now, |old| old.created),
            generation: old.map_or(1, |old| {
                old.generation + u64::from(old.spec_digest != spec_digest)
            }),
            revision,
            managed,
            digest,
            spec_digest,
        };
        plan.events.push(Event {
            revision,
            before: before.cloned(),
            after: Some(Arc::new(object(wanted, meta))),
        });
    }
}

fn object(wanted: Wanted, meta: Meta) -> Object {
    Object {
        value: presented(&wanted.document, &wanted.key, &meta),
        key: wanted.key,
        revision: meta.revision,
        source: wanted.source,
        meta,
    }
}
