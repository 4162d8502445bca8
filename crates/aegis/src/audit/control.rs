//! `aegis audit control`: the control log, downloaded and verified offline; and with it the audit logs of data nodes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::control::{Download, JournalStanding, VerifiedControl, verify};
use aegis_audit::journal::SystemDisk;
use aegis_audit::keys::VerifyingKey;
use aegis_audit::note::Note;
use aegis_audit::read;
use aegis_audit::record::Chain;
use aegis_audit::verify::{self as journals, Scope};
use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::admin_client::{Admin, Failure, Server, block_on};
use crate::ended::Ended;
use crate::output::Output;
use crate::state::{Readers, read_bounded, write_whole};

/// What can be done with the control log.
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  aegis audit control download --to evidence/
  aegis audit control verify evidence/ --key 'payments-eu/control+8a1b2c3d+AQ…'")]
pub(crate) enum Command {
    /// Download the control log with a signed checkpoint
    Download(DownloadOptions),
    /// Verify a downloaded control log, and logs of data nodes against it; needs no network
    Verify(Box<VerifyOptions>),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis audit control download --to evidence/

The folder gets `entries`, one a line, `checkpoint`, signed by the cluster, and `cosigned`, if outside witnesses have cosigned one.
Role auditor or admin for all tenants.")]
pub(crate) struct DownloadOptions {
    /// The folder; made if it is not there
    #[arg(long, env = "AEGIS_AUDIT_TO", value_name = "DIR")]
    to: PathBuf,
    /// Which history; after a restore there is one more [default: the present one]
    #[arg(
        long,
        env = "AEGIS_AUDIT_HISTORY",
        value_name = "NUMBER",
        default_value_t = 0,
        hide_default_value = true
    )]
    history: u64,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis audit control verify evidence/ --key 'payments-eu/control+8a1b2c3d+AQ…'
  aegis audit control verify evidence/ --key \"$LOG_KEY\" --witness \"$WITNESS_KEY\" --journal data-1/audit/7
  aegis audit control verify evidence/ --key \"$LOG_KEY\" --journal export/ --chain tenant/acme
  aegis audit control verify evidence/ --key \"$LOG_KEY\" --write-keys log-keys.txt

Keys must come from somewhere else than the cluster's own download. With a witness, its newest cosigned checkpoint is used: then
nobody has to be trusted for what lies before it. A log of a data node is verified against the key and the newest checkpoint that
the control log has of it; what it has beyond that is verified as it is signed.")]
pub(crate) struct VerifyOptions {
    #[command(flatten)]
    evidence: Evidence,
    /// Write the keys of the data nodes' logs to this file, one a line, for `aegis audit verify`, `aegis audit receipt` and SDKs. Those of
    /// logs that were refused are left out
    #[arg(long, env = "AEGIS_AUDIT_WRITE_KEYS", value_name = "FILE")]
    write_keys: Option<PathBuf>,
}

/// A downloaded control log, logs of data nodes, and what is trusted.
#[derive(Debug, Args)]
pub(crate) struct Evidence {
    /// The folder that was downloaded
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// The verifier key of the control log
    #[arg(long, env = "AEGIS_AUDIT_KEY", value_name = "KEY")]
    key: VerifyingKey,
    /// The verifier key of a witness that has to have cosigned; may be given several times
    #[arg(long, env = "AEGIS_AUDIT_WITNESSES", value_delimiter = ',', value_name = "KEYS")]
    witness: Vec<VerifyingKey>,
    /// A checkpoint of the control log that was seen before: the log has to go on from it
    #[arg(long, env = "AEGIS_AUDIT_SEEN", value_name = "FILE")]
    seen: Option<PathBuf>,
    /// A data node's log, or an export of it, to be verified as well; may be given several times
    #[arg(long, env = "AEGIS_AUDIT_JOURNALS", value_delimiter = ',', value_name = "DIRS")]
    pub(crate) journal: Vec<PathBuf>,
    /// The chain of which the logs are exports: `tenant/NAME` or `node` [default: the whole logs]
    #[arg(long, env = "AEGIS_AUDIT_CHAIN", value_name = "CHAIN", requires = "journal")]
    chain: Option<Chain>,
}

