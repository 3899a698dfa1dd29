//! How the programs of a cluster are configured.
//!
//! A program's settings are one struct that implements [`Settings`]. Its fields are the keys, nested structs are the
//! sections, `Default` gives the defaults and the doc comments say what the keys mean. From that one struct come:
//! * [loading](load) in layers: defaults, then a TOML file, then the environment, then flags; an unknown key is an
//!   error that names the nearest known one, and every error says where the value stands;
//! * the [flags](Flags) of the program's command line, one per key, with help;
//! * [`config print`](ConfigRequest): the effective values, where each is from, and no secrets;
//! * the [table of keys](key_table), which the documents are held against.
//!
//! ```
//! use clap::Parser;
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use tidegate_settings::{Duration, Flags, Secret, Settings};
//!
//! /// A program that answers.
//! #[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
//! #[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
//! struct EchoSettings {
//!     /// Who may speak.
//!     #[schemars(extend("environment" = "TIDEGATE_TOKEN"))]
//!     token: Option<Secret>,
//!     /// The listener.
//!     listener: ListenerSettings,
//! }
//!
//! #[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
//! #[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
//! struct ListenerSettings {
//!     /// After so long without a word a connection is closed.
//!     idle_timeout: Duration,
//! }
//!
//! impl Default for ListenerSettings {
//!     fn default() -> Self {
//!         Self { idle_timeout: Duration::from_secs(30) }
//!     }
//! }
//!
//! impl Settings for EchoSettings {
//!     const PROGRAM: &'static str = "echo";
//! }
//!
//! /// Answers.
//! #[derive(Parser)]
//! struct Arguments {
//!     #[command(flatten)]
//!     settings: Flags<EchoSettings>,
//! }
//!
//! # fn main() -> Result<(), tidegate_settings::Error> {
//! let arguments = Arguments::parse_from(["echo", "--listener-idle-timeout", "5s"]);
//! let loaded = arguments.settings.load()?;
//! assert_eq!(loaded.settings.listener.idle_timeout, Duration::from_secs(5));
//! # Ok(())
//! # }
//! ```

mod byte_size;
mod duration;
mod error;
mod exit_code;
mod flags;
mod key;
mod layer;
mod load;
mod logs;
mod print;
mod secret;

pub use byte_size::{ByteSize, ParseByteSizeError};
pub use duration::{Duration, ParseDurationError};
pub use error::Error;
pub use exit_code::ExitCode;
pub use flags::Flags;
pub use key::{Key, Kind, keys};
pub use load::{Loaded, Origin, Sources, load};
pub use logs::{LogFormat, LogSettings, init_logs};
pub use print::{ConfigRequest, key_table, print};
pub use secret::Secret;

use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

/// The settings of a program, from which its keys, flags and documents are made.
///
/// Every struct in it wants `#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]` and a doc comment on
/// each field. Two extensions are understood in `#[schemars(extend(..))]` of a field: `"environment" = "NAME"` names a
/// second environment variable (it yields to the regular one), `"flag" = "name"` another flag.
pub trait Settings: Default + Serialize + DeserializeOwned + JsonSchema {
    /// The program's name as it appears in environment variables: with `jobmanager`, the key `rest.address` is
    /// `TIDEGATE_JOBMANAGER_REST_ADDRESS`.
    const PROGRAM: &'static str;
}
