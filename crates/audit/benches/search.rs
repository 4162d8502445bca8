//! How long a search for a rare agent takes in a node's journal, and what it does to the records that are written meanwhile.
//!
//! `AEGIS_SEARCH_RECORDS` says how many records there are; a million take about a gigabyte.

#![expect(clippy::panic, clippy::print_stdout, reason = "a benchmark measures and prints")]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aegis_audit::hash::{DigestKey, Hash};
use aegis_audit::journal::{Disk, Durability, Home, Journal, Means, NotKept, Settings, SystemDisk};
use aegis_audit::keys::{KeyKind, SigningKey};
use aegis_audit::origin::Origin;
use aegis_audit::record::{Chain, Decision, Draft, Policy, RecordId, What};
use aegis_audit::search::{Filter, Folder, Growing, Limits, Logs, Sketches, search};
use aegis_model::caps;
use aegis_model::clock::{Clock, UnixNanos};
use aegis_model::decision::Outcome;
use aegis_model::secret::Secret;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// One record of so many is the rare agent's.
const RARE: u64 = 10_000;

const WAIT: Duration = Duration::from_secs(60);

fn draft(digests: &DigestKey, number: u64) -> Draft {
    let agent = if number.is_multiple_of(RARE) { "rare-bot" } else { "support-bot" };
    let what = What::Decision(Box::new(Decision {
        action: "refund".parse().expect("a name"),
        agent: agent.parse().expect("a name"),
        approval: None,
        callers: vec!["planner".parse().expect("a name")],
        charged: Vec::new(),
        decision_id: format!("d-n1-1-{number}"),
        dry_run: false,
        findings: Vec::new(),
        latency_ns: [("authorize".into(), 4_100), ("identify".into(), 900)].into(),
        left_out: 0,
        limits: Vec::new(),
        org: "acme".parse().expect("a name"),
        outcome: Outcome::Allow,
        params: None,
        params_digest: Some(digests.digest(&number.to_be_bytes())),
        params_key: Some(1),
        policy: Some(Policy { activation: 3, digest: format!("sha256:{}", Hash::of(b"bundle")), version: 2 }),
        reasons: Vec::new(),
        request_id: Some("8a6e0804-2bd0-4672-b79d-d97027f9071a".parse().expect("an id")),
        rules: vec!["support-bot/allowed_tools[0]".into()],
        sealed: None,
        snapshot: 12,
        surface: "grpc".into(),
        token_id: "1b4e28ba-2fa1-11d2-883f-0016d3cca427".into(),
        tool: "stripe-payments".parse().expect("a name"),
        trace_id: Some(RecordId([9; 16])),
        unverified: Vec::new(),
    }));
    let id = RecordId(u128::from(number).to_be_bytes());
    Draft::new(UnixNanos(1_795_741_200_000_000_000 + number), chain(), id, &what).expect("within bounds")
}

fn chain() -> Chain {
    "tenant/acme".parse().expect("a chain")
}

/// Writes `records` as fast as the disk takes them.
fn fill(journal: &Journal, digests: &DigestKey, records: u64) {
    for number in 1..=records {
        loop {
            match journal.append(draft(digests, number), Durability::Written) {
                Ok(ticket) if number == records => {
                    ticket.wait(WAIT).expect("it is kept");
                    break;
                }
                Ok(_kept_with_the_last) => break,
                Err(NotKept::Busy) => std::thread::yield_now(),
                Err(refused) => panic!("{refused}"),
            }
        }
    }
    journal.checkpoint().expect("a checkpoint");
}

/// Searches everything, page by page: how many were found, and how many bytes were read.
fn find(root: &Path, journal: &Journal, filter: &Filter) -> (usize, u64) {
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let shelf = Folder { disk: Arc::clone(&disk), root: root.to_owned() };
    let (log, origin) = (root.join("1"), journal.key().name().to_string());
    let (mut from, mut hits, mut read) = (None, 0, 0);
    let mut sketches = Sketches::default();
    let limits = Limits {
        hits: caps::PAGE_ROWS_DEFAULT,
        hit_bytes: caps::SEARCH_PAGE_BYTES_MAX,
        read_bytes: caps::SEARCH_READ_BYTES_MAX,
    };
    loop {
        let synced = journal.newest().map_or(0, |newest| newest.checkpoint.size);
        let growing = Growing { disk: &*disk, folder: &log, origin: &origin, life: 1, synced };
        let logs = Logs { shelves: &[&shelf], growing: Some(growing) };
        let found = search(&logs, &chain(), filter, from, limits, &mut sketches, || true);
        let found = found.expect("the files can be read");
        (hits, read) = (hits + found.hits.len(), read + found.read_bytes);
        match found.rest {
            Some(rest) => from = Some(rest),
            None => return (hits, read),
        }
    }
}

