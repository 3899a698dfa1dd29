//! Writing files: staged under hidden names, published when their checkpoint is claimed.

mod appender;
mod commit;
mod encoder;
mod leftovers;
mod options;
mod output;
mod part;
mod paths;
mod rolling;
mod writer;

pub use options::FileSink;
