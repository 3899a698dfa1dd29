//! Appends to staged files on a thread where blocking is allowed, a bounded number of buffers behind the executor.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use tidegate_core::{Flow, Io};

use super::{
    commit::Staged,
    paths::{PartId, StagingArea},
};
use crate::{FileError, completion::Completer};

/// How many buffers may wait for the disk before the writer asks for no more records.
const QUEUED_BUFFERS: usize = 4;

/// What is to be done with files, in order.
pub(super) enum Job {
    /// Remove what earlier attempts have left behind.
    Collect(Leftovers),
    /// Append to a part; the first time makes its file.
    Append(PartId, Vec<u8>),
    /// The part is complete.
    Close(PartId),
    /// Make all closed parts durable and say which they are.
    Prepare(Completer<Result<Vec<Staged>, FileError>>),
}

/// What a task of this attempt may remove.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leftovers {
    pub(super) attempt: u32,
    pub(super) task: u32,
    pub(super) parallelism: u32,
}

impl Leftovers {
    /// Whether a staged file is left over. Only what is of earlier attempts can be, and each of those is looked after by
    /// one task: its own, or the first one where there are fewer tasks now.
    fn include(self, id: PartId) -> bool {
        let keeper = if id.task < self.parallelism { id.task } else { 0 };
        id.attempt < self.attempt && keeper == self.task
    }
}

/// The way to the files of one task.
pub(super) struct Appender {
    io: Arc<dyn Io>,
    shared: Arc<Mutex<Shared>>,
}

struct Shared {
    jobs: VecDeque<Job>,
    files: Holder,
    failure: Option<FileError>,
    waker: Option<Waker>,
}

/// Who has the files.
enum Holder {
    /// Nobody: work can be started.
    Rests(Box<Files>),
    /// A thread that works on the queue.
    Works,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    // A leaf lock, held for a push or a pop and never while writing.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Appender {
    pub(super) fn new(io: Arc<dyn Io>, area: StagingArea) -> Self {
        let files = Files {
            area,
            open: None,
            closed: Vec::new(),
            has_failed: false,
        };
        let shared = Shared {
            jobs: VecDeque::new(),
            files: Holder::Rests(Box::new(files)),
            failure: None,
            waker: None,
        };
        Self {
            io,
            shared: Arc::new(Mutex::new(shared)),
        }
    }

    /// Queues a job.
    pub(super) fn push(&self, job: Job) {
        let mut shared = lock(&self.shared);
        shared.jobs.push_back(job);
        match std::mem::replace(&mut shared.files, Holder::Works) {
            Holder::Works => {}
            Holder::Rests(files) => {
                drop(shared);
                let shared = Arc::clone(&self.shared);
                self.io.spawn_blocking(Box::new(move || work(&shared, files)));
            }
        }
    }

    /// Whether more may be queued. If not, and a waker is given, it will be called when it may.
    ///
    /// # Errors
    /// The failure of an earlier job.
    pub(super) fn flow(&self, waker: Option<&Waker>) -> Result<Flow, FileError> {
        let mut shared = lock(&self.shared);
        if let Some(failure) = shared.failure.take() {
            return Err(failure);
        }
        if shared.jobs.len() < QUEUED_BUFFERS {
            return Ok(Flow::Ready);
        }
        if let Some(waker) = waker {
            shared.waker = Some(waker.clone());
        }
        Ok(Flow::Blocked)
    }
}

fn work(shared: &Mutex<Shared>, mut files: Box<Files>) {
    loop {
        let mut state = lock(shared);
        let Some(job) = state.jobs.pop_front() else {
            state.files = Holder::Rests(files);
            return;
        };
        drop(state);
        let failed = files.run(job).err();
        let mut state = lock(shared);
        if failed.is_some() {
            // The writer fails with the first cause; the rest follows from it.
            state.failure = state.failure.take().or(failed);
        }
        let waker = match state.jobs.len() < QUEUED_BUFFERS {
            true => state.waker.take(),
            false => None,
        };
        drop(state);
        waker.into_iter().for_each(Waker::wake);
    }
}

/// The files of one task that are being written.
struct Files {
    area: StagingArea,
    open: Option<OpenPart>,
    closed: Vec<OpenPart>,
    /// A job has failed: parts may lack bytes, so nothing is prepared any more.
    has_failed: bool,
}

struct OpenPart {
    id: PartId,
    file: File,
    size: u64,
    checksum: u32,
}

impl Files {
    fn run(&mut self, job: Job) -> Result<(), FileError> {
        let result = self.try_run(job);
        self.has_failed |= result.is_err();
        result
    }

    fn try_run(&mut self, job: Job) -> Result<(), FileError> {
        match job {
            Job::Collect(leftovers) => self.collect(leftovers),
            Job::Append(id, bytes) => self.append(id, &bytes),
            Job::Close(id) => {
                self.closed.extend(self.open.take_if(|part| part.id == id));
                Ok(())
            }
            Job::Prepare(completer) => {
                completer.complete(self.prepare());
                Ok(())
            }
        }
    }

    fn collect(&self, leftovers: Leftovers) -> Result<(), FileError> {
        let failed = |error| FileError::writing(self.area.path(), error);
        for entry in fs::read_dir(self.area.path()).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            let Some(id) = name.to_str().and_then(PartId::parse) else {
                continue;
            };
            if leftovers.include(id) {
                remove(&self.area, id)?;
            }
        }
        Ok(())
    }

    fn append(&mut self, id: PartId, bytes: &[u8]) -> Result<(), FileError> {
        let part = match &mut self.open {
            Some(part) if part.id == id => part,
            open => {
                let file = create(&self.area, id)?;
                open.insert(OpenPart {
                    id,
                    file,
                    size: 0,
                    checksum: 0,
                })
            }
        };
        part.file
            .write_all(bytes)
            .map_err(|error| FileError::writing(self.area.part(id), error))?;
        part.size += bytes.len() as u64;
        part.checksum = crc32c::crc32c_append(part.checksum, bytes);
        Ok(())
    }

    fn prepare(&mut self) -> Result<Vec<Staged>, FileError> {
        if self.has_failed {
            return Err(FileError::Abandoned {
                path: self.area.path().to_path_buf(),
            });
        }
        for part in &self.closed {
            let synced = part.file.sync_all();
            synced.map_err(|error| FileError::writing(self.area.part(part.id), error))?;
        }
        if !self.closed.is_empty() {
            sync_directory(self.area.path()).map_err(|error| FileError::writing(self.area.path(), error))?;
        }
        let staged = |part: OpenPart| Staged {
            id: part.id,
            size: part.size,
            checksum: part.checksum,
        };
        Ok(self.closed.drain(..).map(staged).collect())
    }
}

/// Makes a staged file. One of the same name is of a run whose attempts were counted anew: it is unlinked and never
/// written to, because it may be published already and share its contents with the published file.
fn create(area: &StagingArea, id: PartId) -> Result<File, FileError> {
    let path = area.part(id);
    let open = || OpenOptions::new().write(true).create_new(true).open(&path);
    let file = match open() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            remove(area, id)?;
            open()
        }
        result => result,
    };
    file.map_err(|error| FileError::writing(&path, error))
}

fn remove(area: &StagingArea, id: PartId) -> Result<(), FileError> {
    let path = area.part(id);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::writing(path, error)),
        _ => Ok(()),
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(path: &std::path::Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
