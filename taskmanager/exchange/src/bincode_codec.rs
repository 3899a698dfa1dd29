//! The default codec: bincode over serde, fixed-width little-endian integers.
//!
//! ```text
//! body = count u32 │ flags u8 │ (time i64, if shared) │ records │ hashes u64 × count, if any │ times i64 × count, if each
//! ```
//! Nothing outside this module and the tests of its reader, [`Fixint`], names the bincode crate.

use bincode::{
    config::{self, Configuration, LittleEndian},
    enc::write::Writer,
    error::EncodeError,
};
use serde::{Serialize, de::DeserializeOwned};
use tidegate_core::{Batch, EventTime, Times, roomy, target_records};

use crate::{
    codec::{BatchCodec, CodecError},
    fixint::Fixint,
};

const HEAD: usize = 5;
const WITH_HASHES: u8 = 1;
const TIMES_ALL: u8 = 2;
const TIMES_EACH: u8 = 4;
/// The most records in one frame: bounds what a hostile count of records without bytes can cost.
const MAX_RECORDS: usize = 1 << 16;
/// The most that one record may be allowed to take.
const LARGEST_RECORD: usize = 32 * 1024 * 1024;
/// How much memory is set aside before any record has been decoded, at most.
const EAGER_BYTES: usize = 256 * 1024;

/// bincode over serde, for any record that serde can take.
#[derive(Clone, Copy, Debug)]
pub struct Bincode {
    max_record_bytes: usize,
}

impl Bincode {
    /// The default limit of one record: 16 MiB.
    pub const DEFAULT_MAX_RECORD_BYTES: usize = 16 * 1024 * 1024;

    /// A codec that refuses records larger than `max_record_bytes`, 32 MiB at most.
    pub fn new(max_record_bytes: usize) -> Self {
        Self {
            max_record_bytes: max_record_bytes.clamp(1, LARGEST_RECORD),
        }
    }
}

impl Default for Bincode {
    fn default() -> Self {
        Self::new(Self::DEFAULT_MAX_RECORD_BYTES)
    }
}

fn encoding() -> Configuration<LittleEndian, config::Fixint> {
    config::standard().with_little_endian().with_fixed_int_encoding()
}

struct Append<'a>(&'a mut Vec<u8>);

impl Writer for Append<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

impl<T: Serialize + DeserializeOwned + 'static> BatchCodec<T> for Bincode {
    fn encode(
        &self,
        batch: &Batch<T>,
        from: usize,
        limit: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, CodecError> {
        let start = out.len();
        let (mut flags, mut trailer_per_record) = (0, 0);
        if batch.hashes.is_some() {
            flags |= WITH_HASHES;
            trailer_per_record += 8;
        }
        out.extend_from_slice(&[0; HEAD]);
        match &batch.times {
            Times::None => {}
            Times::All(time) => {
                flags |= TIMES_ALL;
                out.extend_from_slice(&time.0.to_le_bytes());
            }
            Times::Each(_) => {
                flags |= TIMES_EACH;
                trailer_per_record += 8;
            }
        }
        let mut count = 0;
        for record in &batch.records[from..] {
            let before = out.len();
            let written = bincode::serde::encode_into_writer(record, Append(out), encoding());
            written.map_err(|error| CodecError::Encode {
                index: from + count,
                reason: error.to_string(),
            })?;
            let bytes = out.len() - before;
            if bytes > self.max_record_bytes {
                return Err(CodecError::RecordTooLarge {
                    index: from + count,
                    bytes,
                    max: self.max_record_bytes,
                });
            }
            if count > 0 && out.len() - start + (count + 1) * trailer_per_record > limit {
                out.truncate(before);
                break;
            }
            count += 1;
            if count == MAX_RECORDS {
                break;
            }
        }
        if let Some(hashes) = &batch.hashes {
            for hash in &hashes[from..from + count] {
                out.extend_from_slice(&hash.to_le_bytes());
            }
        }
        if let Times::Each(times) = &batch.times {
            for time in &times[from..from + count] {
                out.extend_from_slice(&time.0.to_le_bytes());
            }
        }
        let written = u32::try_from(count).expect("MAX_RECORDS fits");
        out[start..start + 4].copy_from_slice(&written.to_le_bytes());
        out[start + 4] = flags;
        Ok(count)
    }

    fn decode(&self, bytes: &[u8]) -> Result<Batch<T>, CodecError> {
        let body = Body::split(bytes)?;
        let records = decode_records(body.records, body.count)?;
        Ok(Batch {
            records,
            times: match (body.time, body.times) {
                (Some(time), _) => Times::All(time),
                (None, Some(times)) => Times::Each(words(times).map(|time| EventTime(time as i64)).collect()),
                (None, None) => Times::None,
            },
            hashes: body.hashes.map(|hashes| words(hashes).collect()),
        })
    }
}

