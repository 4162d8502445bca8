//! Searches for decisions over processes: every data node, every life of it, one tenant, and nobody missing unseen.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use aegis_testkit::eventually;
use anyhow::Context;
use serde_json::{Value, json};

use crate::nodes::{Cluster, Settings};
use crate::support::{Dev, LONG, Ran, address, aegis, decide, finish, get_with_token, payment, post};

/// What a search prints: its lines, and how it ended. Asked of one control node.
fn ask(cluster: &Cluster, control: usize, tenant: &str, filter: &[&str]) -> (Vec<Value>, Ran) {
    let mut command = aegis();
    command.args(["audit", "search", "--tenant", tenant, "--output", "json"]).args(filter);
    command.args(["--server", &format!("https://{}", cluster.controls[control].http)]);
    command.arg("--server-ca").arg(cluster.path("certs/ca.pem"));
    command.arg("--person-token-file").arg(cluster.path("admin.token"));
    let ran = finish(&mut command);
    let line = |line: &str| serde_json::from_str(line).expect("a line of JSON");
    (ran.stdout.lines().map(line).collect(), ran)
}

/// The same, once it finds so many and nobody is missing.
fn found(cluster: &Cluster, control: usize, tenant: &str, filter: &[&str], count: usize) -> Vec<Value> {
    let mut last = None;
    let whole = || {
        let (lines, ran) = ask(cluster, control, tenant, filter);
        let whole = ran.code == Some(0) && lines.len() == count;
        last = Some((lines.len(), ran));
        whole.then_some(lines)
    };
    let whole = eventually("a whole answer", LONG, whole);
    whole.with_context(|| format!("{count} of {filter:?}: {last:?}")).expect("it comes")
}

fn ids(lines: &[Value]) -> BTreeSet<String> {
    let id =
        |line: &Value| line["record"]["what"]["decision"]["decision_id"].as_str().expect("an id").to_owned();
    lines.iter().map(id).collect()
}

/// A second tenant with the same policy.
fn with_globex(cluster: &Cluster) -> String {
    cluster.done(&["tenant", "create", "globex"]);
    cluster.done(&["agent", "create", "finance-agent", "--tenant", "globex"]);
    let policy = cluster.path("policy");
    cluster.done(&["policy", "publish", policy.to_str().expect("UTF-8"), "--tenant", "globex"]);
    cluster.done(&["policy", "activate", "1", "--tenant", "globex", "--wait", "30s"]);
    let mint = ["token", "mint", "--tenant", "globex", "--agent", "finance-agent", "--scope", "*:*"];
    cluster.done(&mint)["token"].as_str().expect("a token").to_owned()
}

/// TEN-1, and an answer that is never silently incomplete: three data nodes with two tenants, one of them killed, and back.
#[test]
fn every_node_and_every_life_is_searched_for_one_tenant_and_who_is_missing_is_named() {
    let mut cluster = Cluster::running(3, 3);
    cluster.publish(10);
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "30s"]);
    let (acme, globex) = (cluster.token("finance-agent"), with_globex(&cluster));
    let mut decided = BTreeSet::new();
    for data in 0..3 {
        for amount in [5, 11, 6, 12] {
            let answer = cluster.ask(data, &acme, amount);
            decided.insert(answer.body["decision_id"].as_str().expect("an id").to_owned());
        }
        assert_eq!(decide(cluster.data[data].http, &globex, &payment(5)).outcome(), "allow");
    }

    // Every control node finds all of it, and nothing of the other tenant.
    for control in 0..3 {
        let lines = found(&cluster, control, "acme", &[], 12);
        assert_eq!(ids(&lines), decided);
        let at: Vec<&str> = lines.iter().map(|line| line["at"].as_str().expect("a moment")).collect();
        assert!(at.is_sorted_by(|one, next| one >= next), "the newest first: {at:?}");
        assert!(lines.iter().all(|line| line["record"]["chain"] == "tenant/acme"), "{lines:?}");
        let others = found(&cluster, control, "globex", &[], 3);
        assert!(others.iter().all(|line| line["record"]["chain"] == "tenant/globex"), "{others:?}");
    }
    let denied = found(&cluster, 0, "acme", &["--outcome", "deny"], 6);
    assert!(denied.iter().all(|line| line["record"]["what"]["decision"]["outcome"] == "deny"));
    found(&cluster, 1, "acme", &["--agent", "finance-agent", "--node", "data-2"], 4);
    found(&cluster, 1, "acme", &["--agent", "nobody"], 0);
    found(&cluster, 1, "acme", &["--reason", "ParameterOutOfRange", "--since", "1h", "--limit", "5"], 5);
    found(&cluster, 1, "acme", &["--to", "2026-01-01T00:00:00Z"], 0);

    // By its id: what its answer said of its record is what the search says. A completion is told with it.
    let answer = cluster.ask(1, &acme, 7);
    let id = answer.body["decision_id"].as_str().expect("an id");
    let line = found(&cluster, 2, "acme", &["--id", id], 1).remove(0);
    for part in ["log", "index", "leaf"] {
        assert_eq!(line[part], answer.body["receipt"][part], "{line}");
    }
    let done = json!({"decision_id": id, "status": "succeeded"});
    assert_eq!(post(cluster.data[1].http, "/v1/complete", &acme, &done).status, 200);
    let completed = || {
        ask(&cluster, 2, "acme", &["--id", id])
            .0
            .first()
            .filter(|it| it["linked"][0]["kind"] == "completion")
            .cloned()
    };
    let line = eventually("a completion", LONG, completed).expect("it is told");
    assert_eq!((&line["linked_partial"], line["linked"].as_array().map(Vec::len)), (&json!(false), Some(1)));

    // One of them is killed: it is named, and what the others have is there.
    cluster.data[1].kill();
    let missing = || {
        let (lines, ran) = ask(&cluster, 0, "acme", &[]);
        // A search that was on its way to the node when that was killed waits for it, and calls it late.
        (ran.code == Some(1) && lines.len() == 8 && ran.stderr.contains("not_connected"))
            .then_some(ran.stderr)
    };
    let named = eventually("a data node is missing", LONG, missing).expect("it is named");
    assert!(named.contains("data-2") && named.contains("not_connected"), "{named}");
    assert!(!named.contains("data-1") && !named.contains("data-3"), "{named}");

    // It comes back with another life: what it decided before is found, too.
    cluster.start_data(1);
    assert_eq!(
        eventually("it serves", LONG, || Some(cluster.ask(1, &acme, 8)).filter(|it| it.status == 200))
            .expect("it does")
            .outcome(),
        "allow"
    );
    let lines = found(&cluster, 0, "acme", &[], 14);
    let logs: BTreeSet<&str> =
        lines.iter().filter(|it| it["node"] == "data-2").filter_map(|it| it["log"].as_str()).collect();
    assert_eq!(logs.len(), 2, "both lives: {logs:?}");
    assert!(ids(&lines).is_superset(&decided));
}

