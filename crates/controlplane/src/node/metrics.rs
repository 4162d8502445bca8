//! The metrics of a control node, and their page `/metrics`; beside it [`/state`](super::state_page).

mod state;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aegis_model::metric::{Family, Source};
use aegis_proto::exposition::Format;
use aegis_raft_store::store::StoreHandle;
use axum::Router;
use axum::http::{HeaderMap, header};
use axum::routing::get;

use super::{Parts, state_page};
use crate::deliveries::Counters;
use crate::feed::Acks;
use crate::lending::LendingNode;
use crate::readiness::Readiness;
use crate::spans::CallSink;

/// What a control node has to tell. Cheap to clone.
#[derive(Clone)]
pub struct Metrics {
    pub(super) parts: Parts,
    pub(super) lending: LendingNode,
    pub(super) acks: Acks,
    pub(super) store: StoreHandle,
    pub(super) readiness: Readiness,
    pub(super) deliveries: Arc<Counters>,
    pub(super) calls: CallSink,
    pub(super) more: Option<Source>,
}

/// Answers scrapes.
pub(super) fn router(metrics: Metrics) -> Router {
    let (parts, store) = (metrics.parts.clone(), metrics.store.clone());
    let state = move || {
        let page = state_page::answer(&parts, &store);
        async move { page }
    };
    let answer = move |headers: HeaderMap| {
        let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let format = Format::accepted(accept);
        let page = format.page(&metrics.families());
        async move { ([(header::CONTENT_TYPE, format.content_type())], page) }
    };
    Router::new().route("/metrics", get(answer)).route("/state", get(state))
}

impl Metrics {
    /// Everything there is to tell, as of now.
    pub fn families(&self) -> Vec<Family> {
        let mut page = Page(Vec::new());
        self.own(&mut page);
        raft_part(&mut page, &self.parts);
        lending_part(&mut page, &self.lending);
        feed_part(&mut page, &self.acks);
        store_part(&mut page, &self.parts);
        deliveries_part(&mut page, &self.deliveries);
        page.0.extend(self.calls.families());
        if self.parts.raft.leads() {
            state::families(&mut page, &self.parts);
        }
        page.0.extend(self.more.iter().flat_map(Source::families));
        page.0
    }

    /// The same as a source, for those who know nothing of control nodes.
    pub fn source(self) -> Source {
        Source::new(move || self.families())
    }

    fn own(&self, page: &mut Page) {
        let Self { parts, store, readiness, .. } = self;
        let (status, counters, written) = (parts.raft.status(), parts.raft.counters(), store.counters());
        let applied = *parts.control.applied().borrow();
        page.gauge("ready", "Whether the node should be sent requests.", u64::from(readiness.is_ready()));
        page.gauge("raft_leader", "Whether this node leads.", u64::from(parts.raft.leads()));
        page.gauge(
            "raft_leader_known",
            "Whether this node knows who leads.",
            u64::from(status.leader.is_some()),
        );
        page.gauge("raft_voter", "Whether this node decides.", u64::from(status.voter));
        page.gauge("raft_term", "The term.", status.term);
        page.gauge("raft_members", "Members of the cluster, learners included.", status.members.len() as u64);
        page.gauge("raft_log_index", "Index of the newest entry of the log.", status.last_log_index);
        page.gauge("raft_applied_index", "Index of the newest entry that was applied.", applied.index);
        page.gauge(
            "raft_snapshot_index",
            "Index of the newest entry that a snapshot covers.",
            status.snapshot_index,
        );
        page.gauge("history", "The history of the cluster.", applied.history);
        page.seconds(
            "log_time_seconds",
            "Log time at the newest applied entry; a majority has confirmed it.",
            applied.log_time_ms,
        );
        let agreement = parts.raft.agreement();
        page.gauge(
            "state_differing_members",
            "Members whose state differs from this node's after the same entry.",
            agreement.differing.len() as u64,
        );
        page.gauge(
            "state_in_doubt",
            "Whether one differs and nobody can tell whose is right.",
            u64::from(agreement.is_in_doubt()),
        );
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        page.counter(
            "raft_entries_total",
            "Entries with commands that this node proposed.",
            count(&counters.entries),
        );
        page.counter("raft_commands_total", "Commands in those entries.", count(&counters.commands));
        page.counter(
            "raft_ticks_total",
            "Ticks of log time that this node proposed.",
            count(&counters.ticks),
        );
        page.counter("raft_forwarded_total", "Commands sent on to the leader.", count(&counters.forwarded));
        page.counter("raft_reads_total", "Linearizable reads.", count(&counters.reads));
        page.counter(
            "raft_read_rounds_total",
            "Rounds of questions that answered them.",
            count(&counters.read_rounds),
        );
        page.counter(
            "state_comparisons_total",
            "Comparisons of another member's state with this node's.",
            count(&counters.state_comparisons),
        );
        page.counter(
            "state_differences_total",
            "Comparisons that found a difference which was not known.",
            count(&counters.state_differences),
        );
        page.counter("store_log_syncs_total", "Synced transactions of the log.", written.log_synced);
        page.counter("store_log_entries_total", "Entries written to the log.", written.log_entries);
        page.counter(
            "store_state_transactions_total",
            "Transactions of the state.",
            written.state_transactions,
        );
        page.counter("store_state_syncs_total", "Synced transactions of the state.", written.state_synced);
    }
}

