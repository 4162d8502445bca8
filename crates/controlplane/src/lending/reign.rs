//! A reign: from the moment at which this node became the newest lender until another node leads, or it is in doubt.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use aegis_model::caps;
use aegis_model::clock::Monotonic;
use aegis_model::money::Micros;
use aegis_proto::control::{BudgetAlert, DataNode, Lend, Lent, NodeAnswer, NodeAsk, done};
use aegis_proto::v1;
use aegis_proto::v1::budget_answer::Outcome;
use aegis_proto::v1::lend_request::Message as Up;
use aegis_proto::v1::lend_response::Message as Down;
use aegis_raft_store::tables::{StateView, StoreError};
use futures_util::StreamExt;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use futures_util::stream::FuturesUnordered;
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::gather::{Asking, Draft, Drafts, Gathered, Zones};
use super::live::Living;
use super::rates::{Moment, Rates};
use super::recalls::Recalls;
use super::stream::{Event, Guest, StreamId, Way, fenced};
use super::{Lead, Shared};
use crate::command::actor::Actor;
use crate::control::{Control, ProposeError};
use crate::state::{data_nodes, lender};

/// How this node became the lender.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) term: u64,
    pub(super) history: u64,
    pub(super) cluster: String,
    /// Read after everything that older lenders had replicated was applied here.
    pub(super) led_since: Monotonic,
    /// How many data nodes lived when the last of them lent.
    pub(super) nodes: u32,
}

/// Why a reign ends.
#[derive(Debug)]
pub(super) enum End {
    /// The control node stops.
    Stopping,
    /// It does not lead.
    NotLeading,
    /// The cluster has another history.
    History,
    /// It is unknown what became of something, or another node lends by now.
    Doubt(String),
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        // The node stops for it by itself.
        Self::Doubt(error.to_string())
    }
}

/// A reign. Dropping it cuts its streams.
pub(super) struct Reign<'r> {
    shared: &'r Shared,
    taken: Taken,
    customers: BTreeMap<u64, Customer>,
    gathered: Gathered,
    /// When what was gathered is to be proposed.
    due: Instant,
    rounds: FuturesUnordered<BoxFuture<'static, Round>>,
    zones: Zones,
    rates: Rates,
    recalls: Recalls,
    living: Living,
    swept: Monotonic,
}

/// A data node that borrows.
struct Customer {
    id: StreamId,
    row: DataNode,
    way: Way,
    /// Whether an ask of it is under way: at most one is.
    asking: bool,
    /// How many of its ticks wait for their answers.
    ticks: u32,
}

/// What was proposed together, and what came of it.
struct Round {
    ticks: Vec<(StreamId, v1::RateShares)>,
    drafts: Vec<Draft>,
    outcome: Result<Vec<Lent>, End>,
}

/// How often it is looked who lives and who was replaced.
const LOOK: Duration = Duration::from_millis(250);

/// How often rates are looked through for those that nobody uses.
const SWEEP: Duration = Duration::from_secs(10);

const GATHER: Duration = Duration::from_millis(caps::LEND_GATHER_MS);

const PATIENCE: Duration = Duration::from_secs(caps::LEND_PROPOSE_SECONDS);

impl<'r> Reign<'r> {
    pub(super) fn new(shared: &'r Shared, taken: Taken) -> Self {
        let (led_since, nodes) = (taken.led_since, taken.nodes);
        Self {
            shared,
            taken,
            customers: BTreeMap::new(),
            gathered: Gathered::default(),
            due: Instant::now(),
            rounds: FuturesUnordered::new(),
            zones: Zones::default(),
            rates: Rates::new(led_since),
            recalls: Recalls::default(),
            living: Living::new(led_since, nodes),
            swept: led_since,
        }
    }

    /// Lends until something ends it.
    pub(super) async fn run(&mut self, inbox: &mut mpsc::Receiver<Event>, stop: &CancellationToken) -> End {
        let mut lead = self.shared.lead.clone();
        let mut look = tokio::time::interval(LOOK);
        loop {
            let may_propose = !self.gathered.is_empty() && self.rounds.len() < caps::ENTRIES_IN_FLIGHT_MAX;
            let done = tokio::select! {
                () = stop.cancelled() => Err(End::Stopping),
                // Also when nobody is left who could say: the node stops.
                _lost = lead.wait_for(|lead| *lead != Lead::Here) => Err(End::NotLeading),
                Some(event) = inbox.recv() => {
                    self.hear(event);
                    Ok(())
                }
                () = tokio::time::sleep_until(self.due), if may_propose => self.propose(),
                Some(round) = self.rounds.next() => self.settle(round),
                _ = look.tick() => self.look(),
            };
            if let Err(end) = done {
                return end;
            }
        }
    }

