//! Descriptions of types, traced from their `Deserialize`, to tell whether a snapshot still fits the job.
//!
//! A type that resists tracing (a `Deserialize` that checks what it reads, for example) is described by its name and
//! the version that was declared for the state; its owner raises the version when the encoding changes. The same goes
//! for what tracing cannot reach: of an enum that occurs nowhere but inside options, sequences or maps it sees the first
//! variant only, and describes it as `first | …`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use serde::de::DeserializeOwned;
use serde_reflection::{
    ContainerFormat, Error, Format, FormatHolder, Samples, Tracer, TracerConfig, VariantFormat,
};
use tidegate_core::{
    hash_bytes,
    snapshot::{Schema, StateError},
};

/// The tracer numbers variants from here on upwards as long as it does not know their real numbers.
const FIRST_PROVISIONAL: u32 = u32::MAX / 2;

/// How often a type is read before it counts as resisting.
const MAX_PASSES: usize = 10_000;

/// A readable description of how `T` is encoded, stable across builds. `version` is what the state's owner declared, 0
/// if nothing.
pub fn describe<T: DeserializeOwned>(version: u32) -> String {
    let mut text = trace::<T>().unwrap_or_else(|| format!("opaque {}", std::any::type_name::<T>()));
    if version > 0 {
        let _ = write!(text, " version {version}");
    }
    text
}

/// The schema of a state with the given description.
pub fn schema(state: &str, description: String) -> Schema {
    Schema {
        state: state.to_owned(),
        fingerprint: hash_bytes(description.as_bytes()),
        description,
    }
}

/// Whether state stored as `stored` can be read as `wanted`: for now, only if they are the same.
pub fn check(stored: &Schema, wanted: &Schema) -> Result<(), StateError> {
    if stored.fingerprint == wanted.fingerprint {
        return Ok(());
    }
    Err(StateError::SchemaMismatch {
        state: wanted.state.clone(),
        stored: stored.description.clone(),
        wanted: wanted.description.clone(),
    })
}

fn trace<T: DeserializeOwned>() -> Option<String> {
    // A user's `Deserialize` is user code: whatever it does with made-up input, the job starts.
    let traced = std::panic::catch_unwind(trace_formats::<T>);
    let (mut format, registry) = traced.ok()??;
    format.normalize().ok()?;
    let mut text = String::new();
    write_format(&format, &mut text);
    write_containers(&registry, &mut text);
    Some(text)
}

/// Traces until every variant of every enum has been seen. One pass sees one variant more of each; the tracer only tells
/// the names of unfinished enums when it gives up, so it starts again whenever it names new ones.
fn trace_formats<T: DeserializeOwned>() -> Option<(Format, BTreeMap<String, ContainerFormat>)> {
    let samples = Samples::new();
    let mut enums = BTreeSet::new();
    let mut passes = 0;
    loop {
        let mut tracer = Tracer::new(TracerConfig::default());
        let format = loop {
            passes += 1;
            let (format, _) = tracer.trace_type_once::<T>(&samples).ok()?;
            let unfinished = enums
                .iter()
                .filter(|name: &&String| tracer.check_incomplete_enum(name).is_some())
                .count();
            if unfinished == 0 {
                break format;
            }
            if passes > MAX_PASSES {
                return None;
            }
        };
        match tracer.registry() {
            Ok(registry) => return Some((format, registry)),
            Err(Error::MissingVariants(names)) => {
                let known = enums.len();
                enums.extend(names);
                if enums.len() == known {
                    return None;
                }
            }
            Err(_) => return None,
        }
    }
}

fn write_containers(registry: &BTreeMap<String, ContainerFormat>, out: &mut String) {
    for (place, (name, container)) in registry.iter().enumerate() {
        out.push_str(if place == 0 { " where " } else { ", " });
        let _ = write!(out, "{name} = ");
        match container {
            ContainerFormat::UnitStruct => out.push_str("()"),
            ContainerFormat::NewTypeStruct(format) => write_format(format, out),
            ContainerFormat::TupleStruct(formats) => write_tuple(formats, out),
            ContainerFormat::Struct(fields) => write_fields(fields, out),
            ContainerFormat::Enum(variants) => {
                for (place, (index, variant)) in variants.iter().enumerate() {
                    out.push_str(if place == 0 { "" } else { " | " });
                    if *index < FIRST_PROVISIONAL {
                        let _ = write!(out, "{index} ");
                    }
                    let _ = write!(out, "{}", variant.name);
                    write_variant(&variant.value, out);
                    if *index >= FIRST_PROVISIONAL {
                        out.push_str(" | …");
                    }
                }
            }
        }
    }
}

fn write_variant(variant: &VariantFormat, out: &mut String) {
    match variant {
        VariantFormat::Variable(_) => out.push('?'),
        VariantFormat::Unit => {}
        VariantFormat::NewType(format) => write_tuple(std::slice::from_ref(format.as_ref()), out),
        VariantFormat::Tuple(formats) => write_tuple(formats, out),
        VariantFormat::Struct(fields) => write_fields(fields, out),
    }
}

fn write_fields(fields: &[serde_reflection::Named<Format>], out: &mut String) {
    out.push('{');
    for (place, field) in fields.iter().enumerate() {
        out.push_str(if place == 0 { "" } else { ", " });
        let _ = write!(out, "{}: ", field.name);
        write_format(&field.value, out);
    }
    out.push('}');
}

fn write_tuple(formats: &[Format], out: &mut String) {
    out.push('(');
    for (place, format) in formats.iter().enumerate() {
        out.push_str(if place == 0 { "" } else { ", " });
        write_format(format, out);
    }
    out.push(')');
}

fn write_format(format: &Format, out: &mut String) {
    let primitive = match format {
        Format::Variable(_) => "?",
        Format::TypeName(name) => name,
        Format::Unit => "()",
        Format::Bool => "bool",
        Format::I8 => "i8",
        Format::I16 => "i16",
        Format::I32 => "i32",
        Format::I64 => "i64",
        Format::I128 => "i128",
        Format::U8 => "u8",
        Format::U16 => "u16",
        Format::U32 => "u32",
        Format::U64 => "u64",
        Format::U128 => "u128",
        Format::F32 => "f32",
        Format::F64 => "f64",
        Format::Char => "char",
        Format::Str => "string",
        Format::Bytes => "bytes",
        Format::Option(inner) => return write_wrapped("option", inner, out),
        Format::Seq(inner) => return write_wrapped("sequence", inner, out),
        Format::Map { key, value } => {
            out.push_str("map<");
            write_format(key, out);
            out.push_str(", ");
            write_format(value, out);
            return out.push('>');
        }
        Format::Tuple(formats) => return write_tuple(formats, out),
        Format::TupleArray { content, size } => {
            out.push('[');
            write_format(content, out);
            let _ = write!(out, "; {size}]");
            return;
        }
    };
    out.push_str(primitive);
}

fn write_wrapped(kind: &str, inner: &Format, out: &mut String) {
    out.push_str(kind);
    out.push('<');
    write_format(inner, out);
    out.push('>');
}
