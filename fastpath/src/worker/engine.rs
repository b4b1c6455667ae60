//! The loop of a worker.
//!
//! ```text
//! beat -> snapshot -> receive -> decide -> write verdicts -> give back -> release -> count
//! ```
//!
//! Verdicts are written before the packets go on, so that the packet that follows finds them. Packets
//! are counted as passed when the kernel has taken them from us, not when we decided so: what the
//! kernel handed over is at any time passed, dropped, lost, or in flight.
//!
//! Nothing is allocated after [`Engine::new`]. Nothing blocks but the wait for packets.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use arc_swap::{ArcSwap, Cache};
use palisade_abi::{FLOW_ADMITTED, FlowKey, FlowVerdict, Reason, Verdict, counter_cell};

use super::{
    BATCH, Figures, GiveBack, Intake, Note, Ports, VerdictSink, WorkerCells, sampler::Sampler,
    shared::Shared, tally::Tally,
};
use crate::{
    clock::Now,
    fragments::FragmentTable,
    pipeline::{Replies, judge},
    tables::Tables,
    verdict::{Decision, Fate},
};

/// Longest wait for packets, and so between two beats.
const IDLE: Duration = Duration::from_millis(50);

/// The same while packets are in flight, whose completion nobody announces.
const IN_FLIGHT: Duration = Duration::from_millis(1);

/// How often the kernel is asked what it lost.
const LOSSES_EVERY: Duration = Duration::from_millis(100);

/// How long an orderly stop waits for packets to arrive and to leave.
const DRAIN: Duration = Duration::from_millis(500);

/// A worker without its thread: `turn` is one round of the loop.
pub struct Engine<I, G> {
    intake: I,
    give_back: G,
    tables: Cache<Arc<ArcSwap<Tables>>, Arc<Tables>>,
    verdicts: Box<dyn VerdictSink>,
    cells: Arc<dyn WorkerCells>,
    fragments: Arc<FragmentTable>,
    replies: Box<dyn Replies + Send>,
    sampler: Sampler,
    shared: Arc<Shared>,
    tally: Tally,
    /// Verdicts of this batch, for the kernel.
    remembered: Vec<(FlowKey, FlowVerdict)>,
    /// Packets of this batch to give back.
    accepted: Vec<(usize, Note)>,
    losses_read: Now,
}

impl<I, G> std::fmt::Debug for Engine<I, G> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("shared", &self.shared)
            .finish_non_exhaustive()
    }
}

