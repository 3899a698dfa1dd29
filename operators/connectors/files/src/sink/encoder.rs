//! Makes bytes of records. Pure.

use serde::Serialize;

use crate::FileError;

/// The form of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Csv { heading: bool },
    JsonLines,
}

impl Format {
    pub(super) fn extension(self) -> &'static str {
        match self {
            Self::Csv { .. } => "csv",
            Self::JsonLines => "jsonl",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Csv { .. } => "CSV",
            Self::JsonLines => "JSON",
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
}

impl Encoder {
    pub(super) fn new(format: Format) -> Self {
        let form = match format {
            Format::Csv { heading } => csv_form(heading),
            Format::JsonLines => Form::Json(Vec::new()),
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
        }
    }

    /// How many bytes have been encoded and not taken; those of the last few records may not be among them yet.
    pub(super) fn len(&self) -> usize {
        match &self.form {
            Form::Csv(writer) => writer.get_ref().len(),
            Form::Json(bytes) => bytes.len(),
        }
    }

    /// Takes what has been encoded; the same file goes on.
    pub(super) fn take(&mut self) -> Vec<u8> {
        match &mut self.form {
            // The heading, if any, is in what is taken.
            Form::Csv(_) => self.replace(csv_form(false)),
            Form::Json(bytes) => std::mem::take(bytes),
        }
    }

    /// Takes what has been encoded; another file begins.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        self.replace(Self::new(self.format).form)
    }

    fn replace(&mut self, form: Form) -> Vec<u8> {
        match std::mem::replace(&mut self.form, form) {
            Form::Csv(writer) => writer.into_inner().expect("a vector takes everything"),
            Form::Json(bytes) => bytes,
        }
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
