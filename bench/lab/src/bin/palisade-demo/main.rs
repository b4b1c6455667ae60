//! The demonstration: palisade on real traffic, each claim measured while you watch.
//!
//! It builds a lab, starts the daemon on the lab's edge and walks through the steps in [`story`].
//! A claim that does not hold ends it with status 1 and the daemon's log. `LAB=keep` leaves the
//! lab up and says how to enter and remove it.

mod narrator;
mod scene;
mod story;

use anyhow::{Context, Result, ensure};
use narrator::Narrator;
use scene::Scene;
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    match demonstrate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nFAILED: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn demonstrate() -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "the demo needs root: run \"make demo\""
    );
    let program = match std::env::var_os("PALISADE_BIN") {
        Some(path) => PathBuf::from(path),
        None => std::env::current_exe()?.with_file_name("palisade"),
    };
    let program = program
        .canonicalize()
        .with_context(|| format!("no binary at {}: run \"make build\"", program.display()))?;
    let keep = std::env::var_os("LAB").is_some_and(|value| value == "keep");
    let mut narrator = Narrator::new();
    let mut scene = Scene::set(&program, keep, &mut narrator)?;
    let outcome = story::tell(&mut scene, &mut narrator);
    if outcome.is_err() {
        eprintln!("\n--- log of the daemon ---\n{}", scene.daemon.log_tail());
    }
    if keep {
        println!("\nThe lab is left up.\n{}", scene.instructions());
        // Daemon and server run on.
        std::mem::forget(scene);
    }
    outcome
}
