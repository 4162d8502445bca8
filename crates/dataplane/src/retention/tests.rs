//! What a node deletes, and above all what it does not.

use aegis_audit::journal::SystemDisk;
use aegis_audit::record::{Refusals, What};
use aegis_audit::verify::{Scope, Verified, verify_pruned};
use aegis_model::clock::UnixNanos;
use aegis_model::reason::ReasonCode;

use super::*;
use crate::freshness::Freshness;
use crate::snapshot::Snapshot;
use crate::testing::disk::{Fault, FaultyDisk};
use crate::testing::{Bench, NOW, by_amount};

const DAYS: u32 = 183;

fn day(number: u64) -> UnixNanos {
    UnixNanos(NOW.0 + number * 86_400 * 1_000_000_000)
}

fn acme() -> Chain {
    "tenant/acme".parse().unwrap()
}

/// What outlives the node: its folder, and snapshots in which `acme` is held, or keeps its records for longer.
pub(crate) struct Kept {
    _folder: tempfile::TempDir,
    held: Snapshot,
    longer: Snapshot,
}

/// A node whose segments end with nearly every record, with records of `acme` in several sealed ones.
pub(crate) async fn bench(retention: Retention) -> (Kept, Arc<Decider>) {
    bench_on(Arc::new(SystemDisk), retention).await
}

async fn bench_on(disk: Arc<dyn Disk>, retention: Retention) -> (Kept, Arc<Decider>) {
    let bench = Bench::with_segments_on(by_amount, 1, disk);
    let snapshot = bench.snapshot_with(7, |acme| acme.with_retention(retention));
    bench.decider.swap(snapshot).unwrap();
    let held = bench.snapshot_with(8, |acme| acme.with_retention(Retention::new(DAYS, true)));
    let longer = bench.snapshot_with(8, |acme| acme.with_retention(Retention::new(DAYS + 1, false)));
    let Bench { decider, folder, .. } = bench;
    let decider = Arc::new(decider);
    for count in 1..=6 {
        let what = Refusals { code: ReasonCode::Overloaded, count, source: "others".to_owned() };
        for chain in [Chain::Node, acme()] {
            let ticket = decider.records.append(NOW, chain, &What::Refusals(what.clone())).unwrap();
            decider.records.kept(ticket).await.unwrap();
        }
    }
    sealed(&decider, 20).await;
    (Kept { _folder: folder, held, longer }, decider)
}

