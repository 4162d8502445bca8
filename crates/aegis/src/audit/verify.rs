//! `aegis audit verify`: what the files of a log prove, said plainly.

use std::path::PathBuf;

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::journal::SystemDisk;
use aegis_audit::keys::VerifyingKey;
use aegis_audit::record::Chain;
use aegis_audit::verify::{Problem, PrunedTo, Scope, Verified, verify_pruned};
use aegis_model::ids::TenantId;
use aegis_model::utc::Utc;
use clap::Args;
use serde_json::{Value, json};

use super::logs::{Log, Place, Trusted};
use crate::ended::Ended;
use crate::output::{Output, Tone};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis audit verify                                     is the journal of `aegis dev` whole in itself?
  aegis audit verify /var/lib/aegis/audit --key log-keys.txt --checkpoint newest.txt
  aegis audit verify acme-2026 --tenant acme --key log-keys.txt

A log's key proves integrity: these are the records that its holder logged, in this order, none changed, none missing in between. Without
`--key` the folder's own key is used, which whoever changed the records could have changed along with them. Only a checkpoint that
came from somewhere else proves completeness: that nothing is missing at the end, and that others were shown the same log.

Records that retention deleted are missing by a record of a later log of the node, which has to be under one of the keys given: it is shown
as `pruned`, and proofs of what was deleted stay valid. Anything else that is missing is damage.

Ends with 0 if everything holds, with 1 if anything does not; the first bad index is named where one can be told.")]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// A file of verifier keys (`NAME+ID+KEY`), one a line, from somewhere you trust
    #[arg(long, env = "AEGIS_AUDIT_KEY", value_name = "FILE", value_delimiter = ',')]
    key: Vec<PathBuf>,
    /// A signed checkpoint from somewhere you trust
    #[arg(long, env = "AEGIS_AUDIT_CHECKPOINT", value_name = "FILE", value_delimiter = ',')]
    checkpoint: Vec<PathBuf>,
    /// The folder is an export of this tenant's records
    #[arg(long, env = "AEGIS_TENANT", value_name = "TENANT")]
    tenant: Option<TenantId>,
}

/// What became of one log.
struct Judged {
    log: String,
    /// Whether the key came from the caller.
    trusted_key: bool,
    result: Result<Verified, String>,
    problem: Option<Problem>,
}

/// A log that runs may be sealed while it is read: then it is read again.
const TRIES: usize = 3;

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let trusted = Trusted::read(&options.key, &options.checkpoint)?;
    let scope =
        options.tenant.as_ref().map_or(Scope::Whole, |name| Scope::Chain(Chain::Tenant(name.clone())));
    let logs = options.place.logs()?;
    // What retention deleted, a later log of the same node says.
    let later: Vec<VerifyingKey> = match trusted.has_keys() {
        true => trusted.keys().to_vec(),
        false => logs.iter().map(|log| log.own_key.clone()).collect(),
    };
    let judged: Vec<Judged> = logs.iter().map(|log| judge(log, (&trusted, &later), &scope, output)).collect();
    let sound = judged.iter().all(|judged| judged.result.is_ok());
    let logs: Vec<Value> = judged.iter().map(to_json).collect();
    let text = || judged.iter().map(|judged| to_text(judged, output)).collect::<Vec<_>>().join("\n");
    output.result(&json!({"ok": sound, "logs": logs}), text);
    Ok(if sound { Ended::Done } else { Ended::Refused })
}

fn judge(log: &Log, (trusted, later): (&Trusted, &[VerifyingKey]), scope: &Scope, output: Output) -> Judged {
    output.progress(format_args!("verifying {} …", log.name()));
    let (name, trusted_key) = (log.name().to_owned(), trusted.has_keys());
    let key = if trusted_key { trusted.key(&name) } else { Some(&log.own_key) };
    let Some(key) = key else {
        let why = "no key was given for a log of this name".to_owned();
        return Judged { log: name, trusted_key, result: Err(why), problem: None };
    };
    let checkpoint = trusted.checkpoint(key);
    match tried(log, (key, later), checkpoint.as_ref(), scope) {
        Ok(verified) => Judged { log: name, trusted_key, result: Ok(verified), problem: None },
        Err(problem) => {
            Judged { log: name, trusted_key, result: Err(problem.to_string()), problem: Some(problem) }
        }
    }
}

