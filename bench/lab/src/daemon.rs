//! The daemon under test: configured, started on the edge, killed, restarted, asked.
//!
//! It is the real binary as its own process, started as an operator would: a configuration file,
//! `palisade run`, the unix socket. All it owns lies in the lab's folder.

use crate::host::Process;
use crate::{Api, Host, Lab, Samples, clock};
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

const READY_WITHIN: Duration = Duration::from_secs(30);
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// How much of a log is shown when a test fails.
const LOG_LINES_SHOWN: usize = 60;

/// What the daemon is started with.
#[derive(Clone, Debug)]
pub struct DaemonOptions {
    /// The binary.
    pub program: PathBuf,
    /// `[[interface]]` tables: the name and further lines.
    pub interfaces: Vec<(String, String)>,
    /// Further TOML: guard, endpoints.
    pub settings: String,
    /// Put before the program, such as a command that takes privileges away.
    pub wrapper: Vec<String>,
    pub environment: Vec<(String, String)>,
}

impl DaemonOptions {
    /// The first uplink with the defaults.
    #[must_use]
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            interfaces: vec![("up0".to_owned(), String::new())],
            settings: String::new(),
            wrapper: Vec::new(),
            environment: Vec::new(),
        }
    }

    /// Adds lines to the first interface.
    #[must_use]
    pub fn interface(mut self, lines: &str) -> Self {
        if let Some((_, settings)) = self.interfaces.first_mut() {
            settings.push_str(lines);
            settings.push('\n');
        }
        self
    }

    /// Adds top-level tables.
    #[must_use]
    pub fn settings(mut self, toml: &str) -> Self {
        self.settings.push_str(toml);
        self.settings.push('\n');
        self
    }
}

/// Where the daemon keeps its things.
#[derive(Clone, Debug)]
pub struct DaemonPaths {
    pub config: PathBuf,
    pub state: PathBuf,
    pub pins: PathBuf,
    pub policies: PathBuf,
    pub socket: PathBuf,
    pub log: PathBuf,
}

impl DaemonPaths {
    fn within(folder: &Path) -> Self {
        Self {
            config: folder.join("palisade.toml"),
            state: folder.join("state"),
            pins: folder.join("bpf/palisade"),
            policies: folder.join("policies.d"),
            socket: folder.join("palisade.sock"),
            log: folder.join("palisade.log"),
        }
    }
}

/// A daemon on the edge. Dropping it ends it as `kill -9` does; its enforcement goes with the lab.
#[derive(Debug)]
pub struct Daemon {
    pub paths: DaemonPaths,
    edge: Host,
    options: DaemonOptions,
    process: Option<Process>,
}

impl Daemon {
    /// Writes the configuration, starts the daemon and waits until it is ready.
    pub fn start(lab: &Lab, options: DaemonOptions) -> Result<Self> {
        let mut daemon = Self::prepare(lab, options)?;
        daemon.start_again()?;
        Ok(daemon)
    }

    /// Writes the configuration only.
    pub fn prepare(lab: &Lab, options: DaemonOptions) -> Result<Self> {
        let paths = DaemonPaths::within(&lab.folder);
        for folder in [&paths.state, &paths.policies] {
            std::fs::create_dir_all(folder)?;
        }
        let daemon = Self {
            paths,
            edge: lab.edge.clone(),
            options,
            process: None,
        };
        daemon.write_settings()?;
        Ok(daemon)
    }

    fn write_settings(&self) -> Result<()> {
        let DaemonPaths {
            config,
            state,
            pins,
            policies,
            socket,
            ..
        } = &self.paths;
        let mut toml = format!(
            "state_directory = {state:?}\npin_directory = {pins:?}\n\n[api]\nunix = {socket:?}\n\n\
             [policy]\ndirectory = {policies:?}\n\n"
        );
        for (name, lines) in &self.options.interfaces {
            writeln!(toml, "[[interface]]\nname = {name:?}\n{lines}")?;
        }
        toml.push_str(&self.options.settings);
        std::fs::write(config, toml).with_context(|| format!("writing {}", config.display()))
    }

