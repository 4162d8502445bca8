//! People who write while nodes fail, and who remember what was acknowledged to them.
//!
//! Two kinds. *Creators* register agents under new names: each acknowledged one must exist for ever. *Movers* compete for
//! one tenant's revision with preconditions: a revision acknowledged twice means that two leaders accepted, and a read
//! that is older than what somebody had seen before it began is one of a leader that was none any more.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, ensure};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::WHOLE_AGAIN;
use crate::nodes::Cluster;

/// The tenant whose revision the movers move.
const REGISTER: &str = "register";

/// How long a writer waits for an answer; a node that is paused or cut off gives none.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Pause after a refusal, and between two writes.
const PAUSE: Duration = Duration::from_millis(5);

/// The admin API of all control nodes, as its first person.
#[derive(Clone)]
pub(super) struct Admin {
    http: reqwest::Client,
    token: Arc<str>,
    patience: Duration,
    /// The REST API of each control node.
    pub(super) bases: Arc<[String]>,
}

impl Admin {
    pub(super) fn of(cluster: &Cluster) -> Self {
        let read = |name: &str| std::fs::read_to_string(cluster.path(name)).expect("a file");
        let authority =
            reqwest::Certificate::from_pem(read("certs/ca.pem").as_bytes()).expect("a certificate");
        let http = reqwest::Client::builder()
            .tls_certs_only([authority])
            .no_proxy()
            .connect_timeout(PATIENCE)
            .build()
            .expect("a client");
        let bases = cluster.controls.iter().map(|node| format!("https://{}/admin/v1", node.http)).collect();
        Self { http, token: read("admin.token").trim().into(), patience: Duration::from_secs(10), bases }
    }

    /// Asks the control node `at`; an answer that is none of success is given with its status.
    pub(super) async fn ask(
        &self,
        at: usize,
        method: Method,
        path: &str,
        if_match: Option<u64>,
        body: Option<Value>,
    ) -> anyhow::Result<(StatusCode, Value)> {
        let url = format!("{}{path}", self.bases[at % self.bases.len()]);
        let mut request = self.http.request(method, url).bearer_auth(&self.token).timeout(self.patience);
        if let Some(number) = if_match {
            request = request.header("If-Match", format!("\"{number}\""));
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        Ok((status, answer.json().await?))
    }

    /// Opens an answer that comes in lines.
    pub(super) async fn lines(
        &self,
        at: usize,
        method: Method,
        path: &str,
        body: Value,
    ) -> anyhow::Result<reqwest::Response> {
        let url = format!("{}{path}", self.bases[at % self.bases.len()]);
        let answer = self.http.request(method, url).bearer_auth(&self.token).json(&body).send().await?;
        ensure!(answer.status().is_success(), "{}: {}", answer.status(), answer.text().await?);
        Ok(answer)
    }

    /// The names of all agents, as the control node `at` knows them.
    async fn agents(&self, at: usize) -> anyhow::Result<BTreeSet<String>> {
        let (mut names, mut cursor) = (BTreeSet::new(), String::new());
        loop {
            let path = format!("/tenants/acme/agents?limit=1000&cursor={cursor}");
            let (status, page) = self.ask(at, Method::GET, &path, None, None).await?;
            ensure!(status.is_success(), "{status}: {page}");
            let items = page["items"].as_array().context("a list")?;
            names.extend(items.iter().filter_map(|agent| agent["name"].as_str()).map(str::to_owned));
            cursor = page["next"].as_str().unwrap_or_default().to_owned();
            if cursor.is_empty() {
                return Ok(names);
            }
        }
    }
}

/// Writers at work.
pub(super) struct Writers {
    admin: Admin,
    seen: Arc<Seen>,
    tasks: JoinSet<()>,
}

/// What the writers were told.
#[derive(Default)]
struct Seen {
    over: AtomicBool,
    /// The names that were acknowledged.
    created: Mutex<Vec<String>>,
    /// Each revision that was acknowledged, and by whom it was moved.
    moved: Mutex<BTreeMap<u64, String>>,
    /// The newest revision that anybody has seen.
    newest: AtomicU64,
    acknowledged: AtomicU64,
    in_doubt: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

/// What they were told, once they have stopped.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told {
    /// Writes that were acknowledged, and are all there.
    pub(super) acknowledged: u64,
    /// Writes of which nobody was told what became of them.
    pub(super) in_doubt: u64,
}

impl Writers {
    /// Sets them to work; within a runtime.
    pub(super) async fn start(admin: &Admin) -> Self {
        let (status, register) = admin
            .ask(0, Method::POST, "/tenants", None, Some(json!({"name": REGISTER})))
            .await
            .expect("an answer");
        assert!(status.is_success(), "{register}");
        let seen = Arc::new(Seen::default());
        let writer = Admin { patience: PATIENCE, ..admin.clone() };
        let mut tasks = JoinSet::new();
        for number in 0..4 {
            tasks.spawn(create(writer.clone(), Arc::clone(&seen), number));
        }
        for number in 0..3 {
            tasks.spawn(move_on(writer.clone(), Arc::clone(&seen), number));
        }
        Self { admin: admin.clone(), seen, tasks }
    }

