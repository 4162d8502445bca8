//! `aegis budget`: what is left of budgets, and changing one until its day ends.

use aegis_model::ids::{AgentId, OrgId, TenantId};
use aegis_model::money::Micros;
use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

use crate::admin_client::{Server, block_on, segment};
use crate::ended::Ended;
use crate::listing::{self, text};
use crate::output::Output;
use crate::tenant::{put, told};

/// What can be done with budgets.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  aegis budget show --tenant acme --agent finance-agent
  aegis budget set --tenant acme --agent finance-agent --unit usd --limit 250 --reason \"end of the quarter\"")]
pub(crate) enum Command {
    /// Show budgets: how much is granted, out at data nodes, free
    Show(ShowOptions),
    /// Set another limit for the rest of the running day, or let the policy's count again
    Set(SetOptions),
    /// Forgive what was spent of a budget in the running day
    Reset(ResetOptions),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("owner").required(true).args(["tenant", "organization"]))]
struct Owner {
    /// The tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "TENANT")]
    tenant: Option<TenantId>,
    /// Instead of a tenant: the organization as a whole
    #[arg(long, env = "AEGIS_ORGANIZATION", value_name = "NAME", conflicts_with_all = ["agent", "entry"])]
    organization: Option<OrgId>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis budget show --tenant acme
  aegis budget show --tenant acme --agent finance-agent --unit usd --output json
  aegis budget show --organization acme-group

Budgets are shown of which something was asked for lately: a day is forgotten two days after its end, and then stands in the control log
(`aegis audit budgets`). LENT is what of GRANTED is out at data nodes, and may come back.")]
pub(crate) struct ShowOptions {
    #[command(flatten)]
    owner: Owner,
    /// Only those of this agent
    #[arg(long, env = "AEGIS_AGENT", value_name = "AGENT")]
    agent: Option<AgentId>,
    /// Only those of entries of this name
    #[arg(long, env = "AEGIS_ENTRY", value_name = "NAME")]
    entry: Option<String>,
    /// Only those that count this, e.g. `usd` or `calls`
    #[arg(long, env = "AEGIS_UNIT", value_name = "UNIT")]
    unit: Option<String>,
    /// Instead of the newest day of each budget, the one before; of a tenant only
    #[arg(long, env = "AEGIS_BEFORE", conflicts_with = "organization")]
    before: bool,
    #[command(flatten)]
    server: Server,
}

/// Which budget.
#[derive(Debug, Args)]
struct Which {
    #[command(flatten)]
    owner: Owner,
    /// The agent; without one: the budget of the tenant as a whole
    #[arg(long, env = "AEGIS_AGENT", value_name = "AGENT")]
    agent: Option<AgentId>,
    /// The name of the entry; without one: the budget of the agent as a whole
    #[arg(long, env = "AEGIS_ENTRY", value_name = "NAME", requires = "agent")]
    entry: Option<String>,
    /// What it counts, e.g. `usd` or `calls`
    #[arg(long, env = "AEGIS_UNIT", value_name = "UNIT")]
    unit: String,
    /// Why, in words that are kept
    #[arg(long, env = "AEGIS_REASON", value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("change").required(true).args(["limit", "clear"]))]
#[command(after_help = "Examples:
  aegis budget set --tenant acme --agent finance-agent --unit usd --limit 250 --reason \"end of the quarter\"
  aegis budget set --tenant acme --agent finance-agent --unit usd --clear
  aegis budget set --organization acme-group --unit usd --limit 10000

The limit counts until the running day of the budget ends, whatever policies say. Below what is granted already it stops grants;
nothing is taken back.")]
pub(crate) struct SetOptions {
    #[command(flatten)]
    which: Which,
    /// The limit: a decimal such as `12.5`
    #[arg(long, env = "AEGIS_LIMIT", value_name = "AMOUNT")]
    limit: Option<Micros>,
    /// The limit of the policy counts again
    #[arg(long, env = "AEGIS_CLEAR")]
    clear: bool,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis budget reset --tenant acme --agent finance-agent --unit usd --reason \"a runaway loop, fixed\"

What is out at data nodes stays charged until it comes back.")]
pub(crate) struct ResetOptions {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    server: Server,
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Show(options) => show(&options, output),
        Command::Set(options) => {
            let mut change = json!({});
            put(&mut change, "limit", options.limit.map(|limit| limit.to_string()));
            put(&mut change, "clear_limit", options.clear.then_some(true));
            adjust(&options.which, &options.server, change, output)
        }
        Command::Reset(options) => {
            adjust(&options.which, &options.server, json!({"reset_spent": true}), output)
        }
    }
}

impl Owner {
    /// Where its budgets are.
    fn path(&self) -> String {
        match (&self.tenant, &self.organization) {
            (_, Some(organization)) => format!("/organizations/{}/budgets", segment(organization.as_str())),
            (Some(tenant), None) => format!("/tenants/{}/budgets", segment(tenant.as_str())),
            (None, None) => unreachable!("clap wants one of the two"),
        }
    }
}

fn show(options: &ShowOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let wanted = [
        ("agent", options.agent.as_ref().map(AgentId::as_str)),
        ("entry", options.entry.as_deref()),
        ("unit", options.unit.as_deref()),
    ];
    // An organization has few budgets, and its list takes no filter.
    let of_tenant = options.owner.organization.is_none();
    let query = wanted
        .iter()
        .filter(|_| of_tenant)
        .filter_map(|(name, value)| value.map(|value| format!("&{name}={}", segment(value))))
        .chain(options.before.then(|| "&before=true".to_owned()))
        .collect::<String>();
    let rows = match block_on(async { Ok(admin.all_of(&options.owner.path(), &query).await) })? {
        Ok(rows) => rows,
        Err(failure) => return failure.told(output),
    };
    let unit = |row: &Value| options.unit.as_ref().is_none_or(|unit| row["unit"] == unit.as_str());
    let rows: Vec<Value> = rows.into_iter().filter(unit).collect();
    listing::print(
        output,
        &rows,
        &[
            ("AGENT", |row| whose(row)),
            ("ENTRY", |row| text(row, "entry")),
            ("UNIT", |row| text(row, "unit")),
            ("LIMIT", limit),
            ("GRANTED", |row| text(row, "granted")),
            ("LENT", |row| text(row, "lent")),
            ("DEBT", |row| text(row, "debt")),
            ("FREE", |row| text(row, "free")),
            ("%", |row| text(row, "percent")),
            ("UNTIL", until),
        ],
    );
    Ok(Ended::Done)
}

/// The agent, or whose as a whole.
fn whose(row: &Value) -> String {
    match text(row, "level").as_str() {
        "agent" | "entry" => text(row, "agent"),
        level => format!("({level})"),
    }
}

/// The limit that counts, and whether somebody set it.
fn limit(row: &Value) -> String {
    let set = if row["adjusted_limit"].is_null() { "" } else { " (set)" };
    format!("{}{set}", text(row, "limit"))
}

fn until(row: &Value) -> String {
    if row["void"] == Value::Bool(true) {
        return "spent: the cluster was restored".to_owned();
    }
    match row["ended"] == Value::Bool(true) {
        true => "ended".to_owned(),
        // Days begin and end with a second; the fraction would be noise.
        false => text(row, "epoch_end").replace(".000000000Z", "Z"),
    }
}

fn adjust(which: &Which, server: &Server, mut body: Value, output: Output) -> anyhow::Result<Ended> {
    let admin = server.client()?;
    put(&mut body, "unit", Some(which.unit.clone()));
    put(&mut body, "agent", which.agent.as_ref().map(ToString::to_string));
    put(&mut body, "entry", which.entry.clone());
    put(&mut body, "reason", which.reason.clone());
    let path = format!("{}/adjust", which.owner.path());
    let done = block_on(async { Ok(admin.post(&path, body).await) })?;
    told(done, output, |answer| {
        let (before, after) = (&answer["before"], &answer["after"]);
        format!(
            "the limit is {} {} until {} (it was {}); {} is free",
            text(after, "limit"),
            text(after, "unit"),
            text(after, "epoch_end"),
            text(before, "limit"),
            text(after, "free")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whose_it_is_and_what_is_special_about_it() {
        let mut row =
            json!({"level": "tenant", "agent": "", "limit": "10", "epoch_end": "2027-01-16T00:00:00Z"});
        assert_eq!(
            (whose(&row), limit(&row), until(&row).as_str()),
            ("(tenant)".into(), "10".into(), "2027-01-16T00:00:00Z")
        );
        row["level"] = json!("entry");
        row["agent"] = json!("payer");
        row["adjusted_limit"] = json!("10");
        row["ended"] = json!(true);
        assert_eq!(
            (whose(&row), limit(&row), until(&row).as_str()),
            ("payer".into(), "10 (set)".into(), "ended")
        );
        row["void"] = json!(true);
        assert!(until(&row).contains("restored"));
    }
}
