//! Layers, errors and what is printed, over settings as a program has them.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::{fs, net::SocketAddr, path::PathBuf};

use clap::Parser;
use proptest::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tidegate_settings::{
    ByteSize, ConfigRequest, Duration, Error, Flags, Kind, LogFormat, LogSettings, Origin, Secret, Settings,
    Sources, key_table, keys, load, print,
};

/// A gate.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug, Default)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct GateSettings {
    /// Who may
    /// pass.
    #[schemars(extend("environment" = "TIDEGATE_GATE_WORD", "flag" = "unused"))]
    pass_word: Option<Secret>,
    /// Where it stands.
    place: PlaceSettings,
    /// How it logs.
    log: LogSettings,
}

#[derive(Serialize, Deserialize, JsonSchema, Clone, Debug)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct PlaceSettings {
    /// Listens here.
    address: SocketAddr,
    /// Closes after so long.
    idle_timeout: Duration,
    /// Carries no more than this.
    limit: Option<ByteSize>,
    /// Lets so many in.
    visitors: u32,
    /// Lets all in.
    #[schemars(extend("flag" = "insecure"))]
    open: bool,
    /// Knows these.
    names: Vec<String>,
}

impl Default for PlaceSettings {
    fn default() -> Self {
        Self {
            address: "127.0.0.1:8081".parse().unwrap(),
            idle_timeout: Duration::from_secs(30),
            limit: None,
            visitors: 7,
            open: false,
            names: Vec::new(),
        }
    }
}

impl Settings for GateSettings {
    const PROGRAM: &'static str = "gate";
}

/// Opens and closes.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    settings: Flags<GateSettings>,
    #[command(subcommand)]
    request: Option<Request>,
}

#[derive(clap::Subcommand)]
enum Request {
    /// Settings.
    #[command(subcommand)]
    Config(ConfigRequest),
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
        .collect()
}

/// Loads a file with `text`, which is at the returned path.
fn load_file(text: &str) -> (PathBuf, Result<tidegate_settings::Loaded<GateSettings>, Error>) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gate.toml");
    fs::write(&path, text).unwrap();
    let loaded = load(&Sources {
        file: Some(path.clone()),
        ..Sources::default()
    });
    (path, loaded)
}

#[test]
fn later_layers_win_and_say_so() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("gate.toml");
    let text = "pass-word = 'file'\n\n[place]\naddress = '127.0.0.1:1'\nvisitors = 1\nidle-timeout = '1m'\n";
    fs::write(&path, text).unwrap();
    let loaded = load::<GateSettings>(&Sources {
        file: Some(path.clone()),
        environment: pairs(&[
            ("TIDEGATE_GATE_PLACE_VISITORS", "2"),
            ("TIDEGATE_GATE_PLACE_ADDRESS", "127.0.0.1:2"),
            ("TIDEGATE_GATE_PLACE_NAMES", "one, two"),
            ("TIDEGATE_GATE_WORD", "environment"),
            ("TIDEGATE_OTHER_THING", "ignored"),
        ]),
        flags: pairs(&[("place.address", "127.0.0.1:3"), ("place.open", "true")]),
    })
    .unwrap();
    let place = &loaded.settings.place;
    assert_eq!(place.address, "127.0.0.1:3".parse().unwrap());
    assert_eq!(place.visitors, 2);
    assert_eq!(place.idle_timeout, Duration::from_secs(60));
    assert_eq!(place.names, ["one", "two"]);
    assert!(place.open);
    assert_eq!(
        loaded.settings.pass_word.as_ref().unwrap().expose(),
        "environment"
    );
    assert_eq!(loaded.settings.log.format, LogFormat::Auto);

    let origin = |key: &str| loaded.origin(key).to_string();
    assert_eq!(origin("place.address"), "flag --place-address");
    assert_eq!(
        origin("place.visitors"),
        "environment variable TIDEGATE_GATE_PLACE_VISITORS"
    );
    assert_eq!(
        origin("place.idle-timeout"),
        format!("{}, line 6", path.display())
    );
    assert_eq!(origin("place.limit"), "default");
    let refused = loaded.refuse("place.open", "nobody may").to_string();
    assert_eq!(
        refused,
        "`place.open` (flag --insecure) cannot be used: nobody may"
    );
}

