//! What has to outlive the process: bans, policies and the generation, in one file.
//!
//! One transaction for each change, on disk before the caller hears of it. A file that cannot be
//! read in full is an error that names it: an empty set of bans is never made up.
//!
//! Before: core. After: desired.

mod records;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

use palisade_config::types::Prefix;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition, WriteTransaction};

pub use self::records::PolicyRecord;
use crate::core::{Ban, Origin};

/// Layout of the file. A newer one is refused, an older one would be migrated here.
const SCHEMA_VERSION: u64 = 1;

/// Memory for pages of the file. The set of bans itself is in memory anyway.
const CACHE_BYTES: usize = 16 << 20;

/// Key and value as [`records`] lays them out.
const BANS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("bans");
/// `namespace/name` of policies applied through the API.
const POLICIES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("policies");
/// The last good text of each file in the policy directory.
const POLICY_FILES: TableDefinition<'_, &str, &str> = TableDefinition::new("policy_files");
/// `namespace/name` of every policy, whatever its source, and its metadata as JSON.
const POLICY_OBJECTS: TableDefinition<'_, &str, &str> = TableDefinition::new("policy_objects");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

const META_SCHEMA: &str = "schema";
const META_GENERATION: &str = "generation";
/// The counter of changes of objects.
const META_REVISION: &str = "revision";

/// Name of the file under the state directory.
pub const FILE_NAME: &str = "palisade.redb";

/// Why the store could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    #[error("state file {path} cannot be opened: {source}")]
    Open {
        path: PathBuf,
        source: Box<redb::Error>,
    },
    #[error(
        "state file {path} is empty or cut short; restore it from a backup, or move it away to start with no bans"
    )]
    Truncated { path: PathBuf },
    #[error(
        "state file {path} is damaged: {detail}; restore it from a backup, or move it away to start with no bans"
    )]
    Damaged { path: PathBuf, detail: String },
    #[error("state file {path} has layout {found}, this version knows {SCHEMA_VERSION}")]
    Schema { path: PathBuf, found: u64 },
    #[error("state directory {path} cannot be used: {source}")]
    Directory { path: PathBuf, source: io::Error },
    #[error("state file {path} cannot be written: {source}")]
    Write {
        path: PathBuf,
        source: Box<redb::Error>,
    },
}

/// A change of the stored bans.
#[derive(Clone, Debug)]
pub enum Change {
    Put(Ban),
    Delete(Prefix, Origin),
}

/// A change of what is stored of policies.
#[derive(Clone, Debug)]
pub enum PolicyChange {
    Put { key: String, record: PolicyRecord },
    Delete { key: String },
    File { name: String, text: String },
    FileGone { name: String },
    Generation(u32),
    Object { key: String, meta: String },
    ObjectGone { key: String },
    Revision(u64),
}

/// What is stored of policies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredPolicies {
    pub policies: Vec<(String, PolicyRecord)>,
    pub files: Vec<(String, String)>,
    pub generation: u32,
    /// Metadata of policies as JSON, by `namespace/name`.
    pub objects: Vec<(String, String)>,
    pub revision: u64,
}

/// The open file.
#[derive(Debug)]
pub struct Store {
    /// Absent only while it could not be opened again after a failed write.
    database: Option<Database>,
    path: PathBuf,
}

