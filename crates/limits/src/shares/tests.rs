//! Shares of a rate under drifting clocks, slow and lost messages, and changes of the leader.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::bucket::Bucket;
use crate::holder::{Incarnation, NodeId};
use crate::split::{Demand, split};
use crate::term::usable_until;

const MS: u64 = 1_000_000;

fn holder(node: u64) -> Holder {
    Holder { node: NodeId(node), incarnation: Incarnation(node) }
}

fn pace(rate: u64, burst: u32) -> Pace {
    Pace::new(Micros(rate), burst).unwrap()
}

fn grant(shares: &mut Shares, holder: Holder, target: Pace, now_ms: u64) -> Pace {
    shares.grant(holder, target, at_ms(now_ms)).share
}

fn at_ms(ms: u64) -> Monotonic {
    Monotonic(Duration::from_millis(ms))
}

#[test]
fn a_part_is_free_again_when_its_holder_confirmed_less() {
    let mut shares = Shares::new(pace(10_000_000, 4));
    assert_eq!(grant(&mut shares, holder(1), pace(10_000_000, 4), 0), pace(10_000_000, 4));
    assert_eq!(grant(&mut shares, holder(2), pace(5_000_000, 2), 10), Pace::NOTHING);
    assert_eq!(grant(&mut shares, holder(1), pace(5_000_000, 2), 50), pace(5_000_000, 2));
    assert_eq!(grant(&mut shares, holder(2), pace(5_000_000, 2), 60), Pace::NOTHING, "it may not have heard");
    shares.confirm(holder(1), 1, at_ms(90));
    assert_eq!(grant(&mut shares, holder(2), pace(5_000_000, 2), 95), Pace::NOTHING, "it has not");
    shares.confirm(holder(1), 3, at_ms(100));
    assert_eq!(grant(&mut shares, holder(2), pace(5_000_000, 2), 110), pace(5_000_000, 0));
    assert_eq!(grant(&mut shares, holder(2), pace(5_000_000, 2), 1_209), pace(5_000_000, 0));
    assert_eq!(grant(&mut shares, holder(2), pace(5_000_000, 2), 1_210), pace(5_000_000, 2));
}

#[test]
fn a_part_is_free_again_when_its_term_is_over() {
    let mut shares = Shares::new(pace(10_000_000, 4));
    grant(&mut shares, holder(1), pace(10_000_000, 4), 0);
    assert_eq!(grant(&mut shares, holder(2), pace(10_000_000, 4), 5_149), Pace::NOTHING);
    assert_eq!(grant(&mut shares, holder(2), pace(10_000_000, 4), 5_150), pace(10_000_000, 0));
    assert_eq!(grant(&mut shares, holder(2), pace(10_000_000, 4), 6_260), pace(10_000_000, 4));
    assert_eq!(shares.holdings().len(), 1, "who holds nothing is forgotten");
}

#[test]
fn a_new_leader_lets_every_part_live_a_term() {
    let mut shares = Shares::new(pace(10_000_000, 4));
    grant(&mut shares, holder(1), pace(10_000_000, 4), 0);
    let mut next =
        Shares::adopt(shares.whole(), shares.last_number(), shares.holdings().to_vec(), at_ms(90_000));
    assert_eq!(grant(&mut next, holder(2), pace(10_000_000, 4), 95_149), Pace::NOTHING);
    assert_eq!(grant(&mut next, holder(2), pace(10_000_000, 4), 95_150).rate(), Micros(10_000_000));
}

#[test]
fn no_grant_has_the_number_of_another() {
    let mut shares = Shares::new(pace(10_000_000, 4));
    let mut number = |now_ms| shares.grant(holder(1), pace(10_000_000, 4), at_ms(now_ms)).number;
    let (first, renewed, after_a_long_absence) = (number(0), number(50), number(60_000));
    assert_eq!(
        (first, renewed, after_a_long_absence),
        (1, 1, 2),
        "a late confirmation of the first says nothing"
    );
}

#[test]
fn a_restarted_node_is_another_holder() {
    let mut shares = Shares::new(pace(10_000_000, 4));
    grant(&mut shares, holder(1), pace(10_000_000, 4), 0);
    let again = Holder { incarnation: Incarnation(9), ..holder(1) };
    assert_eq!(grant(&mut shares, again, pace(10_000_000, 4), 100), Pace::NOTHING);
}

#[test]
fn a_lowered_rate_takes_effect_with_the_next_grant() {
    let mut shares = Shares::new(pace(10_000_000, 4));
    grant(&mut shares, holder(1), pace(10_000_000, 4), 0);
    shares.set_whole(pace(2_000_000, 1));
    assert_eq!(grant(&mut shares, holder(1), pace(10_000_000, 4), 50), pace(2_000_000, 1));
}

const CASES: u32 = 200;

/// One node of the simulated world.
struct Node {
    number: u64,
    /// Its clock: where it began, and millionths of real time at which it runs.
    begun: u64,
    rate: u64,
    bucket: Bucket,
    share: Granted,
    until: Monotonic,
}

struct Request {
    arrives: u64,
    node: usize,
    asked_at: Monotonic,
    /// The number of the grant in use.
    using: u64,
}

struct Answer {
    arrives: u64,
    node: usize,
    asked_at: Monotonic,
    granted: Granted,
}

