//! What is going on, on standard error.

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressStyle};

/// How often a spinner turns.
const TURN: Duration = Duration::from_millis(100);

/// A bar for `length` bytes; nothing where there is no terminal.
pub(crate) fn upload(length: u64, name: &str) -> ProgressBar {
    let bar = ProgressBar::new(length);
    // The templates are constant; if one were wrong the usual look would do.
    if let Ok(style) = ProgressStyle::with_template(
        "{msg} {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec} {eta}",
    ) {
        bar.set_style(style);
    }
    bar.set_message(format!("uploading {name}"));
    bar
}

/// What is being waited for: one line that changes on a terminal, or a line for every change where there is none.
pub(crate) struct Waiting {
    bar: Option<ProgressBar>,
    last: String,
}

impl Waiting {
    /// Nothing is known yet.
    pub(crate) fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new_spinner();
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
                bar.set_style(style);
            }
            bar.enable_steady_tick(TURN);
            bar
        });
        Self {
            bar,
            last: String::new(),
        }
    }

    /// How it stands now; `stage` changes seldom, `details` all the time.
    pub(crate) fn show(&mut self, stage: &str, details: &str) {
        match &self.bar {
            Some(bar) => bar.set_message(format!("{stage} {details}")),
            None if self.last != stage => eprintln!("{stage}"),
            None => {}
        }
        stage.clone_into(&mut self.last);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
