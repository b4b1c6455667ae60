//! Accepted packets on their way back to the host.

use std::{io, io::Write as _};

use palisade_abi::{SHIM_ETHERTYPE, Shim};
use palisade_config::settings::ZeroCopy;
use xsk_rs::{CompQueue, FillQueue, FrameDesc, RxQueue, TxQueue, Umem};

use super::{
    BindError, FrameLayout,
    socket::{self, Bound, Plan, UNUSED_RING},
};
use crate::worker::{BATCH, GiveBack, Note, Refused};

/// When copying, the kernel takes 32 packets a call: two calls make a batch, the rest is patience
/// with a device that is busy.
const KICKS_MAX: usize = 8;

const SHIM_BYTES: usize = size_of::<Shim>();

/// The sending socket on the give-back pair.
///
/// Invariant: every frame is in `free`, in `queued`, or in the kernel's hands; the latter two have a
/// note.
#[derive(Debug)]
pub struct Sender {
    tx: TxQueue,
    completion: CompQueue,
    free: Vec<FrameDesc>,
    queued: Vec<FrameDesc>,
    completed: [FrameDesc; BATCH],
    notes: Box<[Option<Note>]>,
    in_flight: usize,
    layout: FrameLayout,
    shim: Option<[u8; 8]>,
    umem: Umem,
    _unused: (RxQueue, FillQueue),
}

impl Sender {
    /// Binds to `queue` of the near end of the give-back pair. With a `shim` token each packet gets
    /// the header in front by which the kernel program knows it again.
    pub fn bind(
        interface: &str,
        queue: u32,
        layout: FrameLayout,
        shim: Option<u64>,
    ) -> Result<Self, BindError> {
        let plan = Plan {
            interface,
            queue,
            layout,
            receive: UNUSED_RING,
            fill: UNUSED_RING,
            transmit: layout.count(),
            completion: layout.count(),
        };
        let (bound, _) = socket::bind(&plan, ZeroCopy::Off)?;
        let Bound {
            umem,
            frames,
            rx,
            tx,
            fill,
            completion,
        } = bound;
        Ok(Self {
            tx,
            completion,
            notes: vec![None; frames.len()].into(),
            free: frames,
            queued: Vec::with_capacity(BATCH),
            completed: [FrameDesc::default(); BATCH],
            in_flight: 0,
            layout,
            shim: shim.map(u64::to_ne_bytes),
            umem,
            _unused: (rx, fill),
        })
    }

    /// Writes `frame` into the memory of `descriptor`, the header of generic mode in front.
    fn fill_frame(&self, descriptor: &mut FrameDesc, frame: &[u8]) -> io::Result<()> {
        // SAFETY: the descriptor comes from `free`: it belongs to `umem`, and by the invariant of
        // `Sender` nobody else has its frame.
        let mut data = unsafe { self.umem.data_mut(descriptor) };
        let mut cursor = data.cursor();
        cursor.set_pos(0);
        if let Some(token) = self.shim {
            let header = shim_header(frame, token).ok_or(io::ErrorKind::InvalidInput)?;
            cursor.write_all(&header)?;
        }
        cursor.write_all(frame)
    }

    /// Moves what is queued into the transmit ring, which has room for every frame that exists.
    fn submit(&mut self) {
        // SAFETY: the descriptors belong to `umem`, and `queued` is emptied as soon as the ring has
        // them, so that none is used twice.
        let taken = unsafe { self.tx.produce(&self.queued) };
        if taken == self.queued.len() {
            self.queued.clear();
        }
    }
}

/// The addresses of the packet itself, our ethertype and the token.
fn shim_header(frame: &[u8], token: [u8; 8]) -> Option<[u8; SHIM_BYTES]> {
    let mut header = [0; SHIM_BYTES];
    let (addresses, rest) = header.split_first_chunk_mut::<12>()?;
    addresses.copy_from_slice(frame.get(..12)?);
    let (ethertype, rest) = rest.split_first_chunk_mut::<2>()?;
    *ethertype = u16::try_from(SHIM_ETHERTYPE).ok()?.to_be_bytes();
    rest.copy_from_slice(&token);
    Some(header)
}

impl GiveBack for Sender {
    fn send(&mut self, frame: &[u8], note: Note) -> Result<(), Refused> {
        if self.queued.len() == BATCH {
            self.submit();
        }
        if self.queued.len() == BATCH {
            return Err(Refused);
        }
        let mut descriptor = self.free.pop().ok_or(Refused)?;
        let slot = self.layout.index(descriptor.addr());
        let written = self.fill_frame(&mut descriptor, frame);
        match self.notes.get_mut(slot) {
            Some(place) if written.is_ok() => *place = Some(note),
            _ => {
                self.free.push(descriptor);
                return Err(Refused);
            }
        }
        self.queued.push(descriptor);
        self.in_flight += 1;
        Ok(())
    }

    fn kick(&mut self) -> io::Result<()> {
        self.submit();
        for _ in 0..KICKS_MAX {
            let waiting = self.tx.nb_free_exact() < self.layout.count();
            if !(waiting && self.tx.needs_wakeup()) {
                break;
            }
            self.tx.wakeup()?;
        }
        Ok(())
    }

    fn collect(&mut self, taken: &mut dyn FnMut(Note)) {
        loop {
            // SAFETY: the descriptors are used with `umem` alone, the memory of this socket.
            let count = unsafe { self.completion.consume(&mut self.completed) };
            for descriptor in self.completed.get(..count).unwrap_or_default() {
                let slot = self.layout.index(descriptor.addr());
                // Without a note the frame is not in flight, and the kernel made this up.
                if let Some(note) = self.notes.get_mut(slot).and_then(Option::take) {
                    taken(note);
                    self.free.push(*descriptor);
                    self.in_flight -= 1;
                }
            }
            if count < BATCH {
                break;
            }
        }
    }

    /// The frames stay with the kernel, which may still send them: they are not used again.
    fn abandon(&mut self, lost: &mut dyn FnMut(Note)) {
        self.notes
            .iter_mut()
            .filter_map(Option::take)
            .for_each(lost);
        self.in_flight = 0;
    }

    fn in_flight(&self) -> usize {
        self.in_flight
    }
}

#[cfg(test)]
mod tests {
    use super::{SHIM_BYTES, shim_header};

    #[test]
    fn the_shim_has_the_addresses_of_the_packet() {
        let frame: Vec<u8> = (1..=60).collect();
        let header = shim_header(&frame, [0xa5; 8]).unwrap();
        assert_eq!(header.len(), 22);
        assert_eq!(header[..12], frame[..12]);
        assert_eq!(header[12..14], [0x88, 0xb5]);
        assert_eq!(header[14..], [0xa5; 8]);
        assert_eq!(SHIM_BYTES, 22);
        assert_eq!(shim_header(&frame[..11], [0; 8]), None, "runt");
    }
}
