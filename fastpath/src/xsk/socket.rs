//! Making and binding a socket, with the patience that a freshly closed queue needs.

use std::{
    io,
    num::NonZeroU32,
    os::fd::{AsRawFd, BorrowedFd},
    time::Duration,
};

use palisade_config::settings::ZeroCopy;
use rustix::io::{FdFlags, fcntl_setfd};
use xsk_rs::{
    CompQueue, FillQueue, FrameDesc, RxQueue, Socket, TxQueue, Umem,
    config::{BindFlags, Interface, LibxdpFlags, QueueSize, SocketConfig},
};

use super::FrameLayout;
use crate::clock::{self, Now};

/// Ring that a socket must have and that is not used.
pub(super) const UNUSED_RING: u32 = 64;

/// How long a queue may stay busy after its last owner closed it.
const BUSY_PATIENCE: Duration = Duration::from_secs(2);
const BUSY_PAUSE: Duration = Duration::from_millis(10);

/// Why a socket could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BindError {
    #[error("memory for {frames} frames was refused (limit on locked memory?)")]
    Memory { frames: u32, source: io::Error },
    #[error("interface name {name:?} or its rings are not valid")]
    Invalid { name: String },
    #[error("no zero-copy socket on {interface} queue {queue}")]
    ZeroCopy {
        interface: String,
        queue: u32,
        source: io::Error,
    },
    #[error("no socket on {interface} queue {queue}")]
    Socket {
        interface: String,
        queue: u32,
        source: io::Error,
    },
}

/// What to bind to, and how large the rings are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan<'a> {
    pub(super) interface: &'a str,
    pub(super) queue: u32,
    pub(super) layout: FrameLayout,
    pub(super) receive: u32,
    pub(super) fill: u32,
    pub(super) transmit: u32,
    pub(super) completion: u32,
}

/// A bound socket: its rings, its memory, and every frame of that.
#[derive(Debug)]
pub(super) struct Bound {
    pub(super) umem: Umem,
    pub(super) frames: Vec<FrameDesc>,
    pub(super) rx: RxQueue,
    pub(super) tx: TxQueue,
    pub(super) fill: FillQueue,
    pub(super) completion: CompQueue,
}

/// How packets get from the device into our memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Copying {
    Zero,
    /// By choice, or because zero-copy was refused, for the reason given.
    Copy {
        fell_back: Option<String>,
    },
}

/// Binds as `zero_copy` wants; `Auto` falls back to copying.
pub(super) fn bind(plan: &Plan<'_>, zero_copy: ZeroCopy) -> Result<(Bound, Copying), BindError> {
    let fell_back = match zero_copy {
        ZeroCopy::Off => None,
        ZeroCopy::On | ZeroCopy::Auto => match patiently(plan, BindFlags::XDP_ZEROCOPY) {
            Ok(bound) => return Ok((bound, Copying::Zero)),
            Err(BindError::Socket {
                interface,
                queue,
                source,
            }) if zero_copy == ZeroCopy::On => {
                return Err(BindError::ZeroCopy {
                    interface,
                    queue,
                    source,
                });
            }
            Err(BindError::Socket { source, .. }) => Some(source.to_string()),
            Err(other) => return Err(other),
        },
    };
    let bound = patiently(plan, BindFlags::XDP_COPY)?;
    Ok((bound, Copying::Copy { fell_back }))
}

/// The kernel frees a queue some time after its socket was closed, and a socket's memory is freed only
/// with the last handle: a restart therefore finds its queues busy for a moment.
fn patiently(plan: &Plan<'_>, copying: BindFlags) -> Result<Bound, BindError> {
    let start = Now::read();
    loop {
        match attempt(plan, copying) {
            Err(BindError::Socket { source, .. })
                if source.raw_os_error() == Some(libc::EBUSY)
                    && Now::read().since(start) < BUSY_PATIENCE =>
            {
                clock::pause(BUSY_PAUSE);
            }
            result => return result,
        }
    }
}

fn attempt(plan: &Plan<'_>, copying: BindFlags) -> Result<Bound, BindError> {
    let invalid = || BindError::Invalid {
        name: plan.interface.to_owned(),
    };
    let frames = plan.layout.count();
    let (umem, descriptors) = plan
        .layout
        .umem(plan.fill, plan.completion)
        .zip(NonZeroU32::new(frames))
        .map(|(config, count)| Umem::new(config, count, false))
        .ok_or_else(invalid)?
        .map_err(|error| BindError::Memory {
            frames,
            source: os_error(&error),
        })?;

    let size = |entries| QueueSize::new(entries).map_err(|_| invalid());
    let config = SocketConfig::builder()
        .rx_queue_size(size(plan.receive)?)
        .tx_queue_size(size(plan.transmit)?)
        .libxdp_flags(LibxdpFlags::XSK_LIBXDP_FLAGS_INHIBIT_PROG_LOAD)
        .bind_flags(copying | BindFlags::XDP_USE_NEED_WAKEUP)
        .build();
    let interface: Interface = plan.interface.parse().map_err(|_| invalid())?;
    let failed = |source| BindError::Socket {
        interface: plan.interface.to_owned(),
        queue: plan.queue,
        source,
    };

    // SAFETY: the contract concerns sockets that share a memory and a queue. This memory was made
    // above for this socket alone, and INHIBIT_PROG_LOAD is set besides.
    let socket = unsafe { Socket::new(config, &umem, &interface, plan.queue) };
    let (tx, rx, rings) = socket.map_err(|error| failed(os_error(&error)))?;
    close_on_exec(&rx).map_err(failed)?;
    let (fill, completion) = rings.ok_or_else(|| failed(io::ErrorKind::AlreadyExists.into()))?;
    Ok(Bound {
        umem,
        frames: descriptors,
        rx,
        tx,
        fill,
        completion,
    })
}

/// libxdp opens sockets that programs started by us would inherit, and with them the queue: it would
/// stay busy for as long as they run.
fn close_on_exec(rx: &RxQueue) -> io::Result<()> {
    // SAFETY: the descriptor belongs to the socket that `rx` keeps open, and the borrow ends here.
    let fd = unsafe { BorrowedFd::borrow_raw(rx.fd().as_raw_fd()) };
    Ok(fcntl_setfd(fd, FdFlags::CLOEXEC)?)
}

/// The system's error behind one of xsk-rs, whose own text says less.
fn os_error(error: &(dyn std::error::Error + 'static)) -> io::Error {
    error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .and_then(io::Error::raw_os_error)
        .map_or_else(
            || io::Error::other(error.to_string()),
            io::Error::from_raw_os_error,
        )
}
