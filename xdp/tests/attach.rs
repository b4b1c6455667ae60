//! The programs on real devices, in network namespaces of the test's own.

use std::{
    net::{IpAddr, Ipv4Addr},
    process::Command,
    time::Duration,
};

use palisade_abi::{Reason, Verdict};
use palisade_lab::{Host, Lab, Place, eventually};
use palisade_xdp::{
    Attached, AttachedMode, BanEffect, BanEntry, InterfaceSpec, Kernel, LoadError, Mode, Row,
    TcKind,
};

use crate::support::{
    PinDirectory, TestKernel,
    frames::{Ends, SYN, TCP, UDP, tcp, udp},
    moved, spec,
};

const SOON: Duration = Duration::from_secs(5);

const BANNED: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 66);

fn ends(edge: &Host, source4: Ipv4Addr) -> Ends {
    Ends {
        source4,
        source6: edge.v6,
        destination4: edge.v4,
        destination6: edge.v6,
    }
}

/// A frame to the edge, marked so that it is found again.
fn frame(edge: &Host, source: Ipv4Addr, mark: &[u8]) -> Vec<u8> {
    let mut frame = ends(edge, source).v4(UDP, &udp(5_000, 5_001, mark));
    frame[..6].copy_from_slice(&edge.mac);
    frame
}

fn ban(kernel: &Kernel) {
    let entry = BanEntry {
        prefix: (IpAddr::from(BANNED), 32),
        effect: Some(BanEffect::Banned),
    };
    kernel.bans().apply(&[entry]).expect("there is room");
}

fn attach(kernel: &Kernel, host: &Host, spec: &InterfaceSpec) -> Result<Attached, LoadError> {
    host.enter(|| kernel.attach(spec))
        .expect("the namespace is there")
}

fn bans_only(name: &str, mode: Mode) -> InterfaceSpec {
    InterfaceSpec {
        mode,
        judge: false,
        ..spec(name)
    }
}

fn lab() -> (Lab, Host) {
    let mut lab = Lab::new().expect("a lab can be built");
    let peer = lab
        .add_host("peer", Place::Client)
        .expect("a host can be added");
    (lab, peer)
}

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
        assert_eq!(attached.tc, TcKind::Tcx);
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

const CHILD_PINS: &str = "PALISADE_TEST_CHILD_PINS";

/// Run by the next test, as a process of its own: attaches, and ends.
#[test]
fn child_attaches() {
    let Some(pins) = std::env::var_os(CHILD_PINS) else {
        return;
    };
    let kernel = Kernel::open(pins.as_ref()).expect("the maps are there");
    kernel
        .attach(&bans_only("up0", Mode::Auto))
        .expect("it can be attached");
}

#[test]
fn enforcement_outlives_the_process() {
    if !palisade_lab::require_root() {
        return;
    }
    let (lab, peer) = lab();
    let pin_directory = PinDirectory::new();
    let child = lab.edge.enter(|| {
        Command::new(std::env::current_exe().expect("known"))
            .args(["attach::child_attaches", "--exact", "--quiet"])
            .env(CHILD_PINS, &*pin_directory)
            .output()
            .expect("the child runs")
    });
    let child = child.expect("the namespace is there");
    assert!(
        child.status.success(),
        "{}",
        String::from_utf8_lossy(&child.stdout)
    );

    let kernel = Kernel::open_existing(&pin_directory)
        .expect("readable")
        .expect("still pinned");
    ban(&kernel);
    let slots = lab
        .edge
        .enter(|| kernel.interfaces())
        .expect("there")
        .expect("readable");
    assert_eq!(slots.len(), 1);
    assert_eq!(
        (slots[0].name.as_str(), slots[0].mode),
        ("up0", Some(AttachedMode::Native))
    );

    let wire = peer.injector().expect("an injector");
    wire.send(&frame(&lab.edge, BANNED, b"from the banned"))
        .expect("sent");
    let dropped = eventually(SOON, || {
        let row = kernel.counters().row(slots[0].slot).expect("readable");
        row.get(Verdict::Drop, Reason::Banned).packets == 1
    });
    assert!(dropped, "nobody runs, and the banned is dropped");
    drop(kernel);
    let unloaded = lab
        .edge
        .enter(|| palisade_xdp::unload(&pin_directory))
        .expect("there");
    assert_eq!(unloaded.expect("it can be unloaded").interfaces, ["up0"]);
}

