//! The derived key encoding, byte by byte: it is in people's snapshots.

use serde::{Deserialize, Serialize};
use tidegate::{EncodeKey, Key, KeyEncoder};

fn bytes(key: &impl EncodeKey, last: bool) -> Vec<u8> {
    let mut encoder = KeyEncoder::default();
    key.encode(&mut encoder, last);
    encoder.as_bytes().to_vec()
}

#[derive(Key, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Route {
    origin: String,
    dest: String,
}

#[derive(Key, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Pair<A, B>(A, B);

#[derive(Key, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Unit;

#[derive(Key, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
enum Shape {
    Point,
    Circle(u16),
    Named { name: String, sides: u8 },
}

#[test]
fn structs_are_their_fields_in_order() {
    let route = Route {
        origin: "JFK".into(),
        dest: "LAX".into(),
    };
    assert_eq!(bytes(&route, true), b"\x03\0\0\0JFKLAX");
    assert_eq!(bytes(&route, false), b"\x03\0\0\0JFK\x03\0\0\0LAX");
    assert_eq!(bytes(&Unit, true), b"");
}

#[test]
fn a_derived_struct_is_encoded_as_the_tuple_of_its_fields() {
    let (a, b) = ("a".to_owned(), Some(7u32));
    assert_eq!(bytes(&Pair(a.clone(), b), true), bytes(&(a, b), true));
}

#[test]
fn enums_are_their_index_and_their_fields() {
    assert_eq!(bytes(&Shape::Point, true), [0, 0, 0, 0]);
    assert_eq!(bytes(&Shape::Circle(513), true), [1, 0, 0, 0, 1, 2]);
    let named = Shape::Named {
        name: "x".into(),
        sides: 3,
    };
    assert_eq!(bytes(&named, true), [2, 0, 0, 0, 1, 0, 0, 0, b'x', 3]);
}
