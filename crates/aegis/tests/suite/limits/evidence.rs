//! What records say that calls were charged is what the ledgers say, to the unit; and where a log is missing, or was forged, it shows.

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use aegis_model::money::Micros;
use aegis_testkit::eventually;
use serde_json::{Value, json};

use super::{agent, enforce};
use crate::nodes::Cluster;
use crate::support::{LONG, Ran, decide, payment, post, run};

/// Dollars of each agent, and of its entry; larger amounts want a person, after they were charged.
const POLICY: &str = "
agents: ['agent-*']
daily_budget: 40
allowed_tools:
- name: stripe-payments
  daily_budget: 50
  cost: {value: 3, unit: usd}
  conditions: {max_amount: 5000, approval_needed: true}
";

/// A downloaded control log, its key, and what ledgers say at present.
pub(super) struct Evidence {
    folder: String,
    key: String,
    ledgers: String,
}

impl Evidence {
    /// To be taken while no calls are made and no node holds a lease.
    pub(super) fn of(cluster: &Cluster) -> Self {
        let folder = cluster.path("evidence").display().to_string();
        let told = cluster.done(&["audit", "control", "download", "--to", &folder]);
        let key = told["verifiers"][0].as_str().expect("a key").to_owned();
        let ledgers = cluster.path("ledgers.json");
        let shown = cluster.done(&["budget", "show", "--tenant", "acme"]);
        fs::write(&ledgers, shown.to_string()).expect("a file");
        Self { folder, key, ledgers: ledgers.display().to_string() }
    }

    /// Holds the records of these logs against the ledgers.
    pub(super) fn held(&self, journals: &[String]) -> Ran {
        let journals = journals.join(",");
        let given =
            ["--key", &self.key, "--journal", &journals, "--ledgers", &self.ledgers, "--output", "json"];
        run(&[&["audit", "budgets", &self.folder][..], &given].concat())
    }
}

/// The logs of all lives of the data nodes.
pub(super) fn journals(cluster: &Cluster) -> Vec<String> {
    let lives = cluster.data.iter().flat_map(|node| {
        fs::read_dir(cluster.path(&format!("{}/audit", node.name)))
            .expect("a journal")
            .map(|it| it.expect("an entry").path())
    });
    lives.filter(|path| path.is_dir()).map(|path| path.display().to_string()).collect()
}

fn ledgers<'a>(ran: &'a Value, held: &str) -> Vec<&'a Value> {
    ran["ledgers"].as_array().expect("ledgers").iter().filter(|row| row["held"] == held).collect()
}

/// The sum of an amount of the agents' ledgers, in quarters of a dollar.
fn of_agents(ran: &Value, held: &str, amount: &str) -> u64 {
    let rows = ledgers(ran, held).into_iter().filter(|row| row["level"] == "agent");
    rows.map(|row| row[amount].as_str().expect("an amount").parse::<Micros>().expect("an amount").0 / 250_000)
        .sum()
}

#[test]
fn records_add_up_to_the_ledgers_and_a_log_that_is_missing_shows() {
    let mut cluster = Cluster::running(1, 2);
    enforce(&cluster, POLICY);
    let agents: Vec<String> = (1..=2).map(|number| agent(&cluster, &format!("agent-{number}"))).collect();
    let owner = |name: &str| {
        let mint = ["token", "mint", "--tenant", "acme", "--agent", name, "--scope", "*:* settle"];
        cluster.done(&mint)["token"].as_str().expect("a token").to_owned()
    };
    let owners = [owner("agent-1"), owner("agent-2")];
    // Calls at both nodes at once: allowed ones, some of which turn out cheaper and some dearer; some that are charged and then wait for
    // a person; and some beyond the budget.
    // What they cost in the end, in quarters of a dollar, by node.
    let spent = [AtomicU64::new(0), AtomicU64::new(0)];
    std::thread::scope(|scope| {
        for caller in 0..4 {
            let (cluster, spent) = (&cluster, &spent[caller % 2]);
            let (node, token, owner) =
                (cluster.data[caller % 2].http, &agents[caller / 2], &owners[caller / 2]);
            scope.spawn(move || {
                for call in 0..12 {
                    let answer = decide(node, token, &payment(if call % 4 == 3 { 7_000 } else { 10 }));
                    if answer.body["outcome"] != "allow" {
                        continue;
                    }
                    let (cost, quarters) = [("0.25", 1), ("3", 12), ("5.5", 22)][call % 3];
                    let id = &answer.body["decision_id"];
                    let said = json!({"decision_id": id, "status": "succeeded", "cost": cost});
                    let taken = post(node, "/v1/complete", owner, &said);
                    assert_eq!(taken.status, 200, "{taken:?}");
                    spent.fetch_add(quarters, Ordering::Relaxed);
                }
            });
        }
    });
    let spent = spent.map(AtomicU64::into_inner);
    assert!(spent.iter().all(|quarters| *quarters > 0), "{spent:?}");
    let mut logs = journals(&cluster);
    logs.sort();
    assert_eq!(logs.len(), 2);
    (0..2).for_each(|at| cluster.data[at].stop());

    // What has not been reported yet when the node stops, it reports then.
    let settled = || {
        let evidence = Evidence::of(&cluster);
        let ran = evidence.held(&logs);
        (ran.code == Some(0) && ran.json()["exact"] == ran.json()["ledgers"].as_array()?.len())
            .then_some((evidence, ran))
    };
    let found = eventually("sums that are the same", LONG, settled);
    let (evidence, ran) = found.unwrap_or_else(|_| panic!("{:?}", Evidence::of(&cluster).held(&logs)));
    let told = ran.json();
    assert_eq!(ledgers(&told, "exact").len(), 4, "of each agent, and of its entry: {told}");
    assert_eq!(of_agents(&told, "exact", "charged"), spent[0] + spent[1], "{told}");
    assert_eq!((&told["unknown"], &told["logs_not_given"]), (&json!([]), &json!([])), "{told}");

    // Without the second node's log, exactly its calls are missing.
    let one = evidence.held(&logs[..1]);
    let told = one.json();
    assert_eq!(one.code, Some(1), "{one:?}");
    assert_eq!(of_agents(&told, "spend_without_record", "difference"), spent[1], "{told}");
    assert_eq!(told["logs_not_given"].as_array().map(Vec::len), Some(1), "{told}");

    // A ledger that was charged less than its records say.
    let shown = fs::read_to_string(&evidence.ledgers).expect("a file");
    let mut list: Value = serde_json::from_str(&shown).expect("JSON");
    let row = &mut list["items"][0];
    row["granted"] = json!("0.5");
    row["debt"] = json!("0");
    fs::write(&evidence.ledgers, list.to_string()).expect("a file");
    let forged = evidence.held(&logs);
    assert_eq!(forged.code, Some(1), "{forged:?}");
    assert_eq!(ledgers(&forged.json(), "record_without_spend").len(), 1, "{forged:?}");
}
