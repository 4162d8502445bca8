//! What becomes of deliveries while requests are opened, decided and forgotten, and attempts succeed and fail.

use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{
    ApprovalState, ChannelKind, Delivery, DeliveryState, NoteDelivery, RemoveChannel, Role, SweepApprovals,
};

use crate::command::actor::Actor;
use crate::state::deliveries::{self, Unheard};
use crate::state::page::PageQuery;
use crate::testing::World;

const HOOK: &str = "hook";
const SLACK: &str = "#payments";

fn acme() -> TenantId {
    "acme".parse().expect("a name")
}

fn world() -> World {
    let world = World::new();
    world.tenant("acme");
    world.data_node(7);
    world.with_role("ann", "acme", Role::Approver);
    world.done(World::channel("acme", HOOK, ChannelKind::Webhook), &World::root());
    world.done(World::channel("acme", SLACK, ChannelKind::Slack), &World::root());
    world
}

fn ann() -> Actor {
    World::person("ann")
}

fn row(world: &World, number: u64, channel: &str) -> Delivery {
    deliveries::delivery(&world.view(), &acme(), number, channel).expect("memory").expect("a delivery")
}

fn state(world: &World, number: u64, channel: &str) -> DeliveryState {
    row(world, number, channel).state()
}

/// The numbers of what is due now.
fn due(world: &World) -> Vec<(u64, String)> {
    let due = deliveries::due(&world.view(), world.now_ms(), 100).expect("memory");
    due.into_iter().map(|row| (row.number, row.channel)).collect()
}

fn note(number: u64, channel: &str, told: ApprovalState) -> NoteDelivery {
    let (tenant, channel) = ("acme".to_owned(), channel.to_owned());
    NoteDelivery { tenant, number, channel, told: told.into(), ..NoteDelivery::default() }
}

fn failed(number: u64, channel: &str, pause_ms: u64) -> NoteDelivery {
    let error = "it answered with status 500".to_owned();
    NoteDelivery { error, pause_ms, ..note(number, channel, ApprovalState::Pending) }
}

#[test]
fn whoever_is_named_is_told_of_each_state_once() {
    let world = world();
    world.open_approval(world.telling("acme", "a", 1, &[HOOK]));
    assert_eq!(due(&world), [(1, HOOK.to_owned())]);
    world.done(note(1, HOOK, ApprovalState::Pending), &World::node());
    assert_eq!((state(&world, 1, HOOK), due(&world)), (DeliveryState::Told, Vec::new()));
    world.done(World::vote("acme", "a", true), &ann());
    assert_eq!(due(&world), [(1, HOOK.to_owned())]);
    world.done(note(1, HOOK, ApprovalState::Approved), &World::node());
    assert_eq!(world.redeem(world.redemption("acme", "a", 1, 1)), "");
    assert_eq!(due(&world).len(), 1);
    world.done(note(1, HOOK, ApprovalState::Redeemed), &World::node());
    assert_eq!((state(&world, 1, HOOK), due(&world)), (DeliveryState::Ended, Vec::new()));
    assert_eq!(row(&world, 1, HOOK).told(), ApprovalState::Redeemed);
    // With the request its deliveries are forgotten.
    world.pass_seconds(caps::APPROVAL_KEPT_SECONDS + 1);
    world.done(SweepApprovals {}, &World::node());
    let left = deliveries::deliveries(&world.view(), &acme(), &PageQuery::first()).expect("memory");
    assert_eq!(left.rows, []);
}

#[test]
fn what_changed_while_it_was_told_is_told_again() {
    let world = world();
    world.open_approval(world.telling("acme", "a", 1, &[HOOK]));
    world.done(World::vote("acme", "a", false), &ann());
    world.done(note(1, HOOK, ApprovalState::Pending), &World::node());
    assert_eq!(due(&world).len(), 1, "it was rejected meanwhile");
    world.done(note(1, HOOK, ApprovalState::Rejected), &World::node());
    assert_eq!(state(&world, 1, HOOK), DeliveryState::Ended);
}

#[test]
fn what_fails_is_tried_again_after_its_pause_until_it_is_given_up() {
    let world = world();
    world.open_approval(world.telling("acme", "a", 1, &[HOOK]));
    world.done(failed(1, HOOK, 5_000), &World::node());
    let waiting = row(&world, 1, HOOK);
    assert_eq!((waiting.state(), waiting.attempts, due(&world)), (DeliveryState::Waiting, 1, Vec::new()));
    assert!(waiting.error.contains("500"));
    world.pass_seconds(5);
    assert_eq!(due(&world).len(), 1);
    // A wish beyond the bound is cut to it, and so is a long error.
    let long = NoteDelivery { error: "é".repeat(10_000), ..failed(1, HOOK, u64::MAX) };
    world.done(long, &World::node());
    let waiting = row(&world, 1, HOOK);
    assert_eq!(waiting.next_ms, world.now_ms() + caps::DELIVERY_PAUSE_MS_ASKED_MAX);
    assert!(waiting.error.len() <= caps::DELIVERY_ERROR_BYTES_MAX);
    for _ in 2..caps::DELIVERY_ATTEMPTS_MAX {
        world.done(failed(1, HOOK, 1), &World::node());
    }
    assert_eq!(state(&world, 1, HOOK), DeliveryState::GivenUp);
    world.pass_seconds(1);
    assert_eq!(due(&world), []);
}

