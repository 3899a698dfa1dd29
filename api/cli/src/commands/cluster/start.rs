//! `tidegate cluster start`.

use std::{
    env,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use serde_json::json;

use super::{
    note::{Member, Note},
    process::Process,
    stop,
};
use crate::{
    arguments::StartArguments,
    client::{Call, Client},
    commands::wait,
    documents::TaskManagers,
    error::{Error, Result},
    exit_code::ExitCode,
    output::Output,
    progress::Waiting,
    settings::CliSettings,
};

/// How many of the last lines of a log are shown when its process has ended too early.
const LAST_LINES: usize = 20;

/// Starts a cluster and waits until it is ready; if that fails, nothing of it is left running.
pub(super) fn run(arguments: &StartArguments, settings: &CliSettings, output: Output) -> Result<ExitCode> {
    let client = Client::new(settings)?;
    let directory = prepare(arguments, &client)?;
    let storage = match &arguments.storage {
        Some(location) => location.clone(),
        None => directory.join("storage").display().to_string(),
    };
    let mut cluster = Starting {
        binaries: binaries(arguments)?,
        note: Note {
            address: client.address().to_owned(),
            storage,
            members: Vec::new(),
        },
        children: Vec::new(),
        directory,
    };
    if let Err(error) = cluster.start(arguments, settings) {
        let ended = stop::end(&cluster.note.members).map(|_| ());
        cluster.reap();
        ended?;
        Note::remove(&cluster.directory)?;
        return Err(error);
    }
    let note = &cluster.note;
    let logs = cluster.directory.join("logs");
    let document = json!({
        "address": note.address,
        "storage": note.storage,
        "logs": logs,
        "task-managers": arguments.task_managers,
        "slots": arguments.slots * arguments.task_managers,
    });
    output.show(&document, || {
        Ok(format!(
            "a job manager and {} task managers with {} slots each are ready\naddress {}\nstorage {}\nlogs    {}\n",
            arguments.task_managers,
            arguments.slots,
            note.address,
            note.storage,
            logs.display()
        ))
    })?;
    Ok(ExitCode::Success)
}

/// The cluster's directory, once it is certain that no cluster is in the way.
fn prepare(arguments: &StartArguments, client: &Client) -> Result<PathBuf> {
    let directory = &arguments.place.dir;
    fs::create_dir_all(directory.join("logs")).map_err(Error::file(directory, "created"))?;
    let directory = directory.canonicalize().map_err(Error::file(directory, "read"))?;
    let runs = Note::read(&directory)?
        .is_some_and(|note| note.members.iter().any(|member| member.process.is_alive()));
    if runs {
        return Err(Error::Usage(format!(
            "a cluster runs in {} already; end it with `tidegate cluster stop`, or choose another place with --dir",
            directory.display()
        )));
    }
    match client.probe("healthz") {
        Err(Error::Unreachable { .. }) => Ok(directory),
        _ => Err(Error::Usage(format!(
            "something answers at {} already; choose another address with --address",
            client.address()
        ))),
    }
}

/// The directory with the programs.
fn binaries(arguments: &StartArguments) -> Result<PathBuf> {
    if let Some(directory) = &arguments.bin_dir {
        return Ok(directory.clone());
    }
    let own = env::current_exe()
        .map_err(|error| Error::Process(format!("this program cannot be found: {error}")))?;
    Ok(own.parent().map(Path::to_owned).unwrap_or_default())
}

/// A cluster that is being started.
struct Starting {
    binaries: PathBuf,
    directory: PathBuf,
    note: Note,
    /// The processes as children, in the order of the note's members.
    children: Vec<Child>,
}

impl Starting {
    fn start(&mut self, arguments: &StartArguments, settings: &CliSettings) -> Result<()> {
        let began = Instant::now();
        let mut waiting = Waiting::new();
        let left = || arguments.ready_within.saturating_sub(began.elapsed());
        let late =
            |what: &str| Error::Timeout(format!("{what} within the time of --ready-within; see its log"));

        let rest = self.note.address.trim_start_matches("http://").to_owned();
        let flags = [
            ("--storage", self.note.storage.clone()),
            ("--rest-address", rest),
            ("--cluster-address", arguments.control_address.to_string()),
        ];
        let log = self.spawn("jobmanager", "tidegate-jobmanager", &flags)?;
        waiting.show("waiting for the job manager", "");
        let mut announced = None;
        let listening = || {
            self.all_alive()?;
            announced = log.announcement()?;
            Ok(announced.is_some())
        };
        wait::until(left(), listening, || late("the job manager did not listen"))?;
        let Announcement { rest, cluster } = announced.unwrap_or_default();
        let client = Client::new(&CliSettings {
            address: rest.clone(),
            ..settings.clone()
        })?;
        self.note.address = rest;
        let ready = || {
            self.all_alive()?;
            is_ready(&client)
        };
        wait::until(left(), ready, || late("the job manager was not ready"))?;

        for number in 1..=arguments.task_managers {
            let id = format!("taskmanager-{number}");
            let flags = [
                ("--id", id.clone()),
                ("--job-manager", cluster.clone()),
                ("--slots", arguments.slots.to_string()),
                ("--directory", self.directory.join(&id).display().to_string()),
            ];
            self.spawn(&id, "tidegate-taskmanager", &flags)?;
        }
        waiting.show("waiting for the task managers", "");
        let attached = || {
            self.all_alive()?;
            self.all_attached(&client)
        };
        wait::until(left(), attached, || late("not all task managers were attached"))
    }

    /// Starts one process, and notes it before anything else happens; what it writes from now on.
    fn spawn(&mut self, name: &str, program: &str, flags: &[(&str, String)]) -> Result<Log> {
        let path = self.binaries.join(program);
        if !path.is_file() {
            return Err(Error::Process(format!(
                "there is no {program} in {}; build it, or say with --bin-dir where it is",
                self.binaries.display()
            )));
        }
        let log = self.directory.join("logs").join(format!("{name}.log"));
        let written = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(Error::file(&log, "written"))?;
        let also = written.try_clone().map_err(Error::file(&log, "written"))?;
        let begin = written.metadata().map_err(Error::file(&log, "read"))?.len();
        let child = Command::new(&path)
            .args(flags.iter().flat_map(|(flag, value)| [*flag, value.as_str()]))
            .current_dir(&self.directory)
            .stdin(Stdio::null())
            .stdout(written)
            .stderr(also)
            // Ctrl-C in this terminal is not meant for it.
            .process_group(0)
            .spawn()
            .map_err(|error| Error::Process(format!("{} cannot be started: {error}", path.display())))?;
        let process = Process::of(child.id());
        self.children.push(child);
        let Some(process) = process else {
            return Err(ended_early(name, &log));
        };
        self.note.members.push(Member {
            name: name.to_owned(),
            process,
            log: log.clone(),
        });
        self.note.write(&self.directory)?;
        Ok(Log { path: log, begin })
    }

    fn all_alive(&self) -> Result<()> {
        let gone = self.note.members.iter().find(|member| !member.process.is_alive());
        gone.map_or(Ok(()), |member| Err(ended_early(&member.name, &member.log)))
    }

    fn all_attached(&self, client: &Client) -> Result<bool> {
        let list: TaskManagers = client.fetch(&Call::get(["v1", "taskmanagers"]))?;
        let is_attached = |member: &Member| {
            list.taskmanagers
                .iter()
                .any(|attached| attached.id == member.name)
        };
        Ok(self.note.members.iter().skip(1).all(is_attached))
    }

    /// Takes note of the ends of the children, also of one that could not be told from others.
    fn reap(&mut self) {
        for child in &mut self.children {
            // It has ended as a rule, which is no error here.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What a process writes.
struct Log {
    path: PathBuf,
    /// How long the file was before.
    begin: u64,
}

/// Where a job manager says that it listens.
#[derive(Clone, Debug, Default)]
struct Announcement {
    rest: String,
    cluster: String,
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

fn is_ready(client: &Client) -> Result<bool> {
    match client.probe("readyz") {
        Ok(_) => Ok(true),
        Err(error) if error.may_pass() => Ok(false),
        Err(error) => Err(error),
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
