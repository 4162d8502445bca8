//! `aegis audit budgets`: what records say that calls were charged, held against the ledgers of the budgets.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use aegis_audit::control::{LedgerAccount, VerifiedControl};
use aegis_audit::journal::SystemDisk;
use aegis_audit::ledgers::{Held, Recorded};
use aegis_audit::read;
use aegis_audit::record::Chain;
use aegis_model::clock::UnixNanos;
use aegis_model::money::Micros;
use aegis_model::utc::{self, Utc};
use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::control::{Evidence, sound};
use crate::ended::{Ended, WrongUse};
use crate::output::{Output, Tone};
use crate::state::read_bounded;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis audit budgets evidence/ --key \"$LOG_KEY\" --journal data-1/audit/7 --journal data-2/audit/4
  aegis audit budgets evidence/ --key \"$LOG_KEY\" --journal acme-1 --journal acme-2 --chain tenant/acme
  aegis budget show --tenant acme --output json >today.json
  aegis audit budgets evidence/ --key \"$LOG_KEY\" --journal data-1/audit/7 --ledgers today.json

Everything is verified first. Records of allowed calls name the ledgers that they were charged in, one of each budget and day. What became
of a ledger stands in the control log two days after its day; of days since, ask a control node (`aegis budget show`, with `--before` for
the day before) while no calls are made, and give that with `--ledgers`. Give the logs of all data nodes: what only a log that is missing
recorded looks like a spend without a record.

Where a node was killed, calls that were under way then may have been charged without a record, and a real cost may not have been told.

Ends with 0 if nothing is left to explain, with 1 otherwise.")]
pub(crate) struct Options {
    #[command(flatten)]
    evidence: Evidence,
    /// What `aegis budget show --output json` printed; may be given several times
    #[arg(long, env = "AEGIS_AUDIT_LEDGERS", value_delimiter = ',', value_name = "FILES")]
    ledgers: Vec<PathBuf>,
}

/// Larger than any list of budgets.
const LEDGERS_BYTES_MAX: usize = 1 << 30;

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let Options { evidence, ledgers } = options;
    let tenant = match evidence.chain() {
        None => None,
        Some(Chain::Tenant(tenant)) => Some(tenant.as_str()),
        Some(_) => return Err(WrongUse("only the chain of a tenant has records of calls".to_owned()).into()),
    };
    if evidence.journal.is_empty() {
        return Err(WrongUse("give the logs of all data nodes with `--journal`".to_owned()).into());
    }
    let told = ledgers.iter().map(|path| told_of(path)).collect::<anyhow::Result<Vec<_>>>()?;
    let (control, _, journals) = match sound(evidence, output)? {
        Ok(sound) => sound,
        Err(ended) => return Ok(ended),
    };
    if let Some(log) = given_twice(&journals) {
        return Err(
            WrongUse(format!("the log `{log}` was given twice: its records would count twice")).into()
        );
    }
    let mut recorded = Recorded::default();
    for path in &evidence.journal {
        add(path, &mut recorded)?;
    }
    // What the control log says of a ledger is the last word on it.
    let mut accounts: BTreeMap<u64, LedgerAccount> = told.into_iter().flatten().collect();
    accounts.extend(control.ledgers.iter().map(|(ledger, account)| (*ledger, account.clone())));
    accounts
        .retain(|_, account| tenant.is_none_or(|it| account.owner == it && account.level != "organization"));
    if accounts.is_empty() {
        let why = "there is nothing to hold records against: the control log says nothing of ledgers yet, and `--ledgers` was not given";
        return Err(WrongUse(why.to_owned()).into());
    }
    let compared = Compared::of(&accounts, &recorded, deleted_before(&journals));
    let missing = not_given(&control, &journals);
    output.result(&compared.to_json(&control, &missing), || compared.in_words(&control, &missing, output));
    Ok(if compared.differences().next().is_none() { Ended::Done } else { Ended::Refused })
}

/// Every ledger that somebody says something of.
struct Compared<'a> {
    held: Vec<(&'a LedgerAccount, Micros, Held)>,
    /// Of days whose records retention deleted.
    deleted: Vec<&'a LedgerAccount>,
    /// Ledgers that only records name.
    unknown: Vec<Value>,
}

impl<'a> Compared<'a> {
    fn of(
        accounts: &'a BTreeMap<u64, LedgerAccount>,
        recorded: &Recorded,
        deleted_before: Option<i64>,
    ) -> Self {
        let is_deleted = |account: &LedgerAccount| deleted_before.is_some_and(|at| account.from_ms < at);
        let (deleted, kept): (Vec<_>, Vec<_>) = accounts.values().partition(|account| is_deleted(account));
        let held = kept.into_iter().map(|account| {
            let amount = recorded.of(account.ledger).map_or(Micros::ZERO, |sum| sum.amount());
            (account, amount, recorded.against(account))
        });
        let unknown = recorded.sums().filter(|(ledger, _)| !accounts.contains_key(ledger)).map(|(ledger, sum)| {
            let (first, last) = sum.moments;
            json!({
                "ledger": ledger, "chain": sum.chain, "level": sum.level, "unit": sum.unit, "calls": sum.calls,
                "recorded": sum.amount().to_string(), "first": Utc(first).to_string(), "last": Utc(last).to_string(),
            })
        });
        Self { held: held.collect(), deleted, unknown: unknown.collect() }
    }

