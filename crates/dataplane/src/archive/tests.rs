//! Copies at a real S3 protocol server, with its signatures checked: whole, at least once, and nothing of it in the way of
//! decisions.

use std::net::SocketAddr;
use std::path::Path as FilePath;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aegis_audit::journal::SystemDisk;
use aegis_audit::read::own_key;
use aegis_audit::record::{Chain, Refusals, What};
use aegis_audit::verify::{Scope, Verified, verify};
use aegis_model::clock::UnixNanos;
use aegis_model::reason::ReasonCode;
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use object_store::aws::AmazonS3Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::task::JoinSet;

use super::*;
use crate::decider::Decider;
use crate::freshness::Freshness;
use crate::retention::{Pruner, Retention};
use crate::testing::{Bench, NOW, by_amount};

const SECRET: &str = "s3cr3t-s3cr3t-s3cr3t";

/// A server over a folder with the bucket `evidence`; it can be switched off.
struct S3 {
    address: SocketAddr,
    down: Arc<AtomicBool>,
    _running: JoinSet<()>,
}

impl S3 {
    async fn start(folder: &FilePath) -> Self {
        std::fs::create_dir_all(folder.join("evidence")).unwrap();
        let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(folder).unwrap());
        builder.set_auth(SimpleAuth::from_single("aegis", SECRET));
        let service = builder.build();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let down = Arc::new(AtomicBool::new(false));
        let (mut running, off) = (JoinSet::new(), Arc::clone(&down));
        running.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((socket, _)) = listener.accept().await else { continue };
                if off.load(Ordering::SeqCst) {
                    continue;
                }
                let (service, off) = (service.clone(), Arc::clone(&off));
                connections.spawn(async move {
                    let answer = hyper::service::service_fn(move |request| {
                        let answer = Service::call(&service, request);
                        let off = off.load(Ordering::SeqCst);
                        async move {
                            let answer =
                                answer.await.map_err(|error| std::io::Error::other(format!("{error:?}")));
                            if off { Err(std::io::Error::other("switched off")) } else { answer }
                        }
                    });
                    drop(
                        Builder::new(TokioExecutor::new())
                            .serve_connection(TokioIo::new(socket), answer)
                            .await,
                    );
                });
            }
        });
        Self { address, down, _running: running }
    }

    fn archive(&self, secret: &str) -> Archive {
        let retry = object_store::RetryConfig { max_retries: 0, ..object_store::RetryConfig::default() };
        let store = AmazonS3Builder::new()
            .with_endpoint(format!("http://{}", self.address))
            .with_allow_http(true)
            .with_region("eu-test-1")
            .with_bucket_name("evidence")
            .with_access_key_id("aegis")
            .with_secret_access_key(secret)
            .with_retry(retry)
            .build()
            .unwrap();
        let hidden = vec![Secret::new(secret.to_owned())];
        Archive::new(Arc::new(store), Path::from("prod"), "s3://evidence/prod".to_owned(), "s3", hidden)
    }
}

async fn record(decider: &Decider, count: u64) {
    let what = Refusals { code: ReasonCode::Overloaded, count, source: "others".to_owned() };
    for chain in [Chain::Node, "tenant/acme".parse().unwrap()] {
        let ticket = decider.records.append(NOW, chain, &What::Refusals(what.clone())).unwrap();
        decider.records.kept(ticket).await.unwrap();
    }
}

