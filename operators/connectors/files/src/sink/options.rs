//! A file sink and how it is set up.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use object_store::ObjectStore;
use serde::Serialize;
use tidegate_core::{
    Faults, OperatorError,
    sink::{Committer, Guarantee, Sink, SinkContext, SinkWriter},
};

use super::{commit::FileCommitter, encoder::Format, output::Output, rolling::Rolling, writer::Writer};
use crate::{Compression, location::Stores};

/// Writes records to files in a folder, on this machine or in an object store, exactly once.
///
/// A location is a path or a URL: `file:///out`, with the feature `s3` `s3://bucket/out`, and others as
/// [`location`](crate#locations) says.
///
/// Records are staged in `<location>/.staging` and made durable at every checkpoint. When the checkpoint is claimed its
/// files get their final names, `part-<lineage>-<uid>-<epoch>-<task>-<n>.<extension>`, each in one step that neither
/// replaces nor repeats anything: on the local file system a link, on object stores a copy on the condition that nothing
/// is there. Readers see whole files, each record in one of them. Output is visible when its checkpoint commits, so its
/// latency is the checkpoint interval. An object store that has no such condition is refused before anything is staged in
/// it.
///
/// Every checkpoint closes the open file, because what a checkpoint covers is published with it;
/// [`max_part_bytes`](Self::max_part_bytes) and [`max_part_age`](Self::max_part_age) close it earlier.
///
/// What was staged and can never be published is removed by a later attempt, when the restored checkpoint is published.
/// Uploads to an object store that were cut off by a crash have no name and are not found: give the bucket a lifecycle
/// rule that aborts incomplete multipart uploads.
///
/// Readers must not remove files of an epoch that may be committed again after a failure, which are those of the last
/// claimed one.
#[derive(Clone, Debug)]
pub struct FileSink {
    output: Output,
    rolling: Rolling,
    faults: Faults,
}

impl FileSink {
    /// Writes CSV files, each with a heading of the names of the record's fields if it has such.
    pub fn csv(location: impl Into<PathBuf>) -> Self {
        Self::with_format(location.into(), Format::Csv { heading: true })
    }

    /// Writes files with one JSON value on each line.
    pub fn json_lines(location: impl Into<PathBuf>) -> Self {
        Self::with_format(location.into(), Format::JsonLines)
    }

    /// Writes text files: each record, which must be text without a line break, a number or a truth value, is a line.
    pub fn lines(location: impl Into<PathBuf>) -> Self {
        Self::with_format(location.into(), Format::Lines)
    }

    fn with_format(location: PathBuf, format: Format) -> Self {
        Self {
            output: Output {
                location,
                format,
                compression: Compression::None,
                stores: Arc::default(),
            },
            rolling: Rolling::default(),
            faults: Faults::default(),
        }
    }

    /// CSV: files have no heading.
    #[must_use]
    pub fn without_heading(mut self) -> Self {
        if let Format::Csv { heading } = &mut self.output.format {
            *heading = false;
        }
        self
    }

    /// How files are compressed; not at all unless set. Their names end accordingly.
    #[must_use]
    pub fn compression(mut self, compression: Compression) -> Self {
        self.output.compression = compression;
        self
    }

    /// The size, before compression, at which a file is closed and another begun: 1 GiB unless set.
    #[must_use]
    pub fn max_part_bytes(mut self, bytes: u64) -> Self {
        self.rolling.max_bytes = bytes.max(1);
        self
    }

    /// How long after its first record a file is closed and another begun when the next record comes. Unless set it is
    /// not.
    #[must_use]
    pub fn max_part_age(mut self, age: Duration) -> Self {
        self.rolling.max_age_ms = i64::try_from(age.as_millis()).ok();
        self
    }

    /// Sets an option of the object store, such as `region`, `endpoint` or `allow_http`: the names are those of
    /// `object_store`'s configuration keys. Options are also taken from the environment, where their names begin with
    /// `AWS_`, `GOOGLE_` or `AZURE_`; those set here win.
    #[must_use]
    pub fn store_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        Arc::<Stores>::make_mut(&mut self.output.stores).set_option(name.into(), value.into());
        self
    }

    /// Writes to this store, whatever the location says: its path is the key.
    #[must_use]
    pub fn object_store(mut self, store: Arc<dyn ObjectStore>) -> Self {
        Arc::make_mut(&mut self.output.stores).set_store(store);
        self
    }

    /// Where tests make the committer die: here rather than where the whole run does.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Where it writes to.
    pub fn directory(&self) -> &Path {
        &self.output.location
    }
}

impl<T: Serialize + Send + 'static> Sink<T> for FileSink {
    fn guarantee(&self) -> Guarantee {
        Guarantee::ExactlyOnce
    }

    fn writer(&self, context: &SinkContext<'_>) -> Result<Box<dyn SinkWriter<T>>, OperatorError> {
        let area = self.output.area(context.lineage, &context.operator.uid)?;
        // Said at the start rather than at the first record, which may come much later.
        area.create()?;
        Ok(Box::new(Writer::new(area, &self.output, self.rolling, context)))
    }

    fn committer(&self) -> Option<Arc<dyn Committer>> {
        Sink::<T>::committer_with(self, &Faults::default())
    }

    fn committer_with(&self, faults: &Faults) -> Option<Arc<dyn Committer>> {
        let faults = if self.faults.is_armed() {
            &self.faults
        } else {
            faults
        };
        let committer = FileCommitter::new(self.output.clone(), faults.clone());
        Some(Arc::new(committer))
    }
}
