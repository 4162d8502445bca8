//! A control node without Raft, whose admin API is asked like a real one.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aegis_model::ids::TenantId;
use aegis_policy::ast::SourceFile;
use aegis_proto::control as proto;
use aegis_proto::control::{
    IssueAgentToken, IssuePersonToken, LabelVersion, PutPerson, RevocationKind, Revoke, Role, SetMember, done,
};
use aegis_proto::v1;
use aegis_raft_store::checkpoint::Checkpoint;
use aegis_raft_store::tables::StateDigest;
use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, ready};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use http_body_util::{BodyExt, Full};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::admin::backups::{Backup, Backups, NoBackup};
use crate::admin::grpc::AdminService;
use crate::admin::membership::{Membership, RaftMember, RaftStatus};
use crate::admin::object_store::ObjectStore;
use crate::admin::progress::{Acknowledged, Acknowledgements};
use crate::admin::rest::Rest;
use crate::admin::service::person_tokens;
use crate::admin::{Admin, Setup};
use crate::deliveries::Sender;
use crate::feed::Admission;
use crate::keys::{KeyKind, keyring};
use crate::publish::build::build;
use crate::publish::{Content, Publisher};
use crate::raft::changes::NotChanged;
use crate::raft::object_store::NotTold;
use crate::readiness::{Readiness, Standing};
use crate::search::SearchNode;
use crate::testing::World;

/// The admin API over `world`, with one control node and no data node that says anything.
pub(crate) fn admin_over(world: &World) -> Admin {
    admin_with(world, Arc::new(Members::default()), Arc::new(Acks::default()), &ready_node())
}

/// The same with these members and acknowledgements.
pub(crate) fn admin_with(
    world: &World,
    membership: Arc<Members>,
    acks: Arc<Acks>,
    standing: &watch::Sender<Standing>,
) -> Admin {
    let cluster_keys = Arc::new(World::cluster_keys());
    let control = world.direct.control();
    let sender =
        Sender::new(Arc::clone(&cluster_keys), world.clock.clone(), "https://aegis.example.com", true)
            .expect("a client");
    let search = SearchNode::new(Admission::SameProcess, control.clone(), CancellationToken::new());
    Admin::new(Setup {
        search,
        publisher: Publisher::new(control.clone(), Arc::clone(&cluster_keys)),
        control,
        cluster_keys,
        clock: world.clock.clone(),
        randomness: StdRng::seed_from_u64(7),
        membership,
        acknowledgements: acks,
        backups: Arc::new(FixedBackup),
        object_store: Arc::new(FixedStore),
        readiness: Readiness::new(standing.subscribe()),
        sender,
    })
}

/// The standing of a node that is ready, until it is changed.
fn ready_node() -> watch::Sender<Standing> {
    watch::Sender::new(Standing::Ready)
}

/// An object store that lacks two objects.
struct FixedStore;

impl ObjectStore for FixedStore {
    fn status(&self) -> BoxFuture<'_, Result<Option<v1::RaftObjectStore>, NotTold>> {
        let problem = v1::RaftObjectStoreProblem {
            tenant: "acme".into(),
            version: Some(2),
            code: "differs".into(),
            message: "something else lies there".into(),
        };
        let store = v1::RaftObjectStore {
            place: "file:///bundles".into(),
            pending: 2,
            compared: true,
            problems: vec![problem],
            ..Default::default()
        };
        ready(Ok(Some(store))).boxed()
    }
}

/// A backup that is a text.
struct FixedBackup;

impl Backups for FixedBackup {
    fn take(&self) -> BoxFuture<'_, Result<Backup, NoBackup>> {
        use std::io::{Seek, Write};
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"a backup").and_then(|()| file.rewind()).expect("a file that takes it");
        ready(Ok(Backup { file: file.into() })).boxed()
    }
}

/// A membership that is kept in a list.
pub(crate) struct Members(pub(crate) Mutex<RaftStatus>, Mutex<Vec<u64>>);

impl Default for Members {
    fn default() -> Self {
        let member = |id: u64, voter| RaftMember {
            id,
            name: format!("control-{id}"),
            address: format!("https://control-{id}:7071"),
            voter,
            checkpoint: Some(Checkpoint {
                history: 1,
                index: 7 + id,
                digest: StateDigest::from_bytes(&[0xab; 32]),
            }),
            differs: false,
        };
        let members = vec![member(1, true), member(3, false)];
        Self(Mutex::new(RaftStatus { node: 1, leader: Some(1), term: 3, members }), Mutex::default())
    }
}

