//! The daemon's life: start in order, run, stop with enforcement staying on.

use palisade_config::settings::Settings;

/// Runs until SIGTERM or SIGINT.
pub async fn run(_settings: Settings) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}
