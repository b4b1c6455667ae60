//! Watches: a JSON object a line for each change, from a resource version on.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, header},
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use super::{Resource, options::Options, status::Status, table::Tables};
use crate::{
    api::App,
    objects::{Event, Object},
};

/// A watch ends after this long, unless it asks for less; clients begin another.
const LONGEST: Duration = Duration::from_secs(45 * 60);
/// How often those who want bookmarks hear how far they are.
const BOOKMARK_EVERY: Duration = Duration::from_secs(30);

struct Watch {
    app: App,
    resource: Resource,
    namespace: Option<String>,
    options: Options,
    as_table: bool,
    /// Everything up to here has been sent.
    revision: u64,
    changes: tokio::sync::watch::Receiver<u64>,
    /// Lines to send before anything else.
    waiting: VecDeque<Value>,
    ends: Instant,
    bookmark: Instant,
    over: bool,
    _permit: OwnedSemaphorePermit,
}

/// Answers a watch. Without a version it begins with everything there is.
pub(super) fn watch(
    app: &App,
    resource: &Resource,
    namespace: Option<&str>,
    options: Options,
    as_table: bool,
) -> Result<Response<Body>, Status> {
    let permit = app.watches.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Status::too_many_watches())?;
    let objects = app.core.objects();
    // Subscribed before the first look, so that no change falls between.
    let changes = objects.changes();
    let now = Instant::now();
    let mut watch = Watch {
        app: app.clone(),
        resource: *resource,
        namespace: namespace.map(str::to_owned),
        as_table,
        revision: options.revision.unwrap_or(0),
        changes,
        waiting: VecDeque::new(),
        ends: now + options.timeout.unwrap_or(LONGEST).min(LONGEST),
        bookmark: now + BOOKMARK_EVERY,
        over: false,
        options,
        _permit: permit,
    };
    match watch.options.revision {
        Some(revision) if !watch.options.initial_events => {
            let checked = objects.since(resource.kind, revision);
            checked.map_err(|error| Status::expired(&error))?;
        }
        _ => watch.begin_with_everything(),
    }
    let lines = stream::unfold(watch, |mut watch| async move {
        let value = watch.next().await?;
        let line = Bytes::from(format!("{value}\n"));
        Some((Ok::<_, Infallible>(line), watch))
    });
    let mut response = Response::new(Body::from_stream(lines));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    Ok(response)
}

impl Watch {
    fn begin_with_everything(&mut self) {
        let objects = self.app.core.objects();
        let (revision, found) = objects.list(self.resource.kind, self.namespace.as_deref());
        self.revision = revision;
        let wanted = found.iter().filter(|object| self.is_wanted(object));
        let lines: Vec<Value> = wanted.map(|object| self.line("ADDED", object)).collect();
        self.waiting.extend(lines);
        if self.options.initial_events {
            self.waiting.push_back(self.bookmark_line(true));
        }
    }

    fn is_wanted(&self, object: &Object) -> bool {
        let in_namespace = |it: &String| object.key.namespace == *it;
        self.namespace.as_ref().is_none_or(in_namespace)
            && self.options.labels.matches(&object.value)
            && self.options.fields.matches(object)
    }

    /// The next line, or the end.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(line) = self.waiting.pop_front() {
                return Some(line);
            }
            if self.over {
                return None;
            }
            self.changes.mark_unchanged();
            self.catch_up();
            if !self.waiting.is_empty() {
                continue;
            }
            let shutdown = self.app.shutdown.clone();
            tokio::select! {
                () = shutdown.cancelled() => return None,
                () = tokio::time::sleep_until(self.ends) => self.over = true,
                () = tokio::time::sleep_until(self.bookmark), if self.options.bookmarks => {
                    self.bookmark = Instant::now() + BOOKMARK_EVERY;
                    return Some(self.bookmark_line(false));
                }
                changed = self.changes.changed() => changed.ok()?,
            }
        }
    }

    fn catch_up(&mut self) {
        match self
            .app
            .core
            .objects()
            .since(self.resource.kind, self.revision)
        {
            Ok((revision, events)) => {
                self.revision = revision;
                for event in events {
                    self.waiting.extend(self.told(&event));
                }
            }
            Err(error) => {
                let status = Status::expired(&error).to_value();
                self.waiting
                    .push_back(json!({"type": "ERROR", "object": status}));
                self.over = true;
            }
        }
    }

    /// What a change is to this watch: objects come and go with what it selects, too.
    fn told(&self, event: &Event) -> Option<Value> {
        let before = event.before.as_deref().filter(|it| self.is_wanted(it));
        let after = event.after.as_deref().filter(|it| self.is_wanted(it));
        match (before, after) {
            (Some(_), Some(after)) => Some(self.line("MODIFIED", after)),
            (None, Some(after)) => Some(self.line("ADDED", after)),
            (Some(before), None) => {
                let mut last = before.clone();
                last.revision = event.revision;
                let version = last.value.pointer_mut("/metadata/resourceVersion");
                if let Some(version) = version {
                    *version = event.revision.to_string().into();
                }
                Some(self.line("DELETED", &last))
            }
            (None, None) => None,
        }
    }

    fn line(&self, kind: &str, object: &Object) -> Value {
        let shown = if self.as_table {
            let metadata = json!({"resourceVersion": object.revision.to_string()});
            Tables::new(&self.app, &self.resource).table(std::iter::once(object), &metadata)
        } else {
            object.value.clone()
        };
        json!({"type": kind, "object": shown})
    }

    fn bookmark_line(&self, ends_initial: bool) -> Value {
        let mut metadata = json!({"resourceVersion": self.revision.to_string()});
        if ends_initial && let Some(metadata) = metadata.as_object_mut() {
            let annotations = json!({"k8s.io/initial-events-end": "true"});
            metadata.insert("annotations".to_owned(), annotations);
        }
        let object = if self.as_table {
            let no_objects = std::iter::empty();
            Tables::new(&self.app, &self.resource).table(no_objects, &metadata)
        } else {
            json!({
                "kind": self.resource.name,
                "apiVersion": self.resource.version,
                "metadata": metadata,
            })
        };
        json!({"type": "BOOKMARK", "object": object})
    }
}
