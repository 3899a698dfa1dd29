//! Makes bytes of records. Pure.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::FileError;

/// The form of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Under a heading or without.
    Csv { heading: bool },
    /// A JSON value on each line.
    JsonLines,
    /// Text.
    Lines,
}

impl Format {
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Csv { .. } => "csv",
            Self::JsonLines => "jsonl",
            Self::Lines => "txt",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Csv { .. } => "CSV",
            Self::JsonLines => "JSON",
            Self::Lines => "a line",
        }
    }
}

/// Encodes the records of one file after the other.
pub(super) struct Encoder {
    format: Format,
    form: Form,
}

enum Form {
    Csv(Box<csv::Writer<Vec<u8>>>),
    Json(Vec<u8>),
    /// The lines, and room for one record on its way.
    Lines(Vec<u8>, Vec<u8>),
}

impl Encoder {
    pub(super) fn new(format: Format) -> Self {
        let form = match format {
            Format::Csv { heading } => csv_form(heading),
            Format::JsonLines => Form::Json(Vec::new()),
            Format::Lines => Form::Lines(Vec::new(), Vec::new()),
        };
        Self { format, form }
    }

    /// Encodes a record; `position` is its place among those of the task.
    pub(super) fn add<T: Serialize>(&mut self, record: &T, position: u64) -> Result<(), FileError> {
        let failed = |reason: String| FileError::Unserialisable {
            position,
            format: self.format.name(),
            reason,
        };
        match &mut self.form {
            Form::Csv(writer) => writer
                .serialize(record)
                .map_err(|error| failed(error.to_string())),
            Form::Json(bytes) => {
                serde_json::to_writer(&mut *bytes, record).map_err(|error| failed(error.to_string()))?;
                bytes.push(b'\n');
                Ok(())
            }
            Form::Lines(lines, record_bytes) => {
                record_bytes.clear();
                serde_json::to_writer(&mut *record_bytes, record)
                    .map_err(|error| failed(error.to_string()))?;
                let text = line(record_bytes).map_err(failed)?;
                lines.extend_from_slice(text.as_bytes());
                lines.push(b'\n');
                Ok(())
            }
        }
    }

    /// How many bytes have been encoded and not taken; those of the last few records may not be among them yet.
    pub(super) fn len(&self) -> usize {
        match &self.form {
            Form::Csv(writer) => writer.get_ref().len(),
            Form::Json(bytes) | Form::Lines(bytes, _) => bytes.len(),
        }
    }

    /// Takes what has been encoded; the same file goes on.
    pub(super) fn take(&mut self) -> Vec<u8> {
        match &mut self.form {
            // The heading, if any, is in what is taken.
            Form::Csv(_) => self.replace(csv_form(false)),
            Form::Json(bytes) | Form::Lines(bytes, _) => std::mem::take(bytes),
        }
    }

    /// Takes what has been encoded; another file begins.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        self.replace(Self::new(self.format).form)
    }

    fn replace(&mut self, form: Form) -> Vec<u8> {
        match std::mem::replace(&mut self.form, form) {
            Form::Csv(writer) => writer.into_inner().expect("a vector takes everything"),
            Form::Json(bytes) | Form::Lines(bytes, _) => bytes,
        }
    }
}

/// The line that a JSON value has: text as it is, numbers and truth values as JSON writes them.
fn line(json: &[u8]) -> Result<Cow<'_, str>, String> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let text = match json.first() {
        Some(b'"') => serde_json::from_slice::<Text<'_>>(json).map(|text| text.0),
        Some(b'[' | b'{' | b'n') | None => {
            return Err("only text, numbers and truth values have a line; map the records to text".into());
        }
        Some(_) => Ok(String::from_utf8_lossy(json)),
    };
    match text {
        Ok(text) if text.contains('\n') || text.ends_with('\r') => {
            Err("the text holds a line break and would be read back as something else".into())
        }
        text => text.map_err(|error| error.to_string()),
    }
}

fn csv_form(heading: bool) -> Form {
    let writer = csv::WriterBuilder::new()
        .has_headers(heading)
        .from_writer(Vec::new());
    Form::Csv(Box::new(writer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Row {
        a: u8,
        b: Option<&'static str>,
    }

    #[test]
    fn each_csv_file_has_one_heading() {
        let mut encoder = Encoder::new(Format::Csv { heading: true });
        encoder.add(&Row { a: 1, b: Some("x,y") }, 0).unwrap();
        assert_eq!(encoder.take(), b"a,b\n1,\"x,y\"\n");
        encoder.add(&Row { a: 2, b: None }, 1).unwrap();
        assert_eq!(encoder.finish(), b"2,\n");
        encoder.add(&Row { a: 3, b: None }, 2).unwrap();
        assert_eq!(encoder.finish(), b"a,b\n3,\n");
    }

    #[test]
    fn text_is_written_as_it_is_and_what_is_no_line_is_refused() {
        let mut encoder = Encoder::new(Format::Lines);
        for (position, record) in ["a \"b\" \\ ü", "", "\ttab"].iter().enumerate() {
            encoder.add(record, position as u64).unwrap();
        }
        encoder.add(&7, 3).unwrap();
        encoder.add(&true, 4).unwrap();
        assert_eq!(encoder.take(), "a \"b\" \\ ü\n\n\ttab\n7\ntrue\n".as_bytes());
        for text in ["a\nb", "a\r"] {
            let error = encoder.add(&text, 5).unwrap_err().to_string();
            assert!(
                error.starts_with("record 5 cannot be written as a line"),
                "{error}"
            );
        }
        assert!(encoder.add(&[1, 2], 6).is_err());
        assert!(encoder.add(&None::<u8>, 7).is_err());
        assert_eq!(encoder.finish(), b"");
    }

    #[test]
    fn what_has_no_form_names_its_record() {
        let mut encoder = Encoder::new(Format::Csv { heading: true });
        let nested = ([1], vec![Row { a: 1, b: None }]);
        let error = encoder
            .add(&std::collections::BTreeMap::from([(1, nested)]), 7)
            .unwrap_err();
        assert!(
            error.to_string().starts_with("record 7 cannot be written as CSV"),
            "{error}"
        );
    }
}
