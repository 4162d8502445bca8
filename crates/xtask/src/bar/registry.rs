//! The bars there are. A new one is a row here.

use super::{Bar, Bound, Goal, Step};

/// Every bar, in the order in which `cargo xtask bar` lists them.
pub const BARS: &[Bar] = &[
    Bar {
        name: "evaluate",
        question: "What does one judgement cost, and does it grow with the number of agents or tools?",
        commands: &[plain("cargo bench --locked -p aegis-policy --bench evaluate")],
        goals: &[
            at_most("evaluate/typical-20-tools/allow", 6_000.0),
            at_most("evaluate/typical-20-tools/one_in_ten_denied", 6_000.0),
            // Not the median of what nodes see, but what somebody sees whose calls are all denied.
            at_most("evaluate/typical-20-tools/deny", 10_000.0),
            ratio("evaluate/tools-10000/allow", "evaluate/tools-10/allow", 1.5),
            ratio("evaluate/tools-10000/deny", "evaluate/tools-10/deny", 1.5),
            ratio("evaluate/agents-10000/allow", "evaluate/agents-10/allow", 1.5),
            ratio("evaluate/agents-10000/deny", "evaluate/agents-10/deny", 1.5),
        ],
    },
    Bar {
        name: "many-agents",
        question: "How long does a set of 10,000 agents take to load, and how much memory does it hold?",
        commands: &[plain("cargo bench --locked -p aegis-policy --bench many_agents")],
        goals: &[
            at_most("many-agents/load_seconds", 10.0),
            at_most("many-agents/resident_bytes", 1_073_741_824.0),
        ],
    },
    Bar {
        name: "from-bundle",
        question: "How long does a restarted node take to ready a kept bundle of 1,000 agents?",
        commands: &[plain("cargo bench --locked -p aegis-policy --bench from_bundle")],
        goals: &[at_most("from-bundle/ready_seconds", 2.0)],
    },
    Bar {
        name: "walk",
        question: "What does the whole walk of a call cost in process, JSON in and out and its record included?",
        commands: &[plain("cargo bench --locked -p aegis-dataplane --bench walk")],
        goals: &[
            at_most("walk/allow/one_at_a_time", 15_000.0),
            at_most("walk/deny/one_at_a_time", 15_000.0),
            // The time of all 64.
            at_most("walk/allow/64_at_once", 64.0 * 15_000.0),
            at_most("walk/deny/64_at_once", 64.0 * 15_000.0),
        ],
    },
    Bar {
        name: "decide-cpu",
        question: "What does a decision over gRPC cost the server in CPU time, beside an empty echo on the same stack?",
        // With `AEGIS_OPA` set, a stock OPA is asked too.
        commands: &[
            plain("cargo build --release --locked -p aegis"),
            plain(
                "cargo run --release --locked -p aegis-loadtest -- compare --rates 4000 --seconds 6 --warm-up 1 \
                 --output figures --svg docs/measurements/decide-cpu.svg",
            ),
        ],
        goals: &[at_most("decide-over-echo/4000/cpu", 1.6)],
    },
    Bar {
        name: "journal-cost",
        question: "What does the record of a decision, synced before the answer, add to CPU time and latency?",
        commands: &[
            plain("cargo build --release --locked -p aegis"),
            Step {
                line: "cargo build --release --locked -p aegis --target-dir target/unrecorded",
                variables: &[("RUSTFLAGS", "--cfg aegis_unrecorded")],
            },
            plain(
                "cargo run --release --locked -p aegis-loadtest -- compare --targets echo,decide,unrecorded --rates 4000,10000 \
                 --rounds 7 --seconds 5 --warm-up 1 --unrecorded target/unrecorded/release/aegis --output figures",
            ),
        ],
        goals: &[
            at_most("decide-over-unrecorded/4000/cpu", 1.2),
            at_most("decide-over-unrecorded/10000/cpu", 1.2),
            at_most("decide-over-unrecorded/10000/latency-p50-added", 1_000.0),
        ],
    },
    Bar {
        name: "commits",
        question: "What does a durable command of the control plane cost, on three nodes, beside a bare commit of redb?",
        commands: &[plain("cargo bench --locked -p aegis-controlplane --bench commits")],
        goals: &[
            at_least("commits/256/per_second", 20_000.0),
            at_most("commits/1/p50", 3.0),
            at_most("commits/256/syncs_per_operation", 0.05),
        ],
    },
    Bar {
        name: "json",
        question: "What does reading a call strictly cost beside `serde_json`?",
        commands: &[plain("cargo bench --locked -p aegis-model --bench json")],
        goals: &[],
    },
    Bar {
        name: "token",
        question: "What does proving who asks cost, with and without the memory of verified tokens?",
        commands: &[plain("cargo bench --locked -p aegis-identity --bench token")],
        goals: &[],
    },
    Bar {
        name: "spend",
        question: "What does a call pay for being counted: a lease, a bucket, and four levels of both?",
        commands: &[plain("cargo bench --locked -p aegis-limits --bench spend")],
        goals: &[
            at_most("spend/lease", 100.0),
            at_most("spend/bucket", 100.0),
            at_most("spend/four_budgets_one_rate", 100.0),
            at_most("spend/four_budgets_four_rates", 100.0),
        ],
    },
    Bar {
        name: "lease-simulation",
        question: "How many entries of the replicated log, waiting calls and burned units do budgets cost, by nodes and agents?",
        commands: &[plain("cargo run --release --locked -p aegis-limits --example simulate")],
        goals: &[
            at_most("lease-simulation/8_nodes/10000_agents/entries_per_second", 200.0),
            at_most("lease-simulation/8_nodes/10000_agents/busy_waits_per_decision", 0.001),
        ],
    },
    Bar {
        name: "audit",
        question: "What does the journal cost per entry, tree and checkpoints included, and how fast is a log verified?",
        commands: &[plain("cargo bench --locked -p aegis-audit --bench audit")],
        goals: &[
            // The time of 4,096 entries at 50,000 a second, and of 40,000 at 200,000 a second.
            at_most("audit/journal/free_disk", 81_920_000.0),
            at_most("audit/verify", 200_000_000.0),
        ],
    },
    Bar {
        name: "search",
        question: "How long does a search of a million records for a rare agent take, also while records are written?",
        commands: &[plain("cargo bench --locked -p aegis-audit --bench search")],
        goals: &[
            at_least("search/records", 1_000_000.0),
            at_most("search/rare_agent_seconds", 5.0),
            at_most("search/rare_agent_while_deciding_seconds", 10.0),
        ],
    },
    Bar {
        name: "audit-mutations",
        question: "Of 10,000 changes to a log and an export, how many does a verifier with the newest checkpoint miss?",
        commands: &[Step {
            line: "cargo test --locked -p aegis-audit --test suite -- --nocapture --exact mutations::every_mutation_is_detected_given_the_newest_checkpoint",
            variables: &[("AEGIS_AUDIT_MUTATIONS", "10000")],
        }],
        goals: &[at_least("audit-mutations/tried", 10_000.0), at_most("audit-mutations/undetected", 0.0)],
    },
    Bar {
        name: "audit-faults",
        question: "With a fault at every single call to the disk, is anything lost that was acknowledged?",
        commands: &[Step {
            line: "cargo test --locked -p aegis-audit --test suite -- --nocapture crashes:: uploads:: prunings:: housekeeping::",
            variables: &[("AEGIS_AUDIT_FAULTS", "all")],
        }],
        goals: &[
            at_least("audit-faults/kill", 200.0),
            at_least("audit-faults/power_loss", 200.0),
            at_least("audit-faults/power_loss_twice", 200.0),
            at_least("audit-faults/error", 200.0),
            at_least("audit-faults/full", 200.0),
            at_least("audit-faults/housekeeping_kill", 60.0),
            at_least("audit-faults/housekeeping_power_loss", 60.0),
            at_least("audit-faults/housekeeping_error", 60.0),
            at_least("audit-faults/housekeeping_full", 60.0),
            at_least("audit-faults/housekeeping_read_only", 60.0),
        ],
    },
    Bar {
        name: "audit-kills",
        question: "Of 500 data nodes killed under load, how many lose a decision that a client saw?",
        commands: &[
            plain("cargo build --release --locked -p aegis"),
            Step {
                line: "cargo test --locked -p aegis --test suite -- --nocapture --exact kills::every_decision_that_a_client_saw_is_in_the_log_of_a_node_that_was_killed",
                variables: &[("AEGIS_AUDIT_KILLS", "500"), RELEASE],
            },
        ],
        goals: &[
            at_least("audit-kills/tried", 500.0),
            at_least("audit-kills/decisions", 10_000.0),
            at_most("audit-kills/missing", 0.0),
        ],
    },
    Bar {
        name: "dlp",
        question: "What does scanning cost with every detector, beside a plain set of regular expressions, and on attack strings?",
        // Nanoseconds that one thread computes per MiB: 150 MB/s are 6,990,507, 200 MB/s are 5,242,880.
        commands: &[plain("cargo bench --locked -p aegis-dlp --bench scan")],
        goals: &[
            at_most("scan/pii", 6_990_507.0),
            at_most("scan/source", 5_242_880.0),
            at_most("scan/params_1kib", 10_000.0),
            ratio("scan/attack/digits", "scan/clean", 3.0),
            ratio("scan/attack/spaced_digits", "scan/clean", 3.0),
            ratio("scan/attack/dotted_digits", "scan/clean", 3.0),
            ratio("scan/attack/groups", "scan/clean", 3.0),
            ratio("scan/attack/ats", "scan/clean", 3.0),
            ratio("scan/attack/at_signs", "scan/clean", 3.0),
            ratio("scan/attack/colons", "scan/clean", 3.0),
            ratio("scan/attack/hex_colons", "scan/clean", 3.0),
            ratio("scan/attack/passwords", "scan/clean", 3.0),
            ratio("scan/attack/tokens", "scan/clean", 3.0),
            ratio("scan/attack/keys", "scan/clean", 3.0),
            ratio("scan/attack/jwts", "scan/clean", 3.0),
            ratio("scan/attack/pems", "scan/clean", 3.0),
            ratio("scan/attack/percents", "scan/clean", 3.0),
            ratio("scan/attack/escapes", "scan/clean", 3.0),
            ratio("scan/attack/base64", "scan/clean", 3.0),
            ratio("scan/attack/letters", "scan/clean", 3.0),
            ratio("scan/attack/wide", "scan/clean", 3.0),
            ratio("scan/attack/words", "scan/clean", 3.0),
            ratio("scan/attack/urls", "scan/clean", 3.0),
        ],
    },
    Bar {
        name: "dlp-quality",
        question: "How much of the labelled texts that we make ourselves is found, and how much of what is found is right?",
        commands: &[Step {
            line: "cargo test --locked -p aegis-dlp --test suite -- --nocapture --exact quality::recall_and_precision_have_floors",
            variables: &[("AEGIS_DLP_SAMPLES", "2000")],
        }],
        goals: &[
            at_least("dlp-quality/lenient/us_ssn/recall", 0.99),
            at_least("dlp-quality/lenient/us_ssn/precision", 0.95),
            at_least("dlp-quality/lenient/email/recall", 0.99),
            at_least("dlp-quality/lenient/email/precision", 0.95),
            at_least("dlp-quality/lenient/payment_card/recall", 0.99),
            at_least("dlp-quality/lenient/payment_card/precision", 0.95),
            at_least("dlp-quality/lenient/iban/recall", 0.99),
            at_least("dlp-quality/lenient/iban/precision", 0.95),
            at_least("dlp-quality/lenient/ipv4/recall", 0.99),
            at_least("dlp-quality/lenient/ipv4/precision", 0.95),
            at_least("dlp-quality/lenient/ipv6/recall", 0.99),
            at_least("dlp-quality/lenient/ipv6/precision", 0.95),
            at_least("dlp-quality/lenient/mac_address/recall", 0.99),
            at_least("dlp-quality/lenient/mac_address/precision", 0.95),
            at_least("dlp-quality/lenient/phone/recall", 0.97),
            at_least("dlp-quality/lenient/phone/precision", 0.95),
            at_least("dlp-quality/lenient/date_of_birth/recall", 0.97),
            at_least("dlp-quality/lenient/date_of_birth/precision", 0.95),
        ],
    },
    Bar {
        name: "dlp-cuts",
        question: "Over 100,000 texts cut at random and 1,000,000 random documents, does a cut change a finding, or cleaning a shape?",
        // A difference fails the test, and so the bar.
        commands: &[
            Step {
                line: "cargo test --release --locked -p aegis-dlp --test suite -- --nocapture --exact streams::every_cut_gives_the_same_findings",
                variables: &[("AEGIS_DLP_CUTS", "100000")],
            },
            Step {
                line: "cargo test --release --locked -p aegis-dlp --test suite -- --nocapture --exact shapes::output_has_the_shape_of_the_input",
                variables: &[("AEGIS_DLP_DOCUMENTS", "1000000")],
            },
        ],
        goals: &[at_least("dlp-cuts/texts_cut", 100_000.0), at_least("dlp-cuts/documents", 1_000_000.0)],
    },
    Bar {
        name: "canaries",
        question: "Of 2,000 secrets that go in by every door of a node and its control plane, how many stand in files, logs or metrics?",
        commands: &[Step {
            line: "cargo test --locked -p aegis --test suite -- --nocapture --exact dlp::no_canary_is_found_again",
            variables: &[("AEGIS_CANARIES", "2000")],
        }],
        goals: &[at_most("canaries/hits", 0.0), at_least("canaries/pushed", 2_000.0)],
    },
    Bar {
        name: "tidy",
        question: "How long do the checks take that a contributor runs before every commit?",
        commands: &[plain("cargo xtask tidy --output json")],
        goals: &[at_most("tidy", 10_000.0)],
    },
    Bar {
        name: "crash-images",
        question: "Of 20,000 disks that lost power, on how many does a control node find anything but what it acknowledged?",
        commands: &[plain(
            "cargo run --release --locked -p aegis-raft-store --example crash_images -- 20000",
        )],
        goals: &[at_most("crash-images/lost", 0.0)],
    },
    Bar {
        name: "append-apply",
        question: "What does one node's store cost per batch, appended and synced and applied, and how many syncs is that?",
        commands: &[plain("cargo run --release --locked -p aegis-raft-store --example append_apply")],
        goals: &[at_most("append-apply/64_commands/syncs_per_operation", 0.05)],
    },
    Bar {
        name: "kills",
        question: "Over 200 kills of control nodes under load, is anything lost that was acknowledged?",
        commands: &[
            plain("cargo build --release --locked -p aegis"),
            Step {
                line: "cargo test --locked -p aegis --test suite -- --nocapture --exact faults::kills::nothing_acknowledged_is_lost_to_kills",
                variables: &KILLS,
            },
        ],
        goals: &[at_least("kills/rounds", 200.0), at_most("kills/lost", 0.0)],
    },
    Bar {
        name: "leader-loss",
        question: "How long after the loss of the leader is a write acknowledged again, and do decisions go on?",
        commands: &[
            plain("cargo build --release --locked -p aegis"),
            Step {
                line: "cargo test --locked -p aegis --test suite -- --nocapture --exact faults::leaders::writes_go_on_soon_after_the_leader_is_lost",
                variables: &LEADERS,
            },
        ],
        goals: &[
            at_least("leader-loss/rounds", 30.0),
            at_most("leader-loss/median", 1.0),
            at_most("leader-loss/worst", 3.0),
            at_most("leader-loss/errors", 0.0),
        ],
    },
    Bar {
        name: "partitions",
        question: "While the leader is cut off, is a write accepted twice or lost, and how soon does its data node refuse?",
        commands: &[
            plain("cargo build --release --locked -p aegis"),
            Step {
                line: "cargo test --locked -p aegis --test suite -- --nocapture --exact faults::partitions::a_leader_that_is_cut_off_accepts_nothing",
                variables: &LEADERS,
            },
        ],
        goals: &[at_most("partitions/lost", 0.0), at_most("partitions/refused_after_worst", 7.0)],
    },
    Bar {
        name: "rollback",
        question: "How long until three data nodes enforce a rollback of a policy for 1,000 agents, and one that was killed serves it again?",
        commands: &[
            plain("cargo build --release --locked -p aegis"),
            Step {
                line: "cargo test --locked -p aegis --test suite -- --nocapture --exact faults::rollbacks::a_rollback_reaches_every_data_node_as_a_whole",
                variables: &ROLLBACKS,
            },
        ],
        goals: &[
            at_least("rollback/agents", 1_000.0),
            at_most("rollback/p99", 500.0),
            at_most("rollback/mixed", 0.0),
            at_most("rollback/restart_worst", 2.0),
        ],
    },
    Bar {
        name: "revocation",
        question: "How long after a revocation was acknowledged is the last call decided on the strength of what was revoked?",
        commands: &[
            plain("cargo build --release --locked -p aegis"),
            Step {
                line: "cargo test --locked -p aegis --test suite -- --nocapture --exact identity::revocation::a_revocation_reaches_every_data_node_soon",
                variables: &REVOCATIONS,
            },
        ],
        goals: &[at_least("revocation/rounds", 200.0), at_most("revocation/p99", 500.0)],
    },
    Bar {
        name: "budgets",
        question: "Of 2,000 calls at once from 64 clients over three data nodes, are exactly as many allowed as the budget has?",
        commands: &[
            plain("cargo build --release --locked -p aegis"),
            Step {
                line: "cargo test --locked -p aegis --test suite -- --nocapture --exact limits::exact::exactly_the_budget_is_allowed",
                variables: &BUDGETS,
            },
        ],
        goals: &[
            at_least("budgets/trials", 30.0),
            at_most("budgets/overspent", 0.0),
            at_most("budgets/unspent", 0.0),
        ],
    },
    Bar {
        name: "lease-kills",
        question: "When data nodes are killed in the middle of spending, is anything overspent or lost but calls under way?",
        commands: &[
            plain("cargo build --release --locked -p aegis"),
            Step {
                line: "cargo test --locked -p aegis --test suite -- --nocapture --exact limits::kills::a_killed_data_node_loses_and_overspends_nothing",
                variables: &LEASE_KILLS,
            },
        ],
        goals: &[at_least("lease-kills/kills", 500.0), at_most("lease-kills/overspent", 0.0)],
    },
    Bar {
        name: "crowd",
        question: "Of 100,000 agents that call at once over three data nodes, does each get its budget of one call, and none two?",
        commands: &[
            plain("cargo build --release --locked -p aegis"),
            Step {
                line: "cargo test --locked -p aegis --test suite -- --nocapture --exact limits::crowd::each_agent_of_a_crowd_gets_its_own_budget",
                variables: &CROWD,
            },
        ],
        goals: &[
            at_least("crowd/agents", 100_000.0),
            at_most("crowd/overspent", 0.0),
            at_most("crowd/unspent", 0.0),
        ],
    },
    Bar {
        name: "paused",
        question: "What becomes of the leases of a data node that is paused for a minute and goes on?",
        commands: &[
            plain("cargo build --release --locked -p aegis"),
            Step {
                line: "cargo test --locked -p aegis --test suite -- --nocapture --exact limits::faults::a_paused_node_spends_what_it_was_lent_and_no_more",
                variables: &PAUSES,
            },
        ],
        goals: &[at_least("paused/seconds", 60.0), at_most("paused/overspent", 0.0)],
    },
    Bar {
        name: "raised-budget",
        question: "How long until a budget that was raised by a policy can be used at every data node?",
        commands: &[
            plain("cargo build --release --locked -p aegis"),
            Step {
                line: "cargo test --locked -p aegis --test suite -- --nocapture --exact limits::faults::a_lowered_budget_stops_and_a_raised_one_goes_on",
                variables: &RAISES,
            },
        ],
        goals: &[at_least("limits/raises", 20.0), at_most("limits/raised_worst", 1.0)],
    },
    Bar {
        name: "rates",
        question: "Does a rate over three data nodes hold in every second, and is it used, also when the load moves?",
        commands: &[
            plain("cargo build --release --locked -p aegis"),
            Step {
                line: "cargo test --locked -p aegis --test suite -- --nocapture --exact limits::rates::no_second_holds_more_than_the_rate",
                variables: &RATES,
            },
        ],
        goals: &[
            at_most("rates/worst_second", 1.0),
            at_least("rates/used_steady", 0.95),
            at_least("rates/used_moving", 0.9),
        ],
    },
    Bar {
        name: "redemptions",
        question: "Of all who redeem an override token at three data nodes while the leader is killed, is exactly one let through?",
        commands: &[
            plain("cargo build --release --locked -p aegis"),
            Step {
                line: "cargo test --locked -p aegis --test suite -- --nocapture --exact \
                       approvals::races::apr_1_of_all_who_redeem_a_token_one_is_let_through_though_the_leader_is_killed",
                variables: &REDEMPTIONS,
            },
        ],
        goals: &[
            at_least("redemptions/rounds", 50.0),
            at_least("redemptions/clients", 1_000.0),
            at_most("redemptions/let_through_each", 1.0),
        ],
    },
    Bar {
        name: "limits-cpu",
        question: "What do limits cost a data node in CPU time per decision, beside the same process without them?",
        commands: &[
            plain("cargo build --release --locked -p aegis"),
            plain(
                "cargo run --release --locked -p aegis-loadtest -- compare --targets fed,limited --rates 4000 --seconds 6 \
                 --warm-up 1 --rounds 9 --no-full-load --output figures --svg docs/measurements/limits-cpu.svg",
            ),
        ],
        goals: &[at_most("limited-over-fed/4000/cpu", 1.1)],
    },
];

