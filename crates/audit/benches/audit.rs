//! What evidence costs: an entry with its place in the tree and its share of checkpoints, and an entry verified.

use std::hint::black_box;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aegis_audit::hash::{DigestKey, Hash};
use aegis_audit::journal::{Disk, DiskFile, Durability, Home, Means, NotKept, Settings, SystemDisk};
use aegis_audit::keys::{KeyKind, SigningKey};
use aegis_audit::origin::Origin;
use aegis_audit::record::{Chain, Decision, Draft, Policy, Record, RecordId, What};
use aegis_audit::tree::{self, Compact};
use aegis_audit::verify::{Scope, verify};
use aegis_model::caps::AUDIT_CHECKPOINT_ENTRIES;
use aegis_model::clock::{Clock, UnixNanos};
use aegis_model::decision::Outcome;
use aegis_model::secret::Secret;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use rand::SeedableRng;
use rand::rngs::StdRng;

fn decision(digests: &DigestKey, number: u64) -> What {
    What::Decision(Box::new(Decision {
        action: "refund".parse().expect("a name"),
        agent: "support-bot".parse().expect("a name"),
        approval: None,
        callers: vec!["planner".parse().expect("a name")],
        charged: Vec::new(),
        decision_id: format!("n1-7-{number}"),
        dry_run: false,
        findings: Vec::new(),
        latency_ns: [("authorize".into(), 4_100), ("identify".into(), 900), ("receive".into(), 2_000)].into(),
        left_out: 0,
        limits: Vec::new(),
        org: "acme".parse().expect("a name"),
        outcome: Outcome::Allow,
        params: None,
        params_digest: Some(digests.digest(&number.to_be_bytes())),
        params_key: Some(1),
        policy: Some(Policy { activation: 3, digest: format!("sha256:{}", Hash::of(b"bundle")), version: 2 }),
        reasons: Vec::new(),
        request_id: Some("8a6e0804-2bd0-4672-b79d-d97027f9071a".parse().expect("an id")),
        rules: vec!["support-bot/allowed_tools[0]".into()],
        sealed: None,
        snapshot: 12,
        surface: "grpc".into(),
        token_id: "1b4e28ba-2fa1-11d2-883f-0016d3cca427".into(),
        tool: "stripe-payments".parse().expect("a name"),
        trace_id: Some(RecordId([9; 16])),
        unverified: Vec::new(),
    }))
}

fn draft(digests: &DigestKey, number: u64) -> Draft {
    let chain: Chain = format!("tenant/t{}", number % 8).parse().expect("a chain");
    let id = RecordId(u128::from(number).to_be_bytes());
    Draft::new(UnixNanos(1_795_741_200_000_000_000 + number), chain, id, &decision(digests, number))
        .expect("within bounds")
}

fn key(origin: &Origin) -> SigningKey {
    SigningKey::generate(origin.key_name(), KeyKind::Note, &mut StdRng::seed_from_u64(1))
}

fn origin() -> Origin {
    Origin::new("prod.example".parse().expect("a name"), "n1", 1).expect("a name")
}

/// The parts, one by one, per entry.
fn parts(c: &mut Criterion) {
    let digests = DigestKey::new(&Secret::new([7; 32]));
    let (mut number, what) = (0, decision(&digests, 1));
    c.bench_function("audit/draft", |b| {
        b.iter(|| Draft::new(UnixNanos(1), Chain::Node, RecordId([1; 16]), black_box(&what)))
    });
    let one = draft(&digests, 1);
    c.bench_function("audit/complete_and_hash", |b| {
        b.iter(|| black_box(&one).complete(7, Some(Hash([1; 32]))))
    });
    let mut tree = Compact::default();
    c.bench_function("audit/tree", |b| {
        b.iter(|| {
            number += 1;
            tree.push(tree::leaf(&Hash::of(&u64::to_be_bytes(number)).0));
        })
    });
    let bytes = one.complete(7, Some(Hash([1; 32]))).bytes;
    c.bench_function("audit/read", |b| b.iter(|| Record::read(black_box(&bytes)).expect("a record")));
}

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

fn means(segment_bytes: u64) -> Means {
    let settings = Settings { segment_bytes, ..Settings::default() };
    Means { clock: Clock::System, randomness: Box::new(StdRng::seed_from_u64(2)), settings }
}

/// Appends `drafts`, and waits for the last. The queue has its bound: who is told that it is full tries again.
fn append_all(journal: &aegis_audit::journal::Journal, drafts: Vec<Draft>) {
    let mut last = None;
    for draft in drafts {
        last = Some(loop {
            match journal.append(draft.clone(), Durability::Synced) {
                Ok(ticket) => break ticket,
                Err(NotKept::Busy) => std::thread::yield_now(),
                Err(other) => unreachable!("{other}"),
            }
        });
    }
    let kept = last.map(|ticket| ticket.wait(Duration::from_secs(60)));
    assert!(kept.is_some_and(|kept| kept.is_ok()), "the journal failed: {:?}", journal.failure());
}

/// The journal's whole work for [`AUDIT_CHECKPOINT_ENTRIES`] entries and their checkpoint, on a disk that costs nothing and on
/// the machine's own.
fn journal(c: &mut Criterion) {
    let digests = DigestKey::new(&Secret::new([7; 32]));
    let drafts: Vec<Draft> = (0..AUDIT_CHECKPOINT_ENTRIES).map(|number| draft(&digests, number)).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let disks: [(&str, Arc<dyn Disk>, u64); 2] =
        [("free_disk", Arc::new(NoDisk), u64::MAX), ("own_disk", Arc::new(SystemDisk), 64 << 20)];
    let mut group = c.benchmark_group("audit/journal");
    group.throughput(Throughput::Elements(AUDIT_CHECKPOINT_ENTRIES));
    for (name, disk, segment_bytes) in disks {
        let root = folder.path().join(name);
        let home = Home::open(disk, &root, origin().cluster(), "n1").expect("a home");
        let journal = home.begin(&origin(), key(&origin()), "boot", means(segment_bytes)).expect("a journal");
        group.bench_function(name, |b| {
            b.iter_batched(|| drafts.clone(), |drafts| append_all(&journal, drafts), BatchSize::LargeInput)
        });
    }
    group.finish();
}

/// A closed log of [`VERIFIED`] decisions, verified as a whole from its files.
fn verified(c: &mut Criterion) {
    let digests = DigestKey::new(&Secret::new([7; 32]));
    let folder = tempfile::tempdir().expect("a folder");
    let home = Home::open(Arc::new(SystemDisk), folder.path(), origin().cluster(), "n1").expect("a home");
    let journal = home.begin(&origin(), key(&origin()), "boot", means(8 << 20)).expect("a journal");
    append_all(&journal, (0..VERIFIED).map(|number| draft(&digests, number)).collect());
    let last = journal.close().expect("it closes");
    let (log, public): (PathBuf, _) = (home.folder(1), journal.key().clone());
    let mut group = c.benchmark_group("audit");
    group.sample_size(10);
    group.throughput(Throughput::Elements(last.checkpoint.size));
    group.bench_function("verify", |b| {
        b.iter(|| {
            verify(&SystemDisk, &log, &public, Some(&last.checkpoint), &Scope::Whole).expect("it verifies")
        })
    });
    group.finish();
}

/// How many decisions the verified log has.
const VERIFIED: u64 = 40_000;

criterion_group!(benches, parts, journal, verified);
criterion_main!(benches);
