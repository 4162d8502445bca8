//! The limits that one call has to fit, and what was taken from them for it.

use std::sync::Arc;

use aegis_audit::record::LimitUse;
use aegis_limits::hierarchy::{Account, Hierarchy, Level, Unfit};
use aegis_limits::pace::Pace;
use aegis_limits::reservation::{Charge, Reservation, Saving};
use aegis_model::call::ToolCall;
use aegis_model::caps;
use aegis_model::clock::Monotonic;
use aegis_model::decision::Reason;
use aegis_model::ids::AgentId;
use aegis_model::money::Micros;
use aegis_model::reason::ReasonCode;
use aegis_policy::obligation::{self, Duty, Obligation};

use crate::limits::{
    Book, Budget, BudgetKey, BudgetTerms, LeaseCell, Rate, RateKey, RateTerms, Stamp, TooMany, Whose,
};
use crate::price::{Cost, Prices};
use crate::snapshot::Tenant;

/// One limit of a call.
#[derive(Debug)]
pub(crate) struct Limit {
    pub(crate) level: Level,
    /// Who says so; nothing if it is the organization.
    pub(crate) rule: Option<Arc<str>>,
    /// The entry's name, where an entry limits.
    pub(crate) entry: Option<Arc<str>>,
    pub(crate) kind: Kind,
}

/// A rate or a budget.
#[derive(Debug)]
pub(crate) enum Kind {
    Rate(Arc<Rate>),
    Budget {
        budget: Arc<Budget>,
        unit: Arc<str>,
        /// The most per day, as this call's policy has it.
        limit: Micros,
        cost: Cost,
    },
}

/// What a call is counted by, in the order in which it is asked: levels from the top, within a level rates first.
#[derive(Debug, Default)]
pub(crate) struct Limits(Vec<Limit>);

/// Why it cannot be said by what a call is counted.
#[derive(Debug)]
pub(crate) enum Uncounted {
    /// What it costs is not known, or not to be believed.
    Cost(Reason),
    /// The node has as many limits as it can hold.
    NoRoom,
    /// More limits than a call can have.
    TooMany,
}

impl From<TooMany> for Uncounted {
    fn from(_: TooMany) -> Self {
        Self::NoRoom
    }
}

impl Limits {
    /// The limits among a verdict's obligations, and those of the tenant's organization. Two of one name are one, of which the
    /// strictest terms count.
    ///
    /// # Errors
    /// [`Uncounted`]: the call must not go on.
    pub(crate) fn of(
        book: &Book,
        tenant: &Tenant,
        agent: &AgentId,
        obligations: &[Obligation],
        call: &ToolCall,
    ) -> Result<Self, Uncounted> {
        let (history, number) = tenant.stamp();
        let stamp = Stamp { history, number };
        let budgets = obligations.iter().filter_map(|obligation| match obligation.duty() {
            Duty::Budget(budget) => Some(budget),
            Duty::Rate(_) | Duty::Approval(_) | Duty::Redact(_) | Duty::Egress => None,
        });
        let prices = Prices::new(budgets.clone(), call);
        let mut limits = Self::default();
        if let Some(organization) = tenant.organization_limits() {
            let whose = || Whose::Organization(organization.organization.clone());
            let stamp = Stamp { history, number: organization.revision };
            if let Some(whole) = organization.rate {
                limits.rate(
                    book.rate(&RateKey { whose: whose() }, &RateTerms { whole, stamp })?,
                    Level::Organization,
                    None,
                    None,
                )?;
            }
            if let Some(budget) = &organization.budget {
                let key = BudgetKey { whose: whose(), unit: Arc::clone(&budget.unit) };
                let terms = BudgetTerms { limit: budget.limit, zone: budget.zone.clone(), stamp };
                limits.budget(book, key, &terms, None, &prices)?;
            }
        }
        for obligation in obligations {
            if let Duty::Rate(rate) = obligation.duty() {
                let whose = whose(&rate.whose, tenant, agent);
                let level = whose.level();
                // A rate beyond the bounds is refused when the policy is checked; if one slipped through, nothing passes.
                let whole = Pace::new(rate.rate, rate.burst).unwrap_or(Pace::NOTHING);
                let found = book.rate(&RateKey { whose }, &RateTerms { whole, stamp })?;
                limits.rate(found, level, Some(&rate.rule), entry_of(&rate.whose))?;
            }
        }
        for budget in budgets {
            let Some(limit) = budget.limit else { continue };
            let key =
                BudgetKey { whose: whose(&budget.whose, tenant, agent), unit: Arc::clone(&budget.unit) };
            let terms = BudgetTerms { limit, zone: budget.zone.clone(), stamp };
            limits.budget(book, key, &terms, Some(budget), &prices)?;
        }
        limits.0.sort_by_key(|limit| (limit.level, matches!(limit.kind, Kind::Budget { .. })));
        Ok(limits)
    }

