//! `palisade status`: what an operator wants to know first, first.

use super::{
    arguments::Read,
    client::Client,
    exit::{Exit, Failure},
    output::{Align, Ink, Output, Table, grouped, printable, span},
};
use crate::{
    api::{PacketCount, StatusAnswer},
    clock::{Clock, SystemClock},
    core::{InterfaceStatus, PolicyFileState, PolicyFileStatus, Status},
};

pub(super) async fn status(client: &Client, read: Read, out: &mut Output) -> Result<Exit, Failure> {
    let answer: StatusAnswer = client.get("/v1/status").await?;
    if read.json {
        out.json(&answer)?;
        return Ok(Exit::Done);
    }
    let StatusAnswer { status, packets } = &answer;
    summary(status, out)?;
    if !status.interfaces.is_empty() {
        out.line("\ninterfaces")?;
        interfaces(&status.interfaces, out)?;
    }
    if !packets.is_empty() {
        out.line("\npackets")?;
        counters(packets, out)?;
    }
    if !status.policy_files.is_empty() {
        out.line("\npolicy files")?;
        policy_files(&status.policy_files, out)?;
    }
    Ok(Exit::Done)
}

fn summary(status: &Status, out: &mut Output) -> Result<(), Failure> {
    let state = if status.ready {
        out.colour.paint(Ink::Good, "ready")
    } else {
        out.colour.paint(Ink::Bad, "NOT READY")
    };
    let up = span(status.started.until(SystemClock.now()).as_secs());
    out.line(&format!("palisade {}: {state}, up {up}", status.version))?;
    for problem in &status.problems {
        out.line(
            &out.colour
                .paint(Ink::Bad, &format!("  problem: {}", printable(problem))),
        )?;
    }
    out.line(&format!(
        "  bans {}, endpoints {}, policies {}, generation {}",
        grouped(status.bans),
        grouped(status.endpoints),
        grouped(status.policies),
        status.generation,
    ))?;
    let reconcile = &status.reconcile;
    let last = reconcile.last.map(|last| {
        format!(
            ", last {} ago",
            span(last.until(SystemClock.now()).as_secs())
        )
    });
    out.line(&format!(
        "  kernel compared {} times{}, {} entries repaired",
        grouped(reconcile.runs),
        last.unwrap_or_default(),
        grouped(reconcile.drift_repaired),
    ))?;
    if let Some(problem) = &reconcile.problem {
        let line = format!(
            "  problem: the last comparison failed: {}",
            printable(problem)
        );
        out.line(&out.colour.paint(Ink::Bad, &line))?;
    }
    Ok(())
}

fn interfaces(interfaces: &[InterfaceStatus], out: &mut Output) -> Result<(), Failure> {
    let mut table = Table::new(&[
        ("NAME", Align::Left),
        ("ATTACHED", Align::Left),
        ("MODE", Align::Left),
        ("QUEUES", Align::Right),
        ("WORKERS", Align::Right),
        ("ZERO-COPY", Align::Left),
    ]);
    for interface in interfaces {
        let (attached, ink) = if interface.attached {
            ("yes", Ink::Good)
        } else {
            ("NO", Ink::Bad)
        };
        let workers = if interface.workers_alive < interface.queues {
            Ink::Warn
        } else {
            Ink::Plain
        };
        table.row(vec![
            (interface.name.clone(), Ink::Bold),
            (attached.to_owned(), ink),
            (interface.mode.clone(), Ink::Plain),
            (interface.queues.to_string(), Ink::Plain),
            (interface.workers_alive.to_string(), workers),
            (
                if interface.zero_copy { "yes" } else { "no" }.to_owned(),
                Ink::Plain,
            ),
        ]);
    }
    out.text(&table.render(out.colour, 2))?;
    for interface in interfaces {
        if let Some(why) = &interface.fell_back {
            out.line(&format!(
                "  {}: fell back: {}",
                interface.name,
                printable(why)
            ))?;
        }
        if let Some(problem) = &interface.problem {
            let line = format!("  {}: problem: {}", interface.name, printable(problem));
            out.line(&out.colour.paint(Ink::Bad, &line))?;
        }
    }
    Ok(())
}

/// Drops and losses first, then by number of packets.
fn counters(packets: &[PacketCount], out: &mut Output) -> Result<(), Failure> {
    let mut rows: Vec<&PacketCount> = packets.iter().collect();
    let rank = |count: &PacketCount| !matches!(count.verdict.as_str(), "drop" | "lost");
    rows.sort_by(|a, b| {
        let key = |count: &PacketCount| (count.interface.clone(), rank(count));
        key(a).cmp(&key(b)).then(b.packets.cmp(&a.packets))
    });
    let mut table = Table::new(&[
        ("INTERFACE", Align::Left),
        ("STAGE", Align::Left),
        ("VERDICT", Align::Left),
        ("REASON", Align::Left),
        ("PACKETS", Align::Right),
        ("BYTES", Align::Right),
    ]);
    for count in rows {
        let ink = match count.verdict.as_str() {
            "drop" => Ink::Bad,
            "lost" => Ink::Warn,
            "pass" => Ink::Good,
            _ => Ink::Plain,
        };
        table.row(vec![
            (count.interface.clone(), Ink::Plain),
            (count.stage.clone(), Ink::Plain),
            (count.verdict.clone(), ink),
            (count.reason.clone(), Ink::Plain),
            (grouped(count.packets), Ink::Plain),
            (grouped(count.bytes), Ink::Plain),
        ]);
    }
    out.text(&table.render(out.colour, 2))?;
    Ok(())
}

fn policy_files(files: &[PolicyFileStatus], out: &mut Output) -> Result<(), Failure> {
    for file in files {
        let (state, ink) = match file.state {
            PolicyFileState::InForce => ("in force", Ink::Good),
            PolicyFileState::BrokenLastGoodInForce => {
                ("BROKEN, its last good version is in force", Ink::Bad)
            }
            PolicyFileState::Broken => ("BROKEN, nothing of it is in force", Ink::Bad),
        };
        let state = out.colour.paint(ink, state);
        let name = printable(&file.file);
        out.line(&format!("  {name}: {state} ({} documents)", file.documents))?;
        for fault in &file.faults {
            let hint = fault
                .hint
                .as_ref()
                .map(|hint| format!("; {hint}"))
                .unwrap_or_default();
            let field = if fault.field.is_empty() {
                String::new()
            } else {
                format!("{}: ", fault.field)
            };
            let line = format!(
                "{name}:{}:{}: {field}{}{hint}",
                fault.line, fault.column, fault.message
            );
            out.line(&format!("    {}", printable(&line)))?;
        }
    }
    Ok(())
}
