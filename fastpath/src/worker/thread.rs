//! Starting and stopping a worker.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
};

use arc_swap::ArcSwap;
use rustix::{
    net::{AddressFamily, SocketType, netdevice::name_to_index},
    thread::{CpuSet, sched_setaffinity},
};
use tracing::{error, info, warn};

use super::{Engine, Figures, GiveBack, Intake, Ports, SpawnError, WorkerSettings, shared::Shared};
use crate::{
    clock::Now,
    tables::Tables,
    xsk::{FrameLayout, Receiver, Sender},
};

/// Frames for packets on their way back. They return in microseconds: more would only be memory.
const GIVE_BACK_FRAMES: u32 = 1024;

/// A running worker. Dropping it stops it.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    zero_copy: bool,
    fell_back: Option<String>,
}

/// Starts a worker: binds its sockets, has it registered and runs its thread.
pub fn spawn(
    settings: WorkerSettings,
    tables: Arc<ArcSwap<Tables>>,
    mut ports: Ports,
) -> Result<Worker, SpawnError> {
    let layout = FrameLayout::new(settings.frame_count, settings.frame_bytes)?;
    let returning = FrameLayout::new(
        settings.frame_count.min(GIVE_BACK_FRAMES),
        settings.frame_bytes,
    )?;
    let give_back = Sender::bind(
        &settings.give_back,
        settings.give_back_queue,
        returning,
        settings.shim,
    )?;
    let intake = Receiver::bind(
        &settings.interface,
        settings.queue,
        layout,
        settings.zero_copy,
    )?;
    check_name(&settings)?;
    let zero_copy = intake.is_zero_copy();
    let fell_back = intake.fell_back().map(str::to_owned);
    if let Some(reason) = &fell_back {
        info!(
            interface = settings.interface,
            queue = settings.queue,
            reason,
            "zero-copy refused: copying"
        );
    }

    // The kernel redirects only to workers that beat, so the first beat comes before the socket
    // can be found and the thread takes over at once.
    ports.cells.beat(Now::read().nanoseconds());
    let register = std::mem::replace(&mut ports.register, Box::new(|_| Ok(())));
    register(intake.fd()).map_err(|source| SpawnError::Register {
        interface: settings.interface.clone(),
        queue: settings.queue,
        source,
    })?;

    let name = format!("palisade-{}-{}", settings.slot, settings.queue);
    let engine = Engine::new(intake, give_back, settings.slot, tables, ports);
    let mut worker = engine
        .start(name, settings.cpu)
        .map_err(|source| SpawnError::Thread {
            interface: settings.interface,
            queue: settings.queue,
            source,
        })?;
    worker.zero_copy = zero_copy;
    worker.fell_back = fell_back;
    Ok(worker)
}

/// Whether what was bound to by name is what was meant.
fn check_name(settings: &WorkerSettings) -> Result<(), SpawnError> {
    let found = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)
        .and_then(|socket| name_to_index(socket, &settings.interface));
    if found == Ok(settings.ifindex) {
        return Ok(());
    }
    Err(SpawnError::Renamed {
        interface: settings.interface.clone(),
        ifindex: settings.ifindex,
    })
}

impl<I: Intake + 'static, G: GiveBack + 'static> Engine<I, G> {
    /// Runs the loop on a thread of its own, on `cpu` if that is possible.
    pub fn start(mut self, name: String, cpu: Option<usize>) -> io::Result<Worker> {
        let shared = Arc::clone(self.shared());
        shared.alive.store(true, Ordering::Release);
        let thread = std::thread::Builder::new()
            .name(name.clone())
            .spawn(move || {
                let shared = Arc::clone(self.shared());
                let cells = Arc::clone(self.cells());
                pin(&name, cpu);
                // A panic is a bug of ours: it ends this worker, and the kernel program sees it gone.
                // What the engine had half done is only accounted for, never continued.
                let outcome = catch_unwind(AssertUnwindSafe(|| self.run()));
                cells.beat(0);
                match outcome {
                    Ok(Ok(())) => {}
                    Ok(Err(failure)) => {
                        error!(worker = name, %failure, "worker ended");
                        shared.fail(failure.to_string());
                    }
                    Err(_panic) => {
                        error!(worker = name, "worker panicked");
                        shared.fail("panic".to_owned());
                    }
                }
                // Settling may fail by the same bug, and must not keep us from saying that we are gone.
                let _ = catch_unwind(AssertUnwindSafe(|| self.settle()));
                drop(self);
                shared.alive.store(false, Ordering::Release);
            })?;
        Ok(Worker {
            shared,
            thread: Some(thread),
            zero_copy: false,
            fell_back: None,
        })
    }
}

fn pin(name: &str, cpu: Option<usize>) {
    let Some(cpu) = cpu else { return };
    let mut set = CpuSet::new();
    let pinned = if cpu < CpuSet::MAX_CPU {
        set.set(cpu);
        sched_setaffinity(None, &set).map_err(io::Error::from)
    } else {
        Err(io::ErrorKind::InvalidInput.into())
    };
    if let Err(error) = pinned {
        warn!(worker = name, cpu, %error, "worker is not pinned to its CPU");
    }
}

impl Worker {
    /// The generation by which every packet from now on is judged, or a later one.
    ///
    /// A worker takes tables up between two batches, within 50 ms when idle. Keep the tables that
    /// were replaced until it has, so that freeing them does not fall to the worker.
    pub fn adopted_generation(&self) -> u32 {
        self.shared.adopted.load(Ordering::Acquire)
    }

    pub fn is_alive(&self) -> bool {
        self.shared.alive.load(Ordering::Acquire)
    }

    pub fn zero_copy(&self) -> bool {
        self.zero_copy
    }

    /// Why zero-copy was tried and given up.
    pub fn fell_back(&self) -> Option<&str> {
        self.fell_back.as_deref()
    }

    /// Why a worker that is not alive ended, if it was not told to.
    pub fn failure(&self) -> Option<String> {
        self.shared.failure()
    }

    pub fn figures(&self) -> Figures {
        self.shared.figures()
    }

    /// Handles what has arrived, accounts for every packet, and ends the thread.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // The thread catches its panics: there is nothing to learn from the result.
            let _ = thread.join();
        }
    }
}