/// How long one record after the other took until it was synced, until `done`: median and 99th percentile, in microseconds.
fn decide(
    journal: &Journal,
    digests: &DigestKey,
    clock: &Clock,
    first: u64,
    done: impl Fn(u64) -> bool,
) -> (f64, f64) {
    let mut took = Vec::new();
    for number in 0.. {
        if done(number) {
            break;
        }
        let began = clock.monotonic();
        // Never the rare agent's.
        let draft = draft(digests, (first + number) * RARE + 1);
        let ticket = journal.append(draft, Durability::Synced).expect("it is taken");
        ticket.wait(WAIT).expect("it is kept");
        took.push(clock.monotonic().since(began).as_secs_f64() * 1e6);
    }
    took.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| took.get((took.len() as f64 * share) as usize).copied().unwrap_or_default();
    (at(0.5), at(0.99))
}

fn figure(name: &str, value: f64, unit: &str) {
    println!("{}", serde_json::json!({ "name": name, "value": value, "unit": unit }));
}

fn main() {
    let wanted = std::env::var("AEGIS_SEARCH_RECORDS").ok().and_then(|text| text.parse().ok());
    let records: u64 = wanted.unwrap_or(1_000_000);
    let (folder, clock) = (tempfile::tempdir().expect("a folder"), Clock::System);
    let origin = Origin::new("prod.example".parse().expect("a name"), "n1", 1).expect("a name");
    let home = Home::open(Arc::new(SystemDisk), folder.path(), origin.cluster(), "n1").expect("a folder");
    let means = Means {
        clock: clock.clone(),
        randomness: Box::new(StdRng::seed_from_u64(1)),
        settings: Settings::default(),
    };
    let key = SigningKey::generate(origin.key_name(), KeyKind::Note, &mut StdRng::seed_from_u64(1));
    let journal = home.begin(&origin, key, "boot", means).expect("a journal");
    let digests = DigestKey::new(&Secret::new([7; 32]));
    fill(&journal, &digests, records);
    figure("search/records", records as f64, "records");

    let rare = Filter { agent: Some("rare-bot".parse().expect("a name")), ..Filter::default() };
    let timed = |name: &str, filter: &Filter, wanted: usize| {
        let began = clock.monotonic();
        let (hits, read) = find(folder.path(), &journal, filter);
        let took = clock.monotonic().since(began).as_secs_f64();
        assert_eq!(hits, wanted, "{name}");
        figure(&format!("search/{name}_seconds"), took, "s");
        read
    };
    let rares = usize::try_from(records / RARE).expect("it fits");
    let read = timed("rare_agent", &rare, rares);
    figure("search/read_bytes", read as f64, "B");
    // What cannot be told without taking records apart.
    let version = Filter { version: Some(3), ..Filter::default() };
    timed("no_version", &version, 0);

    let (median, slow) = decide(&journal, &digests, &clock, records, |number| number == 5_000);
    figure("search/record_alone_p50", median, "us");
    figure("search/record_alone_p99", slow, "us");
    let over = AtomicBool::new(false);
    let (median, slow) = std::thread::scope(|scope| {
        let searching = scope.spawn(|| {
            timed("rare_agent_while_deciding", &rare, rares);
            over.store(true, Ordering::Relaxed);
        });
        let decided = decide(&journal, &digests, &clock, 2 * records, |_number| over.load(Ordering::Relaxed));
        searching.join().expect("it finds what there is");
        decided
    });
    figure("search/record_while_searching_p50", median, "us");
    figure("search/record_while_searching_p99", slow, "us");
}
