//! `aegis audit report`: which controls verified evidence speaks for. The table of `docs/compliance.md`, filled.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aegis_audit::control::{Entry, VerifiedControl, What};
use aegis_audit::segment;
use clap::Args;
use serde_json::{Value, json};

use super::control::{Evidence, sound};
use crate::ended::Ended;
use crate::output::Output;
use crate::state::read_bounded;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis audit report evidence/ --key \"$LOG_KEY\" --witness \"$WITNESS_KEY\" --journal data-1/audit/7

Everything is verified first; nothing is reported of evidence that does not hold. What the evidence does not show is said, too.")]
pub(crate) struct Options {
    #[command(flatten)]
    evidence: Evidence,
}

/// What the evidence holds, counted.
#[derive(Debug, Default)]
struct Facts {
    /// Acts that were done, and acts that were refused, by command.
    acts: BTreeMap<String, (u64, u64)>,
    /// Records of the journals, by kind and outcome.
    records: BTreeMap<String, u64>,
    findings: u64,
    callers: u64,
    policies: BTreeMap<String, u64>,
    gaps: u64,
    journals: u64,
    first: Option<String>,
    last: Option<String>,
}

pub(crate) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let (control, entries, journals) = match sound(&options.evidence, output)? {
        Ok(sound) => sound,
        Err(ended) => return Ok(ended),
    };
    let mut facts = Facts::default();
    entries.lines().for_each(|line| facts.act(line));
    for path in &options.evidence.journal {
        facts.journal(path)?;
    }
    let rows = rows(&facts, &control);
    let told = json!({
        "control_log": control.checkpoint.origin.as_str(),
        "entries": control.checkpoint.size,
        "witnesses": control.cosigned.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        "forgotten": control.forgotten,
        "journals": journals,
        "from": facts.first,
        "to": facts.last,
        "controls": rows,
    });
    output.result(&told, || in_words(&facts, &control, &rows));
    Ok(Ended::Done)
}

impl Facts {
    fn act(&mut self, line: &str) {
        let Ok(Entry { what: What::Act(act), .. }) = Entry::read(line) else { return };
        let (done, refused) = self.acts.entry(act.command).or_default();
        *(if act.refused.is_none() { done } else { refused }) += 1;
    }

    /// Counts the sealed records of a log that was verified.
    fn journal(&mut self, folder: &Path) -> anyhow::Result<()> {
        self.journals += 1;
        for (path, bytes) in sealed(folder)? {
            let read = segment::read(&bytes);
            let read = read.ok_or_else(|| anyhow::anyhow!("`{}` is no segment of a log", path.display()))?;
            for (_, record) in &read.records {
                self.record(&serde_json::from_slice(record)?);
            }
        }
        Ok(())
    }

    fn record(&mut self, record: &Value) {
        let Some((kind, what)) = record["what"].as_object().and_then(|what| what.iter().next()) else {
            return;
        };
        let outcome = what["outcome"].as_str().or_else(|| what["result"].as_str());
        let name = outcome.map_or_else(|| kind.clone(), |outcome| format!("{kind}:{outcome}"));
        let count = if kind == "refusals" { what["count"].as_u64().unwrap_or(1) } else { 1 };
        *self.records.entry(name).or_default() += count;
        self.gaps += u64::from(kind == "gap");
        self.findings += what["findings"].as_array().map_or(0, |findings| findings.len() as u64);
        self.callers += u64::from(what["callers"].as_array().is_some_and(|callers| !callers.is_empty()));
        if let Some(digest) = what["policy"]["digest"].as_str() {
            *self.policies.entry(digest.to_owned()).or_default() += 1;
        }
        // Moments sort as texts.
        if let Some(at) = record["at"].as_str() {
            if self.first.as_deref().is_none_or(|first| at < first) {
                self.first = Some(at.to_owned());
            }
            if self.last.as_deref().is_none_or(|last| at > last) {
                self.last = Some(at.to_owned());
            }
        }
    }

    fn records(&self, names: &[&str]) -> u64 {
        self.records
            .iter()
            .filter(|(name, _)| names.iter().any(|it| name.starts_with(it)))
            .map(|(_, n)| n)
            .sum()
    }

