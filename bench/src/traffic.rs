//! The generator, and the bare programs that ours is compared with.
//!
//! One object holds them all (`bpf/traffic.bpf.c`), loaded with libbpf, so that the benchmark
//! shares no loader with what it measures. Frames are made by `BPF_PROG_RUN` in live-frames mode on
//! the calling CPU and redirected into a veth; the receiving program runs on the same CPU before
//! the call returns.

use std::{net::IpAddr, os::fd::AsFd};

use anyhow::{Context, Result, ensure};
use libbpf_rs::{
    Link, Map, MapCore, MapFlags, Object, ObjectBuilder, OpenObject, ProgramInput, ProgramMut,
    TC_INGRESS, TcHook, TcHookBuilder,
};

const OBJECT: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/traffic.bpf.o"));

/// `BPF_F_TEST_XDP_LIVE_FRAMES` of `linux/bpf.h`: frames are real, redirects happen.
const LIVE_FRAMES: u32 = 1 << 1;
/// Entries of the generator's source list.
pub(crate) const SOURCES_MAX: usize = 1 << 20;
const ETHERNET_BYTES: usize = 14;
const IPV4_BYTES: usize = 20;
/// The shortest Ethernet frame without its check sequence.
const FRAME_BYTES: usize = 60;
const DESTINATION_PORT: u16 = 443;

/// The loaded object.
#[derive(Debug)]
pub(crate) struct Traffic {
    object: Object,
}

/// What the generator sends, and where to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target<'a> {
    /// Interface that the frames leave by; `None` drops them, to price the generator.
    pub(crate) ifindex: Option<u32>,
    /// Ethernet address of the receiving end.
    pub(crate) mac: [u8; 6],
    pub(crate) destination: IpAddr,
    /// Source addresses of the destination's family, sent round robin; a power of two of them, at
    /// most [`SOURCES_MAX`].
    pub(crate) sources: &'a [IpAddr],
}

impl Traffic {
    /// Loads the programs.
    pub(crate) fn load() -> Result<Self> {
        let object = ObjectBuilder::default()
            .open_memory(OBJECT)
            .and_then(OpenObject::load)
            .context("loading the benchmark's programs")?;
        Ok(Self { object })
    }

    /// Attaches `bare_drop` or `bare_pass` in native mode until the link is dropped.
    pub(crate) fn attach_bare(&self, program: &str, ifindex: u32) -> Result<Link> {
        self.program(program)?
            .attach_xdp(i32::try_from(ifindex)?)
            .with_context(|| format!("attaching {program}"))
    }

    /// Ends packets that XDP passed before the IP stack sees them, until the hook is destroyed.
    pub(crate) fn end_path(&self, ifindex: u32) -> Result<TcHook> {
        let program = self.program("end_of_path")?;
        let mut hook = TcHookBuilder::new(program.as_fd())
            .ifindex(i32::try_from(ifindex)?)
            .replace(true)
            .handle(1)
            .priority(1)
            .hook(TC_INGRESS);
        hook.create()
            .and_then(|mut hook| hook.attach())
            .context("attaching end_of_path")
    }

    /// Points the generator at a target and fills its source list.
    pub(crate) fn aim(&self, target: &Target<'_>) -> Result<Aimed<'_>> {
        let count = target.sources.len();
        ensure!(
            count.is_power_of_two() && count <= SOURCES_MAX,
            "{count} sources"
        );
        let count = u32::try_from(count)?;
        let frame = frame(target);
        let settings: Vec<u8> = [
            target.ifindex.unwrap_or(0),
            count - 1,
            u32::from(target.destination.is_ipv6()),
            header_sum(&frame),
        ]
        .into_iter()
        .flat_map(u32::to_ne_bytes)
        .collect();
        self.map("settings")?
            .update(&0_u32.to_ne_bytes(), &settings, MapFlags::ANY)?;

        let keys: Vec<u8> = (0..count).flat_map(u32::to_ne_bytes).collect();
        let values: Vec<u8> = target.sources.iter().flat_map(padded).collect();
        self.map("sources")?
            .update_batch(&keys, &values, count, MapFlags::ANY, MapFlags::ANY)
            .context("filling the source list")?;
        Ok(Aimed {
            program: self.program("generate")?,
            frame,
        })
    }

    fn map(&self, name: &str) -> Result<Map<'_>> {
        let mut maps = self.object.maps();
        maps.find(|map| map.name() == name)
            .with_context(|| format!("no map {name}"))
    }