    /// How many writes were acknowledged until now.
    pub(super) fn acknowledged(&self) -> u64 {
        self.seen.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until more writes are acknowledged.
    pub(super) async fn go_on(&self, more: u64, within: Duration) {
        let goal = self.acknowledged() + more;
        let reached = async {
            while self.acknowledged() < goal {
                // expect(sleep): writers count for themselves and tell nobody.
                tokio::time::sleep(PAUSE).await;
            }
        };
        let reached = tokio::time::timeout(within, reached).await;
        assert!(reached.is_ok(), "no {more} more writes were acknowledged within {within:?}");
    }

    /// Stops them, and looks for everything that they were told.
    pub(super) async fn end(mut self) -> Told {
        self.seen.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("a writer that went on to the end");
        }
        let wrong = std::mem::take(&mut *lock(&self.seen.wrong));
        assert!(wrong.is_empty(), "{wrong:#?}");
        let created = std::mem::take(&mut *lock(&self.seen.created));
        for at in 0..self.admin.bases.len() {
            let known = until_told(async || self.admin.agents(at).await).await;
            let lost: Vec<&String> = created.iter().filter(|name| !known.contains(*name)).collect();
            assert!(lost.is_empty(), "acknowledged and lost, by control node {at}: {lost:?}");
        }
        let path = format!("/tenants/{REGISTER}");
        let register = until_told(async || {
            let (status, register) = self.admin.ask(0, Method::GET, &path, None, None).await?;
            ensure!(status.is_success(), "{status}: {register}");
            Ok(register)
        })
        .await;
        let (now, newest) = (revision(&register), self.seen.newest.load(Ordering::SeqCst));
        assert!(now >= Some(newest), "revision {newest} was acknowledged, and {now:?} is there");
        let told =
            Told { acknowledged: self.acknowledged(), in_doubt: self.seen.in_doubt.load(Ordering::Relaxed) };
        eprintln!("{told:?}, {} of them moves", lock(&self.seen.moved).len());
        told
    }
}

/// What a control node says, once it can: behind a fault it may not have found the leader yet.
async fn until_told<T>(ask: impl AsyncFn() -> anyhow::Result<T>) -> T {
    let deadline = tokio::time::Instant::now() + WHOLE_AGAIN;
    loop {
        match ask().await {
            Ok(told) => return told,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "nothing is told: {error:?}"),
        }
        // expect(sleep): nothing tells when a control node has found the leader.
        tokio::time::sleep(PAUSE).await;
    }
}

/// Registers agents under new names.
async fn create(admin: Admin, seen: Arc<Seen>, number: usize) {
    for turn in 0.. {
        if seen.over.load(Ordering::Relaxed) {
            return;
        }
        let name = format!("w{number}-{turn}");
        let body = json!({"name": name, "description": "written while nodes fail"});
        match admin.ask(number + turn, Method::POST, "/tenants/acme/agents", None, Some(body)).await {
            Ok((status, _)) if status.is_success() => {
                lock(&seen.created).push(name);
                seen.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok((status, problem)) if !may_be_refused(status) => {
                lock(&seen.wrong).push(format!("{status}: {problem}"))
            }
            Ok(_) | Err(_) => {
                seen.in_doubt.fetch_add(1, Ordering::Relaxed);
            }
        }
        // expect(sleep): a writer without pause would take the processors from the nodes.
        tokio::time::sleep(PAUSE).await;
    }
}

/// Moves the register on from the revision that it has.
async fn move_on(admin: Admin, seen: Arc<Seen>, number: usize) {
    let path = format!("/tenants/{REGISTER}");
    for turn in 0.. {
        if seen.over.load(Ordering::Relaxed) {
            return;
        }
        // expect(sleep): a writer without pause would take the processors from the nodes.
        tokio::time::sleep(PAUSE).await;
        let before = seen.newest.load(Ordering::SeqCst);
        let read = admin.ask(number + turn, Method::GET, &path, None, None).await;
        let Ok((StatusCode::OK, register)) = read else { continue };
        let Some(now) = revision(&register) else { continue };
        if now < before {
            lock(&seen.wrong).push(format!("revision {before} had been seen before {now} was read"));
        }
        let body = json!({"staleness_seconds_max": 10 + now % 1_000});
        match admin.ask(number + turn, Method::PATCH, &path, Some(now), Some(body)).await {
            Ok((status, register)) if status.is_success() => {
                let Some(moved) = revision(&register) else { continue };
                seen.newest.fetch_max(moved, Ordering::SeqCst);
                let who = format!("mover {number}, turn {turn}, from {now}");
                if let Some(other) = lock(&seen.moved).insert(moved, who.clone()) {
                    lock(&seen.wrong)
                        .push(format!("revision {moved} was acknowledged to {other} and to {who}"));
                }
                seen.acknowledged.fetch_add(1, Ordering::Relaxed);
            }
            Ok((StatusCode::PRECONDITION_FAILED, _)) => {}
            Ok((status, problem)) if !may_be_refused(status) => {
                lock(&seen.wrong).push(format!("{status}: {problem}"))
            }
            Ok(_) | Err(_) => {
                seen.in_doubt.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Whether a cluster in trouble may answer so.
fn may_be_refused(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

fn revision(tenant: &Value) -> Option<u64> {
    let revision = &tenant["revision"];
    revision.as_u64().or_else(|| revision.as_str()?.parse().ok())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