    fn rate(
        &mut self,
        rate: Arc<Rate>,
        level: Level,
        rule: Option<&Arc<str>>,
        entry: Option<Arc<str>>,
    ) -> Result<(), Uncounted> {
        let same = |limit: &Limit| matches!(&limit.kind, Kind::Rate(known) if Arc::ptr_eq(known, &rate));
        if self.0.iter().any(same) {
            return Ok(());
        }
        self.push(Limit { level, rule: rule.cloned(), entry, kind: Kind::Rate(rate) })
    }

    fn budget(
        &mut self,
        book: &Book,
        key: BudgetKey,
        terms: &BudgetTerms,
        says: Option<&obligation::Budget>,
        prices: &Prices<'_>,
    ) -> Result<(), Uncounted> {
        let budget = book.budget(&key, terms)?;
        let known = self.0.iter_mut().find_map(|known| match &mut known.kind {
            Kind::Budget { budget: known, limit, .. } if Arc::ptr_eq(known, &budget) => Some(limit),
            Kind::Budget { .. } | Kind::Rate(_) => None,
        });
        if let Some(known) = known {
            *known = terms.limit.min(*known);
            return Ok(());
        }
        let cost = prices.at(&key.unit).map_err(Uncounted::Cost)?;
        let kind = Kind::Budget { budget, unit: key.unit, limit: terms.limit, cost };
        let rule = says.map(|says| Arc::clone(&says.rule));
        let entry = says.and_then(|says| entry_of(&says.whose));
        self.push(Limit { level: key.whose.level(), rule, entry, kind })
    }

    fn push(&mut self, limit: Limit) -> Result<(), Uncounted> {
        if self.0.len() >= caps::LIMITS_PER_CALL_MAX {
            return Err(Uncounted::TooMany);
        }
        self.0.push(limit);
        Ok(())
    }

    /// Whether nothing limits the call.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts the call as demand of all its rates, whatever becomes of it.
    pub(crate) fn note_demand(&self) {
        for limit in &self.0 {
            if let Kind::Rate(rate) = &limit.kind {
                rate.note_demand();
            }
        }
    }

    /// All of them as one thing to be reserved from. A dry run takes tokens, but pays nothing.
    pub(crate) fn gather(self, dry_run: bool) -> Counted {
        let account = |limit: &Limit| match &limit.kind {
            Kind::Rate(rate) => {
                Account { level: limit.level, bucket: Some(Arc::clone(rate.bucket())), purse: None }
            }
            Kind::Budget { budget, .. } => {
                Account { level: limit.level, bucket: None, purse: Some(Arc::clone(budget.purse())) }
            }
        };
        let hierarchy = Arc::new(Hierarchy::new(self.0.iter().map(account).collect()));
        Counted { limits: self.0, hierarchy, dry_run }
    }
}

fn whose(whose: &obligation::Whose, tenant: &Tenant, agent: &AgentId) -> Whose {
    match whose {
        obligation::Whose::Tenant => Whose::Tenant(tenant.id().clone()),
        obligation::Whose::Agent => Whose::Agent(tenant.id().clone(), agent.clone()),
        obligation::Whose::Entry(name) => Whose::Entry(tenant.id().clone(), agent.clone(), Arc::clone(name)),
    }
}

fn entry_of(whose: &obligation::Whose) -> Option<Arc<str>> {
    match whose {
        obligation::Whose::Entry(name) => Some(Arc::clone(name)),
        obligation::Whose::Tenant | obligation::Whose::Agent => None,
    }
}

/// The limits of a call, ready to be taken from.
#[derive(Debug)]
pub(crate) struct Counted {
    limits: Vec<Limit>,
    hierarchy: Arc<Hierarchy<LeaseCell>>,
    dry_run: bool,
}

