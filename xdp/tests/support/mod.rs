//! What the tests of this crate share: a kernel of their own, gone when they end.

use std::{
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use palisade_xdp::{Action, InterfaceSpec, Kernel, Mode};

/// Tables and programs under a pin directory that no other test has.
pub struct TestKernel {
    pub kernel: Kernel,
    pub pin_directory: PathBuf,
}

impl TestKernel {
    pub fn new() -> Self {
        let pin_directory = unique_pin_directory();
        let kernel = Kernel::open(&pin_directory).expect("the maps can be made");
        Self {
            kernel,
            pin_directory,
        }
    }
}

impl Drop for TestKernel {
    fn drop(&mut self) {
        let unloaded = palisade_xdp::unload(&self.pin_directory);
        if !std::thread::panicking() {
            unloaded.expect("unload takes everything off");
            assert!(!self.pin_directory.exists(), "unload leaves nothing");
        }
    }
}

pub fn unique_pin_directory() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Path::new("/sys/fs/bpf").join(format!("palisade-test-{}-{number}", std::process::id()))
}

pub fn spec(name: &str) -> InterfaceSpec {
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
