//! The operations of S3 that clients of ours use, over [`Buckets`].

use std::collections::BTreeSet;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use s3s::{Body, S3, S3Error, S3Request, S3Response, S3Result, dto::*, s3_error};

use super::buckets::{Buckets, Refused, WriteCondition};

/// How many keys a page of a listing has, as with S3 itself.
const PAGE: usize = 1000;

/// S3 for s3s.
#[derive(Clone, Debug)]
pub(super) struct BucketService {
    pub(super) buckets: Buckets,
}

impl From<Refused> for S3Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NoBucket => s3_error!(NoSuchBucket),
            Refused::ForeignBucket => s3_error!(AccessDenied),
            Refused::NoObject => s3_error!(NoSuchKey),
            Refused::NoUpload => s3_error!(NoSuchUpload),
            Refused::MissingPart => s3_error!(InvalidPart),
            Refused::ConditionNotMet => s3_error!(PreconditionFailed),
        }
    }
}

fn condition(if_match: Option<ETagCondition>, if_none_match: Option<ETagCondition>) -> WriteCondition {
    match (if_match, if_none_match) {
        (_, Some(_)) => WriteCondition::IfAbsent,
        (Some(ETagCondition::Any), None) => WriteCondition::IfPresent(None),
        (Some(ETagCondition::ETag(tag)), None) => WriteCondition::IfPresent(Some(tag.into_value())),
        (None, None) => WriteCondition::Always,
    }
}

async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(body) = body else {
        return Ok(Bytes::new());
    };
    let collected = body
        .try_fold(BytesMut::new(), |mut all, part| async move {
            all.extend_from_slice(&part);
            Ok(all)
        })
        .await;
    // Whoever has cut it off does not hear this.
    collected
        .map(BytesMut::freeze)
        .map_err(|error| s3_error!(IncompleteBody, "{error}"))
}

fn source_of(source: &CopySource) -> S3Result<(&str, &str)> {
    match source {
        CopySource::Bucket { bucket, key, .. } => Ok((bucket, key)),
        _ => Err(s3_error!(NotImplemented)),
    }
}

fn length(bytes: &Bytes) -> Option<i64> {
    i64::try_from(bytes.len()).ok()
}

