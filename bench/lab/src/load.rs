//! Load that goes on beside a test: an honest client's requests, and a flood.

use crate::host::{Host, echoes};
use crate::{clock, wire};
use anyhow::{Context, Result, anyhow};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two requests of an honest client.
const REQUEST_INTERVAL: Duration = Duration::from_millis(20);
/// A request that takes longer counts as failed. Shorter than TCP's second retransmission of a
/// SYN, so that one lost packet is forgiven and an outage is not.
const REQUEST_WITHIN: Duration = Duration::from_millis(2500);
/// A flood sends so many frames, then lets others have the processor.
const FLOOD_BURST: usize = 32;
const FLOOD_PAUSE: Duration = Duration::from_millis(1);

/// A thread that ends when it is told to.
#[derive(Debug)]
struct Task {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Task {
    /// Runs `turn` again and again inside the namespace of `host`.
    fn start(host: &Host, mut turn: impl FnMut() -> Result<()> + Send + 'static) -> Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = host.enter(|| {
            std::thread::spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    turn()?;
                }
                Ok(())
            })
        })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    fn finish(&mut self) -> Result<()> {
        self.stop.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else {
            return Ok(());
        };
        thread.join().map_err(|_| anyhow!("the load panicked"))?
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // Who wants to know calls `finish`.
        let _ = self.finish();
    }
}

/// What an honest client has seen.
#[derive(Clone, Debug, Default)]
pub struct Experience {
    pub requests: u64,
    pub failures: Vec<String>,
    pub slowest: Duration,
}

/// Connects to an echo server, sends a line, waits for it to come back, again and again.
#[derive(Debug)]
pub struct Requests {
    experience: Arc<Mutex<Experience>>,
    task: Task,
}

impl Requests {
    pub fn start(host: &Host, to: impl Into<SocketAddr>) -> Result<Self> {
        let to = to.into();
        let experience = Arc::new(Mutex::new(Experience::default()));
        let record = Arc::clone(&experience);
        let task = Task::start(host, move || {
            let start = clock::now();
            let outcome = TcpStream::connect_timeout(&to, REQUEST_WITHIN).and_then(|mut stream| {
                stream.set_read_timeout(Some(REQUEST_WITHIN))?;
                echoes(&mut stream)
            });
            let taken = start.elapsed();
            {
                let mut record = record.lock().map_err(|_| anyhow!("a poisoned record"))?;
                record.requests += 1;
                record.slowest = record.slowest.max(taken);
                if let Err(error) = outcome {
                    record.failures.push(format!("after {taken:?}: {error}"));
                }
            }
            clock::pause(REQUEST_INTERVAL);
            Ok(())
        })?;
        Ok(Self { experience, task })
    }

    /// What has been seen since the start or the last call.
    pub fn take(&self) -> Result<Experience> {
        let mut record = self
            .experience
            .lock()
            .map_err(|_| anyhow!("a poisoned record"))?;
        Ok(std::mem::take(&mut *record))
    }

    pub fn finish(mut self) -> Result<Experience> {
        self.task.finish()?;
        self.take()
    }
}

/// Sends frames round and round as fast as it may without starving the others.
#[derive(Debug)]
pub struct Flood {
    sent: Arc<AtomicU64>,
    task: Task,
}

impl Flood {
    pub fn start(host: &Host, frames: Vec<Vec<u8>>) -> Result<Self> {
        anyhow::ensure!(!frames.is_empty(), "a flood of no frames");
        let injector: wire::Injector = host.injector()?;
        let sent = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&sent);
        let mut place = 0;
        let task = Task::start(host, move || {
            for _ in 0..FLOOD_BURST {
                let frame = frames.get(place % frames.len()).context("a frame")?;
                injector.send(frame)?;
                place += 1;
                count.fetch_add(1, Ordering::Relaxed);
            }
            clock::pause(FLOOD_PAUSE);
            Ok(())
        })?;
        Ok(Self { sent, task })
    }

    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Ends it; how many frames were sent.
    pub fn finish(mut self) -> Result<u64> {
        self.task.finish()?;
        Ok(self.sent())
    }
}
