//! Opens the places where Tidegate keeps things, from what people call them.
//!
//! | location | what it is |
//! |---|---|
//! | `path`, `/path`, `file:///path` | a directory, written durably: files and folders are synced before a write is answered |
//! | `memory://` | a fresh memory, which ends with the process |
//! | `s3://bucket/path`, `s3a://…`, `https://bucket.s3.region.amazonaws.com/path` | S3 and what speaks its protocol, with the feature `s3` |
//! | `gs://…`, `az://…`, `http://…` and whatever else [`object_store`] knows | with its features |
//!
//! Credentials, endpoints and regions come from the environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`), never from the location,
//! so that a location may be shown and kept. Keys are written as they are: nothing in a location is percent-encoded.
//!
//! What is refused says which location it is about, and what to do: see [`OpenError`] for locations that cannot be
//! understood and [`Refusal`] for stores that do not let anybody in.

mod error;
mod location;
mod refusal;
mod remote;
mod storage;

pub use error::{AccessError, OpenError};
pub use location::{after_authority, local_path, scheme};
pub use refusal::{Refusal, os_error, reasons};
pub use remote::RemoteLocation;
pub use storage::Storage;
