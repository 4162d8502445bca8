//! Books that borrow from one leader, in tokio's paused time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aegis_limits::reservation::Debt;
use aegis_model::caps;
use aegis_model::clock::Monotonic;
use aegis_model::money::Micros;
use aegis_proto::v1;
use proptest::prelude::*;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::lender::Ended;
use super::testing::{EPOCH_END_MS, Leader, TestBook, budget_of, pay, rate_of, rate_terms, terms};
use super::{Budget, Dry, NoShare, TooMany};

fn units(units: u64) -> Micros {
    Micros::of_units(units).unwrap()
}

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Until a journal is open, even if the first attempt finds it in use: a process that another test starts has the files of
/// this one for the moment between its fork and its exec.
const OPENED: Duration = Duration::from_secs(7);

/// What all leases of a budget, and the ledger, say was spent.
fn spent(leader: &Leader) -> Micros {
    leader.ledgers().iter().fold(Micros::ZERO, |sum, ledger| sum.saturating_add(ledger.granted))
}

/// Thousands of calls at several books, as many as the budget allows for and some more; how many were allowed.
async fn storm(leader: &Leader, books: &[TestBook], calls: u64, cost: Micros, limit: Micros) -> u64 {
    let (allowed, mut running) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
    let key = budget_of("bot");
    for call in 0..calls {
        let budget = books[call as usize % books.len()].budget(&key, limit);
        let allowed = Arc::clone(&allowed);
        running.spawn(async move {
            tokio::time::sleep(ms(call % 100)).await; // expect(sleep): calls come one after the other, in paused time
            // Like a client that is told to try again where limits were not available.
            for _ in 0..20 {
                match pay(&budget, cost).await {
                    Ok(()) => {
                        allowed.fetch_add(1, Ordering::Relaxed);
                        return;
                    }
                    Err(Dry::Exhausted) => return,
                    Err(Dry::CutOff | Dry::Late) => {}
                }
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    let ledger = leader.ledger(&key);
    assert!(ledger.granted <= limit, "LIM-1");
    allowed.load(Ordering::Relaxed)
}

#[tokio::test(start_paused = true)]
async fn of_thousands_of_calls_over_three_books_exactly_as_many_as_fit_are_allowed() {
    for limit in [100, 1_000, 2_000] {
        let leader = Leader::new();
        let books = [1, 2, 3].map(|node| TestBook::start(&leader, node));
        assert_eq!(storm(&leader, &books, 3_000, units(1), units(limit)).await, limit);
    }
}

#[tokio::test(start_paused = true)]
async fn parts_of_a_unit_are_gathered_from_all_books() {
    let leader = Leader::new();
    let books = [1, 2, 3].map(|node| TestBook::start(&leader, node));
    assert_eq!(storm(&leader, &books, 1_000, Micros(250_000), units(20)).await, 80);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_costs_more_than_any_lease_has_gets_what_is_spread_over_leases() {
    let leader = Leader::new();
    let books = [1, 2].map(|node| TestBook::start(&leader, node));
    let limit = units(100);
    for book in &books {
        assert_eq!(pay(&book.budget(&budget_of("bot"), limit), units(1)).await, Ok(()));
    }
    let budget = books[0].budget(&budget_of("bot"), limit);
    assert_eq!(pay(&budget, units(98)).await, Ok(()));
    assert_eq!(pay(&budget, units(1)).await, Err(Dry::Exhausted));
    assert_eq!(leader.ledger(&budget_of("bot")).granted, limit);
}

#[tokio::test(start_paused = true)]
async fn what_a_lease_has_too_little_of_goes_back_for_a_dearer_call() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    let budget = book.budget(&budget_of("bot"), units(100));
    budget.more(units(10), Instant::now() + ms(500)).await.unwrap();
    assert_eq!(pay(&budget, units(1)).await, Ok(()));
    assert_eq!((budget.purse().rest(), leader.ledger(&budget_of("bot")).free()), (units(9), units(90)));
    assert_eq!(pay(&budget, units(95)).await, Ok(()));
    assert_eq!(pay(&budget, units(4)).await, Ok(()));
    assert_eq!(pay(&budget, units(1)).await, Err(Dry::Exhausted));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_got_lost_is_given_again_and_counts_once() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    let budget = book.budget(&budget_of("bot"), units(10));
    leader.lose_answers(3);
    for _ in 0..10 {
        let mut paid = pay(&budget, units(1)).await;
        if paid.is_err() {
            // The first calls wait for more than one change of the stream.
            paid = pay(&budget, units(1)).await;
        }
        assert_eq!(paid, Ok(()));
    }
    assert_eq!(pay(&budget, units(1)).await, Err(Dry::Exhausted));
    assert_eq!(spent(&leader), units(10));
}

#[tokio::test(start_paused = true)]
async fn without_a_leader_leases_are_spent_and_then_calls_are_refused() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    let budget = book.budget(&budget_of("bot"), units(6_400));
    assert_eq!(pay(&budget, units(1)).await, Ok(()));
    let lease = budget.purse().rest();
    assert!(lease > units(2), "{lease:?}");
    leader.be_in_reach(false);
    tokio::time::sleep(ms(20)).await; // expect(sleep): paused time
    assert_eq!(pay(&budget, units(2)).await, Ok(()), "what is leased needs no leader");
    let too_much = units(1_000);
    let start = Instant::now();
    assert_eq!(pay(&budget, too_much).await, Err(Dry::CutOff));
    assert_eq!(start.elapsed(), ms(500), "a change of leader is waited for, as long as the call can");
    tokio::time::sleep(ms(2 * caps::LEND_GRACE_MS)).await; // expect(sleep): paused time
    let start = Instant::now();
    assert_eq!(pay(&budget, too_much).await, Err(Dry::CutOff));
    assert_eq!(start.elapsed(), ms(0), "nobody waits for a leader that is gone for long");
    leader.be_in_reach(true);
    tokio::time::sleep(ms(100)).await; // expect(sleep): paused time
    assert_eq!(pay(&budget, too_much).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_leader_goes_unnoticed_by_calls_that_wait() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    let budget = book.budget(&budget_of("bot"), units(10));
    leader.be_in_reach(false);
    let mut waiting = JoinSet::new();
    let waits = Arc::clone(&budget);
    waiting.spawn(async move { pay(&waits, units(1)).await });
    tokio::time::sleep(ms(300)).await; // expect(sleep): paused time
    leader.be_in_reach(true);
    assert_eq!(waiting.join_next().await.unwrap().unwrap(), Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_does_not_answer_is_left_and_the_ask_is_said_again() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    let budget = book.budget(&budget_of("bot"), units(10));
    leader.be_silent(true);
    assert_eq!(pay(&budget, units(1)).await, Err(Dry::Late));
    leader.be_silent(false);
    assert_eq!(
        pay(&budget, units(1)).await,
        Err(Dry::Late),
        "it answers what is asked from now on, and not what was"
    );
    tokio::time::sleep(ms(caps::LEND_SILENCE_MS)).await; // expect(sleep): paused time
    assert_eq!(pay(&budget, units(1)).await, Ok(()));
    let numbers: Vec<u64> = leader.asks().iter().map(|ask| ask.number).collect();
    assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "{numbers:?}");
}

#[tokio::test(start_paused = true)]
async fn a_drought_is_remembered_and_looked_at_again_while_calls_come() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    let (key, limit) = (budget_of("bot"), units(3));
    let budget = book.budget(&key, limit);
    for _ in 0..3 {
        assert_eq!(pay(&budget, units(1)).await, Ok(()));
    }
    assert_eq!(pay(&budget, units(1)).await, Err(Dry::Exhausted));
    tokio::time::sleep(ms(200)).await; // expect(sleep): paused time, spent leases go back
    let (before, start) = (leader.asks().len(), Instant::now());
    let mut refused = 0;
    while start.elapsed() < ms(5_000) {
        let asked = Instant::now();
        assert_eq!(pay(&budget, units(1)).await, Err(Dry::Exhausted));
        assert_eq!(asked.elapsed(), ms(0), "known");
        refused += 1;
        tokio::time::sleep(ms(1)).await; // expect(sleep): paused time
    }
    let asks = leader.asks().len() - before;
    assert!(refused > 2_000 && asks <= 11, "{asks} asks for {refused} calls");
    // Raised, it can be used at once.
    let raised = book.book.budget(&key, &terms(units(5), 2)).unwrap();
    for expected in [Ok(()), Ok(()), Err(Dry::Exhausted)] {
        assert_eq!(pay(&raised, units(1)).await, expected);
    }
    // Without calls nobody asks.
    tokio::time::sleep(ms(70_000)).await; // expect(sleep): paused time
    let quiet = leader.asks().len();
    tokio::time::sleep(ms(10_000)).await; // expect(sleep): paused time
    assert_eq!(leader.asks().len(), quiet);
}

#[tokio::test(start_paused = true)]
async fn what_others_give_back_is_used_within_half_a_second() {
    let leader = Leader::new();
    let (one, other) = (TestBook::start(&leader, 1), TestBook::start(&leader, 2));
    let key = budget_of("bot");
    let (mine, theirs) = (one.budget(&key, units(2)), other.budget(&key, units(2)));
    let paid = theirs.more(units(2), Instant::now() + ms(500)).await;
    assert_eq!(paid, Ok(()));
    let held = theirs.purse().spend(units(2)).unwrap();
    assert_eq!(pay(&mine, units(1)).await, Err(Dry::Exhausted), "recalled, and nothing was left");
    // What was refunded after the rest was taken stays spent; a new limit is credited.
    assert!(theirs.purse().refund(held, units(2)).is_err());
    assert_eq!(leader.ledger(&key).lent(), Micros::ZERO);
}

#[tokio::test(start_paused = true)]
async fn a_recalled_lease_stops_at_once_and_takes_refunds_of_calls_under_way() {
    // Whenever the recall comes between two ticks.
    for offset in (0..caps::LEASE_TICK_MS).step_by(5) {
        let leader = Leader::new();
        let (one, other) = (TestBook::start(&leader, 1), TestBook::start(&leader, 2));
        let key = budget_of("bot");
        let (mine, theirs) = (one.budget(&key, units(10)), other.budget(&key, units(10)));
        theirs.more(units(10), Instant::now() + ms(500)).await.unwrap();
        let under_way = theirs.purse().spend(units(4)).unwrap();
        let mut waiting = JoinSet::new();
        tokio::time::sleep(ms(offset)).await; // expect(sleep): paused time
        let waits = Arc::clone(&mine);
        waiting.spawn(async move { pay(&waits, units(10)).await });
        while theirs.purse().pays(units(1)) {
            tokio::time::sleep(ms(1)).await; // expect(sleep): paused time
        }
        assert!(theirs.purse().spend(units(1)).is_err());
        tokio::time::sleep(ms(10)).await; // expect(sleep): paused time, a call that is refused meanwhile
        theirs.purse().refund(under_way, units(4)).unwrap();
        assert_eq!(waiting.join_next().await.unwrap().unwrap(), Ok(()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_had_no_turn_since_does_not_pay_from_what_took_its_leases_place() {
    let leader = Leader::new();
    let (one, other) = (TestBook::start(&leader, 1), TestBook::start(&leader, 2));
    let key = budget_of("bot");
    let (mine, theirs) = (one.budget(&key, units(10)), other.budget(&key, units(10)));
    theirs.more(units(10), Instant::now() + ms(500)).await.unwrap();
    // A call has looked at the lease, and its thread has no turn for a while.
    let in_hand = theirs.purse().all().remove(0);
    assert_eq!(pay(&mine, units(10)).await, Ok(()), "it was recalled, returned and lent on");
    let next = other.budget(&budget_of("another"), units(640));
    assert_eq!(pay(&next, units(1)).await, Ok(()));
    let before = next.purse().rest();
    assert!(in_hand.spend(units(1)).is_err(), "LIM-1: its word is no other lease's");
    assert_eq!(next.purse().rest(), before);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_was_replaced_spends_nothing_any_more() {
    let leader = Leader::new();
    let mut book = TestBook::start(&leader, 1);
    let budget = book.budget(&budget_of("bot"), units(6_400));
    let rate = book.book.rate(&rate_of("bot"), &rate_terms(100, 10)).unwrap();
    assert_eq!(pay(&budget, units(1)).await, Ok(()));
    assert_eq!(rate.share(Instant::now() + ms(500)).await, Ok(()));
    assert!(budget.purse().pays(units(1)) && rate.bucket().take(leader.clock.monotonic()).is_ok());
    leader.fence(1);
    assert_eq!(book.ended().await, Ended::Over);
    assert!(!budget.purse().pays(units(1)), "LIM-2");
    assert!(rate.bucket().take(leader.clock.monotonic()).is_err());
    assert_eq!(pay(&budget, units(1)).await, Err(Dry::CutOff));
    assert_eq!(rate.share(Instant::now() + ms(500)).await, Err(NoShare));
}

#[tokio::test(start_paused = true)]
async fn leases_of_an_epoch_that_is_over_go_back_and_the_next_one_counts() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    let budget = book.budget(&budget_of("bot"), units(6_400));
    assert_eq!(pay(&budget, units(1)).await, Ok(()));
    let rest = budget.purse().rest();
    assert!(!rest.is_zero());
    leader.end_epochs();
    book.freshness.confirm(EPOCH_END_MS, &leader.clock);
    tokio::time::sleep(ms(1_500)).await; // expect(sleep): paused time, a look at all leases
    assert_eq!(budget.purse().rest(), Micros::ZERO);
    assert_eq!(leader.ledgers()[0].granted, units(1), "the first epoch has what was spent in it");
    assert_eq!(pay(&budget, units(1)).await, Ok(()));
    assert_eq!(leader.ledgers().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_costs_more_than_the_limit_asks_nobody_for_anything() {
    let leader = Leader::new();
    let (one, other) = (TestBook::start(&leader, 1), TestBook::start(&leader, 2));
    let key = budget_of("bot");
    let (mine, theirs) = (one.budget(&key, units(6_400)), other.budget(&key, units(6_400)));
    assert_eq!(pay(&theirs, units(1)).await, Ok(()));
    let (start, asks) = (Instant::now(), leader.asks().len());
    assert_eq!(pay(&mine, units(6_401)).await, Err(Dry::Exhausted));
    assert_eq!((start.elapsed(), leader.asks().len()), (ms(0), asks));
    assert!(theirs.purse().pays(Micros(1)), "it keeps what it has");
}

#[tokio::test(start_paused = true)]
async fn leases_as_small_as_one_call_do_not_fill_the_purse() {
    let leader = Leader::new();
    leader.be_prompt();
    // So many nodes that what is made for a node's rate is less than a call costs: each needs a lease of its own.
    let _others: Vec<TestBook> = (2..22).map(|node| TestBook::start(&leader, node)).collect();
    let book = TestBook::start(&leader, 1);
    tokio::time::sleep(ms(100)).await; // expect(sleep): paused time
    let budget = book.budget(&budget_of("bot"), units(6_000));
    tokio::time::sleep(ms(10)).await; // expect(sleep): paused time
    let start = Instant::now();
    for call in 0..10 {
        assert_eq!(pay(&budget, units(600)).await, Ok(()), "call {call}");
    }
    assert!(start.elapsed() < ms(caps::LEASE_TICK_MS), "no tick made room");
    assert_eq!(pay(&budget, units(600)).await, Err(Dry::Exhausted));
}

#[tokio::test(start_paused = true)]
async fn a_lease_without_a_slot_goes_back_unspent() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    let budgets: Vec<Arc<Budget>> = (0..caps::LEASE_SLOTS_STEP + 1)
        .map(|agent| book.budget(&budget_of(&format!("bot-{agent}")), units(10)))
        .collect();
    // All at once, faster than the journal grows.
    let mut running = JoinSet::new();
    for budget in budgets.clone() {
        running.spawn(async move { while pay(&budget, units(10)).await == Err(Dry::Late) {} });
    }
    while let Some(done) = running.join_next().await {
        done.unwrap();
    }
    assert_eq!(spent(&leader), units(10 * budgets.len() as u64), "each was lent in the end, and none twice");
}

#[tokio::test(start_paused = true)]
async fn a_book_has_an_end() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    for agent in 0..caps::LIMITS_PER_NODE_MAX {
        book.budget(&budget_of(&format!("bot-{agent}")), units(10));
    }
    assert_eq!(book.book.budget(&budget_of("bot"), &terms(units(10), 1)).unwrap_err(), TooMany);
    assert!(book.book.budget(&budget_of("bot-7"), &terms(units(10), 1)).is_ok());
    assert!(book.book.rate(&rate_of("bot"), &rate_terms(10, 10)).is_ok(), "rates have room of their own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_that_race_for_leases_get_exactly_the_budget() {
    let leader = Leader::new();
    let books = [1, 2, 3].map(|node| TestBook::start(&leader, node));
    assert_eq!(storm(&leader, &books, 2_000, units(1), units(1_000)).await, 1_000);
}

#[tokio::test(start_paused = true)]
async fn a_drought_ends_with_its_epoch() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    let budget = book.budget(&budget_of("bot"), units(1));
    assert_eq!(pay(&budget, units(1)).await, Ok(()));
    assert_eq!(pay(&budget, units(1)).await, Err(Dry::Exhausted));
    leader.end_epochs();
    assert_eq!(pay(&budget, units(1)).await, Err(Dry::Exhausted));
    book.freshness.confirm(EPOCH_END_MS, &leader.clock);
    assert_eq!(pay(&budget, units(1)).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn idle_leases_go_back_and_unused_budgets_are_forgotten() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    let key = budget_of("bot");
    let budget = book.budget(&key, units(6_400));
    assert_eq!(pay(&budget, units(1)).await, Ok(()));
    drop(budget);
    tokio::time::sleep(ms(30_000)).await; // expect(sleep): paused time
    assert!(!leader.ledger(&key).leases.is_empty(), "not idle for long enough");
    tokio::time::sleep(ms(33_000)).await; // expect(sleep): paused time
    let ledger = leader.ledger(&key);
    assert_eq!((ledger.leases.len(), ledger.granted), (0, units(1)));
    tokio::time::sleep(ms(70_000)).await; // expect(sleep): paused time
    assert_eq!(book.book.limits(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn the_next_lease_is_there_before_the_first_is_spent() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    let budget = book.budget(&budget_of("bot"), units(1_000_000));
    let mut waited = 0;
    for _ in 0..20_000 {
        if budget.purse().spend(units(1)).is_err() {
            waited += 1;
            assert_eq!(pay(&budget, units(1)).await, Ok(()));
        }
        tokio::time::sleep(ms(1)).await; // expect(sleep): paused time
    }
    assert!(waited <= 2, "{waited} of 20,000 calls waited");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_ends_returns_everything_once_its_calls_have_ended() {
    let leader = Leader::new();
    let mut book = TestBook::start(&leader, 1);
    let budgets: Vec<Arc<Budget>> =
        (0..3_000).map(|agent| book.budget(&budget_of(&format!("bot-{agent}")), units(6_400))).collect();
    for budget in &budgets {
        // Ten at a time would do as well; one after the other is the slowest.
        assert_eq!(pay(budget, units(1)).await, Ok(()));
    }
    book.book.leave();
    tokio::time::sleep(ms(100)).await; // expect(sleep): paused time
    assert_eq!(leader.left(), [1]);
    assert_eq!(pay(&budgets[0], units(1)).await, Ok(()), "it goes on until it ends");
    let start = Instant::now();
    book.book.close().await;
    assert!(start.elapsed() < ms(1_000), "{:?}", start.elapsed());
    assert_eq!(book.ended().await, Ended::Stopping);
    assert_eq!(spent(&leader), units(3_001));
    assert!(leader.ledgers().iter().all(|ledger| ledger.leases.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_ends_without_a_leader_waits_for_two_seconds_and_its_next_life_returns() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    let budget = book.budget(&budget_of("bot"), units(6_400));
    assert_eq!(pay(&budget, units(1)).await, Ok(()));
    leader.be_in_reach(false);
    tokio::time::sleep(ms(20)).await; // expect(sleep): paused time
    let start = Instant::now();
    book.book.close().await;
    assert_eq!(start.elapsed(), Duration::from_secs(caps::LEND_RETURN_SECONDS));
    drop(budget);
    let folder = book.crash().await;
    leader.be_in_reach(true);
    let _next = TestBook::start_in(&leader, 1, 2, folder);
    tokio::time::sleep(OPENED).await; // expect(sleep): paused time
    assert_eq!(spent(&leader), units(1));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_a_killed_process_never_heard_of_comes_back_whole() {
    let leader = Leader::new();
    let (key, limit) = (budget_of("bot"), units(10));
    let book = TestBook::start(&leader, 1);
    tokio::time::sleep(OPENED).await; // expect(sleep): paused time
    leader.lose_answers(1);
    let budget = book.budget(&key, limit);
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { pay(&budget, units(10)).await });
    tokio::time::sleep(ms(40)).await; // expect(sleep): paused time, the answer is lost by now
    assert_eq!(leader.ledger(&key).granted, limit);
    waiting.shutdown().await;
    let folder = book.crash().await;
    let next = TestBook::start_in(&leader, 1, 2, folder);
    tokio::time::sleep(OPENED).await; // expect(sleep): paused time
    assert_eq!(leader.ledger(&key).granted, Micros::ZERO);
    assert_eq!(pay(&next.budget(&key, limit), units(10)).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_life_that_lost_the_journal_and_was_not_heard_does_not_make_the_next_one_complete() {
    let leader = Leader::new();
    let (key, limit) = (budget_of("bot"), units(6_400));
    let book = TestBook::start(&leader, 1);
    assert_eq!(pay(&book.budget(&key, limit), units(1)).await, Ok(()));
    let lent = leader.ledger(&key).granted;
    drop(book.crash().await);
    // It begins a new journal, and is killed before the leader hears of that.
    leader.be_silent(true);
    let second = TestBook::start_in(&leader, 1, 2, Arc::new(tempfile::tempdir().unwrap()));
    tokio::time::sleep(OPENED).await; // expect(sleep): paused time
    let folder = second.crash().await;
    leader.be_silent(false);
    let _third = TestBook::start_in(&leader, 1, 3, folder);
    tokio::time::sleep(OPENED).await; // expect(sleep): paused time
    let ledger = leader.ledger(&key);
    assert_eq!((ledger.granted, ledger.leases.len()), (lent, 0), "LIM-1");
}

#[tokio::test(start_paused = true)]
async fn however_much_a_life_left_all_of_it_is_returned() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    let agents = caps::LEND_RETURNS_MAX + 500;
    for agent in 0..agents {
        let budget = book.budget(&budget_of(&format!("bot-{agent}")), units(6_400));
        assert_eq!(pay(&budget, units(1)).await, Ok(()));
    }
    let folder = book.crash().await;
    let _next = TestBook::start_in(&leader, 1, 2, folder);
    tokio::time::sleep(OPENED).await; // expect(sleep): paused time
    assert_eq!(spent(&leader), units(agents as u64));
    let said: Vec<bool> = leader.asks().iter().skip(agents).map(|ask| ask.recovered).collect();
    assert!(said.ends_with(&[false, true]), "everything is returned before that is said: {said:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_overtaken_by_a_later_share_is_skipped() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    let rate = book.book.rate(&rate_of("bot"), &rate_terms(100, 10)).unwrap();
    let now = leader.clock.monotonic();
    let until = Monotonic(now.0 + ms(1_000));
    let share = |burst, number| v1::RateShare { rate: 100_000_000, burst, number };
    rate.take(&share(2, 6), until, Instant::now());
    rate.take(&share(10, 5), until, Instant::now());
    assert_eq!((0..10).filter(|_| rate.bucket().take(now).is_ok()).count(), 2);
    assert_eq!(rate.ask(0).using, 6);
    // One that is the same again begins a new term.
    rate.take(&share(2, 6), Monotonic(until.0 + ms(1_000)), Instant::now());
    assert!(rate.bucket().take(until).is_ok());
    // And the leader may know of none: what there is ends by itself.
    rate.take(&v1::RateShare { rate: 0, burst: 0, number: 0 }, now, Instant::now());
    assert!(rate.bucket().take(until).is_ok());
}

#[tokio::test(start_paused = true)]
async fn without_its_journal_a_life_leaves_its_leases_spent() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    let budget = book.budget(&budget_of("bot"), units(6_400));
    assert_eq!(pay(&budget, units(1)).await, Ok(()));
    let lent = leader.ledger(&budget_of("bot")).granted;
    drop((book, budget));
    let next = TestBook::start_in(&leader, 1, 2, Arc::new(tempfile::tempdir().unwrap()));
    let other = TestBook::start(&leader, 2);
    tokio::time::sleep(ms(200)).await; // expect(sleep): paused time
    let ledger = leader.ledger(&budget_of("bot"));
    assert_eq!((ledger.granted, ledger.leases.len()), (lent, 0), "spent, and nobody waits for it");
    drop((next, other));
}

#[tokio::test(start_paused = true)]
async fn where_leases_cannot_be_kept_nothing_is_borrowed() {
    let leader = Leader::new();
    let folder = Arc::new(tempfile::tempdir().unwrap());
    std::fs::create_dir(folder.path().join("leases.journal")).unwrap();
    let book = TestBook::start_in(&leader, 1, 1, Arc::clone(&folder));
    tokio::time::sleep(ms(100)).await; // expect(sleep): paused time
    let budget = book.budget(&budget_of("bot"), units(10));
    assert_eq!(pay(&budget, units(1)).await, Err(Dry::Late));
    assert!(leader.asks().is_empty());
    let rate = book.book.rate(&rate_of("bot"), &rate_terms(10, 10)).unwrap();
    assert_eq!(rate.share(Instant::now() + ms(500)).await, Ok(()), "rates need no journal");
    std::fs::remove_dir(folder.path().join("leases.journal")).unwrap();
    tokio::time::sleep(ms(6_000)).await; // expect(sleep): paused time, the next attempt
    assert_eq!(pay(&budget, units(1)).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn costs_beyond_what_was_lent_become_debt() {
    let leader = Leader::new();
    let book = TestBook::start(&leader, 1);
    let budget = book.budget(&budget_of("bot"), units(10));
    assert_eq!(pay(&budget, units(1)).await, Ok(()));
    let ledger = budget.purse().spend(Micros::ZERO).unwrap().ledger();
    for amount in [units(3), units(4)] {
        budget.beyond(&Debt { account: 0, ledger, amount });
    }
    tokio::time::sleep(ms(200)).await; // expect(sleep): paused time
    assert_eq!(leader.ledger(&budget_of("bot")).debt, units(7));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_lends_nothing_is_not_waited_for() {
    let leader = Leader::new();
    leader.refuse(true);
    let book = TestBook::start(&leader, 1);
    let budget = book.budget(&budget_of("bot"), units(10));
    assert_eq!(pay(&budget, units(1)).await, Err(Dry::Late));
    let (start, asks) = (Instant::now(), leader.asks().len());
    assert_eq!(pay(&budget, units(1)).await, Err(Dry::Late));
    assert_eq!((start.elapsed(), leader.asks().len()), (ms(0), asks));
    leader.refuse(false);
    tokio::time::sleep(ms(caps::LEND_AGAIN_MS)).await; // expect(sleep): paused time
    assert_eq!(pay(&budget, units(1)).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_rate_is_shared_and_goes_on_alone_without_a_leader() {
    let (leader, mut time) = (Leader::new(), JoinSet::new());
    leader.keep_time(&mut time);
    let books = [1, 2].map(|node| TestBook::start(&leader, node));
    tokio::time::sleep(ms(100)).await; // expect(sleep): paused time
    let rate = books[0].book.rate(&rate_of("bot"), &rate_terms(100, 10)).unwrap();
    let take = || rate.bucket().take(leader.clock.monotonic()).is_ok();
    assert!(!take(), "nothing before a share");
    rate.note_demand();
    let start = Instant::now();
    assert_eq!(rate.share(start + ms(500)).await, Ok(()));
    assert!(start.elapsed() < ms(50), "asked for at once");
    assert_eq!((0..20).filter(|_| take()).count(), 10, "the first share begins full");
    // It is renewed for as long as calls come.
    for _ in 0..100 {
        rate.note_demand();
        tokio::time::sleep(ms(100)).await; // expect(sleep): paused time
        assert!(take());
    }
    leader.be_in_reach(false);
    let mut calls = 0;
    for second in 0..20 {
        let start = Instant::now();
        calls = 0;
        while start.elapsed() < ms(1_000) {
            rate.note_demand();
            calls += u32::from(take());
            tokio::time::sleep(ms(2)).await; // expect(sleep): paused time
        }
        // Its share for up to 5 s, then its equal part of two nodes.
        assert!(calls <= 110 && calls > 0, "second {second}: {calls}");
    }
    assert!((45..=51).contains(&calls), "{calls}");
    leader.be_in_reach(true);
    for _ in 0..30 {
        rate.note_demand();
        tokio::time::sleep(ms(100)).await; // expect(sleep): paused time
    }
    assert!((0..10).filter(|_| take()).count() >= 9, "the whole burst again");
}

#[tokio::test(start_paused = true)]
async fn a_rate_that_nobody_uses_is_given_up() {
    let (leader, mut time) = (Leader::new(), JoinSet::new());
    leader.keep_time(&mut time);
    let book = TestBook::start(&leader, 1);
    let rate = book.book.rate(&rate_of("bot"), &rate_terms(100, 10)).unwrap();
    rate.note_demand();
    assert_eq!(rate.share(Instant::now() + ms(500)).await, Ok(()));
    tokio::time::sleep(ms(2_000 * caps::RATE_IDLE_SECONDS)).await; // expect(sleep): paused time
    assert!(leader.ticks().last().unwrap().rates.is_empty());
    assert!(rate.bucket().take(leader.clock.monotonic()).is_err(), "its share ended");
    let ticks = leader.ticks().len();
    tokio::time::sleep(ms(10_000)).await; // expect(sleep): paused time
    assert!((9..=11).contains(&(leader.ticks().len() - ticks)), "a sign of life each second");
    assert_eq!(rate.share(Instant::now() + ms(500)).await, Ok(()), "wanted again");
    drop(rate);
    tokio::time::sleep(ms(90_000)).await; // expect(sleep): paused time
    assert_eq!(book.book.limits(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_share_holds_from_before_it_was_asked_for() {
    let (leader, mut time) = (Leader::new(), JoinSet::new());
    leader.keep_time(&mut time);
    let book = TestBook::start(&leader, 1);
    tokio::time::sleep(ms(100)).await; // expect(sleep): paused time
    let rate = book.book.rate(&rate_of("bot"), &rate_terms(100, 10)).unwrap();
    let asked = Instant::now();
    assert_eq!(rate.share(asked + ms(500)).await, Ok(()));
    assert!(asked.elapsed() >= ms(10), "the answer took a while");
    leader.be_silent(true);
    let term = Duration::from_millis(caps::SHARE_SECONDS * 10 * (100 - caps::SHARE_DRIFT_PERCENT));
    tokio::time::sleep_until(asked + term - ms(5)).await; // expect(sleep): paused time
    assert!(rate.bucket().take(leader.clock.monotonic()).is_ok());
    tokio::time::sleep_until(asked + term + ms(5)).await; // expect(sleep): paused time
    assert!(rate.bucket().take(leader.clock.monotonic()).is_err());
}

#[tokio::test(start_paused = true)]
async fn every_rate_is_asked_for_in_time_however_many_there_are() {
    let (leader, mut time) = (Leader::new(), JoinSet::new());
    leader.keep_time(&mut time);
    let book = TestBook::start(&leader, 1);
    let rates: Vec<_> = (0..3 * caps::LEND_RATES_MAX)
        .map(|agent| book.book.rate(&rate_of(&format!("bot-{agent}")), &rate_terms(100, 10)).unwrap())
        .collect();
    let mut waiting = JoinSet::new();
    for rate in rates.clone() {
        waiting.spawn(async move { rate.share(Instant::now() + ms(500)).await });
    }
    while let Some(found) = waiting.join_next().await {
        assert_eq!(found.unwrap(), Ok(()));
    }
    for _ in 0..8 {
        rates.iter().for_each(|rate| rate.note_demand());
        tokio::time::sleep(ms(1_000)).await; // expect(sleep): paused time
        assert!(rates.iter().all(|rate| rate.bucket().take(leader.clock.monotonic()).is_ok()));
    }
    assert!(leader.ticks().iter().all(|tick| tick.rates.len() <= caps::LEND_RATES_MAX));
}

/// What happens to books in the property test below.
#[derive(Debug, Clone, Copy)]
enum Event {
    Calls { book: usize, calls: u64, cost: u64 },
    Cut,
    Lose,
    Crash(usize),
    PowerLoss(usize),
    Wait(u64),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        8 => (0..3_usize, 1..60_u64, 1..40_u64)
            .prop_map(|(book, calls, cost)| Event::Calls { book, calls, cost: cost * 100_000 }),
        1 => Just(Event::Cut),
        1 => Just(Event::Lose),
        1 => (0..3_usize).prop_map(Event::Crash),
        1 => (0..3_usize).prop_map(Event::PowerLoss),
        2 => (1..3_000_u64).prop_map(Event::Wait),
    ]
}

/// What clients were told stays within the budget whatever happens to nodes and leader; judged by what they were told (LIM-1).
async fn never_more_than_the_budget(events: Vec<Event>) -> Result<(), TestCaseError> {
    let (limit, key) = (units(50), budget_of("bot"));
    let leader = Leader::new();
    let mut lives = [1_u64; 3];
    let mut books: Vec<TestBook> = [1, 2, 3].map(|node| TestBook::start(&leader, node)).into();
    let (mut told, mut power_lost) = (0, false);
    for event in events {
        match event {
            Event::Calls { book, calls, cost } => {
                let budget = books[book].budget(&key, limit);
                let mut running = JoinSet::new();
                for _ in 0..calls {
                    let budget = Arc::clone(&budget);
                    running.spawn(async move { pay(&budget, Micros(cost)).await });
                }
                while let Some(paid) = running.join_next().await {
                    told += paid.unwrap().map_or(0, |()| cost);
                }
            }
            Event::Cut => {
                leader.be_in_reach(false);
                tokio::time::sleep(ms(300)).await; // expect(sleep): paused time
                leader.be_in_reach(true);
            }
            Event::Lose => leader.lose_answers(1),
            Event::Crash(book) | Event::PowerLoss(book) => {
                let folder = books.remove(book).crash().await;
                lives[book] += 1;
                let next = match event {
                    Event::Crash(_) => folder,
                    _ => {
                        power_lost = true;
                        Arc::new(tempfile::tempdir().unwrap())
                    }
                };
                books.insert(book, TestBook::start_in(&leader, book as u64 + 1, lives[book], next));
            }
            Event::Wait(time) => tokio::time::sleep(ms(time)).await, // expect(sleep): paused time
        }
        prop_assert!(told <= limit.0, "{told} of {}", limit.0);
    }
    // Everything comes back in the end, and the ledger knows to the millionth what clients were told.
    leader.be_in_reach(true);
    leader.lose_answers(0);
    tokio::time::sleep(OPENED).await; // expect(sleep): paused time
    for book in &books {
        book.book.close().await;
    }
    let ledgers = leader.ledgers();
    let granted = ledgers.iter().map(|ledger| ledger.granted.0).sum::<u64>();
    prop_assert!(granted >= told);
    prop_assert!(ledgers.iter().all(|ledger| ledger.leases.is_empty()));
    if !power_lost {
        prop_assert_eq!(granted, told);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn nothing_that_happens_spends_more_than_the_budget(events in prop::collection::vec(event(), 1..25)) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(never_more_than_the_budget(events))?;
    }
}
