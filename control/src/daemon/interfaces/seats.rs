//! One worker for each queue, started again when it dies.

use std::time::Duration;

use palisade_config::settings;
use palisade_fastpath::{Worker, WorkerSettings};
use tracing::{info, warn};

use super::{Interfaces, Live, Patience};
use crate::{clock::Stopwatch, core::What};

/// A worker that has run for so long has recovered.
const RECOVERED_AFTER: Duration = Duration::from_secs(60);

/// Packets that may wait for one worker.
const FRAME_COUNT: u32 = 2048;

/// The worker's place at one queue of an attached interface.
#[derive(Debug, Default)]
pub(super) struct Seat {
    patience: Patience,
    started: Option<Stopwatch>,
    pub(super) problem: Option<String>,
    pub(super) zero_copy: bool,
}

impl Interfaces {
    /// Starts the workers that do not run.
    pub(super) async fn keep_workers(&self, settings: &settings::Interface, live: &mut Live) {
        let mut seats = std::mem::take(&mut live.seats);
        for (queue, seat) in (0_u32..).zip(&mut seats) {
            if !self
                .is_served(&settings.name, (live.attached.slot, queue), seat)
                .await
                && seat.patience.is_over()
            {
                self.fill(settings, live, queue, seat).await;
            }
        }
        live.seats = seats;
    }

    /// Whether the seat has a live worker. A dead one is taken away.
    async fn is_served(&self, interface: &str, place: (u16, u32), seat: &mut Seat) -> bool {
        let Some(worker) = self.roster.get(place) else {
            return false;
        };
        if worker.is_alive() {
            let started = seat.started.get_or_insert_with(Stopwatch::start);
            if started.elapsed() > RECOVERED_AFTER {
                seat.patience = Patience::default();
            }
            return true;
        }
        let problem = worker.failure().unwrap_or_else(|| "it ended".to_owned());
        drop(worker);
        let (_, queue) = place;
        warn!(interface, queue, problem, "worker died; starting it again");
        self.surroundings.notify(What::WorkerDied {
            interface: interface.to_owned(),
            queue,
            problem: problem.clone(),
        });
        seat.problem = Some(problem);
        seat.patience.fail();
        self.dismiss(place).await;
        false
    }

    /// Starts the worker of a seat.
    async fn fill(&self, settings: &settings::Interface, live: &Live, queue: u32, seat: &mut Seat) {
        let interface = settings.name.clone();
        let slot = live.attached.slot;
        let wanted = WorkerSettings {
            interface: interface.clone(),
            ifindex: live.link.index,
            slot,
            queue,
            cpu: cpu_of(queue),
            zero_copy: settings.zero_copy,
            give_back: live.pair.near.clone(),
            give_back_queue: queue,
            shim: live.attached.shim_token,
            frame_count: FRAME_COUNT,
            frame_bytes: live.frame_bytes,
        };
        let shop = live.shop.clone();
        let started = tokio::task::spawn_blocking(move || shop.start(wanted)).await;
        let started: anyhow::Result<Worker> = started
            .map_err(anyhow::Error::from)
            .and_then(|worker| Ok(worker?));
        match started {
            Ok(worker) => {
                let zero_copy = worker.zero_copy();
                info!(interface, queue, zero_copy, "worker started");
                self.surroundings
                    .notify(What::WorkerStarted { interface, queue });
                seat.zero_copy = zero_copy;
                seat.problem = None;
                seat.started = Some(Stopwatch::start());
                self.roster.seat((slot, queue), worker);
            }
            Err(error) => {
                let problem = format!("{error:#}");
                warn!(interface, queue, problem, "worker not started");
                seat.problem = Some(problem);
                seat.patience.fail();
            }
        }
    }

    /// Ends the worker of a seat, if there is one.
    pub(super) async fn dismiss(&self, place: (u16, u32)) {
        if let Some(worker) = self.roster.dismiss(place) {
            // Dropping waits for the thread. A panic there has been reported by the worker.
            let _ = tokio::task::spawn_blocking(move || drop(worker)).await;
        }
    }
}

/// The CPU for a queue: one after the other of those that we may run on.
fn cpu_of(queue: u32) -> Option<usize> {
    let allowed = rustix::thread::sched_getaffinity(None).ok()?;
    let all = 0..rustix::thread::CpuSet::MAX_CPU;
    let cpus: Vec<usize> = all.filter(|cpu| allowed.is_set(*cpu)).collect();
    let index = usize::try_from(queue).ok()?.checked_rem(cpus.len())?;
    cpus.get(index).copied()
}