/// The whole of what `.ci/run` runs a sample of.
const KILLS: Variables = [RELEASE, ("AEGIS_FAULTS_ROUNDS", "200"), ("AEGIS_FAULTS_AGENTS", "0")];
const LEADERS: Variables = [RELEASE, ("AEGIS_FAULTS_ROUNDS", "30"), ("AEGIS_FAULTS_AGENTS", "0")];
const ROLLBACKS: Variables = [RELEASE, ("AEGIS_FAULTS_ROUNDS", "200"), ("AEGIS_FAULTS_AGENTS", "1000")];
const REVOCATIONS: Variables = [RELEASE, ("AEGIS_FAULTS_ROUNDS", "200"), ("AEGIS_FAULTS_AGENTS", "0")];
const BUDGETS: Variables = [RELEASE, ("AEGIS_FAULTS_ROUNDS", "10"), ("AEGIS_FAULTS_AGENTS", "0")];
const LEASE_KILLS: Variables = [RELEASE, ("AEGIS_FAULTS_ROUNDS", "500"), ("AEGIS_FAULTS_AGENTS", "0")];
const CROWD: Variables = [RELEASE, ("AEGIS_FAULTS_ROUNDS", "1"), ("AEGIS_FAULTS_AGENTS", "100000")];
const PAUSES: Variables = [RELEASE, ("AEGIS_FAULTS_ROUNDS", "1"), ("AEGIS_FAULTS_SECONDS", "60")];
const RAISES: Variables = [RELEASE, ("AEGIS_FAULTS_ROUNDS", "20"), ("AEGIS_FAULTS_AGENTS", "0")];
const REDEMPTIONS: Variables = [RELEASE, ("AEGIS_FAULTS_ROUNDS", "50"), ("AEGIS_FAULTS_CLIENTS", "1000")];
const RATES: Variables = [RELEASE, ("AEGIS_FAULTS_ROUNDS", "6"), ("AEGIS_FAULTS_SECONDS", "20")];

