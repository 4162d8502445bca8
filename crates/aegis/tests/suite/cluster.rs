//! A cluster of processes: made, joined, published to, rolled back, broken and mended, while data nodes go on answering.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use aegis_testkit::{TestProcess, eventually};
use serde_json::{Value, json};

use crate::nodes::{Cluster, Node};
use crate::support::{LONG, aegis, finish};

#[test]
fn versions_travel_from_their_author_to_every_data_node_and_back() {
    let cluster = Cluster::running(3, 3);
    let wait = ["--tenant", "acme", "--wait", "30s"];
    assert_eq!(cluster.publish(10), 1);
    let in_force = cluster.done(&[&["policy", "activate", "1"], &wait[..]].concat());
    assert_eq!(
        (&in_force["progress"]["state"], &in_force["progress"]["in_force"]),
        (&json!("done"), &json!(3))
    );
    let token = cluster.token("finance-agent");
    for data in 0..3 {
        let answer = cluster.ask(data, &token, 10);
        assert_eq!((answer.outcome(), answer.version()), ("allow", 1), "{answer:?}");
        assert_eq!(cluster.ask(data, &token, 11).outcome(), "deny");
    }

    // The same content keeps its version; a broken policy is refused with its place, and nothing changes.
    assert_eq!(cluster.publish(10), 1);
    fs::write(cluster.path("policy/p.yaml"), "agent: a\nallowed: []\n").expect("a file");
    let policy = cluster.path("policy");
    let broken = cluster.run(&["policy", "publish", policy.to_str().expect("UTF-8"), "--tenant", "acme"]);
    assert!(broken.code == Some(1) && broken.stderr.contains("unknown field `allowed`"), "{broken:?}");
    assert!(broken.stderr.contains("p.yaml:2:1"), "{broken:?}");

    // A canary judges some agents, always the same ones at every data node.
    assert_eq!(cluster.publish(20), 2);
    cluster.done(&[&["policy", "activate", "1", "--canary", "2:50"], &wait[..]].concat());
    let mut versions = BTreeSet::new();
    for agent in (1..=8).map(|number| format!("agent-{number}")) {
        cluster.done(&["agent", "create", &agent, "--tenant", "acme"]);
        let token = cluster.token(&agent);
        let answers: BTreeSet<u64> = (0..3).map(|data| cluster.ask(data, &token, 15).version()).collect();
        assert_eq!(answers.len(), 1, "{agent} is judged by one version everywhere");
        versions.extend(answers);
    }
    assert_eq!(
        versions,
        BTreeSet::from([1, 2]),
        "one of 128 runs would see one version only, were the share drawn"
    );

    // Forward for everybody, back again, and a precondition that no longer holds.
    cluster.done(&[&["policy", "activate", "2"], &wait[..]].concat());
    assert_eq!(cluster.ask(0, &token, 15).outcome(), "allow");
    let back = cluster.done(&[&["policy", "rollback"], &wait[..]].concat());
    assert_eq!((&back["in_force"]["enforced"], &back["in_force"]["rollback"]), (&json!(1), &json!(true)));
    for data in 0..3 {
        let answer = cluster.ask(data, &token, 15);
        assert_eq!((answer.outcome(), answer.version()), ("deny", 1), "{answer:?}");
    }
    let late = cluster.run(&["policy", "activate", "2", "--tenant", "acme", "--only-if-enforced", "2"]);
    assert_eq!(late.code, Some(1), "{late:?}");
    let versions = cluster.done(&["policy", "versions", "--tenant", "acme"]);
    assert_eq!(versions["items"].as_array().map(Vec::len), Some(2), "{versions}");
}

