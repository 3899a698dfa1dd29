//! Reads what bincode writes with fixed-width little-endian integers, from a slice.
//!
//! bincode's own reader fills the memory of every string with zeroes before it copies the string there, and asks at each field
//! whether a limit still holds. Bytes that lie in a slice need neither: strings are visited where they lie,
//! and no allocation can be larger than what is left of the slice justifies.

use std::fmt::{self, Display};

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
};

/// How many elements without bytes all collections of one reader may have together: what a hostile length can cost where no
/// bytes are needed to back it.
const MAX_EMPTY_ELEMENTS: usize = 1 << 20;

/// Why bytes are not what the type wants.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FixintError {
    #[error("the bytes end in the middle of {0}")]
    End(&'static str),
    #[error("{found} is no {what}")]
    Invalid { what: &'static str, found: u8 },
    #[error("a text is not UTF-8")]
    Text,
    #[error("a collection claims {0} elements, more than the bytes there are")]
    TooLong(u64),
    #[error("collections have more than {MAX_EMPTY_ELEMENTS} elements that take no bytes")]
    TooManyEmpty,
    #[error(
        "the type asks what comes next, which this encoding does not say; flattened and untagged types cannot be sent"
    )]
    NotSelfDescribing,
    #[error("{0}")]
    Type(String),
}

impl de::Error for FixintError {
    fn custom<T: Display>(message: T) -> Self {
        Self::Type(message.to_string())
    }
}

/// The bytes that are still to be read.
pub(crate) struct Fixint<'de> {
    rest: &'de [u8],
    /// How many elements without bytes there may still be.
    empties: usize,
}

impl<'de> Fixint<'de> {
    pub(crate) fn new(bytes: &'de [u8]) -> Self {
        Self {
            rest: bytes,
            empties: MAX_EMPTY_ELEMENTS,
        }
    }

    /// Reads the next value.
    #[inline]
    pub(crate) fn read<T: DeserializeOwned>(&mut self) -> Result<T, FixintError> {
        T::deserialize(self)
    }

    /// Whether everything has been read.
    pub(crate) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    #[inline]
    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FixintError> {
        let (array, rest) = self.rest.split_first_chunk::<N>().ok_or(FixintError::End(what))?;
        self.rest = rest;
        Ok(*array)
    }

    #[inline]
    fn length(&mut self) -> Result<u64, FixintError> {
        Ok(u64::from_le_bytes(self.array("a length")?))
    }

    #[inline]
    fn bytes(&mut self, length: u64) -> Result<&'de [u8], FixintError> {
        let split = usize::try_from(length)
            .ok()
            .and_then(|length| self.rest.split_at_checked(length));
        let (bytes, rest) = split.ok_or(FixintError::TooLong(length))?;
        self.rest = rest;
        Ok(bytes)
    }

    #[inline]
    fn text(&mut self) -> Result<&'de str, FixintError> {
        let length = self.length()?;
        str::from_utf8(self.bytes(length)?).map_err(|_| FixintError::Text)
    }

    fn character(&mut self) -> Result<char, FixintError> {
        let first = *self.rest.first().ok_or(FixintError::End("a character"))?;
        let length = match first {
            0..0x80 => 1,
            0xC0..0xE0 => 2,
            0xE0..0xF0 => 3,
            0xF0..0xF8 => 4,
            _ => return Err(FixintError::Text),
        };
        let text = str::from_utf8(self.bytes(length)?).map_err(|_| FixintError::Text)?;
        text.chars().next().ok_or(FixintError::Text)
    }

    #[inline]
    fn flag(&mut self, what: &'static str) -> Result<bool, FixintError> {
        match self.array(what)? {
            [0] => Ok(false),
            [1] => Ok(true),
            [found] => Err(FixintError::Invalid { what, found }),
        }
    }

    /// The elements of a collection whose length comes next.
    #[inline]
    fn elements(&mut self) -> Result<Elements<'_, 'de>, FixintError> {
        let length = self.length()?;
        let left = usize::try_from(length).map_err(|_| FixintError::TooLong(length))?;
        Ok(Elements { reader: self, left })
    }
}

/// Visits a number.
macro_rules! numbers {
    ($($deserialize:ident $visit:ident $type:ty,)*) => {
        $(
            #[inline]
            fn $deserialize<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FixintError> {
                visitor.$visit(<$type>::from_le_bytes(self.array("a number")?))
            }
        )*
    };
}

