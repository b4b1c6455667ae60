//! Rings made of plain memory: what a worker receives, gives back and writes, under the eyes of a
//! test. Nothing here allocates while the worker runs, if the test has reserved enough.

use std::{
    collections::VecDeque,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    time::Duration,
};

use arc_swap::ArcSwap;
use palisade_abi::{Event, FlowKey, FlowVerdict};
use palisade_fastpath::{
    NoReplies, Ports, Tables, VerdictSink,
    fragments::FragmentTable,
    worker::{BATCH, Engine, GiveBack, Intake, Losses, Note, Refused},
};

use super::ledger::Ledger;

/// What the kernel side of the receive ring holds. `None` is a descriptor that leads nowhere.
#[derive(Debug, Default)]
pub(crate) struct Arrivals {
    waiting: Mutex<VecDeque<Option<Vec<u8>>>>,
    pub(crate) released: AtomicUsize,
    pub(crate) lost: AtomicU64,
}

impl Arrivals {
    pub(crate) fn push(&self, frame: Vec<u8>) {
        self.waiting.lock().unwrap().push_back(Some(frame));
    }

    pub(crate) fn push_bad_descriptor(&self) {
        self.waiting.lock().unwrap().push_back(None);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.lock().unwrap().is_empty()
    }
}

#[derive(Debug)]
pub(crate) struct FakeIntake {
    arrivals: Arc<Arrivals>,
    batch: Vec<Option<Vec<u8>>>,
    /// Puts released frames back to the end of the ring, so that it never runs dry.
    endless: bool,
}

impl Intake for FakeIntake {
    fn receive(&mut self) -> usize {
        let mut waiting = self.arrivals.waiting.lock().unwrap();
        while self.batch.len() < BATCH {
            match waiting.pop_front() {
                Some(frame) => self.batch.push(frame),
                None => break,
            }
        }
        self.batch.len()
    }

    fn frame(&self, index: usize) -> Option<&[u8]> {
        self.batch.get(index)?.as_deref()
    }

    fn release(&mut self) {
        self.arrivals
            .released
            .fetch_add(self.batch.len(), Ordering::Relaxed);
        if self.endless {
            self.arrivals
                .waiting
                .lock()
                .unwrap()
                .extend(self.batch.drain(..));
        }
        self.batch.clear();
    }

    fn losses(&mut self) -> io::Result<Losses> {
        Ok(Losses {
            packets: self.arrivals.lost.swap(0, Ordering::Relaxed),
            fill_ring_empty: 0,
        })
    }

    fn wait(&mut self, _timeout: Duration) -> io::Result<()> {
        std::thread::yield_now();
        Ok(())
    }
}

/// The give-back pair: what has come through, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Departures {
    pub(crate) delivered: Mutex<Vec<Vec<u8>>>,
    pub(crate) room: AtomicUsize,
    /// The kernel takes nothing.
    pub(crate) stuck: AtomicBool,
    /// The device is gone.
    pub(crate) broken: AtomicBool,
    pub(crate) keep_frames: bool,
}

#[derive(Debug)]
pub(crate) struct FakeGiveBack {
    departures: Arc<Departures>,
    in_flight: VecDeque<Note>,
    taken: VecDeque<Note>,
}

impl GiveBack for FakeGiveBack {
    fn send(&mut self, frame: &[u8], note: Note) -> Result<(), Refused> {
        if self.in_flight() >= self.departures.room.load(Ordering::Relaxed) {
            return Err(Refused);
        }
        self.in_flight.push_back(note);
        if self.departures.keep_frames {
            self.departures
                .delivered
                .lock()
                .unwrap()
                .push(frame.to_vec());
        }
        Ok(())
    }

    fn kick(&mut self) -> io::Result<()> {
        if self.departures.broken.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if !self.departures.stuck.load(Ordering::Relaxed) {
            self.taken.extend(self.in_flight.drain(..));
        }
        Ok(())
    }

    fn collect(&mut self, taken: &mut dyn FnMut(Note)) {
        self.taken.drain(..).for_each(taken);
    }

    fn abandon(&mut self, lost: &mut dyn FnMut(Note)) {
        self.in_flight
            .drain(..)
            .chain(self.taken.drain(..))
            .for_each(lost);
    }

    fn in_flight(&self) -> usize {
        self.in_flight.len() + self.taken.len()
    }
}

/// The kernel's flow table, with room for so many verdicts.
#[derive(Debug)]
pub(crate) struct FlowTable {
    pub(crate) written: Mutex<Vec<(FlowKey, FlowVerdict)>>,
    pub(crate) room: AtomicUsize,
    pub(crate) panics: AtomicBool,
}

#[derive(Debug)]
struct Sink(Arc<FlowTable>);

impl VerdictSink for Sink {
    fn write(&mut self, batch: &[(FlowKey, FlowVerdict)]) -> usize {
        assert!(
            !self.0.panics.load(Ordering::Relaxed),
            "the test wants this sink to panic"
        );
        let mut written = self.0.written.lock().unwrap();
        let room = self
            .0
            .room
            .load(Ordering::Relaxed)
            .saturating_sub(written.len());
        let fits = batch.len().min(room);
        written.extend(&batch[..fits]);
        fits
    }
}

/// A worker without a kernel, and everything that it touches.
pub(crate) struct Bench {
    pub(crate) engine: Engine<FakeIntake, FakeGiveBack>,
    pub(crate) arrivals: Arc<Arrivals>,
    pub(crate) departures: Arc<Departures>,
    pub(crate) flows: Arc<FlowTable>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) tables: Arc<ArcSwap<Tables>>,
    pub(crate) events: Receiver<Event>,
}

/// What differs from a worker on which everything works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) endless: bool,
    pub(crate) keep_frames: bool,
    pub(crate) flow_room: usize,
    pub(crate) event_room: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            endless: false,
            keep_frames: true,
            flow_room: 10_000,
            event_room: 1024,
        }
    }
}

impl Bench {
    pub(crate) fn new(tables: Tables, options: Options) -> Self {
        let arrivals = Arc::new(Arrivals::default());
        let departures = Arc::new(Departures {
            delivered: Mutex::default(),
            room: AtomicUsize::new(1024),
            stuck: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            keep_frames: options.keep_frames,
        });
        let flows = Arc::new(FlowTable {
            written: Mutex::new(Vec::with_capacity(options.flow_room)),
            room: AtomicUsize::new(options.flow_room),
            panics: AtomicBool::new(false),
        });
        let ledger = Arc::new(Ledger::new());
        let tables = Arc::new(ArcSwap::from_pointee(tables));
        let (sender, events) = sync_channel(options.event_room);
        let intake = FakeIntake {
            arrivals: Arc::clone(&arrivals),
            batch: Vec::with_capacity(BATCH),
            endless: options.endless,
        };
        let give_back = FakeGiveBack {
            departures: Arc::clone(&departures),
            in_flight: VecDeque::with_capacity(2048),
            taken: VecDeque::with_capacity(2048),
        };
        let ports = Ports {
            verdicts: Box::new(Sink(Arc::clone(&flows))),
            cells: ledger.clone(),
            events: sender,
            fragments: Arc::new(FragmentTable::new()),
            replies: Box::new(NoReplies),
            register: Box::new(|_| Ok(())),
        };
        let engine = Engine::new(intake, give_back, 3, Arc::clone(&tables), ports);
        Self {
            engine,
            arrivals,
            departures,
            flows,
            ledger,
            tables,
            events,
        }
    }
}
