//! The configured interfaces: attached when they are there, workers kept alive, given up when
//! they go away, and taken up again when they come back.

mod accounts;
mod attach;
mod seats;

use std::{
    sync::{Arc, atomic::Ordering, mpsc::SyncSender},
    time::Duration,
};

use arc_swap::ArcSwap;
use palisade_abi::Event;
use palisade_config::settings::{self, Settings};
use palisade_fastpath::Tables;
use palisade_xdp::{Attached, AttachedMode, Kernel};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use self::seats::Seat;
use super::{
    links::{Link, Links, Pair},
    workers::{Roster, Shop},
};
use crate::{
    bans::Surroundings,
    clock::Stopwatch,
    core::{Board, InterfaceStatus, What},
};

/// How often everything is looked at, besides when a link changes.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How often the kernel is asked whether the programs are still attached.
const LINK_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Pause before something that failed is tried again: doubled each time, up to the maximum.
const RETRY_FIRST: Duration = Duration::from_millis(250);
const RETRY_MAX: Duration = Duration::from_secs(30);

/// Pauses that grow with each failure.
#[derive(Debug, Default)]
struct Patience {
    failures: u32,
    last: Option<Stopwatch>,
}

impl Patience {
    fn fail(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.last = Some(Stopwatch::start());
    }

    fn is_over(&self) -> bool {
        let factor = 1_u32 << self.failures.saturating_sub(1).min(16);
        let pause = RETRY_FIRST.saturating_mul(factor).min(RETRY_MAX);
        self.last.is_none_or(|last| last.elapsed() >= pause)
    }
}

/// An interface with our programs on it.
#[derive(Debug)]
struct Live {
    link: Link,
    attached: Attached,
    pair: Pair,
    frame_bytes: u32,
    shop: Shop,
    seats: Vec<Seat>,
}

impl Live {
    /// Whether `link` is not what was attached to: a new one of the same name, or with other
    /// queues or longer packets than the workers were made for.
    fn is_of_another(&self, link: &Link) -> bool {
        let made_for = (self.link.index, self.link.queues, self.frame_bytes);
        made_for != (link.index, link.queues, attach::frame_bytes(link.mtu))
    }
}

/// A configured interface.
#[derive(Debug)]
struct Port {
    settings: settings::Interface,
    live: Option<Live>,
    patience: Patience,
    problem: Option<String>,
}

/// All configured interfaces.
#[derive(Debug)]
pub(super) struct Interfaces {
    ports: Vec<Port>,
    kernel: Kernel,
    links: Links,
    roster: Arc<Roster>,
    tables: Arc<ArcSwap<Tables>>,
    events: SyncSender<Event>,
    surroundings: Surroundings,
    board: Arc<Board>,
    link_check: Stopwatch,
}

