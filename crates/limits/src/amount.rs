//! Reading what a call says that it costs. A call is hostile input: what is not plainly an amount is refused.
//!
//! Amounts are [`Micros`]: integers of a millionth, whose plain spelling (`0.25`) and checked arithmetic are the model's.
//! Added here is the spelling of JSON numbers, in which the same amount may be `0.25`, `2.5e-1` or `25E-2`.

use aegis_model::caps::AMOUNT_BYTES_MAX;
use aegis_model::money::Micros;
use serde_json::Value;

/// Why something is not an amount. The value itself is not told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAmount {
    /// No number and no text that spells one.
    #[error("an amount is a decimal number")]
    NotANumber,
    /// It has a minus, be it of zero.
    #[error("an amount is not negative")]
    Negative,
    /// It is not a whole number of millionths.
    #[error("an amount has at most 6 decimals")]
    TooFine,
    /// It has more than 12 digits before the point.
    #[error("an amount has at most 12 digits before the point")]
    TooLarge,
}

/// Reads an amount from a value of a call: a number, or a text that spells one plainly.
///
/// # Errors
/// When it is anything else, negative, finer than a millionth or larger than [`Micros::MAX`].
pub fn from_json(value: &Value) -> Result<Micros, BadAmount> {
    match value {
        Value::Number(number) => from_number_text(&number.to_string()),
        Value::String(text) if text.starts_with('-') => Err(BadAmount::Negative),
        Value::String(text) => text.parse().map_err(|_| BadAmount::NotANumber),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(BadAmount::NotANumber),
    }
}

/// Reads an amount from the text of a JSON number (RFC 8259), exactly: nothing is rounded.
///
/// # Errors
/// As [`from_json`]; also when the text is longer than [`AMOUNT_BYTES_MAX`].
pub fn from_number_text(text: &str) -> Result<Micros, BadAmount> {
    if text.starts_with('-') {
        return Err(BadAmount::Negative);
    }
    if text.len() > AMOUNT_BYTES_MAX {
        return Err(BadAmount::NotANumber);
    }
    let (decimal, exponent) = match text.split_once(['e', 'E']) {
        Some((decimal, exponent)) => (decimal, read_exponent(exponent)?),
        None => (text, 0),
    };
    let (whole, fraction) = match decimal.split_once('.') {
        Some((whole, fraction)) => (digits(whole)?, digits(fraction)?),
        None => (digits(decimal)?, ""),
    };
    if whole.len() > 1 && whole.starts_with('0') {
        return Err(BadAmount::NotANumber);
    }
    // The value is `digits` times ten to the power of `scale`, in millionths.
    let digits = format!("{whole}{fraction}");
    let scale = 6 + exponent - i64::try_from(fraction.len()).unwrap_or(i64::MAX);
    scaled(&digits, scale)
}

/// One digit or more, and nothing else.
fn digits(text: &str) -> Result<&str, BadAmount> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then_some(text).ok_or(BadAmount::NotANumber)
}

/// An exponent with its sign. One of many digits is as good as the largest: zero stays zero, and all else is absurd.
fn read_exponent(text: &str) -> Result<i64, BadAmount> {
    let (sign, magnitude) = match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        _ => (1, text),
    };
    let magnitude = digits(magnitude)?.parse().unwrap_or(i64::from(u32::MAX)).min(i64::from(u32::MAX));
    Ok(sign * magnitude)
}

