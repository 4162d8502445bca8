//! Budgets over streams: what is asked for is granted, called back, and bounded in what it costs.

use std::time::Duration;

use aegis_controlplane::control::Replicate;
use aegis_controlplane::state::{budgets, limit_id::LimitId};
use aegis_controlplane::testing::World;
use aegis_model::caps;
use aegis_model::clock::Clock;
use aegis_proto::v1;
use aegis_proto::v1::LimitKey;
use aegis_proto::v1::budget_answer::Outcome;
use aegis_proto::v1::lend_request::Message as Up;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::support::{ControlNode, hello, sidecar};

fn world() -> World {
    let world = World::new();
    world.tenant("acme");
    world
}

fn key() -> LimitKey {
    World::budget_key("acme", "crawler", "usd")
}

#[tokio::test]
async fn what_a_node_asks_for_is_granted_charged_and_taken_back() {
    let world = world();
    let control = ControlNode::start(&world, &Clock::System).await;
    let mut node = control.welcome(&hello(&world.data_node(1))).await;
    let lease = node.granted(World::need(&key(), 1_000, 10)).await;
    let standing = || {
        let id = LimitId::budget(&key()).unwrap();
        budgets::budget(&world.view(), &id).unwrap().unwrap()
    };
    assert_eq!((standing().ledger, standing().lent), (lease.ledger, lease.amount));
    let epoch = standing().epoch.unwrap();
    assert!((epoch.start_ms..epoch.end_ms).contains(&(world.now_ms() as i64)));
    assert_eq!(lease.epoch_end_ms, epoch.end_ms as u64);
    node.give_back(&lease, lease.amount).await;
    assert_eq!((standing().granted, standing().lent), (0, 0));
}

#[tokio::test]
async fn who_waits_is_served_by_a_recall() {
    let world = world();
    let control = ControlNode::start(&world, &Clock::System).await;
    let [mut rich, mut idle, mut poor] = [
        control.welcome(&hello(&world.data_node(1))).await,
        control.welcome(&hello(&world.data_node(2))).await,
        control.welcome(&hello(&world.data_node(3))).await,
    ];
    let lease = rich.granted(World::need(&key(), 100, 70)).await;
    let small = idle.granted(World::need(&key(), 100, 25)).await;
    let asked_at = Instant::now();
    let Outcome::Exhausted(exhausted) = poor.need(World::need(&key(), 100, 60)).await else {
        panic!("there is nothing left");
    };
    assert_eq!(exhausted.recalled, 95, "both can be asked");
    assert_eq!((rich.recall().await, idle.recall().await), (vec![lease.ledger], vec![lease.ledger]));
    rich.give_back(&lease, 65).await;
    let granted = poor.granted(World::need(&key(), 100, 60)).await;
    // Without the recall it would wait until the other nodes count as gone.
    let in_time = Duration::from_secs(caps::LEND_SILENCE_SECONDS) / 2;
    assert!(granted.amount >= 60 && asked_at.elapsed() < in_time, "{:?}", asked_at.elapsed());
    // What a node holds that is not there cannot be called back.
    drop(idle);
    let exhausted = loop {
        match poor.need(World::need(&key(), 100, 99)).await {
            Outcome::Exhausted(exhausted) if exhausted.recalled == 0 => break exhausted,
            Outcome::Exhausted(exhausted) => assert_eq!(exhausted.recalled, small.amount),
            other => panic!("{other:?}"),
        }
    };
    assert!(exhausted.free < 99);
}

#[tokio::test]
async fn asking_ahead_of_need_calls_nothing_back() {
    let world = world();
    let control = ControlNode::start(&world, &Clock::System).await;
    let mut rich = control.welcome(&hello(&world.data_node(1))).await;
    let mut other = control.welcome(&hello(&world.data_node(2))).await;
    rich.granted(World::need(&key(), 100, 100)).await;
    let ahead = v1::BudgetAsk { waiting: 0, ..World::need(&key(), 100, 10) };
    let Outcome::Exhausted(exhausted) = other.need(ahead).await else { panic!("there is nothing left") };
    assert_eq!(exhausted.recalled, 100);
    let recalls = || control.lending.counters().recalls.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(recalls(), 0);
    other.need(World::need(&key(), 100, 10)).await;
    assert_eq!(recalls(), 1);
}