impl<'de> Deserializer<'de> for &mut Fixint<'de> {
    type Error = FixintError;

    numbers! {
        deserialize_i8 visit_i8 i8,
        deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32,
        deserialize_i64 visit_i64 i64,
        deserialize_i128 visit_i128 i128,
        deserialize_u8 visit_u8 u8,
        deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32,
        deserialize_u64 visit_u64 u64,
        deserialize_u128 visit_u128 u128,
        deserialize_f32 visit_f32 f32,
        deserialize_f64 visit_f64 f64,
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FixintError> {
        visitor.visit_bool(self.flag("truth value")?)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FixintError> {
        visitor.visit_char(self.character()?)
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FixintError> {
        visitor.visit_borrowed_str(self.text()?)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FixintError> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FixintError> {
        let length = self.length()?;
        visitor.visit_borrowed_bytes(self.bytes(length)?)
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FixintError> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FixintError> {
        if self.flag("sign of an optional value")? {
            visitor.visit_some(self)
        } else {
            visitor.visit_none()
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FixintError> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, FixintError> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, FixintError> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FixintError> {
        visitor.visit_seq(self.elements()?)
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, FixintError> {
        visitor.visit_seq(Fields {
            reader: self,
            left: length,
        })
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, FixintError> {
        self.deserialize_tuple(length, visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, FixintError> {
        visitor.visit_map(self.elements()?)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FixintError> {
        self.deserialize_tuple(fields.len(), visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FixintError> {
        visitor.visit_enum(self)
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, FixintError> {
        Err(FixintError::NotSelfDescribing)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, FixintError> {
        Err(FixintError::NotSelfDescribing)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, FixintError> {
        Err(FixintError::NotSelfDescribing)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Fields whose number the type knows.
struct Fields<'a, 'de> {
    reader: &'a mut Fixint<'de>,
    left: usize,
}

impl<'de> SeqAccess<'de> for Fields<'_, 'de> {
    type Error = FixintError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, FixintError> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// Elements whose number the bytes claim.
struct Elements<'a, 'de> {
    reader: &'a mut Fixint<'de>,
    left: usize,
}

impl<'de> Elements<'_, 'de> {
    #[inline]
    fn next<T>(
        &mut self,
        read: impl FnOnce(&mut Fixint<'de>) -> Result<T, FixintError>,
    ) -> Result<Option<T>, FixintError> {
        let Some(left) = self.left.checked_sub(1) else {
            return Ok(None);
        };
        self.left = left;
        let before = self.reader.rest.len();
        let element = read(self.reader)?;
        if self.reader.rest.len() == before {
            self.reader.empties = self
                .reader
                .empties
                .checked_sub(1)
                .ok_or(FixintError::TooManyEmpty)?;
        }
        Ok(Some(element))
    }

    /// No more than there are bytes: visitors set memory aside for it.
    fn hint(&self) -> Option<usize> {
        Some(self.left.min(self.reader.rest.len()))
    }
}

impl<'de> SeqAccess<'de> for Elements<'_, 'de> {
    type Error = FixintError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, FixintError> {
        self.next(|reader| seed.deserialize(reader))
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> MapAccess<'de> for Elements<'_, 'de> {
    type Error = FixintError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, FixintError> {
        self.next(|reader| seed.deserialize(reader))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, FixintError> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> EnumAccess<'de> for &mut Fixint<'de> {
    type Error = FixintError;
    type Variant = Self;

    #[inline]
    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), FixintError> {
        let index = u32::from_le_bytes(self.array("the number of a variant")?);
        let variant = seed.deserialize(IntoDeserializer::<FixintError>::into_deserializer(index))?;
        Ok((variant, self))
    }
}

impl<'de> VariantAccess<'de> for &mut Fixint<'de> {
    type Error = FixintError;

    fn unit_variant(self) -> Result<(), FixintError> {
        Ok(())
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, FixintError> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, FixintError> {
        self.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, FixintError> {
        self.deserialize_tuple(fields.len(), visitor)
    }
}

impl fmt::Debug for Fixint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.rest.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bincode::config;
    use proptest::prelude::*;
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Everything {
        signed: (i8, i16, i32, i64, i128),
        unsigned: (u8, u16, u32, u64, u128),
        floats: (f32, f64),
        flag: bool,
        character: char,
        text: String,
        optional: Option<Option<String>>,
        list: Vec<(u8, String)>,
        map: BTreeMap<String, Vec<u16>>,
        nothing: ((), Vec<()>),
        wrapped: Wrapped,
        choice: Vec<Choice>,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Wrapped(u64);

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Choice {
        Unit,
        Newtype(String),
        Tuple(u8, char),
        Struct { left: Option<u16>, right: [u8; 3] },
    }

    fn choice() -> impl Strategy<Value = Choice> {
        prop_oneof![
            Just(Choice::Unit),
            any::<String>().prop_map(Choice::Newtype),
            any::<(u8, char)>().prop_map(|(number, character)| Choice::Tuple(number, character)),
            any::<(Option<u16>, [u8; 3])>().prop_map(|(left, right)| Choice::Struct { left, right }),
        ]
    }

    fn everything() -> impl Strategy<Value = Everything> {
        let numbers = any::<((i8, i16, i32, i64, i128), (u8, u16, u32, u64, u128))>();
        let plain = any::<(i16, i32, bool, char, String, Option<Option<String>>)>();
        let many = any::<(Vec<(u8, String)>, BTreeMap<String, Vec<u16>>, u64)>();
        (
            numbers,
            plain,
            many,
            0usize..9,
            proptest::collection::vec(choice(), 0..4),
        )
            .prop_map(
                |((signed, unsigned), plain, (list, map, wrapped), empties, choice)| Everything {
                    signed,
                    unsigned,
                    floats: (f32::from(plain.0), f64::from(plain.1)),
                    flag: plain.2,
                    character: plain.3,
                    text: plain.4,
                    optional: plain.5,
                    list,
                    map,
                    nothing: ((), vec![(); empties]),
                    wrapped: Wrapped(wrapped),
                    choice,
                },
            )
    }

    fn encoded<T: Serialize>(value: &T) -> Vec<u8> {
        bincode::serde::encode_to_vec(value, config::standard().with_fixed_int_encoding()).unwrap()
    }

    fn decoded<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FixintError> {
        Fixint::new(bytes).read()
    }

    proptest! {
        #[test]
        fn what_bincode_writes_is_read(value in everything()) {
            let bytes = encoded(&value);
            let mut reader = Fixint::new(&bytes);
            prop_assert_eq!(reader.read::<Everything>().unwrap(), value);
            prop_assert!(reader.is_at_end());
        }

        #[test]
        fn what_is_cut_off_is_refused(value in everything(), cut in any::<prop::sample::Index>()) {
            let bytes = encoded(&value);
            prop_assert!(decoded::<Everything>(&bytes[..cut.index(bytes.len())]).is_err());
        }

        #[test]
        fn any_bytes_are_read_or_refused_as_by_bincode(bytes in proptest::collection::vec(0u8..4, 0..300)) {
            let theirs = bincode::serde::decode_from_slice::<Vec<Choice>, _>(
                &bytes, config::standard().with_fixed_int_encoding().with_limit::<10_000>(),
            );
            prop_assert_eq!(decoded::<Vec<Choice>>(&bytes).ok(), theirs.ok().map(|(value, _)| value));
        }
    }

    #[test]
    fn lengths_that_lie_cost_nothing() {
        let huge = encoded(&u64::MAX);
        assert_eq!(decoded::<String>(&huge), Err(FixintError::TooLong(u64::MAX)));
        assert_eq!(decoded::<Vec<u64>>(&huge), Err(FixintError::End("a number")));
        assert_eq!(decoded::<Vec<()>>(&huge), Err(FixintError::TooManyEmpty));
        assert_eq!(
            decoded::<Vec<Vec<()>>>(&encoded(&vec![vec![(); 3]; 2]))
                .unwrap()
                .len(),
            2
        );
    }

    #[test]
    fn wrong_bytes_are_named() {
        let found = |bytes| decoded::<bool>(bytes).unwrap_err().to_string();
        assert_eq!(found(&[2]), "2 is no truth value");
        assert_eq!(found(&[]), "the bytes end in the middle of truth value");
        assert_eq!(decoded::<char>(&[0xC3, 0x28]), Err(FixintError::Text));
        assert!(
            decoded::<Choice>(&[9, 0, 0, 0])
                .unwrap_err()
                .to_string()
                .contains("variant index")
        );
    }
}
