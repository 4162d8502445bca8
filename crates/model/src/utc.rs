//! A moment as RFC 3339 text in UTC, with nanoseconds.

use std::fmt;

use crate::clock::UnixNanos;

/// Displays a moment as `2026-11-23T05:16:00.000000001Z`: always 30 characters, so that texts sort as times do.
#[derive(Debug, Clone, Copy)]
pub struct Utc(pub UnixNanos);

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.seconds();
        let (year, month, day) = civil(seconds / 86_400);
        let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
        let nanos = self.0.0 % 1_000_000_000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanos:09}Z")
    }
}

impl serde::Serialize for Utc {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a moment in UTC: `2026-11-23T05:16:00Z`, with up to nine decimals of a second. Nothing for anything else: another zone, a
/// day that the calendar lacks, a leap second.
pub fn read(text: &str) -> Option<UnixNanos> {
    let whole = text.strip_suffix('Z').filter(|_| text.is_ascii())?;
    let (seconds, decimals) = whole.split_once('.').unwrap_or((whole, "0"));
    let sound = seconds.len() == 19 && (1..=9).contains(&decimals.len());
    let digits = |from: usize, to: usize| number(seconds.get(from..to)?);
    let days = days(digits(0, 4)?, digits(5, 7)?, digits(8, 10)?)?;
    let seconds =
        days.checked_mul(86_400)? + digits(11, 13)? * 3_600 + digits(14, 16)? * 60 + digits(17, 19)?;
    let nanos = number(&format!("{decimals:0<9}"))?;
    let at = UnixNanos(seconds.checked_mul(1_000_000_000)?.checked_add(nanos)?);
    // What was written in another way, or does not exist, comes out as something else.
    let same = Utc(at).to_string().get(..19) == whole.get(..19);
    (sound && same).then_some(at)
}

fn number(digits: &str) -> Option<u64> {
    digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok()).flatten()
}

/// The days from 1970-01-01 to this one: [`civil`] the other way round.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).checked_sub(719_468)
}

/// The day that lies `days` after 1970-01-01, in the proleptic Gregorian calendar. Counts in eras of 400 years
/// that begin on a first of March, so that a leap day is the last day of its year.
fn civil(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_it_is_written_and_as_people_write_it() {
        for day in 0..60_000_u64 {
            let moment = UnixNanos(day * 86_400_000_000_000 + day * 7_919 + 86_399_000_000_001);
            assert_eq!(read(&Utc(moment).to_string()), Some(moment));
        }
        let minute = UnixNanos(1_795_780_800_000_000_000);
        for text in ["2026-11-27T12:00:00Z", "2026-11-27T12:00:00.0Z", "2026-11-27T12:00:00.000000000Z"] {
            assert_eq!(read(text), Some(minute), "{text}");
        }
        assert_eq!(read("2026-11-27T12:00:00.25Z"), Some(UnixNanos(minute.0 + 250_000_000)));
        for text in [
            "",
            "Z",
            "2026-11-27",
            "2026-11-27T12:00:00",
            "2026-11-27T12:00:00+00:00",
            "2026-11-27 12:00:00Z",
            "2026-11-27T12:00:00.Z",
            "2026-11-27T12:00:00.0000000000Z",
            "2026-11-27T12:00:00.-1Z",
            "2026-02-30T12:00:00Z",
            "2026-13-01T12:00:00Z",
            "2026-11-27T24:00:00Z",
            "2026-11-27T12:00:60Z",
            "1969-12-31T23:59:59Z",
            "9999-12-31T23:59:59Z",
            "2026-11-27T12:00:0\u{e9}Z",
            "+026-11-27T12:00:00Z",
            "2026-11-27t12:00:00Z",
            "2026-11-27T12:00:00z",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn moments_are_written_as_the_calendar_has_them() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000007Z"),
            (951_782_399, "2000-02-28T23:59:59.000000007Z"),
            (951_782_400, "2000-02-29T00:00:00.000000007Z"),
            (1_709_251_199, "2024-02-29T23:59:59.000000007Z"),
            (1_767_225_599, "2025-12-31T23:59:59.000000007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000007Z"),
        ] {
            assert_eq!(Utc(UnixNanos(seconds * 1_000_000_000 + 7)).to_string(), text);
        }
    }
}
