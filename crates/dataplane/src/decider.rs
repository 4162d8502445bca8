//! What every walk uses and no walk owns: the snapshot in force, the clock, the journal, and the memories of a node.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use aegis_audit::journal::{JournalError, NotKept, Ticket};
use aegis_audit::record::{Chain, Refusals, What};
use aegis_model::call::ToolCall;
use aegis_model::caps;
use aegis_model::clock::{Clock, UnixNanos};
use aegis_model::ids::{AgentId, TenantId};
use aegis_model::metric::{self, Family};
use aegis_model::reason::ReasonCode;
use aegis_model::secret::Secret;
use aegis_model::trace::TraceContext;
use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::answer::Refused;
use crate::approvals::Approvals;
use crate::case::{Case, Received, Surface};
use crate::charges::Charges;
use crate::decision_id::{DecisionIds, NodeName};
use crate::digest::DigestKey;
use crate::evidence::Door;
use crate::export::Counts;
use crate::freshness::Freshness;
use crate::laps::{Laps, Stage};
use crate::limits::Book;
use crate::metrics::Metrics;
use crate::names::Names;
use crate::peers::Peers;
use crate::records::{JournalConfig, Records, standalone};
use crate::replay::Replays;
use crate::room::{Room, Seat};
use crate::sensitive::Findings;
use crate::serve::Traffic;
use crate::snapshot::{Phase, ShardMap, Snapshot, Staleness, SwapRefusal, Tenant};
use crate::spans::{SpanSink, Spans};
use crate::tally::{Due, Source, Tally};
use crate::tokens::TokenLink;

/// One node's decision point, without its surfaces. Shared by all calls.
#[derive(Debug)]
pub struct Decider {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) clock: Clock,
    pub(crate) ids: DecisionIds,
    pub(crate) digest_key: DigestKey,
    pub(crate) names: Names,
    pub(crate) records: Records,
    pub(crate) replays: Replays,
    pub(crate) charges: Charges,
    pub(crate) tally: Tally,
    pub(crate) room: Room,
    pub(crate) metrics: Metrics,
    pub(crate) freshness: Arc<Freshness>,
    pub(crate) book: Arc<Book>,
    pub(crate) approvals: Approvals,
    /// The way to tokens; nothing without a control plane.
    pub(crate) tokens: OnceLock<TokenLink>,
    /// What its exports count; nothing if it has none.
    pub(crate) exports: OnceLock<Vec<Arc<Counts>>>,
    /// What searches for decisions count.
    pub(crate) searches: Arc<crate::search::Counts>,
    /// Where the end of its log is reported; nothing if it follows nobody.
    pub(crate) evidence_door: OnceLock<watch::Receiver<Door>>,
    pub(crate) spans: Spans,
    more_metrics: Option<metric::Source>,
    policies: watch::Sender<PolicyStanding>,
    shards: watch::Sender<Arc<ShardMap>>,
    leaving: CancellationToken,
    peers: OnceLock<Peers>,
    swapping: Mutex<()>,
}

/// Whether a node has policies that it may enforce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PolicyStanding {
    /// What it was told first is not ready yet.
    Awaiting,
    /// It has, for one tenant at least.
    InForce,
    /// Its news are older than every tenant accepts.
    Stale,
}

/// What a [`Decider`] is made from.
#[derive(Debug)]
pub struct DeciderConfig {
    /// The node's name; stands in every decision id.
    pub node: NodeName,
    /// A number that no start of this node has had before; 0: the feed brings it.
    pub incarnation: u64,
    /// 32 random bytes, made at this start: what the digests and the ids of records and the key of the log are made from.
    pub secret: Secret<[u8; 32]>,
    /// Where the time comes from.
    pub clock: Clock,
    /// The journal of the node's audit logs, one per start.
    pub journal: JournalConfig,
    /// Most calls in progress; at most [`caps::CALLS_IN_PROGRESS_MAX`].
    pub calls_in_progress_max: usize,
    /// Where a span per decision goes.
    pub spans: Option<SpanSink>,
    /// What is to be told beside the node's own metrics.
    pub more_metrics: Option<metric::Source>,
}

/// Proof that a call found room: from before its body is read until it is answered.
#[derive(Debug)]
pub struct Entry {
    _seat: Seat,
    laps: Laps,
    caller: Option<TraceContext>,
}

impl Entry {
    /// Times the next call of the same request from now on.
    pub(crate) fn restart_watch(&mut self) {
        self.laps = Laps::start();
    }

    /// The same, from a caller who says this of its trace.
    #[must_use]
    pub(crate) fn traced(self, caller: Option<TraceContext>) -> Self {
        Self { caller, ..self }
    }

    /// What the caller says of its trace.
    pub(crate) fn caller(&self) -> Option<&TraceContext> {
        self.caller.as_ref()
    }
}

