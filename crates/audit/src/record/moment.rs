//! A moment in the one form that [`aegis_model::utc::Utc`] writes.

use aegis_model::clock::UnixNanos;
use aegis_model::utc::Utc;
use serde::{Deserialize, Deserializer, Serializer};

/// Reads `2026-11-23T05:16:00.000000001Z`. Days that the calendar lacks come out as others, and so are found when the
/// record is written again and compared.
pub(crate) fn read<'de, D: Deserializer<'de>>(from: D) -> Result<UnixNanos, D::Error> {
    let text = String::deserialize(from)?;
    parse(&text).ok_or_else(|| serde::de::Error::custom("not a moment"))
}

/// Writes the same form.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(crate) fn write<S: Serializer>(moment: &UnixNanos, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(&Utc(*moment))
}

pub(crate) fn parse(text: &str) -> Option<UnixNanos> {
    if text.len() != 30 || !text.is_ascii() {
        return None;
    }
    let number = |from: usize, to: usize| {
        let digits = &text[from..to];
        digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse::<u64>().ok()).flatten()
    };
    let days = days(number(0, 4)?, number(5, 7)?, number(8, 10)?)?;
    let seconds =
        days.checked_mul(86_400)? + number(11, 13)? * 3_600 + number(14, 16)? * 60 + number(17, 19)?;
    seconds.checked_mul(1_000_000_000)?.checked_add(number(20, 29)?).map(UnixNanos)
}

/// The days from 1970-01-01 to this one, in years that begin with March, so that a leap day is the last of its year.
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || year < 1970 {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year / 400, year % 400);
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_is_read_as_it_is_written() {
        for day in 0..160_000_u64 {
            let moment = UnixNanos(day * 86_400_000_000_000 + day * 7_919 + 86_399_000_000_001);
            assert_eq!(parse(&Utc(moment).to_string()), Some(moment));
        }
        assert_eq!(parse(&Utc(UnixNanos(u64::MAX)).to_string()), Some(UnixNanos(u64::MAX)));
    }
}
