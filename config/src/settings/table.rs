//! TOML as written: tables and values that know their dotted key and place.
//!
//! Before: the `toml` parser. After: `read`, which asks for keys by name and
//! gets values of the type it wants or the error to return.

use std::{fmt::Display, ops::Range, path::Path, str::FromStr};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::SettingsError;
use crate::spelling::nearest;

/// The text that all places refer to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) text: &'a str,
    pub(super) file: &'a Path,
}

impl Source<'_> {
    pub(super) fn fault(&self, at: Range<usize>, key: &str, problem: String) -> SettingsError {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        SettingsError {
            file: self.file.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before
                .get(line_start..)
                .map_or(0, |line| line.chars().count())
                + 1,
            key: key.to_owned(),
            problem,
            suggestion: None,
        }
    }
}

/// A table whose keys are all known ones.
#[derive(Debug)]
pub(super) struct Table<'a> {
    source: Source<'a>,
    path: String,
    at: Range<usize>,
    entries: Option<&'a DeTable<'a>>,
}

impl<'a> Table<'a> {
    /// Opens a table, or names the first key that is not in `known`.
    pub(super) fn open(
        source: Source<'a>,
        path: String,
        table: &'a Spanned<DeTable<'a>>,
        known: &[&str],
    ) -> Result<Self, SettingsError> {
        Self::from_parts(source, path, table.span(), table.get_ref(), known)
    }

    fn from_parts(
        source: Source<'a>,
        path: String,
        at: Range<usize>,
        entries: &'a DeTable<'a>,
        known: &[&str],
    ) -> Result<Self, SettingsError> {
        let this = Self {
            source,
            path,
            at,
            entries: Some(entries),
        };
        let mut keys: Vec<_> = entries.keys().collect();
        keys.sort_by_key(|key| key.span().start);
        match keys
            .into_iter()
            .find(|key| !known.contains(&key.get_ref().as_ref()))
        {
            None => Ok(this),
            Some(key) => {
                let mut error = source.fault(
                    key.span(),
                    &this.join(key.get_ref()),
                    format!("unknown key '{}'", key.get_ref()),
                );
                error.suggestion = Some(match nearest(key.get_ref(), known) {
                    Some(name) => format!("did you mean '{name}'?"),
                    None => format!("known here: {}", known.join(", ")),
                });
                Err(error)
            }
        }
    }

    fn join(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<Value<'a>> {
        let value = self.entries?.get(key)?;
        Some(Value {
            source: self.source,
            path: self.join(key),
            value,
        })
    }

    /// The value of `key`, which has to be there.
    pub(super) fn require(&self, key: &str) -> Result<Value<'a>, SettingsError> {
        self.get(key).ok_or_else(|| {
            self.source
                .fault(self.at.clone(), &self.join(key), "is missing".to_owned())
        })
    }

    /// The table under `key`; an empty one when it is left out.
    pub(super) fn table(&self, key: &str, known: &[&str]) -> Result<Self, SettingsError> {
        match self.get(key) {
            Some(value) => value.table(known),
            None => Ok(Self {
                source: self.source,
                path: self.join(key),
                at: self.at.clone(),
                entries: None,
            }),
        }
    }

    /// The tables of an array of tables, `[[key]]`.
    pub(super) fn tables(&self, key: &str, known: &[&str]) -> Result<Vec<Self>, SettingsError> {
        let values = self
            .get(key)
            .map_or(Ok(Vec::new()), |value| value.items())?;
        values.into_iter().map(|value| value.table(known)).collect()
    }

    /// The parsed value of `key`, or `default` when it is left out.
    pub(super) fn parsed<T>(&self, key: &str, default: T) -> Result<T, SettingsError>
    where
        T: FromStr<Err: Display>,
    {
        self.get(key).map_or(Ok(default), |value| value.parse())
    }

    /// The parsed list under `key`, or `default` when it is left out.
    pub(super) fn parsed_list<T>(&self, key: &str, default: Vec<T>) -> Result<Vec<T>, SettingsError>
    where
        T: FromStr<Err: Display>,
    {
        self.get(key).map_or(Ok(default), |value| {
            value.items()?.iter().map(|item| item.parse()).collect()
        })
    }

    /// One of a few words, or `default` when the key is left out.
    pub(super) fn choice<T: Copy>(
        &self,
        key: &str,
        choices: &[(&str, T)],
        default: T,
    ) -> Result<T, SettingsError> {
        let Some(value) = self.get(key) else {
            return Ok(default);
        };
        let word = value.text()?;
        match choices.iter().find(|(name, _)| *name == word) {
            Some((_, choice)) => Ok(*choice),
            None => {
                let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
                let mut error = value.fault(format!("'{word}' is none of {}", names.join(", ")));
                error.suggestion =
                    nearest(word, &names).map(|name| format!("did you mean '{name}'?"));
                Err(error)
            }
        }
    }
}

/// A value with its dotted key.
#[derive(Clone, Debug)]
pub(super) struct Value<'a> {
    source: Source<'a>,
    pub(super) path: String,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Value<'a> {
    pub(super) fn fault(&self, problem: String) -> SettingsError {
        self.source.fault(self.value.span(), &self.path, problem)
    }

    fn wrong_type(&self, wanted: &str) -> SettingsError {
        self.fault(format!(
            "expected {wanted}, found {}",
            self.value.get_ref().type_str()
        ))
    }

    pub(super) fn text(&self) -> Result<&'a str, SettingsError> {
        self.value
            .get_ref()
            .as_str()
            .ok_or_else(|| self.wrong_type("a string"))
    }

    pub(super) fn parse<T: FromStr<Err: Display>>(&self) -> Result<T, SettingsError> {
        self.text()?
            .parse()
            .map_err(|error: T::Err| self.fault(error.to_string()))
    }

    pub(super) fn items(&self) -> Result<Vec<Self>, SettingsError> {
        let items = self
            .value
            .get_ref()
            .as_array()
            .ok_or_else(|| self.wrong_type("an array"))?;
        let item = |(index, value)| Self {
            source: self.source,
            path: format!("{}[{index}]", self.path),
            value,
        };
        Ok(items.iter().enumerate().map(item).collect())
    }

    pub(super) fn table(&self, known: &[&str]) -> Result<Table<'a>, SettingsError> {
        let entries = self
            .value
            .get_ref()
            .as_table()
            .ok_or_else(|| self.wrong_type("a table"))?;
        Table::from_parts(
            self.source,
            self.path.clone(),
            self.value.span(),
            entries,
            known,
        )
    }

    /// The entries of a table whose keys the user chooses, in the order of keys.
    pub(super) fn entries(&self) -> Result<Vec<(&'a str, Self)>, SettingsError> {
        let entries = self
            .value
            .get_ref()
            .as_table()
            .ok_or_else(|| self.wrong_type("a table"))?;
        let mut found: Vec<_> = entries
            .iter()
            .map(|(key, value)| {
                let key: &str = key.get_ref();
                let path = format!("{}.{key}", self.path);
                (
                    key,
                    Self {
                        source: self.source,
                        path,
                        value,
                    },
                )
            })
            .collect();
        found.sort_by_key(|(key, _)| *key);
        Ok(found)
    }
}
