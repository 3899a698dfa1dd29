//! How a process learns that whoever started it is gone: it holds the other end of standard input, and nothing is ever
//! written there.

use std::{io::Read, thread};

use tokio::sync::oneshot;

use crate::{Result, error::Error};

/// Resolves when standard input ends. What is read from it until then means nothing.
///
/// # Errors
/// If no thread can be had to wait for that.
pub(super) fn end_of_supervision() -> Result<impl Future<Output = ()>> {
    let (ends, ended) = oneshot::channel::<()>();
    // It blocks for as long as the process lives, so it must not be a thread that the runtime waits for.
    thread::Builder::new()
        .name("tidegate-supervision".to_owned())
        .spawn(move || {
            let mut ignored = [0; 64];
            let mut input = std::io::stdin().lock();
            loop {
                match input.read(&mut ignored) {
                    Ok(1..) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    Ok(0) | Err(_) => break,
                }
            }
            drop(ends);
        })
        .map_err(Error::Threads)?;
    Ok(async {
        // Nothing is ever sent; the thread drops its end.
        let _ = ended.await;
    })
}
