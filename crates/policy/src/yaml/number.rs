//! Numbers: the grammar of JSON, exact or refused.

use aegis_model::json::{self, JsonErrorKind};
use serde_json::{Number, Value};

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

/// The number that `text`, in JSON's grammar, means: read as the parameters of a call are, so that the two compare.
pub(super) fn read_number(text: &str) -> Result<Number, NumberProblem> {
    match json::read(text.as_bytes(), json::Limits::default()) {
        Ok(Value::Number(number)) => Ok(number),
        Err(error) if error.kind() == JsonErrorKind::IntegerRange => Err(NumberProblem::TooLarge),
        Ok(_) | Err(_) => Err(NumberProblem::Inexact),
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