    /// Tells everybody the last word.
    pub(super) fn end(&mut self, last: impl Fn() -> Result<v1::LendFarewell, Status>) {
        for customer in std::mem::take(&mut self.customers).into_values() {
            customer.way.end(last());
        }
    }

    fn now(&self) -> Monotonic {
        self.shared.config.clock.monotonic()
    }

    fn hear(&mut self, event: Event) {
        if self.gathered.is_empty() {
            self.due = Instant::now() + GATHER;
        }
        match event {
            Event::Joined(guest) => self.welcome(*guest),
            Event::Left(id) => {
                if self.customers.get(&id.node).is_some_and(|customer| customer.id == id) {
                    self.lose(id.node);
                }
            }
            Event::Said(id, message) => {
                // What a stream said that was replaced meanwhile is said again on the next one.
                let Some(customer) = self.customers.get_mut(&id.node).filter(|it| it.id == id) else {
                    return;
                };
                let leaving = matches!(message, Up::Leaving(_));
                if let Err(status) = said(customer, message, &mut self.gathered, &mut self.living) {
                    customer.way.end(Err(status));
                    self.lose(id.node);
                }
                if leaving {
                    self.show();
                }
            }
        }
    }

    fn welcome(&mut self, guest: Guest) {
        let Guest { id, row, history, way } = guest;
        if history != self.taken.history {
            return way.end(Err(Status::unavailable("the cluster's history is changing")));
        }
        if self.customers.get(&id.node).is_some_and(|known| known.row.incarnation > row.incarnation) {
            return way.end(Ok(fenced()));
        }
        self.living.joined(&row);
        let welcome = v1::LendWelcome {
            cluster_id: self.taken.cluster.clone(),
            control_node: self.shared.config.name.clone(),
            nodes: self.living.count(self.now()),
        };
        way.say(Down::Welcome(welcome));
        let before = self.customers.insert(id.node, Customer { id, row, way, asking: false, ticks: 0 });
        if let Some(before) = before {
            // The same process has come back before its old stream was noticed to be gone; or it was replaced.
            before.way.end(match before.row.incarnation == self.customers[&id.node].row.incarnation {
                true => {
                    Err(Status::aborted("another stream of this data node has taken the place of this one"))
                }
                false => Ok(fenced()),
            });
        }
        self.show();
    }

    /// A data node's stream has gone.
    fn lose(&mut self, node: u64) {
        if let Some(customer) = self.customers.remove(&node) {
            customer.way.cut();
            self.living.gone(node, self.now());
        }
    }

    fn show(&self) {
        let shown = self.living.shown(self.now());
        self.shared.live.send_if_modified(|known| {
            let changed = **known != *shown;
            *known = shown;
            changed
        });
    }

    /// Looks who lives, who was replaced, and what can be forgotten.
    fn look(&mut self) -> Result<(), End> {
        let now = self.now();
        if self.shared.control.applied().borrow().history != self.taken.history {
            return Err(End::History);
        }
        let view = self.shared.control.view()?;
        let mut replaced = Vec::new();
        for (id, customer) in &self.customers {
            let row = data_nodes::data_node(&view, *id)?;
            if !row.is_some_and(|row| row.incarnation == customer.row.incarnation && row.retired_ms == 0) {
                replaced.push(*id);
            }
        }
        for id in replaced {
            self.expel(id);
        }
        self.living.pass(now);
        self.recalls.pass(now);
        if now.since(self.swept) >= SWEEP {
            self.swept = now;
            self.rates.pass(now);
        }
        self.show();
        Ok(())
    }

    /// A data node was replaced, or retired.
    fn expel(&mut self, node: u64) {
        if let Some(customer) = self.customers.remove(&node) {
            customer.way.end(Ok(fenced()));
            self.living.left(node);
        }
    }

