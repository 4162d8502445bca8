//! Budgets: of each, the ledger of its newest epoch, and that of the epoch before, to which leases may still come back.

use aegis_limits::epoch::Epoch;
use aegis_limits::holder::{Holder, Incarnation, NodeId};
use aegis_limits::ledger::{self, LeaseId};
use aegis_model::caps;
use aegis_model::ids::{OrgId, TenantId};
use aegis_model::money::Micros;
use aegis_proto::control::{BudgetStanding, Ledger, LedgerEpoch, LedgerPlace, Loan};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::borrowers::{Fate, Fates};
use super::limit_id::{LimitId, LimitOwner, rows_of};
use super::page::{self, Page, PageQuery};
use super::writer::Writer;
use super::{ended_ledgers, key, meta, row, tenants};

/// The limit's key, below its owner → the [`Ledger`] of its newest epoch.
pub const LEDGERS: Table = Table::new("ledgers");
/// The limit's key, below its owner → the [`Ledger`] of the epoch before.
pub const LEDGERS_BEFORE: Table = Table::new("ledgers_before");
/// Number, big-endian → [`LedgerPlace`].
pub const LEDGER_PLACES: Table = Table::new("ledger_places");
/// End of the epoch, then number, both big-endian → nothing: the one that ended first is first.
pub const LEDGER_ENDS: Table = Table::new("ledger_ends");

/// How a budget is in its newest epoch, which may have ended; nothing if nothing of it was asked for lately.
///
/// # Errors
/// The storage failed.
pub fn budget(state: &impl StateRead, id: &LimitId) -> Result<Option<BudgetStanding>, StoreError> {
    let Some(ledger) = newest(state, id)? else { return Ok(None) };
    standing(state, ledger, meta::history(state)?, &mut Fates::default()).map(Some)
}

/// The budgets of a tenant, of its agents and of their entries.
///
/// # Errors
/// The storage failed.
pub fn budgets(
    state: &impl StateRead,
    tenant: &TenantId,
    query: &PageQuery,
) -> Result<Page<BudgetStanding>, StoreError> {
    page_of(state, LEDGERS, &LimitOwner::Tenant(tenant.clone()), query)
}

/// The same in the epoch before their newest, where that is still known.
///
/// # Errors
/// The storage failed.
pub fn budgets_before(
    state: &impl StateRead,
    tenant: &TenantId,
    query: &PageQuery,
) -> Result<Page<BudgetStanding>, StoreError> {
    page_of(state, LEDGERS_BEFORE, &LimitOwner::Tenant(tenant.clone()), query)
}

/// The budgets of an organization as a whole. For those who may see every tenant.
///
/// # Errors
/// The storage failed.
pub fn organization_budgets(
    state: &impl StateRead,
    organization: &OrgId,
    query: &PageQuery,
) -> Result<Page<BudgetStanding>, StoreError> {
    page_of(state, LEDGERS, &LimitOwner::Organization(organization.clone()), query)
}

/// The first `limit` budgets of anybody, and whether there are more: for metrics, which only the operator of the cluster sees.
///
/// # Errors
/// The storage failed.
pub fn of_everybody(state: &impl StateRead, limit: usize) -> Result<(Vec<BudgetStanding>, bool), StoreError> {
    let page = page::rows::<Ledger>(state, LEDGERS, &[], &PageQuery::new(None, limit))?;
    let (mut fates, history) = (Fates::default(), meta::history(state)?);
    let rows = page.rows.into_iter().map(|ledger| standing(state, ledger, history, &mut fates));
    Ok((rows.collect::<Result<_, _>>()?, page.next.is_some()))
}

fn page_of(
    state: &impl StateRead,
    table: Table,
    owner: &LimitOwner,
    query: &PageQuery,
) -> Result<Page<BudgetStanding>, StoreError> {
    let page = page::rows::<Ledger>(state, table, &rows_of(owner), query)?;
    let (mut fates, history) = (Fates::default(), meta::history(state)?);
    let rows = page.rows.into_iter().map(|ledger| standing(state, ledger, history, &mut fates));
    Ok(Page { rows: rows.collect::<Result<_, _>>()?, next: page.next })
}