#[tokio::test]
async fn an_ask_whose_answer_was_lost_is_answered_alike_and_applied_once() {
    let world = world();
    let control = ControlNode::start(&world, &Clock::System).await;
    let row = world.data_node(1);
    let mut node = control.welcome(&hello(&row)).await;
    let ask = v1::LendAsk { budgets: vec![World::need(&key(), 100, 10)], ..v1::LendAsk::default() };
    node.ask(ask.clone()).await;
    let first = node.answer().await;
    drop(node);
    let mut again = control.welcome(&hello(&row)).await;
    again.ask(ask).await;
    assert_eq!(again.answer().await, first);
    let id = LimitId::budget(&key()).unwrap();
    assert_eq!(budgets::budget(&world.view(), &id).unwrap().unwrap().granted, 10);
}

#[tokio::test]
async fn a_second_ask_before_the_first_one_is_answered_ends_the_stream() {
    let world = world();
    let control = ControlNode::start(&world, &Clock::System).await;
    let mut node = control.welcome(&hello(&world.data_node(1))).await;
    node.ask(v1::LendAsk::default()).await;
    node.ask(v1::LendAsk::default()).await;
    let ended = loop {
        if let Err(status) = node.next().await {
            break status;
        }
    };
    assert_eq!(ended.code(), tonic::Code::InvalidArgument);
}

#[tokio::test]
async fn an_ask_with_a_hole_before_it_or_beyond_its_bounds_ends_the_stream() {
    let world = world();
    let control = ControlNode::start(&world, &Clock::System).await;
    let row = world.data_node(1);
    for ask in [
        v1::LendAsk { number: 5, ..v1::LendAsk::default() },
        v1::LendAsk {
            number: 1,
            returns: vec![v1::LeaseReturn::default(); caps::LEND_RETURNS_MAX + 1],
            ..v1::LendAsk::default()
        },
    ] {
        let mut node = control.welcome(&hello(&row)).await;
        node.say(Up::Ask(ask)).await;
        assert_eq!(node.next().await.unwrap_err().code(), tonic::Code::InvalidArgument);
    }
}

#[tokio::test]
async fn a_sidecar_borrows_of_its_own_tenant_only() {
    let world = world();
    world.tenant("globex");
    let control = ControlNode::start(&world, &Clock::System).await;
    let mut side = control.welcome(&hello(&sidecar(&world, 9, "globex"))).await;
    let own = World::budget_key("globex", "crawler", "usd");
    assert!(matches!(side.need(World::need(&own, 100, 1)).await, Outcome::Granted(_)));
    let foreign = side.need(World::need(&key(), 100, 1)).await;
    assert_eq!(foreign, Outcome::Refused(v1::BudgetRefused { code: "invalid".to_owned() }), "TEN-1");
}

/// Entries of the log do not grow with what nodes ask: what comes within a few milliseconds is one command.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_most_two_hundred_entries_a_second_are_written_however_many_nodes_ask() {
    let world = world();
    let control = ControlNode::start(&world, &Clock::System).await;
    let mut nodes = Vec::new();
    for id in 1..=24 {
        nodes.push((id, control.welcome(&hello(&world.data_node(id))).await));
    }
    let before = world.direct.applied().borrow().index;
    let began = Instant::now();
    let mut asking = JoinSet::new();
    for (id, mut node) in nodes {
        asking.spawn(async move {
            let mut asks = 0_u64;
            while began.elapsed() < Duration::from_secs(1) {
                let key = World::budget_key("acme", &format!("agent-{id}-{}", asks % 7), "usd");
                node.need(World::need(&key, 1_000_000_000, 1)).await;
                asks += 1;
            }
            asks
        });
    }
    let asks: u64 = asking.join_all().await.into_iter().sum();
    let (entries, seconds) = (world.direct.applied().borrow().index - before, began.elapsed().as_secs_f64());
    assert!(entries as f64 <= 200.0 * seconds + 2.0, "{entries} entries in {seconds} s");
    assert!(asks > 2 * entries, "{asks} asks in {entries} entries");
}
