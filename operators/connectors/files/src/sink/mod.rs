//! Writing files: staged under hidden names, published when their checkpoint is claimed.

mod appender;
mod commit;
mod encoder;
mod options;
mod paths;
mod writer;

pub use options::FileSink;