#[test]
fn the_regular_variable_wins_over_the_second() {
    let loaded = load::<GateSettings>(&Sources {
        environment: pairs(&[
            ("TIDEGATE_GATE_WORD", "second"),
            ("TIDEGATE_GATE_PASS_WORD", "first"),
        ]),
        ..Sources::default()
    });
    assert_eq!(loaded.unwrap().settings.pass_word.unwrap().expose(), "first");
}

#[test]
fn mistakes_in_a_file_are_named_with_their_line() {
    for (text, expected) in [
        (
            "[place]\nvisitors = 1\nadress = 'x'\n",
            "there is no setting `place.adress` (FILE, line 3); did you mean `place.address`?",
        ),
        (
            "\n[plaec]\nvisitors = 1\n",
            "there is no setting `plaec` (FILE, line 2); did you mean `place`?",
        ),
        (
            "zzzzzzzzzz = 1",
            "there is no setting `zzzzzzzzzz` (FILE, line 1); `config keys` lists those there are",
        ),
        (
            "pass-word = 4711",
            "`pass-word` (FILE, line 1) cannot be used: a secret is text in quotes",
        ),
        (
            "place = 3",
            "`place` (FILE, line 1) is a section and has no value; write its keys under [place]",
        ),
        (
            "[place]\nidle-timeout = 30",
            "`place.idle-timeout` (FILE, line 2) cannot be used: invalid type: integer `30`, expected a duration with \
             its unit in quotes, such as \"10s\"",
        ),
        (
            "[place]\nlimit = '512'",
            "`place.limit` (FILE, line 2) cannot be used: `512` has no unit of size; write one of B, kB, MB, GB, TB, \
             KiB, MiB, GiB and TiB, such as 512MiB",
        ),
        (
            "place.names = ['a', 3]",
            "`place.names` (FILE, line 1) cannot be used: invalid type: integer `3`, expected a string",
        ),
        (
            "[log]\nformat = 'xml'",
            "`log.format` (FILE, line 2) cannot be used: unknown variant `xml`, expected one of `auto`, `human`, `json`",
        ),
    ] {
        let (path, loaded) = load_file(text);
        let message = loaded.unwrap_err().to_string();
        assert_eq!(
            message.replace(&path.display().to_string(), "FILE"),
            expected,
            "{text}"
        );
    }
    let (_, loaded) = load_file("[place\n");
    assert!(matches!(loaded, Err(Error::Malformed { reason, .. }) if reason.contains("line 1")));
    let missing = load::<GateSettings>(&Sources {
        file: Some("/nowhere/gate.toml".into()),
        ..Sources::default()
    });
    assert!(matches!(missing, Err(Error::Unreadable { .. })));
}

#[test]
fn mistakes_in_the_environment_are_named() {
    for (variable, text, expected) in [
        (
            "TIDEGATE_GATE_PLACE_VISITOR",
            "1",
            "there is no setting `TIDEGATE_GATE_PLACE_VISITOR` (environment variable TIDEGATE_GATE_PLACE_VISITOR); did \
             you mean `TIDEGATE_GATE_PLACE_VISITORS`?",
        ),
        (
            "TIDEGATE_GATE_PLACE_VISITORS",
            "many",
            "`place.visitors` (environment variable TIDEGATE_GATE_PLACE_VISITORS) cannot be used: invalid type: string \
             \"many\", expected u32",
        ),
        (
            "TIDEGATE_GATE_PLACE_VISITORS",
            "-1",
            "`place.visitors` (environment variable TIDEGATE_GATE_PLACE_VISITORS) cannot be used: invalid value: \
             integer `-1`, expected u32",
        ),
    ] {
        let loaded = load::<GateSettings>(&Sources {
            environment: pairs(&[(variable, text)]),
            ..Sources::default()
        });
        assert_eq!(loaded.unwrap_err().to_string(), expected);
    }
}

