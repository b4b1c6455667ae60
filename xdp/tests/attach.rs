//! The XDP program on real devices, in network namespaces of the test's own.

use palisade_abi::{Reason, Verdict};
use palisade_lab::eventually;
use palisade_xdp::{AttachedMode, InterfaceSpec, LoadError, Mode, TcKind};

use crate::support::{
    TestKernel,
    devices::{BANNED, SOON, attach, ban, bans_only, frame, has_tcx, lab},
    moved,
};

#[test]
fn drops_the_banned_and_nobody_else() {
    if !palisade_lab::require_root() {
        return;
    }
    for (mode, attached_as) in [
        (Mode::Native, AttachedMode::Native),
        (Mode::Generic, AttachedMode::Generic),
    ] {
        let (lab, peer) = lab();
        let test = TestKernel::new();
        ban(&test.kernel);
        let attached =
            attach(&test.kernel, &lab.edge, &bans_only("up0", mode)).expect("it can be attached");
        assert_eq!((attached.mode, attached.fell_back), (attached_as, None));
        let tc = if has_tcx() {
            TcKind::Tcx
        } else {
            TcKind::Clsact
        };
        assert_eq!(attached.tc, tc);
        assert_eq!(
            attached.shim_token.is_some(),
            attached_as == AttachedMode::Generic
        );

        let before = test.kernel.counters().row(attached.slot).expect("readable");
        let mut seen = lab.edge.capture("up0").expect("a capture");
        let wire = peer.injector().expect("an injector");
        for _ in 0..10 {
            wire.send(&frame(&lab.edge, BANNED, b"from the banned"))
                .expect("sent");
            wire.send(&frame(&lab.edge, peer.v4, b"from the honest"))
                .expect("sent");
        }
        let arrived = eventually(SOON, || {
            seen.count(b"from the honest").expect("readable") == 10
        });
        assert!(arrived, "{mode:?}: honest frames reach the stack");
        assert_eq!(
            seen.count(b"from the banned").expect("readable"),
            0,
            "{mode:?}"
        );
        let after = test.kernel.counters().row(attached.slot).expect("readable");
        let bytes = 10 * frame(&lab.edge, BANNED, b"from the banned").len() as u64;
        assert!(
            moved(&before, &after).contains(&(Verdict::Drop, Reason::Banned, 10, bytes)),
            "{mode:?}"
        );
    }
}

/// A bridge has no native XDP.
#[test]
fn falls_back_to_generic_and_says_why() {
    if !palisade_lab::require_root() {
        return;
    }
    let (lab, _) = lab();
    lab.edge
        .ip("link add dull0 type bridge\nlink set dull0 up\n")
        .expect("a bridge");
    let test = TestKernel::new();
    let refused = attach(&test.kernel, &lab.edge, &bans_only("dull0", Mode::Native));
    assert!(
        matches!(&refused, Err(LoadError::NativeRefused { interface, .. }) if interface == "dull0"),
        "{refused:?}"
    );
    let attached =
        attach(&test.kernel, &lab.edge, &bans_only("dull0", Mode::Auto)).expect("generic works");
    assert_eq!(attached.mode, AttachedMode::Generic);
    let reason = attached.fell_back.expect("it says that it fell back");
    assert!(
        reason.contains("not supported"),
        "the kernel's words: {reason}"
    );
}

/// Attached again and again under a flood, no banned frame gets in, and counting goes on.
#[test]
fn replacing_the_program_leaves_no_gap() {
    if !palisade_lab::require_root() {
        return;
    }
    const ROUNDS: usize = 10;
    const FRAMES: usize = 200;
    let (lab, peer) = lab();
    let test = TestKernel::new();
    ban(&test.kernel);
    let spec = bans_only("up0", Mode::Auto);
    let first = attach(&test.kernel, &lab.edge, &spec).expect("it can be attached");
    let mut seen = lab.edge.capture("up0").expect("a capture");
    let wire = peer.injector().expect("an injector");
    let flood = frame(&lab.edge, BANNED, b"from the banned");
    let dropped = || {
        let row = test.kernel.counters().row(first.slot).expect("readable");
        row.get(Verdict::Drop, Reason::Banned).packets
    };
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| {
            (0..ROUNDS * FRAMES).for_each(|_| wire.send(&flood).expect("sent"));
        });
        for _ in 0..ROUNDS {
            let again = attach(&test.kernel, &lab.edge, &spec).expect("it can be replaced");
            assert_eq!((again.slot, again.mode), (first.slot, first.mode));
        }
        sender.join().expect("the sender ends");
    });
    let all = u64::try_from(ROUNDS * FRAMES).expect("fits");
    assert!(
        eventually(SOON, || dropped() == all),
        "{} of {all} counted as banned",
        dropped()
    );
    assert_eq!(seen.count(b"from the banned").expect("readable"), 0);
}

