//! `aegis role`: who may do what, in a tenant or everywhere.

use aegis_model::ids::PersonId;
use clap::{Args, Subcommand};
use serde_json::Value;

use crate::admin_client::{Server, block_on, segment};
use crate::ended::Ended;
use crate::listing::{self, text};
use crate::output::Output;
use crate::tenant::told;

/// What can be done with roles.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  aegis role grant alice@example.com author --scope acme")]
pub(crate) enum Command {
    /// Give a person a role
    Grant(RoleOptions),
    /// Take a role from a person
    Revoke(RoleOptions),
    /// List who has a role
    List(ListOptions),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis role grant alice@example.com author --scope acme
  aegis role revoke bob@example.com admin --scope '*'
  aegis role grant carol@example.com finance-lead --scope acme

A role of the tenant's own gives no other right than to agree where a policy names it. Who votes also needs a role to look at the
tenant with, such as `approver`.")]
pub(crate) struct RoleOptions {
    /// The person
    #[arg(value_name = "PERSON")]
    person: PersonId,
    /// `viewer`, `auditor`, `author`, `approver`, `operator`, `admin`, or in a tenant a role of its own: a name in `approval.by` of
    /// its policies
    #[arg(value_name = "ROLE")]
    role: String,
    /// A tenant, or `*` for all of them and the cluster itself
    #[arg(long, env = "AEGIS_SCOPE_OF_ROLE", value_name = "SCOPE")]
    scope: String,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  aegis role list --scope acme")]
pub(crate) struct ListOptions {
    /// A tenant, or `*`
    #[arg(long, env = "AEGIS_SCOPE_OF_ROLE", default_value = "*", value_name = "SCOPE")]
    scope: String,
    #[command(flatten)]
    server: Server,
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Grant(options) => change(&options, true, output),
        Command::Revoke(options) => change(&options, false, output),
        Command::List(options) => list(&options, output),
    }
}

fn change(options: &RoleOptions, grant: bool, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let (person, role) = (segment(options.person.as_str()), segment(&options.role));
    let path = format!("{}/{person}/{role}", path_of(&options.scope));
    let changed = block_on(async {
        Ok(if grant { admin.put_nothing(&path).await } else { admin.delete(&path).await })
    })?;
    told(changed, output, |binding| {
        let (person, scope) = (&options.person, &options.scope);
        match roles(binding).as_str() {
            "" => format!("{person} has no role on {scope} any more"),
            roles => format!("{person} has {roles} on {scope}"),
        }
    })
}

fn list(options: &ListOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let path = path_of(&options.scope);
    let rows = match block_on(async { Ok(admin.all(&path).await) })? {
        Ok(rows) => rows,
        Err(failure) => return failure.told(output),
    };
    listing::print(output, &rows, &[("PERSON", |row| text(row, "person")), ("ROLES", roles)]);
    Ok(Ended::Done)
}

/// Where the roles of a scope are.
fn path_of(scope: &str) -> String {
    match scope {
        "*" => "/roles".to_owned(),
        tenant => format!("/tenants/{}/roles", segment(tenant)),
    }
}

fn roles(binding: &Value) -> String {
    let roles: Vec<&str> =
        binding["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    roles.join(", ")
}
