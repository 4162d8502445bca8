//! A cluster as most tests want to begin with: made, with a clock that stands still, and one administrator.

use aegis_identity::keys::SigningKey;
use aegis_identity::manifest::{Manifest, chunks_of};
use aegis_identity::sealing::SealingKey;
use aegis_limits::epoch::Zone;
use aegis_model::clock::{Clock, UnixNanos};
use aegis_model::ids::{AgentId, ClusterId, TenantId};
use aegis_model::secret::Secret;
use aegis_model::tenant_key::TenantKey;
use aegis_proto::control::{
    Activate, Activation, AddKey, Agent, ApprovalCall, ApprovalOpened, ApprovalTerms, ChannelKind,
    CreateTenant, DataNode, GrantRole, InitCluster, KeyKind, Lend, NodeAsk, OpenApproval, OpenJournal,
    PublishVersion, PutChunk, PutPerson, RedeemApproval, RegisterAgent, RegisterDataNode, Role,
    SealedSecrets, SetChannel, Version, VoteApproval, WrappedKey, done,
};
use aegis_proto::v1::{BudgetAsk, LendAsk, LimitKey, LimitLevel, LimitStamp};
use aegis_raft_store::tables::StateView;
use rand::SeedableRng;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};

use super::Direct;
use super::dump::Dump;
use crate::command::actor::Actor;
use crate::command::response::{self, Answer};
use crate::command::{LEVEL, Refused, Request};
use crate::control::Replicate;
use crate::keys::wrap::TenantSecret;
use crate::keys::{ClusterKey, ClusterKeys};
use crate::state::limit_id::LimitId;
use crate::state::{budgets, data_nodes, lender, meta, versions};

/// A cluster in memory, without Raft.
///
/// Its methods panic where something other than a refusal goes wrong: they are for tests.
#[derive(Clone)]
pub struct World {
    /// The state.
    pub direct: Direct,
    /// Its clock, which stands still until it is set.
    pub clock: Clock,
}

/// When a world begins, in seconds since 1970.
const BEGIN_SECONDS: u64 = 1_800_000_000;

/// The cluster's id.
const CLUSTER: &str = "test-cluster";

#[expect(clippy::expect_used, clippy::panic, reason = "what cannot fail in a test's memory ends the test")]
impl World {
    /// A cluster with one key of each kind (see [`World::first_keys`]) and the person `root`, role `admin` on `*`, who
    /// has the token `first` for an hour.
    pub fn new() -> Self {
        let world = Self::empty();
        let command = InitCluster {
            cluster_id: CLUSTER.to_owned(),
            level: LEVEL,
            keys: Self::first_keys(),
            admin: "root".to_owned(),
            token_id: "first".to_owned(),
            token_expires_ms: world.now_ms() + 3_600_000,
        };
        world.done(command, &Self::node());
        world
    }

    /// A state in which no cluster was made.
    pub fn empty() -> Self {
        let clock = Clock::manual(UnixNanos::from_seconds(BEGIN_SECONDS));
        let direct = Direct::new(clock.clone()).expect("a database in memory");
        Self { direct, clock }
    }

    /// The administrator.
    pub fn root() -> Actor {
        Self::person("root")
    }

    /// Somebody, who need not exist.
    pub fn person(name: &str) -> Actor {
        Actor::person(name.parse().expect("a person's name"))
    }

    /// A control node.
    pub fn node() -> Actor {
        Actor::ControlNode(1)
    }

    /// The cluster's id.
    pub fn cluster_id() -> ClusterId {
        CLUSTER.parse().expect("a cluster's id")
    }

    /// The cluster key under which the world's keys are wrapped.
    pub fn cluster_keys() -> ClusterKeys {
        ClusterKeys::new(ClusterKey::generate(&mut Self::randomness("cluster key")), Vec::new())
    }

    /// The signing key that this seed gives; always the same.
    pub fn signing_key(seed: &str) -> SigningKey {
        SigningKey::generate(&mut Self::randomness(seed))
    }

    /// Commands that add the first keys, of the seeds `manifest`, `agent token`, `person token` and `control log`.
    pub fn first_keys() -> Vec<AddKey> {
        vec![
            Self::add_key(KeyKind::Manifest, "manifest"),
            Self::add_key(KeyKind::AgentToken, "agent token"),
            Self::add_key(KeyKind::PersonToken, "person token"),
            Self::add_key(KeyKind::ControlLog, "control log"),
        ]
    }

