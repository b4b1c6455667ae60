//! The machine as a whole.

use std::{fs, path::Path};

use rustix::process::{Resource, getrlimit};

use super::Probe;
use crate::pins::is_bpffs;

/// The oldest kernel that is tested: Debian 12's.
const KERNEL_MIN: (u32, u32) = (6, 1);
const TCX_SINCE: (u32, u32) = (6, 6);

/// Kernel, capabilities, file systems and limits.
pub fn host(pin_directory: &Path) -> Vec<Probe> {
    let mut probes = vec![
        kernel(),
        tcx(),
        jit(),
        btf(),
        bpffs(pin_directory),
        locked_memory(),
        af_xdp(),
    ];
    probes.extend(capabilities());
    probes
}

pub(super) fn kernel_version() -> (String, (u32, u32)) {
    let release = rustix::system::uname()
        .release()
        .to_string_lossy()
        .into_owned();
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit());
    let mut next = || {
        numbers
            .next()
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    };
    let version = (next(), next());
    (release, version)
}

fn kernel() -> Probe {
    let (release, version) = kernel_version();
    Probe::required("kernel", version >= KERNEL_MIN, release)
        .because("the programs use XDP on several buffers and batched table updates")
        .remedy("install Linux 6.1 or newer")
}

fn tcx() -> Probe {
    let (release, version) = kernel_version();
    Probe::wanted("tcx", version >= TCX_SINCE, format!("Linux {release}"))
        .because("tc programs as links are replaced atomically and removed cleanly")
        .remedy("Linux 6.6 or newer has it")
        .or_else("filters of a clsact qdisc")
}

fn jit() -> Probe {
    let setting = fs::read_to_string("/proc/sys/net/core/bpf_jit_enable").unwrap_or_default();
    let setting = setting.trim();
    // Kernels built with the JIT always on have no other setting.
    let on = setting != "0";
    Probe::wanted(
        "BPF JIT",
        on,
        format!("net.core.bpf_jit_enable = {setting}"),
    )
    .because("interpreted programs are several times slower")
    .remedy("sysctl -w net.core.bpf_jit_enable=1")
    .or_else("the interpreter")
}

fn btf() -> Probe {
    let present = Path::new("/sys/kernel/btf/vmlinux").exists();
    let found = if present {
        "/sys/kernel/btf/vmlinux"
    } else {
        "none"
    };
    Probe::wanted("BTF", present, found.to_owned())
        .because("bpftool and others show the tables by their field names")
        .remedy("use a kernel built with CONFIG_DEBUG_INFO_BTF")
        .or_else("tables are shown as bytes")
}

/// The pin directory may not exist yet: then what it will be made in counts.
fn bpffs(pin_directory: &Path) -> Probe {
    let existing = pin_directory.ancestors().find(|path| path.exists());
    let existing = existing.unwrap_or(Path::new("/"));
    let present = is_bpffs(existing);
    let found = if present { "mounted" } else { "not mounted" };
    Probe::required(
        "BPF file system",
        present,
        format!("{found} at {}", existing.display()),
    )
    .because("tables and links are pinned there, so that enforcement outlives the daemon")
    .remedy("mount -t bpf bpf /sys/fs/bpf (the daemon does so itself where it may)")
}

fn locked_memory() -> Probe {
    /// Frames of one worker, and room for the rest.
    const WANTED: u64 = 64 << 20;
    let limit = getrlimit(Resource::Memlock);
    let enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= WANTED);
    let present = enough(limit.current) || has_capability(CAP_IPC_LOCK);
    let found = limit
        .current
        .map_or("unlimited".to_owned(), |limit| format!("{limit} bytes"));
    Probe::wanted("locked memory", present, found)
        .because("AF_XDP keeps its frames in locked memory")
        .remedy("LimitMEMLOCK=infinity in the unit, or ulimit -l unlimited")
        .or_else("workers do not start; when_workers_fail decides")
}

fn af_xdp() -> Probe {
    const AF_XDP: u16 = 44;
    let family = rustix::net::AddressFamily::from_raw(AF_XDP);
    let opened = rustix::net::socket(family, rustix::net::SocketType::RAW, None);
    // Without the right the kernel still tells whether it knows the family.
    let present = !matches!(opened, Err(rustix::io::Errno::AFNOSUPPORT));
    let found = opened.map_or_else(
        |error| error.to_string(),
        |_| "sockets can be opened".into(),
    );
    Probe::wanted("AF_XDP", present, found)
        .because("what addresses and remembered flows cannot decide is judged by workers behind it")
        .remedy("use a kernel built with CONFIG_XDP_SOCKETS")
        .or_else("bans work; when_workers_fail decides for what needs a policy")
}

// === capabilities ===

const CAP_NET_ADMIN: u32 = 12;
const CAP_NET_RAW: u32 = 13;
const CAP_IPC_LOCK: u32 = 14;
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

const CAPABILITIES: [(u32, &str, &str); 4] = [
    (CAP_BPF, "CAP_BPF", "to load programs and open tables"),
    (
        CAP_PERFMON,
        "CAP_PERFMON",
        "the verifier then trusts reads through packet pointers",
    ),
    (
        CAP_NET_ADMIN,
        "CAP_NET_ADMIN",
        "to attach programs and make the give-back pairs",
    ),
    (CAP_NET_RAW, "CAP_NET_RAW", "to open AF_XDP sockets"),
];

fn capabilities() -> Vec<Probe> {
    CAPABILITIES
        .into_iter()
        .map(|(number, name, why)| {
            // Before they were split off, CAP_SYS_ADMIN stood for BPF and PERFMON.
            let by_admin = number >= CAP_PERFMON && has_capability(CAP_SYS_ADMIN);
            let present = has_capability(number) || by_admin;
            let found = if present { "held" } else { "not held" };
            Probe::required(name, present, found.to_owned())
                .because(why)
                .remedy(format!(
                    "run as root, or with AmbientCapabilities={name} in the unit"
                ))
        })
        .collect()
}

/// Whether this process has a capability in effect.
fn has_capability(number: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("CapEff:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask >> number & 1 == 1)
}
