//! Publishing through the handle, over a state without Raft: from sources to a version that a data node accepts.

#![expect(clippy::unwrap_used, reason = "where a helper fails, its test fails")]

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aegis_controlplane::command::Code;
use aegis_controlplane::command::envelope::Once;
use aegis_controlplane::control::{Applied, Control, ProposeError, ReadError, Replicate};
use aegis_controlplane::publish::{
    Content, Progress, Publication, PublishError, Published, Publisher, Rejected, stored,
};
use aegis_controlplane::testing::World;
use aegis_identity::manifest::{Manifest, digest_of};
use aegis_model::caps;
use aegis_model::decision::Outcome;
use aegis_model::ids::TenantId;
use aegis_policy::ast::SourceFile;
use aegis_proto::control::{self as proto, KeyKind, RetireKey, RetireVersion, Role, SweepChunks};
use aegis_proto::v1;
use aegis_raft_store::tables::{StateView, StoreError};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use prost::Message;
use tokio::sync::watch;

fn sources(action: &str) -> Content {
    let text = format!("agent: finance-agent\nallowed_tools:\n- name: stripe\n  actions: [{action}]\n");
    Content::Sources(vec![SourceFile { path: "pay.yaml".to_owned(), text: text.into() }])
}

fn publication(tenant: &TenantId, content: Content) -> Publication {
    Publication {
        tenant: tenant.clone(),
        content,
        message: "why".to_owned(),
        force: false,
        only_if_newest: None,
        once: None,
    }
}

struct Setting {
    world: World,
    publisher: Publisher,
    acme: TenantId,
}

impl Setting {
    fn new() -> Self {
        let world = World::new();
        let acme = world.tenant("acme");
        let publisher = Publisher::new(world.direct.control(), Arc::new(World::cluster_keys()));
        Self { world, publisher, acme }
    }

    async fn publish(&self, publication: Publication) -> Result<Published, PublishError> {
        self.publisher.publish(publication, &World::root(), &watch::Sender::new(Progress::Waiting)).await
    }

    async fn version(&self, action: &str) -> Published {
        self.publish(publication(&self.acme, sources(action))).await.unwrap()
    }
}

#[tokio::test]
async fn a_version_is_what_a_data_node_accepts() {
    let setting = Setting::new();
    let progress = watch::Sender::new(Progress::Waiting);
    let wanted = publication(&setting.acme, sources("pay"));
    let published = setting.publisher.publish(wanted, &World::root(), &progress).await.unwrap();
    assert_eq!((published.version.number, published.unchanged), (1, false));
    assert_eq!((published.version.author.as_str(), published.version.message.as_str()), ("root", "why"));
    assert_eq!(*progress.borrow(), Progress::Replicated { version: 1 });
    let view = setting.world.view();
    stored::verify(&view, &setting.acme, &published.version).unwrap();
    let other: TenantId = "globex".parse().unwrap();
    assert!(stored::verify(&view, &other, &published.version).is_err());
    let bundle = setting.publisher.bundle(&setting.acme, 1).await.unwrap();
    assert_eq!(digest_of(&bundle).as_bytes().as_slice(), published.version.bundle_digest);
}

#[tokio::test]
async fn a_manifest_is_the_message_that_is_documented() {
    let setting = Setting::new();
    let bytes = setting.version("pay").await.version.manifest;
    let read = Manifest::read_unverified(&bytes).unwrap();
    let message = v1::Manifest::decode(bytes.as_slice()).unwrap();
    assert_eq!(message.encode_to_vec(), bytes, "the two encodings are one");
    let chunks = read.chunks.iter().map(|chunk| chunk.as_bytes().to_vec()).collect::<Vec<_>>();
    let expected = v1::Manifest {
        cluster: read.cluster.to_string(),
        tenant: read.tenant.to_string(),
        version: read.version,
        bundle: read.bundle.as_bytes().to_vec(),
        bundle_bytes: read.bundle_bytes,
        chunks,
        created_ms: read.created_ms,
        key_id: read.key_id.as_bytes().to_vec(),
    };
    assert_eq!(message, expected);
}