impl<I: Intake, G: GiveBack> Engine<I, G> {
    /// `ports.register` is not called here: that is for whoever owns the socket.
    pub fn new(
        intake: I,
        give_back: G,
        slot: u16,
        tables: Arc<ArcSwap<Tables>>,
        ports: Ports,
    ) -> Self {
        Self {
            intake,
            give_back,
            tables: Cache::new(tables),
            verdicts: ports.verdicts,
            cells: ports.cells,
            fragments: ports.fragments,
            replies: ports.replies,
            sampler: Sampler::new(ports.events, slot),
            shared: Arc::default(),
            tally: Tally::new(),
            remembered: Vec::with_capacity(BATCH),
            accepted: Vec::with_capacity(BATCH),
            losses_read: Now::from_nanoseconds(0),
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    pub fn figures(&self) -> Figures {
        self.shared.figures()
    }

    pub(super) fn cells(&self) -> &Arc<dyn WorkerCells> {
        &self.cells
    }

    /// Runs until asked to stop. An error means that the kernel will not work with us any more.
    pub(super) fn run(&mut self) -> io::Result<()> {
        while !self.shared.stop.load(Ordering::Relaxed) {
            let received = self.turn(Now::read())?;
            if received == 0 {
                self.intake.wait(self.patience())?;
            }
        }
        self.drain()
    }

    /// One round: returns how many packets it handled.
    pub fn turn(&mut self, now: Now) -> io::Result<usize> {
        self.cells.beat(now.nanoseconds());
        self.round(now)
    }

    fn round(&mut self, now: Now) -> io::Result<usize> {
        let tables = Arc::clone(self.tables.load());
        self.shared
            .adopted
            .store(tables.generation, Ordering::Release);

        let received = self.intake.receive();
        for index in 0..received {
            self.decide(index, &tables, now);
        }
        self.write_verdicts();
        self.deliver()?;
        self.intake.release();

        if now.since(self.losses_read) >= LOSSES_EVERY {
            self.read_losses(now)?;
        }
        self.tally.publish(&*self.cells);
        Ok(received)
    }

    fn decide(&mut self, index: usize, tables: &Tables, now: Now) {
        let Some(frame) = self.intake.frame(index) else {
            self.shared.bad_descriptors.fetch_add(1, Ordering::Relaxed);
            self.tally.lost(Reason::WorkerFull, 1);
            return;
        };
        let (decision, packet) = judge(frame, tables, &self.fragments, &*self.replies, now);
        if self
            .sampler
            .offer(&decision, packet.as_ref(), frame.len(), now)
        {
            self.shared.events_lost.fetch_add(1, Ordering::Relaxed);
        }

        let Decision {
            fate,
            reason,
            remember,
            train,
        } = decision;
        if let Some(train) = train {
            self.fragments.record(&train, fate, reason, now);
        }
        if let Some(flow) = remember
            && self.remembered.last().is_none_or(|(last, _)| *last != flow)
        {
            self.remembered
                .push((flow, flow_verdict(fate, reason, tables.generation, now)));
        }
        let note = Note {
            cell: counter_cell(fate.into(), reason),
            bytes: u64::try_from(frame.len()).unwrap_or(0),
        };
        match fate {
            Fate::Pass => self.accepted.push((index, note)),
            Fate::Drop => self.tally.count(note),
        }
    }

    /// A verdict that the table has no room for only costs the next packet the way through here.
    fn write_verdicts(&mut self) {
        if self.remembered.is_empty() {
            return;
        }
        let written = self.verdicts.write(&self.remembered);
        let missing = self.remembered.len().saturating_sub(written);
        if missing > 0 {
            let missing = u64::try_from(missing).unwrap_or(0);
            self.shared
                .verdicts_unwritten
                .fetch_add(missing, Ordering::Relaxed);
        }
        self.remembered.clear();
    }

    fn deliver(&mut self) -> io::Result<()> {
        let Self {
            intake,
            give_back,
            tally,
            accepted,
            ..
        } = self;
        for (index, note) in accepted.drain(..) {
            let Some(frame) = intake.frame(index) else {
                tally.not_given_back(note);
                continue;
            };
            if give_back.send(frame, note).is_err() {
                // Room may have become free meanwhile.
                give_back.kick()?;
                give_back.collect(&mut |note| tally.count(note));
                if give_back.send(frame, note).is_err() {
                    tally.not_given_back(note);
                }
            }
        }
        if give_back.in_flight() > 0 {
            give_back.kick()?;
            give_back.collect(&mut |note| tally.count(note));
        }
        Ok(())
    }

    fn read_losses(&mut self, now: Now) -> io::Result<()> {
        self.losses_read = now;
        let losses = self.intake.losses()?;
        self.tally.lost(Reason::WorkerFull, losses.packets);
        self.shared
            .fill_ring_empty
            .fetch_add(losses.fill_ring_empty, Ordering::Relaxed);
        Ok(())
    }

    fn patience(&self) -> Duration {
        if self.give_back.in_flight() > 0 {
            IN_FLIGHT
        } else {
            IDLE
        }
    }

    /// Says that we are gone, so that nothing more is redirected, then finishes what has arrived.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        self.cells.beat(0);
        let start = Now::read();
        let mut quiet = false;
        loop {
            let now = Now::read();
            let received = self.round(now)?;
            let done = quiet && received == 0 && self.give_back.in_flight() == 0;
            if done || now.since(start) >= DRAIN {
                return Ok(());
            }
            quiet = received == 0;
            if quiet {
                self.intake.wait(IN_FLIGHT)?;
            }
        }
    }

    /// Accounts for what will not be finished: the last words before the sockets close.
    pub fn settle(&mut self) {
        let Self {
            give_back, tally, ..
        } = self;
        for (_, note) in self.accepted.drain(..) {
            tally.not_given_back(note);
        }
        give_back.abandon(&mut |note| tally.not_given_back(note));
        // A socket that cannot even tell its losses any more has none to tell.
        let _ = self.read_losses(Now::read());
        self.tally.publish(&*self.cells);
    }
}

fn flow_verdict(fate: Fate, reason: Reason, generation: u32, now: Now) -> FlowVerdict {
    FlowVerdict {
        last_seen_ns: now.nanoseconds(),
        generation,
        verdict: Verdict::from(fate) as u8,
        reason: reason as u8,
        flags: match fate {
            Fate::Pass => u8::try_from(FLOW_ADMITTED).unwrap_or(0),
            Fate::Drop => 0,
        },
        reserved: 0,
    }
}