#[async_trait::async_trait]
impl S3 for BucketService {
    async fn put_object(&self, request: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let input = request.input;
        let condition = condition(input.if_match, input.if_none_match);
        let expected = input.content_length;
        let bytes = collect(input.body).await?;
        if expected.is_some_and(|expected| Some(expected) != length(&bytes)) {
            return Err(s3_error!(IncompleteBody));
        }
        let tag = self.buckets.write(&input.bucket, &input.key, bytes, &condition)?;
        Ok(S3Response::new(PutObjectOutput {
            e_tag: Some(ETag::Strong(tag)),
            ..PutObjectOutput::default()
        }))
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        let object = self.buckets.read(&input.bucket, &input.key)?;
        check_read(&object.entity_tag, input.if_match, input.if_none_match)?;
        let full = object.bytes.len();
        let (bytes, content_range) = match input.range {
            None => (object.bytes, None),
            Some(range) => {
                let within = range.check(full as u64).map_err(|_| s3_error!(InvalidRange))?;
                let text = format!("bytes {}-{}/{full}", within.start, within.end - 1);
                let bytes = object.bytes.slice(within.start as usize..within.end as usize);
                (bytes, Some(text))
            }
        };
        Ok(S3Response::new(GetObjectOutput {
            content_length: length(&bytes),
            content_range,
            body: Some(Body::from(bytes).into()),
            e_tag: Some(ETag::Strong(object.entity_tag)),
            last_modified: Some(object.modified.into()),
            ..GetObjectOutput::default()
        }))
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        let object = self.buckets.read(&input.bucket, &input.key)?;
        check_read(&object.entity_tag, input.if_match, input.if_none_match)?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: length(&object.bytes),
            e_tag: Some(ETag::Strong(object.entity_tag)),
            last_modified: Some(object.modified.into()),
            ..HeadObjectOutput::default()
        }))
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.buckets.find_bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.buckets.delete(&request.input.bucket, &request.input.key)?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let input = request.input;
        let mut deleted = Vec::new();
        for object in input.delete.objects {
            self.buckets.delete(&input.bucket, &object.key)?;
            deleted.push(DeletedObject {
                key: Some(object.key),
                ..DeletedObject::default()
            });
        }
        Ok(S3Response::new(DeleteObjectsOutput {
            deleted: Some(deleted),
            ..DeleteObjectsOutput::default()
        }))
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let input = request.input;
        let from = source_of(&input.copy_source)?;
        let object = self.buckets.copy(from, (&input.bucket, &input.key))?;
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(CopyObjectResult {
                e_tag: Some(ETag::Strong(object.entity_tag)),
                last_modified: Some(object.modified.into()),
                ..CopyObjectResult::default()
            }),
            ..CopyObjectOutput::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = request.input;
        let prefix = input.prefix.clone().unwrap_or_default();
        let behind = input.continuation_token.clone().max(input.start_after.clone());
        let page = input.max_keys.and_then(|keys| usize::try_from(keys).ok());
        let page = page.unwrap_or(PAGE).min(PAGE);
        let (mut contents, mut folders, mut last) = (Vec::new(), BTreeSet::new(), None);
        let mut is_truncated = false;
        for (key, object) in self.buckets.list(&input.bucket, &prefix)? {
            let folder = folder_of(&key, &prefix, input.delimiter.as_deref());
            let name = folder.clone().unwrap_or_else(|| key.clone());
            let is_told = folder.as_ref().is_some_and(|folder| folders.contains(folder));
            if is_told || behind.as_ref().is_some_and(|behind| name <= *behind) {
                continue;
            }
            if contents.len() + folders.len() == page {
                is_truncated = true;
                break;
            }
            last = Some(name);
            match folder {
                Some(folder) => {
                    folders.insert(folder);
                }
                None => contents.push(Object {
                    key: Some(key),
                    size: length(&object.bytes),
                    e_tag: Some(ETag::Strong(object.entity_tag)),
                    last_modified: Some(object.modified.into()),
                    ..Object::default()
                }),
            }
        }
        let folders = folders
            .into_iter()
            .map(|folder| CommonPrefix { prefix: Some(folder) });
        Ok(S3Response::new(ListObjectsV2Output {
            is_truncated: Some(is_truncated),
            next_continuation_token: last.filter(|_| is_truncated),
            contents: Some(contents),
            common_prefixes: Some(folders.collect()),
            name: Some(input.bucket),
            prefix: input.prefix,
            delimiter: input.delimiter,
            ..ListObjectsV2Output::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let input = request.input;
        let upload = self.buckets.start_upload(&input.bucket, &input.key)?;
        Ok(S3Response::new(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(upload),
            ..CreateMultipartUploadOutput::default()
        }))
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = request.input;
        let bytes = collect(input.body).await?;
        let tag = self
            .buckets
            .upload_part(&input.upload_id, input.part_number, bytes)?;
        Ok(S3Response::new(UploadPartOutput {
            e_tag: Some(ETag::Strong(tag)),
            ..UploadPartOutput::default()
        }))
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let input = request.input;
        let (bucket, key) = source_of(&input.copy_source)?;
        let bytes = self.buckets.read(bucket, key)?.bytes;
        if input.copy_source_range.is_some() {
            return Err(s3_error!(NotImplemented));
        }
        let tag = self
            .buckets
            .upload_part(&input.upload_id, input.part_number, bytes)?;
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(CopyPartResult {
                e_tag: Some(ETag::Strong(tag)),
                ..CopyPartResult::default()
            }),
            ..UploadPartCopyOutput::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let input = request.input;
        let condition = condition(input.if_match, input.if_none_match);
        let parts = input.multipart_upload.and_then(|upload| upload.parts);
        let parts: Vec<i32> = parts
            .into_iter()
            .flatten()
            .filter_map(|part| part.part_number)
            .collect();
        let tag = self
            .buckets
            .complete_upload(&input.upload_id, &parts, &condition)?;
        Ok(S3Response::new(CompleteMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(ETag::Strong(tag)),
            ..CompleteMultipartUploadOutput::default()
        }))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.buckets.abort_upload(&request.input.upload_id)?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}

fn check_read(
    tag: &str,
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<()> {
    let names = |condition: ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(wanted) => wanted.into_value() == tag,
    };
    if if_match.is_some_and(|condition| !names(condition)) {
        return Err(s3_error!(PreconditionFailed));
    }
    if if_none_match.is_some_and(names) {
        return Err(s3_error!(NotModified));
    }
    Ok(())
}

/// The folder that a key is told of by, in a listing that stops at a delimiter.
fn folder_of(key: &str, prefix: &str, delimiter: Option<&str>) -> Option<String> {
    let delimiter = delimiter.filter(|delimiter| !delimiter.is_empty())?;
    let rest = key.strip_prefix(prefix)?;
    let end = rest.find(delimiter)? + delimiter.len();
    Some(format!("{prefix}{}", &rest[..end]))
}
