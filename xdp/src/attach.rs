//! Tying the programs to an interface, and keeping them there over restarts.
//!
//! ```text
//! slot -> settings into the map -> programs loaded -> XDP link -> egress link -> give-back link
//! ```
//!
//! A link that is pinned and still on the interface gets the new program in the place of the old
//! one, so that no packet passes unjudged. Settings are in the map before the program that reads
//! them runs.

use std::{io, os::fd::BorrowedFd, path::Path};

use palisade_abi::Interface;

use crate::{
    Attached, AttachedMode, InterfaceSpec, LoadError, Mode, TcKind,
    interface::{Slots, encode, write_slot},
    pins::{LinkPin, Pins},
    programs::{EGRESS, GIVE_BACK, Programs, XDP},
    sys::{
        link::{Link, Place, XdpAttached, attach_filter, query_xdp},
        program,
    },
};

/// Where an interface goes: found by the caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) slot: u16,
    pub(crate) ifindex: u32,
    /// What the slot held before.
    pub(crate) before: Interface,
}

/// Attaches all programs of one interface. The caller holds the lock of the pin directory.
pub(crate) fn attach(
    pins: &Pins,
    slots: &Slots,
    spec: &InterfaceSpec,
    target: Target,
) -> Result<Attached, LoadError> {
    let Target {
        slot,
        ifindex,
        before,
    } = target;
    let programs = Programs::load(pins.directory(), slot)?;
    // Until the mode is known the old token stays: packets with it may be on their way.
    write_slot(slots, slot, &encode(spec, ifindex, before.shim_token))?;

    let (mode, fell_back) = attach_xdp(&pins.link(LinkPin::Xdp, slot), &programs, spec, ifindex)?;
    let shim_token = match mode {
        AttachedMode::Native => None,
        AttachedMode::Generic if before.shim_token != 0 => Some(before.shim_token),
        AttachedMode::Generic => Some(draw_token()?),
    };
    write_slot(slots, slot, &encode(spec, ifindex, shim_token.unwrap_or(0)))?;

    let egress = pins.link(LinkPin::Egress, slot);
    let tc = attach_tc(&egress, programs.fd(EGRESS)?, ifindex, Place::TcEgress)
        .map_err(|error| error.of(EGRESS, spec))?;
    if let Some(far) = spec.give_back_far_ifindex {
        let give_back = pins.link(LinkPin::GiveBack, slot);
        attach_tc(&give_back, programs.fd(GIVE_BACK)?, far, Place::TcIngress)
            .map_err(|error| error.of(GIVE_BACK, spec))?;
    }
    Ok(Attached {
        slot,
        ifindex,
        mode,
        fell_back,
        shim_token,
        tc,
    })
}

// === XDP ===

fn attach_xdp(
    pin: &Path,
    programs: &Programs,
    spec: &InterfaceSpec,
    ifindex: u32,
) -> Result<(AttachedMode, Option<String>), LoadError> {
    let program = programs.fd(XDP)?;
    if let Some(link) = live_link(pin, ifindex)? {
        match (attached_mode(ifindex), spec.mode) {
            (Some(mode), Mode::Auto)
            | (Some(mode @ AttachedMode::Native), Mode::Native)
            | (Some(mode @ AttachedMode::Generic), Mode::Generic) => {
                link.replace(program)
                    .map_err(|source| failed(XDP, spec, source))?;
                let kept = (mode == AttachedMode::Generic && spec.mode == Mode::Auto).then(|| {
                    "generic mode is kept from before; `palisade unload` lets the next start try \
                     native mode"
                        .to_owned()
                });
                return Ok((mode, kept));
            }
            // The mode of a link cannot be changed: for a moment nothing is attached.
            _ => {
                link.detach().map_err(|source| failed(XDP, spec, source))?;
                unpin(pin)?;
            }
        }
    }
    attach_fresh_xdp(pin, program, spec, ifindex)
}

fn attach_fresh_xdp(
    pin: &Path,
    program: BorrowedFd<'_>,
    spec: &InterfaceSpec,
    ifindex: u32,
) -> Result<(AttachedMode, Option<String>), LoadError> {
    let create = |place| Link::create(program, ifindex, place);
    let (link, mode, fell_back) = if spec.mode == Mode::Generic {
        let link = create(Place::XdpGeneric).map_err(|source| occupied(spec, ifindex, source))?;
        (link, AttachedMode::Generic, None)
    } else {
        match create(Place::XdpNative) {
            Ok(link) => (link, AttachedMode::Native, None),
            Err(refusal) => {
                let refusal = match occupied(spec, ifindex, refusal) {
                    LoadError::Attach { source, .. } => source,
                    foreign => return Err(foreign),
                };
                if spec.mode == Mode::Native {
                    let interface = spec.name.clone();
                    return Err(LoadError::NativeRefused {
                        interface,
                        source: refusal,
                    });
                }
                let link =
                    create(Place::XdpGeneric).map_err(|source| occupied(spec, ifindex, source))?;
                (
                    link,
                    AttachedMode::Generic,
                    Some(format!("native mode refused: {refusal}")),
                )
            }
        }
    };
    link.pin(pin)
        .map_err(|source| pin_failed("pin", pin, source))?;
    Ok((mode, fell_back))
}