/// The nodes are what users run; the test itself needs no optimization.
const RELEASE: (&str, &str) = ("AEGIS_FAULTS_PROGRAM", "target/release/aegis");

type Variables = [(&'static str, &'static str); 3];

const fn plain(line: &'static str) -> Step {
    Step { line, variables: &[] }
}

const fn at_most(figure: &'static str, most: f64) -> Goal {
    Goal { figure, over: None, bound: Bound::AtMost(most) }
}

const fn at_least(figure: &'static str, least: f64) -> Goal {
    Goal { figure, over: None, bound: Bound::AtLeast(least) }
}

const fn ratio(figure: &'static str, over: &'static str, most: f64) -> Goal {
    Goal { figure, over: Some(over), bound: Bound::AtMost(most) }
}

/// The bar of this name.
pub fn find(name: &str) -> Option<&'static Bar> {
    BARS.iter().find(|bar| bar.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_fit_a_file() {
        for (at, bar) in BARS.iter().enumerate() {
            let fits =
                bar.name.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == b'-');
            assert!(fits && !bar.name.is_empty(), "`{}` does not fit a file name", bar.name);
            assert!(!BARS[..at].iter().any(|other| other.name == bar.name), "`{}` stands twice", bar.name);
            assert!(!bar.commands.is_empty() && bar.question.ends_with('?'), "`{}`", bar.name);
        }
    }

    #[test]
    fn every_bench_that_a_bar_runs_exists() {
        let tree = crate::tree::Tree::read(&crate::tree::root()).unwrap();
        for step in BARS.iter().flat_map(|bar| bar.commands) {
            let after = |flag: &str| step.line.split(' ').skip_while(|word| *word != flag).nth(1);
            if let (Some(package), Some(bench)) = (after("-p"), after("--bench")) {
                let folder = package.trim_start_matches("aegis-");
                let path = format!("crates/{folder}/benches/{bench}.rs");
                assert!(tree.has(&path), "`{}` needs `{path}`", step.line);
            }
        }
    }
}