/// The parts of a body, their lengths checked against each other.
struct Body<'a> {
    count: usize,
    time: Option<EventTime>,
    records: &'a [u8],
    hashes: Option<&'a [u8]>,
    times: Option<&'a [u8]>,
}

impl<'a> Body<'a> {
    fn split(bytes: &'a [u8]) -> Result<Self, CodecError> {
        let malformed = |reason| CodecError::Malformed { reason };
        let (head, mut rest) = bytes
            .split_first_chunk::<HEAD>()
            .ok_or(malformed("it is shorter than its head"))?;
        let [a, b, c, d, flags] = *head;
        let count = u32::from_le_bytes([a, b, c, d]) as usize;
        if count > MAX_RECORDS {
            return Err(malformed("it claims more records than a frame may have"));
        }
        if flags & !(WITH_HASHES | TIMES_ALL | TIMES_EACH) != 0
            || flags & (TIMES_ALL | TIMES_EACH) == TIMES_ALL | TIMES_EACH
        {
            return Err(malformed("its flags make no sense"));
        }
        let mut time = None;
        if flags & TIMES_ALL != 0 {
            let (shared, after) = rest
                .split_first_chunk::<8>()
                .ok_or(malformed("its shared time is cut off"))?;
            time = Some(EventTime(i64::from_le_bytes(*shared)));
            rest = after;
        }
        let mut column = |wanted: bool| {
            wanted
                .then(|| {
                    let start = rest
                        .len()
                        .checked_sub(count * 8)
                        .ok_or(malformed("its times or hashes are cut off"))?;
                    let (before, column) = rest.split_at(start);
                    rest = before;
                    Ok(column)
                })
                .transpose()
        };
        let times = column(flags & TIMES_EACH != 0)?;
        let hashes = column(flags & WITH_HASHES != 0)?;
        Ok(Self {
            count,
            time,
            records: rest,
            hashes,
            times,
        })
    }
}

fn words(column: &[u8]) -> impl Iterator<Item = u64> {
    column
        .chunks_exact(8)
        .map(|word| u64::from_le_bytes(word.try_into().expect("chunks of eight")))
}

