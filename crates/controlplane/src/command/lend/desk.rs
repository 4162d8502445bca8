//! One data node's ask, from top to bottom: is it the newest process, was it answered before? Then its returns, its debts, its savings,
//! and what it needs.

use aegis_limits::holder::{Holder, Incarnation, NodeId};
use aegis_limits::ledger::{Ground, LeaseId, NoGrant};
use aegis_limits::size::Need;
use aegis_model::caps;
use aegis_model::money::Micros;
use aegis_proto::control::{Borrower, BudgetAlert, DataNode, Ledger, LedgerEpoch, NodeAnswer, NodeAsk};
use aegis_proto::v1;
use aegis_proto::v1::budget_answer::Outcome;
use aegis_raft_store::tables::StoreError;
use prost::Message;

use super::ledgers;
use crate::state::borrowers::{self, Fates};
use crate::state::budgets::{self, Found};
use crate::state::data_nodes;
use crate::state::limit_id::LimitId;
use crate::state::writer::Writer;

/// Where asks are answered, one after the other.
pub(super) struct Desk<'d, 'w, 't> {
    write: &'d mut Writer<'w, 't>,
    actor: &'d str,
    nodes: u32,
    fates: Fates,
    alerts: Vec<BudgetAlert>,
}

/// Who asks: the newest process of a data node.
struct Customer<'a> {
    node: &'a DataNode,
    holder: Holder,
}

impl<'d, 'w, 't> Desk<'d, 'w, 't> {
    pub(super) fn new(write: &'d mut Writer<'w, 't>, actor: &'d str, nodes: u32) -> Self {
        Self { write, actor, nodes, fates: Fates::default(), alerts: Vec::new() }
    }

    /// The budgets of which much is charged by now.
    pub(super) fn into_alerts(self) -> Vec<BudgetAlert> {
        self.alerts
    }

    /// Answers one ask.
    pub(super) fn answer(&mut self, asked: &NodeAsk) -> Result<NodeAnswer, StoreError> {
        let refused =
            |code: &str| NodeAnswer { node: asked.node, answer: Vec::new(), refused: code.to_owned() };
        let Some(ask) = asked.ask.as_ref().filter(|ask| fits(ask, asked)) else {
            return Ok(refused("invalid"));
        };
        // LIM-2: whoever was replaced, or retired, gets nothing and brings nothing back.
        let node = match data_nodes::data_node(self.write, asked.node)? {
            Some(node) if node.incarnation == asked.incarnation && node.retired_ms == 0 => node,
            Some(_) | None => return Ok(refused("fenced")),
        };
        let known = borrowers::borrower(self.write, asked.node)?.unwrap_or_default();
        let last = if known.incarnation == asked.incarnation { known.number } else { 0 };
        if ask.number == last {
            return Ok(NodeAnswer { node: asked.node, answer: known.answer, refused: String::new() });
        }
        if ask.number != last + 1 {
            return Ok(refused("number"));
        }
        let mut row = Borrower { incarnation: asked.incarnation, number: ask.number, node: node.id, ..known };
        let holder = Holder { node: NodeId(node.id), incarnation: Incarnation(asked.incarnation) };
        let customer = Customer { node: &node, holder };
        for lease in &ask.returns {
            self.take_back(&customer, lease)?;
        }
        for debt in &ask.debts {
            self.note_debt(&customer, debt)?;
        }
        for saving in &ask.savings {
            self.note_saving(&customer, saving)?;
        }
        if ask.recovered && row.recovered_incarnation < asked.incarnation {
            row.recovered_incarnation = asked.incarnation;
            if !ask.complete {
                row.complete_incarnation = asked.incarnation;
            }
            self.fates.note(&row);
        }
        let mut answer = v1::LendAnswer {
            number: ask.number,
            budgets: Vec::with_capacity(ask.budgets.len()),
            nodes: self.nodes,
        };
        for (budget, epoch) in ask.budgets.iter().zip(&asked.epochs) {
            let outcome = match self.lend(&customer, budget, epoch)? {
                Ok(outcome) => outcome,
                Err(code) => Outcome::Refused(v1::BudgetRefused { code: code.to_owned() }),
            };
            answer.budgets.push(v1::BudgetAnswer { outcome: Some(outcome) });
        }
        let answer = answer.encode_to_vec();
        row.answer.clone_from(&answer);
        borrowers::put(self.write, &row)?;
        Ok(NodeAnswer { node: asked.node, answer, refused: String::new() })
    }

    /// Takes back what is left of a lease, once (LIM-1). One that does not fit is left alone: it was credited before, or stays charged.
    fn take_back(&mut self, customer: &Customer<'_>, lease: &v1::LeaseReturn) -> Result<(), StoreError> {
        let Some(Found { id, table, ledger }) = budgets::by_number(self.write, lease.ledger)? else {
            return Ok(());
        };
        let history = self.write.cluster().history;
        let fresh = budgets::refresh(self.write, ledger.clone(), history, &mut self.fates)?;
        let ground = if lease.recovered { Ground::Recovered } else { Ground::Stopped };
        let mut account = budgets::account(&fresh);
        let (holder, unspent) = (customer.holder, Micros(lease.unspent));
        let credited = account.credit(LeaseId(lease.lease), holder, holder.incarnation, ground, unspent);
        let fresh = if credited.is_ok() { budgets::settle(fresh, account) } else { fresh };
        if fresh != ledger {
            budgets::put(self.write, table, &id, &fresh)?;
        }
        Ok(())
    }

