//! `palisade ban`, `unban` and `bans`.

use std::net::IpAddr;

use hyper::{Method, StatusCode};

use super::{
    arguments::{Ban, Bans, BansCommand, Unban},
    client::{Client, ClientError, encoded, with_query},
    exit::{Exit, Failure},
    import,
    output::{Align, Ink, Output, Table, printable, span},
};
use crate::{
    api::{BanAnswer, BanBody, problem::Problem},
    clock::{Clock, SystemClock, Timestamp},
    core::BanPage,
};

/// Bans asked for at once.
const PAGE: usize = 10_000;

pub(super) async fn ban(client: &Client, ban: Ban, out: &mut Output) -> Result<Exit, Failure> {
    let Ban {
        prefix,
        ttl,
        reason,
        origin,
        force,
        read,
    } = ban;
    let body = BanBody {
        ttl: ttl.map(|ttl| ttl.to_string()),
        reason,
        origin: Some(origin),
        force,
    };
    let body = serde_json::to_string(&body).map_err(anyhow::Error::from)?;
    let path = format!("/v1/bans/{}", encoded(&prefix.to_string()));
    let (status, answer) = client
        .call(Method::PUT, &path, Some(body))
        .await
        .map_err(with_force_hint)?;
    let answer: BanAnswer = serde_json::from_slice(&answer).map_err(anyhow::Error::from)?;
    if read.json {
        out.json(&answer)?;
        return Ok(Exit::Done);
    }
    let ends = match answer.ban.expires {
        Some(expires) => format!("for {}", span(left(expires))),
        None => "until it is lifted".to_owned(),
    };
    let what = if status == StatusCode::CREATED {
        "banned"
    } else {
        "ban changed:"
    };
    out.line(&format!(
        "{what} {} {ends} (origin {})",
        answer.ban.prefix, answer.ban.origin
    ))?;
    for guard in &answer.exempted {
        out.line(&format!("  guarded and not banned: {guard}"))?;
    }
    Ok(Exit::Done)
}

/// Says how to insist, where insisting helps.
pub(super) fn with_force_hint(error: ClientError) -> ClientError {
    match error {
        ClientError::Problem(problem) if problem.force == Some(true) => {
            let detail = format!(
                "{}\nIf that is what you want, repeat it with --force.",
                problem.detail
            );
            ClientError::Problem(Box::new(Problem { detail, ..*problem }))
        }
        error => error,
    }
}

pub(super) async fn unban(
    client: &Client,
    unban: Unban,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let path = format!("/v1/bans/{}", encoded(&unban.prefix.to_string()));
    let path = with_query(&path, &[("origin", unban.origin)]);
    client.call(Method::DELETE, &path, None).await?;
    out.line(&format!("lifted the ban on {}", unban.prefix))?;
    Ok(Exit::Done)
}

pub(super) async fn bans(client: &Client, bans: Bans, out: &mut Output) -> Result<Exit, Failure> {
    let Bans {
        command,
        origin,
        covers,
        json,
    } = bans;
    match command {
        None | Some(BansCommand::List) => list(client, origin, covers, json, out).await,
        Some(BansCommand::Export { plain }) => export(client, origin, covers, plain, out).await,
        Some(BansCommand::Import(_)) if covers.is_some() => Err(Failure::Usage(
            "--covers chooses bans to list, not to import".to_owned(),
        )),
        Some(BansCommand::Import(file)) => import::import(client, file, origin, json, out).await,
    }
}

/// Bans, one page after the other.
struct Pages<'a> {
    client: &'a Client,
    origin: Option<String>,
    covers: Option<IpAddr>,
    after: Option<String>,
    ended: bool,
}

impl<'a> Pages<'a> {
    fn new(client: &'a Client, origin: Option<String>, covers: Option<IpAddr>) -> Self {
        Self {
            client,
            origin,
            covers,
            after: None,
            ended: false,
        }
    }

    async fn next(&mut self) -> Result<Option<BanPage>, ClientError> {
        if self.ended {
            return Ok(None);
        }
        let query = [
            ("limit", Some(PAGE.to_string())),
            ("after", self.after.take()),
            ("origin", self.origin.clone()),
            ("covers", self.covers.map(|address| address.to_string())),
        ];
        let page: BanPage = self.client.get(&with_query("/v1/bans", &query)).await?;
        self.after = page.next.clone();
        self.ended = page.next.is_none();
        Ok(Some(page))
    }
}

async fn list(
    client: &Client,
    origin: Option<String>,
    covers: Option<IpAddr>,
    json: bool,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let mut pages = Pages::new(client, origin, covers);
    if json {
        let mut all = BanPage {
            bans: Vec::new(),
            next: None,
        };
        while let Some(page) = pages.next().await? {
            all.bans.extend(page.bans);
        }
        out.json(&all)?;
        return Ok(Exit::Done);
    }
    let mut is_first = true;
    while let Some(page) = pages.next().await? {
        let table = table(&page);
        if table.is_empty() && is_first {
            out.line("no bans")?;
        } else {
            out.text(&table.render(out.colour, 0))?;
        }
        is_first = false;
    }
    Ok(Exit::Done)
}

fn table(page: &BanPage) -> Table {
    let columns = ["PREFIX", "ORIGIN", "ENDS", "SINCE", "REASON"];
    let mut table = Table::new(&columns.map(|title| (title, Align::Left)));
    for ban in &page.bans {
        let ends = match ban.expires {
            Some(expires) => format!("in {}", span(left(expires))),
            None => "-".to_owned(),
        };
        table.row(vec![
            (ban.prefix.to_string(), Ink::Bold),
            (ban.origin.to_string(), Ink::Plain),
            (ends, Ink::Plain),
            (
                format!(
                    "{} ago",
                    span(ban.created.until(SystemClock.now()).as_secs())
                ),
                Ink::Faint,
            ),
            (
                ban.reason.as_deref().unwrap_or_default().to_owned(),
                Ink::Plain,
            ),
        ]);
    }
    table
}

/// Seconds until `time`, at least one: a listed ban has not ended.
fn left(time: Timestamp) -> u64 {
    SystemClock
        .now()
        .until(time)
        .as_millis()
        .div_ceil(1000)
        .try_into()
        .unwrap_or(u64::MAX)
        .max(1)
}

async fn export(
    client: &Client,
    origin: Option<String>,
    covers: Option<IpAddr>,
    plain: bool,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let mut pages = Pages::new(client, origin, covers);
    while let Some(page) = pages.next().await? {
        let mut last = None;
        for ban in &page.bans {
            if plain {
                // Several origins may ban one prefix; the list names it once.
                if last != Some(ban.prefix) {
                    out.line(&ban.prefix.to_string())?;
                }
                last = Some(ban.prefix);
            } else {
                out.line(&printable(
                    &serde_json::to_string(ban).map_err(anyhow::Error::from)?,
                ))?;
            }
        }
    }
    Ok(Exit::Done)
}
