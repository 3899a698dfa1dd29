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

    /// Writes whole lines, or what there is of one.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.size_bytes > 0 && self.size_bytes + bytes.len() as u64 > self.file_bytes {
            self.rotate()?;
        }
        self.file.write_all(bytes)?;
        self.size_bytes += bytes.len() as u64;
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
    fn one_file_alone_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = RotatedLog::open(folder.path().join("a.log"), 4, 1).unwrap();
        for line in ["one\n", "two\n", "longer than a file\n"] {
            log.write(line.as_bytes()).unwrap();
        }
        assert_eq!(content(folder.path()), named([("a.log", "longer than a file\n")]));
    }
}
