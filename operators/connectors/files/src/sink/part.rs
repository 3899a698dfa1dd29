//! A staged file that is being written: compressed, and uploaded in runs once it is large.

use object_store::{MultipartUpload, ObjectStoreExt, PutPayload};

use super::{commit::Staged, output::StagingArea, paths::PartId};
use crate::{Compression, FileError, compression::Compressor};

/// How many bytes are uploaded at once. Object stores take no less, except at the end.
const RUN_BYTES: usize = 8 * 1024 * 1024;

/// A part that takes bytes.
pub(super) struct OpenPart {
    id: PartId,
    compressor: Compressor,
    /// What has been compressed and not uploaded.
    rest: Vec<u8>,
    upload: Option<Box<dyn MultipartUpload>>,
    size: u64,
    checksum: u32,
}

impl OpenPart {
    pub(super) fn new(area: &StagingArea, id: PartId, compression: Compression) -> Result<Self, FileError> {
        let compressor = Compressor::new(compression).map_err(Compressor::failed(&area.name_of(id)))?;
        Ok(Self {
            id,
            compressor,
            rest: Vec::new(),
            upload: None,
            size: 0,
            checksum: 0,
        })
    }

    pub(super) fn id(&self) -> PartId {
        self.id
    }

    /// Takes bytes in and compresses them.
    pub(super) fn add(&mut self, area: &StagingArea, bytes: Vec<u8>) -> Result<(), FileError> {
        let compressed = self
            .compressor
            .add(bytes)
            .map_err(Compressor::failed(&area.name_of(self.id)))?;
        self.take_in(compressed);
        Ok(())
    }

    /// Whether enough has gathered to be uploaded.
    pub(super) fn is_to_be_uploaded(&self) -> bool {
        self.rest.len() >= RUN_BYTES
    }

    /// Uploads what has gathered.
    pub(super) async fn upload(mut self, area: StagingArea) -> Result<Self, FileError> {
        let failed = |error| FileError::storing(area.name_of(self.id), error);
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => {
                let begun = area.0.store.put_multipart(&area.key_of(self.id)).await;
                none.insert(begun.map_err(failed)?)
            }
        };
        let run = PutPayload::from(std::mem::take(&mut self.rest));
        upload.put_part(run).await.map_err(failed)?;
        Ok(self)
    }

    /// Closes the part. When this is done it is durable. Whatever was staged under its name before is replaced and not
    /// written to: it may be published already and share its contents with the published file.
    pub(super) async fn finish(mut self, area: StagingArea) -> Result<Staged, FileError> {
        let name = area.name_of(self.id);
        let compressor = std::mem::replace(&mut self.compressor, Compressor::None(Vec::new()));
        let end = compressor.finish().map_err(Compressor::failed(&name))?;
        self.take_in(end);
        if self.upload.is_some() && !self.rest.is_empty() {
            self = self.upload(area.clone()).await?;
        }
        let rest = PutPayload::from(std::mem::take(&mut self.rest));
        let done = match &mut self.upload {
            Some(upload) => upload.complete().await,
            None => area.0.store.put(&area.key_of(self.id), rest).await,
        };
        done.map_err(|error| FileError::storing(name, error))?;
        Ok(Staged {
            id: self.id,
            size: self.size,
            checksum: self.checksum,
        })
    }

    fn take_in(&mut self, compressed: Vec<u8>) {
        self.size += compressed.len() as u64;
        self.checksum = crc32c::crc32c_append(self.checksum, &compressed);
        match self.rest.is_empty() {
            true => self.rest = compressed,
            false => self.rest.extend(compressed),
        }
    }
}
