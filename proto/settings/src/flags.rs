//! A program's flags, one per key.

use std::{env, ffi::OsString, fmt, marker::PhantomData, path::PathBuf};

use clap::{
    Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, builder::PossibleValuesParser, value_parser,
};

use crate::{Error, Key, Kind, Loaded, Settings, Sources, keys, load};

/// The flag that names the file.
const CONFIG: &str = "config";

/// The flags of the settings `S`, to be flattened into a program's command line: `--config FILE`, and one per key that
/// is no secret. They may stand before or behind a subcommand.
#[derive(Clone)]
pub struct Flags<S> {
    file: Option<PathBuf>,
    given: Vec<(String, String)>,
    settings: PhantomData<fn() -> S>,
}

impl<S> fmt::Debug for Flags<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flags")
            .field("file", &self.file)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

impl<S: Settings> Flags<S> {
    /// The settings as flags, this process's environment and the file that they name say.
    ///
    /// # Errors
    /// As [`load`](crate::load).
    pub fn load(&self) -> Result<Loaded<S>, Error> {
        self.load_with(None)
    }

    /// Likewise, with the file `otherwise` if neither flag nor environment names one.
    ///
    /// # Errors
    /// As [`load`](crate::load).
    pub fn load_with(&self, otherwise: Option<PathBuf>) -> Result<Loaded<S>, Error> {
        let keys = keys::<S>();
        let concerns = |variable: &str| {
            variable.starts_with("TIDEGATE_")
                || keys
                    .iter()
                    .any(|key| key.environment.iter().any(|name| name == variable))
        };
        let mut file = self.file.clone();
        let mut environment = Vec::new();
        for (variable, text) in env::vars_os() {
            let Some(variable) = variable.to_str().filter(|variable| concerns(variable)) else {
                continue;
            };
            if variable == file_variable::<S>() {
                file = file.or(Some(PathBuf::from(text)));
            } else {
                environment.push((variable.to_owned(), utf8(variable, text)?));
            }
        }
        load(&Sources {
            file: file.or(otherwise),
            environment,
            flags: self.given.clone(),
        })
    }
}

/// The variable that names the file.
fn file_variable<S: Settings>() -> String {
    format!("TIDEGATE_{}_CONFIG", S::PROGRAM.replace('-', "_").to_uppercase())
}

fn utf8(variable: &str, text: OsString) -> Result<String, Error> {
    text.into_string().map_err(|_| Error::NotText {
        variable: variable.to_owned(),
    })
}

impl<S: Settings> Args for Flags<S> {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new(CONFIG)
            .long(CONFIG)
            .value_name("FILE")
            .value_parser(value_parser!(PathBuf))
            .global(true)
            .help(format!(
                "The TOML file with the settings [env: {}]",
                file_variable::<S>()
            ));
        command
            .next_help_heading("Settings")
            .arg(file)
            .args(keys::<S>().iter().filter_map(argument))
            .next_help_heading(None)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

fn argument(key: &Key) -> Option<Arg> {
    let flag = key.flag.clone()?;
    let default = match &key.default {
        Some(default) => format!(" [default: {}]", default.trim_matches('"')),
        None => String::new(),
    };
    let argument = Arg::new(key.path.clone())
        .long(flag)
        .value_name(key.kind.value_name())
        .action(ArgAction::Set)
        .global(true)
        .help(format!("{}{default}", key.meaning.trim_end_matches('.')));
    Some(match &key.kind {
        Kind::Boolean => argument
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_parser(PossibleValuesParser::new(["true", "false"])),
        Kind::Choice(words) => argument.value_parser(PossibleValuesParser::new(words)),
        _ => argument,
    })
}

impl<S: Settings> FromArgMatches for Flags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = keys::<S>()
            .into_iter()
            .filter(|key| key.flag.is_some())
            .filter_map(|key| {
                let text = matches.get_one::<String>(&key.path)?.clone();
                Some((key.path, text))
            })
            .collect();
        Ok(Self {
            file: matches.get_one::<PathBuf>(CONFIG).cloned(),
            given,
            settings: PhantomData,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
