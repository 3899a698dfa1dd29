//! What an S3 server keeps: buckets of objects, in memory, so that every condition is checked and met in one step.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use bytes::Bytes;

use super::multipart::Uploads;

/// Buckets by name. Clones see the same buckets.
#[derive(Clone, Debug, Default)]
pub struct Buckets {
    /// A leaf lock, held while an object is looked up or put in its place.
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    buckets: BTreeMap<String, Objects>,
    /// Of another account: nothing in them may be touched.
    foreign: BTreeSet<String>,
    uploads: Uploads,
    /// Makes entity tags that never come again.
    writes: u64,
}

/// By key.
type Objects = BTreeMap<String, StoredObject>;

/// An object as it is kept.
#[derive(Clone, Debug)]
pub(super) struct StoredObject {
    pub(super) bytes: Bytes,
    pub(super) entity_tag: String,
    pub(super) modified: SystemTime,
}

/// Under what condition an object is written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum WriteCondition {
    /// None.
    Always,
    /// If there is no object of that name.
    IfAbsent,
    /// If there is an object, with this entity tag if one is named.
    IfPresent(Option<String>),
}

/// Why an operation was not done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refused {
    NoBucket,
    ForeignBucket,
    NoObject,
    NoUpload,
    MissingPart,
    ConditionNotMet,
}

impl Buckets {
    /// Makes an empty bucket, if it is not there.
    pub fn create(&self, bucket: &str) {
        self.state().buckets.entry(bucket.to_owned()).or_default();
    }

    /// Makes a bucket that belongs to another account.
    pub fn create_foreign(&self, bucket: &str) {
        self.state().foreign.insert(bucket.to_owned());
    }

    /// Puts an object into a bucket behind the server's back.
    pub fn put(&self, bucket: &str, key: &str, bytes: impl Into<Bytes>) {
        self.create(bucket);
        self.write(bucket, key, bytes.into(), &WriteCondition::Always)
            .expect("the bucket was made");
    }

    /// The bytes of an object, if it is there.
    pub fn get(&self, bucket: &str, key: &str) -> Option<Bytes> {
        self.read(bucket, key).ok().map(|object| object.bytes)
    }

    /// Removes an object behind the server's back; whether there was one.
    pub fn remove(&self, bucket: &str, key: &str) -> bool {
        self.delete(bucket, key) == Ok(true)
    }

    /// The objects whose keys begin with `prefix`, in the order of their keys.
    pub fn objects(&self, bucket: &str, prefix: &str) -> Vec<(String, Bytes)> {
        let found = self.list(bucket, prefix).unwrap_or_default();
        found
            .into_iter()
            .map(|(key, object)| (key, object.bytes))
            .collect()
    }

    pub(super) fn find_bucket(&self, bucket: &str) -> Result<(), Refused> {
        self.state().bucket(bucket).map(drop)
    }

    pub(super) fn write(
        &self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        condition: &WriteCondition,
    ) -> Result<String, Refused> {
        self.state().write(bucket, key, bytes, condition)
    }

    pub(super) fn read(&self, bucket: &str, key: &str) -> Result<StoredObject, Refused> {
        self.state().read(bucket, key)
    }

    pub(super) fn copy(&self, from: (&str, &str), to: (&str, &str)) -> Result<StoredObject, Refused> {
        let mut state = self.state();
        let bytes = state.read(from.0, from.1)?.bytes;
        state.write(to.0, to.1, bytes, &WriteCondition::Always)?;
        state.read(to.0, to.1)
    }

    pub(super) fn delete(&self, bucket: &str, key: &str) -> Result<bool, Refused> {
        let mut state = self.state();
        Ok(state.bucket_mut(bucket)?.remove(key).is_some())
    }

