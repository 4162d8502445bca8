//! `aegis token mint`: makes an agent token.

use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_identity::claims::AgentClaims;
use aegis_identity::mint::{MintRefusal, Minted, Minter};
use aegis_identity::trust::Issuer;
use aegis_model::caps;
use aegis_model::clock::Clock;
use aegis_model::ids::{AgentId, OrgId, TenantId};
use aegis_model::scope::Scope;
use clap::Args;
use serde_json::json;

use crate::admin_client::{Server, block_on, segment};
use crate::arguments::{self, Claim};
use crate::ended::{Ended, WrongUse};
use crate::listing::text;
use crate::output::Output;
use crate::state::{DataDir, read_signing_key};
use crate::tenant::told;

/// Who signs the tokens of `aegis dev`.
pub(crate) const DEV_ISSUER: &str = "aegis-dev";

/// What a token of `aegis dev` is good for, unless its maker says otherwise: every call, and asking why.
const DEV_SCOPE: &str = "*:* aegis:explain";

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis token mint --data-dir .aegis --agent finance-agent --claim purpose=care
  aegis token mint --server https://control-1:7070 --server-ca certs/ca.pem --person-token-file admin.token \\
    --tenant acme --agent finance-agent --scope 'stripe-payments:*'
  aegis token mint --key-file key.pem --issuer https://issuer.example --org acme --tenant acme --agent finance-agent \\
    --scope 'stripe-payments:*' --life 5m

A key file is made with: openssl genpkey -algorithm ed25519 -out key.pem")]
pub(crate) struct Options {
    /// A private key (Ed25519, PKCS#8 PEM) that signs instead
    #[arg(long, env = "AEGIS_KEY_FILE", requires = "issuer", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Who signs with that key
    #[arg(long, env = "AEGIS_ISSUER", value_name = "NAME")]
    issuer: Option<Issuer>,
    #[command(flatten)]
    bearer: Bearer,
    #[command(flatten)]
    server: Server,
}

/// Whom a token is for, and what it says.
#[derive(Debug, Clone, Args)]
pub(crate) struct Bearer {
    /// The agent [default with a data directory: that of the printed commands]
    #[arg(long, env = "AEGIS_AGENT", value_name = "NAME")]
    pub(crate) agent: Option<AgentId>,
    /// Its tenant [default with a data directory: demo]
    #[arg(long, env = "AEGIS_TENANT", value_name = "NAME")]
    tenant: Option<TenantId>,
    /// Its organization [default with a data directory: demo]
    #[arg(long, env = "AEGIS_ORG", value_name = "NAME")]
    org: Option<OrgId>,
    /// What the token is good for: `tool:action` globs [default with a data directory: everything]
    #[arg(long, env = "AEGIS_SCOPE", value_name = "GLOBS")]
    scope: Option<String>,
    /// How long it is good for, at most 15m
    #[arg(long, env = "AEGIS_LIFE", default_value = "15m", value_parser = arguments::duration, value_name = "TIME")]
    life: Duration,
    /// A further claim: `purpose=care`, or `level:=3` for JSON; may be repeated
    #[arg(long = "claim", env = "AEGIS_CLAIM", value_parser = arguments::claim, value_name = "NAME=VALUE")]
    claims: Vec<Claim>,
    /// An agent that called the agent, nearest first; may be repeated
    #[arg(long = "caller", env = "AEGIS_CALLERS", value_delimiter = ',', value_name = "NAME")]
    callers: Vec<AgentId>,
}

impl Bearer {
    /// A token for `agent`, with everything else as it is by default.
    pub(crate) fn for_agent(agent: AgentId) -> Self {
        let life = Duration::from_secs(caps::TOKEN_LIFE_SECONDS_MAX);
        Self {
            agent: Some(agent),
            tenant: None,
            org: None,
            scope: None,
            life,
            claims: Vec::new(),
            callers: Vec::new(),
        }
    }
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let minted = match (&options.key_file, &options.issuer) {
        (Some(key_file), Some(issuer)) => mint_from_file(key_file, issuer.clone(), &options.bearer)?,
        _ if options.server.is_named() => return mint_by_control_plane(options, output),
        _ => mint_from_data_dir(&DataDir::open(options.server.dev_dir_path())?, &options.bearer)?,
    };
    let token = minted.token.expose();
    let told =
        json!({"token": token, "token_id": minted.token_id, "expires_at": minted.expires_at.seconds()});
    output.result(&told, || token.clone());
    Ok(Ended::Done)
}

