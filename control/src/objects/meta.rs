//! What the daemon itself knows about an object.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::Key;
use crate::clock::Timestamp;

/// Metadata that the daemon gives. Stored as JSON for policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Meta {
    pub(super) uid: String,
    pub(super) created: Timestamp,
    pub(super) generation: u64,
    pub(super) revision: u64,
    /// `metadata.managedFields`.
    #[serde(default)]
    pub(super) managed: Value,
    /// Of the document, so that a change of a file is seen across a restart.
    pub(super) digest: String,
    /// Of its spec alone.
    pub(super) spec_digest: String,
}

pub(super) fn digest(value: &Value) -> String {
    // Keys of a map are sorted, so equal documents have equal texts.
    hex(&Sha256::digest(value.to_string().as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A uid that tells this object from an earlier one of the same name.
pub(super) fn uid(key: &Key, created: Timestamp, revision: u64) -> String {
    let name = format!("{key:?} {} {revision}", created.as_millis());
    formatted(&Sha256::digest(name.as_bytes()))
}

/// A uid that is the same in every run, for objects that are not stored.
pub(super) fn lasting_uid(key: &Key) -> String {
    formatted(&Sha256::digest(format!("{key:?}").as_bytes()))
}

/// As RFC 9562 writes a UUID of version 8.
fn formatted(bytes: &[u8]) -> String {
    let digits = hex(bytes);
    let part = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
    format!(
        "{}-{}-8{}-8{}-{}",
        part(0, 8),
        part(8, 12),
        part(13, 16),
        part(17, 20),
        part(20, 32)
    )
}
