//! Log files to whom they are served.

use std::{
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::Path,
    time::UNIX_EPOCH,
};

use tidegate_core::WorkerName;
use tidegate_proto::taskmanager::{LOG_CHUNK_LIMIT_BYTES, LogChunk, LogFile, LogProblem};

/// The files of a job, by name; none if it has not run here.
pub(crate) fn list_logs(folder: &Path) -> Result<Vec<LogFile>, String> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(format!("the logs cannot be listed: {error}")),
    };
    let mut files: Vec<LogFile> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let metadata = entry.metadata().ok()?;
            (is_log(&name) && metadata.is_file()).then(|| LogFile {
                name,
                size_bytes: metadata.len(),
                modified_ms: modified_ms(&metadata),
            })
        })
        .collect();
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// A part of a file of a job.
pub(crate) fn read_log(folder: &Path, name: &str, offset: u64, limit: u32) -> Result<LogChunk, LogProblem> {
    if !is_log(name) {
        let name: String = name.chars().take(100).collect();
        return Err(LogProblem::Missing(format!(
            "{name:?} is not the name of a log file; take one of those that are listed"
        )));
    }
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => LogProblem::Missing(format!(
            "there is no log file {name:?}, or none any more; take one of those that are listed"
        )),
        _ => LogProblem::Unreadable(format!("the log file {name:?} cannot be read: {error}")),
    };
    let mut file = File::open(folder.join(name)).map_err(unreadable)?;
    let size_bytes = file.metadata().map_err(unreadable)?.len();
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(offset.min(size_bytes)))
        .map_err(unreadable)?;
    file.take(limit.min(LOG_CHUNK_LIMIT_BYTES).into())
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(LogChunk { bytes, size_bytes })
}

/// Whether this is how the log files of workers are named: `<worker>.log`, or `<worker>.log.<number>`.
pub(super) fn is_log(name: &str) -> bool {
    let current = name
        .rsplit_once('.')
        .filter(|(_, number)| number.parse::<u32>().is_ok())
        .map_or(name, |(current, _)| current);
    current
        .strip_suffix(".log")
        .is_some_and(|worker| WorkerName::parse(worker).is_ok())
}

pub(super) fn modified_ms(metadata: &fs::Metadata) -> u64 {
    let modified = metadata.modified().ok();
    let since = modified.and_then(|modified| modified.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_in_parts() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a-1.log"), "0123456789").unwrap();
        for (offset, limit, expected) in [
            (0, 4, "0123"),
            (8, 4, "89"),
            (10, 4, ""),
            (u64::MAX, u32::MAX, ""),
            (2, u32::MAX, "23456789"),
            (0, 0, ""),
        ] {
            let chunk = read_log(folder.path(), "a-1.log", offset, limit).unwrap();
            assert_eq!(chunk.bytes, expected.as_bytes());
            assert_eq!(chunk.size_bytes, 10);
        }
    }

    #[test]
    fn only_log_files_of_the_job_are_listed_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("job");
        fs::create_dir(&logs).unwrap();
        for path in [
            "secret.log",
            "job/a-1.log",
            "job/a-1.log.1",
            "job/other",
            "job/.x.log",
        ] {
            fs::write(folder.path().join(path), "x").unwrap();
        }
        fs::create_dir(logs.join("folder.log")).unwrap();
        let names: Vec<_> = list_logs(&logs)
            .unwrap()
            .into_iter()
            .map(|file| file.name)
            .collect();
        assert_eq!(names, ["a-1.log", "a-1.log.1"]);
        assert_eq!(list_logs(&folder.path().join("none")), Ok(vec![]));
        for name in [
            "../secret.log",
            "/etc/passwd",
            "",
            "..",
            ".log",
            "a-1.log/../../secret.log",
            "other",
            ".x.log",
            "a-2.log",
            "a\0.log",
            "a-1.log.",
            "a-1.log.-1",
        ] {
            let problem = read_log(&logs, name, 0, 10).unwrap_err();
            assert!(matches!(problem, LogProblem::Missing(_)), "{name}: {problem}");
        }
        let problem = read_log(&logs, "folder.log", 0, 10).unwrap_err();
        assert!(matches!(problem, LogProblem::Unreadable(_)), "{problem}");
    }
}
