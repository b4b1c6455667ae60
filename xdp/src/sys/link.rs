//! Links: what ties a program to an interface.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd, OwnedFd},
    path::Path,
};

use libbpf_sys::{
    BPF_TC_EGRESS, BPF_TC_F_REPLACE, BPF_TC_INGRESS, BPF_TCX_EGRESS, BPF_TCX_INGRESS, BPF_XDP,
    bpf_link_create_opts, bpf_link_info, bpf_tc_hook, bpf_tc_opts, bpf_xdp_query_opts,
};

use super::{c_path, check, check_fd, get_pinned};

/// Where on an interface a program goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    XdpNative,
    XdpGeneric,
    TcIngress,
    TcEgress,
}

/// A link that is held by its descriptor: it lives as long as this, or its pin.
#[derive(Debug)]
pub(crate) struct Link(OwnedFd);

impl Link {
    pub(crate) fn create(program: BorrowedFd<'_>, ifindex: u32, place: Place) -> io::Result<Self> {
        let (kind, flags) = match place {
            Place::XdpNative => (BPF_XDP, libbpf_sys::XDP_FLAGS_DRV_MODE),
            Place::XdpGeneric => (BPF_XDP, libbpf_sys::XDP_FLAGS_SKB_MODE),
            Place::TcIngress => (BPF_TCX_INGRESS, 0),
            Place::TcEgress => (BPF_TCX_EGRESS, 0),
        };
        let options = bpf_link_create_opts {
            sz: size_of::<bpf_link_create_opts>() as u64,
            flags,
            ..Default::default()
        };
        // SAFETY: `options` is as long as it says and outlives the call.
        let code = unsafe {
            libbpf_sys::bpf_link_create(
                program.as_raw_fd(),
                signed(ifindex)?,
                kind,
                &raw const options,
            )
        };
        // SAFETY: bpf_link_create returns a new descriptor or a negative errno.
        unsafe { check_fd(code) }.map(Self)
    }

    pub(crate) fn from_pin(path: &Path) -> io::Result<Option<Self>> {
        Ok(get_pinned(path)?.map(Self))
    }

    pub(crate) fn pin(&self, path: &Path) -> io::Result<()> {
        let path = c_path(path)?;
        // SAFETY: `path` is a zero-terminated string that outlives the call.
        check(unsafe { libbpf_sys::bpf_obj_pin(self.0.as_raw_fd(), path.as_ptr()) }).map(drop)
    }

    /// Puts another program in the place of the present one; no packet sees neither.
    pub(crate) fn replace(&self, program: BorrowedFd<'_>) -> io::Result<()> {
        // SAFETY: null options are allowed and mean none.
        check(unsafe {
            libbpf_sys::bpf_link_update(self.0.as_raw_fd(), program.as_raw_fd(), std::ptr::null())
        })
        .map(drop)
    }

    /// Takes the program off, whoever else holds the link.
    pub(crate) fn detach(&self) -> io::Result<()> {
        // SAFETY: the call takes nothing but a descriptor, which is open as long as `self`.
        check(unsafe { libbpf_sys::bpf_link_detach(self.0.as_raw_fd()) }).map(drop)
    }

    /// The interface the link is on; 0 once that has gone.
    pub(crate) fn ifindex(&self) -> io::Result<u32> {
        let mut info = bpf_link_info::default();
        let mut length = u32::try_from(size_of::<bpf_link_info>()).unwrap_or(0);
        // SAFETY: `info` is writable for `length` bytes, which is its size.
        check(unsafe {
            libbpf_sys::bpf_link_get_info_by_fd(self.0.as_raw_fd(), &raw mut info, &raw mut length)
        })?;
        // SAFETY: the links of this crate are XDP and tcx links, and the union of both starts with
        // the interface index; it was zeroed before the call.
        Ok(unsafe { info.__bindgen_anon_1.xdp.ifindex })
    }
}

fn signed(ifindex: u32) -> io::Result<i32> {
    i32::try_from(ifindex).map_err(|_| io::Error::from_raw_os_error(libc::ENODEV))
}

// === XDP as it stands ===

/// The programs on the XDP hook of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum XdpAttached {
    Nothing,
    Native {
        program_id: u32,
    },
    Generic {
        program_id: u32,
    },
    /// Offloaded, or several at once.
    Other {
        program_id: u32,
    },
}

/// What the driver announces that it can do with XDP, as bits of `netdev_xdp_act`.
pub(crate) fn xdp_features(ifindex: u32) -> io::Result<u64> {
    query(ifindex).map(|found| found.feature_flags)
}

fn query(ifindex: u32) -> io::Result<bpf_xdp_query_opts> {
    let mut found = bpf_xdp_query_opts {
        sz: size_of::<bpf_xdp_query_opts>() as u64,
        ..Default::default()
    };
    // SAFETY: `found` is writable and as long as it says.
    check(unsafe { libbpf_sys::bpf_xdp_query(signed(ifindex)?, 0, &raw mut found) })?;
    Ok(found)
}

