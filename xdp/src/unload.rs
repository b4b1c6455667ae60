//! Taking everything off: the only way in which enforcement ends.

use std::{fs, io, path::Path};

use crate::{
    LoadError,
    attach::take_off,
    interface::{Slots, slot_name, used_slots},
    object::names,
    pins::{LinkPin, is_bpffs},
    sys::{
        get_pinned,
        link::{Place, detach_filter},
        map::Map,
    },
};

/// What [`unload`] took away.
#[derive(Clone, Debug, Default)]
pub struct Unloaded {
    pub interfaces: Vec<String>,
    pub pins: usize,
}

/// Takes the programs of every ABI version off all interfaces and removes all pins. Nothing loaded
/// is no error.
pub fn unload(pin_directory: &Path) -> Result<Unloaded, LoadError> {
    let mut unloaded = Unloaded::default();
    if !pin_directory.is_dir() || !is_bpffs(pin_directory) {
        return Ok(unloaded);
    }
    for version in entries(pin_directory)? {
        let is_version = version
            .strip_prefix('v')
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()));
        if is_version {
            unload_version(&pin_directory.join(version), &mut unloaded)?;
        }
    }
    match fs::remove_dir(pin_directory) {
        // The mount point itself, or a folder with pins of somebody else: not ours to remove.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::ResourceBusy | io::ErrorKind::DirectoryNotEmpty
            ) => {}
        Err(source) => return Err(failed("remove", pin_directory, source)),
        Ok(()) => {}
    }
    Ok(unloaded)
}

fn unload_version(directory: &Path, unloaded: &mut Unloaded) -> Result<(), LoadError> {
    let mut names = entries(directory)?;
    // Filters of kernels without tcx hang on interfaces by index, which only the slots know. A map
    // of another version has other slots; then the names stay unknown.
    if let Some(slots) = open_slots(directory) {
        for (slot, interface) in used_slots(&slots)? {
            if !names.contains(&LinkPin::Egress.name(slot)) {
                detach_filter(interface.ifindex, Place::TcEgress)
                    .map_err(|source| failed("detach the filter of", directory, source))?;
            }
            unloaded.interfaces.push(slot_name(&interface));
        }
    }
    for link in names.extract_if(.., |name| LinkPin::is_name(name)) {
        unloaded.pins += usize::from(take_off(&directory.join(link))?);
    }
    for name in &names {
        let path = directory.join(name);
        fs::remove_file(&path).map_err(|source| failed("remove", &path, source))?;
        unloaded.pins += 1;
    }
    fs::remove_dir(directory).map_err(|source| failed("remove", directory, source))
}

fn open_slots(directory: &Path) -> Option<Slots> {
    let fd = get_pinned(&directory.join(names::INTERFACES)).ok()??;
    Map::new(fd).ok()?
}

fn entries(directory: &Path) -> Result<Vec<String>, LoadError> {
    fs::read_dir(directory)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect()
        })
        .map_err(|source| failed("list", directory, source))
}

fn failed(operation: &'static str, path: &Path, source: io::Error) -> LoadError {
    LoadError::Path {
        operation,
        path: path.to_owned(),
        source,
    }
}
