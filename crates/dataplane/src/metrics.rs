//! Numbers for operators. Every label has a bounded set of values.

mod gathered;
mod latency;
mod tools;

use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use aegis_audit::journal::{Figures, Journal};
use aegis_dlp::kind::Kind;
use aegis_limits::hierarchy::Level;
use aegis_model::caps;
use aegis_model::decision::Reason;
use aegis_model::ids::{AgentId, ToolName};
use aegis_model::metric::Family;
use aegis_model::reason::ReasonCode;
use prometheus::{
    CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};

use crate::admission::{Admission, Paid};
use crate::answer::Answer;
use crate::case::Surface;
use crate::decider::Decider;
use crate::export;
use crate::laps::{Laps, Stage};
use crate::limits::Book;
use crate::records::Trouble;
use crate::sensitive::Findings;
use crate::serve::Traffic;
use crate::snapshot::{Snapshot, Tenant};
use crate::subject::Subject;
use latency::Latency;
pub(crate) use tools::ToolCounts;
use tools::Tools;

/// Upper ends of the histogram's buckets, in seconds: from the cost of a cached token to a hanging disk.
const BUCKETS: [f64; 16] =
    [1e-6, 2.5e-6, 5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 2e-2, 1e-1, 1.0, 5.0];

/// The label of tenants that have none of their own.
const OTHER_TENANTS: &str = "other";

