//! The tc programs on real devices: packets given back, and flows learned.

use palisade_abi::{Reason, Verdict};
use palisade_lab::{Host, Lab, eventually};
use palisade_xdp::{InterfaceSpec, Mode, Row};

use crate::support::{
    TestKernel,
    devices::{SOON, attach, bans_only, ends, frame, lab},
    frames::{SYN, TCP, tcp},
    spec,
};

/// The edge as the sender of what it puts into the near end of the pair.
fn with_pair(lab: &Lab) -> (Host, u32) {
    lab.edge
        .ip("link add near0 type veth peer name far0\nlink set near0 up\nlink set far0 up\n")
        .expect("a pair");
    let index = lab
        .edge
        .run("cat /sys/class/net/far0/ifindex")
        .expect("readable");
    let mut near = lab.edge.clone();
    near.device = "near0".to_owned();
    (near, index.trim().parse().expect("a number"))
}

#[test]
fn packet_given_back_arrives_on_the_real_interface() {
    if !palisade_lab::require_root() {
        return;
    }
    const FRAMES: usize = 50;
    for mode in [Mode::Native, Mode::Generic] {
        let (lab, peer) = lab();
        let (near, far) = with_pair(&lab);
        let test = TestKernel::new();
        let spec = InterfaceSpec {
            give_back_far_ifindex: Some(far),
            ..bans_only("up0", mode)
        };
        let attached = attach(&test.kernel, &lab.edge, &spec).expect("it can be attached");
        let before = test.kernel.counters().row(attached.slot).expect("readable");
        let mut seen = lab.edge.capture("up0").expect("a capture");

        let packet = frame(&lab.edge, peer.v4, b"given back");
        let mut sent = Vec::new();
        if let Some(token) = attached.shim_token {
            sent.extend([&lab.edge.mac[..], &[2, 0, 0, 0, 0, 2], &[0x88, 0xb5]].concat());
            sent.extend(token.to_ne_bytes());
        }
        sent.extend(&packet);
        let wire = near.injector().expect("an injector");
        (0..FRAMES).for_each(|_| wire.send(&sent).expect("sent"));
        let arrived = eventually(SOON, || {
            seen.count_where(|got| got == packet).expect("readable") == FRAMES
        });
        assert!(arrived, "{mode:?}: whole, and without the shim");
        let after = test.kernel.counters().row(attached.slot).expect("readable");
        let passed = |row: &Row| row.get(Verdict::Pass, Reason::NoPolicy).packets;
        // Not zero: the stack of the other host may say something of its own.
        let noise = passed(&after) - passed(&before);
        assert!(
            noise < 10,
            "{mode:?}: {noise} packets were counted a second time"
        );
    }
}

#[test]
fn egress_program_learns_what_starts_here() {
    if !palisade_lab::require_root() {
        return;
    }
    let (lab, peer) = lab();
    let test = TestKernel::new();
    test.kernel
        .endpoints()
        .replace(&[(lab.edge.v4.into(), palisade_abi::ENDPOINT_INGRESS_ISOLATED)])
        .expect("there is room");
    let attached = attach(&test.kernel, &lab.edge, &spec("up0")).expect("it can be attached");
    let passed = || {
        let row = test.kernel.counters().row(attached.slot).expect("readable");
        row.get(Verdict::Pass, Reason::Reply).packets
    };
    let pinged = lab.edge.pings(peer.v4.into(), 1, SOON).expect("ping runs");
    assert!(pinged, "the answer comes in although no policy allows it");
    assert_eq!(passed(), 1);
    assert_eq!(test.kernel.learned().count().expect("readable"), 1);

    let wire = peer.injector().expect("an injector");
    let mut stranger = ends(&lab.edge, peer.v4).v4(TCP, &tcp(40_000, 80, SYN));
    stranger[..6].copy_from_slice(&lab.edge.mac);
    wire.send(&stranger).expect("sent");
    let dropped = eventually(SOON, || {
        let row = test.kernel.counters().row(attached.slot).expect("readable");
        row.get(Verdict::Drop, Reason::NoWorker).packets == 1
    });
    assert!(dropped, "what is no answer still needs a worker");
}
