//! Sizes with their unit.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The units, the largest that divides a size first when one is written.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// A number of bytes that is written with its unit: `"64KiB"`, `"512MiB"`, `"1.5GB"`.
///
/// What it is written as is exact: it reads back as the same number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct ByteSize(u64);

impl ByteSize {
    /// Of so many bytes.
    #[must_use]
    pub const fn bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// Of so many mebibytes; the largest there is if that is too much to count.
    #[must_use]
    pub const fn mebibytes(mebibytes: u64) -> Self {
        Self(mebibytes.saturating_mul(1 << 20))
    }

    /// Of so many gibibytes; the largest there is if that is too much to count.
    #[must_use]
    pub const fn gibibytes(gibibytes: u64) -> Self {
        Self(gibibytes.saturating_mul(1 << 30))
    }

    /// In bytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// The text is no size.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ParseByteSizeError {
    /// It does not begin with a number.
    #[error("`{0}` is no size; write a number with its unit, such as 512MiB")]
    Number(String),
    /// It has no unit, or one that is not known.
    #[error(
        "`{0}` has no unit of size; write one of B, kB, MB, GB, TB, KiB, MiB, GiB and TiB, such as 512MiB"
    )]
    Unit(String),
    /// It is more than can be counted, or a part of a byte.
    #[error("`{0}` is no whole number of bytes below 16 EiB")]
    Range(String),
}

impl FromStr for ByteSize {
    type Err = ParseByteSizeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim();
        let end = trimmed
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(trimmed.len());
        let (number, unit) = trimmed.split_at(end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let numeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !numeric(fraction) || number.ends_with('.') {
            return Err(ParseByteSizeError::Number(text.to_owned()));
        }
        let unit = unit.trim_start();
        let scale = UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .map(|&(_, scale)| u128::from(scale))
            .ok_or_else(|| ParseByteSizeError::Unit(text.to_owned()))?;
        whole_bytes(whole, fraction, scale)
            .map(Self)
            .ok_or_else(|| ParseByteSizeError::Range(text.to_owned()))
    }
}

/// `whole.fraction × scale`, if that is a whole number that can be counted.
fn whole_bytes(whole: &str, fraction: &str, scale: u128) -> Option<u64> {
    let fraction = fraction.trim_end_matches('0');
    let digits = u32::try_from(fraction.len()).ok()?;
    let denominator = 10u128.checked_pow(digits)?;
    let numerator = format!("{whole}{fraction}").parse::<u128>().ok()?;
    let scaled = numerator.checked_mul(scale)?;
    (scaled % denominator == 0)
        .then(|| u64::try_from(scaled / denominator).ok())
        .flatten()
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |&&(_, scale): &&(&str, u64)| self.0 != 0 && self.0.is_multiple_of(scale);
        let (name, scale) = UNITS.iter().find(fits).unwrap_or(&("B", 1));
        write!(f, "{}{name}", self.0 / scale)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = ByteSize;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a size with its unit in quotes, such as \"512MiB\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

impl JsonSchema for ByteSize {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "format": "byte-size"})
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sizes_are_read_and_written() {
        for (text, bytes, written) in [
            ("0B", 0, "0B"),
            ("1 kib", 1024, "1KiB"),
            ("512MiB", 512 << 20, "512MiB"),
            ("1.5GB", 1_500_000_000, "1500MB"),
            ("1.50GiB", 3 << 29, "1536MiB"),
            ("18446744073709551615B", u64::MAX, "18446744073709551615B"),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
            assert_eq!(ByteSize(bytes).to_string(), written);
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        let number = |text: &str| ParseByteSizeError::Number(text.into());
        let unit = |text: &str| ParseByteSizeError::Unit(text.into());
        let range = |text: &str| ParseByteSizeError::Range(text.into());
        for (text, error) in [
            ("", number("")),
            ("MiB", number("MiB")),
            ("-1B", number("-1B")),
            ("1.B", number("1.B")),
            ("1.2.3B", number("1.2.3B")),
            ("512", unit("512")),
            ("512 Mi", unit("512 Mi")),
            ("0.5B", range("0.5B")),
            ("16777216TiB", range("16777216TiB")),
            (
                "99999999999999999999999999999999999999999B",
                range("99999999999999999999999999999999999999999B"),
            ),
        ] {
            assert_eq!(text.parse::<ByteSize>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(bytes: u64) {
            prop_assert_eq!(ByteSize(bytes).to_string().parse(), Ok(ByteSize(bytes)));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[0-9.kKMGTiB ]{0,60}") {
            let _ = text.parse::<ByteSize>();
        }
    }
}
