//! Settings shown: the effective ones, and the table of those there are.

use std::fmt::Write;

use clap::Subcommand;
use toml::Value;

use crate::{Error, Flags, Loaded, Origin, Settings, keys};

/// What a program's `config` command is asked for.
#[derive(Subcommand, Clone, Copy, PartialEq, Eq, Debug)]
pub enum ConfigRequest {
    /// Shows the settings as they are in effect, as TOML, and where each is from; secrets are not shown.
    Print,
    /// Lists every key with its default, its kind and its meaning, as a Markdown table.
    Keys,
}

impl ConfigRequest {
    /// What to print.
    ///
    /// # Errors
    /// As [`load`](crate::load).
    pub fn answer<S: Settings>(self, flags: &Flags<S>) -> Result<String, Error> {
        match self {
            Self::Print => flags.load().map(|loaded| print(&loaded)),
            Self::Keys => Ok(key_table::<S>()),
        }
    }
}

/// The effective settings as TOML, each with its origin; it can be loaded again, but for the secrets.
#[must_use]
pub fn print<S: Settings>(loaded: &Loaded<S>) -> String {
    let effective = Value::try_from(&loaded.settings).unwrap_or_else(|_| Value::Table(toml::Table::new()));
    let mut keys = keys::<S>();
    // What has no section comes first, as TOML wants it.
    keys.sort_by_key(|key| key.path.rsplit_once('.').map(|(section, _)| section.to_owned()));
    let mut text = String::new();
    let mut current = None;
    for key in &keys {
        let (section, name) = match key.path.rsplit_once('.') {
            Some((section, name)) => (Some(section), name),
            None => (None, key.path.as_str()),
        };
        if section != current {
            let separator = if text.is_empty() { "" } else { "\n" };
            let _ = writeln!(text, "{separator}[{}]", section.unwrap_or_default());
            current = section;
        }
        let value = key
            .path
            .split('.')
            .try_fold(&effective, |value, name| value.get(name));
        let _ = match (value, loaded.origin(&key.path)) {
            (Some(value), Origin::Default) => writeln!(text, "{name} = {value}"),
            (Some(value), origin) => writeln!(text, "{name} = {value} # {origin}"),
            (None, _) => writeln!(text, "# {name} is not set"),
        };
    }
    text
}

/// Every key of `S` as a Markdown table: key, kind, default, flag, environment variables, meaning. The documents hold it, and
/// a test holds them against it.
#[must_use]
pub fn key_table<S: Settings>() -> String {
    let mut table =
        "| key | kind | default | flag | environment | meaning |\n|---|---|---|---|---|---|\n".to_owned();
    for key in keys::<S>() {
        let default = key
            .default
            .map_or("none".to_owned(), |default| format!("`{default}`"));
        let flag = key.flag.map_or("none".to_owned(), |flag| format!("`--{flag}`"));
        let environment: Vec<_> = key
            .environment
            .iter()
            .map(|variable| format!("`{variable}`"))
            .collect();
        let _ = writeln!(
            table,
            "| `{}` | {} | {default} | {flag} | {} | {} |",
            key.path,
            key.kind.describe(),
            environment.join(", "),
            key.meaning.replace('|', "\\|"),
        );
    }
    table
}
