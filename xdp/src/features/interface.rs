//! One interface: what its driver can do, and what its settings hide from XDP.

use std::fs;

use palisade_abi::PALISADE_MAX_QUEUES;

use super::{Probe, host::kernel_version};
use crate::{
    interface::index,
    programs::XDP,
    sys::{
        link::{XdpAttached, query_xdp, xdp_features},
        netdev, program,
    },
};

/// Bits of the kernel's `netdev_xdp_act`.
const XDP_BASIC: u64 = 1;
const XDP_ZERO_COPY: u64 = 1 << 3;
const XDP_SEVERAL_BUFFERS: u64 = 1 << 5;

/// Kernels since then say what drivers can do.
const ANNOUNCED_SINCE: (u32, u32) = (6, 3);

/// What fits into one page with room for XDP's needs: the limit of most drivers for one buffer.
const ONE_BUFFER_MTU: u32 = 3_498;

/// Driver, queues and offloads of the interface `name`. One probe alone when there is none.
pub fn interface(name: &str) -> Vec<Probe> {
    let Some(ifindex) = index(name) else {
        return vec![
            Probe::required(&format!("interface {name}"), false, "not there".to_owned())
                .because("it stands in the settings")
                .remedy("correct the name in [[interface]], or create it before the daemon starts"),
        ];
    };
    let mut probes = vec![ethernet(name)];
    probes.extend(native(name, ifindex));
    probes.extend([
        queues(name),
        foreign(name, ifindex),
        merging(name),
        vlan_tags(name),
    ]);
    probes.push(wrapped(name));
    probes
}

fn ethernet(name: &str) -> Probe {
    let kind = netdev::hardware_type(name);
    let found = kind
        .as_ref()
        .map_or_else(ToString::to_string, |kind| format!("link type {kind}"));
    Probe::required(
        &format!("{name}: Ethernet"),
        kind.is_ok_and(|kind| kind == 1),
        found,
    )
    .because("the parser reads Ethernet frames")
    .remedy("name the Ethernet interface below it")
}

/// Native XDP, zero-copy and large frames, as the driver announces them (Linux 6.3 and newer).
fn native(name: &str, ifindex: u32) -> Vec<Probe> {
    let driver = netdev::driver(name).unwrap_or_else(|_| "unknown driver".to_owned());
    let features = xdp_features(ifindex).unwrap_or(0);
    let mtu = netdev::mtu(name).unwrap_or(0);
    let can = |bit| features & bit != 0;
    let announces = kernel_version().1 >= ANNOUNCED_SINCE;
    let announced = |bit| match (can(bit), announces) {
        (true, _) => format!("{driver}: yes"),
        (false, true) => format!("{driver}: not announced"),
        (false, false) => format!("{driver}: unknown before Linux 6.3"),
    };
    // What is not known is tried.
    let tried = can(XDP_BASIC) || !announces;
    vec![
        Probe::wanted(&format!("{name}: native XDP"), tried, announced(XDP_BASIC))
            .because("packets are dropped before the kernel builds anything for them")
            .remedy("some drivers need fewer queues, or a newer kernel")
            .or_else("generic mode: the same decisions, at the price of a full receive"),
        Probe::wanted(
            &format!("{name}: zero-copy"),
            can(XDP_ZERO_COPY),
            announced(XDP_ZERO_COPY),
        )
        .because("workers then read frames where the card has put them")
        .or_else("one copy for each inspected frame"),
        Probe::wanted(
            &format!("{name}: frame size"),
            mtu <= ONE_BUFFER_MTU || can(XDP_SEVERAL_BUFFERS),
            format!(
                "MTU {mtu}, several buffers {}",
                announced(XDP_SEVERAL_BUFFERS)
            ),
        )
        .because("native mode needs the whole frame in one buffer, or a driver that takes several")
        .remedy(format!("ip link set dev {name} mtu {ONE_BUFFER_MTU}"))
        .or_else("generic mode"),
    ]
}

fn queues(name: &str) -> Probe {
    let queues = netdev::receive_queues(name);
    let found = queues
        .as_ref()
        .map_or_else(ToString::to_string, |queues| format!("{queues} in use"));
    let fits = queues.map_or(true, |queues| queues <= PALISADE_MAX_QUEUES);
    Probe::required(&format!("{name}: receive queues"), fits, found)
        .because("each receive queue has its worker")
        .remedy(format!("ethtool -L {name} combined {PALISADE_MAX_QUEUES}"))
}

fn foreign(name: &str, ifindex: u32) -> Probe {
    let holder = match query_xdp(ifindex) {
        Ok(
            XdpAttached::Native { program_id }
            | XdpAttached::Generic { program_id }
            | XdpAttached::Other { program_id },
        ) => program::name(program_id).ok(),
        _ => None,
    };
    let ours = holder
        .as_deref()
        .is_none_or(|holder| XDP.starts_with(holder) && !holder.is_empty());
    let found = holder.map_or("free".to_owned(), |holder| format!("holds {holder}"));
    Probe::required(&format!("{name}: XDP hook"), ours, found)
        .because("an interface has one XDP program")
        .remedy(format!(
            "ip link set dev {name} xdp off, or stop the program's owner"
        ))
}