impl Counted {
    /// Takes what the call needs of all limits, or nothing. Never waits.
    pub(crate) fn reserve(&self, now: Monotonic) -> Result<Reservation<LeaseCell>, Unfit> {
        let cost = |at: usize| match &self.limits[at].kind {
            Kind::Budget { cost, .. } if !self.dry_run => cost.reserved,
            Kind::Budget { .. } | Kind::Rate(_) => Micros::ZERO,
        };
        self.hierarchy.reserve(&self.hierarchy.costs(cost), now)
    }

    /// The limit that refused.
    pub(crate) fn limit(&self, unfit: &Unfit) -> &Limit {
        &self.limits[unfit.account]
    }

    /// What each limit has at this moment; nothing is taken from it.
    pub(crate) fn seen(&self, now: Monotonic) -> Vec<LimitUse> {
        seen(&self.limits, self.dry_run, now, |_| Micros::ZERO)
    }

    /// With what was taken.
    pub(crate) fn with(self, reservation: Reservation<LeaseCell>) -> Admission {
        Admission { limits: self.limits, taken: Some(reservation), dry_run: self.dry_run }
    }
}

/// Proof that a call fits its limits: what was taken for it. Dropped, it gives back what was paid.
#[derive(Debug)]
pub(crate) struct Admission {
    limits: Vec<Limit>,
    /// Nothing if nothing limits the call.
    taken: Option<Reservation<LeaseCell>>,
    dry_run: bool,
}

/// What a call paid at one budget.
#[derive(Debug)]
pub(crate) struct Paid<'a> {
    pub(crate) limit: &'a Limit,
    pub(crate) unit: &'a Arc<str>,
    /// The ledger of the lease that paid.
    pub(crate) ledger: u64,
    pub(crate) amount: Micros,
}

/// What a call that was allowed has been charged.
#[derive(Debug)]
pub(crate) struct Charged {
    /// The budgets among the accounts of the charge, each with its place there. Rates have nothing to settle.
    pub(crate) budgets: Vec<(usize, Limit)>,
    pub(crate) charge: Charge<LeaseCell>,
}

impl Admission {
    /// Nothing limits the call.
    pub(crate) fn free() -> Self {
        Self { limits: Vec::new(), taken: None, dry_run: false }
    }

    /// The call may not go on after all: gives everything back.
    pub(crate) fn refund(mut self, now: Monotonic) {
        if let Some(taken) = self.taken.take() {
            self.late(&taken.refund(now));
        }
    }

    /// What came back too late for the lease that paid it goes to the ledger, so that it does not look spent for ever.
    fn late(&self, savings: &[Saving]) {
        for saving in savings {
            if let Kind::Budget { budget, .. } = &self.limits[saving.account].kind {
                budget.below(saving);
            }
        }
    }

    /// The call is allowed. What it was charged, if anything limits it.
    pub(crate) fn commit(mut self) -> Option<Charged> {
        let charge = self.taken.take()?.commit();
        charge.hierarchy().forget();
        let limits = std::mem::take(&mut self.limits).into_iter().enumerate();
        let budgets = limits.filter(|(_, limit)| matches!(limit.kind, Kind::Budget { .. }));
        (!self.dry_run).then(|| Charged { budgets: budgets.collect(), charge })
    }

    /// Whether anything limits the call.
    pub(crate) fn is_limited(&self) -> bool {
        self.taken.is_some()
    }

    /// What is paid at each budget that the call is charged at, and in which ledger.
    pub(crate) fn paid(&self) -> impl Iterator<Item = Paid<'_>> {
        self.taken
            .iter()
            .flat_map(|taken| {
                self.limits.iter().enumerate().filter_map(|(at, limit)| match &limit.kind {
                    Kind::Budget { unit, .. } => {
                        Some(Paid { limit, unit, ledger: taken.ledger(at)?, amount: taken.paid(at) })
                    }
                    Kind::Rate(_) => None,
                })
            })
            .filter(|paid| !paid.amount.is_zero())
    }

    /// What each limit had before the call, and has after it, as this node knows it. Calls at the same time show in both.
    pub(crate) fn seen(&self, now: Monotonic) -> Vec<LimitUse> {
        let Some(taken) = &self.taken else { return Vec::new() };
        seen(&self.limits, self.dry_run, now, |at| match &self.limits[at].kind {
            Kind::Rate(_) => ONE_CALL,
            Kind::Budget { .. } => taken.paid(at),
        })
    }

    /// What is left of the budget that pays for the fewest calls like this one, as far as this node knows.
    pub(crate) fn tightest(&self) -> Option<Micros> {
        if self.dry_run {
            // A dry run asks no budget, so the node may know nothing of it.
            return None;
        }
        let left = self.limits.iter().filter_map(|limit| match &limit.kind {
            Kind::Budget { budget, cost, .. } => Some((budget.remaining(), cost.reserved)),
            Kind::Rate(_) => None,
        });
        let calls = |(left, cost): &(Micros, Micros)| left.0.checked_div(cost.0).unwrap_or(u64::MAX);
        left.min_by_key(calls).map(|(left, _)| left)
    }
}

