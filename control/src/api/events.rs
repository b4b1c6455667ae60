//! What happens, as it happens: server-sent events.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::State,
    http::Uri,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, broadcast};

use super::{
    App,
    problem::{Kind, Problem},
    request::Parameters,
};
use crate::core::{Notice, SharedNotice};

/// A comment goes out this often when nothing happens, so that dead connections are noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Bans, generations and sampled packets as they happen
///
/// Server-sent events: the name is the notice's `type`, the data the notice as JSON. `lost` says
/// how many notices a slow reader missed.
#[utoipa::path(
    get,
    path = "/v1/events",
    tag = "state",
    responses(
        (status = 200, body = Notice, content_type = "text/event-stream"),
        (status = 503, body = Problem, description = "Too many streams at once"),
    )
)]
pub(crate) async fn events(
    State(app): State<App>,
    uri: Uri,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    Parameters::of(&uri, &[])?;
    let Ok(permit) = app.event_streams.clone().try_acquire_owned() else {
        return Err(Problem::new(
            Kind::Unavailable,
            "too many event streams are open",
        ));
    };
    let open = Open {
        notices: app.core.subscribe(),
        _permit: permit,
    };
    // The first comment goes out at once: a reader then knows that nothing is missed from here on.
    let hello = stream::iter([Ok(Event::default().comment("palisade"))]);
    let notices = stream::unfold(open, |mut open| async move {
        let event = match open.notices.recv().await {
            Ok(notice) => named(&notice),
            Err(broadcast::error::RecvError::Lagged(missed)) => lost(missed),
            Err(broadcast::error::RecvError::Closed) => return None,
        };
        Some((Ok(event), open))
    });
    let until_stop = hello
        .chain(notices)
        .take_until(app.shutdown.clone().cancelled_owned());
    Ok(Sse::new(until_stop).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Open {
    notices: broadcast::Receiver<SharedNotice>,
    _permit: OwnedSemaphorePermit,
}

fn named(notice: &SharedNotice) -> Event {
    let value = serde_json::to_value(notice.as_ref()).unwrap_or(Value::Null);
    let name = value
        .get("type")
        .and_then(Value::as_str)
        .unwrap_or("notice");
    Event::default().event(name).data(value.to_string())
}

fn lost(missed: u64) -> Event {
    Event::default()
        .event("lost")
        .data(json!({"type": "lost", "notices": missed}).to_string())
}
