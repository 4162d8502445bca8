//! What else befalls budgets: limits that are lowered and raised, a control plane that is gone, a node that is paused, and one
//! that was copied. Never is more allowed than the budget has, and nothing is lost for good.

use std::fs;
use std::time::{Duration, Instant};

use aegis_testkit::eventually;

use super::callers::{Client, Said, clients};
use super::exact::insist;
use super::{agent, enforce};
use crate::nodes::Cluster;
use crate::support::LONG;
use crate::trials::figures::{figure, quantile};
use crate::trials::{number, rounds, runtime};

/// Pause between calls that wait for something to change.
const PAUSE: Duration = Duration::from_millis(20);

/// After so long without an allowed call nothing more is expected.
const SPENT: Duration = Duration::from_millis(1_500);

/// After so long without an allowed call what was expected is lost: a bound for broken code.
const LOST: Duration = Duration::from_secs(20);

fn budget(units: u64) -> String {
    format!("agents: ['agent-*']\ndaily_budget: {units}\nallowed_tools: [{{name: stripe-payments}}]\n")
}

/// Calls at all nodes in turn until nothing was allowed for a while: how many were. So many are `expected`, for which it waits longer.
async fn spend(clients: &[Client], expected: u64) -> u64 {
    // A call may wait as long as the time without an allowed one: every node is to be asked a few times within it.
    let (mut allowed, mut last, mut in_vain) = (0, Instant::now(), 0);
    while last.elapsed() < if allowed < expected { LOST } else { SPENT } || in_vain < 3 {
        in_vain += 1;
        for client in clients {
            match client.call().await {
                Said::Allowed => (allowed, last, in_vain) = (allowed + 1, Instant::now(), 0),
                Said::Refused(code) if code == "BudgetExceeded" => {}
                Said::Unavailable(_) => {}
                other => panic!("a call was answered with {other:?}"),
            }
        }
        // expect(sleep): that nothing happens any more is seen by waiting only.
        tokio::time::sleep(PAUSE).await;
    }
    allowed
}

/// Calls one node until a call is allowed: after how long.
async fn until_allowed(client: &Client) -> Duration {
    let begun = Instant::now();
    while client.call().await != Said::Allowed {
        assert!(begun.elapsed() < LONG, "no call is allowed");
        // expect(sleep): asked often enough to tell the moment.
        tokio::time::sleep(PAUSE).await;
    }
    begun.elapsed()
}

/// Calls one node until it knows again what there is: 1 if a call was allowed, 0 if the budget is spent.
async fn until_allowed_or_spent(client: &Client) -> u64 {
    let begun = Instant::now();
    loop {
        match client.call().await {
            Said::Allowed => return 1,
            Said::Refused(code) if code == "BudgetExceeded" => return 0,
            _ => assert!(begun.elapsed() < LONG, "the node does not come back"),
        }
        // expect(sleep): asked often enough to tell the moment.
        tokio::time::sleep(PAUSE).await;
    }
}

#[test]
fn a_lowered_budget_stops_and_a_raised_one_goes_on() {
    let cluster = Cluster::running(3, 3);
    let runtime = runtime();
    let mut raised = Vec::new();
    for round in 1..=rounds(2) {
        enforce(&cluster, &budget(100));
        let token = agent(&cluster, &format!("agent-{round}"));
        let clients = clients(&cluster, &token, 3);
        let mut allowed = 0;
        runtime.block_on(async {
            for turn in 0..60 {
                assert_eq!(insist(&clients[turn % 3]).await, Said::Allowed, "{turn}");
                allowed += 1;
            }
        });
        // Below what is granted: leases that are out are spent, and nothing is granted.
        enforce(&cluster, &budget(50));
        allowed += runtime.block_on(spend(&clients, 0));
        assert!((60..=100).contains(&allowed), "{allowed} were allowed");
        // Raised: it can be used at once, and to the unit.
        enforce(&cluster, &budget(200));
        let left = 200 - allowed - 1;
        let (first, after) = runtime.block_on(async {
            (until_allowed(&clients[round as usize % 3]).await, spend(&clients, left).await)
        });
        // How soon is for the bar to say.
        raised.push(first.as_secs_f64());
        assert_eq!(after, left);
    }
    figure("limits/raises", raised.len() as f64, "");
    figure("limits/raised", quantile(&raised, 0.5), "s");
    figure("limits/raised_worst", quantile(&raised, 1.0), "s");
}

#[test]
fn an_operator_raises_a_budget_and_forgives_what_was_spent() {
    let cluster = Cluster::running(1, 3);
    enforce(&cluster, &budget(50));
    let token = agent(&cluster, "agent-1");
    let (runtime, clients) = (runtime(), clients(&cluster, &token, 3));
    let which = ["--tenant", "acme", "--agent", "agent-1", "--unit", "calls", "--reason", "a test"];
    assert_eq!(runtime.block_on(spend(&clients, 50)), 50);
    let shown = cluster.done(&["budget", "show", "--tenant", "acme"]);
    let row = &shown["items"][0];
    assert_eq!(
        (row["limit"].as_str(), row["free"].as_str(), &row["percent"]),
        (Some("50"), Some("0"), &100.into())
    );

    cluster.done(&[&["budget", "set", "--limit", "80"], &which[..]].concat());
    let after = runtime.block_on(async {
        until_allowed(&clients[0]).await;
        spend(&clients, 29).await
    });
    assert_eq!(1 + after, 30);

    cluster.done(&[&["budget", "reset"], &which[..]].concat());
    assert_eq!(
        runtime.block_on(async {
            until_allowed(&clients[1]).await;
            1 + spend(&clients, 79).await
        }),
        80
    );

    let shown = cluster.done(&["budget", "show", "--tenant", "acme"]);
    assert_eq!(shown["items"][0]["adjusted_limit"].as_str(), Some("80"), "until the day ends");
}

