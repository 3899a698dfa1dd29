//! The settings of the command itself.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_settings::{Duration, Secret, Settings};

/// Where the cluster is and how to speak to it.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub(crate) struct CliSettings {
    /// Where the job manager's REST interface is: `host:port` or `http://host:port`.
    #[schemars(extend("environment" = "TIDEGATE_ADDRESS"))]
    pub(crate) address: String,
    /// The job manager's bearer token.
    #[schemars(extend("environment" = "TIDEGATE_TOKEN"))]
    pub(crate) token: Option<Secret>,
    /// How long one answer may take; an upload may take longer.
    pub(crate) timeout: Duration,
    /// For how long a job manager that cannot be reached is asked again: while a job is waited for, and when one is
    /// submitted.
    pub(crate) patience: Duration,
}

impl Default for CliSettings {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:8081".to_owned(),
            token: None,
            timeout: Duration::from_secs(60),
            patience: Duration::from_secs(60),
        }
    }
}

impl Settings for CliSettings {
    const PROGRAM: &'static str = "cli";
}

/// The file that is read if no other is named: `tidegate/cli.toml` in the user's directory for configuration.
pub(crate) fn usual_file() -> Option<PathBuf> {
    let directory = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(std::env::home_dir()?.join(".config")))?;
    Some(directory.join("tidegate").join("cli.toml")).filter(|path| path.is_file())
}