impl Members {
    fn change<T>(&self, change: impl FnOnce(&mut RaftStatus) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn refused(code: &'static str, already: bool) -> NotChanged {
    NotChanged {
        code: code.to_owned(),
        message: code.replace('_', " "),
        retryable: false,
        already,
        in_doubt: false,
    }
}

impl Membership for Members {
    fn status(&self) -> RaftStatus {
        self.change(|status| status.clone())
    }

    fn join(&self, name: String, address: String) -> BoxFuture<'_, Result<u64, NotChanged>> {
        let joined = self.change(|status| {
            if status.members.iter().any(|it| it.name == name) {
                return Err(refused("name_taken", true));
            }
            let id = status.members.iter().map(|it| it.id).max().unwrap_or_default() + 1;
            status.members.push(RaftMember {
                id,
                name,
                address,
                voter: false,
                checkpoint: None,
                differs: false,
            });
            Ok(id)
        });
        ready(joined).boxed()
    }

    fn promote(&self, node: u64) -> BoxFuture<'_, Result<(), NotChanged>> {
        let promoted = self.change(|status| match status.members.iter_mut().find(|it| it.id == node) {
            None => Err(refused("unknown_node", false)),
            Some(member) if member.voter => Err(refused("already_voter", true)),
            Some(member) => {
                member.voter = true;
                Ok(())
            }
        });
        ready(promoted).boxed()
    }

    fn remove(&self, node: u64) -> BoxFuture<'_, Result<(), NotChanged>> {
        let mut gone = self.1.lock().unwrap_or_else(PoisonError::into_inner);
        let removed = self.change(|status| {
            if gone.contains(&node) {
                return Err(refused("removed", true));
            }
            let voters = status.members.iter().filter(|it| it.voter && it.id != node).count();
            if voters == 0 {
                return Err(refused("last_voter", false));
            }
            let before = status.members.len();
            status.members.retain(|it| it.id != node);
            if status.members.len() == before {
                return Err(refused("unknown_node", false));
            }
            gone.push(node);
            Ok(())
        });
        ready(removed).boxed()
    }
}

/// Acknowledgements that a test makes.
pub(crate) struct Acks {
    said: Mutex<Vec<Acknowledged>>,
    changes: watch::Sender<u64>,
}

impl Default for Acks {
    fn default() -> Self {
        Self { said: Mutex::default(), changes: watch::Sender::new(0) }
    }
}

impl Acks {
    /// A data node says something.
    pub(crate) fn say(&self, said: Acknowledged) {
        let mut all = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|it| it.node != said.node);
        all.push(said);
        drop(all);
        self.changes.send_modify(|count| *count += 1);
    }
}

impl Acknowledgements for Acks {
    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    fn of<'s>(&'s self, _tenant: &'s TenantId) -> BoxFuture<'s, Vec<Acknowledged>> {
        ready(self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()).boxed()
    }
}

/// A cluster with something of everything, and both surfaces of one of its control nodes.
pub(crate) struct Setting {
    pub(crate) world: World,
    pub(crate) members: Arc<Members>,
    pub(crate) acks: Arc<Acks>,
    pub(crate) standing: watch::Sender<Standing>,
    pub(crate) rest: Rest,
    pub(crate) grpc: AdminService,
    tokens: AtomicU64,
}

/// What a surface answered: an HTTP status, headers and a document.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    /// The body as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The code of the problem.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        let document = self.json();
        assert_eq!(self.headers[CONTENT_TYPE], "application/problem+json", "{document}");
        assert_eq!(document["status"], self.status, "{document}");
        document["code"].as_str().expect("a code").to_owned()
    }

    /// The body of an answer that is no problem.
    #[track_caller]
    pub(crate) fn done(&self) -> Value {
        assert!((200..300).contains(&self.status), "{} {:?}", self.status, self.body);
        self.json()
    }
}

/// A policy, and a bundle made of it; the greater the limit, the more is allowed.
pub(crate) fn policy(limit: u32) -> String {
    format!(
        "agent: payer\nallowed_tools:\n- name: stripe\n  actions: [pay]\n  conditions: {{max_amount: {limit}}}\n"
    )
}

fn bundles() -> &'static [Bytes; 2] {
    static BUNDLES: OnceLock<[Bytes; 2]> = OnceLock::new();
    BUNDLES.get_or_init(|| {
        [100, 200].map(|limit| {
            let file = SourceFile { path: "payer.yaml".into(), text: policy(limit).into() };
            build(Content::Sources(vec![file])).expect("a sound policy").bytes
        })
    })
}

/// The bundle of version 1 of `acme`.
pub(crate) fn first_bundle() -> Bytes {
    bundles()[0].clone()
}

