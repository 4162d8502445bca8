//! `aegis token get`: a token as an agent gets it, at `POST /v1/token` of a data node.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_identity::assertion;
use aegis_identity::keys::SigningKey;
use aegis_identity::mint::new_token_id;
use aegis_identity::tls::client_config;
use aegis_model::clock::Clock;
use aegis_model::ids::{AgentId, ClusterId, TenantId};
use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::admin_client::block_on;
use crate::ended::Ended;
use crate::output::Output;
use crate::state::read_bounded;

/// Larger than any PEM file that is read here.
const FILE_BYTES_MAX: usize = 4 << 20;

/// Larger than any answer.
const ANSWER_BYTES_MAX: usize = 64 << 10;

/// For how long the assertion counts: the time until it arrives, and clocks that differ.
const ASSERTION_SECONDS: u64 = 60;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  openssl genpkey -algorithm ed25519 -out payer.pem && openssl pkey -in payer.pem -pubout -out payer.pub.pem
  aegis agent create payer --tenant acme --key payer.pub.pem --scope 'stripe:*'
  aegis token get --node http://127.0.0.1:7080 --cluster dev --tenant acme --agent payer --key payer.pem
  aegis token get … --agent clerk --key clerk.pem --caller-token-file payer.token    a delegated token
  aegis token get --tenant acme --agent deployer --issuer-token-file id.token       a token of `aegis issuer set`")]
pub(crate) struct Options {
    /// The data node's HTTP address
    #[arg(long, env = "AEGIS_NODE", value_name = "URL", default_value = "http://127.0.0.1:7080")]
    node: String,
    /// The certificates that the data node's has to lead to (PEM); required for https
    #[arg(long, env = "AEGIS_NODE_CA", value_name = "FILE")]
    node_ca: Option<PathBuf>,
    /// The cluster: what the assertion is meant for
    #[arg(long, env = "AEGIS_CLUSTER", value_name = "NAME", required_unless_present = "issuer_token_file")]
    cluster: Option<ClusterId>,
    /// The agent's tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "NAME")]
    tenant: TenantId,
    /// The agent
    #[arg(long, env = "AEGIS_AGENT", value_name = "NAME")]
    agent: AgentId,
    /// The agent's private key (Ed25519, PKCS#8 PEM)
    #[arg(
        long,
        env = "AEGIS_AGENT_PRIVATE_KEY",
        value_name = "FILE",
        required_unless_present = "issuer_token_file"
    )]
    key: Option<PathBuf>,
    /// A file that holds a token of an issuer outside, which proves the agent instead of a key
    #[arg(long, env = "AEGIS_ISSUER_TOKEN_FILE", value_name = "FILE", conflicts_with = "key")]
    issuer_token_file: Option<PathBuf>,
    /// What the token is wanted for [default: everything that is permitted]
    #[arg(long, env = "AEGIS_SCOPE", value_name = "SCOPE")]
    scope: Option<String>,
    /// A file that holds the token of the agent that calls this one
    #[arg(long, env = "AEGIS_CALLER_TOKEN_FILE", value_name = "FILE")]
    caller_token_file: Option<PathBuf>,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let proof = match (&options.issuer_token_file, &options.key, &options.cluster) {
        (Some(file), _, _) => Proof::IssuerToken(read_token(file)?),
        (None, Some(key), Some(cluster)) => Proof::Assertion(signed(options, key, cluster)?),
        (None, _, _) => bail!("`--key` and `--cluster` are missing, or `--issuer-token-file`"),
    };
    let form = form(options, proof)?;
    let (status, document) = block_on(ask(options, &form))?;
    if !status.is_success() {
        let told = json!({"status": status.as_u16(), "problem": document});
        output.result(&told, || {
            let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
            format!("no token: {}: {}", text("error"), text("error_description"))
        });
        return Ok(Ended::Refused);
    }
    let token = document["access_token"].as_str().context("the answer holds no token")?.to_owned();
    output.result(&document, || token);
    Ok(Ended::Done)
}

