//! Compressed files: streams of bytes made longer or shorter on their way.

use std::io::{self, BufReader, Read, Write};

use flate2::{bufread::MultiGzDecoder, write::GzEncoder};
use serde::{Deserialize, Serialize};

use crate::FileError;

/// How many compressed bytes are looked at together.
const BUFFER_BYTES: usize = 256 * 1024;

/// How a file is compressed.
///
/// A compressed file is read from its start, by one task; restoring in the middle of it decompresses and skips what is
/// before. Files of several gzip members or zstd frames are read whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// With gzip (RFC 1952); names end in `.gz`.
    Gzip,
    /// With zstd (RFC 8878); names end in `.zst`. Files that ask for a window beyond 128 MiB are refused.
    Zstd,
}

impl Compression {
    /// What the end of a file's name says.
    pub(crate) fn of_name(name: &str) -> Self {
        match name.rsplit_once('.') {
            Some((_, "gz")) => Self::Gzip,
            Some((_, "zst")) => Self::Zstd,
            _ => Self::None,
        }
    }

    /// What the names of such files end in.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Zstd => ".zst",
        }
    }

    /// The bytes that were compressed into `bytes`.
    pub(crate) fn decompress(self, bytes: Box<dyn Read + Send>) -> io::Result<Box<dyn Read + Send>> {
        let buffered = |bytes| BufReader::with_capacity(BUFFER_BYTES, bytes);
        Ok(match self {
            Self::None => bytes,
            Self::Gzip => Box::new(MultiGzDecoder::new(buffered(bytes))),
            Self::Zstd => Box::new(zstd::Decoder::with_buffer(buffered(bytes))?),
        })
    }
}

/// Compresses the bytes of one file.
pub(crate) enum Compressor {
    /// They stay as they are.
    None(Vec<u8>),
    /// With gzip.
    Gzip(GzEncoder<Vec<u8>>),
    /// With zstd.
    Zstd(zstd::Encoder<'static, Vec<u8>>),
}

impl Compressor {
    pub(crate) fn new(compression: Compression) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Self::None(Vec::new()),
            Compression::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::default())),
            Compression::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), zstd::DEFAULT_COMPRESSION_LEVEL)?;
                // So that a reader of the file notices flipped bits, as with gzip.
                encoder.include_checksum(true)?;
                Self::Zstd(encoder)
            }
        })
    }

    /// Takes in bytes and gives what of the file is settled; more of it may come later.
    pub(crate) fn add(&mut self, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        Ok(match self {
            Self::None(_) => bytes,
            Self::Gzip(encoder) => {
                encoder.write_all(&bytes)?;
                std::mem::take(encoder.get_mut())
            }
            Self::Zstd(encoder) => {
                encoder.write_all(&bytes)?;
                std::mem::take(encoder.get_mut())
            }
        })
    }

    /// The end of the file.
    pub(crate) fn finish(self) -> io::Result<Vec<u8>> {
        match self {
            Self::None(rest) => Ok(rest),
            Self::Gzip(encoder) => encoder.finish(),
            Self::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl Compressor {
    /// The failure to compress what is to become `file`.
    pub(crate) fn failed(file: &str) -> impl FnOnce(io::Error) -> FileError {
        let file = file.to_owned();
        move |source| FileError::writing(file, source)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_say_how_files_are_compressed() {
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let name = format!("a.csv{}", compression.suffix());
            assert_eq!(Compression::of_name(&name), compression, "{name}");
        }
        assert_eq!(Compression::of_name("gz"), Compression::None);
    }

    proptest! {
        #[test]
        fn what_was_compressed_piece_by_piece_comes_back(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..500), 0..8),
        ) {
            for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
                let mut compressor = Compressor::new(compression).unwrap();
                let mut file = Vec::new();
                for piece in &pieces {
                    file.extend(compressor.add(piece.clone()).unwrap());
                }
                file.extend(compressor.finish().unwrap());
                let mut back = Vec::new();
                let mut bytes = compression.decompress(Box::new(io::Cursor::new(file))).unwrap();
                bytes.read_to_end(&mut back).unwrap();
                prop_assert_eq!(&back, &pieces.concat());
            }
        }
    }
}
