//! What a call pays for being counted: one lease, one bucket, and all of a hierarchy of four levels.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use aegis_limits::bucket::Bucket;
use aegis_limits::hierarchy::{Account, Hierarchy, Level};
use aegis_limits::lease::Lease;
use aegis_limits::ledger::LeaseId;
use aegis_limits::pace::Pace;
use aegis_limits::purse::Purse;
use aegis_model::caps::{BURST_MAX, RATE_MAX};
use aegis_model::clock::Monotonic;
use aegis_model::money::Micros;
use criterion::{Criterion, criterion_group, criterion_main};

const COST: Micros = Micros(1);

fn bucket() -> Bucket {
    let rate = Micros::of_units(u64::from(RATE_MAX)).expect("the bound of rates is a quantity");
    Bucket::new(Pace::new(rate, BURST_MAX).expect("within the bounds"))
}

fn purse() -> Purse {
    let purse = Purse::default();
    purse.add(&Arc::new(Lease::open(LeaseId(1), Micros::MAX))).expect("an empty purse has room");
    purse
}

/// A budget at every level, and a rate at as many of the lowest ones.
fn hierarchy(rates: usize) -> Arc<Hierarchy> {
    let account = |(at, level)| {
        let bucket = (at >= LEVELS - rates).then(|| Arc::new(bucket()));
        Account { level, bucket, purse: Some(Arc::new(purse())) }
    };
    Arc::new(Hierarchy::new(Level::ALL.into_iter().enumerate().map(account).collect()))
}

const LEVELS: usize = Level::ALL.len();

/// A clock of one call per microsecond, so that no bucket runs dry.
fn ticking() -> impl FnMut() -> Monotonic {
    let mut now = Duration::from_secs(1);
    move || {
        now += Duration::from_micros(1);
        Monotonic(now)
    }
}

fn spend(c: &mut Criterion) {
    let lease: Lease = Lease::open(LeaseId(1), Micros::MAX);
    c.bench_function("spend/lease", |b| b.iter(|| black_box(&lease).spend(black_box(COST))));

    let one = purse();
    c.bench_function("spend/purse", |b| b.iter(|| black_box(&one).spend(black_box(COST))));

    let (bucket, mut now) = (bucket(), ticking());
    c.bench_function("spend/bucket", |b| b.iter(|| black_box(&bucket).take(now())));

    for (name, rates) in [("spend/four_budgets_one_rate", 1), ("spend/four_budgets_four_rates", LEVELS)] {
        let (hierarchy, mut now) = (hierarchy(rates), ticking());
        let costs = hierarchy.costs(|_| COST);
        c.bench_function(name, |b| {
            b.iter(|| black_box(&hierarchy).reserve(black_box(&costs), now()).expect("it fits").commit())
        });
    }

    let (hierarchy, mut now) = (hierarchy(LEVELS), ticking());
    let costs = hierarchy.costs(|_| COST);
    c.bench_function("spend/reserved_and_refunded", |b| {
        b.iter(|| {
            let now = now();
            black_box(&hierarchy).reserve(black_box(&costs), now).expect("it fits").refund(now)
        })
    });
}

/// The same of limits that were looked up for one call.
fn spend_once(c: &mut Criterion) {
    let (lasting, mut now) = (hierarchy(1), ticking());
    c.bench_function("spend/put_together_for_one_call", |b| {
        b.iter(|| {
            let accounts = lasting.accounts().iter().map(|account| Account {
                level: account.level,
                bucket: account.bucket.clone(),
                purse: account.purse.clone(),
            });
            let hierarchy = Arc::new(Hierarchy::new(accounts.collect()));
            let costs = hierarchy.costs(|_| COST);
            hierarchy.reserve(black_box(&costs), now()).expect("it fits").commit()
        })
    });
}

criterion_group!(benches, spend, spend_once);
criterion_main!(benches);
