//! A network of its own for each run: veth pairs that no other process sees.
//!
//! The benchmark starts itself again under `unshare` with private network and mount namespaces, a
//! `/sys` that shows this network and a BPF file system of its own. Everything is gone with the
//! process, however it ends.

use std::{
    env,
    net::IpAddr,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use crate::traffic::Target;

const INSIDE: &str = "PALISADE_BENCH_INSIDE";
const MOUNTS: &str = "mount -t sysfs sysfs /sys && mount -t bpf bpf /sys/fs/bpf && exec \"$@\"";

/// Returns inside the private namespaces; outside it replaces the process and does not return.
pub(crate) fn enter() -> Result<()> {
    if env::var_os(INSIDE).is_some() {
        return Ok(());
    }
    let program = env::current_exe().context("finding this program")?;
    let error = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-c", MOUNTS, "sh"])
        .arg(program)
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    bail!("unshare does not start: {error}")
}

/// A veth pair: the generator redirects into `near`, the program under test runs on `far`.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) near: String,
    pub(crate) far: String,
    pub(crate) near_index: u32,
    pub(crate) far_index: u32,
    pub(crate) far_mac: [u8; 6],
}

impl Pair {
    pub(crate) fn create(name: &str) -> Result<Self> {
        let (near, far) = (format!("{name}-n"), format!("{name}-f"));
        let queues = ["numrxqueues", "1", "numtxqueues", "1"];
        let mut arguments = vec!["link", "add", &near];
        arguments.extend(queues);
        arguments.extend(["type", "veth", "peer", "name", &far]);
        arguments.extend(queues);
        ip(&arguments)?;
        for end in [&near, &far] {
            ip(&["link", "set", end, "addrgenmode", "none"])?;
            ip(&["link", "set", end, "up"])?;
        }
        let mac = text(&link(&far)?, "/address")?;
        let bytes: Vec<u8> = mac
            .split(':')
            .map(|byte| u8::from_str_radix(byte, 16))
            .collect::<Result<_, _>>()
            .with_context(|| format!("{far} has the address {mac}"))?;
        Ok(Self {
            near_index: number(&link(&near)?, "/ifindex")?.try_into()?,
            far_index: number(&link(&far)?, "/ifindex")?.try_into()?,
            far_mac: bytes
                .try_into()
                .map_err(|_| anyhow::anyhow!("{far}: {mac}"))?,
            near,
            far,
        })
    }

    /// The far end as the generator's target.
    pub(crate) fn target<'a>(&self, destination: IpAddr, sources: &'a [IpAddr]) -> Target<'a> {
        Target {
            ifindex: Some(self.near_index),
            mac: self.far_mac,
            destination,
            sources,
        }
    }

    /// Packets that have reached the far end since it was made.
    pub(crate) fn received(&self) -> Result<u64> {
        number(&link(&self.far)?, "/stats64/rx/packets")
    }
}

fn ip(arguments: &[&str]) -> Result<Vec<u8>> {
    let output = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("ip (iproute2) does not start")?;
    ensure!(
        output.status.success(),
        "ip {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(output.stdout)
}

fn link(name: &str) -> Result<Value> {
    let list: Value = serde_json::from_slice(&ip(&["-j", "-s", "link", "show", "dev", name])?)?;
    list.get(0)
        .cloned()
        .with_context(|| format!("ip shows no {name}"))
}

fn number(link: &Value, pointer: &str) -> Result<u64> {
    link.pointer(pointer)
        .and_then(Value::as_u64)
        .with_context(|| format!("ip: no {pointer}"))
}

fn text(link: &Value, pointer: &str) -> Result<String> {
    link.pointer(pointer)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("ip: no {pointer}"))
}
