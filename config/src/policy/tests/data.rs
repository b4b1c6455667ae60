//! Where the acceptance data lies and how a file of it is opened.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::super::{Limits, yaml};

pub(in crate::policy) fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/netpol")
        .join(name)
}

/// The YAML files of a directory in the order of their names.
pub(in crate::policy) fn files(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory(name)).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "yaml")
        })
        .collect();
    files.sort();
    files
}

pub(in crate::policy) fn name(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

pub(in crate::policy) fn load(path: &Path) -> yaml::Node {
    let text = fs::read_to_string(path).unwrap();
    let roots = yaml::load(&text, &Limits::default()).unwrap();
    roots.into_iter().next().unwrap()
}

pub(in crate::policy) fn list(node: Option<&yaml::Node>) -> &[yaml::Node] {
    match node.map(|node| &*node.value) {
        Some(yaml::Value::List(items)) => items,
        _ => &[],
    }
}

pub(in crate::policy) fn map(node: Option<&yaml::Node>) -> &[(yaml::Node, yaml::Node)] {
    match node.map(|node| &*node.value) {
        Some(yaml::Value::Map(entries)) => entries,
        _ => &[],
    }
}

pub(in crate::policy) fn integer(node: Option<&yaml::Node>) -> Option<usize> {
    match node?.scalar()? {
        yaml::Scalar::Integer(value, _) => usize::try_from(*value).ok(),
        _ => None,
    }
}
