//! Packets that the kernel program redirected to us.

use std::{
    io,
    os::fd::{AsRawFd, BorrowedFd},
    time::Duration,
};

use palisade_config::settings::ZeroCopy;
use rustix::net::sockopt::socket_error;
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, TxQueue, Umem, socket::XdpStatistics};

use super::{
    BindError, FrameLayout,
    socket::{self, Bound, Copying, Plan, UNUSED_RING},
};
use crate::worker::{BATCH, Intake, Losses};

/// The receiving socket of one queue.
///
/// Invariant: every frame is in the fill ring, in the kernel's hands, in the receive ring, or among
/// the first `held` descriptors of `batch`.
#[derive(Debug)]
pub struct Receiver {
    rx: RxQueue,
    fill: FillQueue,
    batch: [FrameDesc; BATCH],
    held: usize,
    layout: FrameLayout,
    copying: Copying,
    counted: XdpStatistics,
    umem: Umem,
    _unused: (TxQueue, CompQueue),
}

impl Receiver {
    /// Binds to `queue` of `interface` and gives all frames to the kernel.
    pub fn bind(
        interface: &str,
        queue: u32,
        layout: FrameLayout,
        zero_copy: ZeroCopy,
    ) -> Result<Self, BindError> {
        // With rings as large as the memory no ring can be full: what is lost is lost for want of
        // frames, and counted once.
        let plan = Plan {
            interface,
            queue,
            layout,
            receive: layout.count(),
            fill: layout.count(),
            transmit: UNUSED_RING,
            completion: UNUSED_RING,
        };
        let (bound, copying) = socket::bind(&plan, zero_copy)?;
        let Bound {
            umem,
            frames,
            rx,
            tx,
            mut fill,
            completion,
        } = bound;
        // SAFETY: `frames` are all frames of `umem`, to which this fill ring belongs, and nobody has
        // used one yet.
        unsafe { fill.produce(&frames) };
        Ok(Self {
            rx,
            fill,
            batch: [FrameDesc::default(); BATCH],
            held: 0,
            layout,
            copying,
            counted: XdpStatistics::default(),
            umem,
            _unused: (tx, completion),
        })
    }

    pub fn is_zero_copy(&self) -> bool {
        self.copying == Copying::Zero
    }

    /// Why zero-copy was tried and given up.
    pub fn fell_back(&self) -> Option<&str> {
        match &self.copying {
            Copying::Copy { fell_back } => fell_back.as_deref(),
            Copying::Zero => None,
        }
    }

    /// The socket, for the kernel program's map of sockets. Stays open as long as `self`.
    pub fn fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor belongs to the socket that `self.rx` keeps open for at least as
        // long as the borrow of `self` lasts.
        unsafe { BorrowedFd::borrow_raw(self.rx.fd().as_raw_fd()) }
    }

    /// A device that goes away leaves its error at the socket, once.
    fn check_device(&self) -> io::Result<()> {
        Ok(socket_error(self.fd())??)
    }
}

impl Intake for Receiver {
    fn receive(&mut self) -> usize {
        if self.held == 0 {
            // SAFETY: the descriptors taken from this ring are looked at through `self.umem` alone,
            // the memory that the socket was made with.
            self.held = unsafe { self.rx.consume(&mut self.batch) };
        }
        self.held
    }

    fn frame(&self, index: usize) -> Option<&[u8]> {
        let descriptor = self.batch.get(..self.held)?.get(index)?;
        if !self.layout.holds(descriptor) {
            return None;
        }
        // SAFETY:
        // - The descriptor lies inside one frame of `umem`: checked above.
        // - Nobody writes there: by the invariant of `Receiver` the kernel does not have the frame,
        //   it gets it back in `release` alone, and that takes `&mut self`, which ends this borrow.
        let data = unsafe { self.umem.data(descriptor) };
        Some(data.contents())
    }

    fn release(&mut self) {
        // A descriptor that points nowhere cannot be given back: its frame is lost.
        let layout = self.layout;
        let mut kept = 0;
        for index in 0..self.held {
            if self
                .batch
                .get(index)
                .is_some_and(|descriptor| layout.exists(descriptor.addr()))
            {
                self.batch.swap(kept, index);
                kept += 1;
            }
        }
        let frames = self.batch.get(..kept).unwrap_or_default();
        // SAFETY: the frames belong to `umem`, as checked, and are ours by the invariant of
        // `Receiver`. `held` becomes zero below, so that no second use follows.
        let given = unsafe { self.fill.produce(frames) };
        // The ring has room for every frame that exists; if it claims otherwise, try again later.
        self.held = if given == kept { 0 } else { kept };
        if self.fill.needs_wakeup() {
            // A driver that sleeps for want of frames looks at the ring again on poll. A failure
            // shows in the next wait.
            let _ = self.rx.poll(0);
        }
    }

    /// `rx_dropped` and `rx_ring_full` each count a packet that was redirected here and lost. An
    /// empty fill ring is no loss of its own: when copying, the packet is in `rx_dropped` already;
    /// without, the driver drops it before the kernel program has seen it.
    fn losses(&mut self) -> io::Result<Losses> {
        self.check_device()?;
        let before = self.counted;
        let total = self.rx.fd().xdp_statistics()?;
        self.counted = total;
        let lost = |of: fn(&XdpStatistics) -> u64| of(&total).saturating_sub(of(&before));
        Ok(Losses {
            packets: lost(XdpStatistics::rx_dropped) + lost(XdpStatistics::rx_ring_full),
            fill_ring_empty: lost(XdpStatistics::rx_fill_ring_empty_descs),
        })
    }

    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let milliseconds = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        self.rx.poll(milliseconds).map(|_ready| ())
    }
}
