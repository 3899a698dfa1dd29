//! Takes what a process writes to its log.
//!
//! Lines of both streams are kept whole. The process is never held up by a disk that is full or broken: what cannot be
//! written is dropped, and said so once.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{ChildStderr, ChildStdout},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

use super::{LastWords, RotatedLog};

/// How much is read at a time; also the longest line that is kept whole.
const CHUNK_BYTES: usize = 16 * 1024;
/// Chunks that the file has not taken yet. A disk that is slower than that slows the process down.
const CHUNK_CAPACITY: usize = 64;
/// How long the streams may go on when the process is gone: children of its own may hold them.
const DRAIN: Duration = Duration::from_secs(1);

/// What becomes of a process's words.
#[derive(Debug)]
pub(crate) struct Capture {
    pumps: [JoinHandle<()>; 2],
    writer: JoinHandle<LastWords>,
}

#[derive(Debug)]
enum Chunk {
    Output(Vec<u8>),
    Error(Vec<u8>),
}

/// Takes both streams of a process to a log. `None` for a process whose words cannot be kept: its last are all the same.
pub(crate) fn capture(output: ChildStdout, errors: ChildStderr, log: Option<RotatedLog>) -> Capture {
    let (chunks, queue) = mpsc::channel(CHUNK_CAPACITY);
    Capture {
        pumps: [
            tokio::spawn(pump(output, chunks.clone(), Chunk::Output)),
            tokio::spawn(pump(errors, chunks, Chunk::Error)),
        ],
        // Files are written to on a thread that may wait for them.
        writer: tokio::task::spawn_blocking(move || write(queue, log)),
    }
}

impl Capture {
    /// The last lines of standard error, once the process is gone.
    pub(crate) async fn finish(self) -> String {
        let [mut output, mut errors] = self.pumps;
        let drained = async {
            let _ = (&mut output).await;
            let _ = (&mut errors).await;
        };
        if timeout(DRAIN, drained).await.is_err() {
            output.abort();
            errors.abort();
        }
        // The writer ends when nobody can send any more.
        self.writer
            .await
            .map_or_else(|_| String::new(), |words| words.text())
    }
}

async fn pump(mut stream: impl AsyncRead + Unpin, chunks: mpsc::Sender<Chunk>, chunk: fn(Vec<u8>) -> Chunk) {
    let mut pending = Vec::new();
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        let read = stream.read(&mut buffer).await.unwrap_or(0);
        if read == 0 {
            break;
        }
        pending.extend_from_slice(&buffer[..read]);
        let whole = match pending.iter().rposition(|byte| *byte == b'\n') {
            Some(end) => end + 1,
            None if pending.len() >= CHUNK_BYTES => pending.len(),
            None => continue,
        };
        let rest = pending.split_off(whole);
        let lines = std::mem::replace(&mut pending, rest);
        if chunks.send(chunk(lines)).await.is_err() {
            return;
        }
    }
    if !pending.is_empty() {
        // The writer is there for as long as somebody can send.
        let _ = chunks.send(chunk(pending)).await;
    }
}

fn write(mut queue: mpsc::Receiver<Chunk>, mut log: Option<RotatedLog>) -> LastWords {
    let mut words = LastWords::default();
    let mut complained = false;
    while let Some(chunk) = queue.blocking_recv() {
        let bytes = match &chunk {
            Chunk::Output(bytes) => bytes,
            Chunk::Error(bytes) => {
                words.push(bytes);
                bytes
            }
        };
        let written = log.as_mut().map_or(Ok(()), |log| log.write(bytes));
        if let (Err(error), false) = (written, complained) {
            complain(&error);
            complained = true;
        }
    }
    words
}

fn complain(error: &io::Error) {
    tracing::warn!(%error, "what a worker writes cannot be kept; it goes on without");
}

#[cfg(test)]
mod tests {
    use std::{fs, process::Stdio};

    use tokio::process::Command;

    use super::*;

    async fn run(script: &str, log: Option<RotatedLog>) -> String {
        let mut child = Command::new("/bin/sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let captured = capture(child.stdout.take().unwrap(), child.stderr.take().unwrap(), log);
        child.wait().await.unwrap();
        captured.finish().await
    }

    #[tokio::test]
    async fn both_streams_are_kept_and_the_errors_are_the_last_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("job").join("a-1.log");
        let log = RotatedLog::open(path.clone(), 1000, 2).unwrap();
        let words = run("echo out; echo broken >&2; printf end >&2", Some(log)).await;
        assert_eq!(words, "broken\nend");
        let mut lines: Vec<_> = fs::read_to_string(path)
            .unwrap()
            .replace("brokenend", "broken\nend")
            .split_whitespace()
            .map(str::to_owned)
            .collect();
        lines.sort();
        assert_eq!(lines, ["broken", "end", "out"]);
    }

    #[tokio::test]
    async fn much_is_taken_also_where_it_cannot_be_kept() {
        let words = run(
            "i=0; while [ $i -lt 20000 ]; do echo line $i >&2; i=$((i+1)); done",
            None,
        )
        .await;
        assert!(words.ends_with("line 19999"), "{words}");
        assert!(words.starts_with("line "), "{words}");
    }

    #[tokio::test]
    async fn a_child_that_holds_the_streams_does_not_hold_us() {
        // It would sleep for longer than any test.
        let words = run("echo last >&2; sleep 20 & exit 1", None).await;
        assert_eq!(words, "last");
    }
}
