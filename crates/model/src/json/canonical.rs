//! Canonical JSON (RFC 8785, JCS): one sequence of bytes per value, to be digested and signed.

use std::io::Write;

use serde_json::{Number, Value};

use super::number::shortest;
use crate::caps;

/// Writes `value` as RFC 8785 does: no white space, keys in the order of their UTF-16 code units, numbers as
/// ECMAScript writes doubles.
///
/// An integer beyond ±2^53, which [`super::read`] never gives, is written as the nearest double, as the RFC wants.
/// Recurses once per level of nesting; what [`super::read`] gave is at most [`caps::JSON_DEPTH_MAX`] deep.
pub fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write_value(&mut out, value);
    out
}

fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                write_comma(out, index);
                write_value(out, item);
            }
            out.push(b']');
        }
        Value::Object(object) => {
            let mut members: Vec<_> = object.iter().collect();
            members.sort_unstable_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            out.push(b'{');
            for (index, (key, member)) in members.into_iter().enumerate() {
                write_comma(out, index);
                write_string(out, key);
                out.push(b':');
                write_value(out, member);
            }
            out.push(b'}');
        }
    }
}

fn write_comma(out: &mut Vec<u8>, index: usize) {
    if index > 0 {
        out.push(b',');
    }
}

fn write_string(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0C => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..0x20 => write_text(out, format_args!("\\u{byte:04x}")),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

fn write_number(out: &mut Vec<u8>, number: &Number) {
    let exact =
        number.as_i64().filter(|integer| integer.unsigned_abs() <= caps::JSON_INTEGER_MAX.unsigned_abs());
    match exact {
        Some(integer) => write_text(out, format_args!("{integer}")),
        None => write_double(out, number.as_f64().expect("every number of serde_json converts to a double")),
    }
}

/// `Number::toString` of ECMA-262: plain notation from 1e-6 up to below 1e21, else exponential, always with the
/// shortest digits that read back as the same double.
fn write_double(out: &mut Vec<u8>, double: f64) {
    if double == 0.0 {
        // Minus zero is written without its sign.
        return out.push(b'0');
    }
    if double < 0.0 {
        out.push(b'-');
    }
    let (mantissa, scale) = shortest(double);
    let digits = mantissa.to_string();
    // The value is 0.DIGITS * 10^point.
    let point = digits.len() as i64 + scale;
    let sign = if point > 0 { "+" } else { "" };
    match point {
        ..=21 if scale >= 0 => {
            out.extend_from_slice(digits.as_bytes());
            out.extend((0..scale).map(|_| b'0'));
        }
        1..=21 => {
            let (whole, fraction) = digits.split_at(point as usize);
            write_text(out, format_args!("{whole}.{fraction}"));
        }
        -5..=0 => {
            out.extend_from_slice(b"0.");
            out.extend((point..0).map(|_| b'0'));
            out.extend_from_slice(digits.as_bytes());
        }
        _ => {
            let (first, others) = digits.split_at(1);
            let dot = if others.is_empty() { "" } else { "." };
            write_text(out, format_args!("{first}{dot}{others}e{sign}{}", point - 1));
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to memory does not fail");
}
