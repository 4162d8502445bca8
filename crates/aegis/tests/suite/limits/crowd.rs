//! A crowd of agents at once, each with a budget of its own: leases, ledgers and what a node remembers of them have bounds, and
//! no agent pays for the crowd.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aegis_identity::claims::AgentClaims;
use aegis_identity::keys::SigningKey;
use aegis_identity::mint::{Minter, Stamp};
use aegis_model::clock::Clock;
use aegis_model::scope::Scope;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::task::JoinSet;

use super::callers::{Client, Said, clients};
use super::enforce;
use super::exact::insist;
use crate::nodes::{Cluster, Settings};
use crate::trials::figures::figure;
use crate::trials::{number, runtime};

/// Clients per data node, and calls that all of them have under way.
const CLIENTS: usize = 64;
const AT_ONCE: u64 = 2_048;

const ISSUER: &str = "https://issuer.example";

const POLICY: &str = "agents: ['agent-*']\ndaily_budget: 1\nallowed_tools: [{name: stripe-payments}]\n";

#[test]
fn each_agent_of_a_crowd_gets_its_own_budget() {
    let key = SigningKey::generate(&mut StdRng::seed_from_u64(1));
    let public = key.verifying_key().to_public_key_pem();
    let minter = Arc::new(Minter::new(key, ISSUER.parse().expect("an issuer")));
    // Nobody registers a crowd one by one: the tokens come from an issuer that the data nodes trust besides the cluster's.
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("issuer.pem");
    fs::write(&file, public).expect("a file");
    let data = format!("[[trust]]\nissuer = '{ISSUER}'\nkey = '{}'\n", file.display());
    let cluster = Cluster::running_with(Settings { data, ..Settings::default() }, 3, 3);
    enforce(&cluster, POLICY);

    let agents = number("AEGIS_FAULTS_AGENTS", 300);
    let clients = Arc::new(clients(&cluster, "", CLIENTS * cluster.data.len()));
    let begun = Instant::now();
    let (allowed, exceeded) = runtime().block_on(call(&clients, &minter, agents));
    let seconds = begun.elapsed().as_secs_f64();
    assert_eq!((allowed, exceeded), (agents, agents), "each agent once, and not twice");
    figure("crowd/agents", agents as f64, "");
    // One unit more or less ended the test above.
    figure("crowd/overspent", 0.0, "calls");
    figure("crowd/unspent", 0.0, "calls");
    figure("crowd/calls_per_second", (allowed + exceeded) as f64 / seconds, "");
}

/// Each agent calls at one node and then at the next: how many calls were allowed, and how many were too many.
async fn call(clients: &Arc<Vec<Client>>, minter: &Arc<Minter>, agents: u64) -> (u64, u64) {
    let (next, allowed, exceeded) = (AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0));
    let counts = Arc::new((next, allowed, exceeded));
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE.min(agents) {
        let (clients, minter, counts) = (Arc::clone(clients), Arc::clone(minter), Arc::clone(&counts));
        tasks.spawn(async move {
            let (next, allowed, exceeded) = &*counts;
            loop {
                let agent = next.fetch_add(1, Ordering::Relaxed);
                if agent >= agents {
                    return;
                }
                let token = token(&minter, agent);
                let mut said = Vec::new();
                for turn in 0..2 {
                    let client = &clients[(agent as usize + turn) % clients.len()];
                    said.push(insist(&client.with(&token)).await);
                }
                for said in said {
                    match said {
                        Said::Allowed => allowed.fetch_add(1, Ordering::Relaxed),
                        Said::Refused(code) if code == "BudgetExceeded" => {
                            exceeded.fetch_add(1, Ordering::Relaxed)
                        }
                        other => panic!("agent {agent} was answered {other:?}"),
                    };
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a client that went on to the end");
    }
    (counts.1.load(Ordering::Relaxed), counts.2.load(Ordering::Relaxed))
}

fn token(minter: &Minter, agent: u64) -> String {
    let claims = AgentClaims {
        org: "acme".parse().expect("an organization"),
        tenant: "acme".parse().expect("a tenant"),
        agent: format!("agent-{agent}").parse().expect("an agent"),
        scope: Scope::parse("*:*"),
        callers: Vec::new(),
        claims: Default::default(),
    };
    let mut dice = StdRng::seed_from_u64(agent);
    let stamp = Stamp::new(Clock::System.now(), Duration::from_secs(600).as_secs(), &mut dice);
    minter.agent_token(&claims, &stamp).expect("a token").token.expose().clone()
}
