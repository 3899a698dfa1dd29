//! Locations in object stores.

use std::{collections::BTreeMap, sync::Arc};

use object_store::{ObjectStore, ObjectStoreScheme, parse_url_opts, path::Path};
use url::Url;

use crate::{OpenError, location::after_authority};

/// What the names of environment variables begin with that object stores are set up from.
const ENVIRONMENT: [&str; 3] = ["AWS_", "GOOGLE_", "AZURE_"];

/// What is set unless the environment or the program says otherwise: S3 copies only where nothing is by completing a
/// multipart upload under a condition.
const DEFAULTS: [(&str, &str); 1] = [("aws_copy_if_not_exists", "multipart")];

/// A place in an object store, not yet opened.
#[derive(Clone, Debug)]
pub struct RemoteLocation {
    location: String,
    url: Url,
    scheme: ObjectStoreScheme,
    key: Path,
    store_name: String,
}

impl RemoteLocation {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`OpenError::Location`] where it is none, or of no store that is known.
    pub fn parse(location: &str) -> Result<Self, OpenError> {
        let (authority, key) = after_authority(location);
        let encoded = key.replace('%', "%25").replace('#', "%23").replace('?', "%3F");
        let url = Url::parse(&format!("{authority}/{}", encoded.trim_start_matches('/')))
            .map_err(OpenError::location(location))?;
        let (scheme, key) = ObjectStoreScheme::parse(&url).map_err(OpenError::location(location))?;
        // In some forms the bucket is the first part of the path, which the key has no more.
        let bucket = match url.scheme() {
            "http" | "https" => url
                .path_segments()
                .and_then(|mut parts| parts.next())
                .unwrap_or(""),
            _ => "",
        };
        let store_name = format!("{authority}/{bucket}");
        Ok(Self {
            location: location.to_owned(),
            url,
            scheme,
            key,
            store_name,
        })
    }

    /// The path in the store.
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// Which store it is in: the same for all locations of one bucket.
    pub fn store_name(&self) -> &str {
        &self.store_name
    }

    /// Makes a client of the store; nothing is asked of the store itself. Defaults count least, then the environment, then
    /// `options`, whose names are those of [`object_store`]'s configuration.
    ///
    /// # Errors
    /// When the store knows no such option, cannot be set up so, or is not in this build.
    pub fn open(&self, options: &BTreeMap<String, String>) -> Result<Arc<dyn ObjectStore>, OpenError> {
        self.check_options(options)?;
        let defaults = DEFAULTS.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let own = options
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
        let options = defaults.into_iter().chain(environment()).chain(own);
        match self.scheme {
            #[cfg(feature = "s3")]
            ObjectStoreScheme::AmazonS3 => self.open_s3(options),
            #[cfg(not(feature = "s3"))]
            ObjectStoreScheme::AmazonS3 => Err(OpenError::NotBuilt {
                location: self.location.clone(),
                feature: "s3",
            }),
            _ => parse_url_opts(&self.url, options)
                .map(|(store, _)| Arc::from(store))
                .map_err(OpenError::location(&self.location)),
        }
    }

    /// Clients do not wait for minutes before they say that a store is away: who uses one knows better when to go on.
    #[cfg(feature = "s3")]
    fn open_s3(
        &self,
        options: impl Iterator<Item = (String, String)>,
    ) -> Result<Arc<dyn ObjectStore>, OpenError> {
        use std::time::Duration;

        use object_store::{
            RetryConfig,
            aws::{AmazonS3Builder, AmazonS3ConfigKey},
        };

        let retry = RetryConfig {
            retry_timeout: Duration::from_secs(30),
            ..RetryConfig::default()
        };
        let builder = AmazonS3Builder::new()
            .with_url(self.url.as_str())
            .with_retry(retry);
        let builder = options.fold(builder, |builder, (name, value)| {
            match name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                Ok(key) => builder.with_config(key, value),
                // The environment has variables that are for others.
                Err(_) => builder,
            }
        });
        let store = builder.build().map_err(OpenError::location(&self.location))?;
        Ok(Arc::new(store))
    }

    /// Options that a store does not know would be passed over in silence.
    fn check_options(&self, options: &BTreeMap<String, String>) -> Result<(), OpenError> {
        for option in options.keys() {
            let known = match self.scheme {
                #[cfg(feature = "s3")]
                ObjectStoreScheme::AmazonS3 => option
                    .to_ascii_lowercase()
                    .parse::<object_store::aws::AmazonS3ConfigKey>()
                    .is_ok(),
                _ => true,
            };
            if !known {
                return Err(OpenError::Option {
                    location: self.location.clone(),
                    option: option.clone(),
                });
            }
        }
        Ok(())
    }
}

fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        ENVIRONMENT
            .iter()
            .any(|prefix| name.starts_with(prefix))
            .then_some((name, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_one_store_whatever_is_looked_for_in_it() {
        let first = RemoteLocation::parse("s3://bucket/a%20/b#.csv").unwrap();
        let second = RemoteLocation::parse("s3://bucket/c").unwrap();
        assert_eq!(first.key().as_ref(), "a%20/b#.csv");
        assert_eq!(first.store_name(), second.store_name());
        let other = RemoteLocation::parse("s3://other/c").unwrap();
        assert_ne!(first.store_name(), other.store_name());
    }

    #[cfg(feature = "s3")]
    #[test]
    fn unknown_options_are_refused() {
        let location = RemoteLocation::parse("s3://bucket/a").unwrap();
        let options = |name: &str| BTreeMap::from([(name.to_owned(), "here".to_owned())]);
        location.open(&options("region")).unwrap();
        let error = location.open(&options("aws_regoin")).unwrap_err().to_string();
        assert!(
            error.contains("aws_regoin") && error.contains("s3://bucket/a"),
            "{error}"
        );
    }

    #[cfg(not(feature = "s3"))]
    #[test]
    fn what_is_not_built_says_what_to_enable() {
        let location = RemoteLocation::parse("s3://bucket/a").unwrap();
        let error = location.open(&BTreeMap::new()).unwrap_err().to_string();
        assert!(
            error.contains("s3://bucket/a") && error.contains("enable the feature"),
            "{error}"
        );
    }
}