#[tokio::test]
async fn the_same_content_is_told_and_not_published_again() {
    let setting = Setting::new();
    setting.version("pay").await;
    setting.version("refund").await;
    let again = setting.version("pay").await;
    assert_eq!((again.version.number, again.unchanged), (1, true));
    // As a bundle it is the same content as well.
    let bundle = setting.publisher.bundle(&setting.acme, 2).await.unwrap();
    let again = setting.publish(publication(&setting.acme, Content::Bundle(bundle))).await.unwrap();
    assert_eq!((again.version.number, again.unchanged), (2, true));
    let forced = Publication { force: true, ..publication(&setting.acme, sources("pay")) };
    assert_eq!(setting.publish(forced).await.unwrap().version.number, 3);
    // A version whose bundle was given up is no reason to publish nothing.
    for version in [1, 3] {
        let retire = RetireVersion { tenant: "acme".to_owned(), version };
        setting.world.done(retire, &World::root());
    }
    let fresh = setting.version("pay").await;
    assert_eq!((fresh.version.number, fresh.unchanged), (4, false));
    assert!(matches!(setting.publisher.bundle(&setting.acme, 1).await, Err(PublishError::VersionRetired(1))));
    assert!(matches!(setting.publisher.bundle(&setting.acme, 9).await, Err(PublishError::UnknownVersion(9))));
}

#[tokio::test]
async fn a_refused_policy_changes_nothing() {
    let setting = Setting::new();
    let before = setting.world.direct.digest();
    let broken = SourceFile { path: "a.yaml".to_owned(), text: "agent: x\nalowed_tools: []\n".into() };
    let refused =
        setting.publish(publication(&setting.acme, Content::Sources(vec![broken]))).await.unwrap_err();
    let PublishError::Rejected(Rejected::Policy(report)) = &refused else { panic!("{refused:?}") };
    assert!(report.findings.iter().any(|one| (one.file.as_str(), one.line) == ("a.yaml", 2)), "{report:?}");
    assert_eq!((refused.code(), refused.retryable()), ("policy_rejected", false));
    assert_eq!(setting.world.direct.digest(), before);
}

#[tokio::test]
async fn publications_at_once_get_numbers_of_their_own() {
    let setting = Setting::new();
    // Two control nodes, so that neither waits for the other's turn.
    let second = Publisher::new(setting.world.direct.control(), Arc::new(World::cluster_keys()));
    let publish = |publisher: &Publisher, number: usize| {
        let (publisher, wanted) =
            (publisher.clone(), publication(&setting.acme, sources(&format!("a{number}"))));
        async move {
            let progress = watch::Sender::new(Progress::Waiting);
            publisher.publish(wanted, &World::root(), &progress).await.unwrap().version.number
        }
    };
    let all =
        (0..10).map(|number| publish(if number % 2 == 0 { &setting.publisher } else { &second }, number));
    let mut numbers = futures_util::future::join_all(all).await;
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=10).collect::<Vec<u64>>());
}

/// What happens to a publication between reading the state and publishing the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    /// Somebody else takes the number.
    Overtaken,
    /// An hour passes, and the pieces are swept.
    Swept,
    /// The key is replaced.
    Rotated,
    /// It is published, and the answer is lost.
    AnswerLost,
    /// It is lost, and so is the answer.
    Lost,
}

/// Replicates as `Direct` does, but for one trouble, so many times.
struct Troubled {
    world: World,
    trouble: Trouble,
    times: AtomicUsize,
}

impl Troubled {
    fn strike(&self, tenant: &TenantId, time: usize) {
        let root = World::root();
        match self.trouble {
            Trouble::Overtaken => {
                self.world.publish(tenant, &root, format!("other {time}").as_bytes());
            }
            Trouble::Swept => {
                self.world.pass_seconds(3_601);
                self.world.done(SweepChunks { tenant: tenant.to_string() }, &World::node());
            }
            Trouble::Rotated => {
                self.world.done(World::add_key(KeyKind::Manifest, "next"), &root);
                let id = World::signing_key("manifest").id().to_string();
                self.world.done(RetireKey { id, revoke: false }, &root);
            }
            Trouble::AnswerLost | Trouble::Lost => {}
        }
    }
}

