//! An S3 server in this process, and what sources, sinks and jobs must be told to come to it.

use object_store::{ObjectStore, aws::AmazonS3Builder, path::Path};
use std::sync::Arc;
use tidegate::options::JobStore;
use tidegate_core::{BoxFuture, Io};
use tidegate_files::{FileSink, FileSource};
use tidegate_sandbox::s3::{ACCESS_KEY_ID, FaultScript, S3Server, SECRET_ACCESS_KEY};
use tokio::runtime::{Handle, Runtime};

/// The bucket that is there.
pub(crate) const BUCKET: &str = "bucket";

/// A server that ends with the test, and threads for its clients.
pub(crate) struct Server {
    server: S3Server,
    runtime: Runtime,
}

/// Runs I/O where the server's clients may live.
struct RuntimeIo(Handle);

impl Io for RuntimeIo {
    fn spawn(&self, future: BoxFuture<()>) {
        self.0.spawn(future);
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) {
        self.0.spawn_blocking(work);
    }
}

impl Server {
    pub(crate) fn start() -> Self {
        Self {
            server: S3Server::with_bucket(BUCKET).expect("loopback has a free port"),
            runtime: Runtime::new().expect("a runtime can be had"),
        }
    }

    /// What sources and sinks must be told to come here.
    fn options(&self) -> [(&'static str, String); 5] {
        [
            ("endpoint", format!("http://{}", self.server.address())),
            ("allow_http", "true".into()),
            ("region", "us-east-1".into()),
            ("access_key_id", ACCESS_KEY_ID.into()),
            ("secret_access_key", SECRET_ACCESS_KEY.into()),
        ]
    }

    pub(crate) fn source<T>(&self, source: FileSource<T>) -> FileSource<T> {
        self.options()
            .into_iter()
            .fold(source, |source, (name, value)| source.store_option(name, value))
    }

    pub(crate) fn sink(&self, sink: FileSink) -> FileSink {
        self.options()
            .into_iter()
            .fold(sink, |sink, (name, value)| sink.store_option(name, value))
    }

    /// A folder of the bucket as the place of a job's checkpoints.
    pub(crate) fn job_store(&self, folder: &str) -> JobStore {
        let builder = self.options().into_iter().fold(
            AmazonS3Builder::new().with_bucket_name(BUCKET),
            |builder, (name, value)| {
                let key = name.parse().expect("the client knows the option");
                builder.with_config(key, value)
            },
        );
        let store: Arc<dyn ObjectStore> = Arc::new(builder.build().expect("a client can be made"));
        JobStore::new(store, Path::from(folder), format!("s3://{BUCKET}/{folder}"))
    }

    /// How the server misbehaves.
    pub(crate) fn faults(&self) -> &FaultScript {
        self.server.faults()
    }

    pub(crate) fn io(&self) -> impl Io + 'static {
        RuntimeIo(self.runtime.handle().clone())
    }

    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }

    /// Makes this thread one on which clients find the runtime.
    pub(crate) fn enter(&self) -> tokio::runtime::EnterGuard<'_> {
        self.runtime.enter()
    }

    /// Puts an object into the bucket behind the server's back.
    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        self.server.buckets().put(BUCKET, key, bytes.to_vec());
    }

    /// The objects beneath a folder of the bucket with their contents, in the order of their names.
    pub(crate) fn objects(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let objects = self.server.buckets().objects(BUCKET, &format!("{folder}/"));
        objects
            .into_iter()
            .map(|(key, bytes)| (key, bytes.to_vec()))
            .collect()
    }
}