/// Nobody reads records but who may, and nothing that was made up leads anywhere.
#[test]
fn whoever_may_not_reads_nothing_and_made_up_cursors_lead_nowhere() {
    let cluster = Cluster::running(1, 1);
    cluster.publish(10);
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "30s"]);
    let (acme, globex) = (cluster.token("finance-agent"), with_globex(&cluster));
    for _ in 0..3 {
        cluster.ask(0, &acme, 5);
        decide(cluster.data[0].http, &globex, &payment(5));
    }
    found(&cluster, 0, "acme", &[], 3);
    for (person, role) in [("viewer@example.com", "viewer"), ("auditor@example.com", "auditor")] {
        cluster.done(&["person", "put", person]);
        cluster.done(&["role", "grant", person, role, "--scope", "globex"]);
        let token = cluster.done(&["person", "token", person])["token"].as_str().expect("a token").to_owned();
        let file = cluster.path(&format!("{role}.token"));
        fs::write(&file, token).expect("a file");
        for tenant in ["acme", "globex"] {
            let mut command = aegis();
            command.args(["audit", "search", "--tenant", tenant, "--output", "json"]);
            command.args(["--server", &format!("https://{}", cluster.controls[0].http)]);
            command
                .arg("--server-ca")
                .arg(cluster.path("certs/ca.pem"))
                .arg("--person-token-file")
                .arg(&file);
            let ran = finish(&mut command);
            let may = role == "auditor" && tenant == "globex";
            assert_eq!(
                (ran.code, ran.stdout.lines().count()),
                if may { (Some(0), 3) } else { (Some(1), 0) },
                "{ran:?}"
            );
            assert!(may || ran.stderr.contains("forbidden"), "{ran:?}");
        }
    }
}

