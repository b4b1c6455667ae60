//! A list of bans from its lines to what the writer needs.
//!
//! Lines are read as a stream and kept in a few dozen bytes each: a million of them must not cost
//! a copy of their text.

use std::{collections::HashMap, io, net::IpAddr, sync::Arc};

use palisade_config::types::{Prefix, TtlDuration};
use serde::Deserialize;
use tokio::io::{AsyncBufRead, AsyncBufReadExt};

use crate::{
    clock::Timestamp,
    core::{
        Ban, ImportError, ImportMode, ImportRequest, LINE_ERRORS_MAX, LineError, Origin,
        REASON_BYTES_MAX,
    },
    desired::{self, Guards, OwnAddresses},
};

/// Longest line in bytes.
const LINE_BYTES_MAX: usize = 8192;

/// Lines after which other tasks get their turn.
const LINES_A_TURN: u64 = 2048;

/// One ban of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) prefix: Prefix,
    origin: u8,
    reason: u32,
    created: Timestamp,
    /// Absent: never.
    pub(crate) expires: Option<Timestamp>,
}

/// A list without a fault, sorted by prefix and origin; of several lines on one, the last.
#[derive(Debug)]
pub(crate) struct ParsedImport {
    pub(crate) mode: ImportMode,
    pub(crate) origin: Origin,
    pub(crate) lines: Vec<Line>,
    pub(crate) exempted: Vec<Prefix>,
    origins: Vec<Origin>,
    reasons: Vec<Arc<str>>,
}

impl ParsedImport {
    pub(crate) fn origins(&self) -> &[Origin] {
        &self.origins
    }

    pub(crate) fn origin_of(&self, line: &Line) -> &Origin {
        self.origins
            .get(usize::from(line.origin))
            .unwrap_or(&self.origin)
    }

    pub(crate) fn ban(&self, line: &Line) -> Ban {
        let reason = usize::try_from(line.reason)
            .ok()
            .and_then(|index| self.reasons.get(index));
        Ban {
            prefix: line.prefix,
            origin: self.origin_of(line).clone(),
            reason: reason.cloned(),
            created: line.created,
            expires: line.expires,
        }
    }
}

/// A ban as a JSON line says it; what `bans export` writes reads back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonLine {
    prefix: String,
    ttl: Option<String>,
    expires: Option<String>,
    reason: Option<String>,
    origin: Option<String>,
    created: Option<String>,
}

struct Reader<'a> {
    request: &'a ImportRequest,
    guards: &'a Guards,
    own: OwnAddresses<'a>,
    now: Timestamp,
    parsed: ParsedImport,
    origin_numbers: HashMap<Origin, u8>,
    reason_numbers: HashMap<Arc<str>, u32>,
    errors: Vec<LineError>,
    faults: u64,
}

/// Reads a list to its end and checks every line.
pub(crate) async fn read_import(
    request: ImportRequest,
    mut lines: impl AsyncBufRead + Unpin + Send,
    guards: &Guards,
    node: &[IpAddr],
    now: Timestamp,
) -> Result<ParsedImport, ImportError> {
    let mut reader = Reader {
        request: &request,
        guards,
        own: OwnAddresses {
            node,
            caller: request.caller,
        },
        now,
        parsed: ParsedImport {
            mode: request.mode,
            origin: request.origin.clone(),
            lines: Vec::new(),
            exempted: Vec::new(),
            origins: vec![request.origin.clone()],
            reasons: Vec::new(),
        },
        origin_numbers: HashMap::from([(request.origin.clone(), 0)]),
        reason_numbers: HashMap::new(),
        errors: Vec::new(),
        faults: 0,
    };
    let mut text = Vec::new();
    let mut number = 0;
    while let Some(fits) = next_line(&mut lines, &mut text).await? {
        number += 1;
        if !fits {
            reader.fault(
                number,
                format!("the line is longer than {LINE_BYTES_MAX} bytes"),
            );
        } else if let Err(message) = reader.line(&text) {
            reader.fault(number, message);
        }
        if number % LINES_A_TURN == 0 {
            tokio::task::yield_now().await;
        }
    }
    if reader.faults > 0 {
        return Err(ImportError::Bad {
            errors: reader.errors,
            total: reader.faults,
        });
    }
    let mut parsed = reader.parsed;
    parsed.exempted.sort_unstable();
    parsed.exempted.dedup();
    // The later of two lines on one ban is the one that counts: reversed, it is the first, and
    // the sort keeps their order.
    parsed.lines.reverse();
    parsed.lines.sort_by_key(|line| (line.prefix, line.origin));
    parsed.lines.dedup_by_key(|line| (line.prefix, line.origin));
    parsed.lines.shrink_to_fit();
    Ok(parsed)
}