impl Replicate for Troubled {
    fn propose(&self, command: Vec<u8>) -> BoxFuture<'_, Result<Vec<u8>, ProposeError>> {
        let envelope = proto::Envelope::decode(command.as_slice()).unwrap();
        let Some(proto::envelope::Command::PublishVersion(publish)) = envelope.command else {
            return self.world.direct.propose(command);
        };
        let left = self.times.load(Ordering::SeqCst);
        if left == 0 {
            return self.world.direct.propose(command);
        }
        self.times.store(left - 1, Ordering::SeqCst);
        self.strike(&publish.tenant.parse().unwrap(), left);
        let lost = || Err(ProposeError::Unknown("the leader is gone".to_owned()));
        match self.trouble {
            Trouble::Overtaken | Trouble::Swept | Trouble::Rotated => self.world.direct.propose(command),
            Trouble::AnswerLost => self.world.direct.propose(command).map(move |_answer| lost()).boxed(),
            Trouble::Lost => ready(lost()).boxed(),
        }
    }

    fn linearize(&self) -> BoxFuture<'_, Result<(), ReadError>> {
        self.world.direct.linearize()
    }

    fn view(&self) -> Result<StateView, StoreError> {
        self.world.direct.view()
    }

    fn applied(&self) -> watch::Receiver<Applied> {
        self.world.direct.applied()
    }
}

/// Publishes with `trouble`, so many times.
async fn troubled(trouble: Trouble, times: usize) -> (Setting, Result<Published, PublishError>) {
    troubled_once(trouble, times, None).await
}

/// The same under an idempotency key.
async fn troubled_once(
    trouble: Trouble,
    times: usize,
    once: Option<Once>,
) -> (Setting, Result<Published, PublishError>) {
    let mut setting = Setting::new();
    let control =
        Control::new(Troubled { world: setting.world.clone(), trouble, times: AtomicUsize::new(times) });
    setting.publisher = Publisher::new(control, Arc::new(World::cluster_keys()));
    let wanted = Publication { once, ..publication(&setting.acme, sources("pay")) };
    let published = setting.publish(wanted).await;
    (setting, published)
}

#[tokio::test]
async fn whatever_changes_meanwhile_the_version_is_published_and_good() {
    for (trouble, times, number) in [
        (Trouble::Overtaken, 1, 2),
        (Trouble::Overtaken, 7, 8),
        (Trouble::Swept, 1, 1),
        (Trouble::Rotated, 1, 1),
        (Trouble::AnswerLost, 1, 1),
    ] {
        // Also under a key: what was refused to one attempt is not the answer to the next.
        for once in [None, Some(Once { key: "k-1".to_owned(), request_digest: Some([7; 32]) })] {
            let (setting, published) = troubled_once(trouble, times, once).await;
            let version = published.unwrap().version;
            assert_eq!(version.number, number, "{trouble:?}");
            stored::verify(&setting.world.view(), &setting.acme, &version).unwrap();
        }
    }
}

#[tokio::test]
async fn who_is_overtaken_again_and_again_is_told_so() {
    let (_, published) = troubled(Trouble::Overtaken, caps::PUBLICATION_ATTEMPTS_MAX).await;
    let error = published.unwrap_err();
    assert!(matches!(error, PublishError::Contended) && error.retryable(), "{error}");
}

#[tokio::test]
async fn what_may_be_published_or_not_is_not_published_twice() {
    let (setting, published) = troubled(Trouble::Lost, 1).await;
    let error = published.unwrap_err();
    assert!(matches!(error, PublishError::Propose(ProposeError::Unknown(_))) && error.retryable(), "{error}");
    // The same once more.
    assert_eq!(setting.version("pay").await.version.number, 1);
}

