//! The end of the terminal, where lines stand that change.
//!
//! The cursor waits above them. So whatever else is printed, by whomever, is never lost: it may overwrite them, and they
//! are shown again below it. Neither the terminal's mode nor its cursor is changed: there is nothing to restore but the
//! lines themselves, which [`close`](Screen::close) takes away.

use std::{
    io::{self, Write},
    panic,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use console::Term;
use tracing_subscriber::fmt::MakeWriter;

use super::Size;

/// A terminal's size where it does not tell it.
const USUAL_SIZE: Size = Size {
    rows: 24,
    columns: 80,
};

/// What is shown at the end of standard error; cheap to clone. Nothing, at first.
#[derive(Clone)]
pub(in crate::command_line) struct Screen {
    /// Held while something is written, for never longer than that.
    shown: Arc<Mutex<Shown>>,
}

struct Shown {
    /// Writes when it is flushed: a change is one piece.
    terminal: Term,
    lines: Vec<String>,
    /// The job's own threads may be a moment late to hear of its end.
    is_closed: bool,
}

impl Default for Screen {
    fn default() -> Self {
        Self::on(Term::buffered_stderr())
    }
}

impl Screen {
    fn on(terminal: Term) -> Self {
        let shown = Shown {
            terminal,
            lines: Vec::new(),
            is_closed: false,
        };
        Self {
            shown: Arc::new(Mutex::new(shown)),
        }
    }

    /// Whether standard error is a terminal whose lines can change.
    pub(in crate::command_line) fn is_live() -> bool {
        console::user_attended_stderr() && !console::is_dumb()
    }

    fn lock(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what `frame` makes for the terminal's size in place of what was shown.
    pub(in crate::command_line) fn show(&self, frame: impl FnOnce(Size) -> Vec<String>) {
        let mut shown = self.lock();
        if shown.is_closed {
            return;
        }
        let size = shown.terminal.size_checked().map(|(rows, columns)| Size {
            rows: usize::from(rows),
            columns: usize::from(columns),
        });
        shown.lines = frame(size.unwrap_or(USUAL_SIZE));
        shown.draw();
    }

    /// Takes away what is shown. Nothing is shown any more.
    pub(in crate::command_line) fn close(&self) {
        let mut shown = self.lock();
        shown.is_closed = true;
        if !shown.lines.is_empty() {
            shown.lines.clear();
            shown.draw();
        }
    }

    /// Lets `write` write lines to the terminal above what is shown.
    pub(in crate::command_line) fn above<R>(&self, write: impl FnOnce() -> R) -> R {
        self.lock().above(write)
    }

    /// Lets the messages of panics stand above what is shown, from here on.
    pub(in crate::command_line) fn keep_panics_legible(&self) {
        let (screen, report) = (self.clone(), panic::take_hook());
        panic::set_hook(Box::new(move |info| match screen.shown.try_lock() {
            Ok(mut shown) => shown.above(|| report(info)),
            // Somebody is drawing: it may be this very thread.
            Err(_) => report(info),
        }));
    }
}

impl Shown {
    /// Nothing can be done about a terminal that takes nothing: what follows would not be seen there either.
    fn draw(&self) {
        let draw = || {
            self.terminal.write_str("\r")?;
            self.terminal.clear_to_end_of_screen()?;
            for line in &self.lines {
                self.terminal.write_line(line)?;
            }
            self.terminal.move_cursor_up(self.lines.len())?;
            self.terminal.flush()
        };
        let _: io::Result<()> = draw();
    }

    fn above<R>(&mut self, write: impl FnOnce() -> R) -> R {
        if self.lines.is_empty() {
            return write();
        }
        let lines = std::mem::take(&mut self.lines);
        self.draw();
        let written = write();
        self.lines = lines;
        self.draw();
        written
    }
}

/// Logs go to standard error, above what is shown there.
impl<'a> MakeWriter<'a> for Screen {
    type Writer = LogWriter;

    fn make_writer(&'a self) -> LogWriter {
        LogWriter(self.clone())
    }
}

/// Writes whole lines.
pub(in crate::command_line) struct LogWriter(Screen);

impl Write for LogWriter {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.above(|| io::stderr().write_all(lines))?;
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read, Seek},
        num::NonZero,
    };

    use super::*;

    const ROWS: NonZero<u16> = NonZero::new(24).expect("it is not zero");
    const COLUMNS: NonZero<u16> = NonZero::new(80).expect("it is not zero");

    /// A screen on a file, and what a terminal would make of what was written there.
    struct Fixture {
        screen: Screen,
        file: File,
    }

    impl Fixture {
        fn new() -> Self {
            let file = tempfile::tempfile().unwrap();
            let (read, write) = (file.try_clone().unwrap(), file.try_clone().unwrap());
            let terminal = Term::read_write_pair(read, write);
            Self {
                screen: Screen::on(terminal),
                file,
            }
        }

        fn show(&self, lines: &[&str]) {
            self.screen.show(|size| {
                assert_eq!(size, USUAL_SIZE);
                lines.iter().map(|line| (*line).to_owned()).collect()
            });
        }

        fn print(&self, text: &str) {
            (&self.file).write_all(text.as_bytes()).unwrap();
        }

        /// The rows of the terminal, and the row that the cursor is in.
        fn rows(&mut self) -> (Vec<String>, usize) {
            let mut written = Vec::new();
            self.file.rewind().unwrap();
            self.file.read_to_end(&mut written).unwrap();
            let mut terminal = vt100::Parser::new(ROWS, COLUMNS, 0);
            // A terminal device makes this of line ends.
            for byte in written {
                let ends_line = byte == b'\n';
                terminal.process(if ends_line {
                    b"\r\n"
                } else {
                    std::slice::from_ref(&byte)
                });
            }
            let contents = terminal.screen().contents();
            let rows = contents.lines().map(|row| row.trim_end().to_owned());
            (rows.collect(), usize::from(terminal.screen().cursor_position().0))
        }
    }

    #[test]
    fn lines_are_replaced_and_taken_away() {
        let mut fixture = Fixture::new();
        fixture.print("before\n");
        fixture.show(&["one", "two is long", "three"]);
        assert_eq!(
            fixture.rows(),
            (
                ["before", "one", "two is long", "three"]
                    .map(str::to_owned)
                    .to_vec(),
                1
            )
        );
        fixture.show(&["uno", "due"]);
        assert_eq!(
            fixture.rows(),
            (["before", "uno", "due"].map(str::to_owned).to_vec(), 1)
        );
        fixture.screen.close();
        fixture.show(&["too late"]);
        assert_eq!(fixture.rows(), (vec!["before".to_owned()], 1));
    }

    #[test]
    fn what_is_written_above_stays_and_so_do_the_lines() {
        let mut fixture = Fixture::new();
        fixture.show(&["one", "two"]);
        fixture.screen.above(|| fixture.print("a log line\n"));
        assert_eq!(
            fixture.rows(),
            (["a log line", "one", "two"].map(str::to_owned).to_vec(), 1)
        );
    }

    #[test]
    fn what_others_print_in_between_is_not_lost() {
        let mut fixture = Fixture::new();
        fixture.show(&["1", "2", "3"]);
        fixture.print("first record\nsecond record\n");
        fixture.show(&["1", "2", "3"]);
        assert_eq!(
            fixture.rows(),
            (
                ["first record", "second record", "1", "2", "3"]
                    .map(str::to_owned)
                    .to_vec(),
                2
            )
        );
    }
}
