//! The lab's wiring: a switch, the edge on multi-queue uplinks, and hosts around it.
//!
//! Every host finds every other on the link (`default dev eth0`), whatever their addresses, so one
//! switch stands for the whole internet and a forged source is as reachable as a real one.
//!
//! There are no VLAN devices, since not every kernel has them: tagged frames are made by hand
//! ([`crate::packet`]), put on the wire and recorded behind XDP.

use crate::host::Host;
use crate::netns::Netns;
use crate::{command, sweep};
use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, mount};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// The edge's addresses; the contract's examples protect them.
const EDGE_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
const EDGE_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10);

/// Offloads that would hide from a program on veth what a wire shows: unfinished checksums,
/// aggregated packets, and VLAN tags beside the frame instead of in it.
const OFFLOADS: [&str; 7] = [
    "tx",
    "gro",
    "gso",
    "tso",
    "tx-vlan-hw-insert",
    "tx-vlan-stag-hw-insert",
    "rx-vlan-hw-parse",
];

/// Where a host belongs, which gives it its addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// 198.51.100.0/24 and 2001:db8:51::/48: honest.
    Client,
    /// 203.0.113.0/24 and 2001:db8:bad::/48: not.
    Attacker,
    /// 192.0.2.128/25 and 2001:db8:0:1::/64: a load balancer in front of the edge.
    Proxy,
}

