//! Rates over streams: whatever nodes ask, and whoever leads, the shares in use never sum up to more than the rate.

use std::time::Duration;

use aegis_controlplane::lending::Lead;
use aegis_controlplane::state::{limit_id::LimitId, rates};
use aegis_controlplane::testing::World;
use aegis_limits::term::usable_until;
use aegis_model::clock::{Clock, Monotonic};
use aegis_model::ids::TenantId;
use aegis_proto::control::DataNode;
use aegis_proto::v1;
use aegis_proto::v1::{LimitKey, RateAsk, RateShare};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::{Borrower, ControlNode, hello, sidecar};

const RATE: u64 = 100_000_000;
const BURST: u32 = 40;

fn key(agent: &str) -> LimitKey {
    World::budget_key("acme", agent, "")
}

fn asks(demand: u64, using: u64) -> RateAsk {
    RateAsk {
        key: Some(key("crawler")),
        rate: RATE,
        burst: BURST,
        stamp: Some(v1::LimitStamp { history: 1, number: 1 }),
        demand,
        using,
    }
}

/// A data node with what it may use.
struct Node {
    row: DataNode,
    stream: Option<Borrower>,
    share: RateShare,
    until: Monotonic,
}

impl Node {
    fn new(world: &World, id: u64) -> Self {
        let until = world.clock.monotonic();
        Self { row: world.data_node(id), stream: None, share: RateShare::default(), until }
    }

    /// Ticks at one of the control nodes that lends; `false` if none did.
    async fn tick(&mut self, controls: &[ControlNode], clock: &Clock, demand: u64) -> bool {
        let asked_at = clock.monotonic();
        let using = if asked_at < self.until { self.share.number } else { 0 };
        let stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let leading = controls.iter().rev().find(|control| *control.lead.borrow() == Lead::Here);
                leading.unwrap().welcome(&hello(&self.row)).await
            }
        };
        let mut stream = stream;
        let Ok(shares) = stream.tick(vec![asks(demand, using)]).await else { return false };
        self.stream = Some(stream);
        if shares[0].number >= using {
            (self.share, self.until) = (shares[0], usable_until(asked_at));
        }
        true
    }

    fn usable(&self, now: Monotonic) -> (u64, u32) {
        if now < self.until { (self.share.rate, self.share.burst) } else { (0, 0) }
    }
}

fn in_use(nodes: &[Node], now: Monotonic) -> (u64, u32) {
    nodes.iter().map(|node| node.usable(now)).fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1))
}

fn world() -> World {
    let world = World::new();
    world.tenant("acme");
    world
}

#[tokio::test]
async fn demand_moves_shares_and_the_whole_rate_is_used() {
    let world = world();
    let controls = [ControlNode::start(&world, &world.clock).await];
    let mut nodes: Vec<Node> = (1..=3).map(|id| Node::new(&world, id)).collect();
    let mut demands = [90_000_000_u64, 30_000_000, 30_000_000];
    for round in 0..24 {
        if round == 12 {
            demands = [10_000_000, 10_000_000, 180_000_000];
        }
        for (node, demand) in nodes.iter_mut().zip(demands) {
            assert!(node.tick(&controls, &world.clock, demand).await);
            assert!(in_use(&nodes_of(node), world.clock.monotonic()).0 <= RATE);
        }
        let (rate, burst) = in_use(&nodes, world.clock.monotonic());
        assert!(rate <= RATE && burst <= BURST, "{rate} {burst}");
        if round == 11 || round == 23 {
            assert_eq!((rate, burst), (RATE, BURST), "all of it is given out");
            for (node, demand) in nodes.iter().zip(demands) {
                let part = RATE * demand / demands.iter().sum::<u64>();
                assert!(node.share.rate.abs_diff(part) <= RATE / 10, "{:?} for {demand}", node.share);
            }
        }
        world.clock.advance(Duration::from_secs(1));
    }
}

fn nodes_of(node: &Node) -> [Node; 1] {
    [Node { row: node.row.clone(), stream: None, share: node.share, until: node.until }]
}