    /// A command that adds [`World::signing_key`] of this seed, wrapped under [`World::cluster_keys`].
    pub fn add_key(kind: KeyKind, seed: &str) -> AddKey {
        let key = Self::signing_key(seed);
        let owned = match kind {
            KeyKind::Unspecified | KeyKind::Manifest => crate::keys::KeyKind::Manifest,
            KeyKind::AgentToken => crate::keys::KeyKind::AgentToken,
            KeyKind::PersonToken => crate::keys::KeyKind::PersonToken,
            KeyKind::ControlLog => crate::keys::KeyKind::ControlLog,
        };
        let randomness = &mut Self::randomness(seed);
        let wrapped_private_key = Self::cluster_keys().wrap(&Self::cluster_id(), owned, &key, randomness);
        AddKey { kind: kind.into(), public_key: key.verifying_key().as_bytes().to_vec(), wrapped_private_key }
    }

    /// Applies one command as an entry of its own.
    ///
    /// # Errors
    /// It was refused.
    pub fn apply(&self, request: impl Into<Request>, actor: &Actor) -> Result<Answer, Refused> {
        let bytes = request.into().encode(actor);
        let answers = self.direct.apply_entry(&[bytes]).expect("memory does not fail");
        response::read(answers.first().expect("one answer")).expect("an answer of known form")
    }

    /// Applies a command that has to succeed.
    #[track_caller]
    pub fn done(&self, request: impl Into<Request>, actor: &Actor) -> Answer {
        let request = request.into();
        match self.apply(request.clone(), actor) {
            Ok(answer) => answer,
            Err(refused) => panic!("{refused}: {request:?}"),
        }
    }

    /// Applies a command that has to be refused, and makes sure that nothing was changed but the control log and the
    /// remembered answers.
    #[track_caller]
    pub fn refused(&self, request: impl Into<Request>, actor: &Actor) -> Refused {
        let request = request.into();
        let before = Dump::of(&self.view());
        let refused = match self.apply(request.clone(), actor) {
            Ok(answer) => panic!("done: {request:?}, {answer:?}"),
            Err(refused) => refused,
        };
        assert_eq!(before.changed_rows(&Dump::of(&self.view())), Vec::<String>::new(), "{refused}");
        refused
    }

    /// A tenant of this name, whose first secret key is the SHA-256 of the name.
    pub fn tenant(&self, name: &str) -> TenantId {
        let tenant: TenantId = name.parse().expect("a tenant's name");
        let key = TenantKey::new(1, Secret::new(Sha256::digest(name).into()));
        let key = TenantSecret { key, sealing: Some(Self::sealing_key(name)) };
        let randomness = &mut Self::randomness(name);
        let wrapped = Self::cluster_keys().wrap_tenant_key(&Self::cluster_id(), &tenant, &key, randomness);
        let key = Some(WrappedKey { wrapped });
        self.done(CreateTenant { name: name.to_owned(), key, ..Default::default() }, &Self::root());
        tenant
    }

    /// What opens values that were sealed under version 1 of the key of the tenant of this name.
    pub fn sealing_key(name: &str) -> SealingKey {
        SealingKey::from_bytes(Secret::new(Sha256::digest(format!("sealing {name}")).into()))
    }

    /// A person with a role, who is made if need be. `scope` is a tenant or `*`.
    pub fn with_role(&self, name: &str, scope: &str, role: Role) -> Actor {
        self.done(PutPerson { name: name.to_owned(), ..Default::default() }, &Self::root());
        let grant = GrantRole {
            person: name.to_owned(),
            scope: scope.to_owned(),
            role: role.into(),
            own: String::new(),
        };
        self.done(grant, &Self::root());
        Self::person(name)
    }

    /// An agent of the tenant, with the key of its name as seed.
    pub fn agent(&self, tenant: &TenantId, name: &str) -> Agent {
        let command = RegisterAgent {
            tenant: tenant.to_string(),
            name: name.parse::<AgentId>().expect("an agent's name").into(),
            description: String::new(),
            public_keys: vec![Self::signing_key(name).verifying_key().as_bytes().to_vec()],
            bounds: None,
        };
        match self.done(command, &Self::root()).done.result {
            Some(done::Result::Agent(agent)) => agent,
            other => panic!("{other:?}"),
        }
    }

    /// A data node of this id.
    pub fn data_node(&self, id: u64) -> DataNode {
        let command = RegisterDataNode {
            id,
            name: format!("data-{id}"),
            address: format!("https://data-{id}:7081"),
            ..Default::default()
        };
        match self.done(command, &Self::node()).done.result {
            Some(done::Result::DataNode(node)) => node,
            other => panic!("{other:?}"),
        }
    }