impl Setting {
    /// Tenants `acme` and `globex`, each with the agent `payer`, three versions by `ann`, the label `good` at the first, the
    /// second in force after the first, a revocation, and a data node; `root` may do everything, `all@globex` has every role in `globex`,
    /// `nobody` has none.
    pub(crate) fn new() -> Self {
        let world = World::new();
        for name in ["acme", "globex"] {
            let tenant = world.tenant(name);
            world.agent(&tenant, "payer");
            let minted = IssueAgentToken {
                tenant: name.to_owned(),
                agent: "payer".to_owned(),
                token_id: format!("of-{name}"),
                scope: "stripe:pay".to_owned(),
                life_seconds: 60,
            };
            world.done(minted, &World::root());
            let author = world.with_role("ann", name, Role::Author);
            let [first, second] = bundles();
            for bundle in [first, second, first] {
                world.publish(&tenant, &author, bundle);
            }
            let label =
                LabelVersion { tenant: name.into(), label: "good".into(), version: 1, ..Default::default() };
            world.done(label, &World::root());
            world.activate(&tenant, 1);
            world.activate(&tenant, 2);
            let revoke = Revoke {
                tenant: name.into(),
                kind: RevocationKind::Token.into(),
                subject: "t-1".into(),
                ..Default::default()
            };
            world.done(revoke, &World::root());
            let issuer = proto::SetIssuer {
                tenant: name.into(),
                name: "ci".into(),
                issuer: "https://ci.example".into(),
                audience: "aegis".into(),
                algorithm: "EdDSA".into(),
                key_set: super::examples::key_set().into_bytes(),
                ..Default::default()
            };
            world.done(issuer, &World::root());
        }
        for role in [Role::Viewer, Role::Auditor, Role::Author, Role::Approver, Role::Operator, Role::Admin] {
            world.with_role("all@globex", "globex", role);
        }
        world.done(PutPerson { name: "nobody".into(), ..Default::default() }, &World::root());
        world.with_role("second", "*", Role::Admin);
        let node = world.data_node(17);
        for tenant in ["acme", "globex"] {
            let name: TenantId = tenant.parse().expect("a name");
            let (hold, reason) = ("case-7".to_owned(), "a dispute".to_owned());
            world.done(proto::PlaceHold { tenant: tenant.to_owned(), name: hold, reason }, &World::root());
            world.done(
                crate::deliveries::tests::webhook(&world, &name, "http://127.0.0.1:1/"),
                &World::root(),
            );
            for (id, digest) in [("a-1", 1), ("a-2", 2), ("a-3", 3)] {
                let opening = world.telling(tenant, id, digest, &["hook"]);
                world.open_approval(proto::OpenApproval {
                    node: 17,
                    incarnation: node.incarnation,
                    ..opening
                });
            }
        }
        world.done(world.open_journal(&node, "journal"), &World::node());
        world.done(proto::SetShardMap { nodes: vec![17], replaces: 0 }, &World::node());
        world.done(proto::TakeLending {}, &World::node());
        let keys = ["acme", "globex"].map(|tenant| World::budget_key(tenant, "payer", "usd"));
        let whole = v1::LimitKey {
            level: v1::LimitLevel::Organization.into(),
            owner: "holding".into(),
            unit: "usd".into(),
            ..Default::default()
        };
        let needs = keys.iter().chain([&whole]).map(|key| World::need(key, 10_000_000, 1_000_000)).collect();
        let lend = world.lend(vec![World::ask(17, node.incarnation, 1, needs)]);
        world.done(lend, &World::node());
        for id in [1, 3] {
            let member = SetMember {
                id,
                name: format!("control-{id}"),
                address: format!("https://control-{id}:7071"),
                software: "0.1.0".into(),
                level: 1,
            };
            world.done(member, &World::node());
        }
        world.done(World::add_key(proto::KeyKind::Manifest, "spare"), &World::root());
        let (members, acks) = (Arc::<Members>::default(), Arc::<Acks>::default());
        let standing = ready_node();
        let admin = admin_with(&world, Arc::clone(&members), Arc::clone(&acks), &standing);
        let (grpc, tokens) = (AdminService::new(admin.clone()), AtomicU64::new(0));
        let setting = Self { world, members, acks, standing, rest: Rest::new(admin), grpc, tokens };
        setting.token("nobody");
        setting
    }

    /// A new token of a person, for an hour.
    pub(crate) fn token(&self, person: &str) -> String {
        self.token_for(person, 3_600)
    }

    /// A new token of a person.
    pub(crate) fn token_for(&self, person: &str, seconds: u64) -> String {
        let number = self.tokens.fetch_add(1, Ordering::Relaxed);
        let issue = IssuePersonToken {
            person: person.into(),
            token_id: format!("{person}-{number}"),
            expires_ms: self.world.now_ms() + seconds * 1_000,
        };
        let Some(done::Result::PersonToken(row)) = self.world.done(issue, &World::root()).done.result else {
            panic!("another answer");
        };
        let minter =
            keyring::minter(&self.world.view(), &World::cluster_keys(), KeyKind::PersonToken).unwrap();
        let minted = minter.person_token(&person.parse().unwrap(), &person_tokens::stamp(&row)).unwrap();
        minted.token.expose().clone()
    }

    /// Asks over REST with these headers.
    pub(crate) async fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Reply {
        let mut request = http::Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body))).unwrap();
        let (parts, body) = self.rest.clone().answer(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Asks over REST as somebody, below the base, with a JSON body or none.
    pub(crate) async fn call(&self, method: &str, path: &str, token: &str, body: Option<Value>) -> Reply {
        self.call_with(method, path, token, &[], body).await
    }

    /// The same with further headers.
    pub(crate) async fn call_with(
        &self,
        method: &str,
        path: &str,
        token: &str,
        more: &[(&str, &str)],
        body: Option<Value>,
    ) -> Reply {
        let bearer = format!("Bearer {token}");
        let mut headers = vec![("authorization", bearer.as_str())];
        if body.is_some() {
            headers.push(("content-type", "application/json"));
        }
        headers.extend_from_slice(more);
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        self.ask(method, &format!("/admin/v1{path}"), &headers, body.as_bytes()).await
    }
}
