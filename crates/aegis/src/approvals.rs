//! `aegis approvals`: requests for approval: look, agree, say no.

use aegis_model::ids::{AgentId, TenantId};
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use crate::admin_client::{Server, block_on, segment};
use crate::ended::Ended;
use crate::listing::{self, text};
use crate::output::Output;
use crate::tenant::{put, told};

/// What can be done with requests for approval.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  aegis approvals list --tenant acme
  aegis approvals approve Zr5C4lYqk0vZJ1c7m2Hn9A --tenant acme --reason \"agreed by phone\"")]
pub(crate) enum Command {
    /// List requests, the newest first
    List(ListOptions),
    /// Show a request: who wants to do what, and who said what
    Show(OneOptions),
    /// Agree to a call
    Approve(VoteOptions),
    /// Say no to a call
    Reject(VoteOptions),
    /// Take a request back, or an approval that was not used
    Cancel(VoteOptions),
    /// Show what channels were told of requests, and are still to be told
    Deliveries(DeliveriesOptions),
}

/// How a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    /// People are asked
    Pending,
    /// Enough agreed, and the call may be made once
    Approved,
    /// One said no
    Rejected,
    /// Nobody decided, or the call was not made, in time
    Expired,
    /// The call was made
    Redeemed,
    /// It counts no more
    Cancelled,
    /// However it stands
    All,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis approvals list --tenant acme
  aegis approvals list --tenant acme --state all --agent finance-agent

SIMILAR is how many requests of the agent for the same tool and action were opened within a day before: look twice where it is high.")]
pub(crate) struct ListOptions {
    /// The tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "TENANT")]
    tenant: TenantId,
    /// Only those that stand so
    #[arg(long, env = "AEGIS_APPROVAL_STATE", value_enum, default_value = "pending", value_name = "STATE")]
    state: State,
    /// Only those of this agent
    #[arg(long, env = "AEGIS_AGENT", value_name = "AGENT")]
    agent: Option<AgentId>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  aegis approvals show Zr5C4lYqk0vZJ1c7m2Hn9A --tenant acme")]
pub(crate) struct OneOptions {
    /// The request
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    id: String,
    /// The tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "TENANT")]
    tenant: TenantId,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis approvals approve Zr5C4lYqk0vZJ1c7m2Hn9A --tenant acme --reason \"agreed by phone\"
  aegis approvals reject Zr5C4lYqk0vZJ1c7m2Hn9A --tenant acme --reason \"not this vendor\"

One person has one vote, also if they say it twice. One no ends a request. Nobody agrees to a call in whose chain they stand.")]
pub(crate) struct VoteOptions {
    /// The request
    #[arg(value_name = "ID", allow_hyphen_values = true)]
    id: String,
    /// The tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "TENANT")]
    tenant: TenantId,
    /// Why, in words that are kept
    #[arg(long, env = "AEGIS_REASON", value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    server: Server,
}

/// How far it is with telling a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum DeliveryState {
    /// There is something to tell, and it is tried
    Waiting,
    /// It was told how the request stands
    Told,
    /// Others of the agent are shown first
    Grouped,
    /// It was told how the request ended, or there was nothing to tell
    Ended,
    /// It could not be told
    #[value(name = "given_up")]
    GivenUp,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis approvals deliveries --tenant acme
  aegis approvals deliveries --tenant acme --state waiting --channel '#payments'

What is `waiting` is tried again until it is taken, at ever longer intervals of up to a quarter of an hour.")]
pub(crate) struct DeliveriesOptions {
    /// The tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "TENANT")]
    tenant: TenantId,
    /// Only those that stand so
    #[arg(long, env = "AEGIS_DELIVERY_STATE", value_enum, value_name = "STATE")]
    state: Option<DeliveryState>,
    /// Only those of this channel
    #[arg(long, env = "AEGIS_CHANNEL", value_name = "CHANNEL")]
    channel: Option<String>,
    #[command(flatten)]
    server: Server,
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::List(options) => list(&options, output),
        Command::Show(options) => show(&options, output),
        Command::Approve(options) => say(&options, "approve", output),
        Command::Reject(options) => say(&options, "reject", output),
        Command::Cancel(options) => say(&options, "cancel", output),
        Command::Deliveries(options) => deliveries(&options, output),
    }
}

fn path_of(tenant: &TenantId) -> String {
    format!("/tenants/{}/approvals", segment(tenant.as_str()))
}

fn list(options: &ListOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let state =
        options.state.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let wanted = [
        ("state", (options.state != State::All).then_some(state)),
        ("agent", options.agent.as_ref().map(ToString::to_string)),
    ];
    let query: String = wanted
        .iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("&{name}={}", segment(value))))
        .collect();
    let rows = match block_on(async { Ok(admin.all_of(&path_of(&options.tenant), &query).await) })? {
        Ok(rows) => rows,
        Err(failure) => return failure.told(output),
    };
    listing::print(
        output,
        &rows,
        &[
            ("ID", |row| text(row, "id")),
            ("STATE", |row| text(row, "state")),
            ("AGENT", |row| text(row, "agent")),
            ("TOOL", |row| text(row, "tool")),
            ("ACTION", |row| text(row, "action")),
            ("PARAMS", params),
            ("SIMILAR", |row| text(row, "similar")),
            ("UNTIL", |row| text(row, "expires_at").replace(".000000000Z", "Z")),
        ],
    );
    Ok(Ended::Done)
}

