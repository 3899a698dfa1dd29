//! What a location is made of.

use std::path::Path;

/// The scheme of a URL, if the location is one.
pub fn scheme(location: &str) -> Option<&str> {
    let (scheme, _) = location.split_once("://")?;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    (!scheme.is_empty() && scheme.bytes().all(is_name)).then_some(scheme)
}

/// Cuts a location behind the authority of a URL: `s3://bucket` and `/path`. What is no URL has no authority.
pub fn after_authority(location: &str) -> (&str, &str) {
    let Some(scheme) = scheme(location) else {
        return ("", location);
    };
    let start = scheme.len() + "://".len();
    match location[start..].find('/') {
        Some(slash) => location.split_at(start + slash),
        None => (location, ""),
    }
}

/// The path of a location on this machine.
pub fn local_path(location: &str) -> Option<&Path> {
    match scheme(location) {
        None => Some(Path::new(location)),
        Some("file") => Some(Path::new(after_authority(location).1)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_fall_into_scheme_authority_and_path() {
        for (location, expected_scheme, parts, path) in [
            ("a/b", None, ("", "a/b"), Some("a/b")),
            ("/a/b", None, ("", "/a/b"), Some("/a/b")),
            ("file:///a/b", Some("file"), ("file://", "/a/b"), Some("/a/b")),
            ("s3://bucket/a/b", Some("s3"), ("s3://bucket", "/a/b"), None),
            ("s3://bucket", Some("s3"), ("s3://bucket", ""), None),
            ("a b://c", None, ("", "a b://c"), Some("a b://c")),
        ] {
            assert_eq!(scheme(location), expected_scheme, "{location}");
            assert_eq!(after_authority(location), parts, "{location}");
            assert_eq!(local_path(location), path.map(Path::new), "{location}");
        }
    }
}
