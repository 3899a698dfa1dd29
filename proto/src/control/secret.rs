//! What the processes of a cluster know and others do not.

use std::fmt;

/// The shortest secret that is taken.
const SHORTEST: usize = 16;
/// The longest secret that is taken.
const LONGEST: usize = 1024;
/// How the header starts that proves it.
const SCHEME: &str = "Bearer ";

/// The cluster secret: 16 to 1024 visible ASCII characters. Debug output does not show it.
#[derive(Clone)]
pub struct ClusterSecret(String);

/// Why a text is no cluster secret. It does not repeat the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SecretError {
    /// It is too short or too long.
    #[error(
        "the cluster secret has {0} characters where {SHORTEST} to {LONGEST} are taken; choose one of 32 random characters"
    )]
    Length(usize),
    /// It has characters that a header cannot carry.
    #[error("the cluster secret has a blank or a character that is not ASCII; choose letters and digits")]
    Characters,
}

impl ClusterSecret {
    /// Takes a text as the secret; white space around it, such as the line end of a file, is dropped.
    ///
    /// # Errors
    /// If it is too short or too long, or has characters that a header cannot carry.
    pub fn new(text: &str) -> Result<Self, SecretError> {
        let text = text.trim();
        if !(SHORTEST..=LONGEST).contains(&text.len()) {
            return Err(SecretError::Length(text.chars().count()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SecretError::Characters);
        }
        Ok(Self(text.to_owned()))
    }

    /// The secret itself, for a process of the cluster that is about to be started.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// The secret itself, for proofs that do not send it.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The value of the metadata `authorization` that proves it.
    pub fn to_authorization(&self) -> String {
        format!("{SCHEME}{}", self.0)
    }

    /// Whether a value of the metadata `authorization` proves it. Takes the same time for every value of its length.
    pub fn is_proven_by(&self, authorization: &[u8]) -> bool {
        let Some(claimed) = authorization.strip_prefix(SCHEME.as_bytes()) else {
            return false;
        };
        let known = self.0.as_bytes();
        let difference = known
            .iter()
            .zip(claimed)
            .fold(0, |difference, (known, claimed)| difference | (known ^ claimed));
        known.len() == claimed.len() && std::hint::black_box(difference) == 0
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef";

    #[test]
    fn only_the_secret_proves_itself() {
        let secret = ClusterSecret::new(&format!(" {SECRET}\n")).unwrap();
        assert!(secret.is_proven_by(secret.to_authorization().as_bytes()));
        for claimed in [
            "",
            "Bearer ",
            "Bearer 0123456789abcde",
            "Bearer 0123456789abcdeF",
            "Bearer 0123456789abcdef0",
            "bearer 0123456789abcdef",
            SECRET,
        ] {
            assert!(!secret.is_proven_by(claimed.as_bytes()), "{claimed:?}");
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_repeated() {
        assert_eq!(ClusterSecret::new("short").unwrap_err(), SecretError::Length(5));
        assert_eq!(
            ClusterSecret::new(&"x".repeat(1025)).unwrap_err(),
            SecretError::Length(1025)
        );
        assert_eq!(
            ClusterSecret::new("sixteen letters and blanks").unwrap_err(),
            SecretError::Characters
        );
        assert!(!format!("{:?}", ClusterSecret::new(SECRET).unwrap()).contains(SECRET));
    }
}
