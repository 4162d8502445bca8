//! `aegis policy activate` and `rollback`: which versions are in force for a tenant.

use aegis_model::ids::TenantId;
use clap::Args;
use serde_json::{Value, json};

use super::waiting::{self, Waiting};
use crate::admin_client::{Admin, Server, block_on, segment};
use crate::ended::Ended;
use crate::output::Output;
use crate::tenant::{describe_in_force, put};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis policy activate 12 --tenant acme --wait
  aegis policy activate 12 --tenant acme --canary 13:5        5 of 100 agents are judged by version 13
  aegis policy activate 13 --tenant acme --only-if-enforced 12

One decision: what is not named is not in force afterwards. With `--wait` the command ends with 1 if a data node does
not have it in force in time.")]
pub(crate) struct ActivateOptions {
    /// The version for everybody
    #[arg(value_name = "VERSION")]
    version: u64,
    /// A version for a share of the agents instead: always the same ones
    #[arg(long, env = "AEGIS_CANARY", value_parser = canary, value_name = "VERSION:PERCENT")]
    canary: Option<(u64, u32)>,
    /// Versions that are judged without effect
    #[arg(long, env = "AEGIS_SHADOW", value_delimiter = ',', value_name = "VERSIONS")]
    shadow: Vec<u64>,
    /// Only if this activation is in force; 0: only if none is
    #[arg(long, env = "AEGIS_ONLY_IF_ACTIVATION", value_name = "NUMBER")]
    only_if_activation: Option<u64>,
    /// Only if this version is enforced; 0: only if none is
    #[arg(long, env = "AEGIS_ONLY_IF_ENFORCED", value_name = "NUMBER")]
    only_if_enforced: Option<u64>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis policy rollback --tenant acme --wait        to the version before; with a canary, only the canary ends
  aegis policy rollback --tenant acme --to 11

A rollback is an activation like any other, for everybody, without canary and shadow.")]
pub(crate) struct RollbackOptions {
    /// The version [default: the one that was enforced before]
    #[arg(long, env = "AEGIS_TO", value_name = "VERSION")]
    to: Option<u64>,
    /// Only if this activation is in force
    #[arg(long, env = "AEGIS_ONLY_IF_ACTIVATION", value_name = "NUMBER")]
    only_if_activation: Option<u64>,
    #[command(flatten)]
    common: Common,
}

/// What both have in common.
#[derive(Debug, Args)]
struct Common {
    /// The tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "NAME")]
    tenant: TenantId,
    /// What you say of it
    #[arg(long, short = 'm', env = "AEGIS_MESSAGE", value_name = "TEXT")]
    message: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    server: Server,
}

/// What is to be in force.
pub(super) struct Plan(Value);

impl Plan {
    /// One version for everybody.
    pub(super) fn everybody(version: u64, message: Option<String>) -> Self {
        let mut body = json!({"enforced": version});
        put(&mut body, "message", message);
        Self(body)
    }
}

/// `13:5`: version and percent.
fn canary(text: &str) -> Result<(u64, u32), String> {
    let parts = text
        .split_once(':')
        .and_then(|(version, percent)| Some((version.parse().ok()?, percent.parse().ok()?)));
    match parts {
        Some((version, percent)) if version > 0 && (1..=100).contains(&percent) => Ok((version, percent)),
        Some(_) | None => Err("write `VERSION:PERCENT`, with 1 to 100 percent, such as `13:5`".to_owned()),
    }
}

pub(super) fn activate(options: &ActivateOptions, output: Output) -> anyhow::Result<Ended> {
    let Plan(mut body) = Plan::everybody(options.version, options.common.message.clone());
    put(
        &mut body,
        "canary",
        options.canary.map(|(version, percent)| json!({"version": version, "percent": percent})),
    );
    body["shadow"] = json!(options.shadow);
    put(&mut body, "only_if_activation", options.only_if_activation);
    put(&mut body, "only_if_enforced", options.only_if_enforced);
    let Common { tenant, waiting, server, .. } = &options.common;
    activate_and_tell(&server.client()?, tenant, Plan(body), waiting, output)
}

pub(super) fn rollback(options: &RollbackOptions, output: Output) -> anyhow::Result<Ended> {
    let mut body = json!({});
    put(&mut body, "to", options.to);
    put(&mut body, "only_if_activation", options.only_if_activation);
    put(&mut body, "message", options.common.message.clone());
    let Common { tenant, waiting, server, .. } = &options.common;
    let admin = server.client()?;
    let path = format!("/tenants/{}/rollback", segment(tenant.as_str()));
    let done = block_on(async { Ok(admin.post(&path, body).await) })?;
    tell(done, &admin, tenant, waiting, output)
}

/// Activates, waits if that is wished, and tells both.
pub(super) fn activate_and_tell(
    admin: &Admin,
    tenant: &TenantId,
    Plan(body): Plan,
    waiting: &Waiting,
    output: Output,
) -> anyhow::Result<Ended> {
    let path = format!("/tenants/{}/activation", segment(tenant.as_str()));
    let done = block_on(async { Ok(admin.put(&path, body).await) })?;
    tell(done, admin, tenant, waiting, output)
}

fn tell(
    done: Result<Value, crate::admin_client::Failure>,
    admin: &Admin,
    tenant: &TenantId,
    waiting: &Waiting,
    output: Output,
) -> anyhow::Result<Ended> {
    let in_force = match done {
        Ok(in_force) => in_force,
        Err(failure) => return failure.told(output),
    };
    let activation = in_force["activation"].as_u64().unwrap_or_default();
    match waiting.until_in_force(admin, tenant, activation, output)? {
        Ok(None) => {
            output.result(&in_force, || describe_in_force(&in_force));
            Ok(Ended::Done)
        }
        Ok(Some(last)) => {
            output.result(&json!({"in_force": in_force, "progress": last}), || {
                format!("{}\n{}", describe_in_force(&in_force), waiting::describe(&last))
            });
            Ok(waiting::ended(&last))
        }
        Err(failure) => {
            // It was decided, whatever became of the wait.
            output.result(&in_force, || describe_in_force(&in_force));
            failure.told(output)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_canary_has_a_version_and_a_share() {
        assert_eq!(canary("13:5"), Ok((13, 5)));
        for bad in ["13", "13:0", "13:101", "0:5", ":5", "13:", "13:5%", "a:b"] {
            assert!(canary(bad).is_err(), "{bad}");
        }
    }
}
