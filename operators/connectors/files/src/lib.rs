//! File sources and sinks of Tidegate: CSV, JSON lines and plain lines, on the local file system and in object stores.
//!
//! A [`FileSource`] reads each row exactly once; a [`FileSink`] publishes each record exactly once. Neither ever blocks
//! an executor on a disk or a network.
//!
//! # Locations
//!
//! | location | what it takes |
//! |---|---|
//! | `/path`, `path`, `file:///path` | nothing |
//! | `s3://bucket/key`, and S3's `https://` forms | the feature `s3` |
//! | `gs://…`, `az://…`, `http://…` | the features of `object_store` for them, switched on by the job's own package |
//! | any, such as `memory:///key` | a store given with `object_store` |
//!
//! Names in URLs are written as they are: nothing is percent-encoded. Credentials, regions and endpoints come from the
//! environment (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT`, …) or from `store_option`. Stores repeat failed requests on their
//! own; one that refuses for good fails the task with what it said.

mod completion;
mod compression;
mod error;
mod location;
mod sink;
mod source;

/// The library that reaches object stores, for those who give a store of their own.
pub use object_store;

pub use compression::Compression;
pub use error::FileError;
pub use sink::FileSink;
pub use source::{FileSource, MALFORMED_ROWS, MalformedRow, OnMalformed};
