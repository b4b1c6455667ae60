//! What outlives the process, and how it is taken away.

use std::process::Command;

use palisade_abi::{Reason, Verdict};
use palisade_lab::eventually;
use palisade_xdp::{AttachedMode, Kernel, LoadError, Mode};

use crate::support::{
    PinDirectory, TestKernel,
    devices::{BANNED, SOON, attach, ban, bans_only, frame, has_tcx, lab},
};

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
            .args(["pins::child_attaches", "--exact", "--quiet"])
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
    let filters = lab
        .edge
        .run("tc filter show dev up0 egress")
        .expect("shown");
    assert!(!filters.contains("palisade"), "{filters}");
    if has_tcx() {
        let egress = lab.edge.enter(|| {
            aya::programs::SchedClassifier::query_tcx("up0", aya::programs::TcAttachType::Egress)
        });
        let (_, programs) = egress
            .expect("the namespace is there")
            .expect("it can be asked");
        assert!(programs.is_empty(), "{programs:?}");
    }
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
