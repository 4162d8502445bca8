//! Which object store, and how it is reached: as it stands in the configuration file.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::secret::Secret;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ClientOptions, ObjectStore, RetryConfig};
use serde::{Deserialize, Serialize};

use super::shelf::Shelf;

/// The object store.
///
/// ```toml
/// [store]
/// url = "s3://bucket/policies"          # or "gs://bucket/policies", or "file:///var/lib/aegis/bundles"
/// [store.options]
/// aws_region = "eu-central-1"
/// [store.secret_files]
/// aws_secret_access_key = "/run/secrets/s3"
/// ```
///
/// What is not named is taken from the environment as the providers' own tools do (`AWS_ACCESS_KEY_ID`,
/// `GOOGLE_SERVICE_ACCOUNT`, …), down to the identity of the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreConfig {
    /// `file:///FOLDER`, `s3://BUCKET/PREFIX` or `gs://BUCKET/PREFIX`; the prefix may be empty.
    pub url: String,
    /// Settings of the provider, by the names of the crate `object_store`, e.g. `aws_endpoint`. No secrets.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
    /// Secret settings of the provider, by the same names: the files that hold them.
    #[serde(default)]
    pub secret_files: BTreeMap<String, PathBuf>,
}

/// A store that was set up.
pub struct OpenStore {
    /// The store.
    pub store: Arc<dyn ObjectStore>,
    /// Below which everything lies.
    pub prefix: Path,
    /// Never to be shown, whatever a provider writes into its messages.
    pub hidden: Vec<Secret<String>>,
}

impl std::fmt::Debug for OpenStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenStore({})", self.prefix)
    }
}

/// Why the object store cannot be used as it is configured. Holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum StoreConfigError {
    /// Another kind of address.
    #[error("the store's `url` is neither `file:///FOLDER`, `s3://BUCKET/PREFIX` nor `gs://BUCKET/PREFIX`")]
    Url,
    /// The provider has no such setting.
    #[error("the store has no setting `{0}`")]
    UnknownOption(String),
    /// A secret stands in the configuration itself.
    #[error("the store's setting `{0}` is a secret: name a file that holds it in `secret_files`")]
    SecretInOptions(String),
    /// A file with a secret cannot be used.
    #[error("the file of the store's setting `{option}` {problem}")]
    SecretFile {
        /// The setting.
        option: String,
        /// What is wrong.
        problem: String,
    },
    /// The folder cannot be made.
    #[error("the store's folder `{}` cannot be made: {error}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// The provider's settings do not fit together.
    #[error("the store cannot be set up: {0}")]
    Provider(String),
}

/// Settings that must not stand in a file which people show each other.
const SECRETS: [&str; 6] = [
    "aws_secret_access_key",
    "aws_session_token",
    "aws_sse_customer_key_base64",
    "google_service_account_key",
    "google_bearer_token",
    "proxy_url",
];