    /// Starts it after [`Daemon::stop`] or [`Daemon::kill`], and waits until it is ready.
    pub fn start_again(&mut self) -> Result<()> {
        self.launch()?;
        let api = self.api();
        let mut ended = None;
        let ready = clock::eventually(READY_WITHIN, || {
            ended = self
                .process
                .as_mut()
                .and_then(|process| process.ended().ok().flatten());
            ended.is_some() || api.get("/readyz").is_ok_and(|answer| answer.status == 200)
        });
        match ended {
            Some(status) => bail!("the daemon ended with {status}:\n{}", self.log_tail()),
            None if !ready => bail!("the daemon is not ready:\n{}", self.log_tail()),
            None => Ok(()),
        }
    }

    /// Starts it without waiting.
    pub fn launch(&mut self) -> Result<()> {
        let mut words = self.options.wrapper.iter().map(String::as_str);
        let program = self.options.program.as_os_str();
        let mut command = match words.next() {
            Some(wrapper) => {
                let mut command = self.edge.command(wrapper);
                command.args(words).arg(program);
                command
            }
            None => self.edge.command(program),
        };
        command.arg("run").arg("--config").arg(&self.paths.config);
        command.envs(
            self.options
                .environment
                .iter()
                .map(|(key, value)| (key, value)),
        );
        self.process = Some(Process::start(command, &self.paths.log)?);
        Ok(())
    }

    /// Changes what it will be started with next, and writes the configuration.
    pub fn reconfigure(&mut self, change: impl FnOnce(&mut DaemonOptions)) -> Result<()> {
        change(&mut self.options);
        self.write_settings()
    }

    /// Ends it as a service manager does; it must end well and in time.
    pub fn stop(&mut self) -> Result<()> {
        let mut process = self.process.take().context("the daemon does not run")?;
        let status = process.terminate(STOP_WITHIN)?;
        if !status.success() {
            bail!("the daemon ended with {status}:\n{}", self.log_tail());
        }
        Ok(())
    }

    /// Ends it as `kill -9` does.
    pub fn kill(&mut self) -> Result<()> {
        self.process
            .take()
            .context("the daemon does not run")?
            .kill()
            .map(drop)
    }

    pub fn process(&mut self) -> Result<&mut Process> {
        self.process.as_mut().context("the daemon does not run")
    }

    #[must_use]
    pub fn api(&self) -> Api {
        Api::at(&self.paths.socket)
    }

    /// A subcommand of the binary, configured for this daemon, ready to be run on the edge.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.edge.command(&self.options.program);
        command.arg("--config").arg(&self.paths.config);
        command.arg("--socket").arg(&self.paths.socket);
        command.args(arguments);
        command
    }

    /// Runs a subcommand to its end, whatever that is.
    pub fn cli(&self, arguments: &[&str]) -> Result<Output> {
        self.command(arguments)
            .output()
            .with_context(|| format!("running palisade {arguments:?}"))
    }

    /// One scrape of the metrics.
    pub fn metrics(&self) -> Result<Samples> {
        Ok(Samples::parse(
            &self.api().get("/metrics")?.expect(200)?.body,
        ))
    }

    /// Puts a file into the policy directory, as an editor does: whole at once.
    pub fn write_policy(&self, name: &str, text: &str) -> Result<()> {
        let unfinished = self.paths.policies.join(format!(".{name}.part"));
        std::fs::write(&unfinished, text)?;
        std::fs::rename(unfinished, self.paths.policies.join(name)).context("placing a policy")
    }

    pub fn remove_policy(&self, name: &str) -> Result<()> {
        std::fs::remove_file(self.paths.policies.join(name)).context("removing a policy")
    }

    /// What it has said so far, over all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.paths.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The last lines of its log.
    #[must_use]
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        lines
            .get(lines.len().saturating_sub(LOG_LINES_SHOWN)..)
            .unwrap_or_default()
            .join("\n")
    }

    /// Resident memory, in bytes.
    pub fn resident_bytes(&self) -> Result<u64> {
        let pid = self
            .process
            .as_ref()
            .context("the daemon does not run")?
            .pid();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- log of the daemon ---\n{}", self.log_tail());
        }
    }
}
