//! `aegis tenant`: whose policies there are.

use aegis_model::ids::{OrgId, TenantId};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::admin_client::{Failure, Server, block_on, segment};
use crate::ended::{Ended, WrongUse};
use crate::listing::{self, text};
use crate::output::Output;

/// What can be done with tenants.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  aegis tenant create acme && aegis tenant list")]
pub(crate) enum Command {
    /// Make a tenant
    Create(CreateOptions),
    /// List the tenants in which you have a role
    List(ListOptions),
    /// Show a tenant, and what is in force for it
    Show(NameOptions),
    /// Change what a tenant chose
    Set(SetOptions),
    /// Rotate a tenant's secret key: a new random version counts from then on, and what older ones made is known again
    RotateKey(NameOptions),
    /// Place a legal hold: nothing of the tenant's audit records is deleted until it is lifted
    Hold(HoldOptions),
    /// Lift a legal hold
    Lift(HoldOptions),
    /// Retire a tenant: its calls are refused, and its name is never used again
    Retire(NameOptions),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis tenant create acme --organization acme-group --four-eyes")]
pub(crate) struct CreateOptions {
    /// Its name
    #[arg(value_name = "TENANT")]
    name: TenantId,
    /// The organization that it belongs to [default: named as the tenant]
    #[arg(long, env = "AEGIS_ORGANIZATION", value_name = "NAME")]
    organization: Option<OrgId>,
    /// The author of a version may not put it into force
    #[arg(long, env = "AEGIS_FOUR_EYES")]
    four_eyes: bool,
    /// Every receipt of its calls is signed by the log that holds the record
    #[arg(long, env = "AEGIS_SIGNED_RECEIPTS")]
    signed_receipts: bool,
    /// Days after which its audit records are deleted: 183 to 36500; 0: never [default: 0]
    #[arg(long, env = "AEGIS_RETENTION_DAYS", value_name = "DAYS")]
    retention_days: Option<u32>,
    #[command(flatten)]
    staleness: Staleness,
    #[command(flatten)]
    records: Records,
    #[command(flatten)]
    server: Server,
}

/// What a tenant's answers wait for.
#[derive(Debug, Args)]
struct Records {
    /// Answer once a record is written, before it is synced: a power cut may lose it, and its log then has a signed gap. The reason, in
    /// words that are kept; an empty text ends it
    #[arg(long, env = "AEGIS_SYNC_WRITE", value_name = "REASON")]
    sync_write: Option<String>,
}

/// What a tenant chooses for the time when the control plane cannot be reached.
#[derive(Debug, Args)]
struct Staleness {
    /// Seconds without news from the control plane after which calls are refused; 0: the product's default
    #[arg(long, env = "AEGIS_STALENESS_SECONDS", value_name = "SECONDS")]
    staleness_seconds: Option<u32>,
    /// Go on beyond that: the reason, in words that are kept; an empty text ends it
    #[arg(long, env = "AEGIS_SERVE_STALE", value_name = "REASON")]
    serve_stale: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  aegis tenant list --output json")]
pub(crate) struct ListOptions {
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  aegis tenant show acme\n  aegis tenant rotate-key acme\n  aegis tenant retire acme"
)]
pub(crate) struct NameOptions {
    /// Its name
    #[arg(value_name = "TENANT")]
    name: TenantId,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis tenant set acme --staleness-seconds 300
  aegis tenant set acme --signed-receipts true
  aegis tenant set acme --sync-write 'metrics of a test bench, which may be lost'
  aegis tenant set acme --retention-days 2190
  aegis tenant set acme --four-eyes true --only-if-revision 3")]
pub(crate) struct SetOptions {
    /// Its name
    #[arg(value_name = "TENANT")]
    name: TenantId,
    /// Whether the author of a version may not put it into force
    #[arg(long, env = "AEGIS_FOUR_EYES", value_name = "BOOL")]
    four_eyes: Option<bool>,
    /// Whether every receipt of its calls is signed by the log that holds the record
    #[arg(long, env = "AEGIS_SIGNED_RECEIPTS", value_name = "BOOL")]
    signed_receipts: Option<bool>,
    /// Days after which its audit records are deleted: 183 to 36500; 0: never
    #[arg(long, env = "AEGIS_RETENTION_DAYS", value_name = "DAYS")]
    retention_days: Option<u32>,
    #[command(flatten)]
    staleness: Staleness,
    #[command(flatten)]
    records: Records,
    /// Only if this is its revision
    #[arg(long, env = "AEGIS_ONLY_IF_REVISION", value_name = "NUMBER")]
    only_if_revision: Option<u64>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis tenant hold acme case-7 --reason \"a dispute with a vendor\"
  aegis tenant lift acme case-7 --reason \"settled\"

Several holds can stand at once. While any does, nothing of the tenant's audit records is deleted, whatever its `retention_days`; data nodes
know of it within moments. Placing and lifting stand in the control log, with the reason.")]
pub(crate) struct HoldOptions {
    /// The tenant
    #[arg(value_name = "TENANT")]
    name: TenantId,
    /// The hold's name within the tenant
    #[arg(value_name = "HOLD")]
    hold: String,
    /// Why; kept in the control log
    #[arg(long, env = "AEGIS_REASON", value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    server: Server,
}

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Create(options) => create(&options, output),
        Command::List(options) => list(&options, output),
        Command::Show(options) => show(&options, output),
        Command::Set(options) => set(&options, output),
        Command::RotateKey(options) => rotate_key(&options, output),
        Command::Hold(options) => hold(&options, output),
        Command::Lift(options) => lift(&options, output),
        Command::Retire(options) => retire(&options, output),
    }
}

fn create(options: &CreateOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let mut body = json!({
        "name": options.name, "four_eyes": options.four_eyes, "signed_receipts": options.signed_receipts,
    });
    put(&mut body, "organization", options.organization.as_ref().map(ToString::to_string));
    put(&mut body, "staleness_seconds_max", options.staleness.staleness_seconds);
    put(&mut body, "serve_stale", options.staleness.serve_stale.clone());
    put(&mut body, "sync_write", options.records.sync_write.clone());
    put(&mut body, "retention_days", options.retention_days);
    let made = block_on(async { Ok(admin.post("/tenants", body).await) })?;
    told(made, output, |tenant| format!("tenant {} was made", text(tenant, "name")))
}

fn rotate_key(options: &NameOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let path = format!("/tenants/{}/keys/rotate", segment(options.name.as_str()));
    let rotated = block_on(async { Ok(admin.post_nothing(&path).await) })?;
    told(rotated, output, |keys| {
        format!(
            "version {} of the secret key of {} counts from now on",
            text(keys, "current"),
            text(keys, "tenant")
        )
    })
}

fn list(options: &ListOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let rows = match block_on(async { Ok(admin.all("/tenants").await) })? {
        Ok(rows) => rows,
        Err(failure) => return failure.told(output),
    };
    listing::print(
        output,
        &rows,
        &[
            ("TENANT", |row| text(row, "name")),
            ("ORGANIZATION", |row| text(row, "organization")),
            ("NEWEST VERSION", |row| text(row, "newest_version")),
            ("STATE", |row| if row["retired_at"].is_null() { String::new() } else { "retired".to_owned() }),
        ],
    );
    Ok(Ended::Done)
}

fn show(options: &NameOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let path = format!("/tenants/{}", segment(options.name.as_str()));
    let both = block_on(async {
        let tenant = admin.get(&path).await;
        Ok(match tenant {
            Ok(tenant) => admin.get(&format!("{path}/activation")).await.map(|in_force| (tenant, in_force)),
            Err(failure) => Err(failure),
        })
    })?;
    let (tenant, in_force) = match both {
        Ok(both) => both,
        Err(failure) => return failure.told(output),
    };
    output.result(&json!({"tenant": tenant, "in_force": in_force}), || {
        let mut lines = vec![format!("tenant          {}", text(&tenant, "name"))];
        let mut line = |name: &str, value: String| {
            if !value.is_empty() {
                lines.push(format!("{name:<15} {value}"));
            }
        };
        line("organization", text(&tenant, "organization"));
        line("revision", text(&tenant, "revision"));
        line("four eyes", text(&tenant, "four_eyes"));
        line("signed receipts", text(&tenant, "signed_receipts"));
        line("records", tenant["sync_write"]["statement"].as_str().map(relaxed).unwrap_or_default());
        line("records kept", kept(&tenant));
        for hold in tenant["holds"].as_array().into_iter().flatten() {
            let (name, reason) = (text(hold, "name"), text(hold, "reason"));
            line("legal hold", format!("{name}: {reason} ({}, {})", text(hold, "by"), text(hold, "at")));
        }
        line("retired", text(&tenant, "retired_at"));
        line("newest", text(&tenant, "newest_version"));
        line("in force", describe_in_force(&in_force));
        lines.join("\n")
    });
    Ok(Ended::Done)
}

fn relaxed(statement: &str) -> String {
    format!("written, not synced, before the answer: {statement}")
}

/// For how long the tenant's audit records are kept.
fn kept(tenant: &Value) -> String {
    match tenant["retention_days"].as_u64() {
        None | Some(0) => "for ever".to_owned(),
        Some(days) => format!("{days} days"),
    }
}

/// `version 12, canary 13 for 5 %, shadow 14 (activation 417)`.
pub(crate) fn describe_in_force(in_force: &Value) -> String {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    if number(&in_force["activation"]) == 0 {
        return "nothing".to_owned();
    }
    let mut told = format!("version {}", number(&in_force["enforced"]));
    if let Some(canary) = in_force.get("canary").filter(|canary| canary.is_object()) {
        told.push_str(&format!(
            ", canary {} for {} %",
            number(&canary["version"]),
            number(&canary["percent"])
        ));
    }
    let shadow: Vec<String> =
        in_force["shadow"].as_array().into_iter().flatten().map(ToString::to_string).collect();
    if !shadow.is_empty() {
        told.push_str(&format!(", shadow {}", shadow.join(", ")));
    }
    told.push_str(&format!(" (activation {})", number(&in_force["activation"])));
    told
}

fn set(options: &SetOptions, output: Output) -> anyhow::Result<Ended> {
    let mut body = json!({});
    put(&mut body, "four_eyes", options.four_eyes);
    put(&mut body, "signed_receipts", options.signed_receipts);
    put(&mut body, "staleness_seconds_max", options.staleness.staleness_seconds);
    put(&mut body, "serve_stale", options.staleness.serve_stale.clone());
    put(&mut body, "sync_write", options.records.sync_write.clone());
    put(&mut body, "retention_days", options.retention_days);
    if body.as_object().is_some_and(serde_json::Map::is_empty) {
        return Err(WrongUse("nothing is to be changed".to_owned()).into());
    }
    put(&mut body, "only_if_revision", options.only_if_revision);
    let admin = options.server.client()?;
    let path = format!("/tenants/{}", segment(options.name.as_str()));
    let changed = block_on(async { Ok(admin.patch(&path, body).await) })?;
    told(changed, output, |tenant| {
        format!("tenant {} was changed (revision {})", text(tenant, "name"), text(tenant, "revision"))
    })
}

fn hold(options: &HoldOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let path = hold_path(options);
    let placed = block_on(async { Ok(admin.put(&path, json!({"reason": options.reason})).await) })?;
    told(placed, output, |tenant| {
        format!("nothing of {} is deleted while `{}` stands", text(tenant, "name"), options.hold)
    })
}

fn lift(options: &HoldOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let path = format!("{}/lift", hold_path(options));
    let lifted = block_on(async { Ok(admin.post(&path, json!({"reason": options.reason})).await) })?;
    told(lifted, output, |tenant| {
        let left = tenant["holds"].as_array().map_or(0, Vec::len);
        format!("the hold `{}` on {} was lifted; {left} stand", options.hold, text(tenant, "name"))
    })
}

fn hold_path(options: &HoldOptions) -> String {
    format!("/tenants/{}/holds/{}", segment(options.name.as_str()), segment(&options.hold))
}

fn retire(options: &NameOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let path = format!("/tenants/{}", segment(options.name.as_str()));
    let retired = block_on(async { Ok(admin.delete(&path).await) })?;
    told(retired, output, |tenant| format!("tenant {} was retired", text(tenant, "name")))
}

/// Puts `value` into `body`, if there is one.
pub(crate) fn put(body: &mut Value, name: &str, value: Option<impl Into<Value>>) {
    if let (Some(members), Some(value)) = (body.as_object_mut(), value) {
        members.insert(name.to_owned(), value.into());
    }
}

/// Prints what a write gave, or why it was refused.
pub(crate) fn told(
    done: Result<Value, Failure>,
    output: Output,
    text: impl FnOnce(&Value) -> String,
) -> anyhow::Result<Ended> {
    match done {
        Ok(answer) => {
            output.result(&answer, || text(&answer));
            Ok(Ended::Done)
        }
        Err(failure) => failure.told(output),
    }
}