impl Store {
    /// Opens the store under `directory`, or makes a new one where there is none.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(FILE_NAME);
        let directory_error = |source| StoreError::Directory {
            path: directory.to_owned(),
            source,
        };
        std::fs::create_dir_all(directory).map_err(directory_error)?;
        let exists = match path.metadata() {
            Ok(metadata) if metadata.len() == 0 => return Err(StoreError::Truncated { path }),
            Ok(_) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(directory_error(error)),
        };
        if exists {
            Self::open_old(path)
        } else {
            Self::make_new(path)
        }
    }

    fn open_old(path: PathBuf) -> Result<Self, StoreError> {
        // A damaged file may make the database panic rather than answer. Nothing of it is used
        // after that.
        let opened = std::panic::catch_unwind(|| {
            let mut builder = Builder::new();
            builder.set_cache_size(CACHE_BYTES).open(&path)
        });
        let database = match opened {
            Ok(Ok(database)) => database,
            Ok(Err(redb::DatabaseError::DatabaseAlreadyOpen)) => {
                let source = Box::new(redb::Error::DatabaseAlreadyOpen);
                return Err(StoreError::Open { path, source });
            }
            Ok(Err(error)) => {
                return Err(StoreError::Damaged {
                    path,
                    detail: error.to_string(),
                });
            }
            Err(_) => {
                let detail = "its structure leads nowhere".to_owned();
                return Err(StoreError::Damaged { path, detail });
            }
        };
        let store = Self {
            database: Some(database),
            path,
        };
        match store.meta(META_SCHEMA)? {
            Some(SCHEMA_VERSION) => Ok(store),
            Some(found) => Err(StoreError::Schema {
                path: store.path,
                found,
            }),
            None => {
                let detail = "it does not name its layout".to_owned();
                Err(StoreError::Damaged {
                    path: store.path,
                    detail,
                })
            }
        }
    }

    /// Makes the file under another name first, so that a crash leaves no half of it.
    fn make_new(path: PathBuf) -> Result<Self, StoreError> {
        let young = path.with_extension("new");
        let open_error = |source: redb::Error| StoreError::Open {
            path: path.clone(),
            source: Box::new(source),
        };
        let io_error = |source| StoreError::Directory {
            path: path.clone(),
            source,
        };
        match std::fs::remove_file(&young) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(error)),
            _ => {}
        }
        let mut builder = Builder::new();
        let database = builder
            .set_cache_size(CACHE_BYTES)
            .create(&young)
            .map_err(|error| open_error(error.into()))?;
        let store = Self {
            database: Some(database),
            path: path.clone(),
        };
        store.write(|transaction| {
            transaction.open_table(BANS)?;
            transaction.open_table(POLICIES)?;
            transaction.open_table(POLICY_FILES)?;
            transaction
                .open_table(META)?
                .insert(META_SCHEMA, SCHEMA_VERSION)?;
            Ok(())
        })?;
        std::fs::rename(&young, &path).map_err(io_error)?;
        if let Some(directory) = path.parent() {
            std::fs::File::open(directory)
                .and_then(|file| file.sync_all())
                .map_err(io_error)?;
        }
        Ok(store)
    }

    /// Hands every stored ban to `take`, in no particular order.
    pub fn load_bans(&self, mut take: impl FnMut(Ban)) -> Result<(), StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(BANS)?;
            for entry in table.iter()? {
                let (key, value) = entry?;
                let ban = records::ban(key.value(), value.value())
                    .ok_or_else(|| redb::Error::Corrupted("a ban cannot be read".to_owned()))?;
                take(ban);
            }
            Ok(())
        })
    }

    /// Makes changes of bans durable, all or none.
    pub fn commit(&self, changes: impl IntoIterator<Item = Change>) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(BANS)?;
            let mut key = Vec::with_capacity(64);
            let mut value = Vec::with_capacity(64);
            for change in changes {
                match change {
                    Change::Put(ban) => {
                        records::write_key(&mut key, &ban.prefix, &ban.origin);
                        records::write_value(&mut value, &ban);
                        table.insert(key.as_slice(), value.as_slice())?;
                    }
                    Change::Delete(prefix, origin) => {
                        records::write_key(&mut key, &prefix, &origin);
                        table.remove(key.as_slice())?;
                    }
                }
            }
            Ok(())
        })
    }

    pub fn load_policies(&self) -> Result<StoredPolicies, StoreError> {
        let generation = self.meta(META_GENERATION)?.unwrap_or(0);
        let revision = self.meta(META_REVISION)?.unwrap_or(0);
        self.read(|transaction| {
            let mut stored = StoredPolicies {
                generation: u32::try_from(generation).unwrap_or(0),
                revision,
                ..StoredPolicies::default()
            };
            for entry in transaction.open_table(POLICIES)?.iter()? {
                let (key, value) = entry?;
                let record = PolicyRecord::read(value.value()).ok_or_else(|| {
                    redb::Error::Corrupted(format!("policy {} cannot be read", key.value()))
                })?;
                stored.policies.push((key.value().to_owned(), record));
            }
            for entry in transaction.open_table(POLICY_FILES)?.iter()? {
                let (name, text) = entry?;
                stored
                    .files
                    .push((name.value().to_owned(), text.value().to_owned()));
            }
            match transaction.open_table(POLICY_OBJECTS) {
                Ok(table) => {
                    for entry in table.iter()? {
                        let (key, meta) = entry?;
                        let object = (key.value().to_owned(), meta.value().to_owned());
                        stored.objects.push(object);
                    }
                }
                // Nothing has been written to it yet.
                Err(redb::TableError::TableDoesNotExist(_)) => {}
                Err(error) => return Err(error.into()),
            }
            Ok(stored)
        })
    }

    /// Makes changes of policies durable, all or none.
    pub fn commit_policies(&self, changes: &[PolicyChange]) -> Result<(), StoreError> {
        self.write(|transaction| {
            let mut policies = transaction.open_table(POLICIES)?;
            let mut files = transaction.open_table(POLICY_FILES)?;
            let mut objects = transaction.open_table(POLICY_OBJECTS)?;
            let mut meta = transaction.open_table(META)?;
            for change in changes {
                match change {
                    PolicyChange::Put { key, record } => {
                        policies.insert(key.as_str(), record.write().as_slice())?;
                    }
                    PolicyChange::Delete { key } => {
                        policies.remove(key.as_str())?;
                    }
                    PolicyChange::File { name, text } => {
                        files.insert(name.as_str(), text.as_str())?;
                    }
                    PolicyChange::FileGone { name } => {
                        files.remove(name.as_str())?;
                    }
                    PolicyChange::Generation(generation) => {
                        meta.insert(META_GENERATION, u64::from(*generation))?;
                    }
                    PolicyChange::Object { key, meta } => {
                        objects.insert(key.as_str(), meta.as_str())?;
                    }
                    PolicyChange::ObjectGone { key } => {
                        objects.remove(key.as_str())?;
                    }
                    PolicyChange::Revision(revision) => {
                        meta.insert(META_REVISION, *revision)?;
                    }
                }
            }
            Ok(())
        })
    }

    /// Opens the file again. After a failed write it takes no other until then.
    pub fn reopen(&mut self) -> Result<(), StoreError> {
        self.database = None;
        *self = Self::open_old(self.path.clone())?;
        Ok(())
    }

    fn database(&self) -> Result<&Database, redb::Error> {
        self.database.as_ref().ok_or(redb::Error::DatabaseClosed)
    }

    fn meta(&self, key: &str) -> Result<Option<u64>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(META)?;
            Ok(table.get(key)?.map(|value| value.value()))
        })
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let damaged = |error: redb::Error| StoreError::Damaged {
            path: self.path.clone(),
            detail: error.to_string(),
        };
        let database = self.database().map_err(damaged)?;
        let transaction = database
            .begin_read()
            .map_err(|error| damaged(error.into()))?;
        work(&transaction).map_err(damaged)
    }

    fn write(
        &self,
        work: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), StoreError> {
        let failed = |error: redb::Error| StoreError::Write {
            path: self.path.clone(),
            source: Box::new(error),
        };
        let database = self.database().map_err(failed)?;
        let transaction = database
            .begin_write()
            .map_err(|error| failed(error.into()))?;
        match work(&transaction) {
            Ok(()) => transaction.commit().map_err(|error| failed(error.into())),
            Err(error) => {
                // The transaction's own failure is the one to tell; dropping it aborts as well.
                let _ = transaction.abort();
                Err(failed(error))
            }
        }
    }
}
