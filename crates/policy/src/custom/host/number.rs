//! Numbers: exact where both engines are, else an error.

use aegis_model::caps::JSON_INTEGER_MAX;
use regorus::Value;

use super::{Call, HostError};

pub(super) fn call(name: &str, call: Call<'_>) -> Result<Value, HostError> {
    match name {
        "to_number" => to_number(call),
        "format_int" => format_int(&call),
        _ => rounded(name, &call),
    }
}

/// Value `argument` of a call as a whole number within ±2^53.
pub(super) fn whole(value: &Value, argument: usize) -> Result<i64, HostError> {
    match value {
        Value::Number(number) if number.is_integer() => exact(number.as_i128().ok_or(HostError::TooLarge)?),
        Value::Number(_) => Err(HostError::NotWhole),
        _ => Err(HostError::Type { argument, expected: "a number" }),
    }
}

/// A result within ±2^53.
pub(super) fn exact(result: i128) -> Result<i64, HostError> {
    let within = i64::try_from(result).map_err(|_| HostError::TooLarge)?;
    if within.unsigned_abs() > JSON_INTEGER_MAX.unsigned_abs() {
        return Err(HostError::TooLarge);
    }
    Ok(within)
}

/// A number with a fraction, which is below 2^53 since the reader refuses others.
fn fraction(value: &Value) -> Result<f64, HostError> {
    let value = value.as_f64().map_err(|_| HostError::TooLarge)?;
    if value.abs() < JSON_INTEGER_MAX as f64 { Ok(value) } else { Err(HostError::TooLarge) }
}

fn rounded(name: &str, call: &Call<'_>) -> Result<Value, HostError> {
    let [number] = call.exactly()?;
    match whole(number, 1) {
        Ok(value) => return Ok(Value::from(if name == "abs" { value.abs() } else { value })),
        Err(HostError::NotWhole) => {}
        Err(error) => return Err(error),
    }
    let value = fraction(number)?;
    let between = value > -1.0 && value < 0.0;
    let result = match name {
        "abs" => return Ok(Value::from(value.abs())),
        // OPA truncates first, and so gives 1 for `ceil(-0.5)` and 0 for `floor(-0.5)`.
        "ceil" | "floor" if between => {
            return Err(HostError::Unclear("it is between -1 and 0, which OPA rounds the wrong way"));
        }
        "ceil" => value.ceil(),
        "floor" => value.floor(),
        "round" => value.round(),
        _ => return Err(HostError::Unknown),
    };
    // Whole and below 2^53: the conversion is exact, and -0 becomes 0.
    Ok(Value::from(result as i64))
}

fn to_number(mut call: Call<'_>) -> Result<Value, HostError> {
    let [value] = call.exactly()?;
    match value {
        Value::Null => Ok(Value::from(0_i64)),
        Value::Bool(value) => Ok(Value::from(i64::from(*value))),
        Value::Number(_) => Ok(value.clone()),
        Value::String(_) => read(call.text(1)?),
        _ => Err(HostError::Type { argument: 1, expected: "null, a boolean, a number or a string" }),
    }
}

/// Reads `-?(0|[1-9][0-9]*)(\.[0-9]+)?`, where a fraction is not zero and a double holds the number exactly.
/// Other spellings mean different numbers, or errors, in one engine or the other.
pub(super) fn read(text: &str) -> Result<Value, HostError> {
    const UNCLEAR: HostError = HostError::Unclear("the text is not a number in plain form");
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) =
        digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let negative_zero = text.starts_with('-') && digits.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if !plain(whole) || (whole.len() > 1 && whole.starts_with('0')) || negative_zero {
        return Err(UNCLEAR);
    }
    let Some(fraction) = fraction else {
        return Ok(Value::from(exact(text.parse().map_err(|_| HostError::TooLarge)?)?));
    };
    let kept = fraction.trim_end_matches('0');
    if !plain(fraction) || kept.is_empty() {
        return Err(UNCLEAR);
    }
    let shortest = &text[..text.len() - (fraction.len() - kept.len())];
    let value: f64 = shortest.parse().map_err(|_| UNCLEAR)?;
    if value.to_string() != shortest {
        return Err(HostError::Unclear("the number has too many digits"));
    }
    Ok(Value::from(value))
}

fn format_int(call: &Call<'_>) -> Result<Value, HostError> {
    let [number, _] = call.exactly()?;
    let value = match whole(number, 1) {
        Err(HostError::NotWhole) => fraction(number)?.trunc() as i64,
        value => value?,
    };
    let sign = if value < 0 { "-" } else { "" };
    let size = value.unsigned_abs();
    let text = match call.whole(2)? {
        2 => format!("{sign}{size:b}"),
        8 => format!("{sign}{size:o}"),
        10 => format!("{sign}{size}"),
        16 => format!("{sign}{size:x}"),
        _ => return Err(HostError::Type { argument: 2, expected: "2, 8, 10 or 16" }),
    };
    Ok(Value::from(text))
}
