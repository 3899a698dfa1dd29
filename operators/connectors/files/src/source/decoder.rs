//! Makes records of rows. Pure.

use csv::{ByteRecord, ErrorKind};
use csv_core::ReadRecordResult;
use serde::de::{
    DeserializeOwned,
    value::{Error as ValueError, StrDeserializer},
};

use super::{framer::EmptyRows, row::RowError};

/// The form of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Fields divided by a delimiter, under a heading or in the order of the record's fields.
    Csv { delimiter: u8, heading: bool },
    /// A JSON value.
    JsonLines,
    /// Text.
    Lines,
}

impl Format {
    pub(super) fn has_heading(self) -> bool {
        matches!(self, Self::Csv { heading: true, .. })
    }

    /// What rows without a byte mean: nothing, except as text.
    pub(super) fn empty_rows(self) -> EmptyRows {
        match self {
            Self::Lines => EmptyRows::Kept,
            Self::Csv { .. } | Self::JsonLines => EmptyRows::Skipped,
        }
    }
}

/// Decodes the rows of one file.
pub(super) enum Decoder {
    Csv(Box<CsvDecoder>),
    Json,
    Lines,
}

impl Decoder {
    /// A decoder for a file with this heading, if its format has one.
    pub(super) fn new(format: Format, heading: Option<&[u8]>) -> Result<Self, RowError> {
        match format {
            Format::JsonLines => Ok(Self::Json),
            Format::Lines => Ok(Self::Lines),
            Format::Csv { delimiter, .. } => {
                let mut fields = Fields::new(delimiter);
                let heading = match heading {
                    None => None,
                    Some(heading) => Some(fields.split(heading)?.clone()),
                };
                Ok(Self::Csv(Box::new(CsvDecoder { fields, heading })))
            }
        }
    }

    /// Makes a record of a row.
    pub(super) fn decode<T: DeserializeOwned>(&mut self, row: &[u8]) -> Result<T, RowError> {
        match self {
            Self::Json => serde_json::from_slice(row).map_err(|error| json_error(&error)),
            Self::Csv(csv) => csv.decode(row),
            Self::Lines => text(row),
        }
    }
}

// Apart, so that it does not weigh upon the decoding of CSV, which is inlined into the loop over rows.
#[inline(never)]
fn text<T: DeserializeOwned>(row: &[u8]) -> Result<T, RowError> {
    let text = std::str::from_utf8(row).map_err(|error| RowError {
        column: error.valid_up_to() as u64 + 1,
        reason: "the line is not UTF-8".into(),
    })?;
    T::deserialize(StrDeserializer::new(text)).map_err(|error: ValueError| RowError {
        column: 0,
        reason: error.to_string(),
    })
}

fn json_error(error: &serde_json::Error) -> RowError {
    let text = error.to_string();
    // The line is always 1 within the row and would contradict the line in the file.
    let reason = match text.rfind(" at line ") {
        Some(at) => text[..at].to_string(),
        None => text,
    };
    RowError {
        column: error.column() as u64,
        reason,
    }
}

pub(super) struct CsvDecoder {
    fields: Fields,
    heading: Option<ByteRecord>,
}

impl CsvDecoder {
    fn decode<T: DeserializeOwned>(&mut self, row: &[u8]) -> Result<T, RowError> {
        let record = self.fields.split(row)?;
        let heading = self.heading.as_ref();
        if let Some(heading) = heading
            && heading.len() != record.len()
        {
            let (found, expected) = (record.len(), heading.len());
            return Err(RowError {
                column: 0,
                reason: format!("the row has {found} fields and the heading has {expected}"),
            });
        }
        record
            .deserialize(heading)
            .map_err(|error| csv_error(&error, heading))
    }
}

fn csv_error(error: &csv::Error, heading: Option<&ByteRecord>) -> RowError {
    let ErrorKind::Deserialize { err, .. } = error.kind() else {
        return RowError {
            column: 0,
            reason: error.to_string(),
        };
    };
    let field = err.field();
    let name = field.and_then(|field| heading?.get(usize::try_from(field).ok()?));
    let reason = match name {
        Some(name) => format!("field {:?}: {}", String::from_utf8_lossy(name), err.kind()),
        None => err.kind().to_string(),
    };
    RowError {
        column: field.map_or(0, |field| field + 1),
        reason,
    }
}

