//! A store that loses answers, or does not keep its word.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use async_trait::async_trait;
use futures::stream::BoxStream;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory, path::Path,
};

/// How it misbehaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Vice {
    /// Every second write is carried out and answered with an error; every third is answered so and not carried out.
    LosesAnswers,
    /// Overwrites what a conditional write must not touch.
    IgnoresConditions,
    /// Fails every conditional write and carries out none.
    Refuses,
}

#[derive(Debug)]
pub(crate) struct Misbehaving {
    inner: InMemory,
    vice: Vice,
    writes: AtomicU64,
}

impl Misbehaving {
    pub(crate) fn new(vice: Vice) -> Self {
        Self {
            inner: InMemory::new(),
            vice,
            writes: AtomicU64::new(0),
        }
    }
}

impl fmt::Display for Misbehaving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.vice)
    }
}

fn timeout() -> object_store::Error {
    object_store::Error::Generic {
        store: "misbehaving",
        source: "the answer was lost".into(),
    }
}

#[async_trait]
impl ObjectStore for Misbehaving {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        let create = options.mode == PutMode::Create;
        match self.vice {
            Vice::Refuses if create => return Err(timeout()),
            Vice::IgnoresConditions => options.mode = PutMode::Overwrite,
            Vice::LosesAnswers if create => {
                let write = self.writes.fetch_add(1, SeqCst);
                if write % 3 == 2 {
                    return Err(timeout());
                }
                let result = self.inner.put_opts(location, payload, options).await;
                return if write % 2 == 1 { Err(timeout()) } else { result };
            }
            _ => {}
        }
        self.inner.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