    /// The key of the log of this life of a data node that this seed gives.
    pub fn journal_key(node: &DataNode, seed: &str) -> aegis_audit::keys::SigningKey {
        let origin = aegis_audit::origin::Origin::new(Self::cluster_id(), &node.name, node.incarnation);
        let name = origin.expect("a node's name").key_name();
        let kind = aegis_audit::keys::KeyKind::Note;
        aegis_audit::keys::SigningKey::from_seed(name, kind, &Self::signing_key(seed).to_seed())
    }

    /// The command by which this life of a data node begins its log, with [`World::journal_key`].
    pub fn open_journal(&self, node: &DataNode, seed: &str) -> OpenJournal {
        let verifier = Self::journal_key(node, seed).verifying_key().to_string();
        OpenJournal { node: node.id, incarnation: node.incarnation, verifier }
    }

    /// The command that publishes `bundle` as the tenant's next version, signed; its pieces are put before.
    pub fn publication(&self, tenant: &TenantId, author: &Actor, bundle: &[u8]) -> PublishVersion {
        for data in chunks_of(bundle) {
            self.done(PutChunk { tenant: tenant.to_string(), data: data.to_vec() }, author);
        }
        let number = versions::newest(&self.view(), tenant).expect("memory does not fail") + 1;
        let key = Self::signing_key("manifest");
        let (cluster, now_ms) = (Self::cluster_id(), self.now_ms());
        let manifest =
            Manifest::describe(cluster, tenant.clone(), number, bundle, now_ms, &key).expect("a bundle");
        let signed = manifest.clone().sign(&key);
        PublishVersion {
            tenant: tenant.to_string(),
            number,
            bundle_digest: Sha256::digest(bundle).to_vec(),
            bundle_bytes: bundle.len() as u64,
            chunks: chunks_of(bundle).map(|data| Sha256::digest(data).to_vec()).collect(),
            manifest: signed.bytes,
            signature: signed.signature.to_vec(),
            key_id: key.id().to_string(),
            message: String::new(),
            notify: Vec::new(),
        }
    }

    /// Publishes `bundle` as the tenant's next version.
    pub fn publish(&self, tenant: &TenantId, author: &Actor, bundle: &[u8]) -> Version {
        match self.done(self.publication(tenant, author, bundle), author).done.result {
            Some(done::Result::Version(version)) => version,
            other => panic!("{other:?}"),
        }
    }

    /// Enforces a version, and nothing else.
    pub fn activate(&self, tenant: &TenantId, version: u64) -> Activation {
        let command = Activate { tenant: tenant.to_string(), enforced: version, ..Default::default() };
        match self.done(command, &Self::root()).done.result {
            Some(done::Result::Activation(activation)) => activation,
            other => panic!("{other:?}"),
        }
    }

    /// The command that lends to those who ask, with the present history, the newest lender's term and, for each budget that
    /// runs in no epoch, this day in UTC.
    pub fn lend(&self, asks: Vec<NodeAsk>) -> Lend {
        let view = self.view();
        let (history, now_ms) = (meta::history(&view).expect("memory does not fail"), self.now_ms());
        let lender_term = lender::lender(&view).expect("memory does not fail").term;
        let epoch = |budget: &BudgetAsk| {
            let id = LimitId::budget(budget.key.as_ref()?).ok()?;
            budgets::epoch_at(&view, &id, &Zone::utc(), now_ms).expect("memory does not fail").ok()
        };
        let asks = asks.into_iter().map(|asked| {
            let budgets = asked.ask.as_ref().map_or(&[][..], |ask| &ask.budgets);
            let epochs = budgets.iter().map(|budget| epoch(budget).unwrap_or_default()).collect();
            NodeAsk { epochs, ..asked }
        });
        Lend { history, lender_term, nodes: 1, asks: asks.collect(), rates: Vec::new() }
    }

    /// A data node's ask for budgets.
    pub fn ask(node: u64, incarnation: u64, number: u64, budgets: Vec<BudgetAsk>) -> NodeAsk {
        let ask = LendAsk { number, budgets, ..LendAsk::default() };
        NodeAsk { node, incarnation, ask: Some(ask), epochs: Vec::new() }
    }

    /// A call that costs `cost` waits for a budget of `limit`, as the first activation says.
    pub fn need(key: &LimitKey, limit: u64, cost: u64) -> BudgetAsk {
        BudgetAsk {
            key: Some(key.clone()),
            limit,
            stamp: Some(LimitStamp { history: 1, number: 1 }),
            waiting: cost,
            least: cost,
            ..BudgetAsk::default()
        }
    }