/// How a ledger is, without the loans one by one.
pub(crate) fn standing(
    state: &impl StateRead,
    ledger: Ledger,
    history: u64,
    fates: &mut Fates,
) -> Result<BudgetStanding, StoreError> {
    let ledger = refresh(state, ledger, history, fates)?;
    let amounts = ledger.loans.iter().map(|loan| Micros(loan.amount));
    let lent = amounts.fold(Micros::ZERO, Micros::saturating_add);
    Ok(BudgetStanding {
        limit: limit(&ledger),
        policy_limit: ledger.limit,
        stamp: ledger.stamp,
        adjusted_limit: ledger.adjusted_limit,
        granted: ledger.granted,
        lent: lent.0,
        debt: ledger.debt,
        lost: ledger.lost,
        written_off: ledger.written_off,
        epoch: ledger.epoch,
        revision: ledger.revision,
        void: ledger.void,
        alerted: ledger.alerted,
        ledger: ledger.number,
        zone: ledger.zone,
        key: ledger.key,
    })
}

/// A ledger with what has become of it since it was last written. Leases that nobody can bring back are gone: they stay charged,
/// but for those that were never taken in. After a restore all of it is spent.
pub(crate) fn refresh(
    state: &impl StateRead,
    ledger: Ledger,
    history: u64,
    fates: &mut Fates,
) -> Result<Ledger, StoreError> {
    let mut ledger = ledger;
    for loan in std::mem::take(&mut ledger.loans) {
        match fates.of(state, &loan)? {
            Fate::Out => ledger.loans.push(loan),
            Fate::Spent => ledger.lost += loan.amount,
            Fate::NeverTaken => {
                ledger.granted = ledger.granted.saturating_sub(loan.amount);
                ledger.revision += 1;
            }
        }
    }
    if ledger.history != history {
        (ledger.history, ledger.void) = (history, true);
    }
    Ok(voided(ledger))
}

/// A void ledger stays so whatever its limit becomes: how much was spent of it is not known.
pub(crate) fn voided(ledger: Ledger) -> Ledger {
    if !ledger.void {
        return ledger;
    }
    let mut account = account(&ledger);
    account.void();
    settle(ledger, account)
}

/// The limit that counts: one that somebody set goes before the policy's.
pub(crate) fn limit(ledger: &Ledger) -> u64 {
    ledger.adjusted_limit.unwrap_or(ledger.limit)
}

/// The ledger of the newest epoch.
pub(crate) fn newest(state: &impl StateRead, id: &LimitId) -> Result<Option<Ledger>, StoreError> {
    row::read(state, LEDGERS, id.row())
}

/// A ledger with where it lies.
pub(crate) struct Found {
    pub(crate) id: LimitId,
    pub(crate) table: Table,
    pub(crate) ledger: Ledger,
}

/// The ledger of this number, if it is the newest of its budget or the one before.
pub(crate) fn by_number(state: &impl StateRead, number: u64) -> Result<Option<Found>, StoreError> {
    let place: Option<LedgerPlace> = row::read(state, LEDGER_PLACES, &key::rising(number))?;
    let Some(place) = place else { return Ok(None) };
    let id = id_of(place.key.as_ref())?;
    for table in [LEDGERS, LEDGERS_BEFORE] {
        let found: Option<Ledger> = row::read(state, table, id.row())?;
        if let Some(ledger) = found.filter(|ledger| ledger.number == number) {
            return Ok(Some(Found { id, table, ledger }));
        }
    }
    Err(damaged())
}

/// Writes a ledger where it was found.
pub(crate) fn put(
    write: &mut Writer<'_, '_>,
    table: Table,
    id: &LimitId,
    ledger: &Ledger,
) -> Result<(), StoreError> {
    write.put(table, id.row(), ledger)
}

