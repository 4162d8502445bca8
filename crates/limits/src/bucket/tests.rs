//! What a bucket admits, in fixed cases and in every sliding second of random ones.

use aegis_model::money::Micros;
use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn pace(rate: u64, burst: u32) -> Pace {
    Pace::new(Micros(rate), burst).unwrap()
}

fn at(nanos: u64) -> Monotonic {
    Monotonic(Duration::from_nanos(nanos))
}

fn taken(bucket: &Bucket, now: u64) -> usize {
    std::iter::from_fn(|| bucket.take(at(now)).ok()).take(100).count()
}

#[test]
fn five_per_second_with_a_burst_of_five() {
    let bucket = Bucket::new(pace(5_000_000, 5));
    assert_eq!(taken(&bucket, 10), 5);
    assert_eq!(bucket.take(at(10)), Err(TooFast::Wait(Duration::from_millis(200))));
    assert_eq!(bucket.take(at(150_000_010)), Err(TooFast::Wait(Duration::from_millis(50))));
    assert_eq!((taken(&bucket, 200_000_009), taken(&bucket, 200_000_010)), (0, 1));
    assert_eq!(taken(&bucket, 60 * SECOND), 5, "a long rest gathers a burst and no more");
}

#[test]
fn what_is_there_is_told_in_parts_of_a_token() {
    let bucket = Bucket::new(pace(5_000_000, 5));
    assert_eq!(bucket.rest(at(10)), Micros(5_000_000));
    assert_eq!(taken(&bucket, 10), 5);
    assert_eq!(bucket.rest(at(10)), Micros::ZERO);
    assert_eq!(bucket.rest(at(50_000_010)), Micros(250_000));
    assert_eq!(bucket.rest(at(60 * SECOND)), Micros(5_000_000), "a burst and no more");
    bucket.end_at(at(61 * SECOND));
    assert_eq!(bucket.rest(at(61 * SECOND)), Micros::ZERO, "the share is over");
    assert_eq!(Bucket::new(Pace::NOTHING).rest(at(0)), Micros::ZERO);
}

#[test]
fn a_rate_may_be_a_fraction() {
    let bucket = Bucket::new(pace(250_000, 1));
    assert_eq!(taken(&bucket, 0), 1);
    assert_eq!((taken(&bucket, 4 * SECOND - 1), taken(&bucket, 4 * SECOND)), (0, 1));
}

#[test]
fn nothing_is_admitted_without_a_share_or_after_its_end() {
    let bucket = Bucket::new(Pace::NOTHING);
    assert_eq!(bucket.take(at(SECOND)), Err(TooFast::NoShare));
    bucket.change(pace(5_000_000, 5), at(SECOND));
    assert_eq!(taken(&bucket, SECOND), 0, "it begins empty");
    assert_eq!(taken(&bucket, 2 * SECOND), 5);
    bucket.end_at(at(5 * SECOND));
    assert_eq!(taken(&bucket, 5 * SECOND - 1), 5);
    assert_eq!(bucket.take(at(5 * SECOND)), Err(TooFast::NoShare));
    bucket.end_at(at(9 * SECOND));
    assert_eq!(taken(&bucket, 8 * SECOND), 5);
    assert_eq!(bucket.take(Monotonic(Duration::MAX)), Err(TooFast::NoShare), "beyond all time");
}

#[test]
fn a_change_keeps_the_tokens_that_are_there() {
    let bucket = Bucket::new(pace(10_000_000, 10));
    assert_eq!(std::iter::from_fn(|| bucket.take(at(0)).ok()).take(7).count(), 7);
    bucket.change(pace(1_000_000_000, 100), at(0));
    assert_eq!(taken(&bucket, 0), 3, "more burst is not more tokens");
    assert_eq!(taken(&bucket, SECOND / 100), 10, "but they grow at the new rate");
    bucket.change(pace(10_000_000, 4), at(60 * SECOND));
    assert_eq!(taken(&bucket, 60 * SECOND), 4, "what the smaller burst has no room for is lost");
    bucket.change(pace(10_000_000, 4), at(60 * SECOND));
    assert_eq!(taken(&bucket, 60 * SECOND), 0, "the same pace again changes nothing");
}

