//! The account of one budget in one epoch: charged in full at a grant, credited once at a return.
//!
//! What was granted never exceeds the limit (LIM-1): [`Ledger::grant`] charges the whole amount before a node may spend any of
//! it, so that whatever becomes of the node, it spends only what is charged already. Every function is pure and
//! deterministic, as the replicated state needs it; whoever applies commands keeps the fields as rows.

use aegis_model::caps::LEASES_PER_BUDGET_MAX;
use aegis_model::money::Micros;

use crate::epoch::Epoch;
use crate::holder::{Holder, Incarnation};
use crate::size::{self, Need};

/// The account of one budget in one epoch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ledger {
    /// The days in which it is spent.
    pub epoch: Epoch,
    /// The most that may be granted.
    pub limit: Micros,
    /// What is granted: leases that are out, and what returned or charged leases have spent.
    pub granted: Micros,
    /// Real costs beyond what was reserved for them. Counts like what was granted, and alone may pass the limit.
    pub debt: Micros,
    /// Grows whenever more can be granted than before: with a credit, a saving, a higher limit, a lower debt.
    pub revision: u64,
    /// The number of the last lease.
    pub last_lease: LeaseId,
    /// The last lease of what was forgiven, or is taken as spent whatever it was: nothing can be saved of those up to it.
    pub forgiven: LeaseId,
    /// What of `granted` was charged for leases that nobody can bring back: how much of it was spent, nobody knows.
    pub lost: Micros,
    /// What was spent or debt, and forgiven since.
    pub written_off: Micros,
    /// The leases that are out, by rising number; at most [`LEASES_PER_BUDGET_MAX`].
    pub leases: Vec<Loan>,
}

/// A lease's number: rising, and unique within its budget and epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub u64);

/// A lease that is out, as the ledger knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loan {
    /// Its number.
    pub id: LeaseId,
    /// Who may spend it.
    pub holder: Holder,
    /// What was charged for it.
    pub amount: Micros,
}

/// On what ground a node says what it left unspent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// The process that holds the lease stopped using it, and then read what was left.
    Stopped,
    /// A later process of the same node found it in the journal, and has proof that the earlier one is dead: the
    /// same boot of the machine, and the lock of the journal in its own hands.
    Recovered,
}

/// Why there is no grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoGrant {
    /// What may still be granted is less than what the node can use.
    #[error("the budget has {} left", .0.free)]
    Exhausted(Exhausted),
    /// The node's process was replaced by a later one (LIM-2).
    #[error("a later incarnation replaced this one")]
    Fenced,
    /// As many leases are out as there may be.
    #[error("too many leases are out")]
    TooManyLeases,
}

/// What a node remembers of a budget that had too little: calls that cost more than `free` need not ask again until the
/// ledger has another revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted {
    /// The ledger's revision.
    pub revision: u64,
    /// The most that one grant could still be. Only shrinks within a revision.
    pub free: Micros,
    /// What is out in leases of any node, and so may come back in part.
    pub lent: Micros,
}

/// Why a credit is refused. None of them changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoCredit {
    /// No such lease is out: it was credited or charged before, or never was.
    #[error("no such lease is out")]
    Unknown,
    /// It was granted to another node, or to a process that the ground does not fit.
    #[error("the lease was granted to another holder")]
    NotTheHolder,
    /// The process that asks was replaced by a later one (LIM-2).
    #[error("a later incarnation replaced this one")]
    Fenced,
    /// More would come back than was charged. The lease stays charged.
    #[error("more would come back than was granted")]
    TooMuch,
}

impl Exhausted {
    /// Whether a call of this cost is known to get nothing, where `revision` is the newest one heard of.
    pub fn refuses(&self, cost: Micros, revision: u64) -> bool {
        revision <= self.revision && cost > self.free
    }
}

impl Ledger {
    /// The account of a budget at the beginning of an epoch.
    pub fn open(epoch: Epoch, limit: Micros) -> Self {
        Self {
            epoch,
            limit,
            granted: Micros::ZERO,
            debt: Micros::ZERO,
            revision: 1,
            last_lease: LeaseId(0),
            forgiven: LeaseId(0),
            lost: Micros::ZERO,
            written_off: Micros::ZERO,
            leases: Vec::new(),
        }
    }

    /// What may still be granted. Nothing while a lowered limit, or debt, is below what is granted.
    pub fn free(&self) -> Micros {
        self.limit.saturating_sub(self.granted).saturating_sub(self.debt)
    }

    /// What is out in leases.
    pub fn lent(&self) -> Micros {
        self.leases.iter().fold(Micros::ZERO, |sum, loan| sum.saturating_add(loan.amount))
    }

    /// What a node remembers when it gets nothing.
    pub fn exhausted(&self) -> Exhausted {
        Exhausted { revision: self.revision, free: self.free(), lent: self.lent() }
    }

    /// Charges a lease in full and gives it out. Afterwards, as before, `granted + debt <= limit` (LIM-1).
    ///
    /// - `current` is the newest incarnation of the holder's node: another one gets nothing (LIM-2).
    /// - `nodes` is the number of live data nodes. The amount is that of [`size::amount`].
    /// - Whatever is at least `need.least` is granted: a budget with room for a waiting call never stalls.
    ///
    /// # Errors
    /// The reason; nothing has changed.
    pub fn grant(
        &mut self,
        holder: Holder,
        current: Incarnation,
        nodes: u32,
        need: Need,
    ) -> Result<Loan, NoGrant> {
        if holder.incarnation != current {
            return Err(NoGrant::Fenced);
        }
        if self.leases.len() >= LEASES_PER_BUDGET_MAX {
            return Err(NoGrant::TooManyLeases);
        }
        let free = self.free();
        if free < need.least || free.is_zero() {
            return Err(NoGrant::Exhausted(self.exhausted()));
        }
        let amount = size::amount(self.limit, free, nodes, need);
        self.granted = self.granted.saturating_add(amount);
        self.last_lease.0 += 1;
        let loan = Loan { id: self.last_lease, holder, amount };
        self.leases.push(loan);
        debug_assert!(self.granted.0 + self.debt.0 <= self.limit.0, "LIM-1");
        Ok(loan)
    }