/// Splits rows into fields.
struct Fields {
    reader: csv_core::Reader,
    record: ByteRecord,
    bytes: Vec<u8>,
    ends: Vec<usize>,
    delimiter: u8,
}

impl Fields {
    fn new(delimiter: u8) -> Self {
        Self {
            reader: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            record: ByteRecord::new(),
            bytes: vec![0; 1024],
            ends: vec![0; 64],
            delimiter,
        }
    }

    fn split(&mut self, row: &[u8]) -> Result<&ByteRecord, RowError> {
        if self.has_open_quote(row) {
            return Err(RowError {
                column: 0,
                reason: "a quoted field does not end in this row; if fields hold line breaks, use `quoted_line_breaks`"
                    .into(),
            });
        }
        self.reader.reset();
        let (mut read, mut written, mut ended) = (0, 0, 0);
        loop {
            // An empty input says that the row has ended.
            let (result, took, gave, fields) =
                self.reader
                    .read_record(&row[read..], &mut self.bytes[written..], &mut self.ends[ended..]);
            (read, written, ended) = (read + took, written + gave, ended + fields);
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.bytes.resize(self.bytes.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record | ReadRecordResult::End => break,
            }
        }
        self.record.clear();
        let mut start = 0;
        for &end in &self.ends[..ended] {
            self.record.push_field(&self.bytes[start..end]);
            start = end;
        }
        Ok(&self.record)
    }

    /// Whether a field that starts with a quote may not end.
    fn has_open_quote(&self, row: &[u8]) -> bool {
        let mut quotes = memchr::memchr_iter(b'"', row);
        let Some(first) = quotes.next() else { return false };
        let opens = first == 0 || row[first - 1] == self.delimiter;
        opens && quotes.count().is_multiple_of(2)
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Flight {
        carrier: String,
        delay: Option<i32>,
    }

    const CSV: Format = Format::Csv {
        delimiter: b',',
        heading: true,
    };

    fn decode(row: &str) -> Result<Flight, RowError> {
        Decoder::new(CSV, Some(b"delay,carrier"))?.decode(row.as_bytes())
    }

    #[test]
    fn fields_are_found_by_their_names() {
        let cases = [
            ("5,UA", "UA", Some(5)),
            (",UA", "UA", None),
            ("-1,\"U,A\"", "U,A", Some(-1)),
            ("1,\"say \"\"hi\"\"\"", "say \"hi\"", Some(1)),
            ("1,5\" pipe", "5\" pipe", Some(1)),
        ];
        for (row, carrier, delay) in cases {
            let carrier = carrier.to_string();
            assert_eq!(decode(row), Ok(Flight { carrier, delay }), "{row}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_column() {
        let cases = [
            ("x,UA", 1, "field \"delay\": invalid digit found in string"),
            ("5", 0, "the row has 1 fields and the heading has 2"),
            ("5,UA,7", 0, "the row has 3 fields and the heading has 2"),
            ("5,\"UA", 0, "a quoted field does not end"),
        ];
        for (row, column, reason) in cases {
            let error = decode(row).unwrap_err();
            assert_eq!(error.column, column, "{row}: {error:?}");
            assert!(error.reason.starts_with(reason), "{row}: {error:?}");
        }
        let bad = Decoder::new(CSV, Some(b"delay,carrier"))
            .unwrap()
            .decode::<Flight>(b"1,\xff");
        assert_eq!(bad.unwrap_err().column, 2);
    }

    #[test]
    fn without_a_heading_fields_are_found_by_their_order() {
        let format = Format::Csv {
            delimiter: b';',
            heading: false,
        };
        let decoded: (String, u8) = Decoder::new(format, None).unwrap().decode(b"a;7").unwrap();
        assert_eq!(decoded, ("a".into(), 7));
    }

    #[test]
    fn json_errors_say_the_byte_and_not_the_line() {
        let error = Decoder::Json.decode::<Flight>(br#"{"carrier": 5}"#).unwrap_err();
        assert_eq!(error.column, 13);
        assert_eq!(error.reason, "invalid type: integer `5`, expected a string");
    }

    #[test]
    fn a_row_of_many_long_fields_fits() {
        let row = vec!["x".repeat(500); 300].join(",");
        let fields: Vec<String> = Decoder::new(
            Format::Csv {
                delimiter: b',',
                heading: false,
            },
            None,
        )
        .unwrap()
        .decode(row.as_bytes())
        .unwrap();
        assert_eq!(fields.len(), 300);
    }
}