/// A client that goes away leaves nothing taken, but tokens.
impl Drop for Admission {
    fn drop(&mut self) {
        if let Some(mut taken) = self.taken.take() {
            self.late(&taken.put_back());
        }
    }
}

/// What a call takes from a rate.
const ONE_CALL: Micros = Micros(1_000_000);

/// A dry run asks no budget, so the node may know nothing of it.
fn seen(limits: &[Limit], dry_run: bool, now: Monotonic, taken: impl Fn(usize) -> Micros) -> Vec<LimitUse> {
    let known = limits.iter().enumerate().filter_map(|(at, limit)| {
        let after = match &limit.kind {
            Kind::Rate(rate) => rate.bucket().rest(now),
            Kind::Budget { .. } if dry_run => return None,
            Kind::Budget { budget, .. } => budget.remaining(),
        };
        Some(LimitUse { after, before: after.saturating_add(taken(at)), name: limit.name() })
    });
    known.collect()
}

impl Limit {
    /// Its name in records: `rate/LEVEL` or `budget/LEVEL/UNIT`, and of an entry `/ENTRY` behind it.
    fn name(&self) -> String {
        let (level, entry) = (self.level.name(), self.entry.as_deref());
        let mut name = match &self.kind {
            Kind::Rate(_) => format!("rate/{level}"),
            Kind::Budget { unit, .. } => format!("budget/{level}/{unit}"),
        };
        if let Some(entry) = entry {
            name.push('/');
            name.push_str(entry);
        }
        name
    }

    /// The reason for which it refuses a call.
    pub(crate) fn reason(&self, code: ReasonCode, message: String) -> Reason {
        Reason { rule: self.rule.as_deref().map(str::to_owned), ..Reason::plain(code, message) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::limits::testing::{Leader, TestBook, budget_of};

    const FOUR: Micros = Micros(4_000_000);
    const TEN: Micros = Micros(10_000_000);

    /// A call that is refused, or whose client goes away, after the lease that paid it went back: the ledger hears of it, or it would
    /// look spent without a record.
    #[tokio::test(start_paused = true)]
    async fn what_comes_back_after_its_lease_goes_to_the_ledger() {
        for dropped in [false, true] {
            let leader = Leader::new();
            let book = TestBook::start(&leader, 1);
            let budget = book.budget(&budget_of("bot"), TEN);
            budget.more(TEN, Instant::now() + Duration::from_millis(500)).await.unwrap();
            let cost = Cost { reserved: FOUR, stated: None };
            let kind = Kind::Budget { budget: Arc::clone(&budget), unit: "usd".into(), limit: TEN, cost };
            let limits = Limits(vec![Limit { level: Level::Agent, rule: None, entry: None, kind }]);
            let counted = limits.gather(false);
            let now = Monotonic(Duration::from_secs(1));
            let taken = counted.reserve(now).unwrap();
            let admission = counted.with(taken);
            assert_eq!(admission.paid().map(|paid| paid.amount).collect::<Vec<_>>(), [FOUR]);
            for lease in budget.purse().all() {
                lease.take_rest();
            }
            let before = leader.ledger(&budget_of("bot")).granted;
            if dropped {
                drop(admission)
            } else {
                admission.refund(now)
            }
            tokio::time::sleep(Duration::from_millis(200)).await; // expect(sleep): paused time
            let after = leader.ledger(&budget_of("bot")).granted;
            assert_eq!(before.saturating_sub(after), FOUR, "dropped: {dropped}");
        }
    }
}
