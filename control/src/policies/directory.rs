//! The files of the policy directory.

use std::path::Path;

use super::book::Found;

/// Largest file that is read.
const FILE_BYTES_MAX: u64 = 3 << 20;

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
