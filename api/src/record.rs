//! What may travel in a stream.

use serde::{Serialize, de::DeserializeOwned};

/// A type of records: anything that serde can write and read back and that may change threads.
///
/// It is implemented for every such type; there is nothing to write but the two derives:
///
/// ```
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Reading {
///     sensor: u32,
///     celsius: f64,
/// }
///
/// fn is_record<T: tidegate::Record>() {}
/// is_record::<Reading>();
/// ```
///
/// `Clone` is asked for only where a record is really copied: a stream used twice, a broadcast.
pub trait Record: Serialize + DeserializeOwned + Send + 'static {}

impl<T: Serialize + DeserializeOwned + Send + 'static> Record for T {}