/// The node's metrics.
pub(crate) struct Metrics {
    registry: Registry,
    decisions: IntCounterVec,
    refusals: IntCounterVec,
    replays: IntCounter,
    admitted: IntCounterVec,
    over_limit: IntCounterVec,
    completed: IntCounter,
    debts: IntCounterVec,
    spend: Spend,
    tools: Tools,
    latency: Latency,
    stages: [Histogram; Stage::ALL.len()],
    snapshot_version: IntGauge,
    policy_version: IntGaugeVec,
    policy_activation: IntGaugeVec,
    calls_in_progress: IntGauge,
    record_queue: IntGauge,
    record_healthy: IntGauge,
    record_trouble: IntGaugeVec,
    signed_entries: IntGauge,
    reported_entries: IntGauge,
    reports: IntCounterVec,
    news_age: IntGauge,
    request_ids: IntGauge,
    charges_kept: IntGauge,
    connections: IntGaugeVec,
    connections_refused: IntCounterVec,
    limits: IntGaugeVec,
    leases: IntGauge,
    leader_in_reach: IntGauge,
    lending_messages: IntCounterVec,
    limit_waits: IntCounter,
    limit_refusals: IntCounterVec,
    findings: IntCounterVec,
    /// Names that findings may be counted by: a tenant's own stand as `custom`.
    kinds: HashSet<&'static str>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let counters = |name, help, labels: &[&str]| {
            let made = IntCounterVec::new(Opts::new(name, help), labels).expect(VALID);
            registry.register(Box::new(made.clone())).expect(ONCE);
            made
        };
        let gauges = |name, help, labels: &[&str]| {
            let made = IntGaugeVec::new(Opts::new(name, help), labels).expect(VALID);
            registry.register(Box::new(made.clone())).expect(ONCE);
            made
        };
        let gauge = |name, help| gauges(name, help, &[]).with_label_values::<&str>(&[]);
        let stage_seconds = HistogramVec::new(
            HistogramOpts::new("aegis_stage_seconds", "Time that a call spent in a stage of the walk.")
                .buckets(BUCKETS.to_vec()),
            &["stage"],
        )
        .expect(VALID);
        registry.register(Box::new(stage_seconds.clone())).expect(ONCE);
        Self {
            decisions: counters(
                "aegis_decisions_total",
                "Decisions answered; `code` is that of the first reason, empty for a plain allow.",
                &["tenant", "outcome", "code", "surface"],
            ),
            refusals: counters(
                "aegis_refusals_total",
                "Calls answered without a decision.",
                &["code", "surface"],
            ),
            admitted: counters(
                "aegis_limits_admitted_total",
                "Allowed calls that fit the limits set for them.",
                &["tenant"],
            ),
            over_limit: counters(
                "aegis_limits_refused_total",
                "Calls that did not fit a limit, by the level that set it.",
                &["tenant", "code", "level"],
            ),
            completed: counters("aegis_completions_total", "Allowed calls whose end was told.", &[])
                .with_label_values::<&str>(&[]),
            debts: counters(
                "aegis_limits_debts_total",
                "Completed calls that really cost more than leases of their budget covered.",
                &["level"],
            ),
            spend: Spend::new(&registry),
            tools: Tools::new(counters(
                "aegis_tool_decisions_total",
                "Decisions answered, by tool; `other` for what no rule names.",
                &["tenant", "tool", "outcome"],
            )),
            latency: Latency::new(),
            replays: counters("aegis_replays_total", "Decisions given again for a known request id.", &[])
                .with_label_values::<&str>(&[]),
            stages: Stage::ALL.map(|stage| stage_seconds.with_label_values(&[stage.as_str()])),
            snapshot_version: gauge("aegis_snapshot_version", "Number of the snapshot in force."),
            policy_version: gauges("aegis_policy_version", "Policy version enforced.", &["tenant"]),
            policy_activation: gauges("aegis_policy_activation", "Activation enforced.", &["tenant"]),
            calls_in_progress: gauge("aegis_calls_in_progress", "Calls that hold a seat."),
            record_queue: gauge("aegis_record_queue_depth", "Records that wait for the disk."),
            record_healthy: gauge("aegis_record_healthy", "1 while the journal can be written."),
            record_trouble: gauges(
                "aegis_record_trouble",
                "1 for the reason for which nothing can be recorded.",
                &["kind"],
            ),
            signed_entries: gauge(
                "aegis_audit_log_signed_entries",
                "Entries of this start's audit log that its newest checkpoint covers.",
            ),
            reported_entries: gauge(
                "aegis_audit_log_reported_entries",
                "Entries of this start's audit log that the control log knows a checkpoint of.",
            ),
            reports: counters(
                "aegis_audit_log_reports_total",
                "Checkpoints of audit logs offered to the control log, by what came of it.",
                &["result"],
            ),
            news_age: gauge(
                "aegis_policy_age_milliseconds",
                "Age of the newest news from the control plane; 0 for a node without one, -1 before the first.",
            ),
            request_ids: gauge("aegis_request_ids", "Request ids remembered."),
            charges_kept: gauge("aegis_charges_kept", "Allowed calls that can still be completed."),
            connections: gauges("aegis_connections", "Open connections.", &["listener"]),
            connections_refused: counters(
                "aegis_connections_refused_total",
                "Connections closed at once since the listener had too many.",
                &["listener"],
            ),
            limits: gauges("aegis_limits", "Budgets and rates that this node has to do with.", &["kind"]),
            leases: gauge("aegis_leases", "Leases of budgets that this node holds."),
            leader_in_reach: gauge(
                "aegis_lender_in_reach",
                "1 while the control plane's leader lends to this node.",
            ),
            lending_messages: counters(
                "aegis_lending_messages_total",
                "Messages to the leader that lends, by what they ask for.",
                &["kind"],
            ),
            limit_waits: counters(
                "aegis_limit_waits_total",
                "Times that a call waited for a lease or a share.",
                &[],
            )
            .with_label_values::<&str>(&[]),
            limit_refusals: counters(
                "aegis_limit_refusals_total",
                "Times that a call got no lease or share, by cause.",
                &["cause"],
            ),
            findings: counters(
                "aegis_sensitive_findings_total",
                "Sensitive values found, by what they are, what became of them and where they were.",
                &["kind", "with", "on"],
            ),
            kinds: Kind::all().map(Kind::name).chain(["field", "unread"]).collect(),
            registry,
        }
    }

    /// The counters of decisions about `tool`, for a call that ends for `reasons`.
    pub(crate) fn tool(
        &self,
        tenant: Option<&Tenant>,
        tool: &ToolName,
        reasons: &[Reason],
    ) -> Arc<ToolCounts> {
        self.tools.of(tenant.and_then(Tenant::label), tool, reasons)
    }

    /// Counts an answer of the walk.
    pub(crate) fn answered(&self, answer: &Answer, subject: &Subject, laps: &Laps) {
        let outcome = match answer {
            Answer::Refused(refused) => {
                self.refused(refused.code, subject.surface);
                None
            }
            Answer::Decided(decision) => {
                let code = decision.reasons.first().map_or("", |reason| reason.code.as_str());
                let tenant = subject.tenant.as_deref().and_then(Tenant::label).unwrap_or(OTHER_TENANTS);
                let (outcome, surface) = (decision.outcome.as_str(), subject.surface.as_str());
                self.decisions.with_label_values(&[tenant, outcome, code, surface]).inc();
                subject.tool.count(decision.outcome);
                if decision.replayed {
                    self.replays.inc();
                }
                Some(decision.outcome)
            }
        };
        self.latency.observe(outcome, laps.total_nanos(), subject.exemplar());
        for (histogram, stage) in self.stages.iter().zip(Stage::ALL) {
            let nanos = laps.nanos(stage);
            if nanos > 0 {
                histogram.observe(nanos as f64 * 1e-9);
            }
        }
    }

    /// Counts a checkpoint that was offered to the control log; `size` is what it knows now, if that is of this start's log.
    pub(crate) fn reported(&self, result: &str, size: Option<u64>) {
        self.reports.with_label_values(&[result]).inc();
        if let Some(size) = size {
            self.reported_entries.set(signed(size));
        }
    }

    /// Counts an allowed call that limits count, and what it is charged.
    pub(crate) fn admitted(&self, tenant: &Tenant, agent: &AgentId, tool: &ToolName, admission: &Admission) {
        if !admission.is_limited() {
            return;
        }
        let tenant = tenant.label().unwrap_or(OTHER_TENANTS);
        self.admitted.with_label_values(&[tenant]).inc();
        // Several budgets may count the same unit, but it is spent once.
        let mut spent: Vec<(&str, u64)> = Vec::new();
        for Paid { unit, amount, .. } in admission.paid() {
            match spent.iter_mut().find(|(known, _)| *known == &**unit) {
                Some((_, known)) => *known = amount.0.max(*known),
                None => spent.push((unit, amount.0)),
            }
        }
        for (unit, micros) in spent {
            self.spend.count([tenant, agent.as_str(), tool.as_str(), unit], micros);
        }
    }

    /// Counts a call that did not fit a limit.
    pub(crate) fn over_limit(&self, tenant: &Tenant, code: ReasonCode, level: Level) {
        let tenant = tenant.label().unwrap_or(OTHER_TENANTS);
        self.over_limit.with_label_values(&[tenant, code.as_str(), level.name()]).inc();
    }

    /// Counts what was found.
    pub(crate) fn found(&self, findings: &Findings) {
        for finding in &findings.kept {
            let kind = self.kinds.get(finding.kind.as_str()).copied().unwrap_or("custom");
            self.findings.with_label_values(&[kind, finding.with, finding.on.as_str()]).inc_by(finding.count);
        }
        if findings.left_out > 0 {
            self.findings.with_label_values(&["other", "", ""]).inc_by(findings.left_out);
        }
    }

    /// Counts a call whose end was told.
    pub(crate) fn completed(&self) {
        self.completed.inc();
    }

    /// Counts a call that cost more than leases covered.
    pub(crate) fn debt(&self, level: Level) {
        self.debts.with_label_values(&[level.name()]).inc();
    }

    /// Counts a call that was answered without a decision.
    pub(crate) fn refused(&self, code: ReasonCode, surface: Surface) {
        self.refusals.with_label_values(&[code.as_str(), surface.as_str()]).inc();
    }

    /// Shows what `snapshot` enforces.
    pub(crate) fn enforcing(&self, snapshot: &Snapshot) {
        self.snapshot_version.set(signed(snapshot.version()));
        self.policy_version.reset();
        self.policy_activation.reset();
        for tenant in snapshot.tenants() {
            let Some(label) = tenant.label() else { continue };
            self.policy_version.with_label_values(&[label]).set(signed(tenant.policy().version));
            self.policy_activation.with_label_values(&[label]).set(signed(tenant.policy().activation));
        }
    }

    /// Everything there is to tell, as of now.
    pub(crate) fn families(&self, decider: &Decider, traffic: &[Arc<Traffic>]) -> Vec<Family> {
        self.calls_in_progress.set(signed(decider.room.taken() as u64));
        self.record_queue.set(signed(decider.records.waiting() as u64));
        let trouble = decider.records.trouble().borrow().as_ref().map(Trouble::name);
        self.record_healthy.set(i64::from(trouble.is_none()));
        for kind in Trouble::NAMES {
            self.record_trouble.with_label_values(&[kind]).set(i64::from(trouble == Some(kind)));
        }
        let signed_entries = decider.records.journal().and_then(Journal::newest);
        self.signed_entries.set(signed_entries.map_or(0, |newest| signed(newest.checkpoint.size)));
        let age = decider.freshness.age(&decider.clock);
        self.news_age.set(if age == std::time::Duration::MAX { -1 } else { age.as_millis() as i64 });
        self.request_ids.set(signed(decider.replays.len() as u64));
        self.charges_kept.set(signed(decider.charges.len() as u64));
        for traffic in traffic {
            self.connections.with_label_values(&[traffic.name]).set(signed(traffic.open() as u64));
            let refused = self.connections_refused.with_label_values(&[traffic.name]);
            refused.inc_by(traffic.refused.swap(0, Ordering::Relaxed));
        }
        self.show_limits(&decider.book);
        let mut families = gathered::families(&self.registry);
        families.push(self.latency.family());
        families.extend(decider.approvals.families());
        families.extend(
            decider.records.journal().into_iter().flat_map(|journal| journal_families(&journal.figures())),
        );
        families.extend(decider.records.copies.families());
        families.extend(decider.exports.get().into_iter().flat_map(|all| export::Counts::families(all)));
        families.extend(decider.records.deleted.families());
        families.extend(decider.records.occupied.families(&decider.snapshot()));
        families.extend(decider.searches.families());
        families
    }

    fn show_limits(&self, book: &Book) {
        let (budgets, rates) = book.limits();
        for (kind, limits) in [("budget", budgets), ("rate", rates)] {
            self.limits.with_label_values(&[kind]).set(signed(limits as u64));
        }
        let counts = book.counts();
        self.leases.set(signed(counts.leases.load(Ordering::Relaxed)));
        self.leader_in_reach.set(i64::from(book.is_in_reach()));
        for (kind, sent) in [("budgets", &counts.asks), ("rates", &counts.ticks)] {
            self.lending_messages.with_label_values(&[kind]).inc_by(sent.swap(0, Ordering::Relaxed));
        }
        self.limit_waits.inc_by(counts.waits.swap(0, Ordering::Relaxed));
        let causes = [
            ("exhausted", &counts.exhausted),
            ("cut_off", &counts.cut_off),
            ("late", &counts.late),
            ("no_share", &counts.shareless),
        ];
        for (cause, refused) in causes {
            self.limit_refusals.with_label_values(&[cause]).inc_by(refused.swap(0, Ordering::Relaxed));
        }
    }
}