    /// How often these commands were done.
    fn acts(&self, names: &[&str]) -> u64 {
        names.iter().filter_map(|name| self.acts.get(*name)).map(|(done, _)| done).sum()
    }
}

/// The files of sealed segments below the folder of a log.
fn sealed(folder: &Path) -> anyhow::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for chain in std::fs::read_dir(folder.join("segments"))? {
        for file in std::fs::read_dir(chain?.path())? {
            let path = file?.path();
            if path.ends_with(aegis_audit::pruned::NAME) {
                continue;
            }
            let bytes = read_bounded(&path, SEGMENT_BYTES_MAX)?;
            files.push((path, bytes));
        }
    }
    Ok(files)
}

const SEGMENT_BYTES_MAX: usize = 1 << 30;

/// A control, and what the evidence shows of it; empty: nothing.
struct Row(&'static str, &'static str, &'static str, String);

fn rows(facts: &Facts, control: &VerifiedControl) -> Vec<Value> {
    table(facts, control)
        .into_iter()
        .map(|Row(framework, id, asks, shown)| {
            let state = if shown.is_empty() { "not shown" } else { "shown" };
            json!({ "framework": framework, "control": id, "asks_for": asks, "state": state, "evidence": shown })
        })
        .collect()
}

fn table(facts: &Facts, control: &VerifiedControl) -> Vec<Row> {
    let some = |count: u64, words: &str| if count == 0 { String::new() } else { format!("{count} {words}") };
    let decisions = some(facts.records(&["decision:"]), "decisions");
    let denied = some(facts.records(&["decision:deny", "refusals"]), "calls refused");
    let changes = some(
        facts.acts(&["PublishVersion", "Activate", "Rollback"]),
        &format!("publications and activations; {} policies judged", facts.policies.len()),
    );
    let rights =
        some(facts.acts(&["GrantRole", "RevokeRole", "Revoke", "DisableAgent"]), "changes of rights");
    let cleaned = some(facts.findings, "findings of sensitive data");
    let integrity = match (control.cosigned.len(), facts.journals) {
        // Without a witness the cluster has to be trusted: that is not shown.
        (0, _) | (_, 0) => String::new(),
        (witnesses, journals) => {
            format!("{journals} journals verified against a control log that {witnesses} witnesses cosigned")
        }
    };
    let logged = some(
        facts.records(&["decision:", "completion:"]),
        &format!("decisions and completions in {} journals, {} gaps", facts.journals, facts.gaps),
    );
    let identified = some(
        facts.records(&["decision:"]),
        &format!("decisions with a token's id, {} with callers", facts.callers),
    );
    let lives = some(control.journals.len() as u64, "logs of data nodes, each with its birth");
    let alerts = some(facts.acts(&["BudgetAlert"]), "alerts about budgets");
    let oversight = some(
        facts.acts(&["VoteApproval", "Revoke", "Rollback"]) + facts.records(&["decision:approval_required"]),
        "votes, revocations, rollbacks and calls that waited for a person",
    );
    let holds = some(
        facts.acts(&["PlaceHold", "LiftHold"]) + facts.records(&["pruning"]),
        "legal holds placed or lifted, and deletions by retention",
    );
    // How far back the records go that are complete.
    let kept = match &facts.first {
        Some(first) if !integrity.is_empty() => {
            format!("records since {first}; {} deletions by retention", facts.records(&["pruning"]))
        }
        Some(_) | None => String::new(),
    };
    let soc = "SOC 2";
    let iso = "ISO 27001:2022";
    let hipaa = "HIPAA";
    let act = "EU AI Act";
    vec![
        Row(soc, "CC6.1", "logical access is restricted", decisions.clone()),
        Row(soc, "CC6.3", "access follows roles and is removed", rights),
        Row(soc, "CC7.2", "anomalies are monitored", denied.clone()),
        Row(soc, "CC8.1", "changes are authorized and tracked", changes.clone()),
        Row(iso, "A.5.15", "rules of access are enforced", decisions.clone()),
        Row(iso, "A.5.28", "evidence is collected and preserved", integrity.clone()),
        Row(iso, "A.5.33", "records are kept as long as they have to be, and deleted then", holds),
        Row(iso, "A.8.12", "leakage of data is prevented", cleaned),
        Row(iso, "A.8.15", "activities are logged, logs are protected", logged.clone()),
        Row(iso, "A.8.32", "changes are managed", changes),
        Row(hipaa, "164.312(a)(1)", "access to systems with patient data is controlled", decisions),
        Row(hipaa, "164.312(b)", "activity is recorded and examined", logged.clone()),
        Row(hipaa, "164.312(c)(1)", "records are protected from improper alteration", integrity),
        Row(hipaa, "164.316(b)(2)(i)", "documentation is kept for six years", kept.clone()),
        Row(hipaa, "164.312(d)", "who seeks access is who they claim", identified),
        Row(act, "Art. 12(1)", "events are recorded automatically over the lifetime", lives),
        Row(act, "Art. 12(2)(a)", "situations of risk can be identified", denied),
        Row(act, "Art. 12(2)(c)", "operation is monitored", alerts),
        Row(act, "Art. 19(1)", "logs are kept for six months at least", kept),
        Row(act, "Art. 14", "people can oversee and intervene", oversight),
    ]
}

fn in_words(facts: &Facts, control: &VerifiedControl, rows: &[Value]) -> String {
    let mut lines = vec![format!(
        "verified: control log `{}` with {} entries, {} journals, records from {} to {}",
        control.checkpoint.origin,
        control.checkpoint.size,
        facts.journals,
        facts.first.as_deref().unwrap_or("-"),
        facts.last.as_deref().unwrap_or("-")
    )];
    if control.cosigned.is_empty() {
        lines.push("no witness: whoever holds the cluster could have made another log".to_owned());
    }
    for row in rows {
        let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        let shown = if text("evidence").is_empty() { "not shown".to_owned() } else { text("evidence") };
        lines.push(format!(
            "{:<15} {:<14} {}: {shown}",
            text("framework"),
            text("control"),
            text("asks_for")
        ));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use aegis_audit::checkpoint::Checkpoint;
    use aegis_audit::hash::Hash;

    use super::*;

    fn control(witnesses: usize) -> VerifiedControl {
        let name = || "c-1/control".parse().unwrap();
        VerifiedControl {
            checkpoint: Checkpoint { origin: name(), size: 1, root: Hash::of(b"") },
            cosigned: (0..witnesses).map(|_| (name(), 1)).collect(),
            journals: BTreeMap::new(),
            continues: None,
            acts: 0,
            ledgers: BTreeMap::new(),
            ledgers_left_out: 0,
            forgotten: 0,
        }
    }

    fn states(facts: &Facts, witnesses: usize) -> BTreeMap<String, String> {
        let rows = rows(facts, &control(witnesses));
        let text = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
        rows.iter().map(|row| (text(row, "control"), text(row, "state"))).collect()
    }

    #[test]
    fn nothing_is_shown_by_nothing() {
        let states = states(&Facts::default(), 1);
        assert!(states.values().all(|state| state == "not shown"), "{states:?}");
    }

    #[test]
    fn each_control_is_shown_by_its_own_records_and_integrity_only_with_a_witness() {
        let mut facts = Facts { journals: 1, ..Facts::default() };
        facts.record(&json!({ "at": "2026", "what": { "decision": { "outcome": "deny" } } }));
        let with = states(&facts, 1);
        assert_eq!((with["CC6.1"].as_str(), with["CC7.2"].as_str()), ("shown", "shown"));
        assert_eq!((with["CC8.1"].as_str(), with["A.8.12"].as_str()), ("not shown", "not shown"));
        assert_eq!(with["A.5.28"], "shown");
        assert_eq!(states(&facts, 0)["A.5.28"], "not shown");
    }

    /// The page and the report name the same controls.
    #[test]
    fn every_control_of_the_report_stands_on_the_page() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compliance.md"))
            .unwrap();
        for Row(framework, id, asks, _) in table(&Facts::default(), &control(0)) {
            assert!(page.contains(&format!("| {framework} | {id} | {asks} |")), "{framework} {id} {asks}");
        }
    }
}
