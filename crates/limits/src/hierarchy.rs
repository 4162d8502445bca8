//! Does this call fit? Organization, tenant, agent and entry are asked in this order, each of as many limits as it has, and all
//! have to agree.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use aegis_model::clock::Monotonic;
use aegis_model::money::Micros;
use arc_swap::{ArcSwap, Guard};

use crate::bucket::{Bucket, TooFast};
use crate::cell::Cell;
use crate::purse::{Purse, Short, View};
use crate::reservation::{Held, Reservation};

/// Whose limits are asked, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// All tenants of an organization.
    Organization,
    /// All agents of a tenant.
    Tenant,
    /// All calls of an agent.
    Agent,
    /// The calls that one entry of a policy allows.
    Entry,
}

impl Level {
    /// All levels, in the order in which they are asked.
    pub const ALL: [Self; 4] = [Self::Organization, Self::Tenant, Self::Agent, Self::Entry];

    /// Its name in reasons and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Tenant => "tenant",
            Self::Agent => "agent",
            Self::Entry => "entry",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One limit or two of the same calls, shared by all calls that they count.
#[derive(Debug)]
pub struct Account<C: Cell = AtomicU64> {
    /// Whose it is.
    pub level: Level,
    /// The rate; none is no limit.
    pub bucket: Option<Arc<Bucket>>,
    /// The budget; none is no limit.
    pub purse: Option<Arc<Purse<C>>>,
}

/// The limits that a call has to fit, for this call or for all those that have to fit the same.
#[derive(Debug)]
pub struct Hierarchy<C: Cell = AtomicU64> {
    /// In the order of their levels; any number of one level.
    accounts: Box<[Account<C>]>,
    /// The leases of all accounts as they were last seen: one look for a call instead of one per account.
    seen: ArcSwap<Views<C>>,
}

type Views<C> = Box<[Option<View<C>>]>;

/// What a call costs at each account of a hierarchy, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Costs(pub Vec<Micros>);

/// A call that does not fit. Nothing is taken for it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a call does not fit the limits of the {level}: {why}")]
pub struct Unfit {
    /// Which account of the hierarchy refused.
    pub account: usize,
    /// Its level.
    pub level: Level,
    /// Which limit.
    pub why: Why,
}

/// Which limit a call does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The rate; after this time it may fit.
    #[error("too many calls per second")]
    Rate(Duration),
    /// The rate, of which this node has no share at present.
    #[error("this node has no share of the rate")]
    NoShare,
    /// The budget, of which this node has no lease with so much left. Another one may be granted.
    #[error("no lease has {0} left")]
    Budget(Micros),
}

impl Unfit {
    /// After what time a repetition may fit, if that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.why {
            Why::Rate(wait) => Some(wait),
            Why::NoShare | Why::Budget(_) => None,
        }
    }
}

impl<C: Cell> Hierarchy<C> {
    /// Puts accounts together.
    ///
    /// # Panics
    /// If they are not in the order of [`Level::ALL`].
    pub fn new(accounts: Vec<Account<C>>) -> Self {
        assert!(accounts.is_sorted_by_key(|account| account.level), "levels are asked from the top");
        let seen = ArcSwap::from_pointee(views(&accounts));
        Self { accounts: accounts.into_boxed_slice(), seen }
    }

    /// The accounts, in the order in which they are asked.
    pub fn accounts(&self) -> &[Account<C>] {
        &self.accounts
    }

    /// What a call costs, account by account.
    pub fn costs(&self, of: impl FnMut(usize) -> Micros) -> Costs {
        Costs((0..self.accounts.len()).map(of).collect())
    }

    /// Takes a token and the cost at every account, or nothing at all.
    ///
    /// - Within an account the rate is asked before the budget.
    /// - What is free of charge at an account is not asked of its budget.
    /// - A refusal gives back what was taken before it, at the same moment.
    ///
    /// # Errors
    /// The first account that refused, and why.
    ///
    /// # Panics
    /// If the costs are not those of as many accounts.
    pub fn reserve(self: &Arc<Self>, costs: &Costs, now: Monotonic) -> Result<Reservation<C>, Unfit> {
        assert_eq!(costs.0.len(), self.accounts.len(), "every account has its cost");
        let mut reservation = Reservation::empty(Arc::clone(self));
        let views = self.look();
        for (at, (account, cost)) in self.accounts.iter().zip(&costs.0).enumerate() {
            if let Err(why) = take(account, views[at].as_ref(), *cost, now, reservation.held_mut(at)) {
                reservation.refund(now);
                return Err(Unfit { account: at, level: account.level, why });
            }
        }
        Ok(reservation)
    }

    /// Lets go of the leases that were seen last: a charge that is kept for long must not have leases in hand that were returned.
    /// The next call looks at them anew.
    pub fn forget(&self) {
        self.seen.store(Arc::new(self.accounts.iter().map(|_| None).collect()));
    }

    /// The leases of all accounts, looked at anew if any have changed.
    fn look(&self) -> Guard<Arc<Views<C>>> {
        let seen = self.seen.load();
        let as_seen = |(account, view): (&Account<C>, &Option<View<C>>)| match (&account.purse, view) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(purse), Some(view)) => purse.is_as_in(view),
        };
        if self.accounts.iter().zip(seen.iter()).all(as_seen) {
            return seen;
        }
        self.seen.store(Arc::new(views(&self.accounts)));
        self.seen.load()
    }
}

fn views<C: Cell>(accounts: &[Account<C>]) -> Views<C> {
    accounts.iter().map(|account| Some(account.purse.as_ref()?.view())).collect()
}

fn take<C: Cell>(
    account: &Account<C>,
    view: Option<&View<C>>,
    cost: Micros,
    now: Monotonic,
    held: &mut Held,
) -> Result<(), Why> {
    if let Some(bucket) = &account.bucket {
        held.token = Some(bucket.take(now).map_err(|why| match why {
            TooFast::Wait(wait) => Why::Rate(wait),
            TooFast::NoShare => Why::NoShare,
        })?);
    }
    if let (Some(view), false) = (view, cost.is_zero()) {
        held.paid = Some(view.spend(cost).map_err(|Short| Why::Budget(cost))?);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