#[test]
fn program_of_somebody_else_is_left_alone() {
    if !palisade_lab::require_root() {
        return;
    }
    let (lab, _) = lab();
    let theirs = TestKernel::new();
    attach(&theirs.kernel, &lab.edge, &bans_only("up0", Mode::Native)).expect("the first comes in");
    for mode in [Mode::Auto, Mode::Native, Mode::Generic] {
        let ours = TestKernel::new();
        let refused = attach(&ours.kernel, &lab.edge, &bans_only("up0", mode));
        let Err(LoadError::ForeignProgram {
            interface,
            program,
            program_id,
        }) = refused
        else {
            panic!("{mode:?}: {refused:?}");
        };
        assert_eq!(
            (interface.as_str(), program.as_str()),
            ("up0", "palisade_xdp"),
            "{mode:?}"
        );
        assert_ne!(program_id, 0, "{mode:?}");
    }
    let held = lab
        .edge
        .enter(|| theirs.kernel.interfaces())
        .expect("there")
        .expect("readable");
    assert_eq!(
        held[0].mode,
        Some(AttachedMode::Native),
        "the first one is still there"
    );
}

#[test]
fn interfaces_that_cannot_be_served() {
    if !palisade_lab::require_root() {
        return;
    }
    let (lab, _) = lab();
    lab.edge
        .ip("link add wire0 type ipip remote 192.0.2.1 local 192.0.2.2\n")
        .unwrap_or(());
    let test = TestKernel::new();
    for name in ["nosuch0", "", "a/b", "averylongnameindeed"] {
        let refused = attach(&test.kernel, &lab.edge, &bans_only(name, Mode::Auto));
        assert!(
            matches!(refused, Err(LoadError::NoInterface { .. })),
            "{name:?}: {refused:?}"
        );
    }
    let loopback = attach(&test.kernel, &lab.edge, &bans_only("lo", Mode::Auto));
    assert!(
        matches!(loopback, Err(LoadError::NotEthernet { kind: 772, .. })),
        "{loopback:?}"
    );
    let queues = InterfaceSpec {
        queues: 65,
        ..bans_only("up0", Mode::Auto)
    };
    let refused = attach(&test.kernel, &lab.edge, &queues);
    assert!(
        matches!(refused, Err(LoadError::TooManyQueues { limit: 64, .. })),
        "{refused:?}"
    );
}

/// The device goes, and comes back under the same name with another index.
#[test]
fn interface_that_comes_back_is_taken_again() {
    if !palisade_lab::require_root() {
        return;
    }
    let (lab, _) = lab();
    let test = TestKernel::new();
    let make = || {
        lab.edge
            .ip("link add come0 type veth peer name come1\n")
            .expect("a pair")
    };
    make();
    let spec = bans_only("come0", Mode::Auto);
    let first = attach(&test.kernel, &lab.edge, &spec).expect("it can be attached");
    lab.edge.ip("link del come0\n").expect("it goes");
    let slots = lab
        .edge
        .enter(|| test.kernel.interfaces())
        .expect("there")
        .expect("readable");
    assert_eq!(slots[0].mode, None, "nothing is attached to what has gone");
    make();
    let again = attach(&test.kernel, &lab.edge, &spec).expect("the stale link is no obstacle");
    assert_eq!(again.slot, first.slot, "the slot is found by name");
    assert_ne!(again.ifindex, first.ifindex);

    let other = attach(&test.kernel, &lab.edge, &bans_only("up0", Mode::Auto)).expect("attached");
    assert_ne!(other.slot, first.slot);
    lab.edge
        .enter(|| test.kernel.detach("come0"))
        .expect("there")
        .expect("it can be detached");
    let slots = lab
        .edge
        .enter(|| test.kernel.interfaces())
        .expect("there")
        .expect("readable");
    assert_eq!(
        slots
            .iter()
            .map(|slot| slot.name.as_str())
            .collect::<Vec<_>>(),
        ["up0"]
    );
}
