//! Money and other exact quantities, as integers of a millionth of the unit.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A non-negative quantity in millionths of its unit. On the wire: a decimal string such as `"0.25"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Micros(pub u64);

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a quantity is a decimal number such as `0.25`, not negative, with at most 6 decimals and at most 12 digits before the point"
)]
pub struct BadQuantity;

/// Millionths in one unit.
const SCALE: u64 = 1_000_000;

impl Micros {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The largest quantity that has a text: `999999999999.999999`, less than 2^60.
    pub const MAX: Self = Self(999_999_999_999_999_999);

    /// So many whole units, if that is a quantity.
    pub const fn of_units(units: u64) -> Option<Self> {
        match units.checked_mul(SCALE) {
            Some(micros) if micros <= Self::MAX.0 => Some(Self(micros)),
            _ => None,
        }
    }

    /// The sum, if it is a quantity: at most [`Self::MAX`].
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) if sum <= Self::MAX.0 => Some(Self(sum)),
            _ => None,
        }
    }

    /// The difference, if it is not negative.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) => Some(Self(rest)),
            None => None,
        }
    }

    /// The difference, or nothing where it would be negative.
    pub const fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// The sum, or [`Self::MAX`] where that is exceeded.
    pub const fn saturating_add(self, other: Self) -> Self {
        match self.checked_add(other) {
            Some(sum) => sum,
            None => Self::MAX,
        }
    }

    /// Whether it is nothing.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for Micros {
    type Err = BadQuantity;

    fn from_str(text: &str) -> Result<Self, BadQuantity> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str, max: usize| {
            (1..=max).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit())
        };
        if !digits(whole, 12) || !digits(fraction, 6) || (whole.len() > 1 && whole.starts_with('0')) {
            return Err(BadQuantity);
        }
        let units: u64 = whole.parse().map_err(|_| BadQuantity)?;
        let millionths: u64 = format!("{fraction:0<6}").parse().map_err(|_| BadQuantity)?;
        Ok(Self(units * SCALE + millionths))
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (units, rest) = (self.0 / SCALE, self.0 % SCALE);
        if rest == 0 {
            return write!(f, "{units}");
        }
        write!(f, "{units}.{}", format!("{rest:06}").trim_end_matches('0'))
    }
}

impl TryFrom<String> for Micros {
    type Error = BadQuantity;
    fn try_from(text: String) -> Result<Self, BadQuantity> {
        text.parse()
    }
}

impl From<Micros> for String {
    fn from(quantity: Micros) -> String {
        quantity.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_exact_both_ways() {
        for (text, micros) in [
            ("0", 0),
            ("0.25", 250_000),
            ("20", 20_000_000),
            ("0.000001", 1),
            ("999999999999.999999", 999_999_999_999_999_999),
        ] {
            let read: Micros = text.parse().expect("a quantity");
            assert_eq!((read.0, read.to_string().as_str()), (micros, text));
        }
    }

    #[test]
    fn sums_stay_quantities_and_differences_stay_positive() {
        let one = Micros(1);
        assert_eq!(Micros::MAX.checked_add(one), None);
        assert_eq!(Micros::MAX.saturating_add(one), Micros::MAX);
        assert_eq!(Micros(u64::MAX).checked_add(Micros(u64::MAX)), None);
        assert_eq!(Micros(2).checked_add(one), Some(Micros(3)));
        assert_eq!((one.checked_sub(Micros(2)), one.saturating_sub(Micros(2))), (None, Micros::ZERO));
        assert_eq!(Micros::of_units(20), Some(Micros(20_000_000)));
        assert_eq!((Micros::of_units(1_000_000_000_000), Micros::of_units(u64::MAX)), (None, None));
        assert_eq!(Micros::MAX.to_string().parse(), Ok(Micros::MAX));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", "-1", "+1", "1e3", ".5", "5.", "0.0000001", "01", "1,5", "1000000000000", " 1", "NaN"]
        {
            assert_eq!(text.parse::<Micros>(), Err(BadQuantity), "{text:?}");
        }
    }
}
