//! The worker, over a state without Raft: what is published and activated comes to the store, whatever happens.

use std::time::Duration;

use aegis_controlplane::store::{Shelf, Shelving, StoreConfig, StoreStatus, Worker};
use aegis_controlplane::testing::World;
use aegis_identity::manifest::digest_of;
use aegis_model::ids::TenantId;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::s3;
use aegis_testkit::server::Mood;

/// Generous: what is waited for takes milliseconds; but shorter than a single call of the store may take.
const PATIENCE: Duration = Duration::from_secs(60);

struct Running {
    leads: watch::Sender<bool>,
    status: watch::Receiver<StoreStatus>,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

fn start(world: &World, shelf: &Shelf) -> Running {
    let (leads, leading) = watch::channel(true);
    let (worker, status) = Worker::new(world.direct.control(), shelf.clone(), world.clock.clone(), leading);
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(worker.run(stop.clone()));
    Running { leads, status, stop, tasks }
}

impl Running {
    async fn until(&mut self, what: &str, holds: impl FnMut(&StoreStatus) -> bool) -> StoreStatus {
        let seen = tokio::time::timeout(PATIENCE, self.status.wait_for(holds)).await;
        let seen = seen.ok().map(|status| status.unwrap().clone());
        seen.unwrap_or_else(|| panic!("waited in vain for {what}: {:?}", self.status.borrow()))
    }

    async fn until_complete(&mut self, tenant: &TenantId, newest: u64, enforced: u64) -> StoreStatus {
        self.until("everything", |status| {
            let there = status.tenants.get(tenant);
            status.compared
                && status.pending == 0
                && there.is_some_and(|there| there.shelved_to == newest && there.enforced == enforced)
        })
        .await
    }

    async fn end(mut self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.tasks.join_next()).await.unwrap().unwrap().unwrap();
    }
}

fn bundle(content: &str) -> Vec<u8> {
    content.repeat(10_000).into_bytes()
}

/// A world whose tenant `acme` has the versions 1 and 2, and enforces 1.
fn world() -> (World, TenantId) {
    let world = World::new();
    let acme = world.tenant("acme");
    world.publish(&acme, &World::root(), &bundle("one"));
    world.publish(&acme, &World::root(), &bundle("two"));
    world.activate(&acme, 1);
    (world, acme)
}

fn folder() -> (tempfile::TempDir, Shelf) {
    let folder = tempfile::tempdir().unwrap();
    let shelf = StoreConfig::folder(folder.path()).open().unwrap();
    (folder, shelf)
}

