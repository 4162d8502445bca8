//! Plain scalars by the YAML 1.2 core schema; those that other readers understand differently are refused.

use super::node::Kind;
use super::number::{NumberProblem, is_json_number, read_number};

/// Why a plain scalar is refused: what is wrong, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) help: String,
}

/// What an unquoted scalar means.
pub(super) fn resolve_plain(text: &str) -> Result<Kind, Refused> {
    match text {
        "" => return Ok(Kind::Nothing),
        "~" | "null" | "Null" | "NULL" => return Ok(Kind::Null),
        "true" | "True" | "TRUE" => return Ok(Kind::Bool(true)),
        "false" | "False" | "FALSE" => return Ok(Kind::Bool(false)),
        _ => {}
    }
    if is_yes_or_no(text) {
        return Err(Refused {
            code: "ambiguous-scalar",
            message: format!(
                "unquoted `{text}` means a boolean to some readers of YAML and a string to others"
            ),
            help: format!("write `true` or `false` for a boolean, or quote it: \"{text}\""),
        });
    }
    if is_json_number(text) {
        return resolve_number(text);
    }
    if looks_numeric(text) {
        return Err(Refused {
            code: "ambiguous-scalar",
            message: format!(
                "unquoted `{}` is a number to some readers of YAML, and not the same to all",
                shorten(text)
            ),
            help: format!(
                "write a plain decimal number such as `10` or `0.5`, or quote it: \"{}\"",
                shorten(text)
            ),
        });
    }
    Ok(Kind::Text(text.into()))
}

/// The number that `text`, in JSON's grammar, means.
pub(super) fn resolve_number(text: &str) -> Result<Kind, Refused> {
    let message = match read_number(text) {
        Ok(number) => return Ok(Kind::Number(number, text.into())),
        Err(NumberProblem::TooLarge) => format!("the integer `{}` lies beyond ±2^53", shorten(text)),
        Err(NumberProblem::Inexact) => {
            format!("the number `{}` is not held exactly by a double", shorten(text))
        }
    };
    Err(Refused {
        code: "inexact-number",
        message,
        help: "numbers are compared exactly: use fewer digits, or quote it to compare it as a string"
            .to_owned(),
    })
}

/// The words that YAML 1.1 reads as booleans, in any case.
fn is_yes_or_no(text: &str) -> bool {
    ["yes", "no", "on", "off", "y", "n"].iter().any(|word| word.eq_ignore_ascii_case(text))
}

/// Whether some version of YAML reads it as a number: leading zeros, signs, underscores, other bases,
/// infinities, a point at an end.
fn looks_numeric(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if [".inf", ".nan"].iter().any(|word| word.eq_ignore_ascii_case(unsigned)) {
        return true;
    }
    for (prefix, radix) in [("0x", 16), ("0X", 16), ("0o", 8), ("0O", 8), ("0b", 2), ("0B", 2)] {
        if let Some(digits) = unsigned.strip_prefix(prefix) {
            return !digits.is_empty() && digits.chars().all(|c| c == '_' || c.is_digit(radix));
        }
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_digit = mantissa.bytes().any(|byte| byte.is_ascii_digit());
    has_digit
        && digits(whole)
        && digits(fraction)
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent))
}

/// At most 40 characters of a text, for messages.
pub(super) fn shorten(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_core_schema_resolves() {
        assert_eq!(resolve_plain("~"), Ok(Kind::Null));
        assert_eq!(resolve_plain("True"), Ok(Kind::Bool(true)));
        assert!(
            matches!(resolve_plain("5000"), Ok(Kind::Number(number, _)) if number.as_i64() == Some(5000))
        );
        for text in
            ["09:00", "2026-11-23", "30m", "1.2.3", "finance-agent", "a_b", "_", "e5", "12a", "-", "..."]
        {
            assert_eq!(resolve_plain(text), Ok(Kind::Text(text.into())));
        }
    }

    #[test]
    fn ambiguous_scalars_are_refused() {
        for text in [
            "yes", "No", "ON", "off", "y", "N", "010", "-007", "0o17", "0x1F", "0b1", "1_000", "+5", ".5",
            "5.", ".inf", "-.INF", ".nan", "1_0.5", "00",
        ] {
            assert!(resolve_plain(text).is_err(), "{text}");
        }
    }
}
