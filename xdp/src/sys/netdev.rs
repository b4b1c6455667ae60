//! Questions to an interface by ioctl: unlike sysfs, they are answered in the network namespace of
//! the thread that asks.

use std::{
    ffi::c_void,
    io,
    os::fd::{AsRawFd, OwnedFd},
};

use libc::{Ioctl, ifreq};

/// ARPHRD_*: 1 is Ethernet.
pub(crate) fn hardware_type(name: &str) -> io::Result<u16> {
    let mut request = request(name)?;
    call(libc::SIOCGIFHWADDR, &mut request)?;
    // SAFETY: the call has filled this member of the union.
    Ok(unsafe { request.ifr_ifru.ifru_hwaddr.sa_family })
}

pub(crate) fn mtu(name: &str) -> io::Result<u32> {
    let mut request = request(name)?;
    call(libc::SIOCGIFMTU, &mut request)?;
    // SAFETY: the call has filled this member of the union.
    let mtu = unsafe { request.ifr_ifru.ifru_mtu };
    u32::try_from(mtu).map_err(io::Error::other)
}

const SIOCETHTOOL: Ioctl = 0x8946;
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_GDRVINFO: u32 = 0x03;
const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// Flags of [`offload_flags`]: frames are merged before XDP sees them.
pub(crate) const FLAG_LRO: u32 = 1 << 15;
/// The driver takes VLAN tags out of frames.
pub(crate) const FLAG_RX_VLAN: u32 = 1 << 8;

/// `struct ethtool_value`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Value {
    command: u32,
    data: u32,
}

/// `struct ethtool_drvinfo`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    rest: [u8; 160],
}

const _: () = assert!(size_of::<DriverInfo>() == 196);

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
struct Channels {
    command: u32,
    max: [u32; 4],
    receive: u32,
    transmit: u32,
    other: u32,
    combined: u32,
}

pub(crate) fn offload_flags(name: &str) -> io::Result<u32> {
    let mut value = Value {
        command: ETHTOOL_GFLAGS,
        ..Value::default()
    };
    // SAFETY: ETHTOOL_GFLAGS writes a `Value`.
    unsafe { ethtool(name, (&raw mut value).cast()) }?;
    Ok(value.data)
}

pub(crate) fn driver(name: &str) -> io::Result<String> {
    let mut info = DriverInfo {
        command: ETHTOOL_GDRVINFO,
        driver: [0; 32],
        rest: [0; 160],
    };
    // SAFETY: ETHTOOL_GDRVINFO writes a `DriverInfo`, whose size is asserted above.
    unsafe { ethtool(name, (&raw mut info).cast()) }?;
    let name = info
        .driver
        .split(|&byte| byte == 0)
        .next()
        .unwrap_or_default();
    Ok(String::from_utf8_lossy(name).into_owned())
}

/// How many receive queues are in use.
pub(crate) fn receive_queues(name: &str) -> io::Result<u32> {
    let mut channels = Channels {
        command: ETHTOOL_GCHANNELS,
        ..Channels::default()
    };
    // SAFETY: ETHTOOL_GCHANNELS writes a `Channels`.
    unsafe { ethtool(name, (&raw mut channels).cast()) }?;
    Ok(channels.receive + channels.combined)
}

/// # Safety
///
/// `argument` must point to the struct that its command reads and writes.
unsafe fn ethtool(name: &str, argument: *mut c_void) -> io::Result<()> {
    let mut request = request(name)?;
    request.ifr_ifru.ifru_data = argument.cast();
    call(SIOCETHTOOL, &mut request)
}

fn request(name: &str) -> io::Result<ifreq> {
    // SAFETY: ifreq is integers, arrays and pointers: zeroes are a value of it.
    let mut request: ifreq = unsafe { std::mem::zeroed() };
    if name.len() >= request.ifr_name.len() {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = std::ffi::c_char::from_ne_bytes([from]);
    }
    Ok(request)
}

fn call(number: Ioctl, request: &mut ifreq) -> io::Result<()> {
    let socket: OwnedFd = rustix::net::socket(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        None,
    )?;
    // SAFETY: `request` is a valid ifreq; what it points to is what the command wants, by the
    // contract of `ethtool`.
    let code = unsafe { libc::ioctl(socket.as_raw_fd(), number, std::ptr::from_mut(request)) };
    if code < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