/// By what the agent proves itself.
enum Proof {
    Assertion(String),
    IssuerToken(String),
}

/// An assertion of the agent, made now.
fn signed(options: &Options, key: &Path, cluster: &ClusterId) -> anyhow::Result<String> {
    let pem = String::from_utf8(read(key)?).ok();
    let pem = pem.with_context(|| format!("`{}` is not PEM", key.display()))?;
    let key = SigningKey::from_pkcs8_pem(&pem).with_context(|| format!("reading `{}`", key.display()))?;
    let id = new_token_id(&mut rand::rng());
    let (cluster, tenant, agent) = (cluster.as_str(), options.tenant.as_str(), options.agent.as_str());
    Ok(assertion::sign(&key, cluster, tenant, agent, &id, Clock::System.now(), ASSERTION_SECONDS))
}

fn read_token(path: &Path) -> anyhow::Result<String> {
    let token = String::from_utf8(read(path)?).ok();
    let token = token.with_context(|| format!("`{}` holds no token", path.display()))?;
    Ok(token.trim().to_owned())
}

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

fn form(options: &Options, proof: Proof) -> anyhow::Result<Vec<(&'static str, String)>> {
    let caller = options.caller_token_file.as_deref().map(read_token).transpose()?;
    let of_issuer = matches!(proof, Proof::IssuerToken(_));
    let mut form = match (caller, proof) {
        (None, Proof::Assertion(assertion)) => vec![
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer".to_owned()),
            ("assertion", assertion),
        ],
        (None, Proof::IssuerToken(token)) => vec![
            ("grant_type", EXCHANGE.to_owned()),
            ("subject_token", token),
            ("subject_token_type", ID_TOKEN.to_owned()),
        ],
        (Some(caller), proof) => {
            let (actor, kind) = match proof {
                Proof::Assertion(assertion) => (assertion, JWT),
                Proof::IssuerToken(token) => (token, ID_TOKEN),
            };
            vec![
                ("grant_type", EXCHANGE.to_owned()),
                ("subject_token", caller),
                ("subject_token_type", ACCESS_TOKEN.to_owned()),
                ("actor_token", actor),
                ("actor_token_type", kind.to_owned()),
            ]
        }
    };
    if of_issuer {
        form.push(("client_id", options.agent.to_string()));
        form.push(("tenant", options.tenant.to_string()));
    }
    form.extend(options.scope.clone().map(|scope| ("scope", scope)));
    Ok(form)
}

async fn ask(
    options: &Options,
    form: &[(&'static str, String)],
) -> anyhow::Result<(reqwest::StatusCode, Value)> {
    let mut builder = reqwest::Client::builder()
        .timeout(Duration::from_secs(15))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy();
    builder = match &options.node_ca {
        Some(path) => builder.tls_backend_preconfigured(client_config(&read(path)?, None, &[b"http/1.1"])?),
        None if options.node.starts_with("https://") => bail!("`--node-ca` is missing"),
        None => builder.tls_certs_only([]),
    };
    let url = format!("{}/v1/token", options.node.trim_end_matches('/'));
    let body: Vec<String> =
        form.iter().map(|(name, value)| format!("{name}={}", crate::admin_client::segment(value))).collect();
    let answer = builder.build().context("starting")?.post(url);
    let answer = answer.header("Content-Type", "application/x-www-form-urlencoded").body(body.join("&"));
    let answer = answer.send().await.map_err(reqwest::Error::without_url).context("asking the data node")?;
    let status = answer.status();
    let bytes = answer.bytes().await.context("reading the answer")?;
    if bytes.len() > ANSWER_BYTES_MAX {
        bail!("the answer is too long");
    }
    Ok((status, serde_json::from_slice(&bytes).context("the answer is not JSON")?))
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    read_bounded(path, FILE_BYTES_MAX).with_context(|| format!("reading `{}`", path.display()))
}
