//! What records say that calls were charged, held against what the ledgers of the control plane say: a spend without a record
//! shows, and so does a record without a spend.
//!
//! Each record of an allowed call names the ledgers that it was charged in, one of each budget and day, and each record of a
//! call's end what it is charged there now. A ledger was charged nothing else, so both sums are the same, but for what nobody can
//! know (`docs/internals/audit.md`).

use std::collections::BTreeMap;

use aegis_model::clock::UnixNanos;
use aegis_model::money::Micros;

use crate::control::LedgerAccount;
use crate::record::{Chain, Record, RecordError, What};

/// What records say that was charged, by the numbers of ledgers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recorded(BTreeMap<u64, Sum>);

/// What records say of one ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sum {
    /// Whose budget: `organization`, `tenant`, `agent` or `entry`.
    pub level: String,
    /// The chain of the first record that named it.
    pub chain: Chain,
    /// The budget's unit.
    pub unit: String,
    /// Calls that were charged.
    pub calls: u64,
    /// The first and the last moment of a record that names it.
    pub moments: (UnixNanos, UnixNanos),
    /// Millionths. Below zero where records are missing that others build on.
    net: i128,
}

/// How the records of a ledger compare with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// To the millionth.
    Exact,
    /// So much was charged without a record, and no more than nobody can know.
    Unproven(Micros),
    /// So much more was charged than records and what nobody can know explain: records are missing, or calls were under way when
    /// their node was killed.
    SpendWithoutRecord(Micros),
    /// Records say so much more than the ledger was ever charged: they are not of calls that this cluster let pass, or a node was
    /// killed before it had told of a real cost.
    RecordWithoutSpend(Micros),
    /// The cluster was restored in that day: nobody knows what was spent.
    Void,
}

impl Held {
    /// A stable word for reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Unproven(_) => "unproven",
            Self::SpendWithoutRecord(_) => "spend_without_record",
            Self::RecordWithoutSpend(_) => "record_without_spend",
            Self::Void => "void",
        }
    }

    /// Whether there is something to explain.
    pub fn is_difference(self) -> bool {
        matches!(self, Self::SpendWithoutRecord(_) | Self::RecordWithoutSpend(_))
    }

    /// How much is missing on one side.
    pub fn amount(self) -> Micros {
        match self {
            Self::Unproven(amount) | Self::SpendWithoutRecord(amount) | Self::RecordWithoutSpend(amount) => {
                amount
            }
            Self::Exact | Self::Void => Micros::ZERO,
        }
    }
}

impl Recorded {
    /// Counts the bytes of a record. Each has to come once.
    ///
    /// # Errors
    /// [`RecordError`], where they name a ledger and are none.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), RecordError> {
        // Most records name no ledger, and to read one takes a while.
        match memchr::memmem::find(bytes, br#""ledger":"#) {
            Some(_) => Record::read(bytes).map(|record| self.add(&record)),
            None => Ok(()),
        }
    }

    /// Counts a record. Each has to come once.
    pub fn add(&mut self, record: &Record) {
        match &record.what {
            What::Decision(decision) => {
                for it in &decision.charged {
                    let Some(ledger) = it.ledger else { continue };
                    let sum = self.sum(ledger, record, &it.level, &it.unit);
                    sum.calls += 1;
                    sum.net += i128::from(it.amount.0);
                }
            }
            What::Completion(completion) => {
                for it in &completion.settled {
                    let Some(ledger) = it.ledger else { continue };
                    let sum = self.sum(ledger, record, &it.level, &it.unit);
                    sum.net += i128::from(it.cost.0) - i128::from(it.charged.0);
                }
            }
            What::Shadow(_) | What::Refusals(_) | What::Gap(_) | What::SegmentEnd(_) | What::Pruning(_) => {}
        }
    }

    fn sum(&mut self, ledger: u64, record: &Record, level: &str, unit: &str) -> &mut Sum {
        let sum = self.0.entry(ledger).or_insert_with(|| Sum {
            level: level.to_owned(),
            chain: record.chain.clone(),
            unit: unit.to_owned(),
            calls: 0,
            moments: (record.at, record.at),
            net: 0,
        });
        sum.moments = (sum.moments.0.min(record.at), sum.moments.1.max(record.at));
        sum
    }

    /// What records say of each ledger that they name.
    pub fn sums(&self) -> impl Iterator<Item = (u64, &Sum)> {
        self.0.iter().map(|(ledger, sum)| (*ledger, sum))
    }

    /// What records say of this ledger.
    pub fn of(&self, ledger: u64) -> Option<&Sum> {
        self.0.get(&ledger)
    }

    /// Holds what records say against an account.
    pub fn against(&self, account: &LedgerAccount) -> Held {
        if account.void {
            return Held::Void;
        }
        let net = self.of(account.ledger).map_or(0, |sum| sum.net);
        let missing = i128::from(account.charged.0) - net;
        let unproven = i128::from(account.unproven.0);
        match missing {
            0 => Held::Exact,
            ..0 => Held::RecordWithoutSpend(micros(-missing)),
            _ if missing <= unproven => Held::Unproven(micros(missing)),
            _ => Held::SpendWithoutRecord(micros(missing - unproven)),
        }
    }
}

impl Sum {
    /// What they add up to.
    pub fn amount(&self) -> Micros {
        micros(self.net)
    }
}

fn micros(amount: i128) -> Micros {
    Micros(u64::try_from(amount.max(0)).unwrap_or(u64::MAX))
}
