//! `palisade events`: one line for everything that happens.

use std::time::Duration;

use futures_util::StreamExt;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{
    arguments::Events,
    client::{Client, ClientError},
    exit::{Exit, Failure},
    output::{Ink, Output, printable},
};
use crate::core::{Notice, PacketNotice, What};

/// How long events are watched without `--follow`.
const GLANCE: Duration = Duration::from_secs(1);

/// Pause before a lost daemon is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Longest event that is waited for.
const EVENT_BYTES_MAX: usize = 1 << 20;

pub(super) async fn events(
    client: &Client,
    events: &Events,
    out: &mut Output,
) -> Result<Exit, Failure> {
    if !events.follow {
        let end = Instant::now() + GLANCE;
        return match timeout_at(end, watch(client, events.read.json, out)).await {
            Ok(Err(failure)) => Err(failure),
            Ok(Ok(())) | Err(_) => Ok(Exit::Done),
        };
    }
    // The first connection must succeed; later ones may wait for a restart of the daemon.
    watch(client, events.read.json, out).await?;
    loop {
        eprintln!("palisade: the daemon ended the stream; waiting for it");
        loop {
            tokio::time::sleep(AGAIN).await;
            match watch(client, events.read.json, out).await {
                Ok(()) => break,
                Err(Failure::Client(ClientError::Unreachable { .. })) => {}
                Err(failure) => return Err(failure),
            }
        }
    }
}

/// Prints events until the daemon ends the stream.
async fn watch(client: &Client, json: bool, out: &mut Output) -> Result<(), Failure> {
    let mut stream = client.stream("/v1/events").await?;
    let mut lines = Lines::default();
    while let Some(chunk) = stream.next().await {
        let Ok(chunk) = chunk else { return Ok(()) };
        for data in lines.push(&chunk)? {
            let line = if json { data } else { describe(&data, out) };
            out.line(&line)?;
        }
        out.flush()?;
    }
    Ok(())
}

/// Finds the data of each event in a stream of chunks.
#[derive(Debug, Default)]
struct Lines {
    rest: Vec<u8>,
}

impl Lines {
    fn push(&mut self, chunk: &[u8]) -> Result<Vec<String>, ClientError> {
        self.rest.extend_from_slice(chunk);
        let mut data = Vec::new();
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            // The daemon writes each event's JSON on one line.
            if let Some(text) = line.strip_prefix("data:") {
                data.push(text.trim().to_owned());
            }
        }
        if self.rest.len() > EVENT_BYTES_MAX {
            return Err(ClientError::NotUnderstood(
                "an event without an end".to_owned(),
            ));
        }
        Ok(data)
    }
}

fn describe(data: &str, out: &Output) -> String {
    let Ok(notice) = serde_json::from_str::<Notice>(data) else {
        return describe_unknown(data);
    };
    let (ink, name, text) = sentence(&notice.what);
    let name = out.colour.paint(ink, &format!("{name:<9}"));
    let time = notice.time.to_string();
    format!("{time:<24}  {name} {}", printable(&text))
}

/// What a newer daemon says, or that a slow reader missed something.
fn describe_unknown(data: &str) -> String {
    let value: Value = serde_json::from_str(data).unwrap_or(Value::Null);
    match value.get("notices").and_then(Value::as_u64) {
        Some(lost) => format!("{lost} events lost: they came faster than they were read"),
        None => printable(data),
    }
}

fn sentence(what: &What) -> (Ink, &'static str, String) {
    match what {
        What::BanAdded { ban } => (Ink::Warn, "ban", ban_text(ban)),
        What::BanChanged { ban } => (Ink::Warn, "ban", format!("changed: {}", ban_text(ban))),
        What::BanLifted { ban } => (
            Ink::Good,
            "unban",
            format!("{} by {}", ban.prefix, ban.origin),
        ),
        What::BanExpired { ban } => (
            Ink::Good,
            "expired",
            format!("{} by {}", ban.prefix, ban.origin),
        ),
        What::Imported {
            origin,
            added,
            removed,
        } => (
            Ink::Warn,
            "import",
            format!("{origin}: {added} added, {removed} removed"),
        ),
        What::Generation {
            generation,
            policies,
            endpoints,
        } => {
            let text =
                format!("generation {generation}: {policies} policies, {endpoints} endpoints");
            (Ink::Bold, "tables", text)
        }
        What::PolicyFileBroken { file, problem } => {
            (Ink::Bad, "policy", format!("{file} is broken: {problem}"))
        }
        What::PolicyFileInForce { file } => (Ink::Good, "policy", format!("{file} is in force")),
        What::WorkerDied {
            interface,
            queue,
            problem,
        } => (
            Ink::Bad,
            "worker",
            format!("{interface} queue {queue} died: {problem}"),
        ),
        What::WorkerStarted { interface, queue } => (
            Ink::Good,
            "worker",
            format!("{interface} queue {queue} started"),
        ),
        What::InterfaceLost { interface } => {
            (Ink::Bad, "interface", format!("{interface} is gone"))
        }
        What::InterfaceAttached { interface, mode } => (
            Ink::Good,
            "interface",
            format!("{interface} attached, {mode}"),
        ),
        What::Repaired { entries, prefixes } => {
            let shown: Vec<_> = prefixes.iter().take(5).map(ToString::to_string).collect();
            (
                Ink::Bad,
                "repaired",
                format!("{entries} kernel entries were wrong {}", shown.join(" ")),
            )
        }
        What::Packet(packet) => packet_sentence(packet),
    }
}

fn packet_sentence(packet: &PacketNotice) -> (Ink, &'static str, String) {
    let ink = match packet.verdict.as_str() {
        "drop" | "lost" => Ink::Bad,
        _ => Ink::Plain,
    };
    let rule = packet
        .rule
        .as_ref()
        .map(|rule| format!(" rule {rule}"))
        .unwrap_or_default();
    let policies = match packet.policies.as_slice() {
        [] => String::new(),
        policies => format!(" policies {}", policies.join(",")),
    };
    let text = format!(
        "{} {} {} port {} -> {} port {} protocol {} {} bytes, {} at {}{rule}{policies}",
        packet.verdict,
        packet.interface,
        packet.from,
        packet.source_port,
        packet.to,
        packet.port,
        packet.protocol,
        packet.length,
        packet.reason,
        packet.stage,
    );
    (ink, "packet", text)
}

fn ban_text(ban: &crate::core::Ban) -> String {
    let ends = ban
        .expires
        .map(|ends| format!(" until {ends}"))
        .unwrap_or_default();
    let reason = ban
        .reason
        .as_deref()
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    format!("{} by {}{ends}{reason}", ban.prefix, ban.origin)
}

#[cfg(test)]
mod tests {
    use super::Lines;

    #[test]
    fn events_are_found_however_the_stream_is_cut() {
        let text =
            b":palisade\n\nevent:ban_added\ndata: {\"a\":1}\n\n: \n\nevent:x\ndata:{\"b\":2}\n\n";
        for cut in 0..text.len() {
            let mut lines = Lines::default();
            let mut data = lines.push(&text[..cut]).unwrap();
            data.extend(lines.push(&text[cut..]).unwrap());
            assert_eq!(data, ["{\"a\":1}", "{\"b\":2}"], "cut at {cut}");
        }
    }
}