/// How long records are kept, and what holds them, is said by people and stands in the control log.
#[test]
fn retention_and_legal_holds_are_acts() {
    let cluster = Cluster::running(1, 0);
    let shown = || cluster.done(&["tenant", "show", "acme"])["tenant"].take();
    assert_eq!(
        shown()["retention_days"].as_u64().unwrap_or(0),
        0,
        "for ever, unless somebody says otherwise"
    );
    let short = cluster.run(&["tenant", "set", "acme", "--retention-days", "30"]);
    assert!(short.code == Some(1) && format!("{short:?}").contains("183"), "{short:?}");
    cluster.done(&["tenant", "set", "acme", "--retention-days", "2190"]);
    cluster.done(&["tenant", "hold", "acme", "case-7", "--reason", "a dispute"]);
    cluster.done(&["tenant", "hold", "acme", "audit", "--reason", "the year's audit"]);
    let held = shown();
    let names: Vec<&str> =
        held["holds"].as_array().into_iter().flatten().filter_map(|it| it["name"].as_str()).collect();
    assert_eq!(
        (held["retention_days"].as_u64(), &names[..]),
        (Some(2190), &["audit", "case-7"][..]),
        "{held}"
    );
    let twice = cluster.run(&["tenant", "hold", "acme", "audit", "--reason", "again"]);
    assert!(twice.code == Some(1) && format!("{twice:?}").contains("already_exists"), "{twice:?}");
    cluster.done(&["tenant", "lift", "acme", "case-7", "--reason", "settled"]);
    let unknown = cluster.run(&["tenant", "lift", "acme", "case-7", "--reason", "settled"]);
    assert!(unknown.code == Some(1) && format!("{unknown:?}").contains("unknown_hold"), "{unknown:?}");
    assert_eq!(shown()["holds"].as_array().map(Vec::len), Some(1));
}

#[test]
fn every_control_node_tells_its_state_and_they_are_equal() {
    let cluster = Cluster::running(3, 0);
    // Log time ticks each second, so now and then one node is asked just before it and another just after.
    let equal = eventually("states of one index", LONG, || {
        let states: Vec<Value> = cluster.controls.iter().map(Node::state).collect();
        states.iter().all(|state| state["applied_index"] == states[0]["applied_index"]).then_some(states)
    });
    let equal = equal.expect("states of one index");
    let digest = equal[0]["state_digest"].as_str().expect("a digest");
    assert!(digest.len() == 64 && digest.contains(|digit| digit != '0'), "{digest}");
    for (state, node) in equal.iter().zip(&cluster.controls) {
        assert_eq!((&state["state_digest"], &state["history"]), (&json!(digest), &json!(1)));
        assert_eq!(state["name"], json!(node.name));
    }
    // Nodes that are apart have points in common all the same.
    let points =
        |state: &Value| -> Vec<Value> { state["checkpoints"].as_array().cloned().unwrap_or_default() };
    let at = |state: &Value, index: &Value| points(state).into_iter().find(|point| point["index"] == *index);
    for point in points(&equal[0]).iter().rev().take(3) {
        assert_eq!(at(&equal[1], &point["index"]).as_ref(), Some(point));
    }
    let shown = eventually("what each node has said of its state", LONG, || {
        let shown = cluster.done(&["cluster", "status"])["cluster"].take();
        let members = shown["members"].as_array().into_iter().flatten();
        let said =
            members.filter(|it| it["state_digest"].is_string() && it["differs"] == json!(false)).count();
        (said == 3).then_some(shown)
    });
    let shown = shown.expect("what each node has said of its state");
    assert!(shown["applied_index"].as_u64() >= equal[0]["applied_index"].as_u64(), "{shown}");
    assert_eq!(shown["state_digest"].as_str().map(str::len), Some(64), "{shown}");
}

