//! Sampled packets on their way to the subscribers of events.

use std::{
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use palisade_abi::{Event, Reason, Stage, Verdict};
use palisade_config::{
    policy::{Direction, Traffic, oracle},
    types::Protocol,
};
use palisade_xdp::{EventRing, Kernel};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    bans::Surroundings,
    core::{PacketNotice, What},
    policies::Policies,
};

/// How long a thread waits before it looks whether it should stop.
const WAIT: Duration = Duration::from_millis(200);

/// Turns sampled packets into notices.
#[derive(Clone, Debug)]
pub(super) struct Narrator {
    pub(super) kernel: Kernel,
    pub(super) policies: Arc<Policies>,
    pub(super) surroundings: Surroundings,
}

impl Narrator {
    /// Reads the kernel's ring until told to stop. Blocks.
    pub(super) fn read_kernel(self, mut ring: EventRing, stop: &CancellationToken) {
        let wait = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(WAIT.subsec_nanos()),
        };
        while !stop.is_cancelled() {
            let mut waiting = [PollFd::new(&ring, PollFlags::IN)];
            match poll(&mut waiting, Some(&wait)) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => {
                    warn!(%error, "sampled packets of the kernel end here");
                    return;
                }
            }
            while let Some(event) = ring.take() {
                self.tell(&event);
            }
        }
    }

    /// Reads what the workers sample until told to stop. Blocks.
    pub(super) fn read_workers(self, events: &Receiver<Event>, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            match events.recv_timeout(WAIT) {
                Ok(event) => self.tell(&event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn tell(&self, event: &Event) {
        if self.surroundings.notices.receiver_count() == 0 {
            return;
        }
        if let Some(notice) = self.notice(event) {
            self.surroundings.notify(What::Packet(notice));
        }
    }

    fn notice(&self, event: &Event) -> Option<PacketNotice> {
        let label = |number: u8, labels: &[&'static str]| {
            labels
                .get(usize::from(number))
                .map(|label| (*label).to_owned())
        };
        let slots = self.kernel.interfaces().ok()?;
        let slot = slots.into_iter().find(|slot| slot.slot == event.slot)?;
        let mut notice = PacketNotice {
            interface: slot.name,
            from: address(event.source),
            to: address(event.destination),
            protocol: event.protocol,
            source_port: u16::from_be_bytes(event.source_port),
            port: u16::from_be_bytes(event.destination_port),
            length: event.length,
            stage: label(event.stage, &Stage::ALL.map(Stage::label))?,
            verdict: label(event.verdict, &Verdict::ALL.map(Verdict::label))?,
            reason: label(event.reason, &Reason::ALL.map(Reason::label))?,
            rule: None,
            policies: Vec::new(),
        };
        let by_policy = [Reason::PolicyAllowed, Reason::PolicyDenied];
        if by_policy
            .iter()
            .any(|reason| reason.label() == notice.reason)
        {
            self.name_rule(&mut notice);
        }
        Some(notice)
    }

    /// Adds which rule and which policies decided, by the documents.
    fn name_rule(&self, notice: &mut PacketNotice) {
        let published = self.policies.published();
        let traffic = match Protocol::from_number(notice.protocol) {
            Some(protocol) => Traffic::Port(protocol, notice.port),
            None => Traffic::Other(notice.protocol),
        };
        let (direction, endpoint, peer) = if notice.stage == Stage::Egress.label() {
            (Direction::Egress, notice.from, notice.to)
        } else {
            (Direction::Ingress, notice.to, notice.from)
        };
        let judgement = oracle::decide(
            &published.inventory,
            &published.policies,
            published.dialect,
            direction,
            endpoint,
            peer,
            traffic,
        );
        notice.rule = match &judgement.allowed_by {
            Some(oracle::AllowedBy::Rule(found)) => Some(format!(
                "{}/{} {}[{}]",
                found.namespace,
                found.name,
                direction.name(),
                found.rule
            )),
            Some(_) | None => None,
        };
        notice.policies = judgement.isolated_by;
    }
}

fn address(bytes: [u8; 16]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from(bytes)).to_canonical()
}