/// Whether one more budget of this owner may be remembered.
pub(crate) fn has_room(state: &Writer<'_, '_>, owner: &LimitOwner) -> Result<bool, StoreError> {
    if state.counters().budgets >= caps::BUDGETS_MAX {
        return Ok(false);
    }
    match owner {
        LimitOwner::Tenant(tenant) => {
            Ok(tenants::counters(state, tenant)?.budgets < caps::BUDGETS_PER_TENANT_MAX)
        }
        LimitOwner::Organization(_) => {
            let max = caps::BUDGETS_PER_ORGANIZATION_MAX;
            Ok(state.scan_prefix(LEDGERS, &rows_of(owner), None, max)?.len() < max)
        }
    }
}

/// Opens `ledger`, which gets its number, as the newest of its budget; `before` was that so far, and is kept in place of
/// the one before it.
pub(crate) fn open(
    write: &mut Writer<'_, '_>,
    id: &LimitId,
    ledger: Ledger,
    before: Option<&Ledger>,
) -> Result<Ledger, StoreError> {
    match before {
        Some(before) => {
            if let Some(oldest) = row::read::<Ledger>(write, LEDGERS_BEFORE, id.row())? {
                forget_place(write, &oldest)?;
                ended_ledgers::keep(write, &oldest)?;
            }
            write.put(LEDGERS_BEFORE, id.row(), before)?;
        }
        None => count(write, id.owner(), 1)?,
    }
    write.counters_mut().ledgers += 1;
    let ledger = Ledger { number: write.counters().ledgers, ..ledger };
    let place = LedgerPlace { key: Some(id.key().clone()) };
    write.put(LEDGER_PLACES, &key::rising(ledger.number), &place)?;
    write.put_bytes(LEDGER_ENDS, &end_key(&ledger), &[])?;
    write.put(LEDGERS, id.row(), &ledger)?;
    Ok(ledger)
}

/// The numbers of up to `limit` ledgers whose epoch ended [`caps::LEDGER_KEPT_SECONDS`] ago, the first one first.
pub(crate) fn ended(state: &impl StateRead, now_ms: u64, limit: usize) -> Result<Vec<u64>, StoreError> {
    let mut numbers = Vec::new();
    for (order, _) in state.scan_prefix(LEDGER_ENDS, &[], None, limit)? {
        let (end, number) = order.split_first_chunk().ok_or_else(damaged)?;
        if now_ms.saturating_sub(u64::from_be_bytes(*end)) < caps::LEDGER_KEPT_SECONDS * 1_000 {
            break;
        }
        numbers.push(u64::from_be_bytes(number.try_into().map_err(|_length| damaged())?));
    }
    Ok(numbers)
}

/// Forgets a ledger: a lease of it that comes back later stays spent. Gives what became of it.
pub(crate) fn delete(
    write: &mut Writer<'_, '_>,
    number: u64,
    fates: &mut Fates,
) -> Result<Ledger, StoreError> {
    let Found { id, table, ledger } = by_number(write, number)?.ok_or_else(damaged)?;
    let history = write.cluster().history;
    let last = refresh(write, ledger.clone(), history, fates)?;
    forget_place(write, &ledger)?;
    write.delete(table, id.row())?;
    if table == LEDGERS {
        count(write, id.owner(), -1)?;
    }
    Ok(last)
}

fn forget_place(write: &mut Writer<'_, '_>, ledger: &Ledger) -> Result<(), StoreError> {
    write.delete(LEDGER_PLACES, &key::rising(ledger.number))?;
    write.delete(LEDGER_ENDS, &end_key(ledger))?;
    Ok(())
}

fn count(write: &mut Writer<'_, '_>, owner: &LimitOwner, more: i64) -> Result<(), StoreError> {
    if let LimitOwner::Tenant(tenant) = owner {
        let mut counters = tenants::counters(write, tenant)?;
        counters.budgets = counters.budgets.saturating_add_signed(more);
        tenants::put_counters(write, tenant, &counters)?;
    }
    let counters = write.counters_mut();
    counters.budgets = counters.budgets.saturating_add_signed(more);
    Ok(())
}