    /// The key of an agent's budget.
    pub fn budget_key(tenant: &str, agent: &str, unit: &str) -> LimitKey {
        LimitKey {
            level: LimitLevel::Agent.into(),
            owner: tenant.to_owned(),
            agent: agent.to_owned(),
            entry: String::new(),
            unit: unit.to_owned(),
        }
    }

    /// Data node 7 asks for approval of a call of agent `payer`, whose digest is filled with `digest`, from those whom `by` names.
    pub fn opening(&self, tenant: &str, id: &str, digest: u8, by: &[&str], of: u32) -> OpenApproval {
        let view = self.view();
        let node = data_nodes::data_node(&view, 7).expect("memory does not fail").unwrap_or_default();
        let call = ApprovalCall {
            agent: "payer".to_owned(),
            callers: vec!["planner".to_owned()],
            tool: "stripe".to_owned(),
            action: "pay".to_owned(),
            params: format!("{{\"amount\":{digest}}}").into_bytes(),
            context: b"{}".to_vec(),
            ..ApprovalCall::default()
        };
        let by = by.iter().map(|&name| name.to_owned()).collect();
        let terms = ApprovalTerms { by, of, within_seconds: 600, ..ApprovalTerms::default() };
        OpenApproval {
            tenant: tenant.to_owned(),
            id: id.to_owned(),
            history: meta::history(&view).expect("memory does not fail"),
            digest: vec![digest; 32],
            key_version: 1,
            entry_digest: vec![1; 32],
            call: Some(call),
            terms: vec![terms],
            node: 7,
            incarnation: node.incarnation,
        }
    }

    /// The command that makes a channel of a tenant, with secrets that open nothing.
    pub fn channel(tenant: &str, name: &str, kind: ChannelKind) -> SetChannel {
        SetChannel {
            tenant: tenant.to_owned(),
            name: name.to_owned(),
            kind: kind.into(),
            host: "example.com".to_owned(),
            secrets: Some(SealedSecrets { key_version: 1, sealed: b"KEEP-OUT".to_vec() }),
            ..SetChannel::default()
        }
    }

    /// The same as [`World::opening`], which tells these channels.
    pub fn telling(&self, tenant: &str, id: &str, digest: u8, notify: &[&str]) -> OpenApproval {
        let mut opening = self.opening(tenant, id, digest, &[], 1);
        for terms in &mut opening.terms {
            terms.notify = notify.iter().map(|&name| name.to_owned()).collect();
        }
        opening
    }

    /// Opens a request for approval, or joins one.
    pub fn open_approval(&self, opening: OpenApproval) -> ApprovalOpened {
        match self.done(opening, &Self::node()).done.result {
            Some(done::Result::ApprovalOpened(opened)) => opened,
            other => panic!("{other:?}"),
        }
    }

    /// A person agrees, or says no.
    pub fn vote(tenant: &str, id: &str, approve: bool) -> VoteApproval {
        VoteApproval { tenant: tenant.to_owned(), id: id.to_owned(), approve, reason: String::new() }
    }

    /// Data node 7 redeems an approval whose digest is filled with `digest`, as the attempt of this name.
    pub fn redemption(&self, tenant: &str, id: &str, digest: u8, attempt: u8) -> RedeemApproval {
        let view = self.view();
        let node = data_nodes::data_node(&view, 7).expect("memory does not fail").expect("data node 7");
        RedeemApproval {
            tenant: tenant.to_owned(),
            id: id.to_owned(),
            digest: vec![digest; 32],
            entry_digest: vec![1; 32],
            redemption: vec![attempt; 16],
            node: 7,
            incarnation: node.incarnation,
        }
    }

    /// What comes of a redemption: why not, or nothing.
    pub fn redeem(&self, redemption: RedeemApproval) -> String {
        match self.done(redemption, &Self::node()).done.result {
            Some(done::Result::ApprovalRedeemed(redeemed)) => redeemed.refused,
            other => panic!("{other:?}"),
        }
    }

    /// The state.
    pub fn view(&self) -> StateView {
        self.direct.view().expect("memory does not fail")
    }

    /// Lets time pass.
    pub fn pass_seconds(&self, seconds: u64) {
        self.clock.set(UnixNanos(self.clock.now().0 + seconds * 1_000_000_000));
    }

    /// The log time, in milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.clock.now().0 / 1_000_000
    }

    fn randomness(seed: &str) -> StdRng {
        StdRng::from_seed(Sha256::digest(seed).into())
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}
