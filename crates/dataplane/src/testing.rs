//! What tests of this crate share: a key, tokens, and deciders over planted judgements.

pub(crate) mod disk;
pub(crate) mod lent;
pub(crate) mod lines;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aegis_audit::journal::{Disk, Settings, SystemDisk};
use aegis_identity::cache::TokenCache;
use aegis_identity::claims::AgentClaims;
use aegis_identity::keys::SigningKey;
use aegis_identity::mint::Minter;
use aegis_identity::trust::Trust;
use aegis_identity::verify::Verifier;
use aegis_model::call::ToolCall;
use aegis_model::clock::{Clock, UnixNanos};
use aegis_model::decision::{Outcome, PolicyRef, Reason};
use aegis_model::json::JsonObject;
use aegis_model::reason::ReasonCode;
use aegis_model::scope::Scope;
use aegis_model::secret::Secret;
use aegis_policy::judge::{Question, Verdict};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tempfile::TempDir;

use crate::answer::Answer;
use crate::case::Surface;
use crate::decider::{Decider, DeciderConfig};
use crate::limits::testing::{Leader, TestBook};
use crate::records::JournalConfig;
use crate::snapshot::{Snapshot, Tenant};
use crate::spans::SpanSink;
use crate::walk::walk;

/// The moment at which every test begins.
pub(crate) const NOW: UnixNanos = UnixNanos(1_800_000_000_000_000_000);
pub(crate) const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A decider with a log in a folder of its own.
pub(crate) struct Bench {
    pub(crate) decider: Decider,
    pub(crate) clock: Clock,
    minter: Minter,
    verifier: Verifier,
    pub(crate) folder: TempDir,
}