#[test]
fn nodes_may_die_while_decisions_go_on() {
    let mut cluster = Cluster::running(3, 2);
    assert_eq!(cluster.publish(10), 1);
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "30s"]);
    let token = cluster.token("finance-agent");
    let all_answer = |cluster: &Cluster, version: u64| {
        for data in 0..2 {
            let answer = cluster.ask(data, &token, 10);
            assert_eq!((answer.outcome(), answer.version()), ("allow", version), "{answer:?}");
        }
    };

    // The leader dies: decisions go on, and the others take writes again.
    let leader = cluster.leader();
    cluster.controls[leader].kill();
    all_answer(&cluster, 1);
    cluster.done(&["tenant", "create", "globex"]);
    assert_eq!(cluster.publish(20), 2);
    cluster.done(&["policy", "activate", "2", "--tenant", "acme", "--wait", "30s"]);
    all_answer(&cluster, 2);
    cluster.start_control(leader);
    cluster.controls[leader].until_ready();

    // A data node that starts anew enforces what it knows, without anybody publishing again.
    cluster.data[0].stop();
    cluster.start_data(0);
    all_answer(&cluster, 2);

    // All control nodes go and come back: decisions go on meanwhile, and nothing is lost.
    cluster.controls.iter_mut().for_each(Node::stop);
    all_answer(&cluster, 2);
    (0..3).for_each(|at| cluster.start_control(at));
    cluster.leader();
    let tenants = cluster.done(&["tenant", "list"]);
    let names: Vec<&str> =
        tenants["items"].as_array().into_iter().flatten().filter_map(|row| row["name"].as_str()).collect();
    assert_eq!(names, ["acme", "globex"]);
    cluster.done(&["policy", "rollback", "--tenant", "acme", "--wait", "30s"]);
    all_answer(&cluster, 1);

    // A member that is gone for good is removed; a data node as well.
    let gone = (cluster.leader() + 1) % 3;
    cluster.controls[gone].kill();
    let name = cluster.controls[gone].name.clone();
    assert_eq!(cluster.done(&["cluster", "remove", &name])["state"], "removed");
    cluster.data[1].stop();
    cluster.done(&["cluster", "remove-data", "data-2"]);
    let status = cluster.done(&["cluster", "status"]);
    let voters = status["cluster"]["members"].as_array().into_iter().flatten();
    assert_eq!(voters.filter(|member| member["state"] == "voter").count(), 2, "{status}");
}

#[test]
fn a_cluster_goes_on_from_its_backup_in_a_new_history() {
    let mut cluster = Cluster::running(1, 1);
    assert_eq!(cluster.publish(10), 1);
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "30s"]);
    let backup = cluster.path("backup.aegis");
    let shown = backup.to_str().expect("UTF-8").to_owned();
    let taken = cluster.done(&["cluster", "snapshot", "--file", &shown]);
    assert_eq!(taken["history"], json!(1), "{taken}");
    assert_eq!(finish(aegis().args(["cluster", "restore", "--check", &shown])).code, Some(0));
    assert_eq!(cluster.run(&["cluster", "snapshot", "--file", &shown]).code, Some(2), "never written over");
    cluster.done(&["tenant", "create", "later"]);
    let old = cluster.token("finance-agent");
    assert_eq!(cluster.ask(0, &old, 10).outcome(), "allow");

    // The machine is lost; another one takes its place with the backup and the cluster key.
    cluster.controls[0].kill();
    let config = cluster.path("control-1.toml");
    let restore = |at: &PathBuf| finish(aegis().args(["cluster", "restore", &shown, "--config"]).arg(at));
    assert_eq!(restore(&config).code, Some(1), "a data directory that holds something is left alone");
    fs::remove_dir_all(cluster.path("control-1")).expect("its data");
    let restored = restore(&config);
    assert_eq!(restored.code, Some(0), "{restored:?}");
    let void = fs::read(cluster.path("admin.token")).expect("a token");
    fs::remove_file(cluster.path("admin.token")).expect("the old token");
    let token = cluster.path("admin.token");
    let issued =
        finish(aegis().args(["cluster", "token", "--config"]).arg(&config).arg("--token-file").arg(&token));
    assert_eq!(issued.code, Some(0), "{issued:?}");
    cluster.start_control(0);
    cluster.controls[0].until_ready();
    assert_eq!(cluster.done(&["cluster", "status"])["cluster"]["history"], json!(2));
    let tenants = cluster.done(&["tenant", "list"]);
    assert_eq!(tenants["items"].as_array().map(Vec::len), Some(1), "{tenants}");

    // What the data node was lent in the old history is void, so it ends, and follows into the new one when it is started
    // again; a person's token of the old one counts no more.
    let mut process = cluster.data[0].process.take().expect("it ran");
    let ended = process.wait_end(LONG).expect("it ends");
    assert_ne!(ended.code(), Some(0), "whoever starts it again has to hear of it");
    cluster.start_data(0);
    assert_eq!(cluster.publish(20), 2);
    cluster.done(&["policy", "activate", "2", "--tenant", "acme", "--wait", "30s"]);
    let agent = cluster.token("finance-agent");
    assert_eq!(cluster.ask(0, &agent, 15).outcome(), "allow");
    // What was revoked after the backup is forgotten, so no token of before counts.
    let void_answer = cluster.ask(0, &old, 10);
    assert!(void_answer.outcome() != "allow", "{void_answer:?}");
    // The control log goes on under another name, and says how far the old one was in the backup (AUD-1).
    let evidence = cluster.path("evidence").display().to_string();
    let told = cluster.done(&["audit", "control", "download", "--to", &evidence]);
    let key = told["verifiers"][0].as_str().expect("a key");
    let verify = ["audit", "control", "verify", &evidence, "--output", "json", "--key", key];
    let verified = finish(aegis().args(verify));
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert_eq!(verified.json()["origin"], "test/control:2");
    assert_eq!(verified.json()["continues"]["origin"], "test/control");
    fs::write(cluster.path("admin.token"), void).expect("the old token");
    assert_eq!(cluster.run(&["tenant", "list"]).code, Some(1));
}

