//! Where the keys of an issuer outside are read from: a file, or the issuer itself.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_identity::tls::client_config;
use aegis_model::caps;
use anyhow::{Context, bail};
use clap::Args;

use crate::admin_client::block_on;
use crate::state::read_bounded;

/// Larger than any file of certificates.
const CERTIFICATES_BYTES_MAX: usize = 4 << 20;

/// For how long an issuer may take to show its keys.
const WITHIN: Duration = Duration::from_secs(15);

/// A JSON Web Key Set.
#[derive(Debug, Args)]
#[group(required = true)]
pub(super) struct Source {
    /// Its public keys: a file with a JSON Web Key Set
    #[arg(long, env = "AEGIS_KEY_SET", value_name = "FILE", conflicts_with = "key_set_url")]
    key_set: Option<PathBuf>,
    /// Its public keys: where it shows them (`jwks_uri`), over https, without redirects
    #[arg(long, env = "AEGIS_KEY_SET_URL", value_name = "URL")]
    key_set_url: Option<String>,
    /// The certificates that the server of `--key-set-url` has to lead to (PEM) [default: those of this machine]
    #[arg(long, env = "AEGIS_KEY_SET_CA", value_name = "FILE", requires = "key_set_url")]
    key_set_ca: Option<PathBuf>,
}

impl Source {
    /// The text of the key set.
    pub(super) fn read(&self) -> anyhow::Result<String> {
        let bytes = match (&self.key_set, &self.key_set_url) {
            (Some(file), _) => read(file, caps::JWKS_BYTES_MAX)?,
            (None, Some(url)) => block_on(fetch(url, self.key_set_ca.as_deref()))?,
            (None, None) => bail!("`--key-set` or `--key-set-url` is missing"),
        };
        String::from_utf8(bytes).ok().context("this is not a JSON Web Key Set")
    }
}

async fn fetch(url: &str, authorities: Option<&Path>) -> anyhow::Result<Vec<u8>> {
    if !url.starts_with("https://") {
        bail!("`--key-set-url` is no https address: whoever is on the way could give other keys");
    }
    let mut builder = reqwest::Client::builder()
        .timeout(WITHIN)
        // Whoever answers elsewhere is somebody else.
        .redirect(reqwest::redirect::Policy::none());
    if let Some(file) = authorities {
        let roots = read(file, CERTIFICATES_BYTES_MAX)?;
        builder = builder.no_proxy().tls_backend_preconfigured(client_config(&roots, None, &[b"http/1.1"])?);
    }
    let asked = builder.build().context("starting")?.get(url).send().await;
    let mut answer = asked.with_context(|| format!("asking `{url}`"))?;
    if !answer.status().is_success() {
        bail!("`{url}` answers with status {}", answer.status());
    }
    let mut bytes = Vec::new();
    while let Some(piece) = answer.chunk().await.with_context(|| format!("reading `{url}`"))? {
        if bytes.len() + piece.len() > caps::JWKS_BYTES_MAX {
            bail!("`{url}` answers with more than {} bytes", caps::JWKS_BYTES_MAX);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes)
}

fn read(file: &Path, bytes_max: usize) -> anyhow::Result<Vec<u8>> {
    read_bounded(file, bytes_max).with_context(|| format!("reading `{}`", file.display()))
}
