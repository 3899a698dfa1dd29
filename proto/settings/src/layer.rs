//! One layer of a configuration: what a file, the environment or the flags say.

use std::path::Path;

use toml::{Table, Value, de::DeTable};

use crate::{Error, Key, Kind, Origin, key::nearest};

/// A value that a layer gives to a key.
#[derive(Debug)]
pub(crate) struct Setting {
    pub(crate) path: String,
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

/// What a file says.
pub(crate) fn of_file(path: &Path, text: &str, keys: &[Key]) -> Result<Vec<Setting>, Error> {
    let malformed = |error: toml::de::Error| Error::Malformed {
        path: path.to_owned(),
        reason: error.to_string().trim_end().to_owned(),
    };
    let table: Table = text.parse().map_err(malformed)?;
    let spans = DeTable::parse(text).map_err(malformed)?;
    let mut settings = Vec::new();
    let file = File { path, text, keys };
    file.read(&table, spans.get_ref(), "", &mut settings)?;
    Ok(settings)
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
    keys: &'a [Key],
}

impl File<'_> {
    fn read(
        &self,
        table: &Table,
        spans: &DeTable<'_>,
        above: &str,
        settings: &mut Vec<Setting>,
    ) -> Result<(), Error> {
        for (name, spanned) in spans {
            let written = name.get_ref().as_ref();
            let path = if above.is_empty() {
                written.to_owned()
            } else {
                format!("{above}.{written}")
            };
            let origin = Origin::File {
                path: self.path.to_owned(),
                line: self.line(name.span().start),
            };
            let Some(value) = table.get(written) else {
                continue;
            };
            let section = format!("{path}.");
            let is_section = || self.keys.iter().any(|key| key.path.starts_with(&section));
            if self.keys.iter().any(|key| key.path == path) {
                let value = value.clone();
                settings.push(Setting { path, value, origin });
            } else if !is_section() {
                return Err(self.unknown(path, origin, value.is_table()));
            } else if let (Value::Table(table), Some(spans)) = (value, spanned.get_ref().as_table()) {
                self.read(table, spans, &path, settings)?;
            } else {
                return Err(Error::Section { key: path, origin });
            }
        }
        Ok(())
    }

    fn unknown(&self, key: String, origin: Origin, is_section: bool) -> Error {
        let sections = self
            .keys
            .iter()
            .filter_map(|known| known.path.rsplit_once('.').map(|(section, _)| section));
        let nearest = if is_section {
            nearest(&key, sections)
        } else {
            nearest(&key, self.keys.iter().map(|known| known.path.as_str()))
        };
        Error::UnknownKey { key, origin, nearest }
    }

    /// The line, counted from 1, of a byte of the text.
    fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().iter().take(offset);
        before.filter(|byte| **byte == b'\n').count() + 1
    }
}

/// What the environment says. Variables that begin like this program's and are none are refused.
pub(crate) fn of_environment(
    variables: &[(String, String)],
    program: &str,
    keys: &[Key],
) -> Result<Vec<Setting>, Error> {
    let prefix = format!("TIDEGATE_{}_", program.replace('-', "_").to_uppercase());
    let known = |variable: &str| {
        keys.iter()
            .any(|key| key.environment.iter().any(|known| known == variable))
    };
    let stranger = variables
        .iter()
        .map(|(variable, _)| variable)
        .find(|variable| variable.starts_with(&prefix) && !known(variable));
    if let Some(variable) = stranger {
        let names = keys.iter().flat_map(|key| &key.environment).map(String::as_str);
        return Err(Error::UnknownKey {
            nearest: nearest(variable, names),
            key: variable.clone(),
            origin: Origin::Environment {
                variable: variable.clone(),
            },
        });
    }
    let settings = keys.iter().filter_map(|key| {
        let (variable, text) = key
            .environment
            .iter()
            .find_map(|name| variables.iter().find(|(variable, _)| variable == name))?;
        Some(Setting {
            path: key.path.clone(),
            value: of_text(text, &key.kind),
            origin: Origin::Environment {
                variable: variable.clone(),
            },
        })
    });
    Ok(settings.collect())
}

/// What the flags say, by the paths of their keys.
pub(crate) fn of_flags(flags: &[(String, String)], keys: &[Key]) -> Vec<Setting> {
    let setting = |(path, text): &(String, String)| {
        let key = keys.iter().find(|key| key.path == *path)?;
        Some(Setting {
            path: path.clone(),
            value: of_text(text, &key.kind),
            origin: Origin::Flag {
                flag: key.flag.clone().unwrap_or_else(|| path.clone()),
            },
        })
    };
    flags.iter().filter_map(setting).collect()
}

/// The value that a text stands for. A text that does not fit stays one, and is refused with what was expected when the
/// settings are made.
fn of_text(text: &str, kind: &Kind) -> Value {
    let parsed = match kind {
        Kind::Integer => text.parse().ok().map(Value::Integer),
        Kind::Number => text.parse().ok().map(Value::Float),
        Kind::Boolean => text.parse().ok().map(Value::Boolean),
        Kind::List(kind) => Some(Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| of_text(item, kind))
                .collect(),
        )),
        Kind::Text | Kind::Secret | Kind::Duration | Kind::ByteSize | Kind::Choice(_) => None,
    };
    parsed.unwrap_or_else(|| Value::String(text.to_owned()))
}
