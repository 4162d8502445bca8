//! A node that is lent its limits by a leader in the same process, and policies of a few limits.

use std::time::Duration;

use aegis_model::call::ToolCall;
use aegis_model::decision::{Decision, Limits, Outcome};
use aegis_model::money::Micros;
use aegis_model::reason::ReasonCode;
use aegis_policy::judge::{Question, Verdict};
use aegis_policy::obligation::{Budget, Obligation, Price, Rate, Whose};
use tokio::task::JoinSet;

use super::{Bench, by_amount};
use crate::answer::{Answer, Refused};
use crate::limits::testing::{Leader, TestBook, budget_of};

/// Ten dollars a day for the agent, a dollar a call.
pub(crate) const TEN: u64 = 10_000_000;

pub(crate) fn budget(whose: Whose, limit: u64, cost: Option<Price>) -> Obligation {
    let budget = Budget {
        whose,
        rule: "acme".into(),
        limit: Some(Micros(limit)),
        unit: "usd".into(),
        cost,
        zone: None,
    };
    Obligation::budget(budget)
}

pub(crate) fn rate(whose: Whose, rate: u64, burst: u32) -> Obligation {
    Obligation::rate(Rate { whose, rule: "acme".into(), rate: Micros(rate), burst })
}

pub(crate) fn under(question: &Question<'_>, obligations: Vec<Obligation>) -> Verdict {
    Verdict { obligations, ..by_amount(question) }
}

/// A dollar a call.
pub(crate) fn a_dollar_each(question: &Question<'_>) -> Verdict {
    under(question, vec![budget(Whose::Agent, TEN, Some(Price::Fixed(Micros(1_000_000))))])
}

/// The node, its leader, and a token of the agent `finance`.
pub(crate) struct Site {
    pub(crate) bench: Bench,
    pub(crate) book: TestBook,
    pub(crate) leader: Leader,
    pub(crate) token: String,
    _time: JoinSet<()>,
}

impl Site {
    pub(crate) fn new(judge: fn(&Question<'_>) -> Verdict) -> Self {
        let (leader, mut time) = (Leader::new(), JoinSet::new());
        leader.keep_time(&mut time);
        let (bench, book) = Bench::new(judge).lent_by(&leader);
        let token = bench.token("acme", "finance", "*:* aegis:explain");
        Self { bench, book, leader, token, _time: time }
    }

    pub(crate) async fn ask(&self, call: ToolCall) -> Result<Decision, Refused> {
        match self.bench.ask(&self.token, call).await {
            Answer::Decided(decision) => Ok(*decision),
            Answer::Refused(refused) => Err(refused),
        }
    }

    /// The code of the first reason, or nothing for an allowance; and what the limits say.
    pub(crate) async fn outcome(&self, call: ToolCall) -> (Option<ReasonCode>, Option<Limits>) {
        let decision = self.ask(call).await.unwrap();
        let code = decision.reasons.first().map(|reason| reason.code);
        assert_eq!(code.is_none(), decision.outcome == Outcome::Allow, "{decision:?}");
        (code, decision.limits)
    }

    /// What leases at this node have left of the agent's budget.
    pub(crate) fn rest(&self) -> u64 {
        self.book.budget(&budget_of("finance"), Micros(TEN)).purse().rest().0
    }

    /// Spent or owed, once what was on its way between node and leader has arrived.
    pub(crate) async fn spent(&self) -> u64 {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let ledger = self.leader.ledger(&budget_of("finance"));
        ledger.granted.0 + ledger.debt.0 - self.rest()
    }
}