/// Nodes tick when they like, with any demand; control nodes take over from each other, and sometimes two believe to lead.
#[tokio::test]
async fn shares_never_sum_above_the_rate_whoever_leads() {
    for seed in 0..6 {
        let mut random = StdRng::seed_from_u64(seed);
        let world = world();
        let nobody = || Lead::Nobody;
        let controls = [
            ControlNode::numbered(&world, &world.clock, 1, Lead::Here).await,
            ControlNode::numbered(&world, &world.clock, 2, nobody()).await,
        ];
        let mut nodes: Vec<Node> = (1..=4).map(|id| Node::new(&world, id)).collect();
        let mut answered = 0;
        for step in 0..120 {
            if random.random_bool(0.06) {
                let (old, new) = if random.random_bool(0.5) { (0, 1) } else { (1, 0) };
                controls[new].lead.send_replace(Lead::Here);
                // The old leader has not noticed yet: it lends, is refused, and takes over again.
                if random.random_bool(0.7) {
                    controls[old].lead.send_replace(Lead::Nobody);
                }
            }
            let at = random.random_range(0..nodes.len());
            if random.random_bool(0.05) {
                // A restart: what the old process used is another holder's.
                nodes[at].row = world.data_node(nodes[at].row.id);
                nodes[at].stream = None;
                nodes[at].until = world.clock.monotonic();
            }
            let demand = if random.random_bool(0.3) { 0 } else { random.random_range(0..200_000_000) };
            answered += u32::from(nodes[at].tick(&controls, &world.clock, demand).await);
            let (rate, burst) = in_use(&nodes, world.clock.monotonic());
            assert!(rate <= RATE && burst <= BURST, "seed {seed}, step {step}: {rate} {burst}");
            world.clock.advance(Duration::from_millis(random.random_range(0..700)));
        }
        assert!(answered > 60, "seed {seed}: {answered} ticks were answered");
    }
}

#[tokio::test]
async fn an_unchanged_share_is_renewed_without_an_entry_but_not_without_a_quorum() {
    let world = world();
    let control = ControlNode::start(&world, &world.clock).await;
    let mut node = control.welcome(&hello(&world.data_node(1))).await;
    let first = node.tick(vec![asks(RATE, 0)]).await.unwrap()[0];
    assert_eq!((first.rate, first.burst), (RATE, BURST), "alone, it has all of it");
    let digest = world.direct.digest();
    let confirmations =
        || control.lending.counters().confirmations.load(std::sync::atomic::Ordering::Relaxed);
    for round in 1..4 {
        world.clock.advance(Duration::from_secs(1));
        assert_eq!(node.tick(vec![asks(RATE, first.number)]).await.unwrap(), [first]);
        assert_eq!(confirmations(), round);
    }
    assert_eq!(world.direct.digest(), digest);
    // Somebody else has begun to lend: what this one knows does not count.
    world.done(aegis_proto::control::TakeLending {}, &World::node());
    assert!(node.tick(vec![asks(RATE, first.number)]).await.is_err());
}

#[tokio::test]
async fn a_share_is_replicated_before_it_is_told() {
    let world = world();
    let control = ControlNode::start(&world, &world.clock).await;
    let row = world.data_node(1);
    let mut node = control.welcome(&hello(&row)).await;
    let share = node.tick(vec![asks(RATE, 0)]).await.unwrap()[0];
    let noted = rates::rate(&world.view(), &LimitId::rate(&key("crawler")).unwrap()).unwrap().unwrap();
    let holding = noted.holdings[0];
    assert_eq!((holding.node, holding.incarnation), (row.id, row.incarnation));
    assert_eq!((holding.rate, holding.burst, holding.number), (share.rate, share.burst, share.number));
}

#[tokio::test]
async fn of_equally_new_rates_the_strictest_counts_and_what_is_none_has_no_share() {
    let world = world();
    world.tenant("globex");
    let control = ControlNode::start(&world, &world.clock).await;
    let mut node = control.welcome(&hello(&world.data_node(1))).await;
    let stamped =
        |rate, number| RateAsk { rate, stamp: Some(v1::LimitStamp { history: 1, number }), ..asks(RATE, 0) };
    let mut using = 0;
    for (rate, number, counts) in [(50, 2, 50), (80, 2, 50), (80, 1, 50), (80, 3, 80)] {
        let share = node.tick(vec![RateAsk { using, ..stamped(rate, number) }]).await.unwrap()[0];
        using = share.number;
        assert_eq!(share.rate, counts, "{rate} {number}");
    }
    let bad = vec![
        RateAsk { key: None, ..asks(1, 0) },
        RateAsk { key: Some(World::budget_key("acme", "crawler", "usd")), ..asks(1, 0) },
        RateAsk { key: Some(World::budget_key("nobody", "crawler", "")), ..asks(1, 0) },
        RateAsk { rate: u64::MAX, ..asks(1, 0) },
        RateAsk { stamp: None, ..asks(1, 0) },
    ];
    assert_eq!(node.tick(bad).await.unwrap(), [RateShare::default(); 5]);
    // TEN-1: a sidecar has no part in another tenant's rates.
    let mut side = control.welcome(&hello(&sidecar(&world, 9, "globex"))).await;
    let own = RateAsk { key: Some(World::budget_key("globex", "crawler", "")), ..asks(1, 0) };
    let shares = side.tick(vec![asks(1, 0), own]).await.unwrap();
    // The owner of the slot keeps a little, to serve the first call that comes to it.
    assert_eq!((shares[0], shares[1].rate), (RateShare::default(), RATE - RATE / 64));
    let acme: TenantId = "acme".parse().unwrap();
    assert_eq!(rates::rates(&world.view(), &acme, &Default::default()).unwrap().rows.len(), 1);
}
