//! Finds the files that a pattern means.
//!
//! A pattern is followed part by part, and only folders that may hold such files are listed; everything beneath a folder
//! is looked at only for `**`. A wildcard does not match a name that begins with a dot, so what a sink has staged and not
//! published is never read.

use std::io;

use futures::TryStreamExt;
use glob::{MatchOptions, Pattern};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, path::Path as Key};
use tidegate_storage::after_authority;

use crate::{FileError, location::Stores};

const MATCHING: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: true,
};

/// A file by the name that people call it.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) meta: ObjectMeta,
}

/// A folder on the way.
struct Folder {
    name: String,
    key: Key,
}

impl Folder {
    fn name_within(&self, rest: &str) -> String {
        match self.name.as_str() {
            "" => rest.to_owned(),
            name if name.ends_with('/') => format!("{name}{rest}"),
            name => format!("{name}/{rest}"),
        }
    }

    fn within(&self, part: &str) -> Self {
        Self {
            name: self.name_within(part),
            key: self.key.parts().chain([part.into()]).collect(),
        }
    }

    /// The rest of a key that is beneath this folder.
    fn rest_of(&self, key: &Key) -> Option<String> {
        let parts: Vec<_> = key.prefix_match(&self.key)?.collect();
        let parts: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
        Some(parts.join("/"))
    }
}

