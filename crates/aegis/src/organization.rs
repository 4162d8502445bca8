//! `aegis organization`: what all tenants of an organization may use together.

use aegis_model::ids::OrgId;
use aegis_model::money::Micros;
use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

use crate::admin_client::{Server, block_on, segment};
use crate::ended::Ended;
use crate::listing::text;
use crate::output::Output;
use crate::tenant::{put, told};

/// What can be done with organizations.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:
  aegis organization limit acme-group --rps-limit 50 --daily-budget 1000 --unit usd --timezone Europe/Zurich")]
pub(crate) enum Command {
    /// Show what the tenants of an organization may use together
    Show(ShowOptions),
    /// Say what they may use together; replaces what was said before
    Limit(Box<LimitOptions>),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis organization show acme-group

What is left of its budget: aegis budget show --organization acme-group")]
pub(crate) struct ShowOptions {
    /// Its name
    #[arg(value_name = "ORGANIZATION")]
    name: OrgId,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("limits").required(true).multiple(true).args(["rps_limit", "daily_budget", "none"]))]
#[command(after_help = "Examples:
  aegis organization limit acme-group --rps-limit 50 --daily-budget 1000 --unit usd
  aegis organization limit acme-group --rps-limit 50 --burst 100 --only-if-revision 3
  aegis organization limit acme-group --none

What is not named is not limited. A call has to fit these limits and those of its tenant, its agent and its entry.")]
pub(crate) struct LimitOptions {
    /// Its name
    #[arg(value_name = "ORGANIZATION")]
    name: OrgId,
    /// Calls per second: a decimal such as `50` or `0.5`
    #[arg(long, env = "AEGIS_RPS_LIMIT", value_name = "RATE")]
    rps_limit: Option<Micros>,
    /// Calls at once [default: as many as the rate gives in a second]
    #[arg(long, env = "AEGIS_BURST", value_name = "CALLS", requires = "rps_limit")]
    burst: Option<u32>,
    /// What may be spent in a day: a decimal such as `12.5`
    #[arg(long, env = "AEGIS_DAILY_BUDGET", value_name = "AMOUNT", requires = "unit")]
    daily_budget: Option<Micros>,
    /// What the budget counts, e.g. `usd` or `calls`
    #[arg(long, env = "AEGIS_UNIT", value_name = "UNIT", requires = "daily_budget")]
    unit: Option<String>,
    /// The IANA time zone whose days the budget counts by [default: UTC]
    #[arg(long, env = "AEGIS_TIMEZONE", value_name = "ZONE", requires = "daily_budget")]
    timezone: Option<String>,
    /// No limit at all
    #[arg(long, env = "AEGIS_NONE", conflicts_with_all = ["rps_limit", "daily_budget"])]
    none: bool,
    /// Only if this is the revision of the limits; 0: only if none were ever set
    #[arg(long, env = "AEGIS_ONLY_IF_REVISION", value_name = "NUMBER")]
    only_if_revision: Option<u64>,
    #[command(flatten)]
    server: Server,
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Show(options) => {
            let admin = options.server.client()?;
            let shown = block_on(async { Ok(admin.get(&path(&options.name)).await) })?;
            told(shown, output, described)
        }
        Command::Limit(options) => {
            let admin = options.server.client()?;
            let mut body = json!({});
            put(&mut body, "rps_limit", options.rps_limit.map(|rate| rate.to_string()));
            put(&mut body, "burst", options.burst);
            put(&mut body, "daily_budget", options.daily_budget.map(|amount| amount.to_string()));
            put(&mut body, "unit", options.unit);
            put(&mut body, "timezone", options.timezone);
            put(&mut body, "only_if_revision", options.only_if_revision);
            let set = block_on(async { Ok(admin.put(&path(&options.name), body).await) })?;
            told(set, output, described)
        }
    }
}

fn path(organization: &OrgId) -> String {
    format!("/organizations/{}/limits", segment(organization.as_str()))
}

fn described(limits: &Value) -> String {
    let rate = match text(limits, "rps_limit").as_str() {
        "" => "none".to_owned(),
        rate => format!("{rate} calls a second, {} at once", text(limits, "burst")),
    };
    let budget = match text(limits, "daily_budget").as_str() {
        "" => "none".to_owned(),
        amount => {
            let zone = Some(text(limits, "timezone")).filter(|zone| !zone.is_empty());
            let zone = zone.unwrap_or_else(|| "UTC".to_owned());
            format!("{amount} {} a day ({zone})", text(limits, "unit"))
        }
    };
    format!(
        "organization   {}\nrate           {rate}\nbudget         {budget}\nrevision       {}",
        text(limits, "organization"),
        text(limits, "revision")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_limited_is_said() {
        let limits = json!({"organization": "acme-group", "revision": 2});
        let lines = described(&limits);
        assert!(lines.contains("rate           none") && lines.contains("budget         none"), "{lines}");
        let limits = json!({
            "organization": "acme-group", "rps_limit": "50", "burst": 60, "daily_budget": "1000", "unit": "usd", "revision": 3
        });
        let lines = described(&limits);
        assert!(lines.contains("50 calls a second, 60 at once"), "{lines}");
        assert!(lines.contains("1000 usd a day (UTC)"), "{lines}");
    }
}