fn merging(name: &str) -> Probe {
    let on = netdev::offload_flags(name).is_ok_and(|flags| flags & netdev::FLAG_LRO != 0);
    let found = if on { "LRO is on" } else { "LRO is off" };
    Probe::wanted(&format!("{name}: no merged frames"), !on, found.to_owned())
        .because("the card would merge segments before a ban or policy sees them")
        .remedy(format!("ethtool -K {name} lro off"))
        .or_else("drivers refuse native mode, or turn it off themselves")
}

/// A tag that the card takes out of the frame is not seen by XDP, and lost on the way through a
/// worker.
fn vlan_tags(name: &str) -> Probe {
    let taken_out =
        netdev::offload_flags(name).is_ok_and(|flags| flags & netdev::FLAG_RX_VLAN != 0);
    let table = fs::read_to_string("/proc/thread-self/net/vlan/config").unwrap_or_default();
    judge_vlan_tags(name, taken_out, &vlan_links(&table, name))
}

fn judge_vlan_tags(name: &str, taken_out: bool, links: &[&str]) -> Probe {
    let found = match (taken_out, links) {
        (true, []) => "rx-vlan-offload is on, no VLAN interfaces".to_owned(),
        (true, links) => format!(
            "rx-vlan-offload is on, VLAN interfaces: {}",
            links.join(", ")
        ),
        (false, _) => "tags stay in the frame".to_owned(),
    };
    Probe::wanted(
        &format!("{name}: VLAN tags"),
        !taken_out || links.is_empty(),
        found,
    )
    .because("an inspected frame would come back without its tag, on the wrong interface")
    .remedy(format!("ethtool -K {name} rxvlan off"))
    .or_else("bans hold; inspected packets of VLAN interfaces are lost")
}

/// VLAN interfaces on top of `name`, from the kernel's table.
fn vlan_links<'a>(table: &'a str, name: &str) -> Vec<&'a str> {
    table
        .lines()
        .filter_map(|line| {
            let mut fields = line.split('|').map(str::trim);
            let (vlan, _, device) = (fields.next()?, fields.next()?, fields.next()?);
            (device == name).then_some(vlan)
        })
        .collect()
}

/// PPPoE sessions and MPLS carry IP in what the parser does not open.
fn wrapped(name: &str) -> Probe {
    let sessions = fs::read_to_string("/proc/thread-self/net/pppoe").unwrap_or_default();
    let pppoe = sessions
        .lines()
        .any(|line| line.split_whitespace().last() == Some(name));
    let mpls = fs::read_to_string(format!("/proc/sys/net/mpls/conf/{name}/input"))
        .is_ok_and(|setting| setting.trim() == "1");
    let found = match (pppoe, mpls) {
        (false, false) => "none",
        (true, false) => "a PPPoE session",
        (false, true) => "MPLS input is on",
        (true, true) => "a PPPoE session, and MPLS input is on",
    };
    Probe::wanted(
        &format!("{name}: encapsulated links"),
        !(pppoe || mpls),
        found.to_owned(),
    )
    .because("nobody can say who sent a packet that the parser does not open")
    .remedy("set encapsulated = \"pass\" for this interface, and add one for the inner link")
    .or_else("such packets are dropped from everybody, as `encapsulated` says")
}

#[cfg(test)]
mod tests {
    use super::{judge_vlan_tags, vlan_links};

    const TABLE: &str = "VLAN Dev name    | VLAN ID\n\
        Name-Type: VLAN_NAME_TYPE_RAW_PLUS_VID_NO_PAD\n\
        eth0.7         | 7  | eth0\n\
        backup         | 8  | eth0\n\
        eth01.9        | 9  | eth01\n";

    #[test]
    fn tags_that_the_card_takes_out_matter_with_vlan_interfaces() {
        let cases: [(&str, bool, &[&str], bool); 5] = [
            ("eth0", true, &["eth0.7", "backup"], false),
            ("eth0", false, &["eth0.7", "backup"], true),
            ("eth01", true, &["eth01.9"], false),
            ("eth1", true, &[], true),
            ("eth1", false, &[], true),
        ];
        for (name, taken_out, links, fine) in cases {
            assert_eq!(vlan_links(TABLE, name), links, "{name}");
            let probe = judge_vlan_tags(name, taken_out, links);
            assert_eq!(probe.present, fine, "{probe:?}");
            assert_eq!(probe.what_to_do.contains("rxvlan off"), !fine, "{probe:?}");
        }
    }
}
