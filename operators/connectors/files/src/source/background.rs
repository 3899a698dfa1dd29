//! Reads ahead of the executor, a bounded number of pieces.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use tidegate_core::Io;

use super::input::{Input, Piece};
use crate::FileError;

/// How many pieces are read ahead.
const READ_AHEAD_PIECES: usize = 4;

/// The pieces of one split, read on a thread where blocking is allowed.
pub(super) struct ReadAhead {
    io: Arc<dyn Io>,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    pieces: VecDeque<Result<Piece, FileError>>,
    input: Holder,
    waker: Option<Waker>,
}

/// Who has the input.
enum Holder {
    /// Nobody: reading can be started.
    Rests(Box<Input>),
    /// A thread that reads.
    Reads,
    /// It has ended or failed, or nobody wants it any more.
    Gone,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // A leaf lock, held for a push or a pop and never while reading.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ReadAhead {
    pub(super) fn new(io: Arc<dyn Io>, input: Input) -> Self {
        let shared = Shared {
            pieces: VecDeque::with_capacity(READ_AHEAD_PIECES),
            input: Holder::Rests(Box::new(input)),
            waker: None,
        };
        Self {
            io,
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// The next piece, if it has been read; if not, `waker` will be called when it has.
    pub(super) fn poll(&mut self, waker: &Waker) -> Option<Result<Piece, FileError>> {
        let mut shared = lock(&self.shared);
        let piece = shared.pieces.pop_front();
        if piece.is_none() {
            shared.waker = Some(waker.clone());
        }
        drop(shared);
        self.read_on();
        piece.or_else(|| lock(&self.shared).pieces.pop_front())
    }

    fn read_on(&self) {
        let mut shared = lock(&self.shared);
        if shared.pieces.len() >= READ_AHEAD_PIECES {
            return;
        }
        let input = match std::mem::replace(&mut shared.input, Holder::Reads) {
            Holder::Rests(input) => input,
            other => {
                shared.input = other;
                return;
            }
        };
        drop(shared);
        let shared = Arc::clone(&self.shared);
        self.io.spawn_blocking(Box::new(move || read(&shared, input)));
    }
}

fn read(shared: &Mutex<Shared>, mut input: Box<Input>) {
    loop {
        let piece = input.next();
        let last = matches!(piece, Ok(Piece::End) | Err(_));
        let mut shared = lock(shared);
        shared.pieces.push_back(piece);
        let waker = shared.waker.take();
        let gone = last || matches!(shared.input, Holder::Gone);
        let full = shared.pieces.len() >= READ_AHEAD_PIECES;
        if gone {
            shared.input = Holder::Gone;
        } else if full {
            shared.input = Holder::Rests(input);
            drop(shared);
            waker.into_iter().for_each(Waker::wake);
            return;
        }
        drop(shared);
        waker.into_iter().for_each(Waker::wake);
        if gone {
            return;
        }
    }
}

impl Drop for ReadAhead {
    fn drop(&mut self) {
        lock(&self.shared).input = Holder::Gone;
    }
}