impl Evidence {
    /// The chain of which the logs are exports.
    pub(crate) fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }
}

/// Larger than any control log that fits into memory twice.
const ENTRIES_BYTES_MAX: usize = 4 << 30;

/// Larger than any note.
const NOTE_BYTES_MAX: usize = aegis_model::caps::AUDIT_NOTE_BYTES_MAX + 1;

pub(crate) fn run(command: Command, output: Output) -> anyhow::Result<Ended> {
    match command {
        Command::Download(options) => download(&options, output),
        Command::Verify(options) => check(&options, output),
    }
}

fn download(options: &DownloadOptions, output: Output) -> anyhow::Result<Ended> {
    let admin = options.server.client()?;
    let to = &options.to;
    std::fs::create_dir_all(to).with_context(|| format!("making `{}`", to.display()))?;
    let fetched = block_on(async { Ok(fetch(&admin, options.history).await) })?;
    let (checkpoint, entries) = match fetched {
        Ok(fetched) => fetched,
        Err(failure) => return failure.told(output),
    };
    let text = |name: &str| checkpoint[name].as_str().unwrap_or_default().to_owned();
    let write = |name: &str, content: &str| {
        let path = to.join(name);
        write_whole(&path, content.as_bytes(), Readers::Owner)
            .with_context(|| format!("writing `{}`", path.display()))
    };
    write("entries", &entries)?;
    if !text("cosigned").is_empty() {
        write("cosigned", &text("cosigned"))?;
    }
    // Last: a folder with it is whole.
    write("checkpoint", &text("note"))?;
    let told = json!({
        "origin": checkpoint["origin"], "size": checkpoint["size"], "verifiers": checkpoint["verifiers"],
        "cosigned": !text("cosigned").is_empty(),
    });
    output.result(&told, || {
        let keys: Vec<&str> =
            checkpoint["verifiers"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        format!(
            "{} entries of `{}` are in `{}`; the cluster says that its keys are:\n{}",
            checkpoint["size"],
            text("origin"),
            to.display(),
            keys.join("\n")
        )
    });
    Ok(Ended::Done)
}

/// A signed checkpoint, and the entries that it is over.
async fn fetch(admin: &Admin, history: u64) -> Result<(Value, String), Failure> {
    let checkpoint = admin.get(&format!("/audit/checkpoint?history={history}")).await?;
    let size = checkpoint["size"].as_u64().unwrap_or_default();
    let (mut first, mut entries) = (0, String::new());
    while first < size {
        let path = format!("/audit/entries?first={first}&limit=1000&history={}", checkpoint["history"]);
        let page = admin.get(&path).await?;
        let lines = page["lines"].as_array().map(Vec::as_slice).unwrap_or_default();
        let wanted = usize::try_from(size - first).unwrap_or(usize::MAX);
        for line in lines.iter().take(wanted).filter_map(Value::as_str) {
            entries.push_str(line);
            entries.push('\n');
            first += 1;
        }
        if lines.is_empty() {
            return Err(anyhow::anyhow!("the control log ends at {first} of {size} entries").into());
        }
    }
    Ok((checkpoint, entries))
}

fn check(options: &VerifyOptions, output: Output) -> anyhow::Result<Ended> {
    let (control, _, journals) = match verified(&options.evidence, output)? {
        Ok(verified) => verified,
        Err(ended) => return Ok(ended),
    };
    if let Some(path) = &options.write_keys {
        let sound = control.journals.values().filter(|standing| standing.refused.is_none());
        let keys: String = sound.map(|standing| format!("{}\n", standing.key)).collect();
        write_whole(path, keys.as_bytes(), Readers::All)
            .with_context(|| format!("writing `{}`", path.display()))?;
    }
    output.result(&told(&control, &journals), || in_words(&control, &journals));
    let all = journals.iter().all(|it| it["verified"] == json!(true));
    Ok(if all { Ended::Done } else { Ended::Refused })
}

/// The control log, the text of its entries, and what was found of each log of a data node.
type Verified = (VerifiedControl, String, Vec<Value>);

/// Verifies the control log, and the logs of data nodes against it. Where the control log itself does not hold, that is printed.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn verified(options: &Evidence, output: Output) -> anyhow::Result<Result<Verified, Ended>> {
    let folder = &options.folder;
    let file = |name: &str, most| {
        let path = folder.join(name);
        read_bounded(&path, most).with_context(|| format!("reading `{}`", path.display()))
    };
    // What witnesses have cosigned may be a little older than what the cluster signed itself.
    let note = file(if options.witness.is_empty() { "checkpoint" } else { "cosigned" }, NOTE_BYTES_MAX)?;
    let entries = String::from_utf8(file("entries", ENTRIES_BYTES_MAX)?).context("`entries` is not UTF-8")?;
    let seen = options.seen.as_deref().map(|path| seen(path, &options.key)).transpose()?;
    let entries = beginning(&entries, &note).to_owned();
    let download = Download { checkpoint: &note, entries: &entries };
    let control = match verify(download, &options.key, &options.witness, seen.as_ref()) {
        Ok(control) => control,
        Err(problem) => {
            let told = json!({ "verified": false, "code": problem.code(), "problem": problem.to_string() });
            output.result(&told, || format!("the control log does not hold: {problem}"));
            return Ok(Err(Ended::Refused));
        }
    };
    let journals = options.journal.iter().map(|path| journal(path, &control, options.chain.as_ref()));
    let journals: Vec<Value> = journals.collect::<anyhow::Result<_>>()?;
    Ok(Ok((control, entries, journals)))
}