    /// Takes back what `by` left unspent of a lease, once: the lease is out no longer.
    ///
    /// - `current` is the newest incarnation of that node: an earlier one is refused, whatever it says (LIM-2).
    /// - [`Ground::Stopped`] is for the incarnation that the lease was granted to, [`Ground::Recovered`] for a later one.
    ///
    /// # Errors
    /// The reason; nothing has changed, and the lease stays charged.
    pub fn credit(
        &mut self,
        id: LeaseId,
        by: Holder,
        current: Incarnation,
        ground: Ground,
        unspent: Micros,
    ) -> Result<(), NoCredit> {
        if by.incarnation != current {
            return Err(NoCredit::Fenced);
        }
        let at = self.leases.binary_search_by_key(&id, |loan| loan.id).map_err(|_| NoCredit::Unknown)?;
        let loan = self.leases[at];
        let fits = match ground {
            Ground::Stopped => loan.holder.incarnation == by.incarnation,
            Ground::Recovered => loan.holder.incarnation < by.incarnation,
        };
        if loan.holder.node != by.node || !fits {
            return Err(NoCredit::NotTheHolder);
        }
        if unspent > loan.amount {
            return Err(NoCredit::TooMuch);
        }
        self.leases.remove(at);
        self.granted = self.granted.saturating_sub(unspent);
        self.revision += u64::from(!unspent.is_zero());
        Ok(())
    }

    /// Takes back what calls of a lease cost less than they were charged, as their node knows after it reported what was left of
    /// the lease: each amount once. Gives what can be granted again: nothing if it was forgiven before, which is noted as lost, or
    /// nobody knows.
    pub fn save(&mut self, lease: LeaseId, amount: Micros) -> Micros {
        let saved = match self.leases.binary_search_by_key(&lease, |loan| loan.id) {
            // Its rest is on the way.
            Ok(at) => {
                let loan = &mut self.leases[at];
                let saved = amount.min(loan.amount);
                loan.amount = loan.amount.saturating_sub(saved);
                saved
            }
            Err(_) if lease > self.last_lease => Micros::ZERO,
            Err(_) if lease <= self.forgiven => {
                self.lost = self.lost.saturating_add(amount.min(self.written_off));
                Micros::ZERO
            }
            Err(_) => amount.min(self.granted.saturating_sub(self.lent())),
        };
        self.granted = self.granted.saturating_sub(saved);
        self.revision += u64::from(!saved.is_zero());
        saved
    }

    /// Takes the leases of one life of a node as spent in full: after a loss of power, or when it will not come back. They
    /// stay charged, and can no longer be credited. Gives the amount of which nobody knows whether it was spent.
    pub fn charge_all(&mut self, holder: Holder) -> Micros {
        let before = self.lent();
        self.leases.retain(|loan| loan.holder != holder);
        let lost = before.saturating_sub(self.lent());
        self.lost = self.lost.saturating_add(lost);
        lost
    }

    /// All that calls may say they cost: what they were charged, what is out, and what was forgiven of it since.
    pub fn charged(&self) -> Micros {
        self.granted.saturating_add(self.debt).saturating_add(self.written_off)
    }

    /// What of [`Ledger::charged`] no call has to account for: it is out, or nobody knows whether it was spent.
    pub fn unproven(&self) -> Micros {
        self.lent().saturating_add(self.lost)
    }

    /// Takes every lease and all that is left as spent: after a restore from a backup nobody knows what was granted since.
    pub fn void(&mut self) {
        self.leases.clear();
        self.granted = self.granted.max(self.limit);
        self.forgiven = self.last_lease;
    }

    /// Forgives what was spent, and debt, as an administrator's recorded act: only what is out in leases stays charged. After
    /// [`Ledger::void`] this opens the budget again.
    pub fn forgive_spent(&mut self) {
        let lent = self.lent();
        self.revision += u64::from(lent < self.granted || !self.debt.is_zero());
        let spent = self.granted.saturating_sub(lent).saturating_add(self.debt);
        self.written_off = self.written_off.saturating_add(spent);
        (self.granted, self.debt) = (lent, Micros::ZERO);
        self.forgiven = self.last_lease;
    }

    /// Sets the limit. One below what is granted stops grants and takes nothing back; a higher one can be used at once.
    pub fn set_limit(&mut self, limit: Micros) {
        self.revision += u64::from(limit > self.limit);
        self.limit = limit;
    }

    /// Records a real cost beyond what was reserved, which no lease covers. It has been spent already, so it is never
    /// refused: the one thing outside LIM-1. Grants stop while it is not covered.
    pub fn record_debt(&mut self, amount: Micros) {
        self.debt = self.debt.saturating_add(amount);
    }

    /// Forgives debt, as an administrator's recorded act.
    pub fn forgive_debt(&mut self, amount: Micros) {
        self.revision += u64::from(!amount.min(self.debt).is_zero());
        self.written_off = self.written_off.saturating_add(amount.min(self.debt));
        self.debt = self.debt.saturating_sub(amount);
    }
}

#[cfg(test)]
mod tests;
