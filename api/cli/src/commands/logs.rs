//! `tidegate logs`.

use std::{collections::BTreeMap, thread, time::Duration};

use super::{Context, wait};
use crate::{
    arguments::LogsArguments,
    client::Call,
    documents::{JobDetails, LogFile, LogFiles, has_ended},
    error::{Error, Result},
    exit_code::ExitCode,
    output::{Column, bytes, one_line, print, print_bytes, table},
    reference,
};

/// The most bytes that are asked for at once.
const PIECE_BYTES: u32 = 1024 * 1024;
/// How often is looked for more.
const PAUSE: Duration = Duration::from_millis(500);

/// Lists a job's log files, or shows them.
pub(super) fn run(context: &Context, arguments: &LogsArguments) -> Result<ExitCode> {
    let id = reference::job(&context.client, &arguments.job)?;
    if arguments.list {
        let document = context.client.call(&files_of(&id))?;
        context.output.show(&document, || {
            let columns = [
                Column::Text("TASK MANAGER"),
                Column::Text("FILE"),
                Column::Number("SIZE"),
            ];
            let files = wanted(context.client.read(document.clone())?, arguments)
                .into_iter()
                .map(|file| vec![file.task_manager, file.name, bytes(file.size)]);
            Ok(table(&columns, files))
        })?;
        return Ok(ExitCode::Success);
    }
    let mut reader = Reader {
        context,
        id: &id,
        tail: arguments.tail,
        shown: BTreeMap::new(),
        current: None,
    };
    loop {
        // What is written before the job ends is still read after it.
        let over = !arguments.follow || ended(context, &id)?;
        let files = wait::patiently(context, || context.client.fetch::<LogFiles>(&files_of(&id)))?;
        let files = wanted(files, arguments);
        if files.is_empty() && over {
            return Err(Error::Usage(format!(
                "job {id} has no such log file; `tidegate logs --list` shows those there are"
            )));
        }
        for file in &files {
            reader.show(file, files.len() > 1)?;
        }
        if over {
            return Ok(ExitCode::Success);
        }
        thread::sleep(PAUSE);
    }
}

fn files_of(id: &str) -> Call {
    Call::get(["v1", "jobs", id, "logs"])
}

fn ended(context: &Context, id: &str) -> Result<bool> {
    let job: JobDetails = wait::patiently(context, || context.client.fetch(&Call::get(["v1", "jobs", id])))?;
    Ok(has_ended(&job.state))
}

/// The files that were asked for; says which task managers have not told theirs.
fn wanted(files: LogFiles, arguments: &LogsArguments) -> Vec<LogFile> {
    for silent in &files.unreachable {
        eprintln!("warning: {}", one_line(silent));
    }
    let matches = |wanted: &Option<String>, name: &str| wanted.as_deref().is_none_or(|wanted| wanted == name);
    let mut files = files.logs;
    files.retain(|file| {
        matches(&arguments.task_manager, &file.task_manager) && matches(&arguments.file, &file.name)
    });
    files
}

/// Shows files from where it left off.
struct Reader<'a> {
    context: &'a Context,
    id: &'a str,
    tail: Option<u64>,
    /// How far each file has been shown.
    shown: BTreeMap<(String, String), u64>,
    /// The file that was shown last.
    current: Option<(String, String)>,
}

impl Reader<'_> {
    fn show(&mut self, file: &LogFile, titled: bool) -> Result<()> {
        let key = (file.task_manager.clone(), file.name.clone());
        let first = self.tail.map_or(0, |tail| file.size.saturating_sub(tail));
        let mut offset = self.shown.get(&key).copied().unwrap_or(first);
        // A file that has become shorter was begun anew.
        if file.size < offset {
            offset = 0;
        }
        while offset < file.size {
            let path = ["v1", "jobs", self.id, "logs", &file.task_manager, &file.name];
            let call = Call::get(path)
                .query("offset", offset)
                .query("limit", PIECE_BYTES);
            let piece = wait::patiently(self.context, || self.context.client.piece(&call))?;
            if piece.bytes.is_empty() {
                break;
            }
            if titled && self.current.as_ref() != Some(&key) {
                print(&format!("==> {} {} <==\n", one_line(&key.0), one_line(&key.1)))?;
                self.current = Some(key.clone());
            }
            print_bytes(&piece.bytes)?;
            offset += piece.bytes.len() as u64;
            if offset >= piece.size {
                break;
            }
        }
        self.shown.insert(key, offset);
        Ok(())
    }
}
