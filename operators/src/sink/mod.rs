//! Sinks that need nothing from outside.

mod callback;
mod collect;
mod discard;
mod print;

pub use callback::CallbackSink;
pub use collect::{CollectSink, Collected};
pub use discard::DiscardSink;
pub use print::PrintSink;

use tidegate_core::sink::PrepareResult;

/// What a sink prepares that has nothing to publish.
fn nothing_prepared() -> PrepareResult {
    Box::pin(std::future::ready(Ok(Vec::new())))
}