/// What the journal of this start has done.
fn journal_families(figures: &Figures) -> Vec<Family> {
    let number = |name, help, value: u64| Family::counter(name, help).with(&[], value as f64);
    let oldest = figures.oldest.unwrap_or_default().as_secs_f64();
    vec![
        number("aegis_journal_taken_records_total", "Records that the journal has taken.", figures.taken),
        number(
            "aegis_journal_kept_records_total",
            "Records that the journal has acknowledged.",
            figures.kept,
        ),
        number("aegis_journal_written_bytes_total", "Bytes that the journal has written.", figures.bytes),
        number(
            "aegis_journal_checkpoints_total",
            "Checkpoints that the journal has signed.",
            figures.checkpoints,
        ),
        number("aegis_journal_segments_total", "Segments that the journal has ended.", figures.segments),
        Family::gauge(
            "aegis_journal_oldest_unsynced_seconds",
            "How long the oldest record waits at most that is not acknowledged; 0 if none does.",
        )
        .with(&[], oldest),
        Family::histogram("aegis_journal_sync_seconds", "Time that syncs of the journal took.")
            .with_distribution(&[], figures.syncs.clone()),
    ]
}

/// What calls were charged, by tenant, agent, tool and unit; beyond [`caps::SPEND_SERIES_MAX`], what differs from those that
/// are there is summed up as `other`.
struct Spend {
    total: CounterVec,
    series: Mutex<HashSet<[String; 4]>>,
}

impl Spend {
    fn new(registry: &Registry) -> Self {
        let help = "Charged by budgets, as reserved when the call was allowed, in units of `unit`.";
        let labels = ["tenant", "agent", "tool", "unit"];
        let total = CounterVec::new(Opts::new("aegis_limits_spend_total", help), &labels).expect(VALID);
        registry.register(Box::new(total.clone())).expect(ONCE);
        Self { total, series: Mutex::default() }
    }

    fn count(&self, labels: [&str; 4], micros: u64) {
        let known = {
            let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
            let labels = labels.map(str::to_owned);
            series.contains(&labels) || (series.len() < caps::SPEND_SERIES_MAX && series.insert(labels))
        };
        let labels = if known { labels } else { [OTHER_TENANTS; 4] };
        self.total.with_label_values(&labels).inc_by(micros as f64 / 1e6);
    }
}

const VALID: &str = "names, labels and buckets are constants of the right form";
const ONCE: &str = "each name is registered once";

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
