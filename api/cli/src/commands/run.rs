//! `tidegate run`.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::{Context, artifacts, wait};
use crate::{
    arguments::RunArguments,
    client::Call,
    documents::Submitted,
    error::{Error, Result},
    exit_code::ExitCode,
    output::{Output, print},
};

/// Uploads the executable if need be, submits the job and, if asked to, waits for its end.
pub(super) fn run(context: &Context, arguments: &RunArguments) -> Result<ExitCode> {
    let path = Path::new(&arguments.executable);
    let artifact = if artifacts::is_id(&arguments.executable) && !path.exists() {
        arguments.executable.clone()
    } else {
        wait::patiently(context, || artifacts::upload(context, path))?
    };
    let call = Call::post(["v1", "artifacts", &artifact, "run"], body(arguments)?)
        // Repeating the request after an answer that was lost yields the same job.
        .header("idempotency-key", key(arguments));
    let document = wait::patiently(context, || context.client.call(&call))?;
    let Submitted { jobid } = context.client.read(document.clone())?;
    match (context.output, arguments.wait) {
        (Output::Table, _) => print(&format!("{jobid}\n"))?,
        (Output::Json, false) => print(&format!("{document:#}\n"))?,
        // The job as it is in the end says all of it.
        (Output::Json, true) => {}
    }
    if !arguments.wait {
        return Ok(ExitCode::Success);
    }
    let (job, document) = wait::for_job(context, &jobid)?;
    if context.output == Output::Json {
        print(&format!("{document:#}\n"))?;
    }
    Ok(wait::outcome(&job))
}

fn key(arguments: &RunArguments) -> String {
    arguments
        .idempotency_key
        .clone()
        .unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()))
}

fn body(arguments: &RunArguments) -> Result<Value> {
    let mut body = Map::new();
    let mut add = |name: &str, value: Value| body.insert(name.to_owned(), value);
    if !arguments.arguments.is_empty() {
        add("programArgsList", json!(arguments.arguments));
    }
    if let Some(parallelism) = arguments.parallelism {
        add("parallelism", json!(parallelism));
    }
    if let Some(location) = &arguments.from_savepoint {
        add("savepointPath", json!(location));
    }
    if arguments.allow_non_restored_state {
        add("allowNonRestoredState", json!(true));
    }
    if !arguments.settings.is_empty() {
        let mut settings = Map::new();
        for (key, text) in &arguments.settings {
            insert(&mut settings, key, setting(text)).map_err(|key| {
                Error::Usage(format!(
                    "--set gives `{key}` a value of its own and keys below it"
                ))
            })?;
        }
        add("settings", Value::Object(settings));
    }
    Ok(Value::Object(body))
}

/// Puts a value under a key with dots; the key at fault if it cannot have keys below it.
fn insert<'a>(
    settings: &mut Map<String, Value>,
    key: &'a str,
    value: Value,
) -> std::result::Result<(), &'a str> {
    let Some((section, below)) = key.split_once('.') else {
        return match settings.insert(key.to_owned(), value) {
            Some(Value::Object(_)) => Err(key),
            _ => Ok(()),
        };
    };
    match settings
        .entry(section)
        .or_insert_with(|| Value::Object(Map::new()))
    {
        Value::Object(settings) => insert(settings, below, value),
        _ => Err(section),
    }
}

/// Numbers and truth values as such, anything else as text.
fn setting(text: &str) -> Value {
    match serde_json::from_str(text) {
        Ok(value @ (Value::Number(_) | Value::Bool(_))) => value,
        _ => Value::String(text.to_owned()),
    }
}