#[tokio::test]
async fn who_may_not_publish_is_refused() {
    let setting = Setting::new();
    let viewer = setting.world.with_role("vic", "acme", Role::Viewer);
    let progress = watch::Sender::new(Progress::Waiting);
    let wanted = publication(&setting.acme, sources("pay"));
    let refused = setting.publisher.publish(wanted, &viewer, &progress).await.unwrap_err();
    assert_eq!(refused.code(), Code::Forbidden.as_str());
    let nobody = publication(&"nobody".parse().unwrap(), sources("pay"));
    assert_eq!(setting.publish(nobody).await.unwrap_err().code(), Code::UnknownTenant.as_str());
}

#[tokio::test]
async fn a_repetition_under_the_same_key_gets_the_first_answer() {
    let setting = Setting::new();
    let once = Some(Once { key: "k-1".to_owned(), request_digest: Some([7; 32]) });
    let wanted = Publication { force: true, once, ..publication(&setting.acme, sources("pay")) };
    let first = setting.publish(wanted.clone()).await.unwrap();
    let second = setting.publish(wanted).await.unwrap();
    assert_eq!((first.version.number, first.replayed), (1, false));
    assert_eq!((second.version, second.replayed), (first.version, true));
}

#[tokio::test]
async fn after_a_rotation_old_versions_stay_good() {
    let setting = Setting::new();
    let old = setting.version("pay").await.version;
    setting.world.done(World::add_key(KeyKind::Manifest, "next"), &World::root());
    setting.world.done(RetireKey { id: old.key_id.clone(), revoke: false }, &World::root());
    let new = setting.version("refund").await.version;
    assert_ne!(new.key_id, old.key_id);
    for version in [&old, &new] {
        stored::verify(&setting.world.view(), &setting.acme, version).unwrap();
    }
}

#[tokio::test]
async fn versions_are_compared() {
    let setting = Setting::new();
    setting.version("pay").await;
    setting.version("refund").await;
    let difference = setting.publisher.diff(&setting.acme, 1, 2).await.unwrap();
    assert!(difference.judged > 0);
    let pay = difference.changes.iter().find(|change| change.case.action.as_str() == "pay").unwrap();
    assert_eq!((pay.before.outcome, pay.after.outcome), (Outcome::Allow, Outcome::Deny));
    assert!(setting.publisher.diff(&setting.acme, 1, 1).await.unwrap().changes.is_empty());
    assert!(matches!(
        setting.publisher.diff(&setting.acme, 1, 3).await,
        Err(PublishError::UnknownVersion(3))
    ));
}

#[tokio::test]
async fn a_large_set_travels_in_pieces_and_only_those_that_are_missing() {
    let setting = Setting::new();
    // Text that does not shrink, so that the bundle has several pieces.
    let mut state = 1_u64;
    let mut noise = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        format!("{:016x}", state ^ (state >> 29))
    };
    let comment: String = (0..60_000).map(|_| format!("# {}\n", noise())).collect();
    let text = format!("agent: a\nallowed_tools:\n- name: t\n{comment}");
    let content = Content::Sources(vec![SourceFile { path: "a.yaml".to_owned(), text: text.into() }]);
    let first = setting.publish(publication(&setting.acme, content.clone())).await.unwrap();
    assert!(first.version.chunks.len() > 2, "{}", first.version.bundle_bytes);
    stored::verify(&setting.world.view(), &setting.acme, &first.version).unwrap();
    let forced = Publication { force: true, ..publication(&setting.acme, content) };
    let second = setting.publish(forced).await.unwrap();
    assert_eq!(second.version.chunks, first.version.chunks);
    assert_eq!(second.version.number, 2);
}

#[tokio::test]
async fn checking_alone_publishes_nothing() {
    let setting = Setting::new();
    let before = setting.world.direct.digest();
    let built = setting.publisher.check(&setting.acme, sources("pay")).await.unwrap();
    assert_eq!(digest_of(&built.bytes), built.digest);
    assert_eq!(setting.world.direct.digest(), before);
}