#[test]
fn what_nobody_has_heard_is_counted_from_when_it_was_to_be_told() {
    let world = world();
    let unheard = || deliveries::unheard(&world.view(), 100).expect("memory");
    assert_eq!(unheard(), Unheard::default());
    let began = world.now_ms();
    world.open_approval(world.telling("acme", "a", 1, &[HOOK, SLACK]));
    let since = unheard().since_ms;
    assert!(since >= began && unheard() == Unheard { waiting: 2, failing: 0, since_ms: since });
    world.pass_seconds(5);
    // An attempt that fails does not make it younger, nor does a decision about what nobody was told of.
    world.done(failed(1, HOOK, 5_000), &World::node());
    world.done(World::vote("acme", "a", false), &ann());
    assert_eq!(unheard(), Unheard { waiting: 2, failing: 1, since_ms: since });
    assert_eq!(deliveries::unheard(&world.view(), 1).expect("memory").waiting, 1, "it is bounded");
    world.done(note(1, HOOK, ApprovalState::Rejected), &World::node());
    assert_eq!(unheard(), Unheard { waiting: 1, failing: 0, since_ms: since });
    // What is told too late has to be told once more, and waits from now on.
    world.done(note(1, SLACK, ApprovalState::Pending), &World::node());
    let again = unheard();
    assert!(again.waiting == 1 && again.since_ms >= since + 5_000, "{again:?}");
    for _ in 0..caps::DELIVERY_ATTEMPTS_MAX {
        world.done(failed(1, SLACK, 1), &World::node());
    }
    assert_eq!(unheard(), Unheard::default(), "it was given up");
}

#[test]
fn a_channel_that_is_gone_is_given_up_and_shown() {
    let world = world();
    world.open_approval(world.telling("acme", "a", 1, &[HOOK, "nowhere"]));
    let nowhere = row(&world, 1, "nowhere");
    assert_eq!(nowhere.state(), DeliveryState::GivenUp);
    assert!(nowhere.error.contains("no channel"));
    world.done(RemoveChannel { tenant: "acme".to_owned(), name: HOOK.to_owned() }, &World::root());
    world.done(failed(1, HOOK, 1), &World::node());
    assert_eq!((state(&world, 1, HOOK), due(&world)), (DeliveryState::GivenUp, Vec::new()));
}

#[test]
fn through_a_channel_that_people_look_at_few_of_an_agent_are_shown_at_a_time() {
    let world = world();
    let many = caps::DELIVERIES_SHOWN_AGENT_MAX + 3;
    for number in 1..=many {
        world.open_approval(world.telling("acme", &format!("a-{number}"), number as u8, &[SLACK, HOOK]));
    }
    let shown = |world: &World| {
        let mut due: Vec<u64> = due(world)
            .into_iter()
            .filter(|(_, channel)| channel == SLACK)
            .map(|(number, _)| number)
            .collect();
        due.sort_unstable();
        due
    };
    assert_eq!(shown(&world), [1, 2, 3]);
    assert_eq!(due(&world).iter().filter(|(_, channel)| channel == HOOK).count() as u64, many, "machines");
    assert_eq!(state(&world, 4, SLACK), DeliveryState::Grouped);
    let behind = |world: &World| deliveries::behind(&world.view(), &acme(), SLACK, "payer").expect("memory");
    assert_eq!(behind(&world), 3);
    for number in 1..=3 {
        world.done(note(number, SLACK, ApprovalState::Pending), &World::node());
    }
    // One that waits is taken back: nobody has to hear of it. One that is shown is decided: the next one is shown.
    world.done(World::vote("acme", "a-5", false), &ann());
    assert_eq!((state(&world, 5, SLACK), behind(&world)), (DeliveryState::Ended, 2));
    world.done(World::vote("acme", "a-2", true), &ann());
    assert_eq!((shown(&world), behind(&world)), (vec![2, 4], 1));
    world.done(note(4, SLACK, ApprovalState::Pending), &World::node());
    // One more behind it is told where the newest one is shown, after a moment.
    world.open_approval(world.telling("acme", "b", 77, &[SLACK]));
    assert_eq!(shown(&world), [2]);
    world.pass_seconds(caps::DELIVERY_BEHIND_MS / 1_000);
    assert_eq!((shown(&world), behind(&world)), (vec![2, 4], 2));
    // When all have ended, nothing is left over.
    world.pass_seconds(600);
    world.done(SweepApprovals {}, &World::node());
    assert_eq!(behind(&world), 0);
    world.open_approval(world.telling("acme", "c", 78, &[SLACK]));
    assert_eq!(state(&world, many + 2, SLACK), DeliveryState::Waiting);
}
