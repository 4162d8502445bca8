//! Does this call fit? Organization, tenant, agent and entry are asked in this order, and all have to agree.

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

/// How many levels there are.
pub const LEVELS: usize = 4;

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
    pub const ALL: [Self; LEVELS] = [Self::Organization, Self::Tenant, Self::Agent, Self::Entry];

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

/// The limits of one level, shared by all calls that they count.
#[derive(Debug)]
pub struct Account<C: Cell = AtomicU64> {
    /// The rate; none is no limit.
    pub bucket: Option<Arc<Bucket>>,
    /// The budget; none is no limit.
    pub purse: Option<Arc<Purse<C>>>,
}

impl<C: Cell> Default for Account<C> {
    fn default() -> Self {
        Self { bucket: None, purse: None }
    }
}

/// The limits that a call has to fit, made once for all calls of one agent under one entry.
#[derive(Debug)]
pub struct Hierarchy<C: Cell = AtomicU64> {
    /// By level, in the order of [`Level::ALL`]. No account is no limit.
    accounts: [Option<Arc<Account<C>>>; LEVELS],
    /// The leases of all levels as they were last seen: one look for a call instead of four.
    seen: ArcSwap<[Option<View<C>>; LEVELS]>,
}

/// What a call costs at each level, in the order of [`Level::ALL`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Costs(pub [Micros; LEVELS]);

impl Costs {
    /// The same at every level.
    pub const fn same(cost: Micros) -> Self {
        Self([cost; LEVELS])
    }
}

/// A call that does not fit. Nothing is taken for it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a call does not fit the limits of the {level}: {why}")]
pub struct Unfit {
    /// Whose limit it was.
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
    /// Puts accounts together, in the order of [`Level::ALL`].
    pub fn new(accounts: [Option<Arc<Account<C>>>; LEVELS]) -> Self {
        let seen = ArcSwap::from_pointee(views(&accounts));
        Self { accounts, seen }
    }

    /// The account of a level.
    pub fn account(&self, level: Level) -> Option<&Account<C>> {
        self.accounts[level as usize].as_deref()
    }

    /// Takes a token and the cost at every level, or nothing at all.
    ///
    /// - Within a level the rate is asked before the budget.
    /// - What is free of charge at a level is not asked of its budget.
    /// - A refusal gives back what was taken before it, at the same moment.
    ///
    /// # Errors
    /// The first level that refused, and why.
    pub fn reserve(self: &Arc<Self>, costs: &Costs, now: Monotonic) -> Result<Reservation<C>, Unfit> {
        let mut reservation = Reservation::empty(Arc::clone(self));
        let views = self.look();
        for level in Level::ALL {
            let Some(account) = self.account(level) else { continue };
            let (view, held) = (views[level as usize].as_ref(), reservation.held_mut(level));
            if let Err(why) = take(account, view, costs.0[level as usize], now, held) {
                reservation.refund(now);
                return Err(Unfit { level, why });
            }
        }
        Ok(reservation)
    }

    /// The leases of all levels, looked at anew if any have changed.
    fn look(&self) -> Guard<Arc<[Option<View<C>>; LEVELS]>> {
        let seen = self.seen.load();
        let purses =
            self.accounts.iter().map(|account| account.as_deref().and_then(|it| it.purse.as_deref()));
        let as_seen = |(purse, view): (Option<&Purse<C>>, &Option<View<C>>)| {
            purse.zip(view.as_ref()).is_none_or(|(purse, view)| purse.is_as_in(view))
        };
        if purses.zip(seen.iter()).all(as_seen) {
            return seen;
        }
        self.seen.store(Arc::new(views(&self.accounts)));
        self.seen.load()
    }
}

fn views<C: Cell>(accounts: &[Option<Arc<Account<C>>>; LEVELS]) -> [Option<View<C>>; LEVELS] {
    accounts.each_ref().map(|account| Some(account.as_ref()?.purse.as_ref()?.view()))
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