/// Tells a program of somebody else from every other refusal.
fn occupied(spec: &InterfaceSpec, ifindex: u32, source: io::Error) -> LoadError {
    let program_id = match query_xdp(ifindex) {
        Ok(
            XdpAttached::Native { program_id }
            | XdpAttached::Generic { program_id }
            | XdpAttached::Other { program_id },
        ) => program_id,
        _ => return failed(XDP, spec, source),
    };
    LoadError::ForeignProgram {
        interface: spec.name.clone(),
        program: program::name(program_id).unwrap_or_default(),
        program_id,
    }
}

/// The mode in which something is attached to an interface.
pub(crate) fn attached_mode(ifindex: u32) -> Option<AttachedMode> {
    match query_xdp(ifindex) {
        Ok(XdpAttached::Native { .. }) => Some(AttachedMode::Native),
        Ok(XdpAttached::Generic { .. }) => Some(AttachedMode::Generic),
        _ => None,
    }
}

// === tc ===

enum TcError {
    Pin(LoadError),
    Kernel(io::Error),
}

impl TcError {
    fn of(self, program: &'static str, spec: &InterfaceSpec) -> LoadError {
        match self {
            Self::Pin(error) => error,
            Self::Kernel(source) => failed(program, spec, source),
        }
    }
}

fn attach_tc(
    pin: &Path,
    program: BorrowedFd<'_>,
    ifindex: u32,
    place: Place,
) -> Result<TcKind, TcError> {
    if let Some(link) = live_link(pin, ifindex).map_err(TcError::Pin)? {
        link.replace(program).map_err(TcError::Kernel)?;
        return Ok(TcKind::Tcx);
    }
    match Link::create(program, ifindex, place) {
        Ok(link) => {
            link.pin(pin)
                .map_err(|source| TcError::Pin(pin_failed("pin", pin, source)))?;
            Ok(TcKind::Tcx)
        }
        // Kernels before 6.6 do not know the link type.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            attach_filter(program, ifindex, place).map_err(TcError::Kernel)?;
            Ok(TcKind::Clsact)
        }
        Err(error) => Err(TcError::Kernel(error)),
    }
}

// === pinned links ===

/// The pinned link, if it is still on this interface. One that is not is taken away: its interface
/// has gone, and its index may be another interface's now.
fn live_link(pin: &Path, ifindex: u32) -> Result<Option<Link>, LoadError> {
    let opened = Link::from_pin(pin).map_err(|source| pin_failed("open", pin, source))?;
    let Some(link) = opened else { return Ok(None) };
    let on = link
        .ifindex()
        .map_err(|source| pin_failed("query", pin, source))?;
    if on == ifindex {
        return Ok(Some(link));
    }
    unpin(pin)?;
    Ok(None)
}

/// Ends a pinned link, whoever else holds it. False: there was none.
pub(crate) fn take_off(pin: &Path) -> Result<bool, LoadError> {
    let opened = Link::from_pin(pin).map_err(|source| pin_failed("open", pin, source))?;
    let Some(link) = opened else { return Ok(false) };
    // A link whose interface has gone is detached already.
    let _gone = link.detach();
    unpin(pin)?;
    Ok(true)
}

fn unpin(pin: &Path) -> Result<(), LoadError> {
    std::fs::remove_file(pin).map_err(|source| pin_failed("remove", pin, source))
}

fn pin_failed(operation: &'static str, pin: &Path, source: io::Error) -> LoadError {
    LoadError::Path {
        operation,
        path: pin.to_owned(),
        source,
    }
}

fn failed(program: &'static str, spec: &InterfaceSpec, source: io::Error) -> LoadError {
    LoadError::Attach {
        program,
        interface: spec.name.clone(),
        source,
    }
}

fn draw_token() -> Result<u64, LoadError> {
    const SOURCE: &str = "/dev/urandom";
    let mut bytes = [0; 8];
    std::fs::File::open(SOURCE)
        .and_then(|mut file| io::Read::read_exact(&mut file, &mut bytes))
        .map_err(|source| pin_failed("read", Path::new(SOURCE), source))?;
    Ok(u64::from_ne_bytes(bytes).max(1)) // zero means: no shim
}
