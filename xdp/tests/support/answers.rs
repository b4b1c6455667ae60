//! The answers of the XDP program, and who gets them.

use std::net::{Ipv4Addr, Ipv6Addr};

use palisade_abi::{Reason, Verdict};

use super::{Xdp, frames::Ends};

/// What becomes of a frame, as answered and as counted.
pub(crate) type Answer = (Xdp, Verdict, Reason);

pub(crate) const PASSES: Answer = (Xdp::Pass, Verdict::Pass, Reason::NoPolicy);
pub(crate) const NOT_IP: Answer = (Xdp::Pass, Verdict::Pass, Reason::NotIp);
pub(crate) const GUARDED: Answer = (Xdp::Pass, Verdict::Pass, Reason::Guarded);
pub(crate) const BANNED: Answer = (Xdp::Drop, Verdict::Drop, Reason::Banned);
pub(crate) const MALFORMED: Answer = (Xdp::Drop, Verdict::Drop, Reason::Malformed);
pub(crate) const WRAPPED: Answer = (Xdp::Drop, Verdict::Drop, Reason::UnsupportedEncapsulation);

pub(crate) const HONEST: Ends = Ends {
    source4: Ipv4Addr::new(192, 0, 2, 1),
    source6: Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1),
    destination4: Ipv4Addr::new(192, 0, 2, 10),
    destination6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 10),
};

pub(crate) const ATTACKER: Ends = Ends {
    source4: Ipv4Addr::new(198, 51, 100, 66),
    source6: Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, 66),
    ..HONEST
};

pub(crate) const ESTABLISHED: Answer = (Xdp::Pass, Verdict::Pass, Reason::FlowEstablished);
pub(crate) const REPLY: Answer = (Xdp::Pass, Verdict::Pass, Reason::Reply);
pub(crate) const DENIED: Answer = (Xdp::Drop, Verdict::Drop, Reason::PolicyDenied);
pub(crate) const INSPECTED: Answer = (Xdp::Redirect, Verdict::Inspect, Reason::NeedsPolicy);
pub(crate) const INSPECTED_FRAGMENT: Answer =
    (Xdp::Redirect, Verdict::Inspect, Reason::NeedsFragment);
pub(crate) const NO_WORKER: Answer = (Xdp::Drop, Verdict::Drop, Reason::NoWorker);
pub(crate) const WAVED_THROUGH: Answer = (Xdp::Pass, Verdict::Pass, Reason::NoWorker);

/// To the endpoint that a policy isolates.
pub(crate) const ISOLATED: Ends = Ends {
    source4: Ipv4Addr::new(192, 0, 2, 1),
    source6: Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1),
    destination4: Ipv4Addr::new(192, 0, 2, 10),
    destination6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 10),
};

/// To the endpoint that no policy selects.
pub(crate) const OPEN: Ends = Ends {
    destination4: Ipv4Addr::new(192, 0, 2, 20),
    destination6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 20),
    ..ISOLATED
};

/// Through the node, to nobody that it protects.
pub(crate) const ELSEWHERE: Ends = Ends {
    destination4: Ipv4Addr::new(192, 0, 2, 30),
    destination6: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 30),
    ..ISOLATED
};
