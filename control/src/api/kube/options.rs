//! What the query of a call asks for. Names that are not known are left alone, as the API server
//! does: newer clients send more.

use std::time::Duration;

use axum::{extract::Query, http::Uri};

use super::{
    selector::{FieldSelector, LabelSelector},
    status::Status,
};

/// The options of any call.
#[derive(Clone, Debug, Default)]
pub(super) struct Options {
    pub(super) watch: bool,
    pub(super) bookmarks: bool,
    /// `sendInitialEvents`: everything there is comes as ADDED, and a bookmark ends it.
    pub(super) initial_events: bool,
    /// `None`: not given, or 0, which is any.
    pub(super) revision: Option<u64>,
    pub(super) timeout: Option<Duration>,
    pub(super) labels: LabelSelector,
    pub(super) fields: FieldSelector,
    pub(super) dry_run: bool,
    pub(super) manager: Option<String>,
    pub(super) force: bool,
}

impl Options {
    pub(super) fn of(uri: &Uri) -> Result<Self, Status> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri)
            .map_err(|error| Status::bad_request(error.to_string()))?;
        let mut options = Self::default();
        for (name, value) in pairs {
            options.take(&name, &value)?;
        }
        Ok(options)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Status> {
        let wrong = |wanted: &str| {
            Status::bad_request(format!("the parameter {name} is {wanted}, not `{value}`"))
        };
        let flag = || match value {
            "true" | "1" => Ok(true),
            "false" | "0" | "" => Ok(false),
            _ => Err(wrong("true or false")),
        };
        match name {
            "watch" => self.watch = flag()?,
            "allowWatchBookmarks" => self.bookmarks = flag()?,
            "sendInitialEvents" => self.initial_events = flag()?,
            "force" => self.force = flag()?,
            "resourceVersion" if value.is_empty() => {}
            "resourceVersion" => {
                let number: u64 = value.parse().map_err(|_| wrong("a number"))?;
                self.revision = Some(number).filter(|number| *number > 0);
            }
            "timeoutSeconds" => {
                let number = value.parse().map_err(|_| wrong("a number of seconds"))?;
                self.timeout = Some(Duration::from_secs(number));
            }
            "dryRun" if value == "All" => self.dry_run = true,
            "dryRun" if value.is_empty() => {}
            "dryRun" => return Err(wrong("All")),
            "fieldManager" => {
                let printable = value.chars().all(|it| !it.is_control());
                if value.len() > 128 || !printable {
                    return Err(wrong("at most 128 printable bytes"));
                }
                self.manager = Some(value.to_owned()).filter(|it| !it.is_empty());
            }
            "labelSelector" => {
                self.labels = value.parse().map_err(Status::bad_request)?;
            }
            "fieldSelector" => {
                self.fields = value.parse().map_err(Status::bad_request)?;
            }
            _ => {}
        }
        Ok(())
    }
}