    pub(super) fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<(String, StoredObject)>, Refused> {
        let state = self.state();
        Ok(state
            .bucket(bucket)?
            .range(prefix.to_owned()..)
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, object)| (key.clone(), object.clone()))
            .collect())
    }

    pub(super) fn start_upload(&self, bucket: &str, key: &str) -> Result<String, Refused> {
        let mut state = self.state();
        state.bucket(bucket)?;
        Ok(state.uploads.start(bucket, key))
    }

    pub(super) fn upload_part(&self, upload: &str, number: i32, bytes: Bytes) -> Result<String, Refused> {
        self.state().uploads.add_part(upload, number, bytes)
    }

    /// Makes the object of its parts, or changes nothing: an upload whose condition is not met stays.
    pub(super) fn complete_upload(
        &self,
        upload: &str,
        parts: &[i32],
        condition: &WriteCondition,
    ) -> Result<String, Refused> {
        let mut state = self.state();
        let (bucket, key, bytes) = state.uploads.assemble(upload, parts)?;
        let entity_tag = state.write(&bucket, &key, bytes, condition)?;
        state.uploads.remove(upload);
        Ok(entity_tag)
    }

    pub(super) fn abort_upload(&self, upload: &str) -> Result<(), Refused> {
        match self.state().uploads.remove(upload) {
            true => Ok(()),
            false => Err(Refused::NoUpload),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn bucket(&self, bucket: &str) -> Result<&Objects, Refused> {
        let refused = self.refusal(bucket);
        self.buckets.get(bucket).ok_or(refused)
    }

    fn bucket_mut(&mut self, bucket: &str) -> Result<&mut Objects, Refused> {
        let refused = self.refusal(bucket);
        self.buckets.get_mut(bucket).ok_or(refused)
    }

    /// What is said of a bucket that is not there for us.
    fn refusal(&self, bucket: &str) -> Refused {
        match self.foreign.contains(bucket) {
            true => Refused::ForeignBucket,
            false => Refused::NoBucket,
        }
    }

    fn read(&self, bucket: &str, key: &str) -> Result<StoredObject, Refused> {
        let objects = self.bucket(bucket)?;
        objects.get(key).cloned().ok_or(Refused::NoObject)
    }

    fn write(
        &mut self,
        bucket: &str,
        key: &str,
        bytes: Bytes,
        condition: &WriteCondition,
    ) -> Result<String, Refused> {
        let present = self.bucket(bucket)?.get(key);
        let is_met = match (condition, present) {
            (WriteCondition::Always, _) | (WriteCondition::IfAbsent, None) => true,
            (WriteCondition::IfPresent(wanted), Some(present)) => {
                wanted.as_ref().is_none_or(|wanted| *wanted == present.entity_tag)
            }
            (WriteCondition::IfAbsent, Some(_)) | (WriteCondition::IfPresent(_), None) => false,
        };
        if !is_met {
            return Err(Refused::ConditionNotMet);
        }
        self.writes += 1;
        let entity_tag = format!("{:032x}", self.writes);
        let object = StoredObject {
            bytes,
            entity_tag: entity_tag.clone(),
            modified: SystemTime::now(),
        };
        self.bucket_mut(bucket)?.insert(key.to_owned(), object);
        Ok(entity_tag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_met_or_nothing_is_written() {
        let buckets = Buckets::default();
        buckets.create("b");
        let write = |bytes: &'static str, condition| buckets.write("b", "k", bytes.into(), &condition);
        let present = |tag: &str| WriteCondition::IfPresent(Some(tag.to_owned()));
        assert_eq!(write("x", present("1")), Err(Refused::ConditionNotMet));
        let first = write("one", WriteCondition::IfAbsent).expect("nothing is there");
        assert_eq!(
            write("two", WriteCondition::IfAbsent),
            Err(Refused::ConditionNotMet)
        );
        let second = write("two", present(&first)).expect("it is the one");
        assert_ne!(first, second);
        assert_eq!(write("three", present(&first)), Err(Refused::ConditionNotMet));
        assert_eq!(buckets.get("b", "k"), Some("two".into()));
        assert_eq!(
            buckets.write("none", "k", "x".into(), &WriteCondition::Always),
            Err(Refused::NoBucket)
        );
    }

    #[test]
    fn of_many_who_create_one_wins() {
        let buckets = Buckets::default();
        buckets.create("b");
        let winners: Vec<String> = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..8)
                .map(|writer| {
                    let buckets = buckets.clone();
                    scope.spawn(move || {
                        let body = format!("writer {writer}");
                        let written = buckets.write("b", "k", body.clone().into(), &WriteCondition::IfAbsent);
                        written.ok().map(|_| body)
                    })
                })
                .collect();
            let done = writers.into_iter().map(|writer| writer.join());
            done.filter_map(|body| body.expect("no writer panics")).collect()
        });
        assert_eq!(winners.len(), 1);
        assert_eq!(buckets.get("b", "k"), Some(winners[0].clone().into()));
    }
}
