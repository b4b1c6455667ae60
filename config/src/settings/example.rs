//! The commented default file.

/// The default settings as a commented TOML file.
pub fn example() -> String {
    String::new()
}
