//! What became of ledgers, written into the control log as they are forgotten: whoever has the records of calls can hold them against
//! it, years later and without this state.

use aegis_audit::control::{LedgerAccount, Ledgers, What};
use aegis_model::caps;
use aegis_model::money::Micros;
use aegis_proto::control::Ledger;
use aegis_proto::v1::LimitLevel;
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::borrowers::Fates;
use super::writer::Writer;
use super::{budgets, control_tree, key, row};

/// Number, big-endian → the [`Ledger`] that made room for a newer one of its budget, until it is written down.
pub(crate) const LEDGERS_ENDED: Table = Table::new("ledgers_ended");

/// Keeps a ledger that nothing comes back to any more, to be written down with others.
pub(crate) fn keep(write: &mut Writer<'_, '_>, ledger: &Ledger) -> Result<(), StoreError> {
    write.put(LEDGERS_ENDED, &key::rising(ledger.number), ledger)
}

/// Takes out up to `limit` of them, and works out what became of their loans.
pub(crate) fn take(
    write: &mut Writer<'_, '_>,
    limit: usize,
    fates: &mut Fates,
) -> Result<Vec<Ledger>, StoreError> {
    let history = write.cluster().history;
    let mut taken = Vec::new();
    for (number, value) in write.scan_prefix(LEDGERS_ENDED, &[], None, limit)? {
        write.delete(LEDGERS_ENDED, &number)?;
        taken.push(budgets::refresh(write, row::decode(LEDGERS_ENDED, &value)?, history, fates)?);
    }
    Ok(taken)
}

/// Writes down what `ended` were charged, if anything was ever lent of them.
pub(crate) fn write_down(write: &mut Writer<'_, '_>, ended: &[Ledger]) -> Result<(), StoreError> {
    let used: Vec<&Ledger> = ended.iter().filter(|ledger| ledger.last_lease > 0).collect();
    // Before there is a cluster, there is no log of it.
    if used.is_empty() || write.cluster().id.is_empty() {
        return Ok(());
    }
    let room = control_tree::note_ledgers(write, used.len())?;
    let (told, left_out) = used.split_at(room);
    let parts = told.chunks(caps::LEDGERS_PER_ENTRY_MAX).map(|part| (part, 0));
    let parts = parts.chain((!left_out.is_empty()).then_some((&[][..], left_out.len() as u64)));
    for (part, left_out) in parts {
        let accounts = part.iter().map(|ledger| account(ledger)).collect();
        let index = control_tree::append(write, What::Ledgers(Ledgers { accounts, left_out }))?;
        control_tree::forget_after(write, index, caps::LEDGER_ACCOUNTS_KEPT_SECONDS)?;
    }
    Ok(())
}

fn account(ledger: &Ledger) -> LedgerAccount {
    let (key, sums) = (ledger.key.clone().unwrap_or_default(), budgets::account(ledger));
    let level = match key.level() {
        LimitLevel::Organization => "organization",
        LimitLevel::Agent => "agent",
        LimitLevel::Entry => "entry",
        LimitLevel::Tenant | LimitLevel::Unspecified => "tenant",
    };
    let named = |name: String| Some(name).filter(|name| !name.is_empty());
    let epoch = ledger.epoch.unwrap_or_default();
    LedgerAccount {
        agent: named(key.agent),
        charged: sums.charged().min(Micros::MAX),
        entry: named(key.entry),
        from_ms: epoch.start_ms,
        ledger: ledger.number,
        level: level.to_owned(),
        owner: key.owner,
        unit: key.unit,
        unproven: sums.unproven().min(Micros::MAX),
        until_ms: epoch.end_ms,
        void: ledger.void,
    }
}

const _: () = assert!(
    caps::CONTROL_ENTRY_BYTES_MAX > caps::LEDGERS_PER_ENTRY_MAX * (4 * 6 * caps::NAME_BYTES_MAX + 512),
    "an entry holds its ledgers, were each character of a name escaped"
);