fn tried(
    log: &Log,
    (key, later): (&VerifyingKey, &[VerifyingKey]),
    checkpoint: Option<&Checkpoint>,
    scope: &Scope,
) -> Result<Verified, Problem> {
    let mut judged = verify_pruned(&SystemDisk, &log.folder, key, later, checkpoint, scope);
    for _ in 1..TRIES {
        if judged.is_ok() || !log.is_open() {
            break;
        }
        judged = verify_pruned(&SystemDisk, &log.folder, key, later, checkpoint, scope);
    }
    judged
}

fn to_json(judged: &Judged) -> Value {
    let key = if judged.trusted_key { "given" } else { "from the folder itself" };
    match &judged.result {
        Err(why) => {
            let problem = judged.problem.as_ref();
            json!({
                "log": judged.log, "ok": false, "key": key, "problem": why,
                "code": problem.map(|problem| problem.kind.code()),
                "first_bad_index": problem.and_then(|problem| problem.index),
                "file": problem.and_then(|problem| problem.file.clone()),
            })
        }
        Ok(it) => {
            let gaps = it.gaps.iter().map(|(chain, at)| json!({"chain": chain, "index": at}));
            json!({
                "log": judged.log, "ok": true, "key": key, "integrity": true,
                "complete_to": it.complete_to, "size": it.size, "root": it.root, "unsigned": it.unsigned,
                "records": it.records, "chains": it.chains, "gaps": gaps.collect::<Vec<_>>(),
                "pruned": pruned_to_json(it), "ended": it.ended,
            })
        }
    }
}

/// What retention deleted of each chain.
pub(super) fn pruned_to_json(verified: &Verified) -> Vec<Value> {
    let told = |(chain, it): (&Chain, &PrunedTo)| {
        json!({
            "chain": chain, "records": it.seq, "segment": it.segment, "retention_days": it.retention_days,
            "at": Utc(it.at).to_string(), "by": it.by.0, "index": it.by.1,
        })
    };
    verified.pruned.iter().map(told).collect()
}

fn to_text(judged: &Judged, output: Output) -> String {
    let log = &judged.log;
    let it = match &judged.result {
        Err(why) => return format!("{log}: {}: {why}", output.paint("BAD", Tone::Bad)),
        Ok(it) => it,
    };
    let integrity = match judged.trusted_key {
        true => "proved: no record was changed, and none is missing in between",
        false => {
            "proved only as far as the folder's own key is the log's: give the key that you have from elsewhere with `--key`"
        }
    };
    let completeness = match it.complete_to {
        Some(to) => format!("proved up to index {to}: nothing before it is missing"),
        None => "not proved: records may be missing at the end; give a checkpoint from elsewhere with `--checkpoint`"
            .to_owned(),
    };
    let end = match (it.ended, it.unsigned) {
        (true, _) => "ended by its node".to_owned(),
        (false, 0) => "not ended: it runs, or was cut off".to_owned(),
        (false, unsigned) => format!(
            "not ended: it runs, or was cut off; its newest {unsigned} records are not under a checkpoint yet"
        ),
    };
    let chains: Vec<String> = it.chains.iter().map(|(chain, records)| format!("{chain} {records}")).collect();
    let gaps: Vec<String> = it.gaps.iter().map(|(chain, at)| format!("{chain} at {at}")).collect();
    let gaps = if gaps.is_empty() { "none".to_owned() } else { gaps.join(", ") };
    let pruned = it.pruned.iter().map(|(chain, it)| {
        format!(
            "\n  pruned        {chain} up to record {} by retention of {} days, as {} says at {}",
            it.seq, it.retention_days, it.by.0, it.by.1
        )
    });
    let pruned: String = pruned.collect();
    format!(
        "{log}: {}: {} entries signed, {} records read\n  integrity     {integrity}\n  completeness  {completeness}\n  end           {end}\n  chains        {}\n  gaps          {gaps}{pruned}",
        output.paint("sound", Tone::Good),
        it.size,
        it.records,
        chains.join(", "),
    )
}
