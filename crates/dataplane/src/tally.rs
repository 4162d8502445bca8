//! Calls that are refused without a decision: each is counted, and each source gets one record per code and second.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aegis_model::clock::UnixNanos;
use aegis_model::ids::TenantId;
use aegis_model::reason::ReasonCode;
use papaya::HashMap;

/// Who is counted apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Source {
    /// An address; of IPv6 the first 64 bits, since one machine has all the rest.
    Address(IpAddr),
    /// A tenant, once proven.
    Tenant(TenantId),
    /// Everybody beyond [`aegis_model::caps::REFUSAL_SOURCES_MAX`].
    Others,
}

impl Source {
    /// The source that `address` belongs to.
    pub(crate) fn of(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(IpAddr::V6(v6)) => write!(f, "address:{v6}/64"),
            Self::Address(v4) => write!(f, "address:{v4}"),
            Self::Tenant(tenant) => write!(f, "tenant:{tenant}"),
            Self::Others => f.write_str("others"),
        }
    }
}

/// The counters of all sources. Without locks.
#[derive(Debug)]
pub(crate) struct Tally {
    counters: HashMap<(Source, ReasonCode), Arc<Counter>>,
    sources_max: usize,
}

#[derive(Debug)]
struct Counter {
    /// The second of the last record; `u64::MAX` before the first.
    told: AtomicU64,
    /// How many since then.
    untold: AtomicU64,
}

/// A record that is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) source: Source,
    pub(crate) code: ReasonCode,
    pub(crate) count: u64,
}

impl Tally {
    pub(crate) fn new(sources_max: usize) -> Self {
        Self { counters: HashMap::new(), sources_max }
    }

    /// Counts one refused call. The first of its second gives a record, with those that no record told of yet.
    pub(crate) fn note(&self, source: Source, code: ReasonCode, now: UnixNanos) -> Option<Due> {
        let (key, counter) = self.count(source, code);
        let count = counter.take(now)?;
        Some(Due { source: key.0, code: key.1, count })
    }

    /// Counts one refused call, of which a later record tells.
    pub(crate) fn note_for_later(&self, source: Source, code: ReasonCode) {
        self.count(source, code);
    }

    fn count(&self, source: Source, code: ReasonCode) -> ((Source, ReasonCode), Arc<Counter>) {
        let counters = self.counters.pin();
        let mut key = (source, code);
        if counters.len() >= self.sources_max && !counters.contains_key(&key) {
            key.0 = Source::Others;
        }
        let counter = Arc::clone(counters.get_or_insert_with(key.clone(), || {
            Arc::new(Counter { told: AtomicU64::new(u64::MAX), untold: AtomicU64::new(0) })
        }));
        counter.untold.fetch_add(1, Ordering::Relaxed);
        (key, counter)
    }

    /// The records of sources that fell silent with calls untold, and forgets those without any. To be called about
    /// every second, and before the end.
    pub(crate) fn overdue(&self, now: UnixNanos) -> Vec<Due> {
        let counters = self.counters.pin();
        let due = counters.iter().filter_map(|((source, code), counter)| {
            let count = counter.take(now)?;
            Some(Due { source: source.clone(), code: *code, count })
        });
        let due = due.collect();
        let silent_since = now.seconds().saturating_sub(1);
        counters.retain(|_, counter| {
            let told = counter.told.load(Ordering::Relaxed);
            counter.untold.load(Ordering::Relaxed) > 0 || told >= silent_since
        });
        due
    }
}

impl Counter {
    /// Takes what is untold, if the last record was in another second.
    fn take(&self, now: UnixNanos) -> Option<u64> {
        let (told, second) = (self.told.load(Ordering::Relaxed), now.seconds());
        if told == second || self.untold.load(Ordering::Relaxed) == 0 {
            return None;
        }
        self.told.compare_exchange(told, second, Ordering::Relaxed, Ordering::Relaxed).ok()?;
        Some(self.untold.swap(0, Ordering::Relaxed)).filter(|&count| count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: ReasonCode = ReasonCode::Unauthenticated;

    fn source(text: &str) -> Source {
        Source::of(text.parse().unwrap())
    }

    fn count(due: Option<Due>) -> Option<u64> {
        due.map(|due| due.count)
    }

    #[test]
    fn a_source_gets_one_line_per_second_that_tells_of_all() {
        let tally = Tally::new(10);
        let note = |second| count(tally.note(source("10.0.0.1"), CODE, UnixNanos::from_seconds(second)));
        assert_eq!(note(5), Some(1));
        assert_eq!((note(5), note(5)), (None, None));
        assert_eq!(note(6), Some(3), "with the two before it");
        let other = tally.note(source("10.0.0.2"), CODE, UnixNanos::from_seconds(6));
        assert_eq!(count(other), Some(1), "another source has its own line");
    }

    #[test]
    fn the_end_of_a_burst_is_told_too() {
        let tally = Tally::new(10);
        for _ in 0..3 {
            tally.note(source("10.0.0.1"), CODE, UnixNanos::from_seconds(5));
        }
        assert_eq!(tally.overdue(UnixNanos::from_seconds(5)), []);
        let due = tally.overdue(UnixNanos::from_seconds(6));
        assert_eq!(due, [Due { source: source("10.0.0.1"), code: CODE, count: 2 }]);
        assert_eq!(tally.overdue(UnixNanos::from_seconds(7)), []);
        assert_eq!(tally.counters.len(), 1);
        tally.overdue(UnixNanos::from_seconds(9));
        assert_eq!(tally.counters.len(), 0, "a silent source is forgotten");
    }

    #[test]
    fn sources_are_bounded() {
        let tally = Tally::new(2);
        let note = |address| tally.note(source(address), CODE, UnixNanos::from_seconds(5)).unwrap().source;
        assert_eq!(note("10.0.0.1"), source("10.0.0.1"));
        assert_eq!(note("10.0.0.2"), source("10.0.0.2"));
        assert_eq!(note("10.0.0.3"), Source::Others);
        assert!(
            tally.note(source("10.0.0.4"), CODE, UnixNanos::from_seconds(5)).is_none(),
            "others share a line"
        );
    }

    #[test]
    fn a_machine_has_one_source_however_many_addresses() {
        assert_eq!(source("2001:db8:1:2:3::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:10.0.0.1"), source("10.0.0.1"));
        assert_eq!(source("2001:db8:1:2:3::1").to_string(), "address:2001:db8:1:2::/64");
    }
}
