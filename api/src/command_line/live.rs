//! The live view of a job on a terminal: what it says is decided in [`frame`], how it comes to stand there in [`screen`].

mod frame;
mod screen;

pub(super) use frame::{Size, frame};
pub(super) use screen::Screen;