#[tokio::test]
async fn what_is_published_and_activated_comes_to_the_store() {
    let (world, acme) = world();
    let (folder, shelf) = folder();
    let mut running = start(&world, &shelf);
    let status = running.until_complete(&acme, 2, 1).await;
    assert_eq!((status.of(&acme, 2), status.of(&acme, 3)), (Shelving::Stored, Shelving::Pending));
    let place = folder.path().join("acme");
    assert_eq!(std::fs::read(place.join("bundle.tar.gz")).unwrap(), bundle("one"));
    assert_eq!(std::fs::read(place.join("versions/2/bundle.tar.gz")).unwrap(), bundle("two"));
    // What lies there is what a data node would verify.
    let view = world.view();
    let trust = aegis_controlplane::keys::manifest_trust(&view).unwrap();
    let signed = aegis_identity::manifest::Signed {
        bytes: std::fs::read(place.join("versions/2/manifest.pb")).unwrap(),
        signature: std::fs::read(place.join("versions/2/manifest.sig")).unwrap().try_into().unwrap(),
    };
    trust.verify(&signed, &acme).unwrap().check_bundle(&bundle("two")).unwrap();

    world.publish(&acme, &World::root(), &bundle("three"));
    world.activate(&acme, 3);
    running.until_complete(&acme, 3, 3).await;
    assert_eq!(shelf.enforced_digest(&acme).await.unwrap(), Some(digest_of(&bundle("three"))));
    world.activate(&acme, 1);
    running.until_complete(&acme, 3, 1).await;
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_delays_nothing_and_is_caught_up_with() {
    let folder = tempfile::tempdir().unwrap();
    let server = s3::server(&folder.path().join("data"));
    let shelf = s3::shelf(folder.path(), &server.url(), s3::SECRET);
    server.set(Mood::Down);
    let (world, acme) = world();
    let mut running = start(&world, &shelf);
    let status = running.until("a failure", |status| status.failures > 0).await;
    assert_eq!((status.pending, status.compared, status.complete_ms), (3, false, 0));
    assert_eq!(status.problems[0].code, "store_failed");
    assert_eq!(status.of(&acme, 1), Shelving::Pending);
    // Publishing succeeds all the same, and is shown as pending.
    world.publish(&acme, &World::root(), &bundle("three"));
    running.until("one more", |status| status.pending == 4).await;
    server.set(Mood::Failing);
    running.until("another failure", |status| status.failures > 2).await;
    server.set(Mood::Well);
    let status = running.until_complete(&acme, 3, 1).await;
    assert_eq!((status.failures, status.problems), (0, vec![]));
    assert_eq!(shelf.versions(&acme).await.unwrap(), [1, 2, 3].into());
    running.end().await;
}

#[tokio::test]
async fn a_new_leader_goes_on_where_a_crash_left_it() {
    let (world, acme) = world();
    let (folder, shelf) = folder();
    let mut first = start(&world, &shelf);
    first.until_complete(&acme, 2, 1).await;
    first.end().await;
    // As if the crash had come between two objects, and while the enforced bundle was old.
    std::fs::remove_file(folder.path().join("acme/versions/2/manifest.pb")).unwrap();
    std::fs::write(folder.path().join("acme/bundle.tar.gz"), "older").unwrap();
    let mut second = start(&world, &shelf);
    second.until_complete(&acme, 2, 1).await;
    assert_eq!(shelf.versions(&acme).await.unwrap(), [1, 2].into());
    assert_eq!(shelf.enforced_digest(&acme).await.unwrap(), Some(digest_of(&bundle("one"))));
    second.end().await;
}

#[tokio::test]
async fn who_does_not_lead_puts_nothing() {
    let (world, acme) = world();
    let (_folder, shelf) = folder();
    let mut running = start(&world, &shelf);
    running.until_complete(&acme, 2, 1).await;
    running.leads.send_replace(false);
    let status = running.until("the end of leading", |status| !status.active).await;
    assert_eq!((status.of(&acme, 1), status.tenants.len()), (Shelving::Unknown, 0));
    world.publish(&acme, &World::root(), &bundle("three"));
    running.leads.send_replace(true);
    running.until_complete(&acme, 3, 1).await;
    running.end().await;
}

#[tokio::test]
async fn somebody_elses_object_is_told_and_holds_up_nothing_else() {
    let (world, acme) = world();
    let (folder, shelf) = folder();
    let place = folder.path().join("acme/versions/1");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("bundle.tar.gz"), "foreign").unwrap();
    let mut running = start(&world, &shelf);
    let status = running
        .until("the other version", |status| {
            status.tenants.get(&acme).is_some_and(|there| there.enforced == 1)
        })
        .await;
    assert_eq!((status.of(&acme, 1), status.of(&acme, 2)), (Shelving::Differs, Shelving::Stored));
    assert_eq!((status.pending, status.failures), (1, 0));
    assert_eq!((status.problems[0].code, status.problems[0].version), ("store_differs", Some(1)));
    assert_eq!(std::fs::read(place.join("bundle.tar.gz")).unwrap(), b"foreign");
    // Taken away, it is put with the next act.
    std::fs::remove_file(place.join("bundle.tar.gz")).unwrap();
    world.publish(&acme, &World::root(), &bundle("three"));
    running.until_complete(&acme, 3, 1).await;
    running.end().await;
}

#[tokio::test]
async fn one_tenants_trouble_is_not_anothers() {
    let (world, acme) = world();
    let globex = world.tenant("globex");
    world.publish(&globex, &World::root(), &bundle("globex"));
    let (folder, shelf) = folder();
    std::fs::write(folder.path().join("acme"), "in the way").unwrap();
    let mut running = start(&world, &shelf);
    let status = running
        .until("the other tenant", |status| status.tenants.get(&globex).is_some_and(|it| it.shelved_to == 1))
        .await;
    assert_eq!((status.failures, status.problems.len()), (1, 1));
    assert_eq!(status.problems[0].tenant, acme);
    std::fs::remove_file(folder.path().join("acme")).unwrap();
    running.until_complete(&acme, 2, 1).await;
    running.end().await;
}

#[tokio::test]
async fn many_spoilt_places_do_not_keep_the_last_tenant_waiting() {
    let world = World::new();
    let (folder, shelf) = folder();
    for name in ["a", "b", "c", "d", "e"] {
        let tenant = world.tenant(name);
        world.publish(&tenant, &World::root(), &bundle(name));
        std::fs::write(folder.path().join(name), "in the way").unwrap();
    }
    let last = world.tenant("z");
    world.publish(&last, &World::root(), &bundle("z"));
    let mut running = start(&world, &shelf);
    let there = |status: &StoreStatus| status.tenants.get(&last).is_some_and(|it| it.shelved_to == 1);
    let status = running.until("the last tenant", there).await;
    assert!(status.failures > 0 && status.pending == 5, "{status:?}");
    running.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_never_answers_holds_up_neither_a_stop_nor_a_new_leader() {
    let folder = tempfile::tempdir().unwrap();
    let server = s3::server(&folder.path().join("data"));
    let shelf = s3::shelf(folder.path(), &server.url(), s3::SECRET);
    let (world, acme) = world();
    server.set(Mood::Silent);
    let mut running = start(&world, &shelf);
    running.until("what is lacking", |status| status.pending == 3).await;
    running.leads.send_replace(false);
    running.until("the end of leading", |status| !status.active).await;
    running.leads.send_replace(true);
    running.until("what is lacking", |status| status.pending == 3).await;
    assert_eq!(running.status.borrow().of(&acme, 1), Shelving::Pending);
    running.end().await;
}