fn end_key(ledger: &Ledger) -> Vec<u8> {
    // Log time is never negative, and so no epoch that contains it ends before 1970.
    let end_ms = ledger.epoch.map_or(0, |epoch| epoch.end_ms.max(0).unsigned_abs());
    [key::rising(end_ms), key::rising(ledger.number)].concat()
}

fn id_of(key: Option<&aegis_proto::v1::LimitKey>) -> Result<LimitId, StoreError> {
    LimitId::budget(key.ok_or_else(damaged)?).map_err(|_bad| damaged())
}

fn damaged() -> StoreError {
    StoreError::Damaged { table: LEDGERS.name().to_owned() }
}

/// The row as the arithmetic of `limits` takes it.
pub(crate) fn account(ledger: &Ledger) -> ledger::Ledger {
    let loan = |loan: &Loan| ledger::Loan {
        id: LeaseId(loan.lease),
        holder: Holder { node: NodeId(loan.node), incarnation: Incarnation(loan.incarnation) },
        amount: Micros(loan.amount),
    };
    ledger::Ledger {
        epoch: ledger.epoch.map_or(Epoch { day: 0, start_ms: 0, end_ms: 0 }, epoch),
        limit: Micros(limit(ledger)),
        granted: Micros(ledger.granted),
        debt: Micros(ledger.debt),
        revision: ledger.revision,
        last_lease: LeaseId(ledger.last_lease),
        forgiven: LeaseId(ledger.forgiven_lease),
        lost: Micros(ledger.lost),
        written_off: Micros(ledger.written_off),
        leases: ledger.loans.iter().map(loan).collect(),
    }
}

/// The row after what the arithmetic did: all but the limits, whose rules are the rows' own.
pub(crate) fn settle(ledger: Ledger, account: ledger::Ledger) -> Ledger {
    let loan = |loan: ledger::Loan| Loan {
        lease: loan.id.0,
        node: loan.holder.node.0,
        incarnation: loan.holder.incarnation.0,
        amount: loan.amount.0,
    };
    Ledger {
        granted: account.granted.0,
        debt: account.debt.0,
        revision: account.revision,
        last_lease: account.last_lease.0,
        forgiven_lease: account.forgiven.0,
        lost: account.lost.0,
        written_off: account.written_off.0,
        loans: account.leases.into_iter().map(loan).collect(),
        ..ledger
    }
}

fn epoch(row: LedgerEpoch) -> Epoch {
    Epoch { day: row.day, start_ms: row.start_ms, end_ms: row.end_ms }
}

/// An epoch as rows and commands hold it.
pub fn epoch_row(epoch: Epoch) -> LedgerEpoch {
    LedgerEpoch { day: epoch.day, start_ms: epoch.start_ms, end_ms: epoch.end_ms }
}

/// The epoch in which what is asked of a budget at `now_ms` counts, as whoever proposes to lend has to say it: that of its
/// newest ledger while that lasts, and otherwise the next one in `zone`.
///
/// # Errors
/// The storage failed. Inside: there is no such zone, or the moment is beyond the calendar.
pub fn epoch_at(
    state: &impl StateRead,
    id: &LimitId,
    zone: &aegis_limits::epoch::Zone,
    now_ms: u64,
) -> Result<Result<LedgerEpoch, aegis_limits::epoch::NoEpoch>, StoreError> {
    let now_ms = i64::try_from(now_ms).unwrap_or(i64::MAX);
    let running = newest(state, id)?.and_then(|ledger| ledger.epoch).map(epoch);
    let found = match running {
        Some(running) => running.or_next(zone, now_ms),
        None => Epoch::at(zone, now_ms),
    };
    Ok(found.map(epoch_row))
}
