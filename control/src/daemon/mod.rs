//! The daemon's life: start in order, run, stop with enforcement staying on.

use palisade_config::settings::Settings;

/// Runs until SIGTERM or SIGINT.
pub async fn run(_settings: Settings) -> anyhow::Result<()> {
    anyhow::bail!("not built yet")
}

/// Another daemon holds the state directory.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("another palisade runs with {}", state_directory.display())]
pub struct AlreadyRunning {
    pub state_directory: std::path::PathBuf,
}

/// Takes enforcement off.
pub fn unload(_settings: &Settings) -> anyhow::Result<palisade_xdp::Unloaded> {
    anyhow::bail!("not built yet")
}
