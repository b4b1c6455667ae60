//! Who may call over TCP: bearer tokens, of which only hashes are stored.
//!
//! The token file is read again when it changes. A file that cannot be read lets nobody in: an
//! old copy might hold a token that its owner has just taken back.

use std::{
    collections::HashMap,
    fs, io,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tracing::{error, info};

/// What a caller may do. Each role may do what the one before it may.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Read,
    Ban,
    Admin,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Read, Self::Ban, Self::Admin];

    pub fn label(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Ban => "ban",
            Self::Admin => "admin",
        }
    }
}

/// The hash of a token, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    pub fn from_hex(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return None;
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            let pair = std::str::from_utf8(pair)
                .ok()
                .filter(|pair| !pair.starts_with('+'))?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(hash))
    }

    pub fn to_hex(self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// A caller that is allowed in.
#[derive(Clone, Debug)]
pub struct Token {
    pub name: String,
    pub role: Role,
    hash: TokenHash,
}

/// The token file as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<FileToken>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileToken {
    name: String,
    sha256: String,
    role: Role,
}

/// Why a token file was not understood.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: {message}", path.display())]
    Syntax { path: PathBuf, message: String },
    #[error("{}: token `{name}`: sha256 is not 64 hexadecimal digits", path.display())]
    Hash { path: PathBuf, name: String },
    #[error("{}: token `{name}` stands in it twice", path.display())]
    Twice { path: PathBuf, name: String },
}

