//! Starting the processes of a cluster, and waiting for them.

use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::{
    note::{Launch, Member, Note},
    process::Process,
};
use crate::{
    client::{Call, Client},
    commands::wait,
    documents::TaskManagers,
    error::{Error, Result},
};

/// How many of the last lines of a log are shown when its process has ended too early.
const LAST_LINES: usize = 20;

/// A cluster whose processes are being started.
pub(super) struct Launcher {
    /// The cluster's directory.
    pub(super) directory: PathBuf,
    /// Its processes, as they are noted on disk.
    pub(super) note: Note,
    children: Vec<Child>,
    deadline: Instant,
}

impl Launcher {
    /// Everything must be ready within some time from now.
    pub(super) fn new(directory: PathBuf, note: Note, within: Duration) -> Self {
        Self {
            directory,
            note,
            children: Vec::new(),
            deadline: Instant::now() + within,
        }
    }

    /// Starts a member, and notes it before anything else happens; what it writes from now on.
    pub(super) fn launch(&mut self, name: &str, launch: Launch) -> Result<Log> {
        let path = self.directory.join("logs").join(format!("{name}.log"));
        let written = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .map_err(Error::file(&path, "written"))?;
        let also = written.try_clone().map_err(Error::file(&path, "written"))?;
        let begin = written.metadata().map_err(Error::file(&path, "read"))?.len();
        let child = Command::new(&launch.program)
            .args(&launch.arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(written)
            .stderr(also)
            // Ctrl-C in this terminal is not meant for it.
            .process_group(0)
            .spawn()
            .map_err(|error| {
                Error::Process(format!("{} cannot be started: {error}", launch.program.display()))
            })?;
        let process = Process::of(child.id());
        self.children.push(child);
        let process = process.ok_or_else(|| ended_early(name, &path))?;
        let member = Member {
            name: name.to_owned(),
            process,
            log: path.clone(),
            launch,
        };
        match self.note.members.iter_mut().find(|known| known.name == name) {
            Some(known) => *known = member,
            None => self.note.members.push(member),
        }
        self.note.write(&self.directory)?;
        Ok(Log { path, begin })
    }

    /// Waits until the job manager has said where it listens.
    pub(super) fn announcement(&self, log: &Log) -> Result<Announcement> {
        let mut announced = None;
        self.until("the job manager did not listen", || {
            announced = log.announcement()?;
            Ok(announced.is_some())
        })?;
        Ok(announced.unwrap_or_default())
    }

    /// Waits until the job manager is ready.
    pub(super) fn ready(&self, client: &Client) -> Result<()> {
        self.until("the job manager was not ready", || match client.probe("readyz") {
            Ok(()) => Ok(true),
            Err(error) if error.may_pass() => Ok(false),
            Err(error) => Err(error),
        })
    }

    /// Waits until all task managers are attached.
    pub(super) fn attached(&self, client: &Client) -> Result<()> {
        self.until("not all task managers were attached", || {
            let list: TaskManagers = client.fetch(&Call::get(["v1", "taskmanagers"]))?;
            let is_attached = |member: &Member| {
                list.taskmanagers
                    .iter()
                    .any(|attached| attached.id == member.name)
            };
            Ok(self.note.members.iter().skip(1).all(is_attached))
        })
    }

    fn until(&self, otherwise: &str, mut condition: impl FnMut() -> Result<bool>) -> Result<()> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let condition = || {
            let gone = self.note.members.iter().find(|member| !member.process.is_alive());
            gone.map_or(Ok(()), |member| Err(ended_early(&member.name, &member.log)))?;
            condition()
        };
        let late = || {
            Error::Timeout(format!(
                "{otherwise} within the time of --ready-within; see its log"
            ))
        };
        wait::until(left, condition, late)
    }

    /// Takes note of the ends of the children, also of one that could not be told from others.
    pub(super) fn reap(&mut self) {
        for child in &mut self.children {
            // It has ended as a rule, which is no error here.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a process writes.
pub(super) struct Log {
    path: PathBuf,
    /// How long the file was before.
    begin: u64,
}

/// Where a job manager says that it listens.
#[derive(Clone, Debug, Default)]
pub(super) struct Announcement {
    /// For people.
    pub(super) rest: String,
    /// For task managers and workers.
    pub(super) cluster: String,
}

impl Log {
    /// Where the job manager listens, once it has said so in two lines of its own.
    fn announcement(&self) -> Result<Option<Announcement>> {
        let mut text = String::new();
        let mut file = File::open(&self.path).map_err(Error::file(&self.path, "read"))?;
        file.seek(SeekFrom::Start(self.begin))
            .and_then(|_| file.read_to_string(&mut text))
            .map_err(Error::file(&self.path, "read"))?;
        // A line that has not been written to its end is none yet.
        let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
        let of = |word: &str| {
            whole
                .lines()
                .find_map(|line| line.strip_prefix(word))
                .map(str::to_owned)
        };
        Ok(of("rest ")
            .zip(of("cluster "))
            .map(|(rest, cluster)| Announcement { rest, cluster }))
    }
}

fn ended_early(name: &str, log: &Path) -> Error {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n  ");
    Error::Process(format!(
        "{name} has ended; the end of its log, {}:\n  {last}",
        log.display()
    ))
}
