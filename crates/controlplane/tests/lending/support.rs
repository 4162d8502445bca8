//! Control nodes over a world that lend, and a data node that a test plays by hand.

use std::net::SocketAddr;
use std::time::Duration;

use aegis_controlplane::control::Control;
use aegis_controlplane::feed::Admission;
use aegis_controlplane::lending::{Lead, LendingConfig, LendingNode};
use aegis_controlplane::testing::World;
use aegis_model::clock::Clock;
use aegis_proto::control::{DataNode, RegisterDataNode, done};
use aegis_proto::v1;
use aegis_proto::v1::budget_answer::Outcome;
use aegis_proto::v1::lend_request::Message as Up;
use aegis_proto::v1::lend_response::Message as Down;
use aegis_proto::v1::lending_client::LendingClient;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;
use tonic::{Status, Streaming};

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for what has to come.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_elapsed) => panic!("waited {PATIENCE:?} in vain for {what}"),
    }
}

/// A control node on loopback, over a state that several may share. Dropping it cuts everything off.
pub(crate) struct ControlNode {
    pub(crate) lending: LendingNode,
    pub(crate) lead: watch::Sender<Lead>,
    pub(crate) stop: CancellationToken,
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl ControlNode {
    /// One that leads, on this clock.
    pub(crate) async fn start(world: &World, clock: &Clock) -> Self {
        Self::numbered(world, clock, 1, Lead::Here).await
    }

    pub(crate) async fn numbered(world: &World, clock: &Clock, id: u64, lead: Lead) -> Self {
        Self::over(world.direct.control(), clock, id, lead).await
    }

    /// One over any state.
    pub(crate) async fn over(control: Control, clock: &Clock, id: u64, lead: Lead) -> Self {
        let config = LendingConfig {
            name: format!("control-{id}"),
            id,
            admission: Admission::SameProcess,
            clock: clock.clone(),
        };
        let (lead, led) = watch::channel(lead);
        let lending = LendingNode::new(config, control, led);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let mut serving = JoinSet::new();
        let (running, stopping) = (lending.clone(), stop.clone());
        serving.spawn(async move { running.run(stopping).await });
        let service = lending.service();
        serving.spawn(async move {
            let incoming = TcpListenerStream::new(listener);
            Server::builder().add_service(service).serve_with_incoming(incoming).await.unwrap();
        });
        Self { lending, lead, stop, address, _serving: serving }
    }

    /// A stream for a data node that says hello.
    pub(crate) async fn open(&self, hello: v1::LendHello) -> Result<Borrower, Status> {
        let mut client = LendingClient::connect(format!("http://{}", self.address)).await.unwrap();
        let (up, requests) = mpsc::channel(64);
        up.send(v1::LendRequest { message: Some(Up::Hello(hello)) }).await.unwrap();
        let down = client.lend(ReceiverStream::new(requests)).await?.into_inner();
        Ok(Borrower { up, down, number: 0, tick: 0 })
    }

    /// A data node that was welcomed. While nobody lends here, it tries again.
    pub(crate) async fn welcome(&self, hello: &v1::LendHello) -> Borrower {
        soon("a welcome", async {
            loop {
                if let Ok(mut borrower) = self.open(hello.clone()).await
                    && let Ok(Down::Welcome(_)) = borrower.next().await
                {
                    return borrower;
                }
            }
        })
        .await
    }
}

/// What the newest process of a data node says first.
pub(crate) fn hello(row: &DataNode) -> v1::LendHello {
    v1::LendHello {
        node_name: row.name.clone(),
        node_id: row.id,
        incarnation: row.incarnation,
        history: 1,
        tenant: row.tenant.clone(),
        level: 1,
    }
}

/// A data node that serves one tenant.
pub(crate) fn sidecar(world: &World, id: u64, tenant: &str) -> DataNode {
    let command = RegisterDataNode {
        id,
        name: format!("side-{id}"),
        tenant: tenant.to_owned(),
        ..RegisterDataNode::default()
    };
    match world.done(command, &World::node()).done.result {
        Some(done::Result::DataNode(row)) => row,
        other => panic!("{other:?}"),
    }
}

/// A data node's end of a stream.
pub(crate) struct Borrower {
    up: mpsc::Sender<v1::LendRequest>,
    down: Streaming<v1::LendResponse>,
    pub(crate) number: u64,
    tick: u64,
}

impl Borrower {
    pub(crate) async fn say(&self, message: Up) {
        // A stream that was ended meanwhile tells so where its messages are read.
        let _gone = self.up.send(v1::LendRequest { message: Some(message) }).await;
    }

    pub(crate) async fn next(&mut self) -> Result<Down, Status> {
        let response = soon("a message", self.down.message()).await?.ok_or(Status::aborted("the end"))?;
        Ok(response.message.unwrap())
    }

    /// The reason of the last word; what comes before it is passed over.
    pub(crate) async fn farewell(&mut self) -> v1::LendFarewell {
        loop {
            match self.next().await {
                Ok(Down::Farewell(farewell)) => return farewell,
                Ok(_) => {}
                Err(status) => panic!("{status}"),
            }
        }
    }

    /// Says an ask with the next number.
    pub(crate) async fn ask(&mut self, ask: v1::LendAsk) {
        self.number += 1;
        self.say(Up::Ask(v1::LendAsk { number: self.number, ..ask })).await;
    }

    pub(crate) async fn answer(&mut self) -> v1::LendAnswer {
        loop {
            match self.next().await.unwrap() {
                Down::Answer(answer) => return answer,
                Down::Shares(_) | Down::Recall(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// What it is told of one budget.
    pub(crate) async fn need(&mut self, need: v1::BudgetAsk) -> Outcome {
        self.ask(v1::LendAsk { budgets: vec![need], ..v1::LendAsk::default() }).await;
        self.answer().await.budgets.remove(0).outcome.unwrap()
    }

    pub(crate) async fn granted(&mut self, need: v1::BudgetAsk) -> v1::LeaseGranted {
        match self.need(need).await {
            Outcome::Granted(granted) => granted,
            other => panic!("{other:?}"),
        }
    }

    pub(crate) async fn recall(&mut self) -> Vec<u64> {
        loop {
            match self.next().await.unwrap() {
                Down::Recall(recall) => return recall.ledgers,
                Down::Shares(_) | Down::Answer(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) async fn give_back(&mut self, lease: &v1::LeaseGranted, unspent: u64) {
        let lease = v1::LeaseReturn { ledger: lease.ledger, lease: lease.lease, unspent, recovered: false };
        self.ask(v1::LendAsk { returns: vec![lease], ..v1::LendAsk::default() }).await;
        self.answer().await;
    }

    /// The answer to a tick; an error if the stream ended instead.
    pub(crate) async fn tick(&mut self, rates: Vec<v1::RateAsk>) -> Result<Vec<v1::RateShare>, Status> {
        self.tick += 1;
        self.say(Up::Rates(v1::RateTick { number: self.tick, rates })).await;
        loop {
            match self.next().await? {
                Down::Shares(shares) if shares.number == self.tick => return Ok(shares.shares),
                Down::Shares(_) | Down::Recall(_) | Down::Answer(_) | Down::Welcome(_) => {}
                Down::Farewell(farewell) => return Err(Status::aborted(farewell.message)),
            }
        }
    }
}
