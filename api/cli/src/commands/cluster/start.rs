//! `tidegate cluster start`.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use serde_json::json;

use super::{
    launch::{Announcement, Launcher},
    note::{Launch, Note},
    stop,
};
use crate::{
    arguments::StartArguments,
    client::Client,
    error::{Error, Result},
    exit_code::ExitCode,
    output::Output,
    progress::Waiting,
    settings::CliSettings,
};

/// The name of the job manager among the members.
const JOB_MANAGER: &str = "jobmanager";

/// Starts a cluster, or what is gone of one, and waits until it is ready.
pub(super) fn run(arguments: &StartArguments, settings: &CliSettings, output: Output) -> Result<ExitCode> {
    let directory = &arguments.place.dir;
    fs::create_dir_all(directory.join("logs")).map_err(Error::file(directory, "created"))?;
    let directory = directory.canonicalize().map_err(Error::file(directory, "read"))?;
    let alive = |note: &Note| {
        note.members
            .iter()
            .filter(|member| member.process.is_alive())
            .count()
    };
    let note = match Note::read(&directory)? {
        Some(note) if alive(&note) == note.members.len() => {
            return Err(Error::Usage(format!(
                "a cluster runs in {} already; end it with `tidegate cluster stop`, or choose another place with --dir",
                directory.display()
            )));
        }
        Some(note) if alive(&note) > 0 => revive(arguments, settings, directory.clone(), note)?,
        _ => start(arguments, settings, directory.clone())?,
    };
    let task_managers = note.members.len() - 1;
    let logs = directory.join("logs");
    let document = json!({
        "address": note.address,
        "storage": note.storage,
        "logs": logs,
        "task-managers": task_managers,
    });
    output.show(&document, || {
        Ok(format!(
            "a job manager and {task_managers} task managers are ready\naddress {}\nstorage {}\nlogs    {}\n",
            note.address,
            note.storage,
            logs.display()
        ))
    })?;
    Ok(ExitCode::Success)
}

/// Starts a cluster; if that fails, nothing of it is left running.
fn start(arguments: &StartArguments, settings: &CliSettings, directory: PathBuf) -> Result<Note> {
    let client = Client::new(settings)?;
    let taken = !matches!(client.probe("healthz"), Err(Error::Unreachable { .. }));
    if taken {
        return Err(Error::Usage(format!(
            "something answers at {} already; choose another address with --address",
            client.address()
        )));
    }
    let storage = match &arguments.storage {
        Some(location) => location.clone(),
        None => directory.join("storage").display().to_string(),
    };
    let note = Note {
        address: client.address().to_owned(),
        storage,
        members: Vec::new(),
    };
    let mut launcher = Launcher::new(directory, note, arguments.ready_within);
    if let Err(error) = bring_up(&mut launcher, arguments, settings) {
        let ended = stop::end(&launcher.note.members).map(|_| ());
        launcher.reap();
        ended?;
        Note::remove(&launcher.directory)?;
        return Err(error);
    }
    Ok(launcher.note)
}

fn bring_up(launcher: &mut Launcher, arguments: &StartArguments, settings: &CliSettings) -> Result<()> {
    let binaries = binaries(arguments)?;
    let mut waiting = Waiting::new();
    waiting.show("waiting for the job manager", "");
    let rest = launcher.note.address.trim_start_matches("http://").to_owned();
    let job_manager = |rest: &str, cluster: &str, storage: &str| {
        let flags = [
            ("--storage", storage),
            ("--rest-address", rest),
            ("--cluster-address", cluster),
        ];
        launch(&binaries, "tidegate-jobmanager", &flags)
    };
    let storage = launcher.note.storage.clone();
    let first = job_manager(&rest, &arguments.control_address.to_string(), &storage)?;
    let log = launcher.launch(JOB_MANAGER, first)?;
    let Announcement { rest, cluster } = launcher.announcement(&log)?;
    // Started again, it has to be where the others look for it.
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let again = job_manager(&address(&rest), &address(&cluster), &storage)?;
    launcher.note.members[0].launch = again;
    launcher.note.address = rest.clone();
    let client = at(settings, &rest)?;
    launcher.ready(&client)?;

    waiting.show("waiting for the task managers", "");
    for number in 1..=arguments.task_managers {
        let id = format!("taskmanager-{number}");
        let place = launcher.directory.join(&id).display().to_string();
        let flags = [
            ("--id", id.as_str()),
            ("--job-manager", &cluster),
            ("--slots", &arguments.slots.to_string()),
            ("--directory", &place),
        ];
        launcher.launch(&id, launch(&binaries, "tidegate-taskmanager", &flags)?)?;
    }
    launcher.attached(&client)
}

/// Starts what is gone of a cluster, as it was started before.
fn revive(
    arguments: &StartArguments,
    settings: &CliSettings,
    directory: PathBuf,
    note: Note,
) -> Result<Note> {
    let client = at(settings, &note.address)?;
    let gone: Vec<_> = note
        .members
        .iter()
        .filter(|member| !member.process.is_alive())
        .map(|member| (member.name.clone(), member.launch.clone()))
        .collect();
    let mut launcher = Launcher::new(directory, note, arguments.ready_within);
    for (name, launch) in gone {
        eprintln!("{name} is gone and is started again");
        launcher.launch(&name, launch)?;
    }
    launcher.ready(&client)?;
    launcher.attached(&client)?;
    Ok(launcher.note)
}

fn at(settings: &CliSettings, address: &str) -> Result<Client> {
    Client::new(&CliSettings {
        address: address.to_owned(),
        ..settings.clone()
    })
}

/// The directory with the programs.
fn binaries(arguments: &StartArguments) -> Result<PathBuf> {
    if let Some(directory) = &arguments.bin_dir {
        return directory.canonicalize().map_err(Error::file(directory, "read"));
    }
    let own = env::current_exe()
        .map_err(|error| Error::Process(format!("this program cannot be found: {error}")))?;
    Ok(own.parent().map(Path::to_owned).unwrap_or_default())
}

fn launch(binaries: &Path, program: &str, flags: &[(&str, &str)]) -> Result<Launch> {
    let path = binaries.join(program);
    if !path.is_file() {
        return Err(Error::Process(format!(
            "there is no {program} in {}; build it, or say with --bin-dir where it is",
            binaries.display()
        )));
    }
    let arguments = flags.iter().flat_map(|(flag, value)| [*flag, value]);
    Ok(Launch {
        program: path,
        arguments: arguments.map(str::to_owned).collect(),
    })
}
