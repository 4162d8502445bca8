//! Numbers: the grammar of JSON, exact or refused.

use aegis_model::caps::JSON_INTEGER_MAX;
use serde_json::Number;

/// Why a text in JSON's number grammar is no usable number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberProblem {
    /// An integer beyond ±2^53.
    TooLarge,
    /// A decimal that a double does not give back.
    Inexact,
}

/// Whether `text` is a number by JSON's grammar.
pub(super) fn is_json_number(text: &str) -> bool {
    let bytes = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(bytes);
    if whole == 0 || (whole > 1 && bytes[0] == b'0') {
        return false;
    }
    let mut rest = &bytes[whole..];
    if let [b'.', fraction @ ..] = rest {
        let count = digits(fraction);
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    if let [b'e' | b'E', exponent @ ..] = rest {
        let unsigned = match exponent {
            [b'+' | b'-', unsigned @ ..] => unsigned,
            unsigned => unsigned,
        };
        return !unsigned.is_empty() && digits(unsigned) == unsigned.len();
    }
    rest.is_empty()
}

/// The number that `text`, in JSON's grammar, means. Integral values become integers, as in a call's parameters.
pub(super) fn read_number(text: &str) -> Result<Number, NumberProblem> {
    let decimal = Decimal::of(text).ok_or(NumberProblem::Inexact)?;
    if decimal.exponent >= 0 {
        return decimal.integer().map(Number::from).ok_or(NumberProblem::TooLarge);
    }
    let double: f64 = text.parse().map_err(|_| NumberProblem::Inexact)?;
    if !double.is_finite() || Decimal::of(&format!("{double:e}")).as_ref() != Some(&decimal) {
        return Err(NumberProblem::Inexact);
    }
    Number::from_f64(double).ok_or(NumberProblem::Inexact)
}

/// A decimal in lowest terms: `digits` has no zero at either end, zero is the empty string.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Decimal {
    fn of(text: &str) -> Option<Self> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let end = all.trim_end_matches('0');
        let exponent = i64::from(exponent) - fraction.len() as i64 + (all.len() - end.len()) as i64;
        let digits = end.trim_start_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        Some(Self { negative, digits, exponent })
    }

    fn integer(&self) -> Option<i64> {
        if self.digits.is_empty() {
            return Some(0);
        }
        let zeros = u32::try_from(self.exponent).ok().filter(|&zeros| zeros <= 16)?;
        let magnitude = self.digits.parse::<i64>().ok()?.checked_mul(10_i64.pow(zeros))?;
        (magnitude <= JSON_INTEGER_MAX).then_some(if self.negative { -magnitude } else { magnitude })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_that_of_json() {
        for good in ["0", "-0", "10", "0.5", "-1.25e-3", "1E+5", "1e5"] {
            assert!(is_json_number(good), "{good}");
        }
        for bad in ["", "-", "01", "1.", ".5", "+1", "1e", "1e+", "0x1", "1_0", "1 ", "NaN", "--1"] {
            assert!(!is_json_number(bad), "{bad}");
        }
    }

    #[test]
    fn integral_values_are_integers() {
        for (text, value) in [
            ("5", 5),
            ("5.0", 5),
            ("5e3", 5000),
            ("-0", 0),
            ("0.0e9", 0),
            ("9007199254740992", 1_i64 << 53),
            ("12.50e1", 125),
        ] {
            assert_eq!(read_number(text), Ok(Number::from(value)), "{text}");
        }
    }

    #[test]
    fn what_a_double_does_not_hold_is_refused() {
        for text in ["9007199254740993", "-9007199254740993", "1e16", "1e400", "1e99999999999"] {
            assert!(read_number(text).is_err(), "{text}");
        }
        for text in ["0.1234567890123456789", "1e-400", "9007199254740991.5"] {
            assert_eq!(read_number(text), Err(NumberProblem::Inexact), "{text}");
        }
        for text in ["0.1", "0.10", "1e-7", "4999.99", "123456789.125"] {
            assert!(read_number(text).is_ok(), "{text}");
        }
    }
}