/// Reads a line into `text`: `None` at the end, `false` if it was too long and has been skipped.
async fn next_line(
    lines: &mut (impl AsyncBufRead + Unpin + Send),
    text: &mut Vec<u8>,
) -> io::Result<Option<bool>> {
    text.clear();
    let mut fits = true;
    let mut any = false;
    loop {
        let available = lines.fill_buf().await?;
        if available.is_empty() {
            return Ok(any.then_some(fits));
        }
        any = true;
        let (part, used, ended) = match available.iter().position(|byte| *byte == b'\n') {
            Some(end) => (available.get(..end).unwrap_or_default(), end + 1, true),
            None => (available, available.len(), false),
        };
        if text.len() + part.len() > LINE_BYTES_MAX {
            fits = false;
        } else {
            text.extend_from_slice(part);
        }
        lines.consume(used);
        if ended {
            return Ok(Some(fits));
        }
    }
}

impl Reader<'_> {
    fn fault(&mut self, line: u64, message: String) {
        self.faults += 1;
        if self.errors.len() < LINE_ERRORS_MAX {
            self.errors.push(LineError { line, message });
        }
    }

    fn line(&mut self, bytes: &[u8]) -> Result<(), String> {
        let text = std::str::from_utf8(bytes).map_err(|_| "the line is not UTF-8".to_owned())?;
        let text = text.trim();
        if text.starts_with('{') {
            return self.json(text);
        }
        let text = text
            .split_once('#')
            .map_or(text, |(before, _)| before.trim_end());
        if text.is_empty() {
            return Ok(());
        }
        let prefix: Prefix = text.parse().map_err(|error| format!("{error}"))?;
        self.take(Line {
            prefix,
            origin: 0,
            reason: u32::MAX,
            created: self.now,
            expires: None,
        })
    }

    fn json(&mut self, text: &str) -> Result<(), String> {
        let line: JsonLine = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let prefix: Prefix = line
            .prefix
            .parse()
            .map_err(|error| format!("prefix: {error}"))?;
        let expires = match (&line.ttl, &line.expires) {
            (Some(_), Some(_)) => return Err("ttl and expires exclude each other".to_owned()),
            (Some(ttl), None) => {
                let ttl: TtlDuration = ttl.parse().map_err(|error| format!("ttl: {error}"))?;
                Some(self.now.plus(ttl.get()))
            }
            (None, Some(expires)) => Some(
                expires
                    .parse()
                    .map_err(|error| format!("expires: {error}"))?,
            ),
            (None, None) => None,
        };
        let created = match &line.created {
            Some(created) => created
                .parse()
                .map_err(|error| format!("created: {error}"))?,
            None => self.now,
        };
        let origin = match &line.origin {
            Some(origin) => self.origin_number(origin)?,
            None => 0,
        };
        let reason = match line.reason.filter(|reason| !reason.is_empty()) {
            Some(reason) => self.reason_number(&reason)?,
            None => u32::MAX,
        };
        self.take(Line {
            prefix,
            origin,
            reason,
            created,
            expires,
        })
    }

    fn take(&mut self, line: Line) -> Result<(), String> {
        if let Some(guard) = self.guards.holding(&line.prefix) {
            let _ = guard;
            self.parsed.exempted.push(line.prefix);
            return Ok(());
        }
        desired::refuse(&line.prefix, self.guards, self.own, self.request.force)
            .map_err(|refusal| refusal.to_string())?;
        if line.expires.is_some_and(|expires| expires <= self.now) {
            return Ok(());
        }
        self.parsed
            .exempted
            .extend(self.guards.inside(&line.prefix));
        self.parsed.lines.push(line);
        Ok(())
    }

    fn origin_number(&mut self, text: &str) -> Result<u8, String> {
        let origin: Origin = text.parse().map_err(|error| format!("{error}"))?;
        if self.request.mode == ImportMode::Replace && origin != self.request.origin {
            return Err(format!(
                "origin {origin} cannot be replaced by a list of origin {}",
                self.request.origin
            ));
        }
        if let Some(number) = self.origin_numbers.get(&origin) {
            return Ok(*number);
        }
        let number = u8::try_from(self.parsed.origins.len())
            .map_err(|_| "the list names too many origins".to_owned())?;
        self.parsed.origins.push(origin.clone());
        self.origin_numbers.insert(origin, number);
        Ok(number)
    }

    fn reason_number(&mut self, text: &str) -> Result<u32, String> {
        if text.len() > REASON_BYTES_MAX {
            return Err(format!("reason is longer than {REASON_BYTES_MAX} bytes"));
        }
        if let Some(number) = self.reason_numbers.get(text) {
            return Ok(*number);
        }
        let number = u32::try_from(self.parsed.reasons.len()).unwrap_or(u32::MAX);
        let text: Arc<str> = text.into();
        self.parsed.reasons.push(Arc::clone(&text));
        self.reason_numbers.insert(text, number);
        Ok(number)
    }
}
