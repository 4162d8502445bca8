//! Data nodes are killed while they spend: what they had not spent comes back, to the unit, and nothing is spent twice (B4).
//!
//! Each round has a budget of its own and kills one node in the middle of it. Clients count what they were told: never more
//! than the budget is allowed, and what is missing of it is at most what was under way at the node that died. At the end the records
//! of all lives are held against the ledgers: no other call was charged without one.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aegis_testkit::eventually;
use rand::RngExt as _;
use serde_json::json;
use tokio::task::JoinSet;

use super::callers::{Client, Said, Told, clients};
use super::evidence::{Evidence, journals};
use super::{agent, enforce};
use crate::nodes::Cluster;
use crate::support::LONG;
use crate::trials::figures::figure;
use crate::trials::{any_moment, dice, rounds, runtime};

const BUDGET: u64 = 400;

/// Clients per data node, with one call under way each.
const CLIENTS: usize = 4;

/// Without an allowed call for so long, with all nodes there, the budget is spent: twice as long as a call waits for a part of it.
const SPENT: Duration = Duration::from_secs(3);

/// Without an allowed call for so long, what is missing of the budget is lost: a bound for broken code.
const LOST: Duration = Duration::from_secs(20);

/// Pause of a client after a call.
const PAUSE: Duration = Duration::from_millis(10);

/// A bound for broken code: how long a round may take.
const LONGEST: Duration = Duration::from_secs(60);

#[test]
fn a_killed_data_node_loses_and_overspends_nothing() {
    let mut dice = dice("lease-kills");
    let mut cluster = Cluster::running(3, 3);
    enforce(
        &cluster,
        &format!("agents: ['agent-*']\ndaily_budget: {BUDGET}\nallowed_tools: [{{name: stripe-payments}}]\n"),
    );
    let (runtime, rounds) = (runtime(), rounds(20));
    let (mut in_flight, mut unspent) = (0, 0);
    for round in 1..=rounds {
        let token = agent(&cluster, &format!("agent-{round}"));
        let load = {
            let _within = runtime.enter();
            Load::start(clients(&cluster, &token, CLIENTS * cluster.data.len()))
        };
        any_moment(&mut dice, 600);
        let victim = dice.random_range(0..cluster.data.len());
        cluster.data[victim].kill();
        any_moment(&mut dice, 200);
        cluster.start_data(victim);
        let [allowed, _, _, unanswered] = runtime.block_on(load.until_spent()).sums();
        assert!(allowed <= BUDGET, "round {round}: {allowed} of {BUDGET} were allowed");
        assert!(
            allowed + unanswered >= BUDGET,
            "round {round}: {allowed} of {BUDGET} were allowed, and only {unanswered} calls were cut off"
        );
        in_flight += unanswered;
        unspent += BUDGET - allowed;
    }
    let without_record = held_against_ledgers(&mut cluster);
    assert!(
        without_record <= in_flight,
        "{without_record} calls have no record, and {in_flight} were cut off"
    );
    figure("lease-kills/kills", rounds as f64, "");
    // One unit more ended the test above.
    figure("lease-kills/overspent", 0.0, "calls");
    figure("lease-kills/unspent", unspent as f64, "calls");
    figure("lease-kills/cut_off", in_flight as f64, "calls");
    figure("lease-kills/without_record", without_record as f64, "calls");
}

/// How many calls were charged without a record, once all nodes have returned what they hold. No record is without its charge.
fn held_against_ledgers(cluster: &mut Cluster) -> u64 {
    let logs = journals(cluster);
    (0..cluster.data.len()).for_each(|at| cluster.data[at].stop());
    let told = || {
        let told = Evidence::of(cluster).held(&logs).json();
        let rows = told["ledgers"].as_array()?.clone();
        rows.iter().all(|row| row["unproven"] == "0").then_some((rows, told))
    };
    let (rows, told) = eventually("every lease to come back", LONG, told).expect("the ledgers");
    let of = |held: &str| rows.iter().filter(|row| row["held"] == held).collect::<Vec<_>>();
    assert!(of("record_without_spend").is_empty(), "{told}");
    assert_eq!(told["unknown"], json!([]), "{told}");
    assert!(!of("exact").is_empty(), "{told}");
    let missing = of("spend_without_record");
    missing
        .iter()
        .map(|row| row["difference"].as_str().and_then(|it| it.parse::<u64>().ok()).expect("calls"))
        .sum()
}

/// Clients that call until nothing is left.
struct Load {
    told: Arc<Told>,
    last_allowed: Arc<Mutex<Instant>>,
    over: Arc<AtomicBool>,
    tasks: JoinSet<()>,
}

impl Load {
    /// To be called within a runtime.
    fn start(clients: Vec<Client>) -> Self {
        let (told, over) = (Arc::<Told>::default(), Arc::<AtomicBool>::default());
        let last_allowed = Arc::new(Mutex::new(Instant::now()));
        let mut tasks = JoinSet::new();
        for client in clients {
            let (told, over, last_allowed) =
                (Arc::clone(&told), Arc::clone(&over), Arc::clone(&last_allowed));
            tasks.spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let said = client.call().await;
                    told.count(&said);
                    if said == Said::Allowed {
                        *last_allowed.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                    }
                    // expect(sleep): a client that asks without pause would take the processors from the nodes.
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        Self { told, last_allowed, over, tasks }
    }

    /// With every node there: goes on until nothing is allowed any more.
    async fn until_spent(mut self) -> Told {
        let begun = Instant::now();
        loop {
            let last = *self.last_allowed.lock().unwrap_or_else(PoisonError::into_inner);
            let [allowed, _, _, unanswered] = self.told.sums();
            let is_missing = allowed + unanswered < BUDGET;
            if last.max(begun).elapsed() > if is_missing { LOST } else { SPENT } {
                break;
            }
            assert!(begun.elapsed() < LONGEST, "the budget is still not spent: {:?}", self.told);
            // expect(sleep): that nothing happens any more is seen by waiting only.
            tokio::time::sleep(PAUSE).await;
        }
        self.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a client that went on to the end");
        }
        Arc::into_inner(self.told).expect("every client has ended")
    }
}
