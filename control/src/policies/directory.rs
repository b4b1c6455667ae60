//! The files of the policy directory.

use std::path::Path;

use super::book::{Book, Found};
use crate::store::PolicyChange;

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 3 << 20;

/// What the store has to know after a look at the directory.
pub(super) fn file_changes(before: &Book, after: &Book) -> Vec<PolicyChange> {
    let gone = before
        .files
        .keys()
        .filter(|name| !after.files.contains_key(*name));
    let gone = gone.map(|name| PolicyChange::FileGone { name: name.clone() });
    let put = after.files.iter().filter_map(|(name, file)| {
        let good = file.good.as_ref()?;
        let old = before.files.get(name).and_then(|old| old.good.as_ref());
        let same = old.is_some_and(|old| old.text == good.text);
        (!same).then(|| PolicyChange::File {
            name: name.clone(),
            text: good.text.to_string(),
        })
    });
    gone.chain(put).collect()
}

/// Reads the files of the policy directory; one that does not exist is empty.
pub(super) fn read_files(directory: &Path) -> Result<Found, String> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Found::new()),
        Err(error) => return Err(error.to_string()),
    };
    let mut found = Found::new();
    for entry in entries {
        let entry = entry.map_err(|error| error.to_string())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        let wanted = [".yaml", ".yml", ".json"]
            .iter()
            .any(|ending| name.ends_with(ending));
        if !wanted || name.starts_with('.') || path.is_dir() {
            continue;
        }
        found.insert(name, read_file(&path));
    }
    Ok(found)
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    let length = std::fs::metadata(path)
        .map_err(|error| error.to_string())?
        .len();
    if length > FILE_BYTES_MAX {
        return Err(format!(
            "the file has {length} bytes, more than {FILE_BYTES_MAX}"
        ));
    }
    std::fs::read(path).map_err(|error| error.to_string())
}
