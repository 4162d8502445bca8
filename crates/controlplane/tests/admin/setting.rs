//! A new cluster in memory, made as a real one is, and its admin API.

use std::sync::Arc;

use aegis_controlplane::admin::backups::NoBackups;
use aegis_controlplane::admin::bootstrap::{NewCluster, bootstrap};
use aegis_controlplane::admin::membership::{Membership, RaftStatus};
use aegis_controlplane::admin::object_store::ObjectStore;
use aegis_controlplane::admin::progress::NoAcknowledgements;
use aegis_controlplane::admin::{Admin, Setup};
use aegis_controlplane::deliveries::Sender;
use aegis_controlplane::feed::Admission;
use aegis_controlplane::publish::Publisher;
use aegis_controlplane::raft::changes::NotChanged;
use aegis_controlplane::raft::object_store::NotTold;
use aegis_controlplane::readiness::{Readiness, Standing};
use aegis_controlplane::search::SearchNode;
use aegis_controlplane::testing::World;
use aegis_proto::v1::RaftObjectStore;
use futures_util::future::{BoxFuture, FutureExt, ready};
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// The admin API, and the first token.
pub(crate) struct Setting {
    pub(crate) admin: Admin,
    pub(crate) standing: watch::Sender<Standing>,
    pub(crate) token: String,
}

impl Setting {
    pub(crate) async fn new() -> Self {
        let world = World::empty();
        let (control, cluster_keys) = (world.direct.control(), Arc::new(World::cluster_keys()));
        let mut randomness = StdRng::seed_from_u64(1);
        let new = NewCluster { cluster: "fresh".parse().unwrap(), admin: "root".parse().unwrap() };
        let begun = bootstrap(&control, &cluster_keys, 1, new, &world.clock, &mut randomness).await.unwrap();
        let standing = watch::Sender::new(Standing::Ready);
        let keys = Arc::clone(&cluster_keys);
        let sender = Sender::new(keys, world.clock.clone(), "https://aegis.example.com", false).unwrap();
        let search = SearchNode::new(Admission::SameProcess, control.clone(), CancellationToken::new());
        let admin = Admin::new(Setup {
            search,
            publisher: Publisher::new(control.clone(), Arc::clone(&cluster_keys)),
            control,
            cluster_keys,
            clock: world.clock.clone(),
            randomness,
            membership: Arc::new(Alone),
            acknowledgements: Arc::<NoAcknowledgements>::default(),
            backups: Arc::new(NoBackups),
            object_store: Arc::new(Alone),
            readiness: Readiness::new(standing.subscribe()),
            sender,
        });
        Self { admin, standing, token: begun.token.expose().clone() }
    }
}

/// One control node, for ever.
struct Alone;

fn alone() -> NotChanged {
    NotChanged {
        code: "alone".to_owned(),
        message: "this node stays alone".to_owned(),
        retryable: false,
        already: false,
        in_doubt: false,
    }
}

impl Membership for Alone {
    fn status(&self) -> RaftStatus {
        RaftStatus { node: 1, leader: Some(1), term: 1, members: Vec::new() }
    }

    fn join(&self, _name: String, _address: String) -> BoxFuture<'_, Result<u64, NotChanged>> {
        ready(Err(alone())).boxed()
    }

    fn promote(&self, _node: u64) -> BoxFuture<'_, Result<(), NotChanged>> {
        ready(Err(alone())).boxed()
    }

    fn remove(&self, _node: u64) -> BoxFuture<'_, Result<(), NotChanged>> {
        ready(Err(alone())).boxed()
    }
}

impl ObjectStore for Alone {
    fn status(&self) -> BoxFuture<'_, Result<Option<RaftObjectStore>, NotTold>> {
        ready(Ok(None)).boxed()
    }
}
