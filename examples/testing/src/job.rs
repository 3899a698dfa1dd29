//! An example's executable, run and killed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long a condition may take to come true before the test gives up.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A job and the place in which it leaves everything.
pub struct Job<'a> {
    executable: &'a str,
    place: &'a Path,
    options: Vec<String>,
}

impl<'a> Job<'a> {
    /// The job of an executable, with its output and its checkpoints in `place`.
    pub fn new(executable: &'a str, place: &'a Path) -> Self {
        Self {
            executable,
            place,
            options: Vec::new(),
        }
    }

    /// Options that every run of it is given.
    #[must_use]
    pub fn with(mut self, options: &[&str]) -> Self {
        self.options
            .extend(options.iter().map(|option| (*option).to_owned()));
        self
    }

    /// Where its output is.
    pub fn output(&self) -> PathBuf {
        self.place.join("output")
    }

    /// Runs it to its end and gives what it said on standard error.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn succeeds(&self, options: &[&str]) -> String {
        let output = self.command(options).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{}: {words}", output.status);
        words
    }

    /// Starts it and kills it, in the cruel way, as soon as a condition holds.
    ///
    /// # Panics
    /// If it ends before that, or the condition does not come true.
    #[track_caller]
    pub fn kill_when(&self, options: &[&str], condition: impl Fn() -> bool) {
        let mut running = Running(self.command(options).spawn().unwrap());
        let started = Instant::now();
        while !condition() {
            assert!(started.elapsed() < PATIENCE, "the time to kill never came");
            if let Some(status) = running.0.try_wait().unwrap() {
                panic!("the job ended before it could be killed: {status}");
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        running.0.kill().unwrap();
        running.0.wait().unwrap();
    }

    /// Kills it when it has claimed `more` epochs.
    ///
    /// # Panics
    /// As [`kill_when`](Self::kill_when) does.
    #[track_caller]
    pub fn kill_after(&self, more: usize, options: &[&str]) {
        let until = self.epochs() + more;
        self.kill_when(options, || self.epochs() >= until);
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = Command::new(self.executable);
        command
            .arg("--output")
            .arg(self.output())
            .arg("--checkpoint-dir")
            .arg(self.place.join("checkpoints"))
            .args(&self.options)
            .args(options)
            .stdin(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    /// The last epoch that it has claimed.
    fn epochs(&self) -> usize {
        let links = fs::read_dir(self.place.join("checkpoints/epochs"));
        let numbers = links.into_iter().flatten().filter_map(|link| {
            let name = link.ok()?.file_name();
            name.to_string_lossy().parse().ok()
        });
        numbers.max().unwrap_or(0)
    }
}

/// A process that does not outlive the test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
