//! `aegis policy eval`: judges one call, and says step by step why.

use std::path::PathBuf;

use aegis_model::call::ToolCall;
use aegis_model::clock::{Clock, UnixNanos};
use aegis_model::decision::Outcome;
use aegis_model::ids::{ActionName, AgentId, OrgId, TenantId, ToolName};
use aegis_model::json::JsonObject;
use aegis_model::principal::Principal;
use aegis_model::scope::Scope;
use aegis_policy::judge::Question;
use aegis_policy::prepared::inspected::Inspected;
use clap::Args;

use super::{Loaded, Reading, compile, load};
use crate::arguments;
use crate::ended::Ended;
use crate::output::{Output, Tone};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis policy eval policies/ --agent finance-agent --tool stripe-payments --action create_payment \\
    --params '{\"amount\": 50000}' --explain

Ends with 0 when the call may go on, with 1 when it may not.")]
pub(crate) struct Options {
    /// The policy folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// The agent that calls
    #[arg(long, env = "AEGIS_AGENT", value_name = "NAME")]
    agent: AgentId,
    /// The tool
    #[arg(long, env = "AEGIS_TOOL", value_name = "NAME")]
    tool: ToolName,
    /// Its action
    #[arg(long, env = "AEGIS_ACTION", default_value = "call", value_name = "NAME")]
    action: ActionName,
    /// The tool's parameters
    #[arg(long, env = "AEGIS_PARAMS", default_value = "{}", value_parser = arguments::json_object, value_name = "JSON")]
    params: JsonObject,
    /// What the caller says about the circumstances
    #[arg(long, env = "AEGIS_CONTEXT", default_value = "{}", value_parser = arguments::json_object, value_name = "JSON")]
    context: JsonObject,
    /// Claims fixed in the token, such as `purpose`
    #[arg(
        long, env = "AEGIS_TOKEN_CLAIMS", hide_env_values = true, default_value = "{}",
        value_parser = arguments::json_object, value_name = "JSON"
    )]
    token_claims: JsonObject,
    /// An agent that called the agent, nearest first; may be repeated
    #[arg(long = "caller", env = "AEGIS_CALLERS", value_delimiter = ',', value_name = "NAME")]
    callers: Vec<AgentId>,
    /// The token's scope
    #[arg(long, env = "AEGIS_SCOPE", default_value = "*:*", value_name = "GLOBS")]
    scope: String,
    /// The tenant, as custom rules see it
    #[arg(long, env = "AEGIS_TENANT", default_value = "demo", value_name = "NAME")]
    tenant: TenantId,
    /// The organization, as custom rules see it
    #[arg(long, env = "AEGIS_ORG", default_value = "demo", value_name = "NAME")]
    org: OrgId,
    /// The moment, e.g. `2026-11-23T09:30:00+01:00` [default: now]
    #[arg(long, env = "AEGIS_AT", value_parser = arguments::moment, value_name = "RFC3339")]
    at: Option<UnixNanos>,
    /// Show each step of the judgement
    #[arg(long, env = "AEGIS_EXPLAIN")]
    explain: bool,
}

pub(super) fn run(options: &Options, output: Output) -> Ended {
    match judged(options, output) {
        Ok(Outcome::Allow | Outcome::Sanitize) => Ended::Done,
        Ok(Outcome::Deny | Outcome::ApprovalRequired) => Ended::Refused,
        Err(problems) => {
            problems.print(output);
            Ended::Refused
        }
    }
}

fn judged(options: &Options, output: Output) -> Reading<Outcome> {
    let Loaded { set, warnings, .. } = load(&options.path)?;
    let prepared = compile(&options.path, &set)?;
    warnings.print(output);
    let now = options.at.unwrap_or_else(|| Clock::System.now());
    let (principal, call) = (principal(options, now), call(options));
    let question = Question { principal: &principal, call: &call, now };
    if options.explain {
        let explanation = prepared.explain(&question);
        let steps = explanation.to_string();
        let outcome = explanation.verdict.outcome;
        output.result(&explanation, || format!("{}\n{}", paint_outcome(outcome, output), steps.trim_end()));
        return Ok(outcome);
    }
    let inspected = prepared.inspect(&question);
    output.result(&inspected, || describe(&inspected, output));
    Ok(inspected.verdict.outcome)
}

fn principal(options: &Options, now: UnixNanos) -> Principal {
    Principal {
        org: options.org.clone(),
        tenant: options.tenant.clone(),
        agent: options.agent.clone(),
        scope: Scope::parse(&options.scope),
        callers: options.callers.clone(),
        claims: options.token_claims.clone(),
        token_id: "eval".to_owned(),
        issued_at: now,
        expires_at: now,
    }
}

fn call(options: &Options) -> ToolCall {
    ToolCall {
        request_id: None,
        tool: options.tool.clone(),
        action: options.action.clone(),
        params: options.params.clone(),
        context: options.context.clone(),
        cost: None,
        override_token: None,
        dry_run: false,
        explain: false,
        wait_ms: 0,
        sign_receipt: false,
    }
}

fn describe(Inspected { verdict, params }: &Inspected, output: Output) -> String {
    let mut text = paint_outcome(verdict.outcome, output);
    for reason in &verdict.reasons {
        text.push_str(&format!("\n  {}: {}", reason.code, reason.message));
        let place = [&reason.path, &reason.rule, &reason.position];
        let place: Vec<&str> = place.into_iter().filter_map(Option::as_deref).collect();
        if !place.is_empty() {
            text.push_str(&format!("\n    {}", place.join("  ")));
        }
    }
    if verdict.reasons.is_empty() && !verdict.rules.is_empty() {
        text.push_str(&format!("\n  by {}", verdict.rules.join(", ")));
    }
    if let Some(params) = params {
        let params = serde_json::Value::Object(params.clone());
        text.push_str(&format!("\n  parameters to use: {params}"));
    }
    for name in &verdict.unverified {
        text.push_str(&format!("\n  note: `{name}` rests on the caller's word alone"));
    }
    text
}

/// The outcome in its color.
fn paint_outcome(outcome: Outcome, output: Output) -> String {
    let tone = match outcome {
        Outcome::Allow | Outcome::Sanitize => Tone::Good,
        Outcome::Deny => Tone::Bad,
        Outcome::ApprovalRequired => Tone::Open,
    };
    output.paint(outcome.as_str(), tone)
}
