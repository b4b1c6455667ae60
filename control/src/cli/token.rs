//! `palisade token create`: a token for the TCP API, shown once.

use std::{
    fs, io,
    io::Write as _,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::Path,
};

use super::{
    arguments::{Global, Token, TokenCommand},
    exit::{Exit, Failure},
    output::Output,
    settings,
};
use crate::api::{
    auth::{Role, TokenHash, read_tokens},
    group_id,
};

/// Longest name of a token.
const NAME_BYTES_MAX: usize = 64;

pub(super) fn token(global: &Global, token: &Token, out: &mut Output) -> Result<Exit, Failure> {
    let TokenCommand::Create { name, role } = &token.command;
    let settings = settings(global)?;
    let token = create(&settings.api.tokens, name, *role)?;
    out.line(&token)?;
    Ok(Exit::Done)
}

/// Adds a token to the file and gives its text, which is stored nowhere.
pub(super) fn create(path: &Path, name: &str, role: Role) -> Result<String, Failure> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(is_plain) {
        let rule = "a name is 1 to 64 letters, digits, `-`, `_` and `.`";
        return Err(Failure::Usage(format!("`{name}`: {rule}")));
    }
    let known = read_tokens(path).map_err(|fault| Failure::Reported(fault.to_string()))?;
    if known.iter().any(|token| token.name == name) {
        let path = path.display();
        return Err(Failure::Refused(format!(
            "{path} has a token `{name}` already; remove its [[token]] block to replace it"
        )));
    }
    let mut secret = [0u8; 32];
    getrandom::fill(&mut secret).map_err(|error| anyhow::anyhow!("no random numbers: {error}"))?;
    let secret: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
    let token = format!("palisade_{secret}");
    let block = format!(
        "[[token]]\nname = \"{name}\"\nsha256 = \"{}\"\nrole = \"{}\"\n",
        TokenHash::of(&token).to_hex(),
        role.label(),
    );
    append(path, &block).map_err(|source| Failure::Write {
        path: path.to_owned(),
        source,
    })?;
    Ok(token)
}

/// Puts the longer file in the place of the old one in one step; the daemon never sees half of it.
fn append(path: &Path, block: &str) -> io::Result<()> {
    let directory = path
        .parent()
        .filter(|directory| !directory.as_os_str().is_empty());
    if let Some(directory) = directory {
        fs::create_dir_all(directory)?;
    }
    let (mut text, before) = match fs::read_to_string(path) {
        Ok(text) => (text, Some(fs::metadata(path)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), None),
        Err(error) => return Err(error),
    };
    if !text.is_empty() {
        text.push_str(if text.ends_with('\n') { "\n" } else { "\n\n" });
    }
    text.push_str(block);

    let part = path.with_extension("toml.part");
    let _ = fs::remove_file(&part);
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)?;
    let written = file
        .write_all(text.as_bytes())
        .and_then(|()| file.sync_all());
    let finished = written.and_then(|()| {
        match before {
            Some(before) => {
                chown(&part, Some(before.uid()), Some(before.gid()))?;
                fs::set_permissions(&part, fs::Permissions::from_mode(before.mode() & 0o777))?;
            }
            // The daemon may run as a user of the group.
            None => {
                if group_id("palisade").is_some_and(|group| chown(&part, None, Some(group)).is_ok())
                {
                    fs::set_permissions(&part, fs::Permissions::from_mode(0o640))?;
                }
            }
        }
        fs::rename(&part, path)
    });
    if finished.is_err() {
        let _ = fs::remove_file(&part);
    }
    finished
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::create;
    use crate::{
        api::auth::{Role, Tokens},
        cli::exit::Exit,
    };

    #[test]
    fn a_created_token_is_valid_and_only_its_hash_is_stored() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/tokens.toml");
        let first = create(&path, "grafana", Role::Read).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("# kept\n{text}")).unwrap();
        let second = create(&path, "fail2ban", Role::Ban).unwrap();

        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("# kept\n"), "{text}");
        assert!(!text.contains(&first) && !text.contains(&second));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o007, 0, "nobody else may read it");

        let tokens = Tokens::new(&path);
        assert_eq!(
            tokens.find(&first),
            Some(("grafana".to_owned(), Role::Read))
        );
        assert_eq!(
            tokens.find(&second),
            Some(("fail2ban".to_owned(), Role::Ban))
        );
    }

    #[test]
    fn a_name_is_taken_once_and_kept_plain() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens.toml");
        create(&path, "a", Role::Read).unwrap();
        let before = std::fs::read_to_string(&path).unwrap();
        let refusals = [
            ("a", Exit::Refused),
            ("", Exit::Usage),
            ("a\"b", Exit::Usage),
            ("a b", Exit::Usage),
        ];
        for (name, exit) in refusals {
            assert_eq!(
                create(&path, name, Role::Admin).unwrap_err().exit(),
                exit,
                "{name:?}"
            );
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), before);
    }
}