fn scaled(digits: &str, scale: i64) -> Result<Micros, BadAmount> {
    let significant = digits.trim_start_matches('0');
    let mantissa = significant.trim_end_matches('0');
    if mantissa.is_empty() {
        return Ok(Micros::ZERO);
    }
    let zeros = i64::try_from(significant.len() - mantissa.len()).unwrap_or(i64::MAX) + scale;
    let length = i64::try_from(mantissa.len()).unwrap_or(i64::MAX);
    // 18 digits: 12 before the point and 6 after it. Size is told before fineness, since a large amount is the graver lie.
    if length + zeros > 18 {
        return Err(BadAmount::TooLarge);
    }
    let zeros = u32::try_from(zeros).map_err(|_| BadAmount::TooFine)?;
    let mantissa: u64 = mantissa.parse().map_err(|_| BadAmount::TooLarge)?;
    let micros = 10_u64.checked_pow(zeros).and_then(|power| mantissa.checked_mul(power));
    micros.map(Micros).filter(|amount| *amount <= Micros::MAX).ok_or(BadAmount::TooLarge)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn one_amount_has_many_spellings() {
        for (text, micros) in [
            ("0", 0),
            ("0.0", 0),
            ("0e99999999999999999999", 0),
            ("0.25", 250_000),
            ("0.2500000000", 250_000),
            ("2.5e-1", 250_000),
            ("25E-2", 250_000),
            ("1e-6", 1),
            ("0.000001", 1),
            ("1e3", 1_000_000_000),
            ("1.5e+3", 1_500_000_000),
            ("20.0", 20_000_000),
            ("999999999999.999999", 999_999_999_999_999_999),
            ("999999999999999999e-6", 999_999_999_999_999_999),
        ] {
            assert_eq!(from_number_text(text), Ok(Micros(micros)), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_by_its_fault() {
        let long = "1".repeat(AMOUNT_BYTES_MAX + 1);
        for (text, fault) in [
            ("-1", BadAmount::Negative),
            ("-0", BadAmount::Negative),
            ("-1e-99", BadAmount::Negative),
            ("1e-7", BadAmount::TooFine),
            ("0.0000001", BadAmount::TooFine),
            ("1.0000001", BadAmount::TooFine),
            ("1e-99999999999999999999", BadAmount::TooFine),
            ("1e12", BadAmount::TooLarge),
            ("1000000000000", BadAmount::TooLarge),
            ("1e308", BadAmount::TooLarge),
            ("1e99999999999999999999", BadAmount::TooLarge),
            ("18446744073709551616", BadAmount::TooLarge),
            ("", BadAmount::NotANumber),
            ("NaN", BadAmount::NotANumber),
            ("inf", BadAmount::NotANumber),
            ("Infinity", BadAmount::NotANumber),
            ("+1", BadAmount::NotANumber),
            ("01", BadAmount::NotANumber),
            (".5", BadAmount::NotANumber),
            ("5.", BadAmount::NotANumber),
            ("1e", BadAmount::NotANumber),
            ("1e+", BadAmount::NotANumber),
            ("1e1.5", BadAmount::NotANumber),
            ("1,5", BadAmount::NotANumber),
            ("0x10", BadAmount::NotANumber),
            (" 1", BadAmount::NotANumber),
            ("1_000", BadAmount::NotANumber),
            ("\u{0661}", BadAmount::NotANumber),
            (&long, BadAmount::NotANumber),
        ] {
            assert_eq!(from_number_text(text), Err(fault), "{text:?}");
        }
    }

    #[test]
    fn values_of_a_call_are_numbers_or_plain_texts() {
        assert_eq!(from_json(&json!(0.25)), Ok(Micros(250_000)));
        assert_eq!(from_json(&json!(7)), Ok(Micros(7_000_000)));
        assert_eq!(from_json(&json!("0.25")), Ok(Micros(250_000)));
        assert_eq!(from_json(&json!(0.000_001)), Ok(Micros(1)));
        assert_eq!(from_json(&json!(-0.0)), Err(BadAmount::Negative));
        assert_eq!(from_json(&json!(u64::MAX)), Err(BadAmount::TooLarge));
        assert_eq!(from_json(&json!("-1")), Err(BadAmount::Negative));
        for value in [json!(null), json!(true), json!([1]), json!({"value": 1}), json!("1e3"), json!("")] {
            assert_eq!(from_json(&value), Err(BadAmount::NotANumber), "{value}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_reading_are_inverse(micros in 0..=Micros::MAX.0) {
            let amount = Micros(micros);
            prop_assert_eq!(from_number_text(&amount.to_string()), Ok(amount));
            prop_assert_eq!(from_number_text(&format!("{micros}e-6")), Ok(amount));
            prop_assert_eq!(amount.to_string().parse(), Ok(amount));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[-+0-9.eE]{0,70}|.{0,20}") {
            if let Ok(amount) = from_number_text(&text) {
                prop_assert!(amount <= Micros::MAX);
            }
        }
    }
}
