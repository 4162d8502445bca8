//! Searches against a plain filter over everything that was written: whatever is asked, page by page, while records arrive.

use std::path::Path;
use std::sync::Arc;

use aegis_audit::hash::Hash;
use aegis_audit::journal::*;
use aegis_audit::record::*;
use aegis_audit::search::*;
use aegis_audit::tree;
use aegis_model::clock::UnixNanos;
use aegis_model::decision::Outcome;
use aegis_model::reason::ReasonCode;
use proptest::prelude::*;
use proptest::sample::select;

use crate::node::{key_of, means, origin};
use crate::samples::*;

const AGENTS: [&str; 3] = ["bot", "bot-2", "payer"];
const OUTCOMES: [Outcome; 2] = [Outcome::Allow, Outcome::Deny];
const CODES: [ReasonCode; 2] = [ReasonCode::ToolDenied, ReasonCode::BudgetExceeded];

/// One thing that a node writes down.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    Decide {
        tenant: usize,
        agent: usize,
        denied: Option<usize>,
        version: u64,
        at: u64,
        request: Option<u64>,
    },
    /// A completion of an earlier decision of the same life, if there is one.
    Complete(usize),
    Other(usize),
}

const TENANTS: [&str; 2] = ["tenant/acme", "tenant/beta"];

fn step() -> impl Strategy<Value = Step> {
    let decide = (
        0..2_usize,
        0..3_usize,
        proptest::option::of(0..2_usize),
        1..4_u64,
        // A clock that goes to and fro.
        0..40_u64,
        proptest::option::of(0..9_u64),
    )
        .prop_map(|(tenant, agent, denied, version, at, request)| Step::Decide {
            tenant,
            agent,
            denied,
            version,
            at,
            request,
        });
    prop_oneof![8 => decide, 2 => (0..64_usize).prop_map(Step::Complete), 1 => (0..2_usize).prop_map(Step::Other)]
}

fn filters() -> impl Strategy<Value = Filter> {
    let agent = proptest::option::of(select(&AGENTS[..]));
    let outcome = proptest::option::of(select(&OUTCOMES[..]));
    let reason = proptest::option::of(select(&CODES[..]));
    let version = proptest::option::of(1..4_u64);
    let request = proptest::option::weighted(0.2, 0..9_u64);
    let times = (proptest::option::of(0..40_u64), proptest::option::of(0..40_u64));
    (agent, outcome, reason, version, request, times).prop_map(
        |(agent, outcome, reason, version, request, (from, to))| Filter {
            agent: agent.map(|agent| agent.parse().unwrap()),
            outcome,
            reason,
            version,
            request_id: request.map(|id| format!("r\"{id}").parse().unwrap()),
            from: from.map(moment),
            to: to.map(moment),
            ..Filter::default()
        },
    )
}

/// A node, and what it has written.
pub(crate) struct Node {
    home: Home,
    journal: Option<Journal>,
    life: u64,
    written: Vec<Written>,
    number: u64,
}

struct Written {
    life: u64,
    chain: &'static str,
    at: UnixNanos,
    placed: Placed,
    what: What,
}

impl Node {
    pub(crate) fn new(root: &Path) -> Self {
        let home = Home::open(Arc::new(SystemDisk), root, &"prod.example".parse().unwrap(), "n1").unwrap();
        Self { home, journal: None, life: 0, written: Vec::new(), number: 0 }
    }

    pub(crate) fn begin(&mut self) {
        if let Some(journal) = self.journal.take() {
            // Half of the lives end in order, and half are cut off.
            if self.life.is_multiple_of(2) {
                journal.close().unwrap();
            }
            drop(journal);
            self.home.close_earlier("boot", || means(100 + self.life)).unwrap();
        }
        self.life += 1;
        let journal = self.home.begin(&origin(self.life), key_of(self.life), "boot", means(self.life));
        self.journal = Some(journal.unwrap());
    }

    /// The last life ends in order.
    pub(crate) fn end(&mut self) {
        self.journal.take().unwrap().close().unwrap();
    }

