//! Bans page by page.

use crate::{
    core::{Ban, BanPage, BanQuery, PAGE_MAX, Refusal},
    desired::{Cursor, Desired},
};

/// Bans that one page may look at. A rare origin among a million others is found over several
/// pages rather than under one long lock.
const LOOKED_AT_MAX: usize = 100_000;

pub(super) fn page(desired: &Desired, query: &BanQuery) -> Result<BanPage, Refusal> {
    let after = query.after.as_deref().map(cursor).transpose()?;
    let limit = query.limit.clamp(1, PAGE_MAX);
    let wanted = |ban: &Ban| {
        query
            .origin
            .as_ref()
            .is_none_or(|origin| *origin == ban.origin)
    };
    if let Some(address) = query.covers {
        let mut bans = desired.covering(address);
        bans.retain(wanted);
        bans.sort_by(|a, b| (a.prefix, &a.origin).cmp(&(b.prefix, &b.origin)));
        bans.retain(|ban| {
            after
                .as_ref()
                .is_none_or(|(prefix, origin)| (&ban.prefix, &ban.origin) > (prefix, origin))
        });
        let more = bans.len() > limit;
        bans.truncate(limit);
        let next = bans.last().filter(|_| more).map(text);
        return Ok(BanPage { bans, next });
    }
    let mut bans = Vec::new();
    let mut last = None;
    let mut more = false;
    for (looked_at, ban) in desired.after(after.as_ref()).enumerate() {
        if bans.len() == limit || looked_at == LOOKED_AT_MAX {
            more = true;
            break;
        }
        last = Some(text(&ban));
        if wanted(&ban) {
            bans.push(ban);
        }
    }
    Ok(BanPage {
        bans,
        next: last.filter(|_| more),
    })
}

fn text(ban: &Ban) -> String {
    format!("{}~{}", ban.prefix, ban.origin)
}

fn cursor(text: &str) -> Result<Cursor, Refusal> {
    let place = text
        .split_once('~')
        .and_then(|(prefix, origin)| Some((prefix.parse().ok()?, origin.parse().ok()?)));
    place.ok_or_else(|| Refusal::Invalid {
        pointer: "/after".to_owned(),
        message: format!("'{text}' is not the `next` of a page"),
    })
}
