//! Uploads in parts that are not objects yet.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::buckets::Refused;

/// By upload id.
#[derive(Debug, Default)]
pub(super) struct Uploads {
    started: u64,
    open: BTreeMap<String, Upload>,
}

#[derive(Debug)]
struct Upload {
    bucket: String,
    key: String,
    parts: BTreeMap<i32, Bytes>,
}

impl Uploads {
    pub(super) fn start(&mut self, bucket: &str, key: &str) -> String {
        self.started += 1;
        let id = format!("upload-{}", self.started);
        let upload = Upload {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            parts: BTreeMap::new(),
        };
        self.open.insert(id.clone(), upload);
        id
    }

    pub(super) fn add_part(&mut self, id: &str, number: i32, bytes: Bytes) -> Result<String, Refused> {
        let upload = self.open.get_mut(id).ok_or(Refused::NoUpload)?;
        upload.parts.insert(number, bytes);
        Ok(format!("{id}-part-{number}"))
    }

    /// The bucket, the key and the bytes that the object would have.
    pub(super) fn assemble(&self, id: &str, parts: &[i32]) -> Result<(String, String, Bytes), Refused> {
        let upload = self.open.get(id).ok_or(Refused::NoUpload)?;
        let mut bytes = BytesMut::new();
        for number in parts {
            bytes.extend_from_slice(upload.parts.get(number).ok_or(Refused::MissingPart)?);
        }
        Ok((upload.bucket.clone(), upload.key.clone(), bytes.freeze()))
    }

    pub(super) fn remove(&mut self, id: &str) -> bool {
        self.open.remove(id).is_some()
    }
}
