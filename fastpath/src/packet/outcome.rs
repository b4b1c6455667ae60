//! What the parser makes of a frame, in the terms of the kernel's parser.
//!
//! Two parsers that must agree need a test that they do: this is the side that it compares.

use super::{Fragment, Packet, ParseError, mapped, parse};
use palisade_abi::Reason;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No IP packet: passes.
    NotIp,
    /// Wraps packets in what the parser does not open: the interface's `encapsulated` decides.
    Encapsulated,
    /// Cannot be what it claims to be: dropped.
    Malformed,
    /// Neighbour discovery or DHCP: no policy cuts it off.
    MustPass(Summary),
    Ip(Summary),
}

/// The fields by which packets are judged. PortPair are zero where there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// IPv4 as `::ffff:a.b.c.d`.
    pub source: [u8; 16],
    pub destination: [u8; 16],
    pub protocol: u8,
    /// For ICMP echo the identifier, in both.
    pub source_port: u16,
    pub destination_port: u16,
    pub position: Position,
    /// Where the transport header, or the middle of the packet, starts in the frame.
    pub transport_offset: usize,
}

/// Where a packet sits in a train of fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    Whole,
    First,
    Later,
}

/// Says what `frame` is.
pub fn classify(frame: &[u8]) -> Outcome {
    match parse(frame) {
        Ok(packet) if packet.must_pass() => Outcome::MustPass(summary(&packet)),
        Ok(packet) => Outcome::Ip(summary(&packet)),
        Err(error) => from_error(error),
    }
}

fn from_error(error: ParseError) -> Outcome {
    match error.reason() {
        Reason::NotIp => Outcome::NotIp,
        Reason::UnsupportedEncapsulation => Outcome::Encapsulated,
        _ => Outcome::Malformed,
    }
}

fn summary(packet: &Packet<'_>) -> Summary {
    let (source_port, destination_port) = packet.flow().map_or(([0; 2], [0; 2]), |flow| {
        (flow.source_port, flow.destination_port)
    });
    Summary {
        source: mapped(packet.source),
        destination: mapped(packet.destination),
        protocol: packet.protocol,
        source_port: u16::from_be_bytes(source_port),
        destination_port: u16::from_be_bytes(destination_port),
        position: match packet.fragment {
            Fragment::Whole => Position::Whole,
            Fragment::First { .. } => Position::First,
            Fragment::Later { .. } => Position::Later,
        },
        transport_offset: packet.transport_offset,
    }
}
