//! One map, by its descriptor.

use std::{
    ffi::{CStr, c_void},
    io,
    marker::PhantomData,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

use libbpf_sys::{bpf_map_batch_opts, bpf_map_create_opts, bpf_map_info};
use palisade_abi::{
    Counter, Endpoint, Event, FlowKey, FlowVerdict, Interface, LearnedFlow, Lpm4Key, Lpm6Key,
    PolicyLine,
};

use super::{check, check_fd};

/// What may be copied to and from a map byte by byte.
///
/// # Safety
///
/// No padding, and every bit pattern is a value.
pub(crate) unsafe trait Plain: Copy + Default + 'static {}

macro_rules! plain {
    ($($type:ty: $size:literal),* $(,)?) => {$(
        // SAFETY: integers and arrays of integers only, and no padding: the sizes of the fields add
        // up to the size that is asserted here.
        unsafe impl Plain for $type {}
        const _: () = assert!(size_of::<$type>() == $size);
    )*};
}

plain! {
    u8: 1, u32: 4, u64: 8, [u8; 16]: 16,
    Lpm4Key: 8, Lpm6Key: 20, FlowKey: 40, FlowVerdict: 16, LearnedFlow: 16, Endpoint: 8,
    Interface: 48, Counter: 16, Event: 56, PolicyLine: 64,
}

/// Reads a value out of a ring buffer; `None` when the record has another size.
pub(crate) fn read_plain<T: Plain>(bytes: &[u8]) -> Option<T> {
    if bytes.len() != size_of::<T>() {
        return None;
    }
    // SAFETY: `bytes` is as long as a `T`, every bit pattern is a `T`, and the read is unaligned.
    Some(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

/// What the kernel says of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) kind: u32,
    pub(crate) key_size: u32,
    pub(crate) value_size: u32,
    pub(crate) max_entries: u32,
    pub(crate) flags: u32,
}

fn information(map: BorrowedFd<'_>) -> io::Result<bpf_map_info> {
    let mut info = bpf_map_info::default();
    let mut length = u32::try_from(size_of::<bpf_map_info>()).unwrap_or(0);
    // SAFETY: `info` is writable for `length` bytes, which is its size.
    check(unsafe {
        libbpf_sys::bpf_map_get_info_by_fd(map.as_raw_fd(), &raw mut info, &raw mut length)
    })?;
    Ok(info)
}

pub(crate) fn attributes(map: BorrowedFd<'_>) -> io::Result<Attributes> {
    let info = information(map)?;
    Ok(Attributes {
        kind: info.type_,
        key_size: info.key_size,
        value_size: info.value_size,
        max_entries: info.max_entries,
        flags: info.map_flags,
    })
}

/// Makes an array of its own, pinned nowhere.
pub(crate) fn create_array(
    name: &CStr,
    value_size: usize,
    entries: u32,
    flags: u32,
) -> io::Result<OwnedFd> {
    let options = bpf_map_create_opts {
        sz: size_of::<bpf_map_create_opts>() as u64,
        map_flags: flags,
        ..Default::default()
    };
    let (key_size, value_size) = (size_of::<u32>(), u32::try_from(value_size));
    // SAFETY: `name` is a zero-terminated string and `options` a whole structure; both outlive the
    // call.
    let code = unsafe {
        libbpf_sys::bpf_map_create(
            libbpf_sys::BPF_MAP_TYPE_ARRAY,
            name.as_ptr(),
            u32::try_from(key_size).unwrap_or(0),
            value_size.unwrap_or(0),
            entries,
            &raw const options,
        )
    };
    // SAFETY: bpf_map_create returns a new descriptor or a negative errno.
    unsafe { check_fd(code) }
}

/// The kernel's number of a map.
pub(crate) fn id(map: BorrowedFd<'_>) -> io::Result<u32> {
    information(map).map(|info| info.id)
}

/// A map whose keys are `K` and whose values are `V`.
///
/// Invariant: the kernel's key size is that of `K`, its value size that of `V`.
#[derive(Debug)]
pub(crate) struct Map<K, V> {
    fd: Arc<OwnedFd>,
    max_entries: u32,
    types: PhantomData<fn() -> (K, V)>,
}

impl<K, V> Clone for Map<K, V> {
    fn clone(&self) -> Self {
        Self {
            fd: Arc::clone(&self.fd),
            max_entries: self.max_entries,
            types: PhantomData,
        }
    }
}

impl<K: Plain, V: Plain> Map<K, V> {
    /// `None` when the map's keys or values have another size. The value of a per-CPU map is one
    /// CPU's: such a map is read with [`Map::get_per_cpu`] alone.
    pub(crate) fn new(fd: OwnedFd) -> io::Result<Option<Self>> {
        let found = attributes(fd.as_fd())?;
        let fits = usize::try_from(found.key_size) == Ok(size_of::<K>())
            && usize::try_from(found.value_size) == Ok(size_of::<V>());
        Ok(fits.then(|| Self {
            fd: Arc::new(fd),
            max_entries: found.max_entries,
            types: PhantomData,
        }))
    }

    pub(crate) fn max_entries(&self) -> u32 {
        self.max_entries
    }

    /// Not for per-CPU maps.
    pub(crate) fn get(&self, key: &K) -> io::Result<Option<V>> {
        let mut value = V::default();
        // SAFETY: the key is readable for the map's key size and the value writable for its value
        // size, by the invariant on `Map`.
        let code = unsafe {
            libbpf_sys::bpf_map_lookup_elem(
                self.fd.as_raw_fd(),
                std::ptr::from_ref(key).cast(),
                std::ptr::from_mut(&mut value).cast(),
            )
        };
        match check(code) {
            Ok(_) => Ok(Some(value)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The values of all `cpus` possible CPUs. Values must be multiples of eight bytes.
    pub(crate) fn get_per_cpu(&self, key: &K, cpus: usize) -> io::Result<Vec<V>> {
        const { assert!(size_of::<V>().is_multiple_of(8)) };
        let mut values = vec![V::default(); cpus];
        // SAFETY: the kernel writes one value, rounded up to eight bytes, for each possible CPU:
        // `cpus` values of a size that is such a multiple.
        check(unsafe {
            libbpf_sys::bpf_map_lookup_elem(
                self.fd.as_raw_fd(),
                std::ptr::from_ref(key).cast(),
                values.as_mut_ptr().cast(),
            )
        })?;
        Ok(values)
    }

    /// Sets the values of all CPUs.
    pub(crate) fn set_per_cpu(&self, key: &K, values: &[V]) -> io::Result<()> {
        const { assert!(size_of::<V>().is_multiple_of(8)) };
        // SAFETY: as for `get_per_cpu`; the caller passes one value for each possible CPU.
        check(unsafe {
            libbpf_sys::bpf_map_update_elem(
                self.fd.as_raw_fd(),
                std::ptr::from_ref(key).cast(),
                values.as_ptr().cast(),
                0,
            )
        })
        .map(drop)
    }

    pub(crate) fn set(&self, key: &K, value: &V) -> io::Result<()> {
        // SAFETY: key and value are readable for the map's sizes, by the invariant on `Map`.
        check(unsafe {
            libbpf_sys::bpf_map_update_elem(
                self.fd.as_raw_fd(),
                std::ptr::from_ref(key).cast(),
                std::ptr::from_ref(value).cast(),
                0,
            )
        })
        .map(drop)
    }

    /// Whether there was such an entry.
    pub(crate) fn remove(&self, key: &K) -> io::Result<bool> {
        // SAFETY: the key is readable for the map's key size, by the invariant on `Map`.
        let code = unsafe {
            libbpf_sys::bpf_map_delete_elem(
                self.fd.as_raw_fd(),
                std::ptr::from_ref(key).cast::<c_void>(),
            )
        };
        match check(code) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Sets many entries in one call. On an error, says how many were written before it.
    pub(crate) fn set_batch(&self, entries: &[(K, V)]) -> Result<(), (usize, io::Error)> {
        if entries.is_empty() {
            return Ok(());
        }
        let (keys, values): (Vec<K>, Vec<V>) = entries.iter().copied().unzip();
        let mut count = u32::try_from(keys.len()).unwrap_or(u32::MAX);
        let options = batch_options();
        // SAFETY: both arrays hold `count` elements of the map's sizes.
        let code = unsafe {
            libbpf_sys::bpf_map_update_batch(
                self.fd.as_raw_fd(),
                keys.as_ptr().cast(),
                values.as_ptr().cast(),
                &raw mut count,
                &raw const options,
            )
        };
        check(code)
            .map(drop)
            .map_err(|error| (count as usize, error))
    }

    /// Removes many entries; those that are not there are no error. Says how many were.
    pub(crate) fn remove_batch(&self, keys: &[K]) -> io::Result<u64> {
        let mut rest = keys;
        let mut removed = 0;
        while !rest.is_empty() {
            let mut count = u32::try_from(rest.len()).unwrap_or(u32::MAX);
            let options = batch_options();
            // SAFETY: the array holds `count` keys of the map's key size.
            let code = unsafe {
                libbpf_sys::bpf_map_delete_batch(
                    self.fd.as_raw_fd(),
                    rest.as_ptr().cast(),
                    &raw mut count,
                    &raw const options,
                )
            };
            removed += u64::from(count);
            let done = match check(code) {
                Ok(_) => count as usize,
                // The batch ends at the first key that is not there: go on behind it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => count as usize + 1,
                Err(error) => return Err(error),
            };
            rest = rest.get(done..).unwrap_or_default();
        }
        Ok(removed)
    }

    /// Walks all entries, in batches. Entries that change meanwhile may be missed or seen twice.
    pub(crate) fn walk(&self) -> Walk<K, V> {
        Walk::new(self.clone())
    }
}

impl<K, V> AsFd for Map<K, V> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn batch_options() -> bpf_map_batch_opts {
    bpf_map_batch_opts {
        sz: size_of::<bpf_map_batch_opts>() as u64,
        ..Default::default()
    }
}

// === impl Walk ===

const WALK_BATCH: usize = 4096;
const WALK_BATCH_MAX: usize = 1 << 20;

/// An iterator over the entries of a map.
#[derive(Debug)]
pub(crate) struct Walk<K, V> {
    map: Map<K, V>,
    size: usize,
    /// Where the next batch starts: a key for tries, a bucket for hash tables.
    position: Option<Vec<u8>>,
    buffer: std::vec::IntoIter<(K, V)>,
    done: bool,
}

impl<K: Plain, V: Plain> Walk<K, V> {
    fn new(map: Map<K, V>) -> Self {
        Self {
            map,
            size: WALK_BATCH,
            position: None,
            buffer: Vec::new().into_iter(),
            done: false,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut keys = vec![K::default(); self.size];
        let mut values = vec![V::default(); self.size];
        let mut next = vec![0_u8; size_of::<K>().max(8)];
        let mut count = u32::try_from(self.size).unwrap_or(u32::MAX);
        let options = batch_options();
        let start = self
            .position
            .as_mut()
            .map_or(std::ptr::null_mut(), |from| from.as_mut_ptr());
        // SAFETY: keys and values are writable for `count` elements of the map's sizes; the two
        // positions are as long as a key and at least a bucket number, and `start` is null or was
        // filled by the call before.
        let code = unsafe {
            libbpf_sys::bpf_map_lookup_batch(
                self.map.fd.as_raw_fd(),
                start.cast(),
                next.as_mut_ptr().cast(),
                keys.as_mut_ptr().cast(),
                values.as_mut_ptr().cast(),
                &raw mut count,
                &raw const options,
            )
        };
        match check(code) {
            Ok(_) => self.position = Some(next),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.done = true,
            // One bucket of a hash table holds more than a batch.
            Err(error)
                if error.raw_os_error() == Some(libc::ENOSPC) && self.size < WALK_BATCH_MAX =>
            {
                self.size *= 4;
                return Ok(());
            }
            Err(error) => return Err(error),
        }
        keys.truncate(count as usize);
        self.buffer = keys.into_iter().zip(values).collect::<Vec<_>>().into_iter();
        Ok(())
    }
}

impl<K: Plain, V: Plain> Iterator for Walk<K, V> {
    type Item = io::Result<(K, V)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.buffer.next() {
                return Some(Ok(entry));
            }
            if self.done {
                return None;
            }
            if let Err(error) = self.fill() {
                self.done = true;
                return Some(Err(error));
            }
        }
    }
}
