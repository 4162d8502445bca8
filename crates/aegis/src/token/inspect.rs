//! `aegis token inspect`: shows a token without believing it.

use std::io::Read;
use std::path::{Path, PathBuf};

use aegis_identity::inspect::{Inspection, SignatureStatus, inspect};
use aegis_identity::keys::VerifyingKey;
use aegis_identity::trust::{Issuer, Trust};
use aegis_model::caps;
use aegis_model::clock::Clock;
use aegis_model::secret::Secret;
use anyhow::Context;
use clap::Args;
use serde_json::Value;

use super::DEV_ISSUER;
use crate::ended::{Ended, WrongUse};
use crate::output::{Output, Tone};
use crate::state::{DataDir, read_bounded};

/// Larger than any PEM file of an Ed25519 public key.
const KEY_BYTES_MAX: usize = 4 << 10;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis token mint | aegis token inspect --data-dir .aegis
  aegis token inspect --trust key.pub.pem --issuer https://issuer.example <token

Ends with 1 when anything is wrong with the token. Without a key the signature is not checked.")]
pub(crate) struct Options {
    /// The token [default: read from stdin, which keeps it out of the list of processes]
    #[arg(value_name = "TOKEN")]
    token: Option<String>,
    /// Check the signature with the key of this `aegis dev`
    #[arg(long, env = "AEGIS_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Check the signature with this public key (Ed25519, PEM)
    #[arg(long, env = "AEGIS_TRUST", requires = "issuer", value_name = "FILE")]
    trust: Option<PathBuf>,
    /// The only issuer that may use that key
    #[arg(long, env = "AEGIS_ISSUER", value_name = "NAME")]
    issuer: Option<Issuer>,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let trust = trust(options)?;
    let token = Secret::new(match &options.token {
        Some(token) => token.clone(),
        None => from_stdin()?,
    });
    let inspection = inspect(token.expose().trim(), Clock::System.now(), trust.as_ref());
    output.result(&inspection, || describe(&inspection, output));
    Ok(if inspection.findings.is_empty() { Ended::Done } else { Ended::Refused })
}

fn trust(options: &Options) -> anyhow::Result<Option<Trust>> {
    match (&options.trust, &options.issuer, &options.data_dir) {
        (Some(path), Some(issuer), _) => Ok(Some(Trust::single(issuer.clone(), read_public_key(path)?))),
        (None, _, Some(data_dir)) => {
            let key = DataDir::open(data_dir)?.signing_key(false)?;
            let issuer = DEV_ISSUER.parse().expect("a constant that is an issuer");
            Ok(Some(Trust::single(issuer, key.verifying_key().clone())))
        }
        _ => Ok(None),
    }
}

/// Reads a public key in PEM.
///
/// # Errors
/// It cannot be read, or is no Ed25519 public key.
pub(crate) fn read_public_key(path: &Path) -> anyhow::Result<VerifyingKey> {
    let shown = path.display();
    let bytes = read_bounded(path, KEY_BYTES_MAX).with_context(|| format!("reading `{shown}`"))?;
    let text = String::from_utf8(bytes).ok().with_context(|| format!("`{shown}` is not PEM"))?;
    VerifyingKey::from_public_key_pem(&text).with_context(|| format!("`{shown}`"))
}

/// One byte more than the longest token with its line end is enough to see that it is too long.
fn from_stdin() -> anyhow::Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().take(caps::TOKEN_BYTES_MAX as u64 + 3).read_to_string(&mut text);
    read.context("reading the token from stdin")?;
    if text.trim().is_empty() {
        return Err(WrongUse("there is no token on stdin".to_owned()).into());
    }
    Ok(text)
}

fn describe(inspection: &Inspection, output: Output) -> String {
    let mut lines = Vec::new();
    let part = |object: &Option<aegis_model::json::JsonObject>| match object {
        Some(object) => serde_json::to_string_pretty(&Value::Object(object.clone())).unwrap_or_default(),
        None => "not readable".to_owned(),
    };
    lines.push(format!("{} {}", output.paint("header:", Tone::Strong), part(&inspection.header)));
    lines.push(format!("{} {}", output.paint("claims:", Tone::Strong), part(&inspection.claims)));
    let kind = inspection.kind.map_or("none that is known", |kind| kind.typ());
    lines.push(format!("{} {kind}", output.paint("kind:", Tone::Strong)));
    if let Some(seconds) = inspection.times.expires_in {
        let when = if seconds >= 0 {
            format!("in {seconds} s")
        } else {
            format!("{} s ago", seconds.unsigned_abs())
        };
        lines.push(format!("{} {when}", output.paint("expires:", Tone::Strong)));
    }
    let signature = match &inspection.signature {
        SignatureStatus::Valid { issuer } => format!("valid, by {issuer}"),
        SignatureStatus::Invalid => "wrong".to_owned(),
        SignatureStatus::UnknownKey => "by a key that is not trusted".to_owned(),
        SignatureStatus::NotChecked => "not checked: no key was given".to_owned(),
    };
    lines.push(format!("{} {signature}", output.paint("signature:", Tone::Strong)));
    for finding in &inspection.findings {
        lines.push(format!("{} {finding}", output.paint("refused:", Tone::Bad)));
    }
    lines.join("\n")
}