#[test]
fn small_costs_on_three_nodes_do_not_stall() {
    let cluster = Cluster::running(1, 3);
    enforce(
        &cluster,
        "agents: ['agent-*']\ndaily_budget: 20\ncost: {value: 0.25, unit: usd}\nallowed_tools: [{name: stripe-payments}]\n",
    );
    let token = agent(&cluster, "agent-1");
    let allowed = runtime().block_on(spend(&clients(&cluster, &token, 3), 80));
    assert_eq!(allowed, 80);
}

#[test]
fn without_a_control_plane_leases_are_spent_and_no_more() {
    let mut cluster = Cluster::running(3, 3);
    enforce(&cluster, &budget(300));
    let token = agent(&cluster, "agent-1");
    let (runtime, clients) = (runtime(), clients(&cluster, &token, 3));
    let first = runtime.block_on(async {
        let mut allowed = 0;
        for turn in 0..30 {
            allowed += u64::from(insist(&clients[turn % 3]).await == Said::Allowed);
        }
        allowed
    });
    assert_eq!(first, 30);
    cluster.controls.iter_mut().for_each(crate::nodes::Node::kill);
    let mut cut_off = runtime.block_on(spend(&clients, 0));
    let unavailable = || match runtime.block_on(clients[0].call()) {
        Said::Allowed => {
            cut_off += 1;
            None
        }
        said => Some(said),
    };
    let said = eventually("the end of the leases", LONG, unavailable).expect("they end");
    assert_eq!(said, Said::Unavailable("LimitsUnavailable".to_owned()));
    (0..3).for_each(|at| cluster.start_control(at));
    (0..3).for_each(|at| cluster.controls[at].until_ready());
    let again = runtime.block_on(async {
        until_allowed(&clients[0]).await;
        1 + spend(&clients, 300 - first - cut_off - 1).await
    });
    assert_eq!(first + cut_off + again, 300);
}

#[test]
fn a_paused_node_spends_what_it_was_lent_and_no_more() {
    let mut cluster = Cluster::running(3, 3);
    enforce(&cluster, &budget(300));
    let token = agent(&cluster, "agent-1");
    let (runtime, clients) = (runtime(), clients(&cluster, &token, 3));
    runtime.block_on(async {
        for turn in 0..30 {
            assert_eq!(insist(&clients[turn % 3]).await, Said::Allowed);
        }
    });
    cluster.data[2].signal("STOP");
    let stopped = Instant::now();
    let others = runtime.block_on(spend(&clients[..2], 0));
    assert!(30 + others <= 300);
    let pause = Duration::from_secs(number("AEGIS_FAULTS_SECONDS", 0));
    // expect(sleep): a bar leaves the node paused for so long that it counts as gone.
    std::thread::sleep(pause.saturating_sub(stopped.elapsed()));
    cluster.data[2].signal("CONT");
    let paused = stopped.elapsed();
    let rest = runtime.block_on(async {
        // It has to find the leader again.
        let first = until_allowed_or_spent(&clients[2]).await;
        first + spend(&clients, 300 - 30 - others - first).await
    });
    assert_eq!(30 + others + rest, 300, "what was lent comes back");
    figure("paused/seconds", paused.as_secs_f64(), "s");
    figure("paused/overspent", 0.0, "calls");
}

#[test]
fn a_copy_of_a_nodes_disk_is_worth_nothing() {
    let mut cluster = Cluster::running(3, 2);
    enforce(&cluster, &budget(300));
    let token = agent(&cluster, "agent-1");
    let (runtime, clients) = (runtime(), clients(&cluster, &token, 2));
    let mut allowed = 0;
    runtime.block_on(async {
        for turn in 0..20 {
            assert_eq!(insist(&clients[turn % 2]).await, Said::Allowed);
            allowed += 1;
        }
    });
    // While the node goes on spending, somebody starts a copy of it.
    let (own, copy) = (cluster.path("data-2"), cluster.path("data-2-copy"));
    let copied = std::process::Command::new("cp").arg("-a").arg(&own).arg(&copy).status().expect("cp");
    assert!(copied.success());
    let config = fs::read_to_string(cluster.path("data-2.toml")).expect("a file");
    let http = cluster.data[1].http.to_string();
    let config = config.replace("data_dir = 'data-2'", "data_dir = 'data-2-copy'");
    let grpc = cluster.data[1].grpc.to_string();
    let config = config.replace(&http, "127.0.0.1:0").replace(&grpc, "127.0.0.1:0");
    let path = cluster.path("copy.toml");
    fs::write(&path, config).expect("a file");
    let mut command = cluster.data[1].program();
    command.args(["data", "--output", "json", "--config"]).arg(&path);
    let mut second = aegis_testkit::TestProcess::start(&mut command).expect("it starts");
    let ready = second.wait_for("\"ready\"", LONG).expect("it is ready");
    let ready: serde_json::Value = serde_json::from_str(&ready).expect("JSON");
    let copied = Client::new(crate::support::address(&ready["http"]), &token);
    // The first of the two is fenced and ends.
    let ended = cluster.data[1].process.as_mut().expect("it runs").wait_end(LONG).expect("it ends");
    assert_ne!(ended.code(), Some(0), "an operator has to hear of it");
    allowed += runtime.block_on(spend(&[clients[0].clone(), copied], 150 - allowed));
    assert!(allowed <= 300, "{allowed} of 300 were allowed");
    assert!(allowed >= 150, "{allowed} of 300 were allowed: only what the first one held is lost");
}