    pub(crate) fn write(&mut self, step: &Step) {
        self.number += 1;
        let (tenant, at, what) = match step {
            Step::Decide { tenant, agent, denied, version, at, request } => {
                let What::Decision(mut it) = decision(self.number) else { panic!("it is one") };
                it.agent = AGENTS[*agent].parse().unwrap();
                it.policy.as_mut().unwrap().version = *version;
                it.request_id = request.map(|id| format!("r\"{id}").parse().unwrap());
                it.decision_id = format!("d-n1-{}-{}", self.life, self.number);
                if let Some(code) = denied {
                    it.outcome = Outcome::Deny;
                    // What says nothing stands where somebody might look for something.
                    let message = format!("\"agent\":\"{}\",\"code\":\"{}\"", AGENTS[0], CODES[1].as_str());
                    let (path, position, rule) = (None, None, None);
                    it.reasons.push(Reason { code: CODES[*code], message, path, position, rule });
                }
                (TENANTS[*tenant], moment(*at), What::Decision(it))
            }
            Step::Complete(number) => {
                let ours: Vec<&Written> = self.written.iter().filter(|it| it.life == self.life).collect();
                let decisions: Vec<_> =
                    ours.iter().filter(|it| matches!(it.what, What::Decision(_))).collect();
                let Some(of) = decisions.get(number % decisions.len().max(1)) else { return };
                let (What::Decision(decided), What::Completion(completion)) = (&of.what, &every_kind()[2])
                else {
                    panic!("they are")
                };
                let completion = Completion {
                    agent: decided.agent.clone(),
                    decision: Link { entry: of.placed.entry, id: of.placed.id },
                    decision_id: decided.decision_id.clone(),
                    ..completion.clone()
                };
                (of.chain, of.at, What::Completion(completion))
            }
            Step::Other(tenant) => (TENANTS[*tenant], moment(7), every_kind()[4].clone()),
        };
        let id = RecordId::random(&mut rng(self.number));
        let draft = Draft::new(at, tenant.parse().unwrap(), id, &what).unwrap();
        let journal = self.journal.as_ref().unwrap();
        let placed =
            journal.append(draft, Durability::Written).unwrap().wait(std::time::Duration::from_secs(20));
        self.written.push(Written { life: self.life, chain: tenant, at, placed: placed.unwrap(), what });
    }

    /// What a search of everything written up to now has to find: life and index, the newest first.
    pub(crate) fn wanted(&self, chain: &str, filter: &Filter) -> Vec<(u64, u64)> {
        let mut wanted: Vec<(u64, u64)> = self
            .written
            .iter()
            .filter(|it| it.chain == chain && is_wanted(filter, it))
            .map(|it| (it.life, it.placed.index))
            .collect();
        wanted.reverse();
        wanted
    }

    /// The indexes of completions that name the decision at `index` of `life`.
    fn completions(&self, life: u64, index: u64) -> Vec<u64> {
        let named = |it: &&Written| it.life == life && it.placed.index == index;
        let id = self.written.iter().find(named).unwrap().placed.id;
        let names = |it: &&Written| {
            it.life == life
                && matches!(&it.what, What::Completion(completion) if completion.decision.id == id)
        };
        let mut indexes: Vec<u64> = self.written.iter().filter(names).map(|it| it.placed.index).collect();
        indexes.reverse();
        indexes
    }
}

/// A filter, once more, over records as they were written.
fn is_wanted(filter: &Filter, written: &Written) -> bool {
    let What::Decision(it) = &written.what else { return false };
    filter.agent.as_ref().is_none_or(|agent| *agent == it.agent)
        && filter.outcome.is_none_or(|outcome| outcome == it.outcome)
        && filter.reason.is_none_or(|code| it.reasons.iter().any(|reason| reason.code == code))
        && filter.version.is_none_or(|version| it.policy.as_ref().unwrap().version == version)
        && filter.request_id.as_ref().is_none_or(|id| it.request_id.as_ref() == Some(id))
        && filter.decision_id.as_ref().is_none_or(|id| *id == it.decision_id)
        && filter.from.is_none_or(|from| written.at >= from)
        && filter.to.is_none_or(|to| written.at < to)
}