#[test]
fn a_node_makes_its_cluster_once_and_waits_to_be_added_otherwise() {
    let mut cluster = Cluster::new(2, 0);
    let (first, second) = (0, 1);
    let bootstrap = "[bootstrap]\ntoken_file = 'admin.token'\n";
    cluster.configure_control(&cluster.controls[first], bootstrap);
    cluster.start_control(first);
    cluster.controls[first].until_ready();
    assert_eq!(cluster.done(&["person", "whoami"])["person"], "admin");

    // One that belongs to nobody yet says so.
    cluster.start_control(second);
    let ready = |node: &Node| {
        let mut command = aegis();
        command
            .args(["ready", &format!("https://{}", node.http), "--tls-roots"])
            .arg(cluster.path("certs/ca.pem"));
        finish(&mut command)
    };
    assert_eq!(ready(&cluster.controls[first]).code, Some(0));
    let alone = ready(&cluster.controls[second]);
    assert!(alone.code == Some(1) && alone.stdout.contains("waits for"), "{alone:?}");

    // Another start does not make it again; a node that lost its data must not either.
    cluster.controls[first].stop();
    let token = fs::read(cluster.path("admin.token")).expect("a token");
    cluster.start_control(first);
    cluster.controls[first].until_ready();
    assert_eq!(fs::read(cluster.path("admin.token")).expect("a token"), token);
    cluster.controls[first].stop();
    fs::remove_dir_all(cluster.path("control-1")).expect("its data");
    let mut command = aegis();
    command.args(["control", "--config"]).arg(cluster.path("control-1.toml"));
    // Bounded, since a node that made a second cluster would run for ever.
    let mut again = TestProcess::start(&mut command).expect("it starts");
    assert_eq!(again.wait_end(LONG).expect("it refuses").code(), Some(1));
    let told = again.error_lines().join("\n");
    assert!(told.contains("made the cluster before"), "{told}");
}