/// Where an address leads.
enum Place<'u> {
    Folder(PathBuf),
    S3 { bucket: &'u str, prefix: Path },
    Google { bucket: &'u str, prefix: Path },
}

impl StoreConfig {
    /// The store in a local folder.
    pub fn folder(path: &std::path::Path) -> Self {
        let url = format!("file://{}", path.display());
        Self { url, options: BTreeMap::new(), secret_files: BTreeMap::new() }
    }

    /// Sets the store up. Reads the files with secrets; asks nothing of the store itself, which may be down.
    ///
    /// # Errors
    /// [`StoreConfigError`]
    pub fn open(&self) -> Result<Shelf, StoreConfigError> {
        let OpenStore { store, prefix, hidden } =
            self.open_store(Duration::from_secs(caps::STORE_CALL_SECONDS))?;
        Ok(Shelf::new(store, prefix, self.url.clone(), hidden))
    }

    /// Sets the store up for others than the shelf of bundles; a single operation may take `call`.
    ///
    /// # Errors
    /// As for [`StoreConfig::open`].
    pub fn open_store(&self, call: Duration) -> Result<OpenStore, StoreConfigError> {
        let secrets = self.read_secrets()?;
        let (store, prefix) = match self.place()? {
            Place::Folder(folder) => (self.open_folder(folder)?, Path::default()),
            Place::S3 { bucket, prefix } => (self.open_s3(bucket, &secrets, call)?, prefix),
            Place::Google { bucket, prefix } => (self.open_google(bucket, &secrets, call)?, prefix),
        };
        let hidden = secrets.into_iter().map(|(_, secret)| secret).collect();
        Ok(OpenStore { store, prefix, hidden })
    }

    /// What tells this place from every other: its address and its settings, without secrets.
    pub fn identity(&self) -> String {
        let options = self.options.iter().map(|(option, value)| format!("\n{option}={value}"));
        std::iter::once(self.url.clone()).chain(options).collect()
    }

    fn place(&self) -> Result<Place<'_>, StoreConfigError> {
        let (scheme, rest) = self.url.split_once("://").ok_or(StoreConfigError::Url)?;
        if scheme == "file" {
            let folder = PathBuf::from(rest);
            return if folder.is_absolute() { Ok(Place::Folder(folder)) } else { Err(StoreConfigError::Url) };
        }
        // A password, a port or a query in the address of a bucket is a misunderstanding.
        if rest.contains(['@', ':', '?', '#']) {
            return Err(StoreConfigError::Url);
        }
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = Path::parse(prefix.trim_end_matches('/')).map_err(|_withheld| StoreConfigError::Url)?;
        match scheme {
            _ if bucket.is_empty() => Err(StoreConfigError::Url),
            "s3" => Ok(Place::S3 { bucket, prefix }),
            "gs" => Ok(Place::Google { bucket, prefix }),
            _ => Err(StoreConfigError::Url),
        }
    }

    fn read_secrets(&self) -> Result<Vec<(String, Secret<String>)>, StoreConfigError> {
        let read = |(option, path): (&String, &PathBuf)| match read_secret(path) {
            Ok(secret) => Ok((option.clone(), secret)),
            Err(problem) => Err(StoreConfigError::SecretFile { option: option.clone(), problem }),
        };
        self.secret_files.iter().map(read).collect()
    }

    fn open_folder(&self, folder: PathBuf) -> Result<Arc<dyn ObjectStore>, StoreConfigError> {
        if let Some(option) = self.options.keys().chain(self.secret_files.keys()).next() {
            return Err(StoreConfigError::UnknownOption(option.clone()));
        }
        std::fs::create_dir_all(&folder)
            .map_err(|error| StoreConfigError::Folder { path: folder.clone(), error })?;
        let store = LocalFileSystem::new_with_prefix(&folder).map_err(provider)?.with_fsync(true);
        Ok(Arc::new(store))
    }

    fn open_s3(
        &self,
        bucket: &str,
        secrets: &[(String, Secret<String>)],
        call: Duration,
    ) -> Result<Arc<dyn ObjectStore>, StoreConfigError> {
        let builder = AmazonS3Builder::from_env().with_client_options(client(call)).with_retry(retry());
        let builder = self.configure(builder, secrets, |builder, key: AmazonS3ConfigKey, value| {
            builder.with_config(key, value)
        })?;
        Ok(Arc::new(builder.with_bucket_name(bucket).build().map_err(provider)?))
    }

    fn open_google(
        &self,
        bucket: &str,
        secrets: &[(String, Secret<String>)],
        call: Duration,
    ) -> Result<Arc<dyn ObjectStore>, StoreConfigError> {
        let builder =
            GoogleCloudStorageBuilder::from_env().with_client_options(client(call)).with_retry(retry());
        let builder = self.configure(builder, secrets, |builder, key: GoogleConfigKey, value| {
            builder.with_config(key, value)
        })?;
        Ok(Arc::new(builder.with_bucket_name(bucket).build().map_err(provider)?))
    }

    /// Gives the builder every setting, those of the files last.
    fn configure<B, K: FromStr + AsRef<str>>(
        &self,
        mut builder: B,
        secrets: &[(String, Secret<String>)],
        set: impl Fn(B, K, String) -> B,
    ) -> Result<B, StoreConfigError> {
        let key = |option: &String| {
            option.parse::<K>().map_err(|_unknown| StoreConfigError::UnknownOption(option.clone()))
        };
        for (option, value) in &self.options {
            let key = key(option)?;
            if SECRETS.contains(&key.as_ref()) {
                return Err(StoreConfigError::SecretInOptions(option.clone()));
            }
            builder = set(builder, key, value.clone());
        }
        for (option, secret) in secrets {
            builder = set(builder, key(option)?, secret.expose().clone());
        }
        Ok(builder)
    }
}

