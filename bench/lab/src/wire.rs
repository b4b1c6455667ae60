//! Frames as they are on the wire: put there and recorded, through AF_PACKET sockets.

#![expect(
    unsafe_code,
    reason = "sockaddr_ll and PACKET_IGNORE_OUTGOING have no safe interface"
)]

use crate::packet;
use anyhow::{Context, Result, bail};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netdevice, socket_with, sockopt,
};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Enough for a burst between two looks at a capture.
const RECEIVE_BUFFER_BYTES: usize = 64 << 20;
const FRAME_BYTES_MAX: usize = 65_536;

/// Puts frames on the wire behind a device.
#[derive(Debug)]
pub struct Injector {
    socket: OwnedFd,
}

impl Injector {
    /// Must be called inside the namespace of `device`.
    pub(crate) fn open(device: &str) -> Result<Self> {
        // Protocol 0 receives nothing.
        let socket = socket_with(
            AddressFamily::PACKET,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            None,
        )
        .context("opening an AF_PACKET socket")?;
        bind(socket.as_fd(), device, 0)?;
        Ok(Self { socket })
    }

    /// Sends one frame, from its destination address on.
    pub fn send(&self, frame: &[u8]) -> Result<()> {
        loop {
            match rustix::net::send(&self.socket, frame, SendFlags::empty()) {
                Ok(sent) if sent == frame.len() => return Ok(()),
                Ok(sent) => bail!("{sent} of {} bytes of a frame were sent", frame.len()),
                Err(rustix::io::Errno::INTR | rustix::io::Errno::NOBUFS) => {}
                Err(error) => return Err(error).context("sending a frame"),
            }
        }
    }
}

/// Records what the stack gets from a device after XDP, and not what it sends.
#[derive(Debug)]
pub struct Capture {
    socket: OwnedFd,
    frames: Vec<Vec<u8>>,
}

impl Capture {
    /// Must be called inside the namespace of `device`.
    pub(crate) fn open(device: &str) -> Result<Self> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)
            .context("opening an AF_PACKET socket")?;
        sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER_BYTES)
            .context("enlarging the receive buffer")?;
        ignore_outgoing(socket.as_fd())?;
        bind(socket.as_fd(), device, libc::ETH_P_ALL)?;
        Ok(Self {
            socket,
            frames: Vec::new(),
        })
    }

    /// All frames so far. A VLAN tag that the stack has taken off is missing in them.
    pub fn frames(&mut self) -> Result<&[Vec<u8>]> {
        let mut buffer = vec![0; FRAME_BYTES_MAX];
        loop {
            match rustix::net::recv(&self.socket, buffer.as_mut_slice(), RecvFlags::empty()) {
                Ok((bytes, _)) => self
                    .frames
                    .push(buffer.get(..bytes).unwrap_or_default().to_vec()),
                Err(rustix::io::Errno::AGAIN) => return Ok(&self.frames),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error).context("receiving captured frames"),
            }
        }
    }

    /// How many frames so far hold `needle` anywhere, be it in an inner header.
    pub fn count(&mut self, needle: &[u8]) -> Result<usize> {
        self.count_where(|frame| packet::holds(frame, needle))
    }

    /// How many frames so far are such.
    pub fn count_where(&mut self, mut such: impl FnMut(&[u8]) -> bool) -> Result<usize> {
        Ok(self.frames()?.iter().filter(|frame| such(frame)).count())
    }
}

/// Binds a packet socket to a device for one ethertype, or for none (0).
fn bind(socket: BorrowedFd<'_>, device: &str, ethertype: i32) -> Result<()> {
    let index = netdevice::name_to_index(socket, device).with_context(|| format!("no {device}"))?;
    // SAFETY: `sockaddr_ll` is integers and an array of integers, for which zero is a value.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = u16::try_from(libc::AF_PACKET)?;
    address.sll_protocol = u16::try_from(ethertype)?.to_be();
    address.sll_ifindex = i32::try_from(index)?;
    let length = libc::socklen_t::try_from(size_of_val(&address))?;
    // SAFETY: the pointer is to a live `sockaddr_ll` and the length is its size; the kernel only
    // reads it, during the call. The descriptor is open: it is borrowed.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if result != 0 {
        return Err(io::Error::last_os_error()).with_context(|| format!("binding to {device}"));
    }
    Ok(())
}

fn ignore_outgoing(socket: BorrowedFd<'_>) -> Result<()> {
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of_val(&on))?;
    // SAFETY: the pointer is to a live int and the length is its size; the kernel only reads it,
    // during the call. The descriptor is open: it is borrowed.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_IGNORE_OUTGOING,
            (&raw const on).cast(),
            length,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error()).context("setting PACKET_IGNORE_OUTGOING");
    }
    Ok(())
}