#[test]
fn certificates_are_exchanged_while_a_node_runs() {
    let mut cluster = Cluster::new(1, 1);
    let init = finish(
        aegis()
            .args(["cluster", "init", "--token-file"])
            .arg(cluster.path("admin.token"))
            .arg("--config")
            .arg(cluster.path("control-1.toml")),
    );
    assert_eq!(init.code, Some(0), "{init:?}");
    cluster.start_control(0);
    cluster.controls[0].until_ready();
    cluster.start_data(0);
    for file in ["ca.pem", "ca-key.pem"] {
        fs::remove_file(cluster.path("certs").join(file)).expect("the old authority");
    }
    cluster.exchange_certificates();
    // The new authority is trusted by the client at once, so the node has to show what it vouches for.
    let (node, authority) = (cluster.controls[0].http, cluster.path("certs/ca.pem"));
    let shown = || {
        let mut command = aegis();
        command.args(["ready", &format!("https://{node}"), "--tls-roots"]).arg(&authority);
        (finish(&mut command).code == Some(0)).then_some(())
    };
    eventually("the new certificate", LONG, shown).expect("the new certificate");
    let data = cluster.data[0].process.as_ref().expect("it runs");
    crate::support::wait_for_error_line(data, "the certificates of the feed were read again");
    // A stream of its own, so with the new certificates at both ends.
    cluster.controls[0].stop();
    cluster.start_control(0);
    cluster.controls[0].until_ready();
    let follows = || {
        let process = cluster.controls[0].process.as_ref().expect("it runs");
        process.error_lines().into_iter().find(|line| line.contains("a data node follows"))
    };
    eventually("the data node", LONG, follows).expect("the data node follows again");

    // On a hang-up at once; what cannot be used keeps what is in use.
    fs::write(cluster.path("certs/control-1.pem"), "no certificate").expect("a file");
    let process = cluster.controls[0].process.as_ref().expect("it runs");
    let kill = format!("kill -HUP {}", process.id());
    assert!(Command::new("sh").arg("-c").arg(kill).status().expect("a shell").success());
    crate::support::wait_for_error_line(process, "those before stay");
    assert!(shown().is_some());
    cluster.controls[0].stop();
}

#[test]
fn a_cluster_key_is_replaced_and_taken_away() {
    let mut cluster = Cluster::running(1, 0);
    let with_keys = |cluster: &Cluster, keys: &str| {
        let file = cluster.path("control-1.toml");
        let text = fs::read_to_string(&file).expect("a file");
        let other = text.lines().map(|line| match line.starts_with("cluster_keys") {
            true => format!("cluster_keys = [{keys}]\n"),
            false => format!("{line}\n"),
        });
        fs::write(&file, other.collect::<String>()).expect("a file");
    };
    // Another development authority brings another cluster key along.
    let elsewhere = cluster.path("elsewhere");
    let mut certs = aegis();
    certs.args(["cluster", "certs", "--cluster", "other", "--control", "control-1", "--dir"]).arg(&elsewhere);
    assert_eq!(finish(&mut certs).code, Some(0));
    let before = cluster.done(&["cluster", "rewrap-keys"]);
    assert_eq!(before["rewrapped"], json!([]), "all are under the only key");

    cluster.controls[0].stop();
    with_keys(&cluster, "'elsewhere/cluster.key', 'certs/cluster.key'");
    cluster.start_control(0);
    cluster.controls[0].until_ready();
    let rewrapped = cluster.done(&["cluster", "rewrap-keys"]);
    assert_eq!(rewrapped["rewrapped"].as_array().map(Vec::len), Some(5), "{rewrapped}");
    assert_ne!(rewrapped["cluster_key"], before["cluster_key"]);
    assert_eq!(cluster.done(&["cluster", "rewrap-keys"])["rewrapped"], json!([]), "again");

    // The old one is not needed any more: tokens are signed without it. With it alone nothing is.
    cluster.controls[0].stop();
    with_keys(&cluster, "'elsewhere/cluster.key'");
    cluster.start_control(0);
    cluster.controls[0].until_ready();
    assert!(!cluster.token("finance-agent").is_empty());
    cluster.controls[0].stop();
    with_keys(&cluster, "'certs/cluster.key'");
    cluster.start_control(0);
    cluster.controls[0].until_ready();
    let mint = ["token", "mint", "--tenant", "acme", "--agent", "finance-agent", "--scope", "*:*"];
    assert_eq!(cluster.run(&mint).code, Some(1));
}
