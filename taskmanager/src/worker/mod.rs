//! A worker's life on this machine, from the order that starts it to its end.

mod command_line;
mod supervisor;

pub(crate) use command_line::SECRET_VARIABLE;
pub(crate) use supervisor::{Ending, Started, StopSignal, Supervisor, log_path};
