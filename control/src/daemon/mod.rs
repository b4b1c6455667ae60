//! The daemon's life: start in order, run, stop with enforcement staying on.
//!
//! ```text
//! lock -> kernel maps -> store -> bans in the kernel -> policies prepared -> interfaces attached,
//! workers running -> policies published -> API -> ready
//! ```
//!
//! Bans are in the kernel's tables before a program is attached, and workers hold the tables that
//! they judge by before the kernel asks them, so that a start lets nothing through that a running
//! daemon would not.

mod interfaces;
mod links;
mod lock;
mod packets;
mod pulse;
mod watch;
mod workers;

use std::{
    path::Path,
    sync::{Arc, atomic::Ordering, mpsc},
    time::Duration,
};

use anyhow::{Context as _, anyhow};
use palisade_config::settings::Settings;
use palisade_xdp::{Kernel, Unloaded};
use sd_notify::NotifyState;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

pub use self::lock::AlreadyRunning;
use self::{
    interfaces::Interfaces,
    links::{Links, Pair},
    lock::Lock,
    packets::Narrator,
    workers::Roster,
};
use crate::{
    api,
    assemble::{Assembly, assemble},
    clock::{Stopwatch, SystemClock},
    enforce::Enforcer,
    policies::{Adoption, Policies},
};

/// A worker that has not beaten for so long counts as gone. Workers beat every 100 ms at least.
const HEARTBEAT_TIMEOUT: Duration = Duration::from_secs(1);

/// Sampled packets of workers that may wait.
const WORKER_EVENTS_HELD: usize = 1024;

/// Share of the time that counting flows may take, as for comparing tables.
const FLOW_COUNT_INTERVAL: Duration = Duration::from_secs(10);
const FLOW_COUNT_SHARE: u32 = 20;

/// Runs until SIGTERM or SIGINT.
///
/// # Errors
///
/// [`AlreadyRunning`] when another daemon holds the state directory or the pinned maps; anything
/// else says what could not be started.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    // Asked for before anything else, so that a signal during the start ends it in order.
    let mut signals = Signals::listen()?;
    let _state_lock = Lock::state(&settings.state_directory)?;
    let kernel = Kernel::open(&settings.pin_directory)?;
    let _pins_lock = Lock::pins(&settings.pin_directory)?;
    kernel.state().set_heartbeat_timeout(HEARTBEAT_TIMEOUT);

    let links = Links::connect().context("connecting to rtnetlink")?;
    let roster = Arc::new(Roster::default());
    let assembly = assemble(
        &settings,
        &settings.state_directory,
        Arc::new(kernel.clone()) as Arc<dyn Enforcer>,
        Arc::new(SystemClock),
        Arc::clone(&roster) as Arc<dyn Adoption>,
        links.addresses().await?,
    )
    .await?;
    let mut daemon = Daemon::start(&settings, kernel, links, roster, assembly).await?;
    daemon.serve(&settings).await?;
    let writer = daemon.assembly.writer.ended();
    let ended = tokio::select! {
        () = signals.wait() => Ok(()),
        () = writer.cancelled() => Err(anyhow!("the writer of bans died; see the panic above")),
    };
    daemon.stop().await;
    ended
}

/// Takes enforcement off: programs, maps, pairs. Needs the daemon stopped.
///
/// # Errors
///
/// [`AlreadyRunning`] while a daemon runs.
pub fn unload(settings: &Settings) -> anyhow::Result<Unloaded> {
    let _state_lock = Lock::state(&settings.state_directory)?;
    let _pins_lock = match settings.pin_directory.exists() {
        true => Some(Lock::pins(&settings.pin_directory)?),
        false => None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(remove_pairs(&settings.pin_directory))?;
    Ok(palisade_xdp::unload(&settings.pin_directory)?)
}

async fn remove_pairs(pin_directory: &Path) -> anyhow::Result<()> {
    let Some(kernel) = Kernel::open_existing(pin_directory)? else {
        return Ok(());
    };
    let links = Links::connect().context("connecting to rtnetlink")?;
    for slot in kernel.interfaces()? {
        let (near, far) = Pair::names(slot.ifindex);
        links.remove(&near).await?;
        links.remove(&far).await?;
    }
    Ok(())
}

/// The signals that end the daemon.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        Ok(Self {
            terminate,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        let signal = tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        };
        info!(signal, "stopping; enforcement stays on");
    }
}

/// What runs.
struct Daemon {
    assembly: Assembly,
    kernel: Kernel,
    stop: CancellationToken,
    tasks: TaskTracker,
    interfaces: tokio::task::JoinHandle<Interfaces>,
    listening: Option<api::Listening>,
}