/// Waits until so many entries are sealed.
pub(crate) async fn sealed(decider: &Decider, entries: u64) {
    let folder = decider.records.folder_of_running().unwrap();
    for _ in 0..1_000 {
        if upload::sealed(&SystemDisk, &folder).unwrap().is_some_and(|(size, _)| size >= entries) {
            return;
        }
        // expect(sleep): another thread seals what ended
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain for sealed segments");
}

fn verified(decider: &Decider) -> Verified {
    let folder = decider.records.folder_of_running().unwrap();
    let key = decider.records.journal().unwrap().key().clone();
    // What is sealed meanwhile may look like damage: then it is read again.
    let judge = || verify_pruned(&SystemDisk, &folder, &key, &[], None, &Scope::Whole);
    (0..20).map(|_| judge()).find(Result::is_ok).unwrap_or_else(judge).unwrap()
}

fn pruned(decider: &Decider) -> Option<u64> {
    verified(decider).pruned.get(&acme()).map(|it| it.seq)
}

/// AUD-1: what retention deletes is recorded first, and the log verifies before and after.
#[tokio::test(flavor = "multi_thread")]
async fn records_go_when_their_retention_is_over_by_the_time_of_the_control_plane() {
    let (_bench, decider) = bench(Retention::new(DAYS, false)).await;
    let pruner = Pruner::new(Arc::clone(&decider), None);
    // Seen now; and at the last moment before the time has come, everything is still there.
    pruner.look(day(0)).await.unwrap();
    pruner.look(day(u64::from(DAYS) - 1)).await.unwrap();
    assert_eq!(pruned(&decider), None);
    // A clock that goes back deletes nothing, either.
    pruner.look(day(0)).await.unwrap();
    assert_eq!(pruned(&decider), None);
    pruner.look(day(u64::from(DAYS) + 1)).await.unwrap();
    let gone = pruned(&decider).unwrap();
    assert!(gone >= 4, "{gone} records");
    let records = verified(&decider).records;
    // Nobody else's records went, and doing it again does nothing.
    assert_eq!(verified(&decider).chains[&Chain::Node], 6);
    pruner.look(day(u64::from(DAYS) + 1)).await.unwrap();
    assert!(verified(&decider).records >= records && pruned(&decider) == Some(gone));
    decider.records.close().unwrap();
    assert!(verified(&decider).ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_while_a_hold_stands_nor_where_nobody_asked() {
    for retention in [Retention::new(DAYS, true), Retention::new(0, false), Retention::default()] {
        let (_bench, decider) = bench(retention).await;
        let pruner = Pruner::new(Arc::clone(&decider), None);
        pruner.look(day(0)).await.unwrap();
        pruner.look(day(4_000)).await.unwrap();
        assert_eq!(pruned(&decider), None, "{retention:?}");
    }
}

/// A hold or a longer retention that comes between the record of a deletion and the deletion keeps everything.
#[tokio::test(flavor = "multi_thread")]
async fn what_comes_in_the_middle_counts() {
    let (kept, decider) = bench(Retention::new(DAYS, false)).await;
    comes_in_the_middle(&decider, kept.held).await;
    let (kept, decider) = bench(Retention::new(DAYS, false)).await;
    comes_in_the_middle(&decider, kept.longer).await;
}

async fn comes_in_the_middle(decider: &Arc<Decider>, said: Snapshot) {
    let pruner = Pruner::new(Arc::clone(decider), None);
    pruner.look(day(0)).await.unwrap();
    let (now, wanted) = (day(u64::from(DAYS) + 1), decider.retentions());
    let planned = plan(decider, None, &wanted, now).unwrap().pop().unwrap();
    let what = planned.due.to_record(&planned.log, now, planned.days);
    let ticket = decider.records.append(NOW, acme(), &what).unwrap();
    let placed = decider.records.kept(ticket).await.unwrap();
    decider.swap(said).unwrap();
    delete(decider, "running", vec![(placed, planned)]).unwrap();
    assert_eq!(pruned(decider), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_lacks_stays() {
    let (_bench, decider) = bench(Retention::new(DAYS, false)).await;
    let pruner = Pruner { decider: Arc::clone(&decider), store: Some(Hash::of(b"a store")) };
    pruner.look(day(0)).await.unwrap();
    pruner.look(day(4_000)).await.unwrap();
    assert_eq!(pruned(&decider), None);
    let folder = decider.records.folder_of_running().unwrap();
    let up = upload::Progress { size: 4, segments: 2 };
    upload::note(&SystemDisk, &folder, &Hash::of(b"a store"), up).unwrap();
    pruner.look(day(4_000)).await.unwrap();
    assert_eq!(verified(&decider).pruned[&acme()].segment, 1);
}

/// Without news there is no time to go by, and so nothing is deleted.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_follows_nobody_has_no_time_to_go_by() {
    let (_bench, decider) = bench(Retention::new(DAYS, false)).await;
    assert_eq!(decider.trusted_time(), None);
}

/// A legal hold may have been placed that this node has not heard of: what it knows has to be new, and has to be all.
#[tokio::test(flavor = "multi_thread")]
async fn old_news_and_half_a_picture_are_no_time_to_go_by() {
    let mut bench = Bench::new(by_amount);
    bench.decider.freshness = Arc::new(Freshness::fed());
    bench.decider.swap(bench.snapshot_with(7, |acme| acme)).unwrap();
    assert_eq!(bench.decider.trusted_time(), None, "nothing was heard yet");
    let now_ms = NOW.0 / 1_000_000;
    bench.decider.confirm(now_ms);
    assert_eq!(bench.decider.trusted_time(), Some(NOW));
    bench.clock.advance(Duration::from_secs(caps::PRUNE_NEWS_SECONDS));
    assert!(bench.decider.trusted_time().is_some());
    bench.clock.advance(Duration::from_secs(1));
    assert_eq!(bench.decider.trusted_time(), None, "a hold may have come meanwhile");
    bench.decider.confirm(now_ms + 1_000 * caps::PRUNE_NEWS_SECONDS);
    assert!(bench.decider.trusted_time().is_some());
    bench.decider.swap(bench.snapshot_with(8, |acme| acme).starting()).unwrap();
    assert_eq!(bench.decider.trusted_time(), None, "not every tenant is told yet");
}

/// A file of retention's own that cannot be read or written stops what is done with it, and nothing else: the journal goes on, and
/// what was due is done once the disk is well.
#[tokio::test(flavor = "multi_thread")]
async fn a_bad_sector_under_retention_stops_no_decision() {
    for part in ["/seen", "/pruning", "/pruned"] {
        let fault = Arc::new(Fault::default());
        let disk = Arc::new(FaultyDisk(Arc::clone(&fault)));
        let (_kept, decider) = bench_on(disk, Retention::new(DAYS, false)).await;
        let pruner = Pruner::new(Arc::clone(&decider), None);
        pruner.look(day(0)).await.unwrap();
        let whole = verified(&decider).records;
        fault.refuse(Some(part));
        assert!(pruner.look(day(u64::from(DAYS) + 1)).await.is_err(), "{part}: it is told");
        assert!(verified(&decider).records >= whole && pruned(&decider).is_none(), "{part}: nothing went");
        let what = Refusals { code: ReasonCode::Overloaded, count: 9, source: "others".to_owned() };
        let ticket = decider.records.append(NOW, Chain::Node, &What::Refusals(what)).unwrap();
        decider.records.kept(ticket).await.unwrap();
        assert_eq!(*decider.records.trouble().borrow(), None, "{part}: the journal goes on");
        fault.refuse(None);
        pruner.look(day(u64::from(DAYS) + 1)).await.unwrap();
        assert!(pruned(&decider).is_some(), "{part}: done once the disk is well");
    }
}
