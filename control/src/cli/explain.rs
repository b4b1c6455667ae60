//! `palisade explain`: the chain of tables as a person reads it.

use super::{
    arguments::Explain,
    client::{Client, with_query},
    exit::{Exit, Failure},
    output::{Ink, Output, printable},
};
use crate::core::{Explanation, Step};

pub(super) async fn explain(
    client: &Client,
    explain: &Explain,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let query = [
        ("from", Some(explain.from.to_string())),
        ("to", Some(explain.to.address.to_string())),
        (
            "protocol",
            Some(explain.to.protocol.to_string().to_ascii_lowercase()),
        ),
        ("port", Some(explain.to.port.to_string())),
    ];
    let explanation: Explanation = client.get(&with_query("/v1/explain", &query)).await?;
    if explain.read.json {
        out.json(&explanation)?;
        return Ok(Exit::Done);
    }
    let verdict = &explanation.verdict;
    let ink = if verdict == "pass" {
        Ink::Good
    } else {
        Ink::Bad
    };
    let verdict = out.colour.paint(ink, &verdict.to_uppercase());
    let (from, to, reason) = (explain.from, &explain.to, &explanation.reason);
    out.line(&format!(
        "{from} -> {to}: {verdict} ({reason}), generation {}",
        explanation.generation
    ))?;
    for (index, step) in explanation.steps.iter().enumerate() {
        print_step(index + 1, step, out)?;
    }
    for fault in &explanation.faults {
        let fault = format!("fault: {}", printable(fault));
        out.line(&out.colour.paint(Ink::Bad, &fault))?;
    }
    Ok(Exit::Done)
}

fn print_step(number: usize, step: &Step, out: &mut Output) -> Result<(), Failure> {
    let mark = if step.decided { "=>" } else { "  " };
    let ink = if step.decided { Ink::Bold } else { Ink::Plain };
    let finding = out.colour.paint(ink, &printable(&step.finding));
    out.line(&format!("{mark} {number}. {:<11} {finding}", step.table))?;
    let mut details = Vec::new();
    for ban in &step.bans {
        let reason = ban
            .reason
            .as_deref()
            .map(|reason| format!(", {reason}"))
            .unwrap_or_default();
        let ends = ban
            .expires
            .map(|ends| format!(", until {ends}"))
            .unwrap_or_default();
        details.push(format!(
            "ban {} by {}, since {}{ends}{reason}",
            ban.prefix, ban.origin, ban.created
        ));
    }
    details.extend(step.guard.map(|guard| format!("guard {guard}")));
    details.extend(
        step.endpoint
            .as_ref()
            .map(|endpoint| format!("endpoint {endpoint}")),
    );
    if !step.policies.is_empty() {
        details.push(format!("selected by {}", step.policies.join(", ")));
    }
    if let Some(rule) = &step.rule {
        let file = rule
            .file
            .as_ref()
            .map(|file| format!(" in {file}"))
            .unwrap_or_default();
        details.push(format!(
            "rule {}/{} {}{file}",
            rule.namespace, rule.name, rule.field
        ));
    }
    for detail in details {
        out.line(&format!("                  {}", printable(&detail)))?;
    }
    Ok(())
}
