//! People are told of requests for approval through channels, and answer: on a cluster of processes, with stand-ins that check what
//! they are sent.

use std::fs;

use aegis_testkit::{eventually, root};
use reqwest::header::{COOKIE, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::{StatusCode, redirect};
use serde_json::{Value, json};

use super::people::{
    BOT_TOKEN, SIGNING_SECRET, StandIn, TEAMS_PATH, WEBHOOK_SECRET, now, press, slack_signature,
};
use super::{ask, ask_for_good, enforce, kill_all_control_nodes, with_token};
use crate::nodes::{Cluster, Node, Settings};
use crate::support::{Answer, LONG, get_with_token, payment, text_below};
use crate::trials::runtime;

/// Payments above 5,000 are told through these channels.
fn policy(notify: &str) -> String {
    format!(
        "agents: ['finance-agent', 'agent-*']\nallowed_tools:\n- name: stripe-payments\n  actions: [create_payment]\n  \
         conditions: {{max_amount: 5000, approval_needed: true}}\n  \
         approval: {{by: [finance-lead], within: 30m, notify: [{notify}]}}\n"
    )
}

/// A cluster that sends to the loopback, whose administrator is a `finance-lead`.
fn cluster() -> Cluster {
    let settings = Settings { control: "deliveries.private = true\n".to_owned(), ..Settings::default() };
    let cluster = Cluster::running_with(settings, 3, 3);
    cluster.done(&["role", "grant", "admin", "finance-lead", "--scope", "acme"]);
    for (file, text) in
        [("hook.secret", WEBHOOK_SECRET), ("signing.secret", SIGNING_SECRET), ("bot.token", BOT_TOKEN)]
    {
        fs::write(cluster.path(file), text).expect("a file");
    }
    cluster
}

fn file(cluster: &Cluster, name: &str) -> String {
    cluster.path(name).to_str().expect("UTF-8").to_owned()
}

fn make_hook(cluster: &Cluster, people: &StandIn) {
    let (url, secret) = (people.url("/hook"), file(cluster, "hook.secret"));
    let set = ["channels", "set", "hook", "--tenant", "acme", "--kind", "webhook"];
    cluster.done(&[&set[..], &["--url", &url, "--secret-file", &secret]].concat());
}

fn make_slack(cluster: &Cluster, people: &StandIn) -> Value {
    let (url, secret, token) = (people.url(""), file(cluster, "signing.secret"), file(cluster, "bot.token"));
    let set = ["channels", "set", "#payments", "--tenant", "acme", "--kind", "slack", "--workspace", "T1"];
    let more = ["--target", "C024BE91L", "--secret-file", &secret, "--token-file", &token, "--url", &url];
    let members = ["--member", "U1=admin", "--member", "U2=viewer", "--member", "U3=finance-agent"];
    cluster.done(&[&set[..], &more, &members].concat())
}

fn make_teams(cluster: &Cluster, people: &StandIn) {
    fs::write(cluster.path("workflow.url"), people.url(TEAMS_PATH)).expect("a file");
    let url = file(cluster, "workflow.url");
    let set = ["channels", "set", "teams/finance", "--tenant", "acme", "--kind", "teams"];
    cluster.done(&[&set[..], &["--url-file", &url]].concat());
}

fn id_of(answer: &Answer) -> String {
    assert_eq!(answer.outcome(), "approval_required", "{answer:?}");
    answer.body["approval"]["id"].as_str().expect("a request").to_owned()
}

/// The deliveries of the tenant, once none is waiting.
fn settled(cluster: &Cluster) -> Vec<Value> {
    let found = eventually("nothing left to tell", LONG, || {
        let listed = cluster.done(&["approvals", "deliveries", "--tenant", "acme"]);
        let rows = listed["items"].as_array().cloned().unwrap_or_default();
        rows.iter().all(|row| row["state"] != "waiting").then_some(rows)
    });
    found.expect("deliveries")
}

/// The largest value of a metric at any control node.
fn metric(cluster: &Cluster, name: &str) -> f64 {
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let page = |node: &Node| {
        let url = format!("http://{}/metrics", node.metrics());
        runtime().block_on(async { http.get(url).send().await?.text().await }).expect("a page")
    };
    let of = |node: &Node| {
        let page = page(node);
        let value = page.lines().find_map(|line| line.strip_prefix(&format!("aegis_control_{name} ")));
        value.and_then(|value| value.parse().ok()).unwrap_or(0.0)
    };
    cluster.controls.iter().map(of).fold(0.0, f64::max)
}

/// Waits for figures of which `holds`: they are taken now and then, each by itself.
fn until_metrics(cluster: &Cluster, names: [&str; 3], holds: impl Fn([f64; 3]) -> bool) {
    let shown = || names.map(|name| metric(cluster, name));
    let found = eventually("the metrics", LONG, || holds(shown()).then_some(()));
    assert!(found.is_ok(), "{names:?}: {:?}", shown());
}

fn until_standing(cluster: &Cluster, id: &str, state: &str) -> Value {
    let found = eventually(state, LONG, || {
        let shown = cluster.done(&["approvals", "show", id, "--tenant", "acme"]);
        (shown["state"] == state).then_some(shown)
    });
    found.unwrap_or_else(|error| panic!("{error}"))
}

/// A browser, or Slack, at the control nodes.
struct Client {
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    base: String,
    host: String,
}

impl Client {
    fn of(cluster: &Cluster) -> Self {
        let authority = fs::read(cluster.path("certs/ca.pem")).expect("a file");
        let authority = reqwest::Certificate::from_pem(&authority).expect("a certificate");
        let http = reqwest::Client::builder().tls_certs_only([authority]).no_proxy();
        let http = http.redirect(redirect::Policy::none()).build().expect("a client");
        let host = cluster.controls[0].http.to_string();
        Self { http, runtime: runtime(), base: format!("https://{host}"), host }
    }

    fn send(&self, request: reqwest::RequestBuilder) -> Page {
        self.runtime.block_on(async {
            let answer = request.send().await.expect("it answers");
            let (status, headers) = (answer.status(), answer.headers().clone());
            Page { status, headers, text: answer.text().await.expect("a text") }
        })
    }

    /// What Slack sends.
    fn callback(&self, body: &str, moment: u64, signature: &str) -> StatusCode {
        let url = format!("{}/callbacks/slack/acme/%23payments", self.base);
        let request = self.http.post(url).body(body.to_owned());
        let request = request
            .header("content-type", "application/x-www-form-urlencoded")
            .header("x-slack-request-timestamp", moment.to_string())
            .header("x-slack-signature", signature);
        self.send(request).status
    }

    /// The same, signed as it should be.
    fn pressed(&self, body: &str) -> StatusCode {
        // Read once: a second may end between two looks.
        let moment = now();
        self.callback(body, moment, &slack_signature(SIGNING_SECRET, moment, body))
    }

    fn look(&self, path: &str, cookie: &str) -> Page {
        self.send(self.http.get(format!("{}{path}", self.base)).header(COOKIE, cookie))
    }

    fn submit(&self, path: &str, cookie: &str, origin: &str, form: &[(&str, &str)]) -> Page {
        let mut url = reqwest::Url::parse("form:/").expect("an address");
        url.query_pairs_mut().extend_pairs(form);
        let request = self.http.post(format!("{}{path}", self.base));
        let request =
            request.header("content-type", "application/x-www-form-urlencoded").header(ORIGIN, origin);
        self.send(request.header(COOKIE, cookie).body(url.query().unwrap_or_default().to_owned()))
    }

    fn origin(&self) -> String {
        format!("https://{}", self.host)
    }
}

#[derive(Debug)]
struct Page {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    text: String,
}

impl Page {
    /// What the forms of the page hold against those of other pages.
    fn csrf(&self) -> String {
        let rest = self.text.split("name=\"csrf\" value=\"").nth(1).unwrap_or_else(|| panic!("{self:?}"));
        rest.split('"').next().unwrap_or_default().to_owned()
    }
}

fn override_token(cluster: &Cluster, agent: &str, id: &str) -> String {
    let found = eventually("the override token", LONG, || {
        let told = get_with_token(cluster.data[1].http, &format!("/v1/approvals/{id}"), agent);
        told.body["override_token"].as_str().map(str::to_owned)
    });
    found.expect("a token")
}

/// Story 1, with people who are asked in Slack and in Teams: who may not answer does not, however it is sent; who may, does so once.
#[test]
fn people_are_asked_in_slack_and_answer_there() {
    let (mut cluster, people) = (cluster(), StandIn::start());
    cluster.done(&["person", "put", "viewer"]);
    cluster.done(&["role", "grant", "viewer", "viewer", "--scope", "acme"]);
    cluster.done(&["person", "put", "finance-agent"]);
    for role in ["viewer", "finance-lead"] {
        cluster.done(&["role", "grant", "finance-agent", role, "--scope", "acme"]);
    }
    let slack = make_slack(&cluster, &people);
    assert_eq!(slack["callback"], "/callbacks/slack/acme/%23payments");
    assert_eq!(cluster.done(&["channels", "test", "#payments", "--tenant", "acme"])["delivered"], true);
    enforce(&cluster, &policy("'#payments'"));
    let agent = cluster.token("finance-agent");

    let id = id_of(&ask(&cluster, 0, &agent, &payment(50_000)));
    let asked = people.slack_says("Approval needed");
    let shown = asked.to_string();
    for part in
        ["finance-agent", "stripe-payments", "create_payment", "50000", "ParameterOutOfRange", "finance-lead"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let url =
        asked["blocks"].as_array().expect("blocks").last().expect("buttons")["elements"][2]["url"].clone();
    assert!(url.as_str().is_some_and(|url| url.ends_with(&format!("/approvals/acme/{id}"))), "{url}");

    let client = Client::of(&cluster);
    let approve = press(&asked, "aegis_approve", "U1", "T1");
    let good = slack_signature(SIGNING_SECRET, now(), &approve);
    let forged = slack_signature("another secret of theirs", now(), &approve);
    assert_eq!(client.callback(&approve, now(), &forged), StatusCode::UNAUTHORIZED, "forged");
    assert_eq!(client.callback(&approve, now() + 1, &good), StatusCode::UNAUTHORIZED, "another moment");
    let stale = now() - 301;
    let old = slack_signature(SIGNING_SECRET, stale, &approve);
    assert_eq!(client.callback(&approve, stale, &old), StatusCode::UNAUTHORIZED, "stale");
    let elsewhere = press(&asked, "aegis_approve", "U1", "T2");
    assert_eq!(client.pressed(&elsewhere), StatusCode::FORBIDDEN, "another workspace");
    // Nobody, somebody who may not, and whose call it is: each is told why, and nothing is decided.
    for (user, why) in
        [("U9", "does not know who you are"), ("U2", "not permitted"), ("U3", "chain of the call")]
    {
        assert_eq!(client.pressed(&press(&asked, "aegis_approve", user, "T1")), StatusCode::OK);
        // Slack's request is answered in time, whether or not the user is told by then.
        let told =
            eventually("a whisper", LONG, || people.whispers().into_iter().find(|told| told["user"] == user));
        let told = told.expect("a whisper");
        assert!(told.to_string().contains(why), "{told}");
    }
    assert_eq!(until_standing(&cluster, &id, "pending")["votes"], json!([]));

    let moment = now();
    let good = slack_signature(SIGNING_SECRET, moment, &approve);
    assert_eq!(client.callback(&approve, moment, &good), StatusCode::OK);
    assert_eq!(client.callback(&approve, moment, &good), StatusCode::CONFLICT, "replayed");
    // A double click is sent by Slack as another request.
    let again = press(&asked, "aegis_approve", "U1", "T1") + "&x=1";
    assert_eq!(client.pressed(&again), StatusCode::OK);
    let approved = until_standing(&cluster, &id, "approved");
    assert_eq!(approved["votes"].as_array().map(Vec::len), Some(1), "{approved}");
    assert_eq!(approved["votes"][0]["person"], "admin");
    let changed = people.slack_says("admin agreed");
    assert!(!changed.to_string().contains("aegis_approve"), "{changed}");

    kill_all_control_nodes(&mut cluster);
    let token = override_token(&cluster, &agent, &id);
    assert_eq!(ask_for_good(&cluster, 1, &agent, &with_token(50_000, &token)).outcome(), "allow");
    assert_eq!(ask_for_good(&cluster, 2, &agent, &with_token(50_000, &token)).codes(), ["OverrideUsed"]);
    people.slack_says("The call was made");
    assert_eq!(people.wrong(), Vec::<String>::new());
    // One message of the test and one of the request: it was changed, and none was added.
    assert_eq!(people.slack().len(), 2, "{:?}", people.slack());
    let rows = settled(&cluster);
    assert_eq!((rows.len(), &rows[0]["state"], &rows[0]["told"]), (1, &json!("ended"), &json!("redeemed")));
    // What only its receiver may know is nowhere in the clear: not in the folders of the nodes, and not in what is shown.
    let listed = cluster.done(&["channels", "list", "--tenant", "acme"]).to_string();
    for number in 1..=3 {
        let text = text_below(&cluster.path(&format!("control-{number}")));
        for secret in [BOT_TOKEN, SIGNING_SECRET] {
            assert!(!text.contains(secret) && !listed.contains(secret));
        }
    }
}

/// The card of Teams leads to the page of Aegis, where people sign in; forms of other sites count for nothing.
#[test]
fn people_are_asked_in_teams_and_answer_on_the_page() {
    let (cluster, people) = (cluster(), StandIn::start());
    make_teams(&cluster, &people);
    enforce(&cluster, &policy("teams/finance"));
    let agent = cluster.token("finance-agent");
    let call = json!({"tool": "stripe-payments", "action": "create_payment",
                      "params": {"amount": 60_000, "note": "<script>alert(1)</script>", "card": "4111 1111 1111 1111"}});
    let id = id_of(&ask(&cluster, 0, &agent, &call));
    let card = eventually("a card", LONG, || people.cards().into_iter().next()).expect("a card");
    // What is sensitive leaves masked, though the policy says nothing of it; who signs in sees it.
    let told = card.to_string().replace('\u{200b}', "");
    assert!(told.contains("60000") && told.contains("**** 1111") && !told.contains("4111 1111"), "{told}");
    let action = &card["actions"][0];
    assert_eq!(action["type"], "Action.OpenUrl");
    let url = action["url"].as_str().expect("an address");
    let path = format!("/approvals/acme/{id}");
    assert!(url.starts_with("https://") && url.ends_with(&path), "{url}");

    let client = Client::of(&cluster);
    // The address is no capability.
    let outside = client.look(&path, "");
    assert!(outside.text.contains("Sign in") && !outside.text.contains("60000"), "{outside:?}");
    let policy = outside.headers["content-security-policy"].to_str().expect("text").to_owned();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    let token = fs::read_to_string(cluster.path("admin.token")).expect("a file");
    let sign_in = [("step", "sign-in"), ("token", token.trim())];
    assert_eq!(client.submit(&path, "", "https://evil.example", &sign_in).status, StatusCode::FORBIDDEN);
    let wrong = client.submit(&path, "", &client.origin(), &[("step", "sign-in"), ("token", "a.b.c")]);
    assert_eq!(wrong.status, StatusCode::UNAUTHORIZED, "{wrong:?}");
    let inside = client.submit(&path, "", &client.origin(), &sign_in);
    assert_eq!(
        (inside.status, inside.headers[LOCATION].to_str().ok()),
        (StatusCode::SEE_OTHER, Some(path.as_str()))
    );
    let set = inside.headers[SET_COOKIE].to_str().expect("text").to_owned();
    for part in ["HttpOnly", "SameSite=Lax", "Secure", "Path=/approvals"] {
        assert!(set.contains(part), "{set}");
    }
    let cookie = set.split(';').next().unwrap_or_default().to_owned();

    let page = client.look(&path, &cookie);
    assert!(
        page.text.contains("60000")
            && page.text.contains("&lt;script&gt;")
            && page.text.contains("4111 1111 1111 1111"),
        "{page:?}"
    );
    assert!(!page.text.contains("<script"), "{page:?}");
    assert_eq!(client.look("/approvals/acme/unknown", &cookie).status, StatusCode::NOT_FOUND);
    let csrf = page.csrf();
    let approve = [("step", "approve"), ("csrf", csrf.as_str()), ("reason", "agreed by phone")];
    assert_eq!(client.submit(&path, &cookie, "https://evil.example", &approve).status, StatusCode::FORBIDDEN);
    assert_eq!(client.submit(&path, &cookie, "null", &approve).status, StatusCode::FORBIDDEN);
    assert_eq!(client.submit(&path, "", &client.origin(), &approve).status, StatusCode::UNAUTHORIZED);
    let guessed = [("step", "approve"), ("csrf", "AAAA"), ("reason", "")];
    assert_eq!(client.submit(&path, &cookie, &client.origin(), &guessed).status, StatusCode::FORBIDDEN);
    assert_eq!(until_standing(&cluster, &id, "pending")["votes"], json!([]));

    assert_eq!(client.submit(&path, &cookie, &client.origin(), &approve).status, StatusCode::SEE_OTHER);
    let approved = until_standing(&cluster, &id, "approved");
    assert_eq!(approved["votes"][0]["reason"], "agreed by phone");
    // Once more is the same vote; a no is too late, and is told so.
    assert_eq!(client.submit(&path, &cookie, &client.origin(), &approve).status, StatusCode::SEE_OTHER);
    let reject = [("step", "reject"), ("csrf", csrf.as_str())];
    let late = client.submit(&path, &cookie, &client.origin(), &reject);
    assert!(late.status == StatusCode::CONFLICT && late.text.contains("is approved"), "{late:?}");
    let second = eventually("the outcome", LONG, || people.cards().into_iter().nth(1)).expect("a card");
    assert!(second.to_string().contains("admin agreed: agreed by phone"), "{second}");
    let out =
        client.submit(&path, &cookie, &client.origin(), &[("step", "sign-out"), ("csrf", csrf.as_str())]);
    assert!(out.headers[SET_COOKIE].to_str().is_ok_and(|set| set.contains("Max-Age=0")), "{out:?}");
    assert_eq!(people.wrong(), Vec::<String>::new());
}

/// The example: one request, three channels.
#[test]
fn the_example_tells_slack_teams_and_a_webhook() {
    let (cluster, people) = (cluster(), StandIn::start());
    make_hook(&cluster, &people);
    make_teams(&cluster, &people);
    make_slack(&cluster, &people);
    let folder = root().join("examples/refunds");
    let published = cluster.done(&["policy", "publish", folder.to_str().expect("UTF-8"), "--tenant", "acme"]);
    let version = published["version"]["number"].to_string();
    cluster.done(&["policy", "activate", &version, "--tenant", "acme", "--wait", "30s"]);
    cluster.done(&["agent", "create", "support-agent", "--tenant", "acme"]);
    let agent = cluster.token("support-agent");
    let refund = |amount: u32| json!({"tool": "shop", "action": "refund", "params": {"amount": amount, "order": "A-1041"}});
    assert_eq!(ask(&cluster, 0, &agent, &refund(100)).outcome(), "allow");
    let id = id_of(&ask(&cluster, 0, &agent, &refund(500)));
    assert!(people.slack_says("Approval needed").to_string().contains("A-1041"));
    let card = eventually("a card", LONG, || people.cards().into_iter().next()).expect("a card");
    assert!(card["actions"][0]["url"].as_str().is_some_and(|url| url.ends_with(&id)), "{card}");
    assert_eq!(people.hook("approval.pending").1["data"]["id"], json!(id));
    let rows = settled(&cluster);
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert_eq!(people.wrong(), Vec::<String>::new());
}

/// Whoever could not be told is told, though every control node dies in between; each message at least once, under the same id.
#[test]
fn what_is_to_be_told_outlives_every_control_node() {
    let (mut cluster, people) = (cluster(), StandIn::start());
    let unknown = policy("hook");
    let folder = cluster.path("approvals");
    fs::create_dir_all(&folder).expect("a folder");
    fs::write(folder.join("p.yaml"), &unknown).expect("a file");
    let published = cluster.done(&["policy", "publish", folder.to_str().expect("UTF-8"), "--tenant", "acme"]);
    let version = published["version"]["number"].to_string();
    let refused = cluster.run(&["policy", "activate", &version, "--tenant", "acme"]);
    assert!(refused.code == Some(1) && format!("{refused:?}").contains("unknown_channel"), "{refused:?}");
    make_hook(&cluster, &people);
    cluster.done(&["policy", "activate", &version, "--tenant", "acme", "--wait", "30s"]);
    let in_use = cluster.run(&["channels", "remove", "hook", "--tenant", "acme"]);
    assert!(in_use.code == Some(1) && format!("{in_use:?}").contains("channel_in_use"), "{in_use:?}");

    people.is_down(true);
    let agent = cluster.token("finance-agent");
    let id = id_of(&ask(&cluster, 0, &agent, &payment(50_000)));
    eventually("an attempt", LONG, || (people.refused() > 0).then_some(())).expect("an attempt");
    kill_all_control_nodes(&mut cluster);
    let waiting = eventually("the failure is shown", LONG, || {
        let listed = cluster.done(&["approvals", "deliveries", "--tenant", "acme", "--state", "waiting"]);
        listed["items"].get(0).filter(|row| row["error"] != "").cloned()
    });
    let waiting = waiting.expect("a delivery");
    assert!(waiting["error"].as_str().is_some_and(|error| error.contains("500")), "{waiting}");
    // So do the metrics of whoever leads.
    let figures = ["deliveries_waiting", "deliveries_failing", "deliveries_oldest_waiting_seconds"];
    until_metrics(&cluster, figures, |[waiting, failing, oldest]| {
        (waiting, failing) == (1.0, 1.0) && oldest > 0.0
    });
    people.is_down(false);
    let (first, body) = people.hook("approval.pending");
    assert_eq!((&body["data"]["id"], &body["data"]["params"]), (&json!(id), &json!("{\"amount\":50000}")));

    // A person answers over REST as themselves; a receiver has nothing to answer with.
    cluster.done(&["approvals", "approve", &id, "--tenant", "acme"]);
    let leader = cluster.leader();
    cluster.controls[leader].kill();
    let (second, body) = people.hook("approval.approved");
    assert_eq!(body["data"]["votes"][0]["person"], "admin");
    assert_ne!(first, second);
    cluster.start_control(leader);
    cluster.controls[leader].until_ready();
    let token = override_token(&cluster, &agent, &id);
    assert_eq!(ask_for_good(&cluster, 1, &agent, &with_token(50_000, &token)).outcome(), "allow");
    people.hook("approval.redeemed");
    settled(&cluster);
    let figures = ["deliveries_waiting", "deliveries_failing", "deliveries_sent_total"];
    until_metrics(&cluster, figures, |[waiting, failing, sent]| {
        (waiting, failing) == (0.0, 0.0) && sent >= 1.0
    });
    // At least once: what came twice came under its id.
    let mut ids: Vec<String> = people.hooks().into_iter().map(|(id, _)| id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 3, "{:?}", people.hooks());
    assert_eq!(people.wrong(), Vec::<String>::new());
}
