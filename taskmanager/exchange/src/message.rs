//! What travels in a channel.

use tidegate_core::{Batch, Control};

/// What a channel carries.
#[derive(Clone, Debug, PartialEq)]
pub enum Message<T> {
    /// Records.
    Batch(Batch<T>),
    /// A control element, in its place between them.
    Control(Control),
}
