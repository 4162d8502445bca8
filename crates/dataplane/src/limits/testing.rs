//! What tests borrow from: a leader in this process, which lends from the product's own ledgers, speaks the protocol, and can
//! be silenced, cut off and replaced.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aegis_limits::epoch::Epoch;
use aegis_limits::holder::{Holder, Incarnation, NodeId};
use aegis_limits::ledger::{Ground, LeaseId, Ledger, Loan, NoGrant};
use aegis_limits::pace::Pace;
use aegis_limits::shares::Shares;
use aegis_limits::size::Need;
use aegis_limits::split::{Demand, split};
use aegis_model::clock::{Clock, UnixNanos};
use aegis_model::money::Micros;
use aegis_proto::v1;
use aegis_proto::v1::budget_answer::Outcome;
use aegis_proto::v1::lend_request::Message as Up;
use aegis_proto::v1::lend_response::Message as Down;
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::book::{Book, Identity};
use super::budget::{Budget, Dry};
use super::desk::lock;
use super::journal::Boot;
use super::key::{BudgetKey, BudgetTerms, RateKey, RateTerms, Stamp, Whose};
use super::lender::{Ended, Heard, Keeping, Line, lend};
use crate::freshness::Freshness;

/// The log time at which tests begin.
pub(crate) const START_MS: u64 = 1_800_000_000_000;

/// The end of the epoch in which they begin.
pub(crate) const EPOCH_END_MS: u64 = START_MS + 10_000_000;

/// From a message to its answer: two hops and a commit.
const ANSWER: Duration = Duration::from_millis(10);

/// A leader, and the time of its cluster.
#[derive(Debug, Clone)]
pub(crate) struct Leader {
    state: Arc<Mutex<State>>,
    /// Whether it can be reached, and how often it was not.
    reach: watch::Sender<(bool, u64)>,
    pub(crate) clock: Clock,
}

#[derive(Debug, Default)]
struct State {
    ledgers: BTreeMap<u64, Ledger>,
    /// The running ledger of each budget.
    running: HashMap<String, u64>,
    shares: HashMap<String, (Shares, BTreeMap<u64, u64>)>,
    /// The newest life of each node.
    newest: BTreeMap<u64, u64>,
    /// What each life was answered last.
    answered: HashMap<(u64, u64), v1::LendAnswer>,
    lines: BTreeMap<u64, mpsc::Sender<Heard>>,
    /// The last life of each node that said what those before it left, and the last of which that was not all.
    recovered: BTreeMap<u64, (u64, u64)>,
    epochs: u64,
    /// Applies asks, but so many of the next answers get lost with their streams.
    lose: usize,
    silent: bool,
    refuses: bool,
    /// Answers at once.
    prompt: bool,
    asks: Vec<v1::LendAsk>,
    ticks: Vec<v1::RateTick>,
    left: Vec<u64>,
}

fn name(key: &v1::LimitKey) -> String {
    format!("{key:?}")
}

impl Leader {
    pub(crate) fn new() -> Self {
        let clock = Clock::manual(UnixNanos(START_MS * 1_000_000));
        Self { state: Arc::default(), reach: watch::Sender::new((true, 0)), clock }
    }