/// Downloads the one log that is there, and verifies it with the key that the node has.
async fn downloaded(archive: &Archive, decider: &Decider, to: &FilePath) -> Verified {
    let logs = archive.logs().await.unwrap();
    let key = decider.records.journal().unwrap().key();
    assert_eq!(logs, [key.name().to_string()]);
    let fetched = archive.fetch(&logs[0], &SystemDisk, to).await.unwrap();
    assert_eq!(own_key(&SystemDisk, to).unwrap(), *key);
    let verified = verify(&SystemDisk, to, key, None, &Scope::Whole).unwrap();
    assert_eq!(verified.size, fetched.size);
    verified
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_log_is_copied_once_and_its_download_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start(&folder.path().join("s3")).await;
    let archive = s3.archive(SECRET);
    let Bench { decider, folder: _own, .. } = Bench::new(by_amount);
    let decider = Arc::new(decider);
    let mut keeper = Keeper::new(Arc::clone(&decider), archive.clone());
    record(&decider, 1).await;
    assert!(keeper.look().await, "nothing is sealed, so nothing is lacking");
    assert_eq!(archive.logs().await.unwrap(), Vec::<String>::new());
    decider.records.close().unwrap();
    assert!(keeper.look().await);
    let verified = downloaded(&archive, &decider, &folder.path().join("one")).await;
    assert!(verified.ended && verified.records == 3);
    let put = decider.records.copies.objects.load(Ordering::Relaxed);
    // Another process, which knows what the note says, and one whose note was lost: nothing is put twice.
    assert!(Keeper::new(Arc::clone(&decider), archive.clone()).look().await);
    let (_, _, log) = decider.records.lives().pop().unwrap();
    std::fs::remove_file(log.join("uploaded")).unwrap();
    assert!(Keeper::new(Arc::clone(&decider), archive).look().await);
    assert_eq!(decider.records.copies.objects.load(Ordering::Relaxed), put);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_is_told_and_delays_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start(&folder.path().join("s3")).await;
    let archive = s3.archive(SECRET);
    let Bench { decider, folder: _own, .. } = Bench::new(by_amount);
    let decider = Arc::new(decider);
    let mut keeper = Keeper::new(Arc::clone(&decider), archive.clone());
    s3.down.store(true, Ordering::SeqCst);
    record(&decider, 1).await;
    assert!(decider.records.trouble().borrow().is_none(), "the node is as well as before");
    decider.records.close().unwrap();
    assert!(!keeper.look().await);
    let pending = || decider.records.copies.pending.load(Ordering::Relaxed);
    assert_eq!(pending(), 3);
    s3.down.store(false, Ordering::SeqCst);
    assert!(keeper.look().await);
    assert_eq!(pending(), 0);
    assert!(downloaded(&archive, &decider, &folder.path().join("one")).await.ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_else_put_there_is_never_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start(&folder.path().join("s3")).await;
    let archive = s3.archive(SECRET);
    let Bench { decider, folder: _own, .. } = Bench::new(by_amount);
    let decider = Arc::new(decider);
    record(&decider, 1).await;
    decider.records.close().unwrap();
    let origin = decider.records.journal().unwrap().key().name().to_string();
    let verifier = archive.at(&origin, "verifier");
    archive.replace(&verifier, Bytes::from_static(b"another log of this name\n")).await.unwrap();
    let mut keeper = Keeper::new(Arc::clone(&decider), archive.clone());
    assert!(!keeper.look().await);
    assert_eq!(decider.records.copies.differing.load(Ordering::Relaxed), 1);
    let there = archive.get(&verifier, 1_000).await.unwrap().unwrap();
    assert_eq!(&there[..], b"another log of this name\n");
    assert_eq!(
        archive.logs().await.unwrap(),
        Vec::<String>::new(),
        "no checkpoint speaks of what is not there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_secret_is_refused_and_shown_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start(&folder.path().join("s3")).await;
    let archive = s3.archive("hunter2hunter2");
    let error = archive.put_new(&Path::from("x"), Bytes::from_static(b"x")).await.unwrap_err();
    assert!(error.retryable());
    assert!(!format!("{error} {error:?} {archive:?}").contains("hunter2"));
}

/// What retention deleted at the node, goes from the store as well, and the download says why it is missing.
#[tokio::test(flavor = "multi_thread")]
async fn the_store_follows_retention() {
    const DAY: u64 = 86_400 * 1_000_000_000;
    let folder = tempfile::tempdir().unwrap();
    let s3 = S3::start(&folder.path().join("s3")).await;
    let archive = s3.archive(SECRET);
    let mut bench = Bench::with_segments(by_amount, 1);
    let snapshot = bench.snapshot_with(7, |acme| acme.with_retention(Retention::new(183, false)));
    bench.decider.swap(snapshot).unwrap();
    bench.decider.freshness = Arc::new(Freshness::fed());
    let held = bench.snapshot_with(8, |acme| acme.with_retention(Retention::new(183, true)));
    let again = bench.snapshot_with(9, |acme| acme.with_retention(Retention::new(183, false)));
    let Bench { decider, folder: _own, .. } = bench;
    let decider = Arc::new(decider);
    for count in 1..=6 {
        record(&decider, count).await;
    }
    crate::retention::tests::sealed(&decider, 20).await;
    let (mut keeper, pruner) = (
        Keeper::new(Arc::clone(&decider), archive.clone()),
        Pruner::new(Arc::clone(&decider), Some(&archive)),
    );
    pruner.look(NOW).await.unwrap();
    let over = UnixNanos(NOW.0 + 184 * DAY);
    pruner.look(over).await.unwrap();
    let files = decider.records.lives().pop().unwrap().2.join(aegis_audit::segment::folder(&acme()));
    let count = || std::fs::read_dir(&files).unwrap().count();
    let before = count();
    assert!(before > 3, "what the store lacks stays");
    // Once it is there, it goes.
    assert!(keeper.look().await);
    pruner.look(over).await.unwrap();
    assert!(count() < before);
    let origin = decider.records.journal().unwrap().key().name().to_string();
    let at = archive.at(&origin, &aegis_audit::segment::folder(&acme()).to_string_lossy());
    let newest =
        aegis_audit::pruned::find(&SystemDisk, &folder_of(&decider), &acme()).unwrap().unwrap().segment;
    // What the store has of what is gone here.
    let there = || async {
        let files = archive.list(&at).await.unwrap();
        let number = |path: &Path| path.filename().and_then(aegis_audit::segment::number);
        files.iter().filter(|(path, _)| number(path).is_some_and(|number| number <= newest)).count()
    };
    let copied = there().await;
    assert!(copied > 0);
    // Without news, and while a hold stands, the store keeps what it has.
    assert!(keeper.look().await);
    assert_eq!(there().await, copied);
    decider.confirm(over.0 / 1_000_000);
    decider.swap(held).unwrap();
    assert!(keeper.look().await);
    assert_eq!(there().await, copied);
    decider.swap(again).unwrap();
    // Nor does anything go before the evidence is there, whose place is taken here.
    let evidence = folder.path().join("s3/evidence").join(at.to_string()).join(aegis_audit::pruned::NAME);
    std::fs::create_dir(&evidence).unwrap();
    assert!(!keeper.look().await);
    assert_eq!(there().await, copied);
    std::fs::remove_dir(&evidence).unwrap();
    assert!(keeper.look().await);
    assert_eq!(there().await, 0);
    decider.records.close().unwrap();
    assert!(keeper.look().await);
    let verified = downloaded(&archive, &decider, &folder.path().join("one")).await;
    assert!(verified.ended && verified.pruned[&acme()].seq >= 3);
}

fn acme() -> Chain {
    "tenant/acme".parse().unwrap()
}

fn folder_of(decider: &Decider) -> std::path::PathBuf {
    decider.records.folder_of_running().unwrap()
}
