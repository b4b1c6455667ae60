//! A worker that has started allocates nothing.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    sync::atomic::Ordering,
};

use palisade_fastpath::clock::Now;

use crate::support::{
    case::{Case, Line},
    rings::{Bench, Options},
};

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call goes to `System` unchanged, which keeps the contract. The counter beside it is
// a constant thread-local without a destructor: reaching it allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System`, by way of `alloc` above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn the_loop_allocates_nothing() {
    let case = &Case::all()[0];
    let options = Options {
        endless: true,
        keep_frames: false,
        flow_room: 1_000_000,
        event_room: 64,
    };
    let mut bench = Bench::new(case.tables(), options);
    let lines = Case::all().into_iter().flat_map(|case| case.packets);
    for text in lines {
        bench.arrivals.push(Line::parse(&text).frame);
    }
    bench.arrivals.push(vec![0; 10]);
    bench.arrivals.push_bad_descriptor();
    // The first rounds set up what is set up once: thread-locals, the capacity of the fake rings.
    for second in 0..4 {
        bench
            .engine
            .turn(Now::from_nanoseconds(second * 1_000_000_000))
            .unwrap();
    }

    let before = ALLOCATIONS.with(Cell::get);
    let mut handled = 0;
    for round in 0..1_000_u64 {
        handled += bench
            .engine
            .turn(Now::from_nanoseconds(round * 20_000_000))
            .unwrap();
    }
    let allocations = ALLOCATIONS.with(Cell::get) - before;
    assert!(handled >= 60_000, "only {handled} packets were handled");
    assert_eq!(allocations, 0, "{handled} packets");
    assert!(bench.departures.room.load(Ordering::Relaxed) > 0);
    assert!(
        bench.ledger.snapshot().len() >= 8,
        "{:?}",
        bench.ledger.snapshot()
    );
}