    fn differences(&self) -> impl Iterator<Item = &(&'a LedgerAccount, Micros, Held)> {
        self.held.iter().filter(|(_, _, held)| held.is_difference())
    }

    fn count(&self, code: &str) -> usize {
        self.held.iter().filter(|(_, _, held)| held.code() == code).count()
    }

    fn to_json(&self, control: &VerifiedControl, missing: &[&str]) -> Value {
        let row = |(account, recorded, held): &(&LedgerAccount, Micros, Held)| {
            json!({
                "ledger": account.ledger, "level": account.level, "owner": account.owner, "agent": account.agent,
                "entry": account.entry, "unit": account.unit, "from": moment(account.from_ms), "until": moment(account.until_ms),
                "charged": account.charged.to_string(), "unproven": account.unproven.to_string(),
                "recorded": recorded.to_string(), "held": held.code(), "difference": held.amount().to_string(),
            })
        };
        json!({
            "ok": self.differences().next().is_none(),
            "ledgers": self.held.iter().map(row).collect::<Vec<_>>(),
            "exact": self.count("exact"), "unproven": self.count("unproven"), "void": self.count("void"),
            "deleted": self.deleted.len(), "left_out": control.ledgers_left_out, "unknown": self.unknown,
            "logs_not_given": missing,
        })
    }

    fn in_words(&self, control: &VerifiedControl, missing: &[&str], output: Output) -> String {
        let differences: Vec<_> = self.differences().collect();
        let sound = differences.is_empty();
        let mut lines = vec![format!(
            "{}: ledgers {}, of them equal to the millionth {}",
            if sound { output.paint("sound", Tone::Good) } else { output.paint("BAD", Tone::Bad) },
            self.held.len(),
            self.count("exact"),
        )];
        for (account, recorded, held) in &differences {
            let what = match held {
                Held::RecordWithoutSpend(amount) => format!("{amount} more in records than was charged"),
                it => format!("{} charged without a record", it.amount()),
            };
            lines.push(format!(
                "  {what}: {}; the ledger says {}, of which {} cannot be known, records say {recorded}",
                name(account),
                account.charged,
                account.unproven,
            ));
        }
        let mut note = |count: u64, what: &str| {
            if count > 0 {
                lines.push(format!("  {count} {what}"));
            }
        };
        note(
            self.count("unproven") as u64,
            "differ by no more than what was lent and could not be brought back, or is still out",
        );
        note(
            self.count("void") as u64,
            "are of days in which the cluster was restored: nobody knows what was spent",
        );
        note(self.deleted.len() as u64, "are of days whose records retention deleted");
        note(
            control.ledgers_left_out,
            "ended of which the control log says nothing: there were too many that day",
        );
        note(
            self.unknown.len() as u64,
            "are named by records only: of days that are not over for two days, or forgotten; give them with `--ledgers`",
        );
        if !missing.is_empty() {
            let them = missing.join(", ");
            lines.push(format!("  not given, and so perhaps the reason of a difference: {them}"));
        }
        lines.join("\n")
    }
}

/// A ledger in words.
fn name(account: &LedgerAccount) -> String {
    let LedgerAccount { agent, entry, ledger, level, owner, unit, .. } = account;
    let whose = match (level.as_str(), agent, entry) {
        ("organization", ..) => format!("organization `{owner}`"),
        (_, Some(agent), Some(entry)) => format!("agent `{agent}` of `{owner}` for `{entry}`"),
        (_, Some(agent), None) => format!("agent `{agent}` of `{owner}`"),
        _ => format!("tenant `{owner}`"),
    };
    format!("ledger {ledger}, budget `{unit}` of {whose}, day from {}", moment(account.from_ms))
}

fn moment(ms: i64) -> String {
    Utc(UnixNanos(ms.max(0).unsigned_abs().saturating_mul(1_000_000))).to_string()
}

/// Adds what the records of a log say, which was verified.
fn add(folder: &Path, recorded: &mut Recorded) -> anyhow::Result<()> {
    let shown = folder.display();
    let no_record = |index| io::Error::new(io::ErrorKind::InvalidData, format!("entry {index} is no record"));
    read::each(&SystemDisk, folder, |index, bytes| recorded.read(bytes).map_err(|_withheld| no_record(index)))
        .with_context(|| format!("reading the records of `{shown}`"))
}