/// A token that the control plane signs, for those who may ask it for one.
fn mint_by_control_plane(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let bearer = &options.bearer;
    let asked = |option: &str| WrongUse(format!("a token of the control plane needs `{option}`"));
    let tenant = bearer.tenant.as_ref().ok_or_else(|| asked("--tenant"))?;
    let agent = bearer.agent.as_ref().ok_or_else(|| asked("--agent"))?;
    let scope = bearer.scope.as_ref().ok_or_else(|| asked("--scope"))?;
    if bearer.org.is_some() || !bearer.callers.is_empty() {
        return Err(WrongUse(
            "the control plane knows the organization itself, and callers come from token exchange only"
                .to_owned(),
        )
        .into());
    }
    let mut claims = Vec::new();
    for (name, value) in further(bearer)? {
        let Some(text) = value.as_str() else {
            return Err(WrongUse(format!(
                "the control plane takes claims that are texts, and `{name}` is none"
            ))
            .into());
        };
        claims.push(json!({"name": name, "value": text}));
    }
    let body =
        json!({"agent": agent, "scope": scope, "life_seconds": bearer.life.as_secs(), "claims": claims});
    let admin = options.server.client()?;
    let path = format!("/tenants/{}/tokens", segment(tenant.as_str()));
    let minted = block_on(async { Ok(admin.post(&path, body).await) })?;
    told(minted, output, |minted| text(minted, "token"))
}

/// A token signed with the key of `aegis dev`; what is not said is as its commands need it.
///
/// # Errors
/// `aegis dev` has not run there, or the token would be refused.
pub(crate) fn mint_from_data_dir(data_dir: &DataDir, bearer: &Bearer) -> anyhow::Result<Minted> {
    let key = data_dir.signing_key(false)?;
    let node = data_dir.dev_node()?;
    let issuer = DEV_ISSUER.parse().expect("a constant that is an issuer");
    let claims = AgentClaims {
        org: bearer.org.clone().unwrap_or(node.org),
        tenant: bearer.tenant.clone().unwrap_or(node.tenant),
        agent: bearer.agent.clone().unwrap_or(node.agent),
        scope: Scope::parse(bearer.scope.as_deref().unwrap_or(DEV_SCOPE)),
        callers: bearer.callers.clone(),
        claims: further(bearer)?,
    };
    mint(&Minter::new(key, issuer), &claims, bearer.life)
}

fn mint_from_file(key_file: &Path, issuer: Issuer, bearer: &Bearer) -> anyhow::Result<Minted> {
    fn needed<T: Clone>(value: &Option<T>, option: &str) -> Result<T, WrongUse> {
        value.clone().ok_or_else(|| WrongUse(format!("a token signed with `--key-file` needs `{option}`")))
    }
    let claims = AgentClaims {
        org: needed(&bearer.org, "--org")?,
        tenant: needed(&bearer.tenant, "--tenant")?,
        agent: needed(&bearer.agent, "--agent")?,
        scope: Scope::parse(&needed(&bearer.scope, "--scope")?),
        callers: bearer.callers.clone(),
        claims: further(bearer)?,
    };
    mint(&Minter::new(read_signing_key(key_file)?, issuer), &claims, bearer.life)
}

fn further(bearer: &Bearer) -> Result<aegis_model::json::JsonObject, WrongUse> {
    let mut claims = aegis_model::json::JsonObject::new();
    for Claim { name, value } in &bearer.claims {
        if claims.insert(name.clone(), value.clone()).is_some() {
            return Err(WrongUse(format!("the claim `{name}` is given twice")));
        }
    }
    Ok(claims)
}

fn mint(minter: &Minter, claims: &AgentClaims, life: Duration) -> anyhow::Result<Minted> {
    let refused = |refusal: MintRefusal| WrongUse(format!("no token is made: {refusal}"));
    Ok(minter.mint_agent(claims, life, Clock::System.now(), &mut rand::rng()).map_err(refused)?)
}