/// The files that match, in the order of their names.
pub(super) async fn list(stores: &Stores, pattern: &str) -> Result<Vec<Found>, FileError> {
    let (front, parts) = split(pattern);
    let patterns = compile(pattern, &parts)?;
    let located = match stores.locate(&front) {
        // A folder that does not exist holds nothing.
        Err(FileError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(Vec::new());
        }
        located => located?,
    };
    let store = located.store.as_ref();
    let mut folders = vec![Folder {
        name: front,
        key: located.key,
    }];
    let mut found = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let is_last = index + 1 == parts.len();
        let mut next = Vec::new();
        for folder in &folders {
            let failed = |error| FileError::fetching(&folder.name, 0, error);
            if *part == "**" {
                let rest = compile(pattern, &[&parts[index..].join("/")])?;
                beneath(store, folder, &rest[0], &mut found)
                    .await
                    .map_err(failed)?;
            } else if !is_wild(part) {
                let inner = folder.within(part);
                match is_last {
                    false => next.push(inner),
                    true => found.extend(one(store, inner).await?),
                }
            } else {
                let listed = store
                    .list_with_delimiter(Some(&folder.key))
                    .await
                    .map_err(failed)?;
                let matches = |key: &Key| {
                    let name = key.filename().unwrap_or_default().to_owned();
                    patterns[index].matches_with(&name, MATCHING).then_some(name)
                };
                if is_last {
                    found.extend(listed.objects.into_iter().filter_map(|meta| {
                        let name = folder.name_within(&matches(&meta.location)?);
                        Some(Found { name, meta })
                    }));
                } else {
                    let inner = listed.common_prefixes.into_iter();
                    next.extend(inner.filter_map(|key| {
                        let name = folder.name_within(&matches(&key)?);
                        Some(Folder { name, key })
                    }));
                }
            }
        }
        if *part == "**" {
            break;
        }
        folders = next;
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Cuts a pattern into a folder that is named literally and what is to be matched beneath it, at least one part.
fn split(pattern: &str) -> (String, Vec<&str>) {
    let (authority, rest) = after_authority(pattern);
    let mut front = authority.to_owned();
    if rest.starts_with('/') {
        front.push('/');
    }
    let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
    let literal = parts
        .iter()
        .take(parts.len().saturating_sub(1))
        .take_while(|part| !is_wild(part))
        .count();
    front.push_str(&parts[..literal].join("/"));
    (front, parts[literal..].to_vec())
}

fn is_wild(part: &str) -> bool {
    part.contains(['*', '?', '['])
}

fn compile(pattern: &str, parts: &[&str]) -> Result<Vec<Pattern>, FileError> {
    let compiled: Result<_, _> = parts.iter().map(|part| Pattern::new(part)).collect();
    compiled.map_err(|error: glob::PatternError| FileError::Pattern {
        glob: pattern.to_owned(),
        reason: error.to_string(),
    })
}

/// The file of this name, if there is one.
async fn one(store: &dyn ObjectStore, file: Folder) -> Result<Option<Found>, FileError> {
    match store.head(&file.key).await {
        Ok(meta) => Ok(Some(Found {
            name: file.name,
            meta,
        })),
        Err(error) => match FileError::fetching(&file.name, 0, error) {
            FileError::Read { source, .. } if source.kind() == io::ErrorKind::NotFound => Ok(None),
            error => Err(error),
        },
    }
}

/// The files at any depth beneath a folder.
async fn beneath(
    store: &dyn ObjectStore,
    folder: &Folder,
    rest: &Pattern,
    found: &mut Vec<Found>,
) -> object_store::Result<()> {
    let mut listed = store.list(Some(&folder.key));
    while let Some(meta) = listed.try_next().await? {
        let Some(within) = folder.rest_of(&meta.location) else {
            continue;
        };
        if rest.matches_with(&within, MATCHING) {
            let name = folder.name_within(&within);
            found.push(Found { name, meta });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::executor::block_on;
    use object_store::{PutPayload, memory::InMemory};

    use super::*;

    const FILES: [&str; 7] = [
        "a.csv",
        "d/a.csv",
        "d/b.csv.gz",
        "d/.hidden.csv",
        "d/.staging/run/x.csv",
        "d/e/c.csv",
        "f/c.csv",
    ];

    const CASES: [(&str, &[&str]); 11] = [
        ("*.csv", &["a.csv"]),
        ("a.csv", &["a.csv"]),
        ("no.csv", &[]),
        ("d", &[]),
        ("no/*.csv", &[]),
        ("d/*", &["d/a.csv", "d/b.csv.gz"]),
        ("d/.h*", &["d/.hidden.csv"]),
        ("*/c.csv", &["f/c.csv"]),
        ("**/*.csv", &["a.csv", "d/a.csv", "d/e/c.csv", "f/c.csv"]),
        ("d/**/*.csv", &["d/a.csv", "d/e/c.csv"]),
        ("[df]/[ab].csv*", &["d/a.csv", "d/b.csv.gz"]),
    ];

    fn names(stores: &Stores, front: &str) {
        for (pattern, expected) in CASES {
            let found = block_on(list(stores, &format!("{front}{pattern}"))).unwrap();
            let expected: Vec<String> = expected.iter().map(|name| format!("{front}{name}")).collect();
            let names: Vec<String> = found.into_iter().map(|found| found.name).collect();
            assert_eq!(names, expected, "{front}{pattern}");
        }
    }

    #[test]
    fn patterns_mean_the_same_in_every_store() {
        let folder = tempfile::tempdir().unwrap();
        let memory = Arc::new(InMemory::new());
        for file in FILES {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "x").unwrap();
            block_on(memory.put(&Key::from(format!("in/{file}")), PutPayload::from("x"))).unwrap();
        }
        let local = folder.path().to_str().unwrap();
        names(&Stores::default(), &format!("{local}/"));
        names(&Stores::default(), &format!("file://{local}/"));
        let mut stores = Stores::default();
        stores.set_store(memory);
        names(&stores, "memory:///in/");
        names(&stores, "s3://bucket/in/");
        names(&stores, "in/");
    }

    #[test]
    fn patterns_are_cut_behind_their_literal_folders() {
        let cases: [(&str, &str, &[&str]); 7] = [
            ("*.csv", "", &["*.csv"]),
            ("a.csv", "", &["a.csv"]),
            ("/a/b/*.csv", "/a/b", &["*.csv"]),
            ("/a.csv", "/", &["a.csv"]),
            ("s3://bucket/*/a.csv", "s3://bucket/", &["*", "a.csv"]),
            ("s3://bucket/a/b.csv", "s3://bucket/a", &["b.csv"]),
            ("file:///a/**", "file:///a", &["**"]),
        ];
        for (pattern, front, parts) in cases {
            assert_eq!(split(pattern), (front.to_owned(), parts.to_vec()), "{pattern}");
        }
    }
}