    fn program(&self, name: &str) -> Result<ProgramMut<'_>> {
        let mut programs = self.object.progs_mut();
        programs
            .find(|program| program.name() == name)
            .with_context(|| format!("no program {name}"))
    }
}

/// A generator ready to send.
#[derive(Debug)]
pub(crate) struct Aimed<'a> {
    program: ProgramMut<'a>,
    frame: Vec<u8>,
}

impl Aimed<'_> {
    /// Sends `packets` frames from the calling thread's CPU.
    pub(crate) fn send(&self, packets: u32) -> Result<()> {
        let input = ProgramInput {
            data_in: Some(&self.frame),
            flags: LIVE_FRAMES,
            repeat: packets,
            ..ProgramInput::default()
        };
        self.program
            .test_run(input)
            .context("running the generator")?;
        Ok(())
    }
}

/// The address as the generator's list holds it: 16 bytes, IPv4 in the first four.
fn padded(address: &IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => {
            let mut bytes = [0; 16];
            let (head, _) = bytes.split_at_mut(4);
            head.copy_from_slice(&address.octets());
            bytes
        }
        IpAddr::V6(address) => address.octets(),
    }
}

/// A minimal UDP frame to the target, its source address and IPv4 checksum left zero.
fn frame(target: &Target<'_>) -> Vec<u8> {
    let mut frame = Vec::with_capacity(FRAME_BYTES + 20);
    frame.extend(target.mac);
    frame.extend([0x02, 0, 0, 0, 0, 1]);
    match target.destination {
        IpAddr::V4(destination) => {
            frame.extend([0x08, 0x00, 0x45, 0, 0, 46, 0, 0, 0x40, 0, 64, 17, 0, 0]);
            frame.extend([0; 4]);
            frame.extend(destination.octets());
        }
        IpAddr::V6(destination) => {
            frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 26, 17, 64]);
            frame.extend([0; 16]);
            frame.extend(destination.octets());
        }
    }
    let [high, low] = DESTINATION_PORT.to_be_bytes();
    frame.extend([0x9c, 0x40, high, low, 0, 26, 0, 0]);
    frame.extend([0; 18]);
    frame
}

/// One's complement sum of the IPv4 header, in the machine's byte order as the generator adds.
fn header_sum(frame: &[u8]) -> u32 {
    frame
        .iter()
        .skip(ETHERNET_BYTES)
        .take(IPV4_BYTES)
        .collect::<Vec<_>>()
        .chunks_exact(2)
        .map(|pair| {
            pair.iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u32::from(**byte))
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::{Target, frame, header_sum};

    #[test]
    fn frames_have_the_lengths_that_their_headers_state() {
        let target = |destination: &str| Target {
            ifindex: None,
            mac: [2; 6],
            destination: destination.parse().expect("an address"),
            sources: &[],
        };
        let four = frame(&target("192.0.2.1"));
        assert_eq!(four.len(), 14 + 46);
        assert_eq!(u16::from_be_bytes([four[16], four[17]]), 46);
        let six = frame(&target("2001:db8::1"));
        assert_eq!(six.len(), 14 + 40 + 26);
        assert_eq!(u16::from_be_bytes([six[18], six[19]]), 26);
    }

    #[test]
    fn the_sum_is_that_of_rfc_1071_in_machine_order() {
        let target = Target {
            ifindex: None,
            mac: [2; 6],
            destination: "192.0.2.1".parse().expect("an address"),
            sources: &[],
        };
        let sum = header_sum(&frame(&target));
        let folded = (sum & 0xffff) + (sum >> 16);
        let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).expect("folded");
        // Worked out by hand for 45 00 00 2e 00 00 40 00 40 11 0000 00000000 c0000201.
        assert_eq!(checksum.to_ne_bytes(), 0x78be_u16.to_be_bytes());
    }
}