    /// Lets the manual clock go along with tokio's, which tests have paused.
    pub(crate) fn keep_time(&self, tasks: &mut JoinSet<()>) {
        let clock = self.clock.clone();
        tasks.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(1));
            let mut told = Instant::now();
            loop {
                let now = ticks.tick().await;
                clock.advance(now - told);
                told = now;
            }
        });
    }

    /// The ledger of a budget.
    pub(crate) fn ledger(&self, key: &BudgetKey) -> Ledger {
        let state = lock(&self.state);
        state.ledgers[&state.running[&name(&key.to_proto())]].clone()
    }

    /// Every ledger there ever was.
    pub(crate) fn ledgers(&self) -> Vec<Ledger> {
        lock(&self.state).ledgers.values().cloned().collect()
    }

    pub(crate) fn asks(&self) -> Vec<v1::LendAsk> {
        lock(&self.state).asks.clone()
    }

    pub(crate) fn ticks(&self) -> Vec<v1::RateTick> {
        lock(&self.state).ticks.clone()
    }

    pub(crate) fn left(&self) -> Vec<u64> {
        lock(&self.state).left.clone()
    }

    /// Applies asks, but the next answers get lost.
    pub(crate) fn lose_answers(&self, lose: usize) {
        lock(&self.state).lose = lose;
    }

    /// Applies nothing and answers nothing.
    pub(crate) fn be_silent(&self, silent: bool) {
        lock(&self.state).silent = silent;
    }

    /// Lends nothing, whatever is free.
    pub(crate) fn refuse(&self, refuses: bool) {
        lock(&self.state).refuses = refuses;
    }

    /// Answers at once, so that many answers come between two ticks.
    pub(crate) fn be_prompt(&self) {
        lock(&self.state).prompt = true;
    }

    /// Whether it can be reached.
    pub(crate) fn be_in_reach(&self, reachable: bool) {
        self.reach.send_modify(|(was, changes)| {
            *was = reachable;
            *changes += 1;
        });
    }

    /// Another process took the place of `node`'s.
    pub(crate) fn fence(&self, node: u64) {
        lock(&self.state).newest.insert(node, u64::MAX);
        self.be_in_reach(false);
        self.be_in_reach(true);
    }

    /// The running epochs end.
    pub(crate) fn end_epochs(&self) {
        let mut state = lock(&self.state);
        state.running.clear();
        state.epochs += 1;
    }

    /// What one node asks, applied once.
    fn apply(&self, by: &Identity, ask: &v1::LendAsk) -> Option<v1::LendAnswer> {
        let mut state = lock(&self.state);
        let state = &mut *state;
        if state.silent {
            return None;
        }
        let life = (by.node_id, by.incarnation);
        if let Some(answer) = state.answered.get(&life).filter(|answer| answer.number == ask.number) {
            return Some(answer.clone());
        }
        let last = state.answered.get(&life).map_or(0, |answer| answer.number);
        assert_eq!(ask.number, last + 1, "asks are numbered without holes");
        state.asks.push(ask.clone());
        let holder = Holder { node: NodeId(by.node_id), incarnation: Incarnation(by.incarnation) };
        let current = Incarnation(state.newest[&by.node_id]);
        for back in &ask.returns {
            let ground = if back.recovered { Ground::Recovered } else { Ground::Stopped };
            let Some(ledger) = state.ledgers.get_mut(&back.ledger) else { continue };
            // Refused where it was credited before.
            let _ = ledger.credit(LeaseId(back.lease), holder, current, ground, Micros(back.unspent));
        }
        if ask.recovered {
            let (last, incomplete) = state.recovered.entry(by.node_id).or_default();
            if *last < by.incarnation {
                *last = by.incarnation;
                if !ask.complete {
                    *incomplete = by.incarnation;
                }
            }
            for ledger in state.ledgers.values_mut() {
                let earlier = |loan: &&Loan| {
                    loan.holder.node == holder.node && loan.holder.incarnation < holder.incarnation
                };
                let loans: Vec<Loan> = ledger.leases.iter().filter(earlier).copied().collect();
                for loan in loans {
                    if loan.holder.incarnation.0 >= *incomplete {
                        // Nobody took it in.
                        let whole = (loan.id, Ground::Recovered, loan.amount);
                        ledger.credit(whole.0, holder, current, whole.1, whole.2).unwrap();
                    } else {
                        ledger.charge_all(loan.holder);
                    }
                }
            }
        }
        for debt in &ask.debts {
            if let Some(ledger) = state.ledgers.get_mut(&debt.ledger) {
                ledger.record_debt(Micros(debt.amount));
            }
        }
        for saving in &ask.savings {
            if let Some(ledger) = state.ledgers.get_mut(&saving.ledger) {
                ledger.save(LeaseId(saving.lease), Micros(saving.amount));
            }
        }
        let nodes = state.lines.len() as u32;
        let budgets = ask.budgets.iter().map(|need| state.lend(need, holder, current, nodes)).collect();
        let answer = v1::LendAnswer { number: ask.number, budgets, nodes };
        state.answered.insert(life, answer.clone());
        if state.lose > 0 {
            state.lose -= 1;
            return None;
        }
        Some(answer)
    }

    fn share(&self, by: &Identity, tick: &v1::RateTick) -> Option<v1::RateShares> {
        let now = self.clock.monotonic();
        let mut state = lock(&self.state);
        let state = &mut *state;
        if state.silent {
            return None;
        }
        state.ticks.push(tick.clone());
        let holder = Holder { node: NodeId(by.node_id), incarnation: Incarnation(by.incarnation) };
        let shares = tick.rates.iter().map(|ask| {
            let whole = Pace::new(Micros(ask.rate), ask.burst).unwrap();
            let key = name(ask.key.as_ref().unwrap());
            let (shares, demands) =
                state.shares.entry(key).or_insert_with(|| (Shares::new(whole), BTreeMap::new()));
            demands.insert(by.node_id, ask.demand);
            let demands: Vec<Demand> = demands
                .iter()
                .map(|(node, rate)| Demand { node: NodeId(*node), rate: Micros(*rate) })
                .collect();
            let owner = *state.newest.keys().next().unwrap();
            let targets = split(whole, NodeId(owner), &demands);
            let target = targets.iter().find(|(node, _)| *node == holder.node);
            let target = target.map_or(Pace::NOTHING, |(_, pace)| *pace);
            shares.confirm(holder, ask.using, now);
            let granted = shares.grant(holder, target, now);
            v1::RateShare {
                rate: granted.share.rate().0,
                burst: granted.share.burst(),
                number: granted.number,
            }
        });
        let shares = shares.collect();
        Some(v1::RateShares { number: tick.number, shares, nodes: state.lines.len() as u32 })
    }

    /// A stream after the other, for one node.
    async fn link(self, by: Identity, heard: mpsc::Sender<Heard>) {
        let mut reach = self.reach.subscribe();
        loop {
            if reach.wait_for(|(reachable, _)| *reachable).await.is_err() {
                return;
            }
            if lock(&self.state).newest.get(&by.node_id).is_some_and(|newest| *newest > by.incarnation) {
                let _ = heard.send(Heard::Over).await;
                return;
            }
            let (up, mut asked) = mpsc::channel(16);
            let ended = CancellationToken::new();
            let nodes = {
                let mut state = lock(&self.state);
                state.newest.insert(by.node_id, by.incarnation);
                state.lines.insert(by.node_id, heard.clone());
                state.lines.len() as u32
            };
            let line = Line { nodes, up, _stream: ended.clone().drop_guard() };
            if heard.send(Heard::Welcomed(line)).await.is_err() {
                return;
            }
            loop {
                let request: Option<v1::LendRequest> = tokio::select! {
                    request = asked.recv() => request,
                    _ = reach.changed() => break,
                    () = ended.cancelled() => break,
                };
                let Some(Some(message)) = request.map(|request| request.message) else { break };
                if !lock(&self.state).prompt {
                    tokio::time::sleep(ANSWER).await;
                }
                let answer = match message {
                    Up::Ask(ask) => match self.apply(&by, &ask) {
                        Some(answer) => Down::Answer(answer),
                        None if lock(&self.state).silent => continue,
                        None => break,
                    },
                    Up::Rates(tick) => match self.share(&by, &tick) {
                        Some(shares) => Down::Shares(shares),
                        None => continue,
                    },
                    Up::Leaving(_) => {
                        lock(&self.state).left.push(by.node_id);
                        continue;
                    }
                    Up::Hello(_) => unreachable!("the link says hello, and this is one"),
                };
                if heard.send(Heard::Said(v1::LendResponse { message: Some(answer) })).await.is_err() {
                    return;
                }
            }
            lock(&self.state).lines.remove(&by.node_id);
            if heard.send(Heard::Lost).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl State {
    fn lend(
        &mut self,
        need: &v1::BudgetAsk,
        holder: Holder,
        current: Incarnation,
        nodes: u32,
    ) -> v1::BudgetAnswer {
        let outcome = match self.refuses {
            true => Outcome::Refused(v1::BudgetRefused { code: "too_many_budgets".to_owned() }),
            false => self.lend_from(need, holder, current, nodes),
        };
        v1::BudgetAnswer { outcome: Some(outcome) }
    }

    fn lend_from(
        &mut self,
        need: &v1::BudgetAsk,
        holder: Holder,
        current: Incarnation,
        nodes: u32,
    ) -> Outcome {
        let number = self.ledgers.len() as u64 + 1;
        let number = *self.running.entry(name(need.key.as_ref().unwrap())).or_insert(number);
        let length = EPOCH_END_MS - START_MS;
        let start = START_MS + self.epochs * length;
        let epoch = Epoch { day: 0, start_ms: start as i64, end_ms: (start + length) as i64 };
        let ledger = self.ledgers.entry(number).or_insert_with(|| Ledger::open(epoch, Micros(need.limit)));
        ledger.set_limit(Micros(need.limit));
        let epoch_end_ms = ledger.epoch.end_ms as u64;
        let wanted = Need {
            waiting: Micros(need.waiting),
            least: Micros(need.least),
            per_second: Micros(need.per_second),
        };
        match ledger.grant(holder, current, nodes, wanted) {
            Ok(loan) => Outcome::Granted(v1::LeaseGranted {
                ledger: number,
                lease: loan.id.0,
                amount: loan.amount.0,
                epoch_end_ms,
                free: ledger.free().0,
                revision: ledger.revision,
            }),
            Err(NoGrant::Exhausted(known)) => {
                let others = ledger.leases.iter().filter(|loan| loan.holder.node != holder.node);
                let others: Vec<_> = others.copied().collect();
                for loan in others.iter().filter(|_| need.waiting > 0) {
                    let recall = Down::Recall(v1::LendRecall { ledgers: vec![number] });
                    let said = Heard::Said(v1::LendResponse { message: Some(recall) });
                    if let Some(line) = self.lines.get(&loan.holder.node.0) {
                        let _ = line.try_send(said);
                    }
                }
                Outcome::Exhausted(v1::BudgetExhausted {
                    ledger: number,
                    revision: known.revision,
                    free: known.free.0,
                    recalled: others.iter().map(|loan| loan.amount.0).sum(),
                    epoch_end_ms,
                })
            }
            Err(NoGrant::Fenced | NoGrant::TooManyLeases) => {
                Outcome::Refused(v1::BudgetRefused { code: "too_many_leases".to_owned() })
            }
        }
    }
}

/// A node with a book that borrows from a [`Leader`].
pub(crate) struct TestBook {
    pub(crate) book: Arc<Book>,
    pub(crate) freshness: Arc<Freshness>,
    pub(crate) folder: Arc<TempDir>,
    lending: JoinSet<Ended>,
}

impl TestBook {
    /// A new node of this number.
    pub(crate) fn start(leader: &Leader, node_id: u64) -> Self {
        Self::start_in(leader, node_id, 1, Arc::new(tempfile::tempdir().unwrap()))
    }

    /// A life of a node, with the journal in `folder`.
    pub(crate) fn start_in(leader: &Leader, node_id: u64, incarnation: u64, folder: Arc<TempDir>) -> Self {
        let freshness = Arc::new(Freshness::fed());
        let book = Arc::new(Book::new(leader.clock.clone(), Arc::clone(&freshness)));
        let identity = Identity { cluster: "test".parse().unwrap(), node_id, incarnation, history: 1 };
        freshness.confirm(START_MS, &leader.clock);
        book.begin(identity.clone());
        let keeping = Keeping { path: folder.path().join("leases.journal"), boot: Boot::read() };
        let (told, heard) = mpsc::channel(16);
        let mut lending = JoinSet::new();
        let (link, by) = (leader.clone().link(identity.clone(), told), identity.clone());
        let lend = lend(Arc::clone(&book), by, keeping, heard);
        lending.spawn(async move {
            tokio::select! {
                ended = lend => ended,
                () = async { link.await; std::future::pending().await } => unreachable!("it is pending"),
            }
        });
        Self { book, freshness, folder, lending }
    }

    /// Ends it as a killed process ends; what it leaves behind.
    pub(crate) async fn crash(mut self) -> Arc<TempDir> {
        self.lending.shutdown().await;
        self.folder
    }

    /// How its lending ended.
    pub(crate) async fn ended(&mut self) -> Ended {
        self.lending.join_next().await.unwrap().unwrap()
    }

    /// The budget of `key` with this limit.
    pub(crate) fn budget(&self, key: &BudgetKey, limit: Micros) -> Arc<Budget> {
        self.book.budget(key, &terms(limit, 1)).unwrap()
    }
}

/// The budget of an agent of tenant `acme`.
pub(crate) fn budget_of(agent: &str) -> BudgetKey {
    let whose = Whose::Agent("acme".parse().unwrap(), agent.parse().unwrap());
    BudgetKey { whose, unit: "usd".into() }
}

/// The rate of an agent of tenant `acme`.
pub(crate) fn rate_of(agent: &str) -> RateKey {
    RateKey { whose: Whose::Agent("acme".parse().unwrap(), agent.parse().unwrap()) }
}

pub(crate) fn terms(limit: Micros, number: u64) -> BudgetTerms {
    BudgetTerms { limit, zone: None, stamp: Stamp { history: 1, number } }
}

pub(crate) fn rate_terms(per_second: u64, burst: u32) -> RateTerms {
    let whole = Pace::new(Micros::of_units(per_second).unwrap(), burst).unwrap();
    RateTerms { whole, stamp: Stamp { history: 1, number: 1 } }
}

/// Pays for a call as a walk does.
pub(crate) async fn pay(budget: &Arc<Budget>, cost: Micros) -> Result<(), Dry> {
    let deadline = Instant::now() + Duration::from_millis(500);
    loop {
        if budget.purse().spend(cost).is_ok() {
            return Ok(());
        }
        budget.more(cost, deadline).await?;
    }
}
