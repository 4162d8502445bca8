//! The whole walk in process: the bytes of a JSON request in, the bytes of the JSON decision out, without sockets.
//!
//! The token is in the cache, as it is for every call but the first of its life. Records go through the real journal on a disk
//! that forgets everything at once. `64_at_once` is a busy node; its time is for all 64.

use std::hint::black_box;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aegis_audit::journal::{Disk, DiskFile, Settings};
use aegis_dataplane::JournalConfig;
use aegis_dataplane::case::Surface;
use aegis_dataplane::decider::{Decider, DeciderConfig};
use aegis_dataplane::http::decide::decide;
use aegis_dataplane::snapshot::{Snapshot, Tenant};
use aegis_dataplane::spans::{Sampling, SpanSink};
use aegis_identity::cache::TokenCache;
use aegis_identity::claims::AgentClaims;
use aegis_identity::keys::SigningKey;
use aegis_identity::mint::Minter;
use aegis_identity::trust::Trust;
use aegis_identity::verify::Verifier;
use aegis_model::clock::Clock;
use aegis_model::json::JsonObject;
use aegis_model::scope::Scope;
use aegis_model::secret::Secret;
use aegis_policy::ast::SourceFile;
use aegis_policy::check::check;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use rand::SeedableRng;
use rand::rngs::StdRng;

const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A disk that keeps nothing and costs nothing: what is left is the journal's own work.
struct NoDisk;
struct NoFile;

impl DiskFile for NoFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        black_box(bytes);
        Ok(())
    }
    fn truncate(&mut self, _length: u64) -> io::Result<()> {
        Ok(())
    }
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for NoDisk {
    fn create_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    fn create(&self, _path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(NoFile))
    }
    fn open(&self, _path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(NoFile))
    }
    fn read(&self, _path: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn list(&self, _path: &Path) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    fn remove_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }
    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        Ok(Some(Box::new(())))
    }
}

/// Twenty tools, each with three conditions, one of them a regular expression.
fn policy() -> String {
    let mut text = "agent: finance-agent\nallowed_tools:\n".to_owned();
    for number in 0..20 {
        text += &format!(
            "- name: tool-{number}\n  actions: [create_payment, refund]\n  conditions:\n    max_amount: 5000\n    params:\n      vendor: {{matches: '[a-z]{{2,20}}-[0-9]{{1,6}}'}}\n      currency: {{one_of: [usd, eur]}}\n"
        );
    }
    text
}

const ALLOWED: &str = r#"{"tool":"tool-17","action":"create_payment","params":{"amount":4200,"vendor":"acme-4711","currency":"eur","memo":"invoice 2026-11"},"context":{"purpose":"payables","session":"s-1"}}"#;
const DENIED: &str = r#"{"tool":"tool-17","action":"create_payment","params":{"amount":9200,"vendor":"acme-4711","currency":"eur","memo":"invoice 2026-11"},"context":{"purpose":"payables","session":"s-1"}}"#;

fn decider(spans: Option<SpanSink>) -> (Decider, String) {
    let key = SigningKey::generate(&mut StdRng::seed_from_u64(1));
    let minter = Minter::new(key, "bench".parse().expect("an issuer"));
    let trust = Trust::new([minter.trusted_key()]).expect("one key");
    let checked = check(vec![SourceFile { path: "policy.yaml".into(), text: policy().into() }]);
    let set = checked.set.expect("the policy is valid");
    let tenant =
        Tenant::load("acme".parse().expect("a name"), &set, 1, 1).expect("the policy can be enforced");
    let verifier = Verifier::new(Arc::new(trust), Arc::new(TokenCache::new()));
    let settings = Settings { segment_bytes: u64::MAX, ..Settings::default() };
    let config = DeciderConfig {
        node: "bench".parse().expect("a name"),
        incarnation: 1,
        secret: Secret::new([1; 32]),
        clock: Clock::System,
        journal: JournalConfig { folder: "/".into(), disk: Arc::new(NoDisk), settings },
        calls_in_progress_max: 4_096,
        spans,
        more_metrics: None,
    };
    let decider = Decider::new(config, Snapshot::new(1, verifier, [tenant])).expect("the journal opens");
    let claims = AgentClaims {
        org: "acme-inc".parse().expect("a name"),
        tenant: "acme".parse().expect("a name"),
        agent: "finance-agent".parse().expect("a name"),
        scope: Scope::parse("*:*"),
        callers: vec![],
        claims: JsonObject::new(),
    };
    let life = Duration::from_secs(900);
    let minted = minter.mint_agent(&claims, life, Clock::System.now(), &mut StdRng::seed_from_u64(2));
    (decider, minted.expect("a token").token.expose().clone())
}

async fn ask(decider: &Decider, token: &str, body: &[u8]) -> Vec<u8> {
    let entry = decider.enter(Surface::Http).expect("there is room");
    decide(decider, &entry, SOURCE, token, body).await.expect("a decision")
}

fn walk(criterion: &mut Criterion) {
    let (decider, token) = decider(None);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let text = |body: &str| String::from_utf8(runtime.block_on(ask(&decider, &token, body.as_bytes())));
    assert!(text(ALLOWED).expect("JSON").contains(r#""outcome":"allow""#));
    assert!(text(DENIED).expect("JSON").contains(r#""outcome":"deny""#));

    let mut group = criterion.benchmark_group("walk");
    for (name, body) in [("allow", ALLOWED), ("deny", DENIED)] {
        group.throughput(Throughput::Elements(1));
        group.bench_function(format!("{name}/one_at_a_time"), |bench| {
            bench.iter(|| runtime.block_on(ask(&decider, &token, black_box(body.as_bytes()))));
        });
        group.throughput(Throughput::Elements(64));
        group.bench_function(format!("{name}/64_at_once"), |bench| {
            bench.iter(|| {
                let asked = (0..64).map(|_| ask(&decider, &token, black_box(body.as_bytes())));
                runtime.block_on(join_all(asked))
            });
        });
    }
    // The same with a span per decision, whose queue is emptied between the calls as an exporter does it.
    let (sink, mut spans) = SpanSink::new(Sampling::ALL);
    let (decider, token) = self::decider(Some(sink));
    group.throughput(Throughput::Elements(1));
    group.bench_function("allow/one_at_a_time_with_spans", |bench| {
        bench.iter_batched(
            || while spans.try_recv().is_ok() {},
            |()| runtime.block_on(ask(&decider, &token, black_box(ALLOWED.as_bytes()))),
            BatchSize::NumIterations(1_000),
        );
    });
    group.finish();
}

criterion_group!(benches, walk);
criterion_main!(benches);