/// Without its last end of line.
fn read_secret(path: &std::path::Path) -> Result<Secret<String>, String> {
    let mut text = String::new();
    let most = caps::STORE_SECRET_BYTES_MAX;
    let read = File::open(path).and_then(|file| file.take(most + 1).read_to_string(&mut text));
    read.map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() as u64 > most {
        return Err(format!("has more than {most} bytes"));
    }
    let length = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(length);
    if text.is_empty() { Err("is empty".to_owned()) } else { Ok(Secret::new(text)) }
}

fn client(call: Duration) -> ClientOptions {
    ClientOptions::new()
        .with_timeout(call)
        .with_connect_timeout(Duration::from_secs(caps::STORE_CALL_SECONDS / 3))
}

/// Nearly none: the worker tries again by itself, and shows that it does.
fn retry() -> RetryConfig {
    RetryConfig { max_retries: 1, retry_timeout: Duration::from_secs(5), ..RetryConfig::default() }
}

fn provider(error: object_store::Error) -> StoreConfigError {
    StoreConfigError::Provider(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(url: &str, options: &[(&str, &str)], secret_files: &[(&str, &std::path::Path)]) -> StoreConfig {
        StoreConfig {
            url: url.to_owned(),
            options: options.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            secret_files: secret_files
                .iter()
                .map(|(key, path)| ((*key).to_owned(), path.to_path_buf()))
                .collect(),
        }
    }

    #[track_caller]
    fn refused(config: &StoreConfig, expected: &str) {
        let error = config.open().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn addresses_have_three_forms() {
        let folder = tempfile::tempdir().unwrap();
        StoreConfig::folder(&folder.path().join("a/b")).open().unwrap();
        assert!(folder.path().join("a/b").is_dir());
        let keys = [("aws_skip_signature", "true"), ("aws_region", "x")];
        config("s3://bucket/pre/fix/", &keys, &[]).open().unwrap();
        config("gs://bucket", &[("google_skip_signature", "true")], &[]).open().unwrap();
        for url in [
            "",
            "bucket",
            "file://relative",
            "s3://",
            "s3:///prefix",
            "ftp://x",
            "https://x/y",
            "s3://b/../c",
            "s3://user:pass@bucket",
            "s3://bucket/a?b",
        ] {
            refused(&config(url, &[], &[]), "is neither");
        }
    }

    #[test]
    fn secrets_stand_in_files_only() {
        refused(&config("s3://b", &[("aws_secret_access_key", "hunter2")], &[]), "is a secret: name a file");
        refused(&config("s3://b", &[("secret_access_key", "hunter2")], &[]), "is a secret: name a file");
        refused(&config("gs://b", &[("google_service_account_key", "{}")], &[]), "is a secret: name a file");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        refused(&config("s3://b", &[], &[("aws_secret_access_key", &path)]), "cannot be read");
        std::fs::write(&path, "\n").unwrap();
        refused(&config("s3://b", &[], &[("aws_secret_access_key", &path)]), "is empty");
        std::fs::write(&path, "hunter2\n").unwrap();
        let options = [("aws_access_key_id", "id"), ("aws_region", "x")];
        let shelf = config("s3://b", &options, &[("aws_secret_access_key", &path)]).open().unwrap();
        assert!(!format!("{shelf:?}").contains("hunter2"));
    }

    #[test]
    fn unknown_settings_are_refused() {
        refused(&config("s3://b", &[("aws_regoin", "x")], &[]), "no setting `aws_regoin`");
        refused(&config("file:///tmp/x", &[("aws_region", "x")], &[]), "no setting `aws_region`");
        let unknown = serde_json::json!({"url": "file:///x", "secret": 1});
        assert!(serde_json::from_value::<StoreConfig>(unknown).is_err());
    }
}
