//! 2,000 calls at once from 64 clients over three data nodes: exactly the budget is allowed, whatever its size (B2).

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::callers::{Client, Said, Told, clients};
use super::{agent, enforce};
use crate::nodes::Cluster;
use crate::support::LONG;
use crate::trials::figures::{figure, quantile};
use crate::trials::{rounds, runtime};

/// Clients, and calls that each has under way: 2,048 in all.
const CLIENTS: usize = 64;
const AT_ONCE: usize = 32;

/// Pause before a call is made again.
const PAUSE: Duration = Duration::from_millis(20);

/// Budgets, and how many calls are made of each.
const TRIALS: [(&str, u64, u64); 3] =
    [("small", 100, 2_000), ("medium", 1_000, 2_000), ("large", 10_000, 12_000)];

/// Each agent has a budget of its own, so that every trial begins with a whole one.
const POLICY: &str = "
agents: ['small-*']
daily_budget: 100
allowed_tools: [{name: stripe-payments}]
---
agents: ['medium-*']
daily_budget: 1000
allowed_tools: [{name: stripe-payments}]
---
agents: ['large-*']
daily_budget: 10000
allowed_tools: [{name: stripe-payments}]
";

#[test]
fn exactly_the_budget_is_allowed() {
    let cluster = Cluster::running(3, 3);
    enforce(&cluster, POLICY);
    let runtime = runtime();
    let rounds = rounds(7);
    let mut rates = Vec::new();
    for round in 1..=rounds {
        for (name, budget, calls) in TRIALS {
            let token = agent(&cluster, &format!("{name}-{round}"));
            let clients = clients(&cluster, &token, CLIENTS);
            let begun = Instant::now();
            let told = runtime.block_on(call(clients, calls));
            rates.push(calls as f64 / begun.elapsed().as_secs_f64());
            let expected = [budget, calls - budget, 0, 0];
            assert_eq!(told.sums(), expected, "{name} {round}: allowed, exceeded, unavailable, unanswered");
        }
    }
    figure("budgets/trials", (rounds * TRIALS.len() as u64) as f64, "");
    // One unit more or less ended the test above.
    figure("budgets/overspent", 0.0, "calls");
    figure("budgets/unspent", 0.0, "calls");
    figure("budgets/calls_per_second", quantile(&rates, 0.5), "");
}

/// Calls until there is an answer: a node that cannot say for now charges nothing and asks to be asked again, as the SDK does.
pub(super) async fn insist(client: &Client) -> Said {
    let begun = Instant::now();
    loop {
        match client.call().await {
            // expect(sleep): nothing tells a client when the node can say again.
            Said::Unavailable(_) if begun.elapsed() < LONG => tokio::time::sleep(PAUSE).await,
            said => return said,
        }
    }
}

/// So many calls in all, as many at once as there may be.
async fn call(clients: Vec<Client>, calls: u64) -> Told {
    let told = Arc::new(Told::default());
    let workers = (CLIENTS * AT_ONCE) as u64;
    let mut tasks = JoinSet::new();
    for worker in 0..workers {
        let client = clients[worker as usize % clients.len()].clone();
        let told = Arc::clone(&told);
        let own = calls / workers + u64::from(worker < calls % workers);
        tasks.spawn(async move {
            for _ in 0..own {
                told.count(&insist(&client).await);
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a client that went on to the end");
    }
    Arc::into_inner(told).expect("every client has ended")
}