/// Reads a token file. A file that does not exist holds no tokens.
pub fn read_tokens(path: &Path) -> Result<Vec<Token>, TokenFileError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => {
            return Err(TokenFileError::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    parse_tokens(path, &text)
}

fn parse_tokens(path: &Path, text: &str) -> Result<Vec<Token>, TokenFileError> {
    let path = path.to_owned();
    let file: File = toml::from_str(text).map_err(|error| TokenFileError::Syntax {
        path: path.clone(),
        message: error.to_string().trim_end().to_owned(),
    })?;
    let mut tokens: Vec<Token> = Vec::with_capacity(file.token.len());
    for FileToken { name, sha256, role } in file.token {
        if tokens.iter().any(|token| token.name == name) {
            return Err(TokenFileError::Twice { path, name });
        }
        match TokenHash::from_hex(&sha256) {
            Some(hash) => tokens.push(Token { name, role, hash }),
            None => return Err(TokenFileError::Hash { path, name }),
        }
    }
    Ok(tokens)
}

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        Some(Self {
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// The tokens in force.
#[derive(Debug)]
pub struct Tokens {
    path: PathBuf,
    loaded: Mutex<Option<(Option<Stamp>, Vec<Token>)>>,
}

impl Tokens {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            loaded: Mutex::new(None),
        }
    }

    /// Name and role of the token, if it is one.
    ///
    /// Every stored hash is compared, each in constant time, so that the time it takes tells
    /// nothing about which one came close.
    pub fn find(&self, presented: &str) -> Option<(String, Role)> {
        let presented = TokenHash::of(presented);
        let mut loaded = self
            .loaded
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let stamp = Stamp::of(&self.path);
        if loaded.as_ref().is_none_or(|(known, _)| *known != stamp) {
            *loaded = Some((stamp, self.load()));
        }
        let mut found = None;
        for token in loaded.iter().flat_map(|(_, tokens)| tokens) {
            if bool::from(token.hash.0.ct_eq(&presented.0)) {
                found = Some((token.name.clone(), token.role));
            }
        }
        found
    }

    fn load(&self) -> Vec<Token> {
        match read_tokens(&self.path) {
            Ok(tokens) => {
                info!(path = %self.path.display(), tokens = tokens.len(), "tokens read");
                tokens
            }
            Err(fault) => {
                error!(%fault, "no token is valid until the file is repaired");
                Vec::new()
            }
        }
    }
}

/// Failed attempts by source address, so that tokens cannot be guessed at speed.
///
/// Time is an argument: since some fixed start. The table is bounded; when it is full of fresh
/// failures from many addresses, the newest addresses share one budget.
#[derive(Debug, Default)]
pub struct Failures {
    by_source: Mutex<HashMap<Option<IpAddr>, (Duration, u32)>>,
}

/// Failures that one address may make within [`FAILURE_WINDOW`].
pub const FAILURES_MAX: u32 = 10;
pub const FAILURE_WINDOW: Duration = Duration::from_secs(60);
const FAILURE_SOURCES_MAX: usize = 4096;

impl Failures {
    /// Whether `source` has failed so often that it is not listened to for now.
    pub fn is_blocked(&self, source: IpAddr, now: Duration) -> bool {
        let table = self
            .by_source
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let key = if table.contains_key(&Some(source)) || table.len() < FAILURE_SOURCES_MAX {
            Some(source)
        } else {
            None
        };
        table.get(&key).is_some_and(|(since, count)| {
            now.saturating_sub(*since) < FAILURE_WINDOW && *count >= FAILURES_MAX
        })
    }

    pub fn record(&self, source: IpAddr, now: Duration) {
        let mut table = self
            .by_source
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if table.len() >= FAILURE_SOURCES_MAX {
            table.retain(|_, (since, _)| now.saturating_sub(*since) < FAILURE_WINDOW);
        }
        let has_room = table.len() < FAILURE_SOURCES_MAX || table.contains_key(&Some(source));
        let entry = table.entry(has_room.then_some(source)).or_insert((now, 0));
        if now.saturating_sub(entry.0) >= FAILURE_WINDOW {
            *entry = (now, 0);
        }
        entry.1 = entry.1.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use std::{net::IpAddr, path::Path, time::Duration};

    use super::{
        FAILURE_SOURCES_MAX, FAILURE_WINDOW, FAILURES_MAX, Failures, Role, TokenHash, Tokens,
        parse_tokens,
    };

    fn entry(name: &str, token: &str, role: &str) -> String {
        let hash = TokenHash::of(token).to_hex();
        format!("[[token]]\nname = \"{name}\"\nsha256 = \"{hash}\"\nrole = \"{role}\"\n")
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_broken_one_lets_nobody_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.toml");
        let tokens = Tokens::new(&path);
        assert_eq!(tokens.find("a"), None, "no file");

        std::fs::write(&path, entry("x", "a", "read") + &entry("y", "b", "admin")).unwrap();
        assert_eq!(tokens.find("a"), Some(("x".to_owned(), Role::Read)));
        assert_eq!(tokens.find("b"), Some(("y".to_owned(), Role::Admin)));
        assert_eq!(tokens.find(""), None);
        assert_eq!(
            tokens.find(&TokenHash::of("a").to_hex()),
            None,
            "the hash is no token"
        );

        std::fs::write(&path, entry("y", "b", "ban")).unwrap();
        assert_eq!(tokens.find("a"), None, "taken back");
        assert_eq!(tokens.find("b"), Some(("y".to_owned(), Role::Ban)));

        std::fs::write(&path, entry("y", "b", "ban") + "[[token]\n").unwrap();
        assert_eq!(tokens.find("b"), None, "broken file");
    }

    #[test]
    fn faults_of_a_token_file_name_the_token() {
        let good = entry("x", "a", "read");
        #[rustfmt::skip]
        let cases = [
            ("short hash",    "[[token]]\nname = \"x\"\nsha256 = \"ab\"\nrole = \"read\"\n".to_owned(), "t: token `x`: sha256"),
            ("signed digits", good.replace(&TokenHash::of("a").to_hex(), &"+1".repeat(32)),              "t: token `x`: sha256"),
            ("twice",         good.clone() + &good,                                                     "t: token `x` stands in it twice"),
            ("unknown key",   good.clone() + "color = 1\n",                                             "color"),
            ("unknown role",  good.replace("read", "root"),                                             "root"),
        ];
        for (name, text, want) in cases {
            let error = parse_tokens(Path::new("t"), &text)
                .expect_err(name)
                .to_string();
            assert!(error.contains(want), "{name}: {error}");
        }
        assert!(parse_tokens(Path::new("t"), "").unwrap().is_empty());
    }

    #[test]
    fn sources_that_fail_too_often_wait() {
        let failures = Failures::default();
        let source: IpAddr = "192.0.2.1".parse().unwrap();
        let other: IpAddr = "192.0.2.2".parse().unwrap();
        let start = Duration::from_secs(5);
        for _ in 0..FAILURES_MAX {
            assert!(!failures.is_blocked(source, start));
            failures.record(source, start);
        }
        assert!(failures.is_blocked(source, start));
        assert!(!failures.is_blocked(other, start));
        assert!(!failures.is_blocked(source, start + FAILURE_WINDOW));
        failures.record(source, start + FAILURE_WINDOW);
        assert!(!failures.is_blocked(source, start + FAILURE_WINDOW));
    }

    #[test]
    fn the_table_of_failures_is_bounded() {
        let failures = Failures::default();
        let now = Duration::ZERO;
        for number in 0..2 * FAILURE_SOURCES_MAX {
            let number = u128::try_from(number).unwrap();
            failures.record(IpAddr::V6(number.into()), now);
        }
        assert!(failures.by_source.lock().unwrap().len() <= FAILURE_SOURCES_MAX + 1);
        assert!(
            failures.is_blocked("2001:db8::1".parse().unwrap(), now),
            "the shared budget is used up"
        );
    }
}