/// How far the other members are behind this one, as far as it leads.
fn raft_part(page: &mut Page, parts: &Parts) {
    let metrics = parts.raft.raft().metrics();
    let metrics = metrics.borrow();
    let (Some(replication), last) = (&metrics.replication, metrics.last_log_index.unwrap_or_default()) else {
        return;
    };
    let members = parts.raft.status().members;
    let help = "Entries of the log that this node, which leads, does not know to be at a member.";
    let mut lag = Family::gauge("aegis_control_raft_replication_lag_entries", help);
    for (id, matched) in replication {
        let Some((peer, _)) = members.get(id) else { continue };
        let behind = last.saturating_sub(matched.map_or(0, |matched| matched.index));
        lag = lag.with(&[("member", &peer.name)], behind as f64);
    }
    page.0.push(lag);
}

/// How data nodes stand that follow this node.
fn feed_part(page: &mut Page, acks: &Acks) {
    let nodes = acks.nodes();
    page.gauge("feed_followers", "Data nodes that follow this node.", nodes.len() as u64);
    let troubled =
        nodes.iter().flat_map(|node| node.tenants.values()).filter(|tenant| tenant.trouble.is_some());
    page.gauge(
        "feed_troubled",
        "Tenants at data nodes that follow this node whose newest activation is not in force, for a reason that the node tells.",
        troubled.count() as u64,
    );
}

fn store_part(page: &mut Page, parts: &Parts) {
    if let Some(shelving) = &parts.shelving {
        let shelving = shelving.borrow();
        page.gauge(
            "object_store_active",
            "Whether this node keeps the object store.",
            u64::from(shelving.active),
        );
        page.gauge("object_store_pending", "Objects that the object store lacks.", shelving.pending);
        page.gauge("object_store_failures", "Failures in a row.", u64::from(shelving.failures));
        let problems = shelving.problems.len() as u64 + shelving.more_problems;
        page.gauge("object_store_problems", "Things that are not as they should be.", problems);
    }
}

/// What came of telling channels of approvals, at this node.
fn deliveries_part(page: &mut Page, counters: &Counters) {
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    page.counter(
        "deliveries_sent_total",
        "Messages about approvals that a channel took from this node.",
        count(&counters.sent),
    );
    page.counter(
        "deliveries_failed_total",
        "Attempts of this node to tell a channel of an approval that failed.",
        count(&counters.failed),
    );
}

fn lending_part(page: &mut Page, lending: &LendingNode) {
    let (counters, living) = (lending.counters(), lending.live().borrow().len() as u64);
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    page.gauge(
        "lending_nodes",
        "Data nodes that live, as the lender knows; 0 where this node does not lend.",
        living,
    );
    page.counter("lending_reigns_total", "How often this node became the lender.", count(&counters.reigns));
    page.counter("lending_asks_total", "Asks of data nodes for budgets.", count(&counters.asks));
    page.counter("lending_ticks_total", "Ticks of data nodes for rates.", count(&counters.ticks));
    page.counter("lending_commands_total", "Commands proposed for both.", count(&counters.commands));
    page.counter(
        "lending_confirmations_total",
        "Confirmations by a quorum, for ticks that changed nothing.",
        count(&counters.confirmations),
    );
    page.counter("lending_recalls_total", "Recalls sent to data nodes.", count(&counters.recalls));
    page.counter(
        "budget_alerts_total",
        "Budgets of which half, four fifths or all are charged.",
        count(&counters.alerts),
    );
}

/// Families in the making.
struct Page(Vec<Family>);

impl Page {
    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.0.push(Family::gauge(&format!("aegis_control_{name}"), help).with(&[], value as f64));
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) {
        self.0.push(Family::counter(&format!("aegis_control_{name}"), help).with(&[], value as f64));
    }

    fn seconds(&mut self, name: &str, help: &str, millis: u64) {
        self.0.push(Family::gauge(&format!("aegis_control_{name}"), help).with(&[], millis as f64 / 1e3));
    }
}