/// The same where every log has to hold as well: the first that does not is printed.
///
/// # Errors
/// A file cannot be read.
pub(crate) fn sound(options: &Evidence, output: Output) -> anyhow::Result<Result<Verified, Ended>> {
    let verified = match verified(options, output)? {
        Ok(verified) => verified,
        Err(ended) => return Ok(Err(ended)),
    };
    if let Some(bad) = verified.2.iter().find(|it| it["verified"] != json!(true)) {
        output.result(bad, || {
            let (folder, problem) = (bad["folder"].as_str(), bad["problem"].as_str());
            format!("`{}` does not hold: {}", folder.unwrap_or_default(), problem.unwrap_or_default())
        });
        return Ok(Err(Ended::Refused));
    }
    Ok(Ok(verified))
}

/// The lines that the checkpoint is over: there may be newer ones.
fn beginning<'e>(entries: &'e str, note: &[u8]) -> &'e str {
    let size =
        Note::read(note).ok().and_then(|note| Checkpoint::read_text(note.text()).ok()).map(|it| it.size);
    let lines = usize::try_from(size.unwrap_or_default()).unwrap_or(usize::MAX);
    let end = match lines.checked_sub(1) {
        None => 0,
        Some(before) => entries.match_indices('\n').nth(before).map_or(entries.len(), |(at, _)| at + 1),
    };
    &entries[..end]
}

fn seen(path: &Path, key: &VerifyingKey) -> anyhow::Result<Checkpoint> {
    let shown = path.display();
    let bytes = read_bounded(path, NOTE_BYTES_MAX).with_context(|| format!("reading `{shown}`"))?;
    Checkpoint::open(&bytes, key).with_context(|| format!("`{shown}` is no checkpoint of this log"))
}

/// The name that a log gives itself: nothing is believed by it. Until its first segment is sealed it has no checkpoint.
fn name_of(path: &Path) -> anyhow::Result<String> {
    match read_bounded(&path.join("checkpoint"), NOTE_BYTES_MAX) {
        Ok(note) => {
            let said = Note::read(&note).ok().and_then(|note| Checkpoint::read_text(note.text()).ok());
            Ok(said.context("its checkpoint is none")?.origin.to_string())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Ok(read::own_key(&SystemDisk, path).context("reading its key")?.name().to_string())
        }
        Err(error) => Err(error).context("reading its checkpoint"),
    }
}

