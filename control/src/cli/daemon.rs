//! `palisade run` and `palisade unload`: the two commands that touch the kernel themselves.

use std::io::IsTerminal;

use palisade_config::settings::Settings;
use tracing_subscriber::EnvFilter;

use super::{
    arguments::{Global, Run},
    exit::{Exit, Failure},
    output::Output,
    settings,
};
use crate::daemon;

pub(super) fn run(global: &Global, run: &Run) -> Result<Exit, Failure> {
    let mut settings = settings(global)?;
    for name in &run.interface {
        settings = settings
            .with_interface(name)
            .map_err(|error| Failure::Usage(format!("--interface {name}: {}", error.problem)))?;
    }
    if let Some(socket) = &global.socket {
        settings.api.unix.clone_from(socket);
    }
    if run.check {
        return check(&settings);
    }
    if settings.interfaces.is_empty() {
        let what = "no interface to protect: add an [[interface]] to the configuration, or give --interface NAME";
        return Err(Failure::Reported(what.to_owned()));
    }
    start_log();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let runtime = runtime.map_err(anyhow::Error::from)?;
    runtime
        .block_on(daemon::run(settings))
        .map_err(refused_if_running)?;
    Ok(Exit::Done)
}

fn check(settings: &Settings) -> Result<Exit, Failure> {
    let mut out = Output::stdout();
    let names: Vec<_> = settings
        .interfaces
        .iter()
        .map(|interface| interface.name.as_str())
        .collect();
    match names.as_slice() {
        [] => out.line(
            "the configuration is valid; it names no interface, so `run` needs --interface",
        )?,
        names => out.line(&format!(
            "the configuration is valid; interfaces: {}",
            names.join(", ")
        ))?,
    }
    out.flush()?;
    Ok(Exit::Done)
}

pub(super) fn unload(global: &Global, out: &mut Output) -> Result<Exit, Failure> {
    let settings = settings(global)?;
    let unloaded = daemon::unload(&settings).map_err(refused_if_running)?;
    if unloaded.pins == 0 {
        out.line("nothing was loaded")?;
    } else {
        let names = unloaded.interfaces.join(", ");
        out.line(&format!(
            "enforcement is off: {names}; {} pins removed",
            unloaded.pins
        ))?;
    }
    Ok(Exit::Done)
}

fn refused_if_running(error: anyhow::Error) -> Failure {
    match error.downcast_ref::<daemon::AlreadyRunning>() {
        Some(running) => Failure::Refused(running.to_string()),
        None => Failure::Other(error),
    }
}

/// Logs go to stderr: coloured on a terminal, without times where the journal adds them.
fn start_log() {
    let filter = EnvFilter::try_from_env("PALISADE_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let is_journal = std::env::var_os("JOURNAL_STREAM").is_some();
    let no_colour = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal() && !no_colour);
    if is_journal {
        log.without_time().init()
    } else {
        log.init()
    }
}