fn decode_records<T: DeserializeOwned + 'static>(bytes: &[u8], count: usize) -> Result<Vec<T>, CodecError> {
    let mut reader = Fixint::new(bytes);
    let mut records = if count <= target_records::<T>() {
        roomy()
    } else {
        let eager = (EAGER_BYTES.max(bytes.len()) / size_of::<T>().max(1)).max(1);
        Vec::with_capacity(count.min(eager))
    };
    for index in 0..count {
        let record = reader.read().map_err(|error| CodecError::Decode {
            index,
            reason: error.to_string(),
        })?;
        records.push(record);
    }
    if reader.is_at_end() {
        Ok(records)
    } else {
        Err(CodecError::Malformed {
            reason: "bytes are left after its last record",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Flight {
        carrier: String,
        number: u32,
        delay: Option<f32>,
        stops: Vec<u16>,
    }

    fn flights() -> impl Strategy<Value = Batch<Flight>> {
        let flight = (
            ".{0,20}",
            any::<u32>(),
            proptest::option::of(-1e6f32..1e6),
            proptest::collection::vec(any::<u16>(), 0..5),
        )
            .prop_map(|(carrier, number, delay, stops)| Flight {
                carrier,
                number,
                delay,
                stops,
            });
        let row = (flight, proptest::option::of(0i64..4), any::<u64>());
        (proptest::collection::vec(row, 1..50), any::<bool>()).prop_map(|(rows, keyed)| {
            let mut batch = Batch::new();
            for (flight, time, hash) in rows {
                let time = time.map(EventTime);
                match keyed {
                    true => batch.push_keyed(flight, time, hash),
                    false => batch.push(flight, time),
                }
            }
            batch
        })
    }

    fn decode_all<T: Serialize + DeserializeOwned + 'static>(
        codec: &Bincode,
        bytes: &[u8],
    ) -> Result<Batch<T>, CodecError> {
        codec.decode(bytes)
    }

    #[test]
    fn untimed_unkeyed_records_cost_their_own_bytes_and_five_more() {
        let mut out = Vec::new();
        let batch = Batch::from(vec![(1u64, 2u64); 100]);
        assert_eq!(
            Bincode::default().encode(&batch, 0, usize::MAX, &mut out),
            Ok(100)
        );
        assert_eq!(out.len(), HEAD + 1600);
    }

    #[test]
    fn a_record_above_the_limit_is_named() {
        let batch = Batch::from(vec![vec![0u8; 10], vec![0; 2000]]);
        let error = Bincode::new(1000).encode(&batch, 0, usize::MAX, &mut Vec::new());
        assert_eq!(
            error,
            Err(CodecError::RecordTooLarge {
                index: 1,
                bytes: 2008,
                max: 1000
            })
        );
    }

    #[test]
    fn hostile_counts_and_lengths_are_errors_before_they_are_memory() {
        let codec = Bincode::default();
        let mut bytes = u32::MAX.to_le_bytes().to_vec();
        bytes.push(0);
        assert!(matches!(
            decode_all::<u64>(&codec, &bytes),
            Err(CodecError::Malformed { .. })
        ));
        // 65 536 records of a large type without a byte for them.
        let mut bytes = 65_536u32.to_le_bytes().to_vec();
        bytes.push(0);
        assert!(matches!(
            decode_all::<[u64; 32]>(&codec, &bytes),
            Err(CodecError::Decode { index: 0, .. })
        ));
        // A string of an exabyte.
        let mut bytes = 1u32.to_le_bytes().to_vec();
        bytes.push(0);
        bytes.extend_from_slice(&(1u64 << 60).to_le_bytes());
        assert!(matches!(
            decode_all::<String>(&codec, &bytes),
            Err(CodecError::Decode { index: 0, .. })
        ));
    }

    proptest! {
        #[test]
        fn what_is_encoded_in_pieces_comes_back_whole(batch in flights(), limit in 1usize..2000) {
            let codec = Bincode::default();
            let (mut from, mut back) = (0, Batch::new());
            while from < batch.len() {
                let mut out = vec![7; 3];
                let count = codec.encode(&batch, from, limit, &mut out).unwrap();
                prop_assert!(count > 0 && (count == 1 || out.len() - 3 <= limit));
                let piece: Batch<Flight> = codec.decode(&out[3..]).unwrap();
                prop_assert_eq!(piece.len(), count);
                for index in 0..count {
                    let record = piece.records[index].clone();
                    match &piece.hashes {
                        Some(hashes) => back.push_keyed(record, piece.time(index), hashes[index]),
                        None => back.push(record, piece.time(index)),
                    }
                }
                from += count;
            }
            prop_assert_eq!(&back.records, &batch.records);
            prop_assert_eq!(&back.hashes, &batch.hashes);
            for index in 0..batch.len() {
                prop_assert_eq!(back.time(index), batch.time(index));
            }
        }

        #[test]
        fn random_bytes_and_flipped_bits_never_panic(
            batch in flights(),
            noise in proptest::collection::vec(any::<u8>(), 0..200),
            place in any::<proptest::sample::Index>(),
            bit in 0u8..8,
        ) {
            let codec = Bincode::default();
            let _ = decode_all::<Flight>(&codec, &noise);
            let mut out = Vec::new();
            codec.encode(&batch, 0, usize::MAX, &mut out).unwrap();
            let _ = decode_all::<Flight>(&codec, &out[..place.index(out.len())]);
            let place = place.index(out.len());
            out[place] ^= 1 << bit;
            let _ = decode_all::<Flight>(&codec, &out);
        }
    }
}
