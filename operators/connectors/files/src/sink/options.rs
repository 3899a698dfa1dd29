//! A file sink and how it is set up.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use tidegate_core::{
    Faults, OperatorError,
    sink::{Committer, Guarantee, Sink, SinkContext, SinkWriter},
};

use super::{commit::FileCommitter, encoder::Format, paths::StagingArea, writer::Writer};
use crate::FileError;

/// The default size at which a part is closed and another begun.
const MAX_PART_BYTES: u64 = 1024 * 1024 * 1024;

/// Writes records to files in a local directory, exactly once.
///
/// Records are staged in `<directory>/.staging` and made durable at every checkpoint. When the checkpoint is claimed its
/// files get their final names, `part-<lineage>-<uid>-<epoch>-<task>-<n>.<extension>`, in one step that neither replaces
/// nor repeats anything: readers see whole files, each record in one of them. Output is visible when its checkpoint
/// commits, so its latency is the checkpoint interval.
///
/// Readers must not remove files of an epoch that may be committed again after a failure, which are those of the last
/// claimed one.
#[derive(Clone, Debug)]
pub struct FileSink {
    directory: PathBuf,
    format: Format,
    max_part_bytes: u64,
    faults: Faults,
}

impl FileSink {
    /// Writes CSV files, each with a heading of the names of the record's fields if it has such.
    pub fn csv(directory: impl Into<PathBuf>) -> Self {
        Self::with_format(directory.into(), Format::Csv { heading: true })
    }

    /// Writes files with one JSON value on each line.
    pub fn json_lines(directory: impl Into<PathBuf>) -> Self {
        Self::with_format(directory.into(), Format::JsonLines)
    }

    fn with_format(directory: PathBuf, format: Format) -> Self {
        Self {
            directory,
            format,
            max_part_bytes: MAX_PART_BYTES,
            faults: Faults::default(),
        }
    }

    /// CSV: files have no heading.
    #[must_use]
    pub fn without_heading(mut self) -> Self {
        if let Format::Csv { heading } = &mut self.format {
            *heading = false;
        }
        self
    }

    /// The size at which a file is closed and another begun within an epoch: 1 GiB unless set.
    #[must_use]
    pub fn max_part_bytes(mut self, bytes: u64) -> Self {
        self.max_part_bytes = bytes.max(1);
        self
    }

    /// Where tests make the committer die.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// The directory it writes to.
    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

impl<T: Serialize + Send + 'static> Sink<T> for FileSink {
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn writer(&self, context: &SinkContext<'_>) -> Result<Box<dyn SinkWriter<T>>, OperatorError> {
        let area = StagingArea::new(&self.directory, context.lineage, &context.operator.uid);
        // Said at the start rather than at the first record, which may come much later.
        fs::create_dir_all(area.path()).map_err(|error| FileError::writing(area.path(), error))?;
        Ok(Box::new(Writer::new(
            area,
            self.format,
            self.max_part_bytes,
            context,
        )))
    }

    fn committer(&self) -> Option<Arc<dyn Committer>> {
        let committer = FileCommitter::new(self.directory.clone(), self.format, self.faults.clone());
        Some(Arc::new(committer))
    }
}
