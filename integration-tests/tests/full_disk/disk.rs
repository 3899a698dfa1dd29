//! A store on a disk that runs full when a test says so.

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, memory::InMemory,
    path::Path,
};

/// While it is full, everything that needs room is refused as the file system would; reading and deleting go on.
#[derive(Debug, Default)]
pub(crate) struct Disk {
    inner: InMemory,
    is_full: AtomicBool,
    refused: AtomicU64,
}

impl Disk {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn fill(&self) {
        self.is_full.store(true, SeqCst);
    }

    pub(crate) fn make_room(&self) {
        self.is_full.store(false, SeqCst);
    }

    /// How often something was refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(SeqCst)
    }

    /// The lines of all published files below `folder`.
    pub(crate) async fn published(&self, folder: &str) -> Vec<String> {
        let objects: Vec<_> = self.inner.list(Some(&folder.into())).collect().await;
        let mut lines = Vec::new();
        for object in objects {
            let path = object.expect("objects in memory can be listed").location;
            if path.parts().any(|part| part.as_ref().starts_with('.')) {
                continue;
            }
            let found = self.inner.get(&path).await.expect("it was listed");
            let bytes = found.bytes().await.expect("it is in memory");
            let text = String::from_utf8(bytes.to_vec()).expect("JSON is text");
            lines.extend(text.lines().map(str::to_owned));
        }
        lines
    }

    fn admit(&self) -> Result<()> {
        if !self.is_full.load(SeqCst) {
            return Ok(());
        }
        self.refused.fetch_add(1, SeqCst);
        Err(Error::Generic {
            store: "disk",
            source: io::Error::new(io::ErrorKind::StorageFull, "no space left on device").into(),
        })
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a disk that runs full")
    }
}

#[async_trait]
impl ObjectStore for Disk {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.admit()?;
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.admit()?;
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.admit()?;
        self.inner.copy_opts(from, to, options).await
    }
}