#[test]
fn a_refund_gives_back_what_did_not_grow_again() {
    let bucket = Bucket::new(pace(1_000_000, 2));
    let (one, two) = (bucket.take(at(0)).unwrap(), bucket.take(at(0)).unwrap());
    bucket.refund(one, at(0));
    assert_eq!(taken(&bucket, 0), 1);
    // The work of `two` moved forward to the first second when `one` was given back, and is done by now.
    bucket.refund(two, at(SECOND));
    assert_eq!(taken(&bucket, SECOND), 1);
    let late = bucket.take(at(10 * SECOND)).unwrap();
    assert_eq!(taken(&bucket, 11 * SECOND), 2);
    bucket.refund(late, at(11 * SECOND));
    assert_eq!(taken(&bucket, 11 * SECOND), 0, "its token grew again before");
}

#[test]
fn a_refund_after_a_change_of_pace_gives_nothing_back() {
    let bucket = Bucket::new(pace(1_000_000, 1));
    let token = bucket.take(at(0)).unwrap();
    bucket.change(pace(2_000_000, 1), at(0));
    bucket.refund(token, at(0));
    assert_eq!(taken(&bucket, 0), 0);
}

#[derive(Debug, Clone)]
enum Act {
    Take,
    Refund(usize),
    Pass(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => Just(Act::Take),
        3 => any::<usize>().prop_map(Act::Refund),
        2 => (0..SECOND / 2).prop_map(Act::Pass),
        1 => (0..4 * SECOND).prop_map(Act::Pass),
    ];
    prop::collection::vec(act, 1..400)
}

/// The most calls of `moments` in any closed window of one second, where `moments` rise.
fn most_in_a_second(moments: &[u64]) -> u64 {
    let count = |(at, start): (usize, &u64)| {
        moments[at..].iter().take_while(|moment| **moment - start <= SECOND).count() as u64
    };
    moments.iter().enumerate().map(count).max().unwrap_or(0)
}

proptest! {
    #[test]
    fn no_sliding_second_admits_more_than_rate_and_burst(
        rate in prop_oneof![200_000..40_000_000_u64, Just(1_000_000), Just(3_000_000)],
        burst in 1..12_u32,
        acts in acts(),
    ) {
        let bucket = Bucket::new(pace(rate, burst));
        let (mut now, mut open) = (SECOND, Vec::new());
        // When calls were admitted; those that were given back are taken out.
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        let mut number = 0;
        for act in acts {
            match act {
                Act::Pass(time) => now += time,
                Act::Take => if let Ok(token) = bucket.take(at(now)) {
                    number += 1;
                    open.push((number, token));
                    admitted.push((number, now));
                },
                Act::Refund(which) if !open.is_empty() => {
                    let (number, token) = open.swap_remove(which % open.len());
                    bucket.refund(token, at(now));
                    admitted.retain(|(other, _)| *other != number);
                }
                Act::Refund(_) => {}
            }
        }
        let moments: Vec<u64> = admitted.into_iter().map(|(_, moment)| moment).collect();
        let most = rate / 1_000_000 + u64::from(burst);
        prop_assert!(most_in_a_second(&moments) <= most, "{} of {most}", most_in_a_second(&moments));
    }

    #[test]
    fn a_steady_stream_is_admitted_at_the_rate(rate in 1_000_000..200_000_000_u64, burst in 1..50_u32) {
        let bucket = Bucket::new(pace(rate, burst));
        let offers = (0..50_000).map(|number| at(number * 100_000));
        let admitted = offers.filter(|now| bucket.take(*now).is_ok()).count() as u64;
        let expected = rate * 5 / 1_000_000;
        prop_assert!(admitted >= expected * 95 / 100, "{admitted} of {expected} in five seconds");
    }
}
