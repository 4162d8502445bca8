//! `aegis ready`: whether a node should be sent requests; for health checks where there is no other client.

use std::path::PathBuf;
use std::time::Duration;

use aegis_identity::tls::client_config;
use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use crate::admin_client::block_on;
use crate::arguments;
use crate::ended::{Ended, WrongUse};
use crate::output::Output;
use crate::state::read_bounded;

/// Larger than any set of certificates that a client trusts.
const ROOTS_BYTES_MAX: usize = 4 << 20;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis ready http://127.0.0.1:7080
  aegis ready https://control-1:7070 --tls-roots certs/ca.pem

Asks a control node or a data node at its HTTP address. Ends with 0 when it is ready, with 1 when it is not or does not
answer, and says why.")]
pub(crate) struct Options {
    /// The node's HTTP address
    #[arg(value_name = "URL")]
    url: String,
    /// The certificates that the node's has to lead to (PEM); required for https
    #[arg(long, env = "AEGIS_TLS_ROOTS", value_name = "FILE")]
    tls_roots: Option<PathBuf>,
    /// How long to wait for the answer
    #[arg(long, env = "AEGIS_DEADLINE", default_value = "5s", value_parser = arguments::duration, value_name = "TIME")]
    deadline: Duration,
}

pub(crate) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let mut builder = reqwest::Client::builder().timeout(options.deadline).no_proxy();
    if options.url.starts_with("https://") {
        let path =
            options.tls_roots.as_deref().ok_or_else(|| WrongUse("`--tls-roots` is missing".to_owned()))?;
        let roots =
            read_bounded(path, ROOTS_BYTES_MAX).with_context(|| format!("reading `{}`", path.display()))?;
        builder = builder.tls_backend_preconfigured(client_config(&roots, None, &[b"http/1.1"])?);
    } else {
        // Without the system's certificates, which a small image does not have.
        builder = builder.tls_certs_only([]);
    }
    let client = builder.build().context("starting")?;
    let url = format!("{}/readyz", options.url.trim_end_matches('/'));
    let (ready, told) = block_on(async {
        let answer = client.get(&url).send().await.map_err(reqwest::Error::without_url);
        let answer = answer.with_context(|| format!("asking {}", options.url))?;
        let ready = answer.status().is_success();
        // Whatever it says beside its status is for people.
        Ok((ready, answer.json::<Value>().await.unwrap_or_default()))
    })?;
    let because: Vec<&str> =
        told["because"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let detail = match told["detail"].as_str() {
        Some(detail) => detail.to_owned(),
        None if !because.is_empty() => because.join("; "),
        None => if ready { "ready" } else { "not ready" }.to_owned(),
    };
    output.result(&json!({"ready": ready, "detail": detail}), || detail.clone());
    Ok(if ready { Ended::Done } else { Ended::Refused })
}
