//! One network namespace: made, entered, configured, removed.
//!
//! Namespaces are named (`/run/netns/...`), so that a person can enter one that was left up and
//! the sweeper finds one whose owner died.

use crate::command::{run, run_with_input};
use anyhow::{Context, Result, anyhow};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;

/// Where iproute2 keeps named namespaces.
pub(crate) const NETNS_DIRECTORY: &str = "/run/netns";

/// Addresses are valid at once, nobody configures us from outside, and the reverse path is checked
/// as strictly as on a hardened server.
const SYSCTLS: [(&str, &str); 7] = [
    ("ipv6/conf/all/accept_dad", "0"),
    ("ipv6/conf/default/accept_dad", "0"),
    ("ipv6/conf/all/accept_ra", "0"),
    ("ipv6/conf/default/accept_ra", "0"),
    ("ipv4/conf/all/rp_filter", "1"),
    ("ipv4/conf/default/rp_filter", "1"),
    ("ipv4/icmp_ratelimit", "0"),
];

/// A network namespace, removed with this value.
#[derive(Debug)]
pub(crate) struct Netns {
    name: String,
    keep: bool,
}

impl Netns {
    pub(crate) fn create(name: String) -> Result<Self> {
        run(Command::new("ip").args(["netns", "add", &name]))?;
        let netns = Self { name, keep: false };
        netns.enter(|| -> Result<()> {
            for (key, value) in SYSCTLS {
                std::fs::write(format!("/proc/sys/net/{key}"), value)
                    .with_context(|| format!("setting net/{key}"))?;
            }
            Ok(())
        })??;
        netns.ip("link set lo up\n")?;
        Ok(netns)
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs `ip` commands, one a line, inside.
    pub(crate) fn ip(&self, lines: &str) -> Result<()> {
        run_with_input(
            Command::new("ip").args(["-n", &self.name, "-batch", "-"]),
            lines,
        )
        .map(drop)
    }

    /// Leaves it up when this value is dropped.
    pub(crate) fn keep(&mut self) {
        self.keep = true;
    }

    /// Ends what runs inside.
    pub(crate) fn end_processes(&self) {
        end_processes(&self.name);
    }

    pub(crate) fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T> {
        enter(&self.name, work)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        if !self.keep {
            remove(&self.name);
        }
    }
}

/// Runs `work` on a thread inside the namespace. Sockets it opens, and threads it starts, stay there.
pub(crate) fn enter<T: Send>(name: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
    let path = format!("{NETNS_DIRECTORY}/{name}");
    let namespace = File::open(&path).with_context(|| format!("opening {path}"))?;
    std::thread::scope(|scope| {
        scope
            .spawn(|| {
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .with_context(|| format!("entering {path}"))?;
                Ok(work())
            })
            .join()
            .map_err(|_| anyhow!("the work inside {name} panicked"))?
    })
}

/// Ends what still runs inside and removes the namespace. Best effort: this is clean-up.
pub(crate) fn remove(name: &str) {
    end_processes(name);
    if let Err(error) = run(Command::new("ip").args(["netns", "del", name])) {
        eprintln!("lab: {name} stays behind: {error:#}");
    }
}

fn end_processes(name: &str) {
    if let Ok(pids) = run(Command::new("ip").args(["netns", "pids", name])) {
        for pid in pids.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            kill(pid);
        }
    }
}

/// Ends a process that runs inside one of our namespaces. Ours may be among them, since a thread
/// may still be inside: never that one.
fn kill(pid: i32) {
    let Some(pid) = rustix::process::Pid::from_raw(pid) else {
        return;
    };
    if pid != rustix::process::getpid() {
        // It may be gone already, which is what we want.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
}
