//! `palisade doctor`: what this machine offers, and what to do about what is missing.

use palisade_config::settings::Settings;
use palisade_xdp::features::{self, Probe};
use serde_json::json;

use super::{
    arguments::Doctor,
    exit::{Exit, Failure},
    output::{Ink, Output, printable},
};

/// Exit code 1 when something is missing without which palisade does not work.
pub(super) fn doctor(
    settings: &Settings,
    doctor: &Doctor,
    out: &mut Output,
) -> Result<Exit, Failure> {
    let mut probes = features::host(&settings.pin_directory);
    if let Some(name) = &doctor.interface {
        probes.extend(features::interface(name));
    }
    let is_broken = probes.iter().any(|probe| probe.required && !probe.present);
    if doctor.read.json {
        let probes: Vec<_> = probes.iter().map(as_json).collect();
        out.json(&json!({ "ok": !is_broken, "probes": probes }))?;
    } else {
        for probe in &probes {
            print(probe, out)?;
        }
    }
    Ok(if is_broken { Exit::Failed } else { Exit::Done })
}

fn as_json(probe: &Probe) -> serde_json::Value {
    json!({
        "name": probe.name,
        "present": probe.present,
        "required": probe.required,
        "found": probe.found,
        "why_needed": probe.why_needed,
        "what_to_do": probe.what_to_do,
        "fallback": probe.fallback,
    })
}

fn print(probe: &Probe, out: &mut Output) -> Result<(), Failure> {
    let (mark, ink) = match (probe.present, probe.required) {
        (true, _) => ("ok  ", Ink::Good),
        (false, true) => ("FAIL", Ink::Bad),
        (false, false) => ("warn", Ink::Warn),
    };
    let mark = out.colour.paint(ink, mark);
    out.line(&format!(
        "{mark}  {}: {}",
        probe.name,
        printable(&probe.found)
    ))?;
    if probe.present {
        return Ok(());
    }
    out.line(&format!("      needed for: {}", probe.why_needed))?;
    if let Some(fallback) = probe.fallback {
        out.line(&format!("      without it: {fallback}"))?;
    }
    if !probe.what_to_do.is_empty() {
        out.line(&format!(
            "      what to do: {}",
            printable(&probe.what_to_do)
        ))?;
    }
    Ok(())
}
