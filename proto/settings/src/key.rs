//! The keys of a program's settings, as its struct says them.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use crate::Settings;

/// One key.
#[derive(Clone, PartialEq, Debug)]
pub struct Key {
    /// Its name with its sections, such as `rest.address`.
    pub path: String,
    /// The environment variables that set it, the one that wins first.
    pub environment: Vec<String>,
    /// The flag that sets it, without dashes; secrets have none.
    pub flag: Option<String>,
    /// What its value is.
    pub kind: Kind,
    /// The value it has unless it is set, as TOML; none if that is no value.
    pub default: Option<String>,
    /// What it means, in a sentence or two.
    pub meaning: String,
}

/// What a key's value is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Text.
    Text,
    /// Text that is not shown.
    Secret,
    /// A [`Duration`](crate::Duration).
    Duration,
    /// A [`ByteSize`](crate::ByteSize).
    ByteSize,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// One of these words.
    Choice(Vec<String>),
    /// Several of a kind; separated by commas where there is only text.
    List(Box<Kind>),
}

impl Kind {
    /// How documents name it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Secret => "secret".to_owned(),
            Self::Duration => "duration".to_owned(),
            Self::ByteSize => "size".to_owned(),
            Self::Integer => "integer".to_owned(),
            Self::Number => "number".to_owned(),
            Self::Boolean => "boolean".to_owned(),
            Self::Choice(words) => words
                .iter()
                .map(|word| format!("`{word}`"))
                .collect::<Vec<_>>()
                .join(" or "),
            Self::List(kind) => format!("list of {}", kind.describe()),
        }
    }

    /// What stands for the value in a flag's help.
    pub(crate) fn value_name(&self) -> &'static str {
        match self {
            Self::Text | Self::Secret => "TEXT",
            Self::Duration => "DURATION",
            Self::ByteSize => "SIZE",
            Self::Integer | Self::Number => "NUMBER",
            Self::Boolean => "BOOLEAN",
            Self::Choice(_) => "WORD",
            Self::List(_) => "LIST",
        }
    }
}

/// The keys of `S`, sorted.
///
/// # Panics
/// If two keys want the same environment variable or flag, which is a mistake in the program.
#[must_use]
pub fn keys<S: Settings>() -> Vec<Key> {
    let schema = SchemaSettings::default()
        .with(|settings| settings.inline_subschemas = true)
        .into_generator()
        .into_root_schema_for::<S>();
    let defaults = toml::Value::try_from(S::default()).ok();
    let mut keys = Vec::new();
    if let Some(root) = schema.as_object() {
        collect(root, "", S::PROGRAM, defaults.as_ref(), &mut keys);
    }
    keys.sort_by(|one, other| one.path.cmp(&other.path));
    for (index, key) in keys.iter().enumerate() {
        for other in &keys[..index] {
            let shared = key
                .environment
                .iter()
                .any(|variable| other.environment.contains(variable));
            assert!(
                !shared && (key.flag.is_none() || key.flag != other.flag),
                "`{}` and `{}` share a flag or a variable",
                key.path,
                other.path
            );
        }
    }
    keys
}

fn collect(
    schema: &Map<String, Value>,
    above: &str,
    program: &str,
    defaults: Option<&toml::Value>,
    keys: &mut Vec<Key>,
) {
    let properties = schema.get("properties").and_then(Value::as_object);
    for (name, property) in properties.into_iter().flatten() {
        let Some(property) = property.as_object() else {
            continue;
        };
        let path = if above.is_empty() {
            name.clone()
        } else {
            format!("{above}.{name}")
        };
        let default = defaults.and_then(|table| table.get(name));
        if property.contains_key("properties") {
            collect(property, &path, program, default, keys);
        } else {
            keys.push(key(path, property, program, default));
        }
    }
}

fn key(path: String, schema: &Map<String, Value>, program: &str, default: Option<&toml::Value>) -> Key {
    let extension = |name: &str| schema.get(name).and_then(Value::as_str).map(str::to_owned);
    let kind = kind(schema);
    let regular = format!("TIDEGATE_{program}_{path}")
        .replace(['.', '-'], "_")
        .to_uppercase();
    let flag =
        (kind != Kind::Secret).then(|| extension("flag").unwrap_or_else(|| path.replace(['.', '_'], "-")));
    Key {
        environment: std::iter::once(regular).chain(extension("environment")).collect(),
        flag,
        default: default.map(ToString::to_string),
        meaning: extension("description")
            .unwrap_or_default()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
        path,
        kind,
    }
}

fn kind(schema: &Map<String, Value>) -> Kind {
    let words = |list: &Vec<Value>| list.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    // An optional value is one of `anyOf`, the other being null.
    let inner = schema.get("anyOf").and_then(Value::as_array).and_then(|choices| {
        choices
            .iter()
            .filter_map(Value::as_object)
            .find(|choice| choice.get("type").and_then(Value::as_str) != Some("null"))
    });
    if let Some(inner) = inner {
        return kind(inner);
    }
    if let Some(list) = schema.get("enum").and_then(Value::as_array) {
        return Kind::Choice(words(list));
    }
    if let Some(choices) = schema.get("oneOf").and_then(Value::as_array) {
        let choices: Vec<Value> = choices
            .iter()
            .flat_map(|choice| match choice.get("enum").and_then(Value::as_array) {
                Some(list) => list.clone(),
                None => choice.get("const").cloned().into_iter().collect(),
            })
            .collect();
        return Kind::Choice(words(&choices));
    }
    let name = match schema.get("type") {
        Some(Value::Array(names)) => names
            .iter()
            .filter_map(Value::as_str)
            .find(|name| *name != "null")
            .unwrap_or("string"),
        Some(Value::String(name)) => name,
        _ => "string",
    };
    match (name, schema.get("format").and_then(Value::as_str)) {
        ("integer", _) => Kind::Integer,
        ("number", _) => Kind::Number,
        ("boolean", _) => Kind::Boolean,
        ("array", _) => {
            let items = schema.get("items").and_then(Value::as_object);
            Kind::List(Box::new(items.map_or(Kind::Text, kind)))
        }
        (_, Some("duration")) => Kind::Duration,
        (_, Some("byte-size")) => Kind::ByteSize,
        (_, Some("secret")) => Kind::Secret,
        _ => Kind::Text,
    }
}

/// The known name most like `wanted`, if one is like it at all.
pub(crate) fn nearest<'a>(wanted: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    // Half of a name may be mistyped; less alike is a guess that helps nobody.
    const ALIKE: f64 = 0.5;
    known
        .map(|name| (strsim::normalized_damerau_levenshtein(wanted, name), name))
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, name)| name.to_owned())
}