fn deliveries(options: &DeliveriesOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let state = options.state.and_then(|state| state.to_possible_value());
    let wanted =
        [("state", state.map(|value| value.get_name().to_owned())), ("channel", options.channel.clone())];
    let query: String = wanted
        .iter()
        .filter_map(|(name, value)| value.as_ref().map(|value| format!("&{name}={}", segment(value))))
        .collect();
    let path = format!("/tenants/{}/deliveries", segment(options.tenant.as_str()));
    let rows = match block_on(async { Ok(admin.all_of(&path, &query).await) })? {
        Ok(rows) => rows,
        Err(failure) => return failure.told(output),
    };
    listing::print(
        output,
        &rows,
        &[
            ("REQUEST", |row| text(row, "approval")),
            ("CHANNEL", |row| text(row, "channel")),
            ("STATE", |row| text(row, "state")),
            ("TOLD", |row| text(row, "told")),
            ("ATTEMPTS", |row| text(row, "attempts")),
            ("NEXT", |row| text(row, "next_at").replace(".000000000Z", "Z")),
            ("ERROR", |row| text(row, "error")),
        ],
    );
    Ok(Ended::Done)
}

/// As many characters of the parameters as fit into a line.
const PARAMS_SHOWN: usize = 60;

fn params(row: &Value) -> String {
    let params = text(row, "params");
    match params.char_indices().nth(PARAMS_SHOWN) {
        Some((at, _)) => format!("{}…", params.get(..at).unwrap_or_default()),
        None => params,
    }
}

fn show(options: &OneOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let path = format!("{}/{}", path_of(&options.tenant), segment(&options.id));
    let found = block_on(async { Ok(admin.get(&path).await) })?;
    told(found, output, in_full)
}

fn say(options: &VoteOptions, what: &str, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let mut body = json!({});
    put(&mut body, "reason", options.reason.clone());
    let path = format!("{}/{}/{what}", path_of(&options.tenant), segment(&options.id));
    let done = block_on(async { Ok(admin.post(&path, body).await) })?;
    told(done, output, |row| {
        let standing = match text(row, "state").as_str() {
            "pending" => format!("pending: {}", needed(row)),
            "approved" => format!("approved: the agent may make the call until {}", text(row, "expires_at")),
            state => state.to_owned(),
        };
        format!("{} {} of {} is {standing}", text(row, "tool"), text(row, "action"), text(row, "agent"))
    })
}

/// Who has to agree.
fn needed(row: &Value) -> String {
    let of = |terms: &Value| {
        let by: Vec<&str> = terms["by"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        format!("{} of {}", terms["of"], by.join(", "))
    };
    let all: Vec<String> = row["terms"].as_array().into_iter().flatten().map(of).collect();
    format!("it needs {}", all.join(", and "))
}

fn in_full(row: &Value) -> String {
    let mut lines = vec![
        format!("{}: {}", text(row, "id"), text(row, "state")),
        format!("  agent    {}{}", text(row, "agent"), chain(row)),
        format!("  call     {} {}", text(row, "tool"), text(row, "action")),
        format!("  params   {}", text(row, "params")),
        format!("  context  {}", text(row, "context")),
        format!("  asks     {}", needed(row)),
        format!("  similar  {} within a day before", text(row, "similar")),
        format!("  until    {}", text(row, "expires_at")),
    ];
    for reason in row["reasons"].as_array().into_iter().flatten() {
        let path = text(reason, "path");
        let at = if path.is_empty() { path } else { format!(" at {path}") };
        lines.push(format!("  because  {}{at}: {}", text(reason, "code"), text(reason, "message")));
    }
    for vote in row["votes"].as_array().into_iter().flatten() {
        let said = if vote["approve"] == Value::Bool(true) { "agreed" } else { "said no" };
        lines.push(format!("  vote     {} {said}: {}", text(vote, "person"), text(vote, "reason")));
    }
    lines.join("\n")
}

fn chain(row: &Value) -> String {
    let callers: Vec<&str> =
        row["callers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if callers.is_empty() { String::new() } else { format!(", called by {}", callers.join(", called by ")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_shown_with_all_that_an_approver_needs() {
        let row = json!({
            "id": "a-1", "state": "pending", "agent": "payer", "callers": ["planner"], "tool": "stripe",
            "action": "pay", "params": "{\"amount\":50000}", "context": "{}", "similar": 3, "expires_at": "soon",
            "terms": [{"by": ["finance-lead"], "of": 2}],
            "reasons": [{"code": "ParameterOutOfRange", "path": "/params/amount", "message": "above 5000"}],
            "votes": [{"person": "ann", "approve": true, "reason": "ok"}],
        });
        let shown = in_full(&row);
        for part in
            ["planner", "50000", "2 of finance-lead", "/params/amount", "ann agreed: ok", "3 within a day"]
        {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(params(&json!({"params": "x".repeat(100)})).ends_with('…'));
    }
}