#[derive(Debug, Clone)]
struct Plan {
    /// Drift of each node's clock, and of the leaders', in millionths.
    drifts: Vec<u64>,
    leader_drift: u64,
    rate: u64,
    burst: u32,
    /// Per step of 10 ms: the node that is called, how often, how slow the network is, and whether the leader changes.
    steps: Vec<(usize, u8, u16, bool)>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let drift = || prop_oneof![Just(990_000_u64), Just(1_010_000), 990_000..1_010_000_u64];
    let delay = prop_oneof![8 => 0..20_u16, 2 => 0..400_u16, 1 => 0..6_000_u16];
    let step = (0..3_usize, 0..6_u8, delay, prop::bool::weighted(0.005));
    let steps = prop::collection::vec(step, 1_200);
    (prop::collection::vec(drift(), 3), drift(), 1_000_000..60_000_000_u64, 1..12_u32, steps).prop_map(
        |(drifts, leader_drift, rate, burst, steps)| Plan { drifts, leader_drift, rate, burst, steps },
    )
}

impl Node {
    fn clock(&self, real: u64) -> Monotonic {
        Monotonic(Duration::from_nanos(
            self.begun + (u128::from(real) * u128::from(self.rate) / 1_000_000) as u64,
        ))
    }

    fn usable(&self, real: u64) -> Micros {
        if self.clock(real) < self.until { self.share.share.rate() } else { Micros::ZERO }
    }

    fn hear(&mut self, answer: &Answer, real: u64) {
        let until = usable_until(answer.asked_at);
        if answer.granted.number >= self.share.number {
            let same = answer.granted.number == self.share.number;
            self.until = if same { self.until.max(until) } else { until };
            self.share = answer.granted;
            self.bucket.change(answer.granted.share, self.clock(real));
            self.bucket.end_at(self.until);
        }
    }
}

/// Runs the plan and gives, for the judge, when calls were admitted, in real time.
fn run(plan: &Plan) -> Result<Vec<u64>, TestCaseError> {
    let whole = pace(plan.rate, plan.burst);
    let mut nodes: Vec<Node> = (plan.drifts.iter().zip(0..))
        .map(|(rate, number)| Node {
            number,
            begun: number * 77_777 * MS,
            rate: *rate,
            bucket: Bucket::new(Pace::NOTHING),
            share: Granted { share: Pace::NOTHING, number: 0 },
            until: Monotonic(Duration::ZERO),
        })
        .collect();
    let leader = |real: u64| Monotonic(Duration::from_nanos(real / 1_000_000 * plan.leader_drift));
    let mut shares = Shares::new(whole);
    let mut demand = [0_u64; 3];
    let (mut requests, mut answers): (Vec<Request>, Vec<Answer>) = (Vec::new(), Vec::new());
    let mut admitted = Vec::new();
    for (step, (called, calls, delay, new_leader)) in plan.steps.iter().enumerate() {
        let real = step as u64 * 10 * MS;
        if *new_leader {
            shares = Shares::adopt(whole, shares.last_number(), shares.holdings().to_vec(), leader(real));
        }
        // Every fifth step a node asks; messages take what the plan says, the slowest for longer than a share lives.
        let asking = step / 5 % 3;
        if step % 5 == 0 {
            let node = &nodes[asking];
            let arrives = real + u64::from(*delay) * MS;
            let (asked_at, using) = (node.clock(real), node.share.number);
            requests.push(Request { arrives, node: asking, asked_at, using });
        }
        let (due, later): (Vec<_>, Vec<_>) = requests.into_iter().partition(|it| it.arrives <= real);
        requests = later;
        for request in due {
            let demands: Vec<Demand> = (demand.iter().zip(0..))
                .map(|(calls, node)| Demand { node: NodeId(node), rate: Micros(*calls) })
                .collect();
            let parts = split(whole, NodeId(0), &demands);
            let own = holder(nodes[request.node].number);
            let target =
                parts.iter().find(|(node, _)| *node == own.node).map_or(Pace::NOTHING, |(_, part)| *part);
            shares.confirm(own, request.using, leader(real));
            let granted = shares.grant(own, target, leader(real));
            let Request { node, asked_at, .. } = request;
            answers.push(Answer { arrives: real + u64::from(*delay) * MS, node, asked_at, granted });
        }
        let (due, later): (Vec<_>, Vec<_>) = answers.into_iter().partition(|it| it.arrives <= real);
        answers = later;
        for answer in due {
            nodes[answer.node].hear(&answer, real);
        }
        let sum: u64 = nodes.iter().map(|node| node.usable(real).0).sum();
        prop_assert!(sum <= plan.rate, "at {real}: {sum} of {}", plan.rate);
        demand.iter_mut().for_each(|calls| *calls = *calls * 9 / 10);
        demand[*called] += u64::from(*calls) * 1_000_000;
        for _ in 0..*calls {
            let now = nodes[*called].clock(real);
            admitted.extend(nodes[*called].bucket.take(now).is_ok().then_some(real));
        }
    }
    Ok(admitted)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn parts_never_sum_up_to_more_than_the_rate(plan in plan()) {
        let admitted = run(&plan)?;
        // A node whose clock runs fast by one percent counts seconds that are shorter by as much.
        let most = plan.rate * 101 / 100 / 1_000_000 + 1 + u64::from(plan.burst);
        for (at, start) in admitted.iter().enumerate() {
            let within = admitted[at..].iter().take_while(|moment| *moment - start <= 1_000 * MS).count() as u64;
            prop_assert!(within <= most, "{within} of {most} in the second from {start}");
        }
    }
}
