//! What happened to objects lately, for watchers that go on from a revision.

use std::{collections::VecDeque, sync::Arc};

use super::{Kind, Object};

/// Events that are kept. Whoever comes later lists again.
const EVENTS_MAX: usize = 4096;

/// One change of one object. Never are both sides absent.
#[derive(Clone, Debug)]
pub struct Event {
    pub revision: u64,
    pub before: Option<Arc<Object>>,
    pub after: Option<Arc<Object>>,
}

impl Event {
    fn kind(&self) -> Option<Kind> {
        let object = self.after.as_ref().or(self.before.as_ref())?;
        Some(object.key.kind)
    }
}

/// The revision is not, or not any more, one to go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("resource version {asked} is not kept: history goes from {oldest} to {newest}")]
pub struct Expired {
    pub asked: u64,
    pub oldest: u64,
    pub newest: u64,
}

#[derive(Debug)]
pub(super) struct History {
    events: VecDeque<Event>,
    /// Everything after this revision is in `events`.
    floor: u64,
    revision: u64,
}

impl History {
    pub(super) fn from(revision: u64) -> Self {
        Self {
            events: VecDeque::new(),
            floor: revision,
            revision,
        }
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision
    }

    /// Goes on to `revision` without keeping what happened before it.
    pub(super) fn restart(&mut self, revision: u64) {
        self.events.clear();
        self.floor = revision;
        self.revision = revision;
    }

    /// Adds events, oldest first.
    pub(super) fn extend(&mut self, events: Vec<Event>, revision: u64) {
        self.events.extend(events);
        self.revision = revision;
        while self.events.len() > EVENTS_MAX {
            if let Some(event) = self.events.pop_front() {
                self.floor = event.revision;
            }
        }
    }

    pub(super) fn since(&self, kind: Kind, asked: u64) -> Result<Vec<Event>, Expired> {
        if asked < self.floor || asked > self.revision {
            return Err(Expired {
                asked,
                oldest: self.floor,
                newest: self.revision,
            });
        }
        let start = self.events.partition_point(|event| event.revision <= asked);
        let later = self.events.range(start..);
        Ok(later
            .filter(|event| event.kind() == Some(kind))
            .cloned()
            .collect())
    }
}