impl Daemon {
    async fn start(
        settings: &Settings,
        kernel: Kernel,
        links: Links,
        roster: Arc<Roster>,
        assembly: Assembly,
    ) -> anyhow::Result<Self> {
        let policies = Arc::clone(&assembly.policies);
        let staged = policies.prepare().await?;
        // Interfaces of a daemon that went away are attached already and judge by their old
        // tables until the new ones are published; a fresh kernel has no tables to go on with.
        let mut judge = staged.judges() || !kernel.endpoints().entries()?.is_empty();
        let mut staged = Some(staged);
        let fresh = kernel.interfaces()?.is_empty();
        if fresh && let Some(staged) = staged.take() {
            judge = staged.judges();
            policies.publish_first(staged).await?;
        }

        let (events, worker_events) = mpsc::sync_channel(WORKER_EVENTS_HELD);
        let mut interfaces = Interfaces::new(
            settings,
            kernel.clone(),
            links,
            Arc::clone(&roster),
            Arc::clone(&assembly.tables),
            events,
            assembly.surroundings.clone(),
            Arc::clone(&assembly.board),
        );
        interfaces.detach_unnamed().await?;
        interfaces.look(judge).await;
        if let Some(staged) = staged {
            policies.publish_first(staged).await?;
        }

        let stop = CancellationToken::new();
        let tasks = TaskTracker::new();
        let judging = Arc::clone(&policies);
        let judge = move || !judging.published().endpoints.is_empty();
        let interfaces = tokio::spawn(interfaces.run(stop.clone(), judge));
        tasks.spawn(watch::run(Arc::clone(&policies), stop.clone()));
        tasks.spawn(pulse::run(kernel.clone(), roster, stop.clone()));
        tasks.spawn(reload_on_hangup(policies, stop.clone())?);
        let reconciler = Arc::clone(&assembly.reconciler);
        let stopped = stop.clone();
        tasks.spawn(async move { reconciler.run(stopped).await });
        let daemon = Self {
            assembly,
            kernel,
            stop,
            tasks,
            interfaces,
            listening: None,
        };
        daemon.tasks.spawn(daemon.count_flows());
        daemon.listen_to_packets(worker_events);
        Ok(daemon)
    }

    /// Opens the API and says that we are ready.
    async fn serve(&mut self, settings: &Settings) -> anyhow::Result<()> {
        let served = api::Served {
            core: self.assembly.core.clone(),
            api: settings.api.clone(),
            state_directory: settings.state_directory.clone(),
        };
        self.listening = Some(api::serve(served, self.stop.child_token()).await?);
        self.assembly.board.started.store(true, Ordering::Release);
        let readiness = self.assembly.core.readiness();
        for problem in &readiness.problems {
            warn!(problem, "not ready");
        }
        info!(ready = readiness.ready, "started");
        pulse::tell(&[NotifyState::Ready]);
        Ok(())
    }

    /// Ends what runs, callers first; programs and tables stay as they are.
    async fn stop(self) {
        pulse::tell(&[NotifyState::Stopping]);
        self.stop.cancel();
        if let Some(listening) = self.listening {
            listening.finished().await;
        }
        self.tasks.close();
        self.tasks.wait().await;
        match self.interfaces.await {
            Ok(interfaces) => interfaces.stop_workers().await,
            Err(error) => warn!(%error, "the workers' supervisor had died"),
        }
        self.assembly.bans.stop();
        let writer = self.assembly.writer;
        // A panic of the writer has been reported by the panic hook.
        let _ = tokio::task::spawn_blocking(move || writer.join()).await;
        info!("stopped");
    }

    /// Counts remembered flows now and then: the kernel can only walk them.
    fn count_flows(&self) -> impl Future<Output = ()> + use<> {
        let (kernel, stop) = (self.kernel.clone(), self.stop.clone());
        let board = Arc::clone(&self.assembly.board);
        async move {
            let mut pause = Duration::ZERO;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => {}
                }
                let counting = Stopwatch::start();
                let kernel = kernel.clone();
                if let Ok(Ok(flows)) =
                    tokio::task::spawn_blocking(move || kernel.count_flows()).await
                {
                    board.flows.store(flows, Ordering::Relaxed);
                }
                pause = FLOW_COUNT_INTERVAL.max(counting.elapsed() * FLOW_COUNT_SHARE);
            }
        }
    }

    fn listen_to_packets(&self, worker_events: mpsc::Receiver<palisade_abi::Event>) {
        let narrator = Narrator {
            kernel: self.kernel.clone(),
            policies: Arc::clone(&self.assembly.policies),
            surroundings: self.assembly.surroundings.clone(),
        };
        match self.kernel.events() {
            Ok(ring) => {
                let (narrator, stop) = (narrator.clone(), self.stop.clone());
                self.tasks
                    .spawn_blocking(move || narrator.read_kernel(ring, &stop));
            }
            Err(error) => warn!(%error, "no sampled packets from the kernel"),
        }
        let stop = self.stop.clone();
        self.tasks
            .spawn_blocking(move || narrator.read_workers(&worker_events, &stop));
    }
}

fn reload_on_hangup(
    policies: Arc<Policies>,
    stop: CancellationToken,
) -> std::io::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = hangup.recv() => {
                    info!(signal = "SIGHUP", "reading the policy directory");
                    if let Err(error) = policies.reload().await {
                        warn!(%error, "policies not taken; the old ones stay in force");
                    }
                }
            }
        }
    })
}
