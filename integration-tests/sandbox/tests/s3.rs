//! The S3 server as a client of S3 sees it, whole and misbehaving.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use object_store::{
    BackoffConfig, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, Result, RetryConfig,
    UpdateVersion, WriteMultipart,
    aws::{AmazonS3, AmazonS3Builder, S3CopyIfNotExists},
    path::Path,
};
use tidegate_sandbox::s3::{ACCESS_KEY_ID, Fault, FaultRule, Hold, Moment, S3Server, SECRET_ACCESS_KEY};

const BUCKET: &str = "bucket";

fn builder(server: &S3Server) -> AmazonS3Builder {
    AmazonS3Builder::new()
        .with_endpoint(format!("http://{}", server.address()))
        .with_allow_http(true)
        .with_region("us-east-1")
        .with_bucket_name(BUCKET)
        .with_access_key_id(ACCESS_KEY_ID)
        .with_secret_access_key(SECRET_ACCESS_KEY)
        .with_copy_if_not_exists(S3CopyIfNotExists::Multipart)
}

/// A client that tries `retries` times more.
fn client(server: &S3Server, retries: usize) -> AmazonS3 {
    let retry = RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(1),
            max_backoff: Duration::from_millis(5),
            base: 2.0,
        },
        max_retries: retries,
        retry_timeout: Duration::from_secs(60),
    };
    builder(server).with_retry(retry).build().unwrap()
}

fn server() -> S3Server {
    S3Server::with_bucket(BUCKET).unwrap()
}

async fn create(client: &AmazonS3, key: &str, body: &'static str) -> Result<()> {
    let options: PutOptions = PutMode::Create.into();
    client
        .put_opts(
            &Path::from(key),
            PutPayload::from_static(body.as_bytes()),
            options,
        )
        .await
        .map(drop)
}

#[tokio::test]
async fn objects_come_back_as_they_were_put_in_ranges_and_pages() {
    let server = server();
    let client = client(&server, 0);
    let body: Vec<u8> = (0..100_000u32).flat_map(u32::to_le_bytes).collect();
    let key = Path::from("a/b c%20+&.bin");
    client.put(&key, body.clone().into()).await.unwrap();
    let found = client.get(&key).await.unwrap().bytes().await.unwrap();
    assert!(found == body);
    let range = client.get_range(&key, 5..4000).await.unwrap();
    assert!(range == body[5..4000]);
    assert_eq!(client.head(&key).await.unwrap().size, body.len() as u64);
    for number in 0..1003 {
        server.buckets().put(BUCKET, &format!("many/{number:04}/x"), "x");
    }
    let many: Vec<_> = client
        .list(Some(&Path::from("many")))
        .try_collect()
        .await
        .unwrap();
    assert_eq!(many.len(), 1003);
    let folders = client
        .list_with_delimiter(Some(&Path::from("many")))
        .await
        .unwrap();
    assert_eq!((folders.common_prefixes.len(), folders.objects.len()), (1003, 0));
    let gone: Vec<_> = client
        .delete_stream(futures::stream::iter(many).map(|meta| Ok(meta.location)).boxed())
        .try_collect()
        .await
        .unwrap();
    assert_eq!(gone.len(), 1003);
    assert!(matches!(
        client.get(&Path::from("many/0000/x")).await,
        Err(Error::NotFound { .. })
    ));
}

#[tokio::test]
async fn conditions_hold_for_puts_uploads_and_copies() {
    let server = server();
    let client = client(&server, 0);
    create(&client, "k", "one").await.unwrap();
    assert!(matches!(
        create(&client, "k", "two").await,
        Err(Error::AlreadyExists { .. })
    ));
    let key = Path::from("k");
    let version = client.head(&key).await.unwrap().e_tag;
    let update = |e_tag: Option<String>| PutMode::Update(UpdateVersion { e_tag, version: None });
    client
        .put_opts(&key, "two".into(), update(version.clone()).into())
        .await
        .unwrap();
    let stale = client
        .put_opts(&key, "three".into(), update(version).into())
        .await;
    assert!(matches!(stale, Err(Error::Precondition { .. })), "{stale:?}");
    let large = Path::from("large");
    let upload = client.put_multipart(&large).await.unwrap();
    let mut writer = WriteMultipart::new_with_chunk_size(upload, 5 << 20);
    writer.write(&vec![7; 11 << 20]);
    writer.finish().await.unwrap();
    assert_eq!(server.buckets().get(BUCKET, "large").unwrap().len(), 11 << 20);
    client
        .copy_if_not_exists(&large, &Path::from("copy"))
        .await
        .unwrap();
    let again = client.copy_if_not_exists(&key, &Path::from("copy")).await;
    assert!(matches!(again, Err(Error::AlreadyExists { .. })), "{again:?}");
    assert_eq!(server.buckets().get(BUCKET, "copy").unwrap().len(), 11 << 20);
}