/// Verifies a data node's log against what the control log says of it.
fn journal(path: &Path, control: &VerifiedControl, chain: Option<&Chain>) -> anyhow::Result<Value> {
    let shown = path.display().to_string();
    let origin =
        name_of(path).with_context(|| format!("`{shown}` is no log of a data node, and no export of one"))?;
    let origin = origin.as_str();
    let refused =
        |problem: String| json!({ "folder": shown, "log": origin, "verified": false, "problem": problem });
    let Some(standing) = control.journals.get(origin) else {
        return Ok(refused("the control log knows no such log".to_owned()));
    };
    if let Some(code) = &standing.refused {
        return Ok(refused(format!(
            "the control log has refused this log ({code}): its node showed another one"
        )));
    }
    let scope = chain.cloned().map_or(Scope::Whole, Scope::Chain);
    // What retention deleted, a later log of the node says.
    let later: Vec<_> = control.journals.values().map(|standing| standing.key.clone()).collect();
    let newest = standing.newest.as_ref();
    match journals::verify_pruned(&SystemDisk, path, &standing.key, &later, newest, &scope) {
        Ok(found) => Ok(json!({
            "folder": shown, "log": origin, "verified": true, "size": found.size,
            "records": found.records, "gaps": found.gaps.len(), "pruned": super::verify::pruned_to_json(&found), "ended": found.ended,
            "complete_to": found.complete_to, "control_size": standing.newest.as_ref().map(|it| it.size),
            "control_closed": standing.closed,
        })),
        Err(problem) => Ok(refused(problem.to_string())),
    }
}

fn told(control: &VerifiedControl, verified: &[Value]) -> Value {
    let journals: BTreeMap<&str, Value> =
        control.journals.iter().map(|(origin, standing)| (origin.as_str(), standing_of(standing))).collect();
    json!({
        "verified": verified.iter().all(|it| it["verified"] == json!(true)),
        "origin": control.checkpoint.origin.as_str(),
        "size": control.checkpoint.size,
        "cosigned": control.cosigned.iter().map(|(name, seconds)| json!({ "witness": name.as_str(), "at": seconds })).collect::<Vec<_>>(),
        "acts": control.acts,
        "forgotten": control.forgotten,
        "continues": control.continues.as_ref().map(|it| json!({ "origin": it.origin.as_str(), "size": it.size })),
        "logs": journals,
        "journals": verified,
    })
}

fn standing_of(standing: &JournalStanding) -> Value {
    json!({
        "key": standing.key.to_string(),
        "size": standing.newest.as_ref().map(|it| it.size),
        "closed": standing.closed,
        "refused": standing.refused,
        "tenant": standing.tenant,
    })
}

fn in_words(control: &VerifiedControl, verified: &[Value]) -> String {
    let VerifiedControl { checkpoint, cosigned, acts, forgotten, .. } = control;
    let mut lines = vec![format!(
        "the control log `{}` holds: {} entries, {acts} acts, {forgotten} texts forgotten, {} logs of data nodes",
        checkpoint.origin,
        checkpoint.size,
        control.journals.len()
    )];
    match cosigned.as_slice() {
        [] => lines.push(
            "no witness was asked for: whoever holds the cluster's key could have made another log"
                .to_owned(),
        ),
        witnesses => lines.extend(witnesses.iter().map(|(name, _)| format!("cosigned by `{name}`"))),
    }
    if let Some(before) = &control.continues {
        lines.push(format!(
            "it goes on after a restore: `{}` had {} entries in the backup",
            before.origin, before.size
        ));
    }
    for (origin, standing) in &control.journals {
        let size = standing.newest.as_ref().map_or(0, |it| it.size);
        let state = match (&standing.refused, standing.closed) {
            (Some(code), _) => format!("REFUSED: {code}"),
            (None, true) => "closed".to_owned(),
            (None, false) => "open".to_owned(),
        };
        lines.push(format!("  {origin}: {size} entries, {state}"));
    }
    for it in verified {
        lines.push(match it["problem"].as_str() {
            Some(problem) => {
                format!("`{}` does not hold: {problem}", it["folder"].as_str().unwrap_or_default())
            }
            None => format!(
                "`{}` holds: {} entries, {} records read, complete up to {}",
                it["folder"].as_str().unwrap_or_default(),
                it["size"],
                it["records"],
                it["complete_to"]
            ),
        });
    }
    lines.join("\n")
}