/// The ledgers of a list of budgets.
fn told_of(path: &Path) -> anyhow::Result<Vec<(u64, LedgerAccount)>> {
    let shown = path.display();
    let bytes = read_bounded(path, LEDGERS_BYTES_MAX).with_context(|| format!("reading `{shown}`"))?;
    let list: Value = serde_json::from_slice(&bytes).with_context(|| format!("`{shown}` is not JSON"))?;
    let items = list["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let accounts: Option<Vec<_>> = items.iter().map(account).collect();
    let accounts = accounts.filter(|accounts| !accounts.is_empty());
    let what = || {
        WrongUse(format!(
            "`{shown}` is no list of budgets: give what `aegis budget show --output json` prints"
        ))
    };
    accounts.ok_or_else(|| what().into())
}

fn account(row: &Value) -> Option<(u64, LedgerAccount)> {
    let text = |name: &str| row[name].as_str().map(str::to_owned);
    let named = |name: &str| text(name).filter(|name| !name.is_empty());
    let amount = |name: &str| row[name].as_str().unwrap_or("0").parse::<Micros>().ok();
    let ms = |name: &str| i64::try_from(utc::read(row[name].as_str()?)?.0 / 1_000_000).ok();
    let ledger = row["ledger"].as_u64().filter(|ledger| *ledger > 0)?;
    let account = LedgerAccount {
        agent: named("agent"),
        charged: amount("granted")?.saturating_add(amount("debt")?).saturating_add(amount("written_off")?),
        entry: named("entry"),
        from_ms: ms("epoch_start")?,
        ledger,
        level: text("level")?,
        owner: text("owner")?,
        unit: text("unit")?,
        unproven: amount("lent")?.saturating_add(amount("lost")?),
        until_ms: ms("epoch_end")?,
        void: row["void"].as_bool().unwrap_or(false),
    };
    Some((ledger, account))
}

/// The newest moment before which retention has deleted records.
fn deleted_before(journals: &[Value]) -> Option<i64> {
    let of = |it: &Value| {
        let at = utc::read(it["at"].as_str()?)?;
        let days = i64::try_from(it["retention_days"].as_u64()?).ok()?;
        Some(i64::try_from(at.0 / 1_000_000).ok()? - days * 86_400_000)
    };
    journals.iter().flat_map(|it| it["pruned"].as_array().into_iter().flatten()).filter_map(of).max()
}

/// Logs that the control log knows and nobody brought.
fn not_given<'a>(control: &'a VerifiedControl, journals: &[Value]) -> Vec<&'a str> {
    let given = |origin: &str| journals.iter().any(|it| it["log"].as_str() == Some(origin));
    control.journals.keys().map(String::as_str).filter(|origin| !given(origin)).collect()
}

/// A log of which two folders were given, such as the original and a copy.
fn given_twice(journals: &[Value]) -> Option<&str> {
    let mut seen = BTreeSet::new();
    journals.iter().filter_map(|it| it["log"].as_str()).find(|log| !seen.insert(*log))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_read_as_its_ledger() {
        let row = json!({
            "level": "agent", "owner": "acme", "agent": "bot", "entry": "", "unit": "usd", "granted": "10", "lent": "4",
            "debt": "1.5", "lost": "0.5", "written_off": "2", "ledger": 7, "void": false,
            "epoch_start": "2026-11-26T00:00:00.000000000Z", "epoch_end": "2026-11-27T00:00:00.000000000Z",
        });
        let (ledger, read) = account(&row).unwrap();
        assert_eq!(
            (ledger, read.charged.to_string(), read.unproven.to_string()),
            (7, "13.5".into(), "4.5".into())
        );
        assert_eq!((read.agent.as_deref(), read.entry.as_deref()), (Some("bot"), None));
        assert_eq!(read.until_ms - read.from_ms, 86_400_000);
        assert!(name(&read).contains("agent `bot` of `acme`"));
        for (name, value) in [
            ("ledger", json!(0)),
            ("granted", json!("x")),
            ("epoch_end", json!("later")),
            ("unit", json!(null)),
        ] {
            let mut bad = row.clone();
            bad[name] = value;
            assert!(account(&bad).is_none(), "{name}");
        }
    }

    #[test]
    fn a_log_counts_once() {
        let journals = ["a", "b", "c"].map(|log| json!({"log": log}));
        assert_eq!(given_twice(&journals), None);
        let twice = ["a", "b", "a"].map(|log| json!({"log": log}));
        assert_eq!(given_twice(&twice), Some("a"));
    }

    #[test]
    fn what_retention_deleted_is_not_held_against_ledgers() {
        let pruned = json!([{"at": "2026-11-27T00:00:00.000000000Z", "retention_days": 183}]);
        let journals = [json!({"pruned": []}), json!({"pruned": pruned})];
        assert_eq!(moment(deleted_before(&journals).unwrap()), "2026-05-28T00:00:00.000000000Z");
        assert_eq!(deleted_before(&journals[..1]), None);
    }
}