pub(crate) fn query_xdp(ifindex: u32) -> io::Result<XdpAttached> {
    let found = query(ifindex)?;
    Ok(match u32::from(found.attach_mode) {
        libbpf_sys::XDP_ATTACHED_NONE => XdpAttached::Nothing,
        libbpf_sys::XDP_ATTACHED_DRV => XdpAttached::Native {
            program_id: found.drv_prog_id,
        },
        libbpf_sys::XDP_ATTACHED_SKB => XdpAttached::Generic {
            program_id: found.skb_prog_id,
        },
        _ => XdpAttached::Other {
            program_id: found.prog_id.max(found.hw_prog_id),
        },
    })
}

// === clsact: tc before Linux 6.6 ===

/// Where our filter stands: this priority and handle are ours on every interface.
const FILTER_PRIORITY: u32 = 0x9a11;
const FILTER_HANDLE: u32 = 1;

fn hook(ifindex: u32, place: Place) -> io::Result<bpf_tc_hook> {
    // libbpf writes to standard error what it also returns, and "no such filter" is no news.
    // SAFETY: no function, which turns the messages off, has no requirements.
    unsafe { libbpf_sys::libbpf_set_print(None) };
    Ok(bpf_tc_hook {
        sz: size_of::<bpf_tc_hook>() as u64,
        ifindex: signed(ifindex)?,
        attach_point: if place == Place::TcIngress {
            BPF_TC_INGRESS
        } else {
            BPF_TC_EGRESS
        },
        ..Default::default()
    })
}

fn filter() -> bpf_tc_opts {
    bpf_tc_opts {
        sz: size_of::<bpf_tc_opts>() as u64,
        handle: FILTER_HANDLE,
        priority: FILTER_PRIORITY,
        ..Default::default()
    }
}

/// Adds the clsact qdisc where it is missing and puts the program into our filter, in the place of
/// the one before. The filter stays until it is removed.
pub(crate) fn attach_filter(program: BorrowedFd<'_>, ifindex: u32, place: Place) -> io::Result<()> {
    let mut hook = hook(ifindex, place)?;
    // SAFETY: `hook` is writable and as long as it says.
    match check(unsafe { libbpf_sys::bpf_tc_hook_create(&raw mut hook) }) {
        Err(error) if error.raw_os_error() != Some(libc::EEXIST) => return Err(error),
        _ => {}
    }
    let mut options = filter();
    options.prog_fd = program.as_raw_fd();
    options.flags = BPF_TC_F_REPLACE;
    // SAFETY: both structs are writable and as long as they say.
    check(unsafe { libbpf_sys::bpf_tc_attach(&raw const hook, &raw mut options) }).map(drop)
}

/// Whether there was a filter of ours.
pub(crate) fn detach_filter(ifindex: u32, place: Place) -> io::Result<bool> {
    let hook = hook(ifindex, place)?;
    let options = filter();
    // SAFETY: both structs are as long as they say and outlive the call.
    match check(unsafe { libbpf_sys::bpf_tc_detach(&raw const hook, &raw const options) }) {
        Ok(_) => Ok(true),
        Err(error)
            if matches!(
                error.raw_os_error(),
                Some(libc::ENOENT | libc::EINVAL | libc::ENODEV)
            ) =>
        {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use palisade_lab::Lab;

    use super::{Place, attach_filter, detach_filter};
    use crate::{Kernel, programs::EGRESS};

    /// The way of kernels before 6.6, which newer ones still go.
    #[test]
    fn filters_are_replaced_and_removed() {
        if !palisade_lab::require_root() {
            return;
        }
        let lab = Lab::new().expect("a lab can be built");
        let pins = format!("/sys/fs/bpf/palisade-test-filter-{}", std::process::id());
        let kernel = Kernel::open(pins.as_ref()).expect("the maps can be made");
        let filters = || {
            lab.edge
                .run("tc filter show dev up0 egress")
                .expect("shown")
        };
        lab.edge
            .enter(|| {
                let ifindex = crate::interface::index("up0").expect("there");
                let programs = kernel.load_programs(0).expect("loaded");
                let program = programs.fd(EGRESS).expect("loaded");
                for round in ["the first time", "in its own place"] {
                    attach_filter(program, ifindex, Place::TcEgress).expect(round);
                    assert_eq!(filters().matches("direct-action").count(), 1, "{round}");
                }
                assert!(detach_filter(ifindex, Place::TcEgress).expect("no error"));
                assert!(!filters().contains("palisade_egress"));
                assert!(
                    !detach_filter(ifindex, Place::TcEgress).expect("no error"),
                    "none left"
                );
            })
            .expect("the namespace is there");
        crate::unload(pins.as_ref()).expect("it can be unloaded");
    }
}