#[test]
fn unload_leaves_nothing() {
    if !palisade_lab::require_root() {
        return;
    }
    let (lab, peer) = lab();
    let test = TestKernel::new();
    ban(&test.kernel);
    attach(&test.kernel, &lab.edge, &bans_only("up0", Mode::Auto)).expect("it can be attached");
    assert!(
        lab.edge
            .run("ip link show dev up0")
            .expect("shown")
            .contains("xdp")
    );

    lab.edge
        .enter(|| palisade_xdp::unload(&test.pin_directory))
        .expect("the namespace is there")
        .expect("everything comes off, although this process still holds the maps");
    assert!(!test.pin_directory.exists());
    assert!(
        !lab.edge
            .run("ip link show dev up0")
            .expect("shown")
            .contains("xdp")
    );
    let egress = lab.edge.enter(|| {
        aya::programs::SchedClassifier::query_tcx("up0", aya::programs::TcAttachType::Egress)
    });
    let (_, programs) = egress
        .expect("the namespace is there")
        .expect("it can be asked");
    assert!(programs.is_empty(), "{programs:?}");
    let mut seen = lab.edge.capture("up0").expect("a capture");
    let wire = peer.injector().expect("an injector");
    wire.send(&frame(&lab.edge, BANNED, b"no longer banned"))
        .expect("sent");
    assert!(eventually(SOON, || seen
        .count(b"no longer banned")
        .expect("readable")
        == 1));
    assert!(
        palisade_xdp::unload(&test.pin_directory)
            .expect("no error")
            .interfaces
            .is_empty()
    );
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

// === the tc programs ===

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

// === pins ===

#[test]
fn changed_map_is_named_with_its_differences() {
    if !palisade_lab::require_root() {
        return;
    }
    let pin_directory = PinDirectory::new();
    drop(Kernel::open(&pin_directory).expect("the maps can be made"));
    let path = pin_directory
        .join(format!("v{}", palisade_abi::PALISADE_ABI_VERSION))
        .join("state");
    std::fs::remove_file(&path).expect("it was pinned");
    let other = aya::maps::HashMap::<_, u32, [u8; 16]>::create(7, 0).expect("a map can be made");
    other.pin(&path).expect("it can be pinned");

    let refused = Kernel::open(&pin_directory);
    let Err(error @ LoadError::PinChanged { .. }) = refused else {
        panic!("{refused:?}")
    };
    let message = error.to_string();
    for part in [
        "/state ",
        "type is 1, not 2",
        "max_entries is 7, not 1",
        "flags is 0, not 1024",
    ] {
        assert!(message.contains(part), "{part:?} is missing in {message:?}");
    }
    assert!(
        !message.contains("key size"),
        "what is the same is not named: {message:?}"
    );
    palisade_xdp::unload(&pin_directory).expect("it can be unloaded all the same");
    assert!(!pin_directory.exists());
}

#[test]
fn pins_need_a_bpf_file_system() {
    if !palisade_lab::require_root() {
        return;
    }
    let folder = std::env::temp_dir().join(format!("palisade-test-{}", std::process::id()));
    let refused = Kernel::open(&folder);
    assert!(
        matches!(refused, Err(LoadError::NotBpffs { .. })),
        "{refused:?}"
    );
    assert!(!folder.exists(), "nothing was made");
}

#[test]
fn nothing_loaded_is_no_error() {
    if !palisade_lab::require_root() {
        return;
    }
    let nowhere = PinDirectory::new();
    assert!(Kernel::open_existing(&nowhere).expect("no error").is_none());
    assert_eq!(palisade_xdp::unload(&nowhere).expect("no error").pins, 0);
}
