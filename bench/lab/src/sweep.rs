//! Removes what labs of processes that no longer live left behind: a run that is killed with
//! SIGKILL cannot clean up after itself.

use crate::netns;
use rustix::mount::{UnmountFlags, unmount};
use std::path::Path;
use std::sync::Once;

/// Prefix of namespaces and folders of labs that end with their process.
pub(crate) const PREFIX: &str = "palisade-lab-";

/// Where labs keep their folders.
pub(crate) const FOLDER: &str = "/tmp";

static SWEPT: Once = Once::new();

/// Sweeps once in a process: its first lab does.
pub(crate) fn leftovers_once() {
    SWEPT.call_once(leftovers);
}

/// Removes what labs of dead processes left behind.
pub fn leftovers() {
    for name in names(netns::NETNS_DIRECTORY) {
        netns::remove(&name);
    }
    for name in names(FOLDER) {
        remove_folder(&Path::new(FOLDER).join(name));
    }
}

/// Names in `folder` that belong to labs whose process is gone.
fn names(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    names
        .filter(|name| owner(name).is_some_and(|pid| !is_alive(pid)))
        .collect()
}

/// The process that made a lab, by the lab's name.
fn owner(name: &str) -> Option<u32> {
    let (pid, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    pid.parse().ok()
}

fn is_alive(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// Unmounts a lab's bpffs, which takes its pins along, and removes its folder.
pub(crate) fn remove_folder(folder: &Path) {
    let bpffs = folder.join("bpf");
    if bpffs.exists() {
        // Pins first: a process of another lab may hold a copy of this mount, which would keep them.
        for entry in std::fs::read_dir(&bpffs).into_iter().flatten().flatten() {
            let _ = std::fs::remove_dir_all(entry.path());
        }
        let _ = unmount(&bpffs, UnmountFlags::DETACH);
    }
    if let Err(error) = std::fs::remove_dir_all(folder) {
        eprintln!("lab: {} stays behind: {error}", folder.display());
    }
}

#[cfg(test)]
mod tests {
    use super::owner;

    #[test]
    fn owners_are_read_from_names() {
        let cases = [
            ("palisade-lab-4711-0-edge", Some(4711)),
            ("palisade-lab-4711-12", Some(4711)),
            ("palisade-lab-kept-edge", None),
            ("palisade-lab-4711", None),
            ("somebody-else-4711-0", None),
        ];
        for (name, want) in cases {
            assert_eq!(owner(name), want, "{name}");
        }
    }
}