/// `aegis dev`: page by page over REST, while decisions go on.
#[test]
fn pages_go_on_where_they_ended_while_decisions_are_made() {
    let dev = Dev::start(None);
    let control = address(&dev.ready["control"]);
    let admin = fs::read_to_string(dev.data_dir.path().join("admin.token")).expect("a token");
    let get = |query: &str| {
        get_with_token(control, &format!("/admin/v1/tenants/demo/decisions?{query}"), admin.trim())
    };
    let id =
        |item: &Value| item["record"]["what"]["decision"]["decision_id"].as_str().expect("an id").to_owned();
    let mut made: Vec<String> = Vec::new();
    let mut decide =
        || made.push(dev.decide(&payment(5)).body["decision_id"].as_str().expect("an id").to_owned());
    (0..7).for_each(|_| decide());
    let all = || {
        Some(get("limit=100")).filter(|it| it.body["items"].as_array().is_some_and(|items| items.len() == 7))
    };
    let whole = eventually("all of them", LONG, all).expect("they are found");
    assert_eq!((&whole.body["missing"], &whole.body["next"]), (&json!([]), &json!("")));

    let (mut paged, mut cursor, mut pages) = (Vec::new(), String::new(), Vec::new());
    loop {
        let page = get(&format!("limit=2{cursor}"));
        assert_eq!(page.status, 200, "{page:?}");
        paged.extend(page.body["items"].as_array().expect("a list").iter().map(id));
        let next = page.body["next"].as_str().expect("a text").to_owned();
        if next.is_empty() {
            break;
        }
        pages.push(next.clone());
        cursor = format!("&cursor={next}");
        decide();
    }
    let wanted: Vec<String> = made[..7].iter().rev().cloned().collect();
    assert_eq!(paged, wanted, "none twice, none lost, none that came later");

    // Who asked stands in the control log: once per question, not per page.
    let noted = || {
        let records = get_with_token(control, "/admin/v1/tenants/demo/records?limit=1000", admin.trim());
        let items = records.body["items"].as_array().expect("a list").clone();
        let notes = items.into_iter().filter(|it| it["command"] == "NoteSearch");
        notes.map(|it| it["summary"].as_str().expect("a text").to_owned()).collect::<Vec<_>>()
    };
    let before = noted().len();
    assert_eq!(get("outcome=deny&agent=finance-agent").status, 200);
    let after = noted();
    assert_eq!(after.len(), before + 1);
    assert!(
        after[0].contains("decisions of tenant `demo` with agent `finance-agent`, outcome `deny`"),
        "{after:?}"
    );
    let first = get("limit=2");
    let (before, mut next) = (noted().len(), first.body["next"].as_str().expect("a text").to_owned());
    for _ in 0..2 {
        let page = get(&format!("limit=2&cursor={next}"));
        assert_eq!(page.status, 200, "{page:?}");
        next = page.body["next"].as_str().expect("a text").to_owned();
    }
    assert_eq!(noted().len(), before, "the pages of one question");

    // A cursor is good for its question alone, and whatever is no cursor is refused.
    let (first, other) = (&pages[0], "outcome=deny&limit=2");
    let long = "A".repeat(3_500);
    for query in [
        format!("{other}&cursor={first}"),
        format!("limit=2&cursor={first}A"),
        format!("limit=2&cursor={}", &first[1..]),
        format!("limit=2&cursor={long}"),
        "limit=2&cursor=AAAA".to_owned(),
        "limit=1001".to_owned(),
        "outcome=maybe".to_owned(),
        "reason=NoSuchCode".to_owned(),
        "trace_id=xyz".to_owned(),
        "from=yesterday".to_owned(),
        "from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z".to_owned(),
        "agent=a%20b".to_owned(),
        format!("decision_id={}", "d".repeat(1_000)),
    ] {
        let refused = get(&query);
        assert_eq!((refused.status, &refused.body["code"]), (400, &json!("invalid")), "{query}: {refused:?}");
    }
    for query in ["agnt=bot", "agent=a&agent=b", "limit=-1", "version=1.0", "agent=%ff"] {
        assert_eq!(get(query).body["code"], "malformed", "{query}");
    }
    assert_eq!(get("node=elsewhere").body["code"], "unknown_data_node");
}

/// A search in which somebody is missing: the lines, and what is said of it.
fn partly(cluster: &Cluster, tenant: &str, filter: &[&str], why: &str) -> (Vec<Value>, String) {
    let mut last = None;
    let told = || {
        let (lines, ran) = ask(cluster, 0, tenant, filter);
        let told = ran.code == Some(1) && ran.stderr.contains(why);
        last = Some(format!("{} lines: {ran:?}", lines.len()));
        told.then_some((lines, ran.stderr))
    };
    let told = eventually("an answer that says what is missing", LONG, told);
    told.with_context(|| format!("{why} of {filter:?}: {last:?}")).expect("it comes")
}

/// The files of a tenant's sealed records below a folder.
fn sealed_of(folder: &Path, tenant: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sealed_of(&path, tenant));
        } else if path.extension().is_some_and(|it| it == "seg")
            && fs::read_to_string(&path)
                .is_ok_and(|text| text.contains(&format!("\"chain\":\"tenant/{tenant}\"")))
        {
            found.push(path);
        }
    }
    found
}

