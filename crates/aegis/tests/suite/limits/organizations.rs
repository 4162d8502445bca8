//! What all tenants of an organization may use together.

use super::callers::{Client, Said, clients};
use super::exact::insist;
use super::{agent, enforce, enforce_for, quiet_zone};
use crate::nodes::Cluster;
use crate::trials::runtime;

const POLICY: &str = "agents: ['agent-*']\nallowed_tools: [{name: stripe-payments}]\n";

#[test]
fn tenants_of_an_organization_share_its_budget_and_no_other_does() {
    let cluster = Cluster::running(3, 2);
    let limit = [
        "organization",
        "limit",
        "acme",
        "--daily-budget",
        "10",
        "--unit",
        "calls",
        "--timezone",
        quiet_zone(),
    ];
    assert_eq!(cluster.done(&limit)["revision"], 1);
    let stale = cluster.run(&[&limit[..], &["--only-if-revision", "0"]].concat());
    assert_eq!(stale.code, Some(1), "{stale:?}");
    let mut callers = clients(&cluster, &agent(&cluster, "agent-1"), 2);
    for (tenant, organization) in [("beta", "acme"), ("gamma", "gamma")] {
        cluster.done(&["tenant", "create", tenant, "--organization", organization]);
        cluster.done(&["agent", "create", "agent-1", "--tenant", tenant]);
        enforce_for(&cluster, tenant, POLICY);
        let mint = ["token", "mint", "--tenant", tenant, "--agent", "agent-1", "--scope", "*:*"];
        let token = cluster.done(&mint)["token"].as_str().expect("a token").to_owned();
        callers.extend(clients(&cluster, &token, 2));
    }
    enforce(&cluster, POLICY);

    let allowed = |callers: &[Client]| {
        runtime().block_on(async {
            let mut allowed = 0;
            for turn in 0..40 {
                match insist(&callers[turn % callers.len()]).await {
                    Said::Allowed => allowed += 1,
                    Said::Refused(code) if code == "BudgetExceeded" => {}
                    other => panic!("a call was answered with {other:?}"),
                }
            }
            allowed
        })
    };
    assert_eq!(allowed(&callers[..4]), 10, "acme and beta together, over both nodes");
    assert_eq!(allowed(&callers[4..]), 40, "gamma belongs to another organization");

    let shown = cluster.done(&["budget", "show", "--organization", "acme"]);
    let row = &shown["items"][0];
    assert_eq!((row["level"].as_str(), row["free"].as_str()), (Some("organization"), Some("0")), "{shown}");
    cluster.done(&["organization", "limit", "acme", "--none", "--only-if-revision", "1"]);
    assert_eq!(cluster.done(&["organization", "show", "acme"])["daily_budget"], "");
}