    /// Makes commands of what was gathered, and proposes them; what changes nothing only has to be confirmed.
    fn propose(&mut self) -> Result<(), End> {
        let gathered = std::mem::take(&mut self.gathered);
        let view = self.shared.control.view()?;
        let now = self.now();
        let applied_ms = self.shared.control.applied().borrow().log_time_ms;
        let log_time_ms = applied_ms.max(self.shared.config.clock.now().0 / 1_000_000);
        let (history, lender_term) = (self.taken.history, self.taken.term);
        let nodes = self.living.count(now);
        let mut drafts = Drafts::new(Lend { history, lender_term, nodes, ..Lend::default() });
        self.count_up(&gathered);
        for (stream, ask) in gathered.asks {
            let Some(customer) = self.customers.get(&stream.node).filter(|it| it.id == stream) else {
                continue;
            };
            let epochs = self.zones.epochs(&view, &ask, log_time_ms)?;
            let incarnation = customer.row.incarnation;
            drafts.ask(stream, NodeAsk { node: stream.node, incarnation, ask: Some(ask), epochs });
        }
        let moment = Moment { state: &view, living: &self.living, log_time_ms, now };
        let (mut ticks, mut changed) = (Vec::with_capacity(gathered.ticks.len()), BTreeSet::new());
        for (stream, tick) in gathered.ticks {
            let Some(customer) = self.customers.get(&stream.node).filter(|it| it.id == stream) else {
                continue;
            };
            let mut shares = Vec::with_capacity(tick.rates.len());
            for ask in &tick.rates {
                let (share, unsaved) = self.rates.share(&moment, &customer.row, ask)?;
                shares.push(share);
                changed.extend(unsaved);
            }
            ticks.push((stream, v1::RateShares { number: tick.number, shares, nodes }));
        }
        for id in changed {
            if let Some((row, number)) = self.rates.row(&id) {
                drafts.rate(id, row, number);
            }
        }
        let (drafts, control) = (drafts.finish(), self.shared.control.clone());
        if drafts.is_empty() && ticks.is_empty() {
            return Ok(());
        }
        let counted = if drafts.is_empty() {
            &self.shared.counters.confirmations
        } else {
            &self.shared.counters.commands
        };
        counted.fetch_add(drafts.len().max(1) as u64, Ordering::Relaxed);
        let actor = Actor::ControlNode(self.shared.config.id);
        self.rounds.push(bring_about(control, actor, lender_term, drafts, ticks).boxed());
        Ok(())
    }

    fn count_up(&mut self, gathered: &Gathered) {
        let counters = &self.shared.counters;
        counters.asks.fetch_add(gathered.asks.len() as u64, Ordering::Relaxed);
        counters.ticks.fetch_add(gathered.ticks.len() as u64, Ordering::Relaxed);
    }

    /// Answers everybody whom a round concerns.
    fn settle(&mut self, round: Round) -> Result<(), End> {
        let Round { ticks, drafts, outcome } = round;
        let (lent, now) = (outcome?, self.now());
        let view = self.shared.control.view()?;
        let mut all_noted = true;
        for (draft, lent) in drafts.into_iter().zip(lent) {
            for (position, (id, number)) in (0_u32..).zip(&draft.rates) {
                if lent.rates_refused.contains(&position) {
                    all_noted = false;
                    self.rates.refused(id);
                } else {
                    self.rates.saved(id, *number, now);
                }
            }
            for (asking, answer) in draft.asking.iter().zip(lent.answers) {
                self.answer(&view, asking, answer, now)?;
            }
            lent.alerts.iter().for_each(|alert| self.alert(alert));
        }
        // A share that the state has no room for is not told; the next tick says that there is none.
        for (stream, shares) in ticks {
            if let Some(customer) = self.customers.get_mut(&stream.node).filter(|it| it.id == stream) {
                customer.ticks = customer.ticks.saturating_sub(1);
            }
            if all_noted {
                self.say(stream, Down::Shares(shares));
            }
        }
        Ok(())
    }

    fn answer(
        &mut self,
        view: &StateView,
        asking: &Asking,
        answer: NodeAnswer,
        now: Monotonic,
    ) -> Result<(), End> {
        let stream = asking.stream;
        let Some(customer) = self.customers.get_mut(&stream.node).filter(|it| it.id == stream) else {
            return Ok(());
        };
        customer.asking = false;
        match answer.refused.as_str() {
            "" => {}
            "fenced" => {
                self.expel(stream.node);
                return Ok(());
            }
            code => {
                customer.way.end(Err(Status::invalid_argument(format!("the ask was refused: {code}"))));
                self.lose(stream.node);
                return Ok(());
            }
        }
        let Ok(mut read) = v1::LendAnswer::decode(answer.answer.as_slice()) else {
            return Err(End::Doubt("an answer in the state is damaged".to_owned()));
        };
        for (position, budget) in read.budgets.iter_mut().enumerate() {
            if let Some(Outcome::Exhausted(exhausted)) = &mut budget.outcome {
                let waits = asking.waiting.contains(&position);
                exhausted.recalled = self.recall(view, stream.node, exhausted.ledger, waits, now)?;
            }
        }
        self.say(stream, Down::Answer(read));
        Ok(())
    }

