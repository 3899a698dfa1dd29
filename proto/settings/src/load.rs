//! Laying the layers over one another.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use crate::{
    Error, Key, Kind, Settings, keys,
    layer::{self, Setting},
};

/// Where settings come from, besides the defaults; later fields win over earlier ones.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A TOML file, which must be there if it is named.
    pub file: Option<PathBuf>,
    /// Environment variables; those that do not concern the program are ignored.
    pub environment: Vec<(String, String)>,
    /// What flags gave, by the path of the key.
    pub flags: Vec<(String, String)>,
}

/// Where a value stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// Nowhere: it is the default.
    Default,
    /// In a file.
    File {
        /// Which.
        path: PathBuf,
        /// Its line, counted from 1.
        line: usize,
    },
    /// In the environment.
    Environment {
        /// The variable.
        variable: String,
    },
    /// On the command line.
    Flag {
        /// The flag, without dashes.
        flag: String,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}, line {line}", path.display()),
            Self::Environment { variable } => write!(f, "environment variable {variable}"),
            Self::Flag { flag } => write!(f, "flag --{flag}"),
        }
    }
}

/// Settings, and where each value is from.
#[derive(Clone, Debug)]
pub struct Loaded<S> {
    /// The settings.
    pub settings: S,
    origins: BTreeMap<String, Origin>,
}

impl<S> Loaded<S> {
    /// Where the value of the key `path` (such as `rest.address`) is from.
    #[must_use]
    pub fn origin(&self, path: &str) -> &Origin {
        self.origins.get(path).unwrap_or(&Origin::Default)
    }

    /// The error for a value that has the right type and cannot be used all the same: `reason` says why and what could.
    pub fn refuse(&self, path: &str, reason: impl fmt::Display) -> Error {
        Error::Value {
            key: path.to_owned(),
            origin: self.origin(path).clone(),
            reason: reason.to_string(),
        }
    }
}

/// Loads settings from their defaults and `sources`.
///
/// # Errors
/// The file cannot be read, a key is unknown, or a value does not fit; names the key and where it stands.
pub fn load<S: Settings>(sources: &Sources) -> Result<Loaded<S>, Error> {
    let keys = keys::<S>();
    let mut layers = Vec::new();
    if let Some(path) = &sources.file {
        layers.extend(layer::of_file(path, &read(path)?, &keys)?);
    }
    layers.extend(layer::of_environment(&sources.environment, S::PROGRAM, &keys)?);
    layers.extend(layer::of_flags(&sources.flags, &keys));
    lay(layers, &keys)
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Unreadable {
        path: path.to_owned(),
        source,
    })
}

fn lay<S: Settings>(layers: Vec<Setting>, keys: &[Key]) -> Result<Loaded<S>, Error> {
    let mut table = Table::new();
    let mut origins = BTreeMap::new();
    for Setting { path, value, origin } in layers {
        insert(&mut table, &path, value);
        origins.insert(path, origin);
    }
    match serde_path_to_error::deserialize(Value::Table(table)) {
        Ok(settings) => Ok(Loaded { settings, origins }),
        Err(error) => {
            let at = error.path().to_string();
            // The path may lead into a list; the key is what it begins with.
            let key = keys
                .iter()
                .filter(|key| at.starts_with(&key.path))
                .max_by_key(|key| key.path.len());
            // What does not fit is in the message, and must not be if it is a secret.
            let reason = match key {
                Some(key) if key.kind == Kind::Secret => "a secret is text in quotes".to_owned(),
                _ => error.inner().message().to_owned(),
            };
            let key = key.map_or(at, |key| key.path.clone());
            Err(Error::Value {
                origin: origins.get(&key).cloned().unwrap_or(Origin::Default),
                reason,
                key,
            })
        }
    }
}

fn insert(table: &mut Table, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            table.insert(path.to_owned(), value);
        }
        Some((section, rest)) => {
            let below = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(below) = below {
                insert(below, rest, value);
            }
        }
    }
}
