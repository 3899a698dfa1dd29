//! Writes staged files on a thread where blocking is allowed, a bounded number of buffers behind the executor.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use tidegate_core::{Flow, Io};

use super::{commit::Staged, leftovers::Leftovers, output::StagingArea, part::OpenPart, paths::PartId};
use crate::{
    Compression, FileError,
    completion::{Completer, wait_for},
};

/// How many buffers may wait for the disk before the writer asks for no more records.
const QUEUED_BUFFERS: usize = 4;

/// What is to be done with files, in order.
pub(super) enum Job {
    /// See whether the task of this part can stage and publish files.
    Probe(PartId),
    /// Remove what earlier attempts have left behind.
    Collect(Leftovers),
    /// Append to a part; the first time makes its file.
    Append(PartId, Vec<u8>),
    /// The part is complete.
    Close(PartId),
    /// Make all closed parts durable and say which they are.
    Prepare(Completer<Result<Vec<Staged>, FileError>>),
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
    pub(super) fn new(io: Arc<dyn Io>, area: StagingArea, compression: Compression) -> Self {
        let files = Files {
            area,
            io: Arc::clone(&io),
            compression,
            open: None,
            closed: Vec::new(),
            failure: None,
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
    io: Arc<dyn Io>,
    compression: Compression,
    open: Option<OpenPart>,
    closed: Vec<Staged>,
    /// How a job has failed: parts may lack bytes, so nothing is prepared any more.
    failure: Option<String>,
}

impl Files {
    fn run(&mut self, job: Job) -> Result<(), FileError> {
        let result = self.try_run(job);
        if let (None, Err(error)) = (&self.failure, &result) {
            self.failure = Some(error.to_string());
        }
        result
    }

    fn try_run(&mut self, job: Job) -> Result<(), FileError> {
        let area = self.area.clone();
        match job {
            Job::Probe(task) => self.wait_for(async move { area.probe(task).await }),
            Job::Collect(leftovers) => self.wait_for(async move { leftovers.collect(&area).await }),
            Job::Append(id, bytes) => self.append(id, bytes),
            Job::Close(id) => {
                if let Some(part) = self.open.take_if(|part| part.id() == id) {
                    let staged = self.wait_for(part.finish(area))?;
                    self.closed.push(staged);
                }
                Ok(())
            }
            Job::Prepare(completer) => {
                completer.complete(self.prepare());
                Ok(())
            }
        }
    }

    fn append(&mut self, id: PartId, bytes: Vec<u8>) -> Result<(), FileError> {
        let mut part = match self.open.take() {
            Some(part) if part.id() == id => part,
            _ => OpenPart::new(&self.area, id, self.compression)?,
        };
        // Compressing takes this thread, and only uploading those for I/O.
        part.add(&self.area, bytes)?;
        if part.is_to_be_uploaded() {
            part = self.wait_for(part.upload(self.area.clone()))?;
        }
        self.open = Some(part);
        Ok(())
    }

    fn wait_for<R: Send + 'static>(
        &self,
        work: impl Future<Output = Result<R, FileError>> + Send + 'static,
    ) -> Result<R, FileError> {
        wait_for(&*self.io, work).unwrap_or_else(|| Err(FileError::unanswered(&self.area.0.name)))
    }

    fn prepare(&mut self) -> Result<Vec<Staged>, FileError> {
        if let Some(cause) = &self.failure {
            return Err(FileError::Abandoned {
                path: self.area.0.name.clone(),
                cause: cause.clone(),
            });
        }
        Ok(std::mem::take(&mut self.closed))
    }
}