    /// Calls a ledger's leases back from others, if somebody waits for them: how much those hold who are there to be asked.
    fn recall(
        &mut self,
        view: &StateView,
        waiting: u64,
        ledger: u64,
        waits: bool,
        now: Monotonic,
    ) -> Result<u64, End> {
        let customers = &self.customers;
        let is_there = |loan: &aegis_proto::control::Loan| {
            customers.get(&loan.node).is_some_and(|it| it.row.incarnation == loan.incarnation)
        };
        let held = self.recalls.of(view, ledger, waiting, waits, is_there, now)?;
        for node in held.ask {
            if let Some(customer) = self.customers.get(&node) {
                // One without room is asked again when the one that waits asks again.
                let _no_room = customer.way.say(Down::Recall(v1::LendRecall { ledgers: vec![ledger] }));
                self.shared.counters.recalls.fetch_add(1, Ordering::Relaxed);
            }
        }
        Ok(held.amount)
    }

    fn say(&mut self, stream: StreamId, message: Down) {
        let customer = self.customers.get(&stream.node).filter(|it| it.id == stream);
        if customer.is_some_and(|customer| !customer.way.say(message)) {
            tracing::warn!(node = stream.node, "a data node takes nothing; its stream is ended");
            self.lose(stream.node);
        }
    }

    fn alert(&self, alert: &BudgetAlert) {
        self.shared.counters.alerts.fetch_add(1, Ordering::Relaxed);
        let BudgetAlert { key: Some(key), percent, limit, charged } = alert else { return };
        tracing::warn!(
            owner = key.owner,
            agent = key.agent,
            entry = key.entry,
            unit = key.unit,
            percent,
            limit = %Micros(*limit),
            charged = %Micros(*charged),
            "much of a budget is charged"
        );
    }
}

/// Takes in what a data node says.
fn said(
    customer: &mut Customer,
    message: Up,
    gathered: &mut Gathered,
    living: &mut Living,
) -> Result<(), Status> {
    match message {
        Up::Hello(_) => Err(Status::invalid_argument("a second `LendHello`")),
        Up::Leaving(v1::LendLeaving {}) => {
            living.left(customer.row.id);
            Ok(())
        }
        Up::Ask(_) if customer.asking => Err(Status::invalid_argument("an ask is under way already")),
        Up::Ask(ask) if ask.encoded_len() > caps::LEND_ASK_BYTES_MAX => {
            Err(Status::invalid_argument("the ask is too large"))
        }
        Up::Ask(ask) => {
            customer.asking = true;
            gathered.asks.push((customer.id, ask));
            Ok(())
        }
        Up::Rates(tick) if tick.rates.len() > caps::LEND_RATES_MAX => {
            Err(Status::invalid_argument("a tick of too many rates"))
        }
        Up::Rates(_) if customer.ticks >= caps::LEND_TICKS_MAX => {
            Err(Status::resource_exhausted("too many ticks wait for their answers"))
        }
        Up::Rates(tick) => {
            customer.ticks += 1;
            gathered.ticks.push((customer.id, tick));
            Ok(())
        }
    }
}

/// Has commands replicated; without any, has it confirmed that this is still the newest lender. Either proves that no other
/// lent before what it answers came in.
async fn bring_about(
    control: Control,
    actor: Actor,
    term: u64,
    drafts: Vec<Draft>,
    ticks: Vec<(StreamId, v1::RateShares)>,
) -> Round {
    let outcome = match drafts.is_empty() {
        true => confirm(&control, term).await.map(|()| Vec::new()),
        false => {
            let commands = drafts.iter().map(|draft| lend(&control, &actor, draft.lend.clone()));
            join_all(commands).await.into_iter().collect()
        }
    };
    Round { ticks, drafts, outcome }
}

async fn confirm(control: &Control, term: u64) -> Result<(), End> {
    let read = tokio::time::timeout(PATIENCE, control.read()).await;
    let view = read.map_err(|_late| End::Doubt("no quorum answers".to_owned()))?;
    let view = view.map_err(|error| End::Doubt(error.to_string()))?;
    match lender::lender(&view)?.term {
        newest if newest == term => Ok(()),
        _ => Err(End::Doubt("another node lends".to_owned())),
    }
}

async fn lend(control: &Control, actor: &Actor, command: Lend) -> Result<Lent, End> {
    let proposed = tokio::time::timeout(PATIENCE, control.propose(command, actor)).await;
    let answer = proposed.map_err(|_late| End::Doubt("no answer in time".to_owned()))?;
    match answer.map(|answer| answer.done.result) {
        Ok(Some(done::Result::Lent(lent))) => Ok(lent),
        Ok(_) => Err(End::Doubt("the answer is of something else".to_owned())),
        Err(ProposeError::Refused(refused)) if refused.detail("of") == Some("history") => Err(End::History),
        Err(error) => Err(End::Doubt(error.to_string())),
    }
}
