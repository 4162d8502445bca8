//! `aegis policy versions`: what was published for a tenant, and what is in force.

use aegis_model::ids::TenantId;
use clap::Args;
use serde_json::{Value, json};

use crate::admin_client::{Server, block_on, segment};
use crate::ended::Ended;
use crate::listing::{self, text};
use crate::output::Output;
use crate::tenant::describe_in_force;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  aegis policy versions --tenant acme")]
pub(crate) struct Options {
    /// The tenant
    #[arg(long, env = "AEGIS_TENANT", value_name = "NAME")]
    tenant: TenantId,
    #[command(flatten)]
    server: Server,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let path = format!("/tenants/{}", segment(options.tenant.as_str()));
    let both = block_on(async {
        Ok(match admin.all(&format!("{path}/versions")).await {
            Ok(rows) => admin.get(&format!("{path}/activation")).await.map(|in_force| (rows, in_force)),
            Err(failure) => Err(failure),
        })
    })?;
    let (mut rows, in_force) = match both {
        Ok(both) => both,
        Err(failure) => return failure.told(output),
    };
    if output.is_json() {
        output.line(json!({"items": rows, "in_force": in_force}));
        return Ok(Ended::Done);
    }
    for row in &mut rows {
        row["standing"] = json!(standing(row, &in_force));
    }
    listing::print(
        output,
        &rows,
        &[
            ("VERSION", |row| text(row, "number")),
            ("STATE", |row| text(row, "standing")),
            ("PUBLISHED", |row| text(row, "created_at")),
            ("AUTHOR", |row| text(row, "author")),
            ("MESSAGE", |row| text(row, "message")),
        ],
    );
    output.line(format!("in force: {}", describe_in_force(&in_force)));
    Ok(Ended::Done)
}

fn standing(row: &Value, in_force: &Value) -> &'static str {
    let number = &row["number"];
    match () {
        () if !row["retired_at"].is_null() => "given up",
        () if *number == in_force["enforced"] => "enforced",
        () if *number == in_force["canary"]["version"] => "canary",
        () if in_force["shadow"].as_array().is_some_and(|shadow| shadow.contains(number)) => "shadow",
        () => "",
    }
}
