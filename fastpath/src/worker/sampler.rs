//! Which decisions become events: the first few of every second.
//!
//! Events are for people to look at, counters are what adds up. A flood must not turn into a flood of
//! events, so each worker has a budget; what is beyond it is not sampled and not lost either.

use std::sync::mpsc::{SyncSender, TrySendError};

use palisade_abi::{Event, Stage, Verdict};

use crate::{
    clock::Now,
    packet::Packet,
    verdict::{Decision, Fate},
};

const DROPS_PER_SECOND: u32 = 100;
const PASSES_PER_SECOND: u32 = 20;

#[derive(Debug)]
pub(super) struct Sampler {
    events: SyncSender<Event>,
    slot: u16,
    second: u64,
    drops_left: u32,
    passes_left: u32,
}

impl Sampler {
    pub(super) const fn new(events: SyncSender<Event>, slot: u16) -> Self {
        Self {
            events,
            slot,
            second: 0,
            drops_left: 0,
            passes_left: 0,
        }
    }

    /// Offers one decision, and returns whether an event was lost because its channel is full.
    pub(super) fn offer(
        &mut self,
        decision: &Decision,
        packet: Option<&Packet<'_>>,
        frame_bytes: usize,
        now: Now,
    ) -> bool {
        if self.second != now.seconds() {
            self.second = now.seconds();
            self.drops_left = DROPS_PER_SECOND;
            self.passes_left = PASSES_PER_SECOND;
        }
        let left = match decision.fate {
            Fate::Drop => &mut self.drops_left,
            Fate::Pass => &mut self.passes_left,
        };
        let Some(rest) = left.checked_sub(1) else {
            return false;
        };
        *left = rest;
        let event = self.event(decision, packet, frame_bytes, now);
        matches!(self.events.try_send(event), Err(TrySendError::Full(_)))
    }

    fn event(
        &self,
        decision: &Decision,
        packet: Option<&Packet<'_>>,
        frame_bytes: usize,
        now: Now,
    ) -> Event {
        let flow = packet.and_then(Packet::flow).unwrap_or_default();
        Event {
            time_ns: now.nanoseconds(),
            source: packet.map_or([0; 16], |packet| crate::packet::mapped(packet.source)),
            destination: packet.map_or([0; 16], |packet| crate::packet::mapped(packet.destination)),
            source_port: flow.source_port,
            destination_port: flow.destination_port,
            slot: self.slot,
            length: u16::try_from(frame_bytes).unwrap_or(u16::MAX),
            protocol: packet.map_or(0, |packet| packet.protocol),
            stage: Stage::Worker as u8,
            verdict: Verdict::from(decision.fate) as u8,
            reason: decision.reason as u8,
            reserved: [0; 4],
        }
    }
}