impl Bench {
    /// Tenant `acme` is judged by `judge`.
    pub(crate) fn new(judge: fn(&Question<'_>) -> Verdict) -> Self {
        Self::with_calls(judge, 100)
    }

    /// The same, with room for so many calls.
    pub(crate) fn with_calls(judge: fn(&Question<'_>) -> Verdict, calls_in_progress_max: usize) -> Self {
        Self::with_disk(judge, calls_in_progress_max, Arc::new(SystemDisk))
    }

    /// The same, with a journal on another disk.
    pub(crate) fn with_disk(
        judge: fn(&Question<'_>) -> Verdict,
        calls_in_progress_max: usize,
        disk: Arc<dyn Disk>,
    ) -> Self {
        Self::made(judge, calls_in_progress_max, (disk, Settings::default()), None)
    }

    /// The same as [`Self::new`], with segments that end after so many bytes.
    pub(crate) fn with_segments(judge: fn(&Question<'_>) -> Verdict, segment_bytes: u64) -> Self {
        let settings = Settings { segment_bytes, ..Settings::default() };
        Self::made(judge, 100, (Arc::new(SystemDisk), settings), None)
    }

    /// The same, on another disk.
    pub(crate) fn with_segments_on(
        judge: fn(&Question<'_>) -> Verdict,
        segment_bytes: u64,
        disk: Arc<dyn Disk>,
    ) -> Self {
        let settings = Settings { segment_bytes, ..Settings::default() };
        Self::made(judge, 100, (disk, settings), None)
    }

    /// The same as [`Self::new`], with a span per decision.
    pub(crate) fn with_spans(judge: fn(&Question<'_>) -> Verdict, spans: SpanSink) -> Self {
        Self::made(judge, 100, (Arc::new(SystemDisk), Settings::default()), Some(spans))
    }

    fn made(
        judge: fn(&Question<'_>) -> Verdict,
        calls_in_progress_max: usize,
        (disk, settings): (Arc<dyn Disk>, Settings),
        spans: Option<SpanSink>,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let minter =
            Minter::new(SigningKey::generate(&mut StdRng::seed_from_u64(1)), "test".parse().unwrap());
        let trust = Trust::new([minter.trusted_key()]).unwrap();
        let verifier = Verifier::new(Arc::new(trust), Arc::new(TokenCache::with_entries(64)));
        let clock = Clock::manual(NOW);
        let config = DeciderConfig {
            node: "n1".parse().unwrap(),
            incarnation: 1,
            secret: Secret::new([7; 32]),
            clock: clock.clone(),
            journal: JournalConfig { disk, settings, ..folder.path().join("audit").into() },
            calls_in_progress_max,
            spans,
            more_metrics: None,
        };
        let snapshot = Snapshot::new(1, verifier.clone(), [Tenant::planted("acme", policy(1), judge)]);
        let decider = Decider::new(config, snapshot).expect("the journal can be opened");
        Self { decider, clock, minter, verifier, folder }
    }

    /// A decider that waits for news from a feed.
    pub(crate) fn awaiting() -> Self {
        let bench = Self::new(by_amount);
        let config = DeciderConfig {
            node: "n1".parse().unwrap(),
            incarnation: 0,
            secret: Secret::new([7; 32]),
            clock: bench.clock.clone(),
            journal: bench.folder.path().join("awaiting").into(),
            calls_in_progress_max: 100,
            spans: None,
            more_metrics: None,
        };
        let decider = Decider::new(config, Snapshot::awaiting()).expect("the journal can be opened");
        Self { decider, ..bench }
    }

    /// The same, with limits that `leader` lends to it as to node 1. They are lent for as long as the book lives.
    pub(crate) fn lent_by(mut self, leader: &Leader) -> (Self, TestBook) {
        let book = TestBook::start(leader, 1);
        self.decider.book = Arc::clone(&book.book);
        self.decider.clock = leader.clock.clone();
        self.decider.records.wait_in_thread.store(true, Ordering::Relaxed);
        self.clock = leader.clock.clone();
        (self, book)
    }

    /// A snapshot in which `acme` is what `change` makes of it.
    pub(crate) fn snapshot_with(&self, version: u64, change: impl FnOnce(Tenant) -> Tenant) -> Snapshot {
        let tenant = change(Tenant::planted("acme", policy(version), by_amount));
        Snapshot::new(version, self.verifier.clone(), [tenant])
    }

    /// A token of `agent` of `tenant` with `scope`.
    pub(crate) fn token(&self, tenant: &str, agent: &str, scope: &str) -> String {
        let claims = AgentClaims {
            org: "acme-inc".parse().unwrap(),
            tenant: tenant.parse().unwrap(),
            agent: agent.parse().unwrap(),
            scope: Scope::parse(scope),
            callers: vec![],
            claims: JsonObject::new(),
        };
        let life = Duration::from_secs(600);
        let minted = self.minter.mint_agent(&claims, life, self.clock.now(), &mut StdRng::seed_from_u64(2));
        minted.unwrap().token.expose().clone()
    }

    /// A snapshot in which `acme` is judged by `judge`.
    pub(crate) fn snapshot(&self, version: u64, judge: fn(&Question<'_>) -> Verdict) -> Snapshot {
        Snapshot::new(version, self.verifier.clone(), [Tenant::planted("acme", policy(version), judge)])
    }

    /// Walks one call.
    pub(crate) async fn ask(&self, token: &str, call: ToolCall) -> Answer {
        self.ask_about(token, None, call).await
    }

    /// Walks one call that names its agent.
    pub(crate) async fn ask_about(&self, token: &str, about: Option<&str>, call: ToolCall) -> Answer {
        let entry = match self.decider.enter(Surface::Http) {
            Ok(entry) => entry,
            Err(refused) => return Answer::Refused(refused),
        };
        let about = about.map(|agent| agent.parse().unwrap());
        let received = self.decider.receive(&entry, Surface::Http, SOURCE, token, about, call);
        walk(&self.decider, received).await
    }

    /// The records so far.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let awaiting = self.folder.path().join("awaiting");
        lines::lines(&if awaiting.exists() { awaiting } else { self.folder.path().join("audit") })
    }
}

pub(crate) fn policy(version: u64) -> PolicyRef {
    PolicyRef { version, digest: format!("sha256:{version}").into(), activation: version }
}

/// A call of tool `pay` with one parameter.
pub(crate) fn call(amount: u64) -> ToolCall {
    let serde_json::Value::Object(params) = serde_json::json!({ "amount": amount }) else { unreachable!() };
    ToolCall {
        request_id: None,
        tool: "pay".parse().unwrap(),
        action: "call".parse().unwrap(),
        params,
        context: JsonObject::new(),
        cost: None,
        override_token: None,
        dry_run: false,
        explain: false,
        wait_ms: 0,
        sign_receipt: false,
    }
}

/// The same with a request id.
pub(crate) fn call_again(amount: u64, request_id: &str) -> ToolCall {
    ToolCall { request_id: Some(request_id.parse().unwrap()), ..call(amount) }
}

/// Up to 5,000: allow. Up to 10,000: a person. Above: deny. 666: panic.
pub(crate) fn by_amount(question: &Question<'_>) -> Verdict {
    let amount = question.call.params["amount"].as_u64().expect("a number");
    let (outcome, reasons) = match amount {
        666 => panic!("planted: KEEP-OUT-{amount}"),
        0..=5_000 => (Outcome::Allow, vec![]),
        5_001..=10_000 => (
            Outcome::ApprovalRequired,
            vec![Reason::plain(ReasonCode::ParameterOutOfRange, "above the maximum")],
        ),
        _ => (Outcome::Deny, vec![Reason::plain(ReasonCode::ToolDenied, "far too much")]),
    };
    let rules = vec!["acme/allowed_tools[0]".to_owned()];
    Verdict { outcome, reasons, rules, obligations: vec![], unverified: vec!["purpose".to_owned()] }
}