/// One page.
fn page(
    node: &Node,
    root: &Path,
    chain: &Chain,
    filter: &Filter,
    from: Option<Position>,
    hits: usize,
    sketches: &mut Sketches,
) -> Found {
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let shelf = Folder { disk: Arc::clone(&disk), root: root.to_owned() };
    let (journal, log) = (node.journal.as_ref().unwrap(), root.join(node.life.to_string()));
    let name = journal.key().name().to_string();
    let growing = Growing {
        disk: &*disk,
        folder: &log,
        origin: &name,
        life: node.life,
        synced: journal.newest().map_or(0, |newest| newest.checkpoint.size),
    };
    let logs = Logs { shelves: &[&shelf], growing: Some(growing) };
    // Two segments, so that an answer often ends before it is full.
    let limits = Limits { hits, hit_bytes: 1 << 20, read_bytes: 8_000 };
    search(&logs, chain, filter, from, limits, sketches, || true).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// TEN-1 among it: nothing of the other tenant is ever found.
    #[test]
    fn pages_hold_what_a_plain_filter_finds_each_once(
        lives in proptest::collection::vec(proptest::collection::vec(step(), 0..40), 1..4),
        filters in proptest::collection::vec(filters(), 1..5),
        later in proptest::collection::vec(step(), 6),
        limit in 1_usize..12,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let mut node = Node::new(folder.path());
        for steps in &lives {
            node.begin();
            steps.iter().for_each(|step| node.write(step));
        }
        let mut sketches = Sketches::default();
        for filter in filters.iter().chain([&Filter::default()]) {
            for tenant in TENANTS {
                node.journal.as_ref().unwrap().checkpoint().unwrap();
                let chain: Chain = tenant.parse().unwrap();
                let wanted = node.wanted(tenant, filter);
                let (mut found, mut from, mut pages) = (Vec::new(), None, 0);
                loop {
                    let answer = page(&node, folder.path(), &chain, filter, from, limit, &mut sketches);
                    prop_assert!(answer.hits.len() <= limit);
                    for hit in &answer.hits {
                        let record = Record::read(&hit.record).unwrap();
                        prop_assert_eq!(&record.chain, &chain);
                        prop_assert_eq!(hit.at, record.at);
                        prop_assert_eq!(hit.leaf(), tree::leaf(&Hash::of(&hit.record).0));
                        let links: Vec<u64> = hit.links.iter().map(|link| link.index).collect();
                        let all = node.completions(hit.life, hit.index);
                        if !hit.links_partial {
                            // What came after the search began may be there already, or not.
                            prop_assert!(all.ends_with(&links) || links == all[..links.len().min(16)], "{links:?} {all:?}");
                        }
                        prop_assert!(links.iter().all(|link| all.contains(link)));
                    }
                    found.extend(answer.hits.iter().map(|hit| (hit.life, hit.index)));
                    let Some(rest) = answer.rest else { break };
                    from = Some(rest);
                    pages += 1;
                    prop_assert!(pages < 1_000, "it comes to an end");
                    // Meanwhile records arrive, and segments are sealed.
                    node.write(&later[pages % later.len()]);
                    node.journal.as_ref().unwrap().checkpoint().unwrap();
                }
                prop_assert_eq!(found, wanted, "{:?}", filter);
            }
        }
    }
}

pub(crate) fn decide(at: u64) -> Step {
    Step::Decide { tenant: 0, agent: 2, denied: None, version: 1, at, request: None }
}