impl Decider {
    /// A decision point that judges under `snapshot`. With [`Snapshot::awaiting`] it expects news from a feed, and
    /// judges by none that are stale. Blocks, for as long as the logs of earlier starts take to be closed.
    ///
    /// # Errors
    /// [`JournalError`]: the journal cannot be opened.
    pub fn new(config: DeciderConfig, mut snapshot: Snapshot) -> Result<Self, JournalError> {
        let calls_max = config.calls_in_progress_max.clamp(1, caps::CALLS_IN_PROGRESS_MAX);
        snapshot.assign_rooms(calls_max, None);
        let (freshness, standing) = match snapshot.phase() {
            Phase::Awaiting => (Freshness::fed(), PolicyStanding::Awaiting),
            Phase::Starting | Phase::Whole => (Freshness::unfed(), PolicyStanding::InForce),
        };
        let freshness = Arc::new(freshness);
        let book = Arc::new(Book::new(config.clock.clone(), Arc::clone(&freshness)));
        let metrics = Metrics::new();
        metrics.enforcing(&snapshot);
        let records = Records::open(config.journal, &config.node, &config.clock, &config.secret)?;
        if config.incarnation != 0 {
            records.begin(&standalone(), config.incarnation)?;
        }
        Ok(Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            clock: config.clock,
            ids: DecisionIds::new(&config.node, config.incarnation),
            digest_key: DigestKey::new(config.secret.expose()),
            records,
            names: Names::default(),
            replays: Replays::new(caps::REPLAY_ENTRIES_MAX),
            charges: Charges::new(caps::CHARGES_KEPT_MAX),
            tally: Tally::new(caps::REFUSAL_SOURCES_MAX),
            room: Room::new(calls_max),
            metrics,
            freshness,
            book,
            approvals: Approvals::new(),
            tokens: OnceLock::new(),
            evidence_door: OnceLock::new(),
            exports: OnceLock::new(),
            searches: Arc::default(),
            spans: Spans::new(config.spans, &config.secret),
            more_metrics: config.more_metrics,
            policies: watch::Sender::new(standing),
            shards: watch::Sender::new(Arc::default()),
            leaving: CancellationToken::new(),
            peers: OnceLock::new(),
            swapping: Mutex::new(()),
        })
    }

    /// Lets a call in, if the node has room for it.
    ///
    /// # Errors
    /// `Overloaded`. It is counted, not recorded: nobody has asked anything yet.
    pub fn enter(&self, surface: Surface) -> Result<Entry, Refused> {
        match self.room.enter() {
            Some(seat) => Ok(Entry { _seat: seat, laps: Laps::start(), caller: None }),
            None => {
                self.metrics.refused(ReasonCode::Overloaded, surface);
                Err(Refused::plain(ReasonCode::Overloaded))
            }
        }
    }

    /// Counts a request that could not be understood.
    pub(crate) fn malformed(&self, surface: Surface) {
        self.metrics.refused(ReasonCode::InvalidRequest, surface);
    }

    /// A well-formed call, ready to be walked. This is where its snapshot is chosen (WALK-1).
    ///
    /// `token` is the evidence as sent; `about` the agent that the question is about, where the client can name one.
    pub fn receive<'a>(
        &self,
        entry: &Entry,
        surface: Surface,
        source: IpAddr,
        token: &'a str,
        about: Option<AgentId>,
        call: ToolCall,
    ) -> Received<'a> {
        let mut laps = entry.laps;
        laps.lap(Stage::Receive);
        let case = Case {
            snapshot: self.snapshot.load_full(),
            now: self.clock.now(),
            news_age: self.freshness.age(&self.clock),
            surface,
            source,
            call,
            laps,
            trace: self.spans.begin(entry.caller()),
            principal: None,
            tenant: None,
            version: None,
            rules: Vec::new(),
            unverified: Vec::new(),
            redactions: Vec::new(),
            cleaned_by: None,
            stored_params: None,
            stored_context: None,
            sealed: None,
            findings: Findings::default(),
            result_rules: None,
            limits: None,
            limits_seen: Vec::new(),
            explanation: None,
            approval: None,
            approved: None,
            resumed: None,
        };
        Received { case: Box::new(case), token, about }
    }

    /// Refuses a request that never became a call: nobody is proven to have sent it. Counted, and recorded once per
    /// source and second.
    pub(crate) async fn turn_away(&self, source: IpAddr, surface: Surface, refused: Refused) -> Refused {
        let kept = match self.note_refusal(Source::of(source), refused.code, self.clock.now()) {
            Ok(None) => true,
            Ok(Some(ticket)) => self.records.kept(ticket).await.is_ok(),
            Err(_not_taken) => false,
        };
        let refused = if kept { refused } else { Refused::plain(ReasonCode::AuditUnavailable) };
        self.metrics.refused(refused.code, surface);
        refused
    }

    /// Counts a refusal without a decision, and records it if a record is due by it.
    ///
    /// # Errors
    /// [`NotKept`]
    pub(crate) fn note_refusal(
        &self,
        source: Source,
        code: ReasonCode,
        now: UnixNanos,
    ) -> Result<Option<Ticket>, NotKept> {
        if self.records.is_awaited() {
            self.tally.note_for_later(source, code);
            return Ok(None);
        }
        self.tally.note(source, code, now).map(|due| self.record_refusals(due, now)).transpose()
    }

    fn record_refusals(&self, due: Due, now: UnixNanos) -> Result<Ticket, NotKept> {
        let Due { source, code, count } = due;
        let what = What::Refusals(Refusals { code, count, source: source.to_string() });
        let chain = match source {
            Source::Tenant(tenant) => Chain::Tenant(tenant),
            Source::Address(_) | Source::Others => Chain::Node,
        };
        self.records.append(now, chain, &what)
    }

    /// Records what sources that fell silent still have untold. To be called every second, and before the end.
    pub(crate) fn tell_overdue_refusals(&self) {
        if self.records.journal().is_none() {
            return;
        }
        let now = self.clock.now();
        for due in self.tally.overdue(now) {
            // A journal that takes nothing has been told to the operator already.
            let _ = self.record_refusals(due, now);
        }
    }

    /// Forgets request ids that are over, and charges that nobody completed. To be called every few seconds.
    pub(crate) fn forget_old_requests(&self) {
        self.replays.sweep(self.clock.now());
        self.charges.sweep(self.clock.now());
    }

    /// Puts `snapshot` into force for every call that is received from now on.
    ///
    /// # Errors
    /// [`SwapRefusal`]; then nothing has changed.
    pub fn swap(&self, snapshot: Snapshot) -> Result<(), SwapRefusal> {
        let _one_at_a_time = self.swapping.lock().unwrap_or_else(PoisonError::into_inner);
        let next = snapshot.succeeding(&self.snapshot.load(), self.room.max())?;
        self.metrics.enforcing(&next);
        let shards = Arc::clone(next.shards());
        self.snapshot.store(Arc::new(next));
        self.shards.send_if_modified(|known| std::mem::replace(known, shards) != *known);
        self.look_at_policies();
        Ok(())
    }

    /// Takes over the newest moment that the control plane has confirmed. To be called by the feed only.
    pub(crate) fn confirm(&self, log_time_ms: u64) -> bool {
        let newer = self.freshness.confirm(log_time_ms, &self.clock);
        if newer {
            self.look_at_policies();
        }
        newer
    }

    /// Finds out anew whether there are policies to be enforced. To be called every second: news age by themselves.
    pub(crate) fn look_at_policies(&self) {
        let snapshot = self.snapshot.load();
        let age = self.freshness.age(&self.clock);
        let mut tenants = snapshot.tenants().map(Tenant::staleness).peekable();
        let stale = match tenants.peek() {
            Some(_) => tenants.all(|staleness| staleness.is_over(age)),
            None => Staleness::default().is_over(age),
        };
        let standing = match snapshot.phase() {
            Phase::Awaiting | Phase::Starting => PolicyStanding::Awaiting,
            Phase::Whole if stale => PolicyStanding::Stale,
            Phase::Whole => PolicyStanding::InForce,
        };
        self.policies.send_if_modified(|known| std::mem::replace(known, standing) != standing);
    }

    /// The time of the control plane, as long as this node knows what that says now: everything it was told counts, legal holds
    /// among it. Never this node's own clock.
    pub(crate) fn trusted_time(&self) -> Option<UnixNanos> {
        let recent = self.freshness.age(&self.clock) <= Duration::from_secs(caps::PRUNE_NEWS_SECONDS);
        let log_time_ms = self.freshness.log_time_ms(&self.clock);
        let whole = self.snapshot.load().phase() == Phase::Whole;
        (recent && whole && log_time_ms > 0).then(|| UnixNanos(log_time_ms.saturating_mul(1_000_000)))
    }

    /// The tenants whose records may be deleted now, and after how many days.
    pub fn retentions(&self) -> Vec<(TenantId, u64)> {
        let snapshot = self.snapshot.load();
        let wanted = |tenant: &Tenant| Some((tenant.id().clone(), tenant.retention().days()?));
        snapshot.tenants().filter_map(wanted).collect()
    }

    /// Whether there are policies to be enforced, now and later.
    pub(crate) fn policies(&self) -> watch::Receiver<PolicyStanding> {
        self.policies.subscribe()
    }

    /// Which data nodes own slots, now and later.
    pub fn shards(&self) -> watch::Receiver<Arc<ShardMap>> {
        self.shards.subscribe()
    }

    /// Takes the way to other data nodes, of the feed that says which there are. The first one counts.
    pub(crate) fn know_peers(&self, peers: Peers) {
        let _known_before = self.peers.set(peers);
    }

    /// The way to other data nodes, if a feed says which there are.
    pub(crate) fn peers(&self) -> Option<&Peers> {
        self.peers.get()
    }

    /// Says that this node is about to stop, so that its slots are given to others. Calls are answered as before.
    pub(crate) fn leave(&self) {
        self.leaving.cancel();
        self.book.leave();
    }

    /// Cancelled once this node is about to stop.
    pub fn leaving(&self) -> &CancellationToken {
        &self.leaving
    }

    /// Everything there is to tell in numbers, as of now.
    pub(crate) fn families(&self, traffic: &[Arc<Traffic>]) -> Vec<Family> {
        let mut families = self.metrics.families(self, traffic);
        families.extend(self.more_metrics.iter().flat_map(metric::Source::families));
        families
    }

    /// The snapshot in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }
}