#[test]
fn flags_come_from_the_struct() {
    let arguments = Arguments::try_parse_from([
        "gate",
        "--insecure",
        "config",
        "print",
        "--place-idle-timeout",
        "5s",
    ])
    .unwrap();
    let loaded = arguments.settings.load().unwrap();
    assert!(loaded.settings.place.open);
    assert_eq!(loaded.settings.place.idle_timeout, Duration::from_secs(5));
    assert_eq!(
        loaded.origin("place.open"),
        &Origin::Flag {
            flag: "insecure".into()
        }
    );
    assert!(matches!(
        arguments.request,
        Some(Request::Config(ConfigRequest::Print))
    ));

    assert!(
        Arguments::try_parse_from(["gate", "--pass-word", "x"]).is_err(),
        "secrets are no flags"
    );
    assert!(Arguments::try_parse_from(["gate", "--log-format", "xml"]).is_err());
    let mistaken = Arguments::try_parse_from(["gate", "--place-adress", "x"])
        .err()
        .unwrap();
    assert!(mistaken.to_string().contains("--place-address"), "{mistaken}");
    let help = Arguments::try_parse_from(["gate", "--help"])
        .err()
        .unwrap()
        .to_string();
    assert!(help.contains("Closes after so long [default: 30s]"), "{help}");
}

#[test]
fn what_is_printed_hides_secrets_and_can_be_loaded() {
    let sources = Sources {
        environment: pairs(&[
            ("TIDEGATE_GATE_PASS_WORD", "sesame"),
            ("TIDEGATE_GATE_PLACE_LIMIT", "1GiB"),
        ]),
        ..Sources::default()
    };
    let loaded = load::<GateSettings>(&sources).unwrap();
    let printed = print(&loaded);
    assert!(!printed.contains("sesame") && !format!("{loaded:?}").contains("sesame"));
    assert!(
        printed.contains("limit = \"1GiB\" # environment variable TIDEGATE_GATE_PLACE_LIMIT"),
        "{printed}"
    );
    let (_, again) = load_file(&printed);
    assert_eq!(again.unwrap().settings.place.limit, Some(ByteSize::gibibytes(1)));
}

#[test]
fn the_table_has_every_key() {
    let keys = keys::<GateSettings>();
    let paths: Vec<_> = keys.iter().map(|key| key.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "log.filter",
            "log.format",
            "pass-word",
            "place.address",
            "place.idle-timeout",
            "place.limit",
            "place.names",
            "place.open",
            "place.visitors"
        ]
    );
    assert_eq!(
        keys[1].kind,
        Kind::Choice(vec!["auto".into(), "human".into(), "json".into()])
    );
    assert_eq!(keys[2].flag, None);
    assert_eq!(keys[5].kind, Kind::ByteSize);
    let table = key_table::<GateSettings>();
    let row = "| `pass-word` | secret | none | none | `TIDEGATE_GATE_PASS_WORD`, `TIDEGATE_GATE_WORD` | Who may pass. |";
    assert!(table.contains(row), "{table}");
    assert!(
        table
            .contains("| `place.idle-timeout` | duration | `\"30s\"` | `--place-idle-timeout` | `TIDEGATE_GATE_PLACE_IDLE_TIMEOUT` |")
    );
}

proptest! {
    #[test]
    fn no_file_makes_it_panic(text in "[a-z.=\\[\\]'\"0-9 \n-]{0,80}") {
        let _ = load_file(&text);
    }

    #[test]
    fn effective_settings_survive_printing(seconds in 0u64..1_000_000, bytes: u64, visitors: u32, names in prop::collection::vec("[a-z\"\\\\]{1,5}", 0..4)) {
        let mut settings = GateSettings::default();
        settings.place.idle_timeout = Duration::from_secs(seconds);
        settings.place.limit = Some(ByteSize::bytes(bytes));
        settings.place.visitors = visitors;
        settings.place.names = names;
        let text = toml::to_string(&settings).unwrap();
        let (_, loaded) = load_file(&text);
        let (_, again) = load_file(&print(&loaded.unwrap()));
        prop_assert_eq!(format!("{settings:?}"), format!("{:?}", again.unwrap().settings));
    }
}