/// AUD-1, TEN-1: what a data node decided is found after its disk is lost, and after the node is gone for good, in the copies that it left
/// in the object store; a copy that was changed there is refused and never shown, and what the store lacks is named.
#[test]
fn what_lost_nodes_decided_is_found_in_the_store_and_a_forged_copy_is_refused() {
    let store = tempfile::tempdir().expect("a folder");
    let data = format!("[audit.store]\nurl = 'file://{}'\n", store.path().display());
    let mut cluster = Cluster::running_with(Settings { data, ..Settings::default() }, 1, 2);
    cluster.publish(10);
    cluster.done(&["policy", "activate", "1", "--tenant", "acme", "--wait", "30s"]);
    let (acme, globex) = (cluster.token("finance-agent"), with_globex(&cluster));
    let mut decided = BTreeSet::new();
    for data in 0..2 {
        for amount in [5, 11, 6] {
            let answer = cluster.ask(data, &acme, amount);
            decided.insert(answer.body["decision_id"].as_str().expect("an id").to_owned());
        }
        assert_eq!(decide(cluster.data[data].http, &globex, &payment(5)).outcome(), "allow");
    }
    found(&cluster, 0, "acme", &[], 6);
    let of_second = found(&cluster, 0, "acme", &["--node", "data-2"], 3);

    // The second data node is gone for good: its disk with it. Retired, it is left out, and asked for where somebody wants it.
    cluster.data[1].stop();
    fs::remove_dir_all(cluster.path("data-2")).expect("its disk is lost");
    cluster.done(&["cluster", "remove-data", "data-2"]);
    let lines = found(&cluster, 0, "acme", &[], 3);
    assert!(lines.iter().all(|line| line["node"] == "data-1"), "{lines:?}");
    let told = ask(&cluster, 0, "acme", &["--limit", "5"]).1.stderr;
    assert!(told.contains("{\"retired_left_out\":1}"), "{told}");
    let lines = found(&cluster, 0, "acme", &["--retired"], 6);
    assert_eq!(ids(&lines), decided);
    // As they stood in its own log.
    let copied: Vec<&Value> = lines.iter().filter(|line| line["node"] == "data-2").collect();
    assert_eq!(copied, of_second.iter().collect::<Vec<_>>());
    found(&cluster, 0, "acme", &["--node", "data-2", "--outcome", "deny"], 1);
    let id = of_second[0]["record"]["what"]["decision"]["decision_id"].as_str().expect("an id");
    found(&cluster, 0, "acme", &["--id", id], 1);
    let others = found(&cluster, 0, "globex", &["--retired"], 2);
    assert!(others.iter().all(|line| line["record"]["chain"] == "tenant/globex"), "{others:?}");

    // The disk of the first one is lost, and the node comes back: what it decided before is in the store.
    cluster.data[0].stop();
    fs::remove_dir_all(cluster.path("data-1")).expect("its disk is lost");
    cluster.start_data(0);
    let served = || Some(cluster.ask(0, &acme, 8)).filter(|it| it.status == 200);
    eventually("it serves", LONG, served).expect("it does");
    // Under another id, since its disk had the old one, which the operator retires.
    let (_, named) = partly(&cluster, "acme", &[], "not_connected");
    assert!(named.contains("data-1"), "{named}");
    let nodes = cluster.done(&["cluster", "status"])["data_nodes"].take();
    let of_first = nodes.as_array().expect("a list").iter().filter(|node| node["name"] == "data-1");
    let old = of_first.min_by_key(|node| node["started_at"].to_string()).expect("two of them");
    cluster.done(&["cluster", "remove-data", old["id"].as_str().expect("an id")]);
    let lines = found(&cluster, 0, "acme", &["--retired"], 7);
    assert!(ids(&lines).is_superset(&decided));

    // Somebody changes a copy: a record of the tenant, in a file that is as long as before.
    let files = sealed_of(&store.path().join("test/data-2"), "acme");
    let [file] = &files[..] else { panic!("one segment: {files:?}") };
    let whole = fs::read_to_string(file).expect("text");
    fs::write(file, whole.replacen("\"outcome\":\"deny\"", "\"outcome\":\"dent\"", 1)).expect("a file");
    let (lines, told) = partly(&cluster, "acme", &["--retired"], "copy_refused");
    assert!(lines.len() == 4 && lines.iter().all(|line| line["node"] == "data-1"), "{lines:?}");
    assert!(told.contains("test/data-2/"), "{told}");
    // Somebody takes it away.
    fs::remove_file(file).expect("a file");
    let (_, ran) = ask(&cluster, 0, "acme", &["--retired"]);
    assert_eq!(ran.stdout.lines().count(), 4, "{ran:?}");
    fs::write(file, &whole).expect("a file");
    found(&cluster, 0, "acme", &["--retired"], 7);
    // All of the copy.
    fs::remove_dir_all(store.path().join("test/data-2")).expect("a folder");
    let (lines, told) = partly(&cluster, "acme", &["--node", "data-2"], "not_copied");
    assert!(lines.is_empty() && told.contains("test/data-2/"), "{told}");
    // What was never in question is not spoken of.
    found(&cluster, 0, "acme", &["--node", "data-2", "--to", "2026-01-01T00:00:00Z"], 0);
}