impl Place {
    fn addresses(self, number: u8) -> (Ipv4Addr, Ipv6Addr) {
        let last = u16::from(number);
        match self {
            Self::Client => (
                Ipv4Addr::new(198, 51, 100, number),
                Ipv6Addr::new(0x2001, 0xdb8, 0x51, 0, 0, 0, 0, last),
            ),
            Self::Attacker => (
                Ipv4Addr::new(203, 0, 113, number),
                Ipv6Addr::new(0x2001, 0xdb8, 0xbad, 0, 0, 0, 0, last),
            ),
            Self::Proxy => (
                Ipv4Addr::new(192, 0, 2, 128 | number),
                Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, last),
            ),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct LabOptions {
    /// Receive queues of each uplink of the edge.
    pub queues: u32,
    /// Leave everything up when the lab is dropped, under a name that no sweeper takes.
    pub keep: bool,
}

impl Default for LabOptions {
    fn default() -> Self {
        Self {
            queues: 2,
            keep: false,
        }
    }
}

/// A network with an edge node. Dropping it removes it.
#[derive(Debug)]
pub struct Lab {
    /// Unique among all labs of the machine.
    pub name: String,
    /// A folder of its own, with a bpffs at `bpf/`.
    pub folder: PathBuf,
    /// The node under test; its first uplink is `up0`.
    pub edge: Host,
    options: LabOptions,
    switch: Netns,
    edge_netns: Netns,
    others: Vec<Netns>,
    uplinks: u8,
    hosts: u8,
}

static COUNTER: AtomicU32 = AtomicU32::new(0);

impl Lab {
    /// A lab with an edge on one uplink of two queues, and nobody around yet.
    pub fn new() -> Result<Self> {
        Self::with_options(LabOptions::default())
    }

    pub fn with_options(options: LabOptions) -> Result<Self> {
        sweep::leftovers_once();
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let prefix = if options.keep {
            "palisade-kept-"
        } else {
            sweep::PREFIX
        };
        let name = format!("{prefix}{}-{count}", std::process::id());
        let folder = Folder::create(Path::new(sweep::FOLDER).join(&name))?;
        let switch = Netns::create(format!("{name}-switch"))?;
        let_everything_through(&switch)?;
        let edge_netns = Netns::create(format!("{name}-edge"))?;
        let edge = Host {
            name: "edge".to_owned(),
            namespace: edge_netns.name().to_owned(),
            device: "up0".to_owned(),
            mac: uplink_mac(0),
            v4: EDGE_V4,
            v6: EDGE_V6,
            folder: folder.path.clone(),
        };
        let path = folder.into_path();
        let mut lab = Self {
            name,
            folder: path,
            edge,
            options,
            switch,
            edge_netns,
            others: Vec::new(),
            uplinks: 0,
            hosts: 0,
        };
        lab.add_uplink()?;
        lab.edge
            .ip("route add default dev up0\nroute add ::/0 dev up0\n")?;
        Ok(lab)
    }

    /// Gives the edge another uplink, on a switch of its own, with the same addresses; its device.
    pub fn add_uplink(&mut self) -> Result<String> {
        let number = self.uplinks;
        let (device, port) = (format!("up{number}"), format!("edge{number}"));
        self.switch.ip(&format!(
            "link add br{number} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\n\
             link set br{number} up\n"
        ))?;
        let queues = self.options.queues;
        self.connect(
            number,
            &port,
            self.edge_netns.name(),
            &device,
            uplink_mac(number),
            queues,
        )?;
        self.edge_netns.ip(&format!(
            "addr add {EDGE_V4}/32 dev {device}\naddr add {EDGE_V6}/128 dev {device} nodad\n"
        ))?;
        self.uplinks += 1;
        Ok(device)
    }

    /// Adds a host on the first uplink.
    pub fn add_host(&mut self, name: &str, place: Place) -> Result<Host> {
        self.add_host_on(0, name, place)
    }

    /// Adds a host on an uplink. What is not on the first one gets a route from the edge.
    pub fn add_host_on(&mut self, uplink: u8, name: &str, place: Place) -> Result<Host> {
        ensure!(uplink < self.uplinks, "the edge has no uplink {uplink}");
        self.hosts += 1;
        let number = self.hosts;
        let netns = Netns::create(format!("{}-{name}", self.name))?;
        let (v4, v6) = place.addresses(number);
        let mac = [0x02, 0, 0, 0, 1, number];
        // One queue: the switch takes another queue's number for the one to send by, and all flows
        // would meet in the uplink's first queue instead of being spread by their hash.
        self.connect(
            uplink,
            &format!("host{number}"),
            netns.name(),
            "eth0",
            mac,
            1,
        )?;
        netns.ip(&format!(
            "addr add {v4}/32 dev eth0\naddr add {v6}/128 dev eth0 nodad\n\
             route add default dev eth0\nroute add ::/0 dev eth0\n"
        ))?;
        if uplink > 0 {
            self.edge_netns.ip(&format!(
                "route add {v4}/32 dev up{uplink} src {EDGE_V4}\n\
                 route add {v6}/128 dev up{uplink} src {EDGE_V6}\n"
            ))?;
        }
        let host = Host {
            name: name.to_owned(),
            namespace: netns.name().to_owned(),
            device: "eth0".to_owned(),
            mac,
            v4,
            v6,
            folder: self.folder.clone(),
        };
        self.others.push(netns);
        Ok(host)
    }

    /// How a person enters and removes a lab that was kept.
    #[must_use]
    pub fn instructions(&self) -> String {
        let Self { name, folder, .. } = self;
        format!(
            "enter:  ip netns exec {name}-edge bash (or -client, -attacker, ...)\n\
             remove: for n in $(ls /run/netns | grep ^{name}-); do ip netns pids $n | xargs -r kill; \
             ip netns del $n; done; umount {folder}/bpf; rm -r {folder}",
            folder = folder.display(),
        )
    }

    /// Lays a cable from a switch port into a namespace.
    fn connect(
        &self,
        bridge: u8,
        port: &str,
        netns: &str,
        device: &str,
        mac: [u8; 6],
        queues: u32,
    ) -> Result<()> {
        let queues = format!("numtxqueues {queues} numrxqueues {queues}");
        self.switch.ip(&format!(
            "link add {port} {queues} type veth peer name {device} netns {netns} \
             address {} {queues}\nlink set {port} master br{bridge} up\n",
            mac_text(mac)
        ))?;
        command::run(Command::new("ip").args(["-n", netns, "link", "set", device, "up"]))?;
        for (netns, device) in [(self.switch.name(), port), (netns, device)] {
            let mut ethtool = Command::new("ip");
            ethtool.args(["netns", "exec", netns, "ethtool", "-K", device]);
            ethtool.args(OFFLOADS.iter().flat_map(|offload| [*offload, "off"]));
            command::run(&mut ethtool)?;
        }
        Ok(())
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.options.keep {
            let mut kept = vec![&mut self.switch, &mut self.edge_netns];
            kept.extend(&mut self.others);
            kept.into_iter().for_each(Netns::keep);
            return;
        }
        // What runs inside still has files open in the folder.
        for netns in [&self.switch, &self.edge_netns]
            .into_iter()
            .chain(&self.others)
        {
            netns.end_processes();
        }
        sweep::remove_folder(&self.folder);
    }
}

/// A kernel with bridge netfilter would drop unsound IP packets on the way.
fn let_everything_through(switch: &Netns) -> Result<()> {
    switch.enter(|| {
        for table in ["iptables", "ip6tables", "arptables"] {
            let key = format!("/proc/sys/net/bridge/bridge-nf-call-{table}");
            if Path::new(&key).exists() {
                std::fs::write(&key, "0").with_context(|| format!("setting {key}"))?;
            }
        }
        Ok(())
    })?
}

fn uplink_mac(number: u8) -> [u8; 6] {
    [0x02, 0, 0, 0, 0, number + 1]
}

fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// A lab's folder while the lab is being made: removed if that fails.
#[derive(Debug)]
struct Folder {
    path: PathBuf,
    finished: bool,
}

impl Folder {
    fn create(path: PathBuf) -> Result<Self> {
        let bpffs = path.join("bpf");
        std::fs::create_dir_all(&bpffs).with_context(|| format!("making {}", bpffs.display()))?;
        let folder = Self {
            path,
            finished: false,
        };
        mount("bpf", &bpffs, "bpf", MountFlags::empty(), None)
            .with_context(|| format!("mounting a bpffs at {}", bpffs.display()))?;
        Ok(folder)
    }

    fn into_path(mut self) -> PathBuf {
        self.finished = true;
        std::mem::take(&mut self.path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.finished {
            sweep::remove_folder(&self.path);
        }
    }
}
