//! The decision for one packet that the kernel could not decide alone.
//!
//! ```text
//! packet -> must pass? -> isolated? -> fragment? -> reply? -> policy -> Decision
//! ```
//!
//! This module is pure: no I/O, no lock, no clock, no allocation. Time comes in as an argument and
//! tables as a snapshot, and what is to be remembered goes out with the decision, so that a unit
//! test, `explain`, the bench and a worker all run this same code. [`Replies`] alone may look further:
//! it is asked about first fragments that the policy denies, and about nothing else.
//!
//! Bans are not here: the kernel program has applied them before it asked.
//!
//! Before: [`packet`](crate::packet). After: [`worker`](crate::worker).

use palisade_abi::{FlowKey, Reason};
use palisade_config::{
    policy::{Direction, PolicyVerdict, Traffic},
    types::Protocol,
};

use crate::{
    clock::Now,
    fragments::{FragmentTable, TrainKey},
    packet::{Fragment, Packet, ParseError, Transport, checksum, icmp, parse},
    tables::Tables,
    verdict::{Decision, Fate},
};

/// Whether a flow started here, so that its packets from outside are replies.
///
/// The kernel asks its own table before it redirects a whole packet. Fragments come here unasked, as
/// only their first one has ports to ask with.
pub trait Replies {
    fn expects(&self, flow: &FlowKey, now: Now) -> bool;
}

/// No flow starts here.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoReplies;

impl Replies for NoReplies {
    fn expects(&self, _flow: &FlowKey, _now: Now) -> bool {
        false
    }
}

/// Decides one frame: what cannot be parsed has its reason already.
pub fn judge<'a>(
    frame: &'a [u8],
    tables: &Tables,
    fragments: &FragmentTable,
    replies: &dyn Replies,
    now: Now,
) -> (Decision, Option<Packet<'a>>) {
    match parse(frame) {
        Ok(packet) => (
            decide(&packet, tables, fragments, replies, now),
            Some(packet),
        ),
        Err(error @ ParseError::NotIp { .. }) => (Decision::pass(error.reason()), None),
        Err(error) => (Decision::drop(error.reason()), None),
    }
}

/// Decides one packet.
pub fn decide(
    packet: &Packet<'_>,
    tables: &Tables,
    fragments: &FragmentTable,
    replies: &dyn Replies,
    now: Now,
) -> Decision {
    if packet.must_pass() {
        return Decision::pass(Reason::Guarded);
    }
    let policy = policy_verdict(packet, tables);
    if policy == PolicyVerdict::NotIsolated {
        return Decision::pass(Reason::NoPolicy).remembering(packet.lasting_flow());
    }
    match packet.fragment {
        Fragment::Later { offset, .. } => follow(packet, offset, fragments, now),
        Fragment::First { .. } if packet.transport == Transport::Cut => {
            Decision::drop(Reason::FragmentDenied)
        }
        Fragment::First { .. } => {
            new_flow(packet, policy, tables, replies, now).leading(TrainKey::of(packet))
        }
        Fragment::Whole if icmp::is_error(packet) => about(packet, policy),
        Fragment::Whole => new_flow(packet, policy, tables, &NoReplies, now),
    }
}

/// A later fragment follows the first of its train, unless it reaches into its headers.
fn follow(packet: &Packet<'_>, offset: u32, fragments: &FragmentTable, now: Now) -> Decision {
    let lead = TrainKey::of(packet).and_then(|key| fragments.find(&key, now));
    match lead {
        Some(lead) if offset >= lead.header_end => match lead.fate {
            Fate::Pass => Decision::pass(lead.reason),
            Fate::Drop => Decision::drop(lead.reason),
        },
        _ => Decision::drop(Reason::FragmentDenied),
    }
}

/// An ICMP error belongs to what it quotes: one about a packet of the endpoint is a reply to it.
/// It is no flow of its own, so each one is looked at.
fn about(packet: &Packet<'_>, policy: PolicyVerdict) -> Decision {
    if !checksum::verify(packet).is_believable() {
        return Decision::drop(Reason::Malformed);
    }
    match icmp::quoted(packet) {
        Some(quoted) if quoted.source == packet.destination => Decision::pass(Reason::Reply),
        _ if policy == PolicyVerdict::Allowed => Decision::pass(Reason::PolicyAllowed),
        _ => Decision::drop(Reason::PolicyDenied),
    }
}

fn new_flow(
    packet: &Packet<'_>,
    policy: PolicyVerdict,
    tables: &Tables,
    replies: &dyn Replies,
    now: Now,
) -> Decision {
    let flow = packet.lasting_flow();
    if let Some((protocol, port)) = service(packet)
        && tables.always_open.contains(protocol, port)
    {
        return Decision::pass(Reason::Guarded).remembering(flow);
    }
    match policy {
        PolicyVerdict::NotIsolated => Decision::pass(Reason::NoPolicy).remembering(flow),
        PolicyVerdict::Allowed => Decision::pass(Reason::PolicyAllowed).remembering(flow),
        PolicyVerdict::Denied
            if packet.transport.may_be_reply()
                && flow.is_some_and(|flow| replies.expects(&flow, now)) =>
        {
            // The kernel knows this flow and judges its whole packets itself.
            Decision::pass(Reason::Reply)
        }
        PolicyVerdict::Denied => Decision::drop(Reason::PolicyDenied).remembering(flow),
    }
}

fn policy_verdict(packet: &Packet<'_>, tables: &Tables) -> PolicyVerdict {
    let traffic = match service(packet) {
        Some((protocol, port)) => Traffic::Port(protocol, port),
        None => Traffic::Other(packet.protocol),
    };
    tables.policy.decide(
        Direction::Ingress,
        packet.destination,
        packet.source,
        traffic,
    )
}

/// Protocol and port that a packet is addressed to, where it says so.
fn service(packet: &Packet<'_>) -> Option<(Protocol, u16)> {
    let port = packet.transport.ports()?.destination;
    Some((Protocol::from_number(packet.protocol)?, port))
}
