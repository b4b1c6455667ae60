//! What a scalar is: the core schema of YAML 1.2, strict where readers differ.
//!
//! `yes`, `no`, `on` and `off` are booleans for YAML 1.1, which Kubernetes
//! reads, and strings for YAML 1.2. They are neither here: the fields that
//! want a string or a boolean both refuse them and ask for quotes.

#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::policy) enum Scalar {
    Null,
    Bool(bool),
    /// A whole number that fits; the text as written.
    Integer(i64, String),
    /// Any other number, as written.
    Number(String),
    /// A word that YAML 1.1 takes for a boolean.
    Ambiguous(String),
    Text(String),
}

impl Scalar {
    /// Resolves a plain (unquoted) scalar.
    pub(super) fn plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" => Self::Bool(true),
            "false" | "False" | "FALSE" => Self::Bool(false),
            "yes" | "Yes" | "YES" | "no" | "No" | "NO" | "on" | "On" | "ON" | "off" | "Off"
            | "OFF" => Self::Ambiguous(text.to_owned()),
            _ => match integer(text) {
                Some(value) => Self::Integer(value, text.to_owned()),
                None if is_number(text) => Self::Number(text.to_owned()),
                None => Self::Text(text.to_owned()),
            },
        }
    }

    pub(super) fn describe(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => format!("the boolean {value}"),
            Self::Integer(_, text) | Self::Number(text) => format!("the number {text}"),
            Self::Ambiguous(text) => format!("{text}, which YAML 1.1 takes for a boolean"),
            Self::Text(text) => format!("the string \"{}\"", shortened(text)),
        }
    }

    /// The text as written, where a string was wanted and this is none.
    pub(super) fn as_written(&self) -> Option<&str> {
        match self {
            Self::Bool(true) => Some("true"),
            Self::Bool(false) => Some("false"),
            Self::Integer(_, text) | Self::Number(text) | Self::Ambiguous(text) => Some(text),
            Self::Null | Self::Text(_) => None,
        }
    }
}

/// At most 80 characters of `text`, so that no message is as long as its file.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(80) {
        Some((cut, _)) => format!("{}...", text.get(..cut).unwrap_or_default()),
        None => text.to_owned(),
    }
}

fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let decimal = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // A leading zero is octal for YAML 1.1 and decimal for 1.2: no integer, but
    // a number all the same, so that every field asks to write it otherwise.
    if !decimal || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    text.parse().ok()
}

fn is_number(text: &str) -> bool {
    let rest = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(rest, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = rest.strip_prefix(prefix) {
            return !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix) || c == '_');
        }
    }
    let starts = rest.starts_with(|c: char| c.is_ascii_digit())
        || rest
            .strip_prefix('.')
            .is_some_and(|r| r.starts_with(|c: char| c.is_ascii_digit()));
    // `parse::<f64>` alone would take "infinity" and "nan" for numbers.
    starts && text.replace('_', "").parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars() {
        let text = |text: &str| Scalar::Text(text.to_owned());
        let integer = |value, text: &str| Scalar::Integer(value, text.to_owned());
        let number = |text: &str| Scalar::Number(text.to_owned());
        #[rustfmt::skip]
        let cases = [
            ("", Scalar::Null), ("~", Scalar::Null), ("null", Scalar::Null),
            ("true", Scalar::Bool(true)), ("False", Scalar::Bool(false)),
            ("yes", Scalar::Ambiguous("yes".to_owned())), ("y", text("y")), ("n", text("n")),
            ("80", integer(80, "80")), ("-1", integer(-1, "-1")), ("+1", integer(1, "+1")), ("0", integer(0, "0")),
            ("010", number("010")), ("0x10", number("0x10")), ("0o17", number("0o17")), ("1_000", number("1_000")),
            ("1.10", number("1.10")), ("1e3", number("1e3")), (".5", number(".5")), (".inf", number(".inf")),
            ("99999999999999999999", number("99999999999999999999")),
            ("1.2.3", text("1.2.3")), ("10.0.0.0/8", text("10.0.0.0/8")), ("infinity", text("infinity")),
            ("nan", text("nan")), ("0xyz", text("0xyz")), ("-", text("-")), ("e3", text("e3")), ("1a", text("1a")),
        ];
        for (written, want) in cases {
            assert_eq!(Scalar::plain(written), want, "{written:?}");
        }
    }
}