#[tokio::test]
async fn strangers_and_missing_buckets_are_refused() {
    let server = server();
    server.buckets().create_foreign("theirs");
    for (stranger, expected) in [
        (
            builder(&server).with_secret_access_key("guessed"),
            "SignatureDoesNotMatch",
        ),
        (
            builder(&server).with_access_key_id("nobody"),
            "InvalidAccessKeyId",
        ),
        (builder(&server).with_bucket_name("elsewhere"), "NoSuchBucket"),
        (builder(&server).with_bucket_name("theirs"), "AccessDenied"),
    ] {
        let error = stranger.build().unwrap().put(&Path::from("k"), "x".into()).await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[tokio::test]
async fn every_fault_strikes_as_it_says() {
    let server = server();
    let client = client(&server, 0);
    let key = Path::from("k");
    let script = |rule: &str| {
        server.faults().clear();
        server.faults().add(rule.parse::<FaultRule>().unwrap());
    };
    let body = "0123456789";

    script("status:503 times 1");
    let error = client.put(&key, body.into()).await.unwrap_err().to_string();
    assert!(error.contains("503"), "{error}");
    assert_eq!(server.buckets().get(BUCKET, "k"), None, "it was not carried out");

    script("delay:100ms times 1");
    let asked = Instant::now();
    client.put(&key, body.into()).await.unwrap();
    assert!(asked.elapsed() >= Duration::from_millis(100));

    script("reset on write times 1");
    client.put(&key, "other".into()).await.unwrap_err();
    assert_eq!(
        server.buckets().get(BUCKET, "k").unwrap(),
        body,
        "it was not carried out"
    );

    script("reset-mid-body on read times 1");
    let read = match client.get(&key).await {
        Ok(found) => found.bytes().await,
        Err(error) => Err(error),
    };
    assert!(read.is_err(), "{read:?}");

    script("torn-write times 1");
    client.put(&key, body.into()).await.unwrap_err();
    assert_eq!(
        server.buckets().get(BUCKET, "k").unwrap(),
        "01234",
        "half of it is there"
    );
    script("torn-write times 1");
    create(&client, "conditional", body).await.unwrap_err();
    assert_eq!(server.buckets().get(BUCKET, "conditional"), None);

    script("lost-answer times 1");
    create(&client, "lost", body).await.unwrap_err();
    assert_eq!(
        server.buckets().get(BUCKET, "lost").unwrap(),
        body,
        "it was carried out"
    );
    assert_eq!(server.faults().struck(), 7);
}

#[tokio::test]
async fn a_client_that_tries_again_gets_over_what_heals() {
    let server = server();
    let client = client(&server, 5);
    for fault in [
        "status:500 times 2",
        "reset times 2",
        "torn-write times 2",
        "lost-answer times 1",
    ] {
        server.faults().clear();
        server.faults().add(fault.parse().unwrap());
        client.put(&Path::from("k"), "whole".into()).await.unwrap();
        assert_eq!(server.buckets().get(BUCKET, "k").unwrap(), "whole", "{fault}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_held_request_waits_before_or_after_it_is_carried_out() {
    let server = server();
    for (moment, meanwhile) in [(Moment::Before, None), (Moment::After, Some("held".into()))] {
        let client = client(&server, 0);
        let hold = Hold::at(moment);
        server.buckets().remove(BUCKET, "k");
        server
            .faults()
            .add(FaultRule::every(Fault::Hold(hold.clone())).at("/k").times(1));
        let asked = tokio::spawn(async move { client.put(&Path::from("k"), "held".into()).await });
        let at = hold.clone();
        tokio::task::spawn_blocking(move || at.reached(Duration::from_secs(20)))
            .await
            .unwrap();
        assert_eq!(server.buckets().get(BUCKET, "k"), meanwhile);
        assert!(!asked.is_finished());
        hold.release();
        asked.await.unwrap().unwrap();
        assert_eq!(server.buckets().get(BUCKET, "k").unwrap(), "held");
    }
}
