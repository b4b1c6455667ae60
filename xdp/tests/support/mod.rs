//! What the tests of this crate share: a kernel of their own, gone when they end, programs that run
//! on one frame, and a ledger of what they counted.

pub(crate) mod answers;
pub(crate) mod bans;
pub(crate) mod devices;
pub(crate) mod endpoints;
pub(crate) mod frames;

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use aya::{Ebpf, EbpfLoader, TestRun as _, TestRunOptions};
use palisade_abi::{Reason, Verdict};
use palisade_xdp::{Action, InterfaceSpec, Kernel, Mode, Programs, Row};

/// A pin directory that no other test has. Whatever is loaded in it ends with it.
#[derive(Debug)]
pub(crate) struct PinDirectory(PathBuf);

impl PinDirectory {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("palisade-test-{}-{number}", std::process::id());
        Self(Path::new("/sys/fs/bpf").join(name))
    }
}

impl std::ops::Deref for PinDirectory {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for PinDirectory {
    fn drop(&mut self) {
        let unloaded = palisade_xdp::unload(&self.0);
        if !std::thread::panicking() {
            unloaded.expect("unload takes everything off");
            assert!(!self.0.exists(), "unload leaves nothing");
        }
    }
}

/// Tables and programs of one test.
pub(crate) struct TestKernel {
    pub(crate) kernel: Kernel,
    pub(crate) pin_directory: PinDirectory,
}

impl TestKernel {
    pub(crate) fn new() -> Self {
        let pin_directory = PinDirectory::new();
        let kernel = Kernel::open(&pin_directory).expect("the maps can be made");
        Self {
            kernel,
            pin_directory,
        }
    }

    /// Loads an object of the tests whose headers name this kernel's maps.
    pub(crate) fn load_beside(&self, object: &[u8]) -> Ebpf {
        let version = format!("v{}", palisade_abi::PALISADE_ABI_VERSION);
        EbpfLoader::new()
            .default_map_pin_directory(self.pin_directory.join(version))
            .load(object)
            .expect("the object fits the pinned maps")
    }
}

pub(crate) fn spec(name: &str) -> InterfaceSpec {
    InterfaceSpec {
        name: name.to_owned(),
        mode: Mode::Auto,
        when_workers_fail: Action::Drop,
        encapsulated: Action::Drop,
        judge: true,
        give_back_far_ifindex: None,
        queues: 1,
        frame_bytes_max: 3_500,
    }
}

// === running the programs on one frame ===

/// What the XDP program answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Xdp {
    Pass,
    Drop,
    Redirect,
}

/// The programs of one slot, over tables of their own.
pub(crate) struct Bench {
    pub(crate) test: TestKernel,
    programs: Programs,
    pub(crate) slot: u16,
}

impl Bench {
    pub(crate) fn new(spec: &InterfaceSpec) -> Self {
        Self::with_shim(spec, 0)
    }

    pub(crate) fn with_shim(spec: &InterfaceSpec, shim_token: u64) -> Self {
        /// Not the first: a program that took the wrong slot would be seen.
        const SLOT: u16 = 3;
        let test = TestKernel::new();
        test.kernel
            .configure_slot(SLOT, spec, shim_token)
            .expect("the slot exists");
        let programs = test
            .kernel
            .load_programs(SLOT)
            .expect("the verifier accepts the programs");
        Self {
            test,
            programs,
            slot: SLOT,
        }
    }

    pub(crate) fn reconfigure(&self, spec: &InterfaceSpec) {
        self.test
            .kernel
            .configure_slot(self.slot, spec, 0)
            .expect("the slot exists");
    }

    pub(crate) fn row(&self) -> Row {
        self.test
            .kernel
            .counters()
            .row(self.slot)
            .expect("the counters can be read")
    }

    /// Runs the XDP program: its answer and the frame as it left it.
    pub(crate) fn run(&self, frame: &[u8]) -> (Xdp, Vec<u8>) {
        let mut out = vec![0; frame.len() + 256];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            repeat: 1,
            ..TestRunOptions::default()
        };
        let program = self.programs.xdp().expect("loaded");
        let result = program.test_run(options).expect("the frame can be run");
        out.truncate(usize::try_from(result.data_size_out).expect("fits"));
        let answer = match result.return_value {
            1 => Xdp::Drop,
            2 => Xdp::Pass,
            4 => Xdp::Redirect,
            other => panic!("the XDP program answered {other}"),
        };
        (answer, out)
    }

    /// Runs the XDP program: its answer, and the only counter that moved.
    pub(crate) fn judge(&self, frame: &[u8]) -> (Xdp, Verdict, Reason) {
        let before = self.row();
        let (answer, _) = self.run(frame);
        let moved = moved(&before, &self.row());
        let [(verdict, reason, packets, bytes)] = moved[..] else {
            panic!("one cell counts a packet, not {moved:?}");
        };
        assert_eq!(
            (packets, bytes),
            (1, frame.len() as u64),
            "a packet counts once, whole"
        );
        (answer, verdict, reason)
    }

    /// Runs the egress program, which must let the packet go on.
    pub(crate) fn leave(&self, frame: &[u8]) {
        assert!(self.leaves(frame), "egress lets the packet go on");
    }

    /// Runs the egress program: whether the packet goes on, and the only counter that moved, if
    /// one did.
    pub(crate) fn judge_leaving(&self, frame: &[u8]) -> (bool, Option<Reason>) {
        let row = || {
            let counters = self.test.kernel.egress_counters();
            counters.row(self.slot).expect("the counters can be read")
        };
        let before = row();
        let leaves = self.leaves(frame);
        let reason = match moved(&before, &row())[..] {
            [] => None,
            [(verdict, reason, 1, bytes)] => {
                assert_eq!(bytes, frame.len() as u64, "a packet counts whole");
                assert_eq!(verdict == Verdict::Pass, leaves, "{reason:?}");
                Some(reason)
            }
            ref moved => panic!("one cell counts a packet, not {moved:?}"),
        };
        (leaves, reason)
    }

    fn leaves(&self, frame: &[u8]) -> bool {
        let mut out = vec![0; frame.len() + 256];
        let options = TestRunOptions {
            data_in: Some(frame),
            data_out: Some(&mut out),
            repeat: 1,
            ..TestRunOptions::default()
        };
        let program = self.programs.egress().expect("loaded");
        let result = program.test_run(options).expect("the frame can be run");
        match result.return_value {
            u32::MAX => true,
            2 => false,
            other => panic!("the egress program answered {other}"),
        }
    }
}

/// The cells that differ, with their differences in packets and bytes.
pub(crate) fn moved(before: &Row, after: &Row) -> Vec<(Verdict, Reason, u64, u64)> {
    let mut moved = Vec::new();
    for verdict in Verdict::ALL {
        for reason in Reason::ALL {
            let (old, new) = (before.get(verdict, reason), after.get(verdict, reason));
            let (packets, bytes) = (new.packets - old.packets, new.bytes - old.bytes);
            if packets > 0 || bytes > 0 {
                moved.push((verdict, reason, packets, bytes));
            }
        }
    }
    moved
}
