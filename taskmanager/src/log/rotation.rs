//! A log that begins a new file when one is full.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// `<name>` is written to; `<name>.1` was before it, and so on.
#[derive(Debug)]
pub(crate) struct RotatedLog {
    path: PathBuf,
    file: File,
    size_bytes: u64,
    file_bytes: u64,
    files: u32,
}

impl RotatedLog {
    /// A log of at most `files` files of about `file_bytes` each. It goes on where an earlier one of its name ended.
    pub(crate) fn open(path: PathBuf, file_bytes: u64, files: u32) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = append_to(&path)?;
        let size_bytes = file.metadata()?.len();
        Ok(Self {
            path,
            file,
            size_bytes,
            file_bytes,
            files,
        })
    }

    /// Writes lines, or what there is of one. No line is cut, so that one that is longer than a file has a longer file.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = usize::try_from(self.file_bytes.saturating_sub(self.size_bytes)).unwrap_or(usize::MAX);
            let fitting = match fitting(bytes, room) {
                0 if self.size_bytes > 0 => {
                    self.rotate()?;
                    continue;
                }
                0 => first_line(bytes),
                fitting => fitting,
            };
            let (now, later) = bytes.split_at(fitting);
            self.file.write_all(now)?;
            self.size_bytes += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for number in (0..self.files.saturating_sub(1)).rev() {
            rename_if_there(&numbered(&self.path, number), &numbered(&self.path, number + 1))?;
        }
        if self.files <= 1 {
            fs::remove_file(&self.path)?;
        }
        self.file = append_to(&self.path)?;
        self.size_bytes = 0;
        Ok(())
    }
}

/// How many of the bytes go into `room`: all, or whole lines.
fn fitting(bytes: &[u8], room: usize) -> usize {
    if bytes.len() <= room {
        return bytes.len();
    }
    let end = bytes[..room].iter().rposition(|byte| *byte == b'\n');
    end.map_or(0, |end| end + 1)
}

fn first_line(bytes: &[u8]) -> usize {
    let end = bytes.iter().position(|byte| *byte == b'\n');
    end.map_or(bytes.len(), |end| end + 1)
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    match number {
        0 => path.to_owned(),
        number => {
            let mut name = path.as_os_str().to_owned();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        }
    }
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(folder: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let name = entry.file_name().into_string().unwrap();
                (name, fs::read_to_string(entry.path()).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    fn named<const N: usize>(files: [(&str, &str); N]) -> Vec<(String, String)> {
        files
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .into()
    }

    #[test]
    fn files_are_bounded_in_size_and_number() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = RotatedLog::open(folder.path().join("a.log"), 10, 3).unwrap();
        for line in ["one one\n", "two two\n", "3\n", "four four\n", "five five\n"] {
            log.write(line.as_bytes()).unwrap();
        }
        let kept = named([
            ("a.log", "five five\n"),
            ("a.log.1", "four four\n"),
            ("a.log.2", "two two\n3\n"),
        ]);
        assert_eq!(content(folder.path()), kept);
        drop(log);
        let mut again = RotatedLog::open(folder.path().join("a.log"), 10, 3).unwrap();
        again.write(b"six\n").unwrap();
        assert_eq!(content(folder.path())[1].1, "five five\n");
    }

    #[test]
    fn many_lines_at_once_are_bounded_too() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = RotatedLog::open(folder.path().join("a.log"), 10, 2).unwrap();
        log.write(b"one\ntwo\nthree\nlonger than a file\n4\nfive")
            .unwrap();
        let kept = named([("a.log", "4\nfive"), ("a.log.1", "longer than a file\n")]);
        assert_eq!(content(folder.path()), kept);
    }

    #[test]
    fn one_file_alone_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = RotatedLog::open(folder.path().join("a.log"), 4, 1).unwrap();
        for line in ["one\n", "two\n", "longer than a file\n"] {
            log.write(line.as_bytes()).unwrap();
        }
        assert_eq!(content(folder.path()), named([("a.log", "longer than a file\n")]));
    }
}
