//! How far the tasks of a job have come and when, written by them and read by whoever measures.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use tidegate_benchmarks::checksum::Checksum;
use tidegate_core::{
    Batch, CheckpointId, Flow, OperatorError,
    sink::{Committer, Guarantee, PrepareResult, Sink, SinkContext, SinkWriter},
};

/// How often a task says how far it has come. What comes between is told with the next line, or when the task ends.
const PACE: Duration = Duration::from_millis(20);

/// The wall clock, in nanoseconds since the Unix epoch.
pub fn now_ns() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

/// A sink that counts records and adds up their checksums. Each of its tasks, in each attempt, writes a file of its own: a
/// line with its first records at once, and then a line every 20 ms.
#[derive(Debug)]
pub struct ProgressSink {
    folder: PathBuf,
    files: AtomicU64,
}

impl ProgressSink {
    /// Writes to a folder, which is made.
    pub fn to(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            files: AtomicU64::new(0),
        }
    }
}

impl<T: Checksum + Send + 'static> Sink<T> for ProgressSink {
    fn guarantee(&self) -> Guarantee {
        Guarantee::AtLeastOnce
    }

    fn writer(&self, context: &SinkContext<'_>) -> Result<Box<dyn SinkWriter<T>>, OperatorError> {
        fs::create_dir_all(&self.folder).map_err(OperatorError::other)?;
        let number = self.files.fetch_add(1, Relaxed);
        let name = format!("{}-{}-{number}", context.attempt, std::process::id());
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .open(self.folder.join(name))
            .map_err(OperatorError::other)?;
        Ok(Box::new(Writer {
            file,
            records: 0,
            checksum: 0,
            told: 0,
            last: None,
        }))
    }

    fn committer(&self) -> Option<Arc<dyn Committer>> {
        None
    }
}

struct Writer {
    file: File,
    records: u64,
    checksum: u64,
    told: u64,
    last: Option<Instant>,
}

impl Writer {
    fn tell(&mut self) -> io::Result<()> {
        self.told = self.records;
        self.last = Some(Instant::now());
        // One write, so that nobody reads half a line.
        let line = format!("{} {} {}\n", now_ns(), self.records, self.checksum);
        self.file.write_all(line.as_bytes())
    }
}

impl<T: Checksum + Send + 'static> SinkWriter<T> for Writer {
    fn write(&mut self, batch: Batch<T>) -> Result<Flow, OperatorError> {
        self.records += batch.len() as u64;
        self.checksum = batch
            .records
            .iter()
            .fold(self.checksum, |sum, record| sum.wrapping_add(record.checksum()));
        batch.recycle();
        if self.last.is_none_or(|last| last.elapsed() >= PACE) {
            self.tell().map_err(OperatorError::other)?;
        }
        Ok(Flow::Ready)
    }

    fn prepare(&mut self, _checkpoint: CheckpointId) -> Result<PrepareResult, OperatorError> {
        Ok(Box::pin(async { Ok(Vec::new()) }))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.told != self.records {
            // Whoever measures misses records and says so.
            let _ = self.tell();
        }
    }
}

/// How far a task had come at a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// When, in nanoseconds since the Unix epoch.
    pub at_ns: u64,
    /// How many records it had had.
    pub records: u64,
    /// What their checksums add up to.
    pub checksum: u64,
}

/// One task in one attempt: its marks in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Track {
    /// At least one.
    pub marks: Vec<Mark>,
}

/// What the tasks of a job have written.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Of all tasks that have had records, in all attempts.
    pub tracks: Vec<Track>,
}

impl Progress {
    /// Reads what is there; a folder that does not exist yet has nothing.
    ///
    /// # Errors
    /// If a file cannot be read or is none of a [`ProgressSink`].
    pub fn read(folder: &Path) -> io::Result<Self> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut tracks = Vec::new();
        for entry in entries {
            let text = fs::read_to_string(entry?.path())?;
            let marks = text.lines().map(mark).collect::<io::Result<Vec<_>>>()?;
            if !marks.is_empty() {
                tracks.push(Track { marks });
            }
        }
        Ok(Self { tracks })
    }

    /// All records of all tasks.
    pub fn records(&self) -> u64 {
        self.last_marks().map(|mark| mark.records).sum()
    }

    /// The sum of all checksums.
    pub fn checksum(&self) -> u64 {
        self.last_marks()
            .fold(0, |sum, mark| sum.wrapping_add(mark.checksum))
    }

    /// From the first record of any task to the last.
    pub fn duration(&self) -> Duration {
        let first = self.tracks.iter().map(|track| track.marks[0].at_ns).min();
        let last = self.last_marks().map(|mark| mark.at_ns).max();
        Duration::from_nanos(last.unwrap_or(0).saturating_sub(first.unwrap_or(0)))
    }

    /// How many records all tasks had had at a time: of each task what its last mark until then says.
    pub fn records_at(&self, at_ns: u64) -> u64 {
        let of = |track: &Track| {
            let until = track.marks.iter().take_while(|mark| mark.at_ns <= at_ns);
            until.last().map_or(0, |mark| mark.records)
        };
        self.tracks.iter().map(of).sum()
    }

    /// When the first record came to a task that had had none before a time: to a task of a later attempt, if all tasks of
    /// the one before had had some.
    pub fn first_of_new_tasks(&self, after_ns: u64) -> Option<u64> {
        let firsts = self.tracks.iter().map(|track| track.marks[0].at_ns);
        firsts.filter(|first| *first > after_ns).min()
    }

    fn last_marks(&self) -> impl Iterator<Item = &Mark> {
        self.tracks.iter().filter_map(|track| track.marks.last())
    }
}

fn mark(line: &str) -> io::Result<Mark> {
    let mut numbers = line.split(' ').map(str::parse);
    match (numbers.next(), numbers.next(), numbers.next()) {
        (Some(Ok(at_ns)), Some(Ok(records)), Some(Ok(checksum))) => Ok(Mark {
            at_ns,
            records,
            checksum,
        }),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            format!("{line:?} is no mark of progress"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(marks: &[(u64, u64)]) -> Track {
        Track {
            marks: marks
                .iter()
                .map(|(at_ns, records)| Mark {
                    at_ns: *at_ns,
                    records: *records,
                    checksum: 1,
                })
                .collect(),
        }
    }

    #[test]
    fn tracks_are_added_up_in_time() {
        let progress = Progress {
            tracks: vec![
                track(&[(10, 1), (30, 5)]),
                track(&[(20, 2), (25, 3)]),
                track(&[(50, 1)]),
            ],
        };
        assert_eq!(progress.records(), 9);
        assert_eq!(progress.checksum(), 3);
        assert_eq!(progress.duration(), Duration::from_nanos(40));
        for (at, records) in [(9, 0), (10, 1), (20, 3), (29, 4), (30, 8), (99, 9)] {
            assert_eq!(progress.records_at(at), records, "at {at}");
        }
        assert_eq!(progress.first_of_new_tasks(20), Some(50));
        assert_eq!(progress.first_of_new_tasks(50), None);
    }

    #[test]
    fn what_is_no_mark_is_refused_and_what_is_not_there_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none");
        assert_eq!(Progress::read(&missing).unwrap(), Progress::default());
        fs::write(folder.path().join("a"), "1 2 3\n4 5 6\n").unwrap();
        let progress = Progress::read(folder.path()).unwrap();
        assert_eq!((progress.records(), progress.checksum()), (5, 6));
        fs::write(folder.path().join("b"), "1 x 3\n").unwrap();
        assert!(
            Progress::read(folder.path())
                .unwrap_err()
                .to_string()
                .contains("1 x 3")
        );
    }
}
