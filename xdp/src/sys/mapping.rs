//! A map that is mapped into memory, as a row of atomic words.

use std::{
    io,
    os::fd::BorrowedFd,
    ptr::NonNull,
    sync::atomic::{AtomicU32, AtomicU64},
};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// The values of a `BPF_F_MMAPABLE` array, shared with the kernel programs and other processes.
///
/// Invariant: `start` is the start of a readable and writable shared mapping of at least `words`
/// eight-byte words, aligned to a page, that lives until drop. It is only ever accessed by atomic
/// operations.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u64>,
    words: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and is only accessed atomically.
unsafe impl Send for Mapping {}
// SAFETY: as above; shared access is what the mapping is for.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `words` words of a map.
    pub(crate) fn new(map: BorrowedFd<'_>, words: usize) -> io::Result<Self> {
        // SAFETY: the kernel chooses the address, so no existing mapping is touched.
        let start = unsafe {
            mmap(
                std::ptr::null_mut(),
                Self::bytes(words),
                ProtFlags::READ | ProtFlags::WRITE,
                MapFlags::SHARED,
                map,
                0,
            )
        }?;
        let start = NonNull::new(start.cast())
            .ok_or_else(|| io::Error::other("the kernel mapped at address zero"))?;
        Ok(Self { start, words })
    }

    fn bytes(words: usize) -> usize {
        (words * size_of::<u64>()).next_multiple_of(rustix::param::page_size())
    }

    pub(crate) fn word(&self, index: usize) -> Option<&AtomicU64> {
        if index >= self.words {
            return None;
        }
        // SAFETY: in bounds, by the check above and the invariant on `Mapping`.
        let word = unsafe { self.start.add(index) };
        // SAFETY: aligned and alive as long as `self`, by the invariant; every access to it here is
        // atomic, and the kernel programs read and write it with single loads and stores.
        Some(unsafe { AtomicU64::from_ptr(word.as_ptr()) })
    }

    /// The first half of a word, in memory order.
    pub(crate) fn half(&self, index: usize) -> Option<&AtomicU32> {
        let word = self.word(index)?;
        // SAFETY: four of the eight bytes of a word that lives as long as `self`. All users of this
        // word use its halves.
        Some(unsafe { AtomicU32::from_ptr(word.as_ptr().cast()) })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: `start` and the length are those of the mapping made in `new`, and every
        // reference into it borrows `self`.
        let unmapped = unsafe { munmap(self.start.as_ptr().cast(), Self::bytes(self.words)) };
        debug_assert!(unmapped.is_ok(), "a mapping of our own can be unmapped");
    }
}
