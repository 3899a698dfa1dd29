//! postcard, appended to a buffer and taken from a slice.

mod serializer;

use serde::{Serialize, de::DeserializeOwned};

use self::serializer::Append;

/// Appends the encoding of `value`. After an error the buffer holds a part of it.
#[inline]
pub fn encode<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> postcard::Result<()> {
    value.serialize(&mut Append(out))
}

/// Takes a value from the front of `bytes` and moves it on.
pub fn decode<T: DeserializeOwned>(bytes: &mut &[u8]) -> postcard::Result<T> {
    let (value, rest) = postcard::take_from_bytes(bytes)?;
    *bytes = rest;
    Ok(value)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    /// One of everything that the format knows.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Any {
        Unit,
        Unsigned(u8, u16, u32, u64),
        Signed(i8, i16, i32, i64),
        Wide(u128, i128),
        Float(f32, f64),
        Text { text: String, letter: char, truth: bool },
        Option(Option<Box<Any>>),
        Newtype(New),
        Several(Vec<Any>),
        Map(BTreeMap<u16, Any>),
        Structs(Empty, Tuple, [u32; 3], ()),
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct New(usize);

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Empty;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Tuple(isize, String);

    /// Numbers of all lengths alike.
    fn number() -> impl Strategy<Value = u64> {
        (any::<u64>(), 0..64u32).prop_map(|(number, shift)| number >> shift)
    }

    fn leaf() -> impl Strategy<Value = Any> {
        let signed = number().prop_map(|n| n.cast_signed());
        prop_oneof![
            Just(Any::Unit),
            number().prop_map(|n| Any::Unsigned(n as u8, n as u16, n as u32, n)),
            signed.prop_map(|n| Any::Signed(n as i8, n as i16, n as i32, n)),
            (any::<u128>(), 0..128u32).prop_map(|(n, shift)| Any::Wide(n >> shift, n.cast_signed() >> shift)),
            (-1e9..1e9f32, -1e300..1e300).prop_map(|(single, double)| Any::Float(single, double)),
            (".{0,200}", any::<char>(), any::<bool>()).prop_map(|(text, letter, truth)| Any::Text {
                text,
                letter,
                truth
            }),
            number().prop_map(|n| Any::Newtype(New(n as usize))),
            (any::<isize>(), ".*", any::<[u32; 3]>()).prop_map(|(n, text, array)| Any::Structs(
                Empty,
                Tuple(n, text),
                array,
                ()
            )),
        ]
    }

    fn tree() -> impl Strategy<Value = Any> {
        leaf().prop_recursive(3, 24, 6, |inner| {
            prop_oneof![
                prop::option::of(inner.clone()).prop_map(|inner| Any::Option(inner.map(Box::new))),
                prop::collection::vec(inner.clone(), 0..6).prop_map(Any::Several),
                prop::collection::btree_map(any::<u16>(), inner, 0..6).prop_map(Any::Map),
            ]
        })
    }

    #[test]
    fn numbers_of_every_length_are_those_of_the_library() {
        for shift in 0..64 {
            for number in [1u64 << shift, (1 << shift) - 1, u64::MAX >> shift] {
                let mut bytes = vec![7];
                encode(&(number, number.cast_signed()), &mut bytes).unwrap();
                let expected = postcard::to_stdvec(&(7u8, number, number.cast_signed())).unwrap();
                assert_eq!(bytes, expected, "{number}");
            }
        }
    }

    #[test]
    fn a_sequence_of_unknown_length_is_refused() {
        struct Unknown;
        impl Serialize for Unknown {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer
                    .serialize_seq(None)
                    .and_then(serde::ser::SerializeSeq::end)
            }
        }
        let error = encode(&Unknown, &mut Vec::new()).unwrap_err();
        assert_eq!(error, postcard::Error::SerializeSeqLengthUnknown);
    }

    proptest! {
        #[test]
        fn the_encoding_is_that_of_the_library(value in tree(), before in prop::collection::vec(any::<u8>(), 0..4)) {
            let mut bytes = before.clone();
            encode(&value, &mut bytes).unwrap();
            prop_assert_eq!(&bytes[before.len()..], postcard::to_stdvec(&value).unwrap());
            let mut rest = &bytes[before.len()..];
            prop_assert_eq!(decode::<Any>(&mut rest).unwrap(), value);
            prop_assert!(rest.is_empty());
        }
    }
}