    /// Notes a real cost that no lease covered. Of a ledger that was forgotten it is forgotten as well.
    fn note_debt(&mut self, customer: &Customer<'_>, debt: &v1::CostBeyond) -> Result<(), StoreError> {
        let Some(Found { id, table, ledger }) = budgets::by_number(self.write, debt.ledger)? else {
            return Ok(());
        };
        if debt.amount == 0 || !borrowers::may_ask(self.write, customer.node, &id)? {
            return Ok(());
        }
        let history = self.write.cluster().history;
        let fresh = budgets::refresh(self.write, ledger, history, &mut self.fates)?;
        let mut account = budgets::account(&fresh);
        account.record_debt(Micros(debt.amount));
        let mut fresh = budgets::settle(fresh, account);
        self.alert(&id, &mut fresh)?;
        budgets::put(self.write, table, &id, &fresh)
    }

    /// Takes back what calls cost less than they were charged.
    fn note_saving(&mut self, customer: &Customer<'_>, saving: &v1::CostBelow) -> Result<(), StoreError> {
        let Some(Found { id, table, ledger }) = budgets::by_number(self.write, saving.ledger)? else {
            return Ok(());
        };
        if !borrowers::may_ask(self.write, customer.node, &id)? {
            return Ok(());
        }
        let history = self.write.cluster().history;
        let fresh = budgets::refresh(self.write, ledger, history, &mut self.fates)?;
        let mut account = budgets::account(&fresh);
        if account.save(LeaseId(saving.lease), Micros(saving.amount)).is_zero() {
            return Ok(());
        }
        budgets::put(self.write, table, &id, &budgets::settle(fresh, account))
    }

    /// Lends of one budget, or says why not.
    fn lend(
        &mut self,
        customer: &Customer<'_>,
        ask: &v1::BudgetAsk,
        epoch: &LedgerEpoch,
    ) -> Result<Result<Outcome, &'static str>, StoreError> {
        let Some(id) = ask.key.as_ref().and_then(|key| LimitId::budget(key).ok()) else {
            return Ok(Err("invalid"));
        };
        let history = self.write.cluster().history;
        let Some(terms) = ledgers::terms(ask, history) else { return Ok(Err("invalid")) };
        if !borrowers::may_ask(self.write, customer.node, &id)? {
            return Ok(Err("invalid"));
        }
        let before = match ledgers::running(self.write, &id, &terms, epoch, &mut self.fates)? {
            Ok(ledger) => ledger,
            Err(code) => return Ok(Err(code)),
        };
        let ledger = ledgers::instruct(before.clone(), &terms);
        let mut account = budgets::account(&ledger);
        let need = Need { waiting: terms.waiting, least: terms.least, per_second: terms.per_second };
        let holder = customer.holder;
        let granted = account.grant(holder, holder.incarnation, self.nodes, need);
        let free = account.free();
        let mut ledger = budgets::settle(ledger, account);
        self.alert(&id, &mut ledger)?;
        if ledger != before {
            budgets::put(self.write, budgets::LEDGERS, &id, &ledger)?;
        }
        let epoch_end_ms = ledger.epoch.map_or(0, |epoch| epoch.end_ms.max(0).unsigned_abs());
        match granted {
            Ok(loan) => Ok(Ok(Outcome::Granted(v1::LeaseGranted {
                ledger: ledger.number,
                lease: loan.id.0,
                amount: loan.amount.0,
                epoch_end_ms,
                free: free.0,
                revision: ledger.revision,
            }))),
            Err(NoGrant::Exhausted(exhausted)) => Ok(Ok(Outcome::Exhausted(v1::BudgetExhausted {
                ledger: ledger.number,
                revision: exhausted.revision,
                free: exhausted.free.0,
                recalled: lent_to_others(&ledger, customer.node.id),
                epoch_end_ms,
            }))),
            Err(NoGrant::TooManyLeases) => Ok(Err("too_many_leases")),
            // Nobody gets here without the newest incarnation.
            Err(NoGrant::Fenced) => Ok(Err("invalid")),
        }
    }

    fn alert(&mut self, id: &LimitId, ledger: &mut Ledger) -> Result<(), StoreError> {
        let Some(alert) = ledgers::alert(ledger) else { return Ok(()) };
        ledger.alerted = alert.percent;
        ledgers::note_alert(self.write, self.actor, id, &alert)?;
        self.alerts.push(alert);
        Ok(())
    }
}

/// Whether an ask keeps to its bounds.
fn fits(ask: &v1::LendAsk, asked: &NodeAsk) -> bool {
    ask.number > 0
        && ask.budgets.len() <= caps::LEND_BUDGETS_MAX
        && ask.returns.len() <= caps::LEND_RETURNS_MAX
        && ask.debts.len() <= caps::LEND_DEBTS_MAX
        && ask.savings.len() <= caps::LEND_SAVINGS_MAX
        && asked.epochs.len() == ask.budgets.len()
}

fn lent_to_others(ledger: &Ledger, node: u64) -> u64 {
    let others = ledger.loans.iter().filter(|loan| loan.node != node);
    others.fold(Micros::ZERO, |sum, loan| sum.saturating_add(Micros(loan.amount))).0
}
