//! Names as Kubernetes defines them (RFC 1123 labels and subdomains, label
//! keys and values, port names).
//!
//! Checks only: the names stay strings, since they are compared with strings
//! from documents all the time. Every message says what would be right.

/// Why a text is not the name it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    #[error("must not be empty")]
    Empty,
    #[error("must be no more than {max} characters, is {len}")]
    TooLong { len: usize, max: usize },
    #[error(
        "must consist of lower case letters, digits and '-', and start and end with a letter or digit"
    )]
    Label,
    #[error(
        "must consist of lower case letters, digits, '-' and '.', and every part between dots must start and end with a letter or digit"
    )]
    Subdomain,
    #[error(
        "must consist of letters, digits, '-', '_' and '.', and start and end with a letter or digit"
    )]
    Qualified,
    #[error("must have at most one '/', between an optional prefix and the name")]
    Slashes,
    #[error("must consist of lower case letters, digits and '-', with at least one letter")]
    PortName,
    #[error("must not start or end with '-' or hold two of them in a row")]
    PortNameHyphen,
}

fn bounded(text: &str, max: usize) -> Result<(), NameError> {
    match text.len() {
        0 => Err(NameError::Empty),
        len if len > max => Err(NameError::TooLong { len, max }),
        _ => Ok(()),
    }
}

fn is_label(text: &str) -> bool {
    let edge = |byte: Option<u8>| {
        byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
    };
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    edge(text.bytes().next()) && edge(text.bytes().next_back()) && text.bytes().all(inner)
}

fn is_qualified(text: &str) -> bool {
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    edge(text.bytes().next()) && edge(text.bytes().next_back()) && text.bytes().all(inner)
}

/// An RFC 1123 label: a namespace, for example.
pub fn label_name(text: &str) -> Result<(), NameError> {
    bounded(text, 63)?;
    if is_label(text) {
        Ok(())
    } else {
        Err(NameError::Label)
    }
}

/// An RFC 1123 subdomain: the name of most objects.
pub fn subdomain(text: &str) -> Result<(), NameError> {
    bounded(text, 253)?;
    if text.split('.').all(is_label) {
        Ok(())
    } else {
        Err(NameError::Subdomain)
    }
}

/// The key of a label: an optional DNS prefix and a name.
pub fn label_key(text: &str) -> Result<(), NameError> {
    let (prefix, name) = match text.split_once('/') {
        None => (None, text),
        Some((prefix, name)) => (Some(prefix), name),
    };
    if name.contains('/') {
        return Err(NameError::Slashes);
    }
    if let Some(prefix) = prefix {
        subdomain(prefix)?;
    }
    bounded(name, 63)?;
    if is_qualified(name) {
        Ok(())
    } else {
        Err(NameError::Qualified)
    }
}

/// The value of a label; may be empty.
pub fn label_value(text: &str) -> Result<(), NameError> {
    match bounded(text, 63) {
        Err(NameError::Empty) => Ok(()),
        Err(error) => Err(error),
        Ok(()) if is_qualified(text) => Ok(()),
        Ok(()) => Err(NameError::Qualified),
    }
}

/// The name of a container port (RFC 6335 service name).
pub fn port_name(text: &str) -> Result<(), NameError> {
    bounded(text, 15)?;
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !text.bytes().all(known) || !text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(NameError::PortName);
    }
    if text.starts_with('-') || text.ends_with('-') || text.contains("--") {
        return Err(NameError::PortNameHyphen);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Check = fn(&str) -> Result<(), NameError>;

    #[test]
    fn names() {
        let long = "a".repeat(64);
        let long = long.as_str();
        #[rustfmt::skip]
        let cases: [(&str, Check, &str, Result<(), NameError>); 25] = [
            ("label",                label_name,  "edge-1",          Ok(())),
            ("label empty",          label_name,  "",                Err(NameError::Empty)),
            ("label with a dot",     label_name,  "a.b",             Err(NameError::Label)),
            ("label too long",       label_name,  long,              Err(NameError::TooLong { len: 64, max: 63 })),
            ("label upper case",     label_name,  "Edge",            Err(NameError::Label)),
            ("subdomain",            subdomain,   "a.b-c.d",         Ok(())),
            ("subdomain two dots",   subdomain,   "a..b",            Err(NameError::Subdomain)),
            ("subdomain hyphen end", subdomain,   "bad-",            Err(NameError::Subdomain)),
            ("subdomain underscore", subdomain,   "bad_name",        Err(NameError::Subdomain)),
            ("key",                  label_key,   "app",             Ok(())),
            ("key with prefix",      label_key,   "k8s.io/App_1.x",  Ok(())),
            ("key empty prefix",     label_key,   "/app",            Err(NameError::Empty)),
            ("key empty name",       label_key,   "k8s.io/",         Err(NameError::Empty)),
            ("key two slashes",      label_key,   "a/b/c",           Err(NameError::Slashes)),
            ("key leading hyphen",   label_key,   "-app",            Err(NameError::Qualified)),
            ("value",                label_value, "V1_x.y-z",        Ok(())),
            ("value empty",          label_value, "",                Ok(())),
            ("value with a blank",   label_value, "a b",             Err(NameError::Qualified)),
            ("value too long",       label_value, long,              Err(NameError::TooLong { len: 64, max: 63 })),
            ("port",                 port_name,   "serve-80-tcp",    Ok(())),
            ("port digits only",     port_name,   "80",              Err(NameError::PortName)),
            ("port upper case",      port_name,   "Http",            Err(NameError::PortName)),
            ("port two hyphens",     port_name,   "my--port",        Err(NameError::PortNameHyphen)),
            ("port leading hyphen",  port_name,   "-http",           Err(NameError::PortNameHyphen)),
            ("port of 16",           port_name,   "abcdefghijklmnop", Err(NameError::TooLong { len: 16, max: 15 })),
        ];
        for (name, check, text, want) in cases {
            assert_eq!(check(text), want, "{name}");
        }
    }
}
