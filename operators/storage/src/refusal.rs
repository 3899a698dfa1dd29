//! What a store says no to until somebody puts it right, told apart from what another try may mend.

use std::error::Error;

/// Why a store does not serve: another try would meet the same answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such bucket or container.
    #[error("there is no such bucket: {reason}; create it, or check its name, the region and the endpoint")]
    NoBucket {
        /// What the store says.
        reason: String,
    },
    /// The store does not know who asks, or does not believe it.
    #[error(
        "the object store does not accept the credentials: {reason}; check the credentials in the environment (for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)"
    )]
    Credentials {
        /// What the store says.
        reason: String,
    },
    /// The store knows who asks and does not permit it: the bucket is somebody else's, or a policy forbids it.
    #[error(
        "the object store knows the credentials and refuses access: {reason}; the bucket is another account's or its policy forbids this, use a bucket that they may read, write and list"
    )]
    Forbidden {
        /// What the store says.
        reason: String,
    },
    /// The bucket is in another region than was asked.
    #[error("the bucket is in another region: {reason}; set the region (for S3 AWS_REGION) to its own")]
    OtherRegion {
        /// What the store says.
        reason: String,
    },
}

type MakeRefusal = fn(String) -> Refusal;

/// What stores answer in each case. Listings tell of it in the text alone. The first that is found counts: a refusal of
/// credentials has the status of any refusal.
const ANSWERS: [(&[&str], MakeRefusal); 4] = [
    (&["NoSuchBucket", "ContainerNotFound"], |reason| {
        Refusal::NoBucket { reason }
    }),
    (
        &[
            "InvalidAccessKeyId",
            "SignatureDoesNotMatch",
            "ExpiredToken",
            "InvalidToken",
            "AuthorizationHeaderMalformed",
            "401 Unauthorized",
        ],
        |reason| Refusal::Credentials { reason },
    ),
    (
        &["PermanentRedirect", "incorrectly configured region"],
        |reason| Refusal::OtherRegion { reason },
    ),
    (
        &["AccessDenied", "AllAccessDisabled", "403 Forbidden"],
        |reason| Refusal::Forbidden { reason },
    ),
];

impl Refusal {
    /// Whether what a store said is one. What the operating system says of local files is none.
    pub fn of(error: &object_store::Error) -> Option<Self> {
        if os_error(error).is_some() {
            return None;
        }
        let reason = reasons(error);
        let said = ANSWERS
            .iter()
            .find(|(codes, _)| codes.iter().any(|code| reason.contains(code)));
        match (said, error) {
            (Some((_, refusal)), _) => Some(refusal(reason)),
            (None, object_store::Error::Unauthenticated { .. }) => Some(Self::Credentials { reason }),
            (None, object_store::Error::PermissionDenied { .. }) => Some(Self::Forbidden { reason }),
            _ => None,
        }
    }
}

/// The cause that is the operating system's, if it was asked.
pub fn os_error(error: &object_store::Error) -> Option<&std::io::Error> {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        match error.downcast_ref::<std::io::Error>() {
            Some(found) if found.raw_os_error().is_some() => return Some(found),
            _ => cause = error.source(),
        }
    }
    None
}

/// An error with its causes, each once: some name theirs and some do not.
pub fn reasons(error: &dyn Error) -> String {
    let mut reasons = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let reason = error.to_string();
        if !reasons.contains(&reason) {
            reasons = format!("{reasons}: {reason}");
        }
        cause = error.source();
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> object_store::Error {
        object_store::Error::Generic {
            store: "S3",
            source: text.into(),
        }
    }

    #[test]
    fn refusals_are_told_apart() {
        for (said, expected) in [
            (
                "404 Not Found: <Code>NoSuchBucket</Code>",
                "there is no such bucket",
            ),
            (
                "403 Forbidden: <Code>SignatureDoesNotMatch</Code>",
                "does not accept the credentials",
            ),
            (
                "403 Forbidden: <Code>InvalidAccessKeyId</Code>",
                "does not accept the credentials",
            ),
            ("403 Forbidden: <Code>AccessDenied</Code>", "refuses access"),
            ("301: <Code>PermanentRedirect</Code>", "another region"),
        ] {
            let refusal = Refusal::of(&generic(said)).unwrap();
            assert!(refusal.to_string().contains(expected), "{refusal}");
            assert!(refusal.to_string().contains(said), "{refusal}");
        }
        for said in ["500 Internal Server Error", "503 SlowDown", "404 NoSuchKey"] {
            assert_eq!(Refusal::of(&generic(said)), None, "{said}");
        }
    }

    #[test]
    fn what_the_operating_system_refuses_is_not_the_stores() {
        let denied = object_store::Error::PermissionDenied {
            path: "a".into(),
            source: std::io::Error::from_raw_os_error(13).into(),
        };
        assert_eq!(Refusal::of(&denied), None);
    }
}