#[test]
fn what_is_not_synced_is_not_shown_and_a_completion_is_told_with_its_decision() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::new(folder.path());
    node.begin();
    let chain: Chain = "tenant/acme".parse().unwrap();
    let find = |node: &Node| {
        page(node, folder.path(), &chain, &Filter::default(), None, 10, &mut Sketches::default())
    };
    node.write(&decide(1));
    assert_eq!(find(&node).hits.len(), 0, "no checkpoint covers it");
    node.journal.as_ref().unwrap().checkpoint().unwrap();
    node.write(&decide(2));
    let found = find(&node);
    assert_eq!((found.hits.len(), found.rest), (1, None));
    assert!(found.hits[0].links.is_empty());
    node.write(&Step::Complete(0));
    node.journal.as_ref().unwrap().checkpoint().unwrap();
    let found = find(&node);
    let kinds: Vec<Vec<&str>> =
        found.hits.iter().map(|hit| hit.links.iter().map(|link| link.kind).collect()).collect();
    assert_eq!(kinds, [vec![], vec!["completion"]]);
    assert_eq!(found.hits[1].links[0].index, 2);
}

#[test]
fn segments_of_other_times_are_read_once_and_not_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::new(folder.path());
    node.begin();
    (0..60).for_each(|at| node.write(&decide(at)));
    node.begin();
    let chain: Chain = "tenant/acme".parse().unwrap();
    let filter = Filter { from: Some(moment(50)), ..Filter::default() };
    let mut sketches = Sketches::default();
    let mut read = || {
        let (mut from, mut bytes, mut hits) = (None, 0, 0);
        loop {
            let found = page(&node, folder.path(), &chain, &filter, from, 100, &mut sketches);
            (bytes, hits) = (bytes + found.read_bytes, hits + found.hits.len());
            let Some(rest) = found.rest else { return (bytes, hits) };
            from = Some(rest);
        }
    };
    let ((first, hits), (second, again)) = (read(), read());
    assert_eq!((hits, again), (10, 10));
    assert!(second * 2 < first, "{second} of {first} bytes");
}

#[test]
fn damage_is_an_error_and_never_a_shorter_answer() {
    let folder = tempfile::tempdir().unwrap();
    let mut node = Node::new(folder.path());
    node.begin();
    (0..40).for_each(|at| node.write(&decide(at)));
    node.begin();
    (0..3).for_each(|at| node.write(&decide(at)));
    node.journal.as_ref().unwrap().checkpoint().unwrap();
    let chain: Chain = "tenant/acme".parse().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let log = folder.path().join("2");
    let name = node.journal.as_ref().unwrap().key().name().to_string();
    let ask = |shelf: &dyn Shelf| {
        let synced = node.journal.as_ref().unwrap().newest().unwrap().checkpoint.size;
        let growing = Growing { disk: &*disk, folder: &log, origin: &name, life: 2, synced };
        let logs = Logs { shelves: &[shelf], growing: Some(growing) };
        let limits = Limits { hits: 100, hit_bytes: 1 << 20, read_bytes: 1 << 30 };
        search(&logs, &chain, &Filter::default(), None, limits, &mut Sketches::default(), || true)
    };
    let shelf = Folder { disk: Arc::clone(&disk), root: folder.path().to_owned() };
    assert_eq!(ask(&shelf).unwrap().hits.len(), 43);
    let of_life = |life: &str, below: &str| {
        let mut at = folder.path().join(life).join(below);
        while at.is_dir() {
            let names = disk.list(&at).unwrap();
            at = at.join(names.iter().find(|name| !["log", "node"].contains(&name.as_str())).unwrap());
        }
        at
    };
    for path in [of_life("1", "segments"), of_life("2", "wal")] {
        let whole = std::fs::read(&path).unwrap();
        // Behind what was written to a file that grows lie zeros.
        let middle = whole.iter().rposition(|byte| *byte != 0).unwrap() / 2;
        for changed in [whole[..middle].to_vec(), [&whole[..middle], b"\0", &whole[middle + 1..]].concat()] {
            // A file that was cut off between two frames looks whole; verification tells.
            if changed.len() == middle && path.extension().is_some_and(|it| it == "wal") {
                continue;
            }
            std::fs::write(&path, &changed).unwrap();
            let error = ask(&shelf).unwrap_err();
            assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "{}", path.display());
        }
        std::fs::write(&path, &whole).unwrap();
    }
    assert_eq!(ask(&shelf).unwrap().hits.len(), 43);
}
