//! The edge to the kernel: the only code of this crate that calls it unsafely.
//!
//! Everything here is a thin, typed form of one bpf(2) call or of one mapping. What the calls mean
//! for palisade stands in the modules above.

pub(crate) mod link;
pub(crate) mod map;
pub(crate) mod mapping;
pub(crate) mod netdev;
pub(crate) mod program;

use std::{
    ffi::{CString, c_int},
    io,
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

/// libbpf's convention: negative numbers are errors, by errno.
fn check(code: c_int) -> io::Result<c_int> {
    if code < 0 {
        Err(io::Error::from_raw_os_error(-code))
    } else {
        Ok(code)
    }
}

/// Takes ownership of a descriptor that a libbpf call has just returned.
///
/// # Safety
///
/// `code` must be the fresh result of a call that returns a new descriptor or a negative errno.
unsafe fn check_fd(code: c_int) -> io::Result<OwnedFd> {
    let fd = check(code)?;
    // SAFETY: by this function's contract the descriptor is new, so nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn c_path(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "path holds a zero byte"))
}

/// Opens a pinned object; `None` when nothing is pinned there.
pub(crate) fn get_pinned(path: &Path) -> io::Result<Option<OwnedFd>> {
    let path = c_path(path)?;
    // SAFETY: `path` is a zero-terminated string that outlives the call.
    let code = unsafe { libbpf_sys::bpf_obj_get(path.as_ptr()) };
    // SAFETY: bpf_obj_get returns a new descriptor or a negative errno.
    match unsafe { check_fd(code) } {
        Ok(fd) => Ok(Some(fd)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
