//! `aegis audit prove`: that a record is in a log, by its index or by the id of its decision.

use aegis_audit::journal::SystemDisk;
use aegis_audit::read;
use aegis_audit::tree::verify_inclusion;
use aegis_audit::verify::prove;
use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};

use super::logs::{Log, Place};
use crate::ended::Ended;
use crate::output::Output;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis audit prove --index 41                     of the newest log; `log`, `index` and `leaf` stand in the receipt of an answer
  aegis audit prove --decision d-dev-1-2 --output json
  aegis audit prove /var/lib/aegis/audit/7 --index 41

Prints the record's leaf, the hashes that lead from it to the root, and the signed checkpoint with that root. The log is verified first,
with its own key: who checks the proof needs the key from somewhere else. Ends with 1 if there is no such record, or no checkpoint over
it yet.")]
pub(crate) struct Options {
    #[command(flatten)]
    place: Place,
    /// The index of the record, in the newest log of FOLDER
    #[arg(long, env = "AEGIS_AUDIT_INDEX", value_name = "NUMBER", required_unless_present = "decision")]
    index: Option<u64>,
    /// The id of the decision, in any log of FOLDER
    #[arg(long, env = "AEGIS_AUDIT_DECISION", value_name = "ID", conflicts_with = "index")]
    decision: Option<String>,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let Some((log, index)) = find(options)? else {
        output.problem("no log here has a record of this decision");
        return Ok(Ended::Refused);
    };
    output.progress(format_args!("verifying {} …", log.name()));
    let later: Vec<_> = options.place.logs()?.into_iter().map(|log| log.own_key).collect();
    let proved = match prove(&SystemDisk, &log.folder, &log.own_key, &later, index) {
        Ok(proved) => proved,
        Err(problem) => bail!("the log {} does not hold: {problem}", log.name()),
    };
    let Some((leaf, proof)) = proved else {
        output.problem(format!("no checkpoint of {} covers a record with the index {index}", log.name()));
        return Ok(Ended::Refused);
    };
    let checkpoint = &proof.signed.checkpoint;
    verify_inclusion(index, checkpoint.size, &leaf, &proof.hashes, &checkpoint.root)
        .context("the proof does not hold")?;
    let note = String::from_utf8_lossy(&proof.signed.note);
    let told = json!({
        "log": log.name(), "index": index, "leaf": leaf, "proof": proof.hashes, "size": checkpoint.size,
        "root": checkpoint.root, "checkpoint": note,
    });
    output.result(&told, || {
        let hashes: String = proof.hashes.iter().map(|hash| format!("\n  {hash}")).collect();
        format!(
            "record {index} of {} is among the first {} entries\nleaf\n  {leaf}\nproof, from the leaf up{hashes}\ncheckpoint\n{}",
            log.name(),
            checkpoint.size,
            note.lines().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n"),
        )
    });
    Ok(Ended::Done)
}

fn find(options: &Options) -> anyhow::Result<Option<(Log, u64)>> {
    match (options.index, &options.decision) {
        (Some(index), _) => Ok(Some((options.place.newest()?, index))),
        (None, None) => Ok(None),
        (None, Some(decision)) => {
            for log in options.place.logs()?.into_iter().rev() {
                let records = read::newest(&SystemDisk, &log.folder, usize::MAX);
                let records = records.with_context(|| format!("reading `{}`", log.folder.display()))?;
                let index = records.iter().find(|(_, bytes)| is_of(bytes, decision)).map(|(index, _)| *index);
                if let Some(index) = index {
                    return Ok(Some((log, index)));
                }
            }
            Ok(None)
        }
    }
}

fn is_of(record: &[u8], decision: &str) -> bool {
    let record: Value = serde_json::from_slice(record).unwrap_or_default();
    record["what"]["decision"]["decision_id"] == *decision
}
