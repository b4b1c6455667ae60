//! From what a policy is and what a caller sends to what it becomes. Pure.

use serde_json::Value;

use super::{NETWORK_POLICIES, body, patch, status::Status};
use crate::{
    core::PolicySource,
    objects::{
        Object, cleaned,
        managed::{self, Manager},
        stripped,
    },
    policies::Edit,
};

/// Which policy is written, and by whom.
#[derive(Clone, Debug)]
pub(super) struct Writer {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) manager: Manager,
    pub(super) force: bool,
}

/// How a body changes a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PatchKind {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchKind {
    /// By content type, parameters left away.
    pub(super) fn of(content_type: &str) -> Option<Self> {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Some(Self::Json),
            "application/merge-patch+json" => Some(Self::Merge),
            "application/strategic-merge-patch+json" => Some(Self::Strategic),
            "application/apply-patch+yaml" => Some(Self::Apply),
            _ => None,
        }
    }
}

fn text<'v>(value: &'v Value, pointer: &str) -> Option<&'v str> {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

impl Writer {
    fn not_found(&self) -> Status {
        Status::not_found(&NETWORK_POLICIES, &self.name)
    }

    /// A new policy.
    pub(super) fn create(&self, live: Option<&Object>, document: Value) -> Result<Edit, Status> {
        if let Some(live) = live {
            let file = match &live.source {
                Some(PolicySource::File(file)) => Some(file.as_str()),
                _ => None,
            };
            return Err(Status::already_exists(&NETWORK_POLICIES, &self.name, file));
        }
        if text(&document, "/metadata/resourceVersion").is_some() {
            let message = "resourceVersion should not be set on objects to be created";
            return Err(Status::bad_request(message));
        }
        self.is_the_one(&document)?;
        let document = cleaned(document, &self.namespace);
        let managed = managed::updated(&Value::Null, None, &document, &self.manager);
        Ok(Edit::Put { document, managed })
    }

    /// A policy in the place of the one there is.
    pub(super) fn replace(&self, live: Option<&Object>, document: Value) -> Result<Edit, Status> {
        let live = live.ok_or_else(|| self.not_found())?;
        self.updated(live, document)
    }

    /// A policy changed by a patch, or with [`PatchKind::Apply`] maybe a new one.
    pub(super) fn patch(
        &self,
        live: Option<&Object>,
        kind: PatchKind,
        sent: &str,
    ) -> Result<Edit, Status> {
        if kind == PatchKind::Apply {
            return self.apply(live, sent);
        }
        let live = live.ok_or_else(|| self.not_found())?;
        let sent = body::strict_json(sent);
        let sent = sent.map_err(|error| Status::bad_request(format!("the patch: {error}")))?;
        let mut value = live.value.clone();
        let done = match kind {
            PatchKind::Json => patch::json_patch(&mut value, &sent),
            PatchKind::Merge => {
                patch::merge(&mut value, sent);
                Ok(())
            }
            PatchKind::Strategic | PatchKind::Apply => patch::strategic(&mut value, sent),
        };
        done.map_err(|error| Status::bad_request(format!("the patch: {error}")))?;
        self.updated(live, value)
    }

    /// What an update makes of the policy, if the caller knew what it is now.
    fn updated(&self, live: &Object, value: Value) -> Result<Edit, Status> {
        self.is_the_one(&value)?;
        self.is_current(live, &value)?;
        let managed = value.pointer("/metadata/managedFields");
        let given = managed.filter(|it| it.as_array().is_some_and(|it| !it.is_empty()));
        let managed = given.unwrap_or_else(|| live.managed()).clone();
        let before = cleaned(live.value.clone(), &self.namespace);
        let document = cleaned(value, &self.namespace);
        let managed = managed::updated(&managed, Some(&before), &document, &self.manager);
        Ok(Edit::Put { document, managed })
    }

    fn apply(&self, live: Option<&Object>, sent: &str) -> Result<Edit, Status> {
        let sent = body::policy(sent, &self.name)?;
        self.is_the_one(&sent)?;
        let has_managers = sent.pointer("/metadata/managedFields");
        if has_managers.is_some_and(|it| it.as_array().is_some_and(|it| !it.is_empty())) {
            return Err(Status::bad_request("metadata.managedFields must be nil"));
        }
        match live {
            Some(live) => self.is_current(live, &sent)?,
            None if text(&sent, "/metadata/resourceVersion").is_some() => {
                return Err(Status::outdated(
                    &NETWORK_POLICIES,
                    &self.name,
                    "it is gone",
                ));
            }
            None => {}
        }
        let sent = stripped(sent, &self.namespace);
        let before = live.map(|live| cleaned(live.value.clone(), &self.namespace));
        let before = before.as_ref().zip(live.map(Object::managed));
        let (document, managed) = managed::applied(before, &sent, &self.manager, self.force)
            .map_err(|conflicts| Status::apply_conflicts(&conflicts))?;
        Ok(Edit::Put { document, managed })
    }

    /// The end of a policy.
    pub(super) fn delete(
        &self,
        live: Option<&Object>,
        wanted: &body::Preconditions,
    ) -> Result<Edit, Status> {
        let live = live.ok_or_else(|| self.not_found())?;
        let (uid, version) = (wanted.uid.as_deref(), wanted.resource_version.as_deref());
        self.still_is(live, uid, version)?;
        Ok(Edit::Delete)
    }

    /// Whether a document is of the kind and name that the path says.
    fn is_the_one(&self, document: &Value) -> Result<(), Status> {
        let resource = &NETWORK_POLICIES;
        #[rustfmt::skip]
        let wanted = [
            ("/apiVersion",         "apiVersion", resource.version,         true),
            ("/kind",               "kind",       resource.name,            true),
            ("/metadata/name",      "name",       self.name.as_str(),       true),
            ("/metadata/namespace", "namespace",  self.namespace.as_str(),  false),
        ];
        for (pointer, what, wanted, needed) in wanted {
            let found = text(document, pointer);
            if found.is_some_and(|found| found != wanted) || (needed && found.is_none()) {
                return Err(Status::bad_request(format!(
                    "the {what} of the provided object ({}) does not match the {what} sent on \
                     the request ({wanted})",
                    found.unwrap_or("none")
                )));
            }
        }
        Ok(())
    }

    /// Whether what the caller has seen is what there is.
    fn is_current(&self, live: &Object, value: &Value) -> Result<(), Status> {
        let uid = text(value, "/metadata/uid");
        self.still_is(live, uid, text(value, "/metadata/resourceVersion"))
    }

    fn still_is(
        &self,
        live: &Object,
        uid: Option<&str>,
        version: Option<&str>,
    ) -> Result<(), Status> {
        let outdated = |what: String| Status::outdated(&NETWORK_POLICIES, &self.name, &what);
        if let Some(uid) = uid.filter(|uid| *uid != live.uid()) {
            let what = format!("the uid is {}, not {uid}", live.uid());
            return Err(outdated(what));
        }
        let now = live.revision.to_string();
        match version {
            Some(version) if version != now => Err(outdated(format!(
                "the resource version is {now}, not {version}"
            ))),
            _ => Ok(()),
        }
    }
}
