//! Programs that somebody has loaded, by number.

use std::{ffi::CStr, io, os::fd::AsRawFd};

use libbpf_sys::bpf_prog_info;

use super::{check, check_fd};

/// The name of a loaded program, as its loader gave it.
pub(crate) fn name(id: u32) -> io::Result<String> {
    // SAFETY: the call takes a number.
    let code = unsafe { libbpf_sys::bpf_prog_get_fd_by_id(id) };
    // SAFETY: bpf_prog_get_fd_by_id returns a new descriptor or a negative errno.
    let program = unsafe { check_fd(code) }?;
    let mut info = bpf_prog_info::default();
    let mut length = u32::try_from(size_of::<bpf_prog_info>()).unwrap_or(0);
    // SAFETY: `info` is writable for `length` bytes, which is its size, and zeroed: it asks for no
    // further arrays.
    check(unsafe {
        libbpf_sys::bpf_prog_get_info_by_fd(program.as_raw_fd(), &raw mut info, &raw mut length)
    })?;
    let bytes = info
        .name
        .map(|letter| u8::from_ne_bytes(letter.to_ne_bytes()));
    Ok(CStr::from_bytes_until_nul(&bytes)
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default())
}