impl Interfaces {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of its own; made in one place"
    )]
    pub(super) fn new(
        settings: &Settings,
        kernel: Kernel,
        links: Links,
        roster: Arc<Roster>,
        tables: Arc<ArcSwap<Tables>>,
        events: SyncSender<Event>,
        surroundings: Surroundings,
        board: Arc<Board>,
    ) -> Self {
        let port = |interface: &settings::Interface| Port {
            settings: interface.clone(),
            live: None,
            patience: Patience::default(),
            problem: None,
        };
        Self {
            ports: settings.interfaces.iter().map(port).collect(),
            kernel,
            links,
            roster,
            tables,
            events,
            surroundings,
            board,
            link_check: Stopwatch::start(),
        }
    }

    /// Takes the programs off interfaces that the settings do not name any more.
    pub(super) async fn detach_unnamed(&self) -> anyhow::Result<()> {
        for slot in self.kernel.interfaces()? {
            let named = self
                .ports
                .iter()
                .any(|port| port.settings.name == slot.name);
            if named {
                continue;
            }
            warn!(
                interface = slot.name,
                "not in the settings any more: enforcement taken off"
            );
            self.kernel.detach(&slot.name)?;
            let (near, far) = Pair::names(slot.ifindex);
            self.links.remove(&near).await?;
            self.links.remove(&far).await?;
        }
        Ok(())
    }

    /// Looks at every interface once: attaches, starts workers, gives up what has gone.
    /// `judge`: whether endpoints exist.
    pub(super) async fn look(&mut self, judge: bool) {
        let check_links = self.link_check.elapsed() >= LINK_CHECK_INTERVAL;
        if check_links {
            self.link_check = Stopwatch::start();
        }
        let mut ports = std::mem::take(&mut self.ports);
        for port in &mut ports {
            self.look_at(port, judge, check_links).await;
        }
        self.ports = ports;
        self.show();
    }

    async fn look_at(&self, port: &mut Port, judge: bool, check_link: bool) {
        let name = port.settings.name.clone();
        let link = match self.links.find(&name).await {
            Ok(link) => link,
            Err(error) => {
                port.problem = Some(error.to_string());
                return;
            }
        };
        if let Some(live) = &port.live {
            let gone = link.as_ref().is_none_or(|link| live.is_of_another(link));
            // A worker in trouble may have lost its way back, and cannot wait for the next check.
            let suspect = check_link || live.seats.iter().any(|seat| seat.problem.is_some());
            let lost = !gone && suspect && self.has_lost_a_part(&name, &live.pair).await;
            if gone || lost {
                warn!(interface = name, gone, "interface lost");
                self.surroundings.notify(What::InterfaceLost {
                    interface: name.clone(),
                });
                self.give_up(port).await;
            }
        }
        let Some(link) = link else {
            if port.problem.as_deref() != Some("no such interface") {
                warn!(interface = name, "no such interface; waiting for it");
            }
            port.problem = Some("no such interface".to_owned());
            return;
        };
        if port.live.is_none() && port.patience.is_over() {
            match self.attach(&port.settings, link, judge).await {
                Ok(live) => {
                    port.live = Some(live);
                    port.patience = Patience::default();
                    port.problem = None;
                }
                Err(error) => {
                    let problem = format!("{error:#}");
                    warn!(
                        interface = name,
                        problem, "interface not attached; trying again"
                    );
                    port.problem = Some(problem);
                    port.patience.fail();
                }
            }
        }
        if let Some(live) = &mut port.live {
            self.keep_workers(&port.settings, live).await;
        }
    }

    /// Whether somebody has taken our program off, put another one in its place, or removed the
    /// pair for packets given back.
    async fn has_lost_a_part(&self, name: &str, pair: &Pair) -> bool {
        let detached = self.kernel.interfaces().is_ok_and(|slots| {
            let slot = slots.iter().find(|slot| slot.name == name);
            slot.is_none_or(|slot| slot.mode.is_none())
        });
        match self.links.keep_pair(pair).await {
            Ok(sound) => detached || !sound,
            Err(error) => {
                warn!(interface = name, %error, "give-back pair not looked at");
                detached
            }
        }
    }

    /// Stops the workers of an interface that has gone, and removes its pair.
    async fn give_up(&self, port: &mut Port) {
        let Some(live) = port.live.take() else { return };
        for (queue, _) in (0_u32..).zip(&live.seats) {
            self.dismiss((live.attached.slot, queue)).await;
        }
        for name in [&live.pair.near, &live.pair.far] {
            if let Err(error) = self.links.remove(name).await {
                warn!(%error, "give-back pair left behind");
            }
        }
    }

    /// Tells the board what is alive.
    fn show(&self) {
        let alive = self.roster.alive();
        let status = |port: &Port| {
            let Some(live) = &port.live else {
                return InterfaceStatus {
                    name: port.settings.name.clone(),
                    problem: port.problem.clone(),
                    ..InterfaceStatus::default()
                };
            };
            let slot = live.attached.slot;
            let workers_alive = alive.iter().filter(|(of, _)| *of == slot).count();
            InterfaceStatus {
                name: port.settings.name.clone(),
                attached: true,
                mode: mode_label(live.attached.mode).to_owned(),
                fell_back: live.attached.fell_back.clone(),
                queues: u32::try_from(live.seats.len()).unwrap_or(u32::MAX),
                workers_alive: u32::try_from(workers_alive).unwrap_or(u32::MAX),
                zero_copy: !live.seats.is_empty() && live.seats.iter().all(|seat| seat.zero_copy),
                problem: live.seats.iter().find_map(|seat| seat.problem.clone()),
            }
        };
        self.board
            .set_interfaces(self.ports.iter().map(status).collect());
        self.board
            .worker_events_lost
            .store(self.roster.events_lost(), Ordering::Relaxed);
    }

    /// Looks again and again until told to stop.
    pub(super) async fn run(mut self, stop: CancellationToken, judge: impl Fn() -> bool) -> Self {
        let mut changes = self.links.changes();
        loop {
            tokio::select! {
                () = stop.cancelled() => return self,
                changed = changes.changed() => {
                    if changed.is_err() {
                        tokio::time::sleep(LOOK_INTERVAL).await;
                    }
                    self.renew_addresses().await;
                }
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
            self.look(judge()).await;
        }
    }

    async fn renew_addresses(&self) {
        match self.links.addresses().await {
            Ok(addresses) => self.surroundings.node_addresses.store(Arc::new(addresses)),
            Err(error) => warn!(%error, "addresses of this node not renewed"),
        }
    }

    /// Stops every worker. Programs and pairs stay: enforcement goes on.
    pub(super) async fn stop_workers(self) {
        for seat in self.roster.alive() {
            self.dismiss(seat).await;
        }
    }
}

fn mode_label(mode: AttachedMode) -> &'static str {
    match mode {
        AttachedMode::Native => "native",
        AttachedMode::Generic => "generic",
    }
}
