//! Numbers: read exactly or not at all, and each in one form.
//!
//! The text is taken apart into `mantissa * 10^scale` with no trailing zero in the mantissa, which is the same for
//! every way of writing one value. A scale of 0 or more is an integer. Otherwise the nearest double is taken, and
//! its own shortest decimal, taken apart in the same way, has to be the one that was written.

use std::io::Write;

use super::JsonErrorKind;
use crate::caps;

/// A number in its one form.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Number {
    /// Within ±2^53.
    Integer(i64),
    /// Finite and not integral.
    Float(f64),
}

/// Decimals with up to this many significant digits survive the way through a double (`DBL_DIG`), as long as
/// the double is not subnormal.
const SAFE_DIGITS: u32 = f64::DIGITS;

/// No shortest decimal of a double has more significant digits.
const DIGITS_MAX: u32 = 17;

/// The powers of ten that a double holds exactly; dividing by one rounds once, hence correctly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];

const _: () = assert!(SAFE_DIGITS == 15 && caps::JSON_INTEGER_MAX < 10_i64.pow(16));

/// Reads the number that starts at `start` and gives it with the place after it.
///
/// # Errors
/// The problem and its place.
pub(super) fn read(bytes: &[u8], start: usize) -> Result<(Number, usize), (JsonErrorKind, usize)> {
    let negative = bytes[start] == b'-';
    let (decimal, end) = Decimal::read(bytes, start + usize::from(negative))?;
    let number = decimal.number(negative).map_err(|kind| (kind, start))?;
    Ok((number, end))
}

/// The shortest decimal that reads back as `double` (of several the nearest, of two as near the even one, as
/// ECMAScript has it), as mantissa and scale without sign.
pub(super) fn shortest(double: f64) -> (u64, i64) {
    // Not the standard library's: it breaks ties upwards. This is also how an answer or a forwarded body is written.
    let number =
        serde_json::Number::from_f64(double.abs()).expect("only finite numbers are read and written");
    let text = Short::new(format_args!("{number}"));
    let (decimal, _) =
        Decimal::read(text.as_str().as_bytes(), 0).expect("`serde_json` writes numbers of RFC 8259");
    (decimal.mantissa, decimal.scale + decimal.zeros)
}

/// A decimal without sign: `mantissa * 10^(scale + zeros)`.
#[derive(Default)]
struct Decimal {
    mantissa: u64,
    /// Digits of the mantissa; beyond [`DIGITS_MAX`] the mantissa is not kept up.
    digits: u32,
    /// Zeros that were read after the mantissa.
    zeros: i64,
    scale: i64,
}

impl Decimal {
    /// Reads a number of RFC 8259 whose first digit stands at `first`, and gives the place after it.
    fn read(bytes: &[u8], first: usize) -> Result<(Self, usize), (JsonErrorKind, usize)> {
        let mut decimal = Self::default();
        let mut at = decimal.digits(bytes, first);
        if at == first {
            return Err(missing_digit(bytes, at));
        }
        if bytes[first] == b'0' && at > first + 1 {
            return Err((JsonErrorKind::InvalidNumber, first));
        }
        if bytes.get(at) == Some(&b'.') {
            let fraction = at + 1;
            at = decimal.digits(bytes, fraction);
            if at == fraction {
                return Err(missing_digit(bytes, at));
            }
            decimal.scale -= length(at - fraction);
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            let (exponent, end) = exponent(bytes, at + 1)?;
            decimal.scale = decimal.scale.saturating_add(exponent);
            at = end;
        }
        Ok((decimal, at))
    }

    /// Reads digits from `at` on and gives the place after them.
    fn digits(&mut self, bytes: &[u8], mut at: usize) -> usize {
        while let Some(&byte @ b'0'..=b'9') = bytes.get(at) {
            at += 1;
            if byte == b'0' {
                self.zeros += i64::from(self.digits > 0);
                continue;
            }
            let more = self.zeros + 1;
            self.zeros = 0;
            if i64::from(self.digits) + more > i64::from(DIGITS_MAX) {
                self.digits = DIGITS_MAX + 1;
                continue;
            }
            for _ in 0..more {
                self.mantissa *= 10;
                self.digits += 1;
            }
            self.mantissa += u64::from(byte - b'0');
        }
        at
    }

    fn number(&self, negative: bool) -> Result<Number, JsonErrorKind> {
        let scale = self.scale.saturating_add(self.zeros);
        if self.digits == 0 {
            return Ok(Number::Integer(0));
        }
        if scale >= 0 {
            let integer = self.integer(scale).ok_or(JsonErrorKind::IntegerRange)?;
            return Ok(Number::Integer(if negative { -integer } else { integer }));
        }
        let float = self.float(scale).ok_or(JsonErrorKind::DecimalPrecision)?;
        Ok(Number::Float(if negative { -float } else { float }))
    }

    fn integer(&self, scale: i64) -> Option<i64> {
        if i64::from(self.digits).saturating_add(scale) > 16 {
            return None;
        }
        let power = 10_u64.pow(u32::try_from(scale).ok()?);
        let integer = i64::try_from(self.mantissa * power).ok()?;
        (integer <= caps::JSON_INTEGER_MAX).then_some(integer)
    }

    fn float(&self, scale: i64) -> Option<f64> {
        if self.digits > DIGITS_MAX {
            return None;
        }
        if self.digits <= SAFE_DIGITS
            && let Some(power) =
                usize::try_from(scale.unsigned_abs()).ok().and_then(|places| EXACT_POWERS.get(places))
        {
            return Some(self.mantissa as f64 / power);
        }
        let float: f64 = Short::new(format_args!("{}e{scale}", self.mantissa)).as_str().parse().ok()?;
        let same = float.is_normal() || float.is_subnormal();
        (same && shortest(float) == (self.mantissa, scale)).then_some(float)
    }
}

/// Reads the exponent whose sign or first digit stands at `at`. Saturates: no text is long enough to balance it.
fn exponent(bytes: &[u8], at: usize) -> Result<(i64, usize), (JsonErrorKind, usize)> {
    let negative = bytes.get(at) == Some(&b'-');
    let first = at + usize::from(matches!(bytes.get(at), Some(b'+' | b'-')));
    let mut end = first;
    let mut exponent = 0_i64;
    while let Some(&byte @ b'0'..=b'9') = bytes.get(end) {
        exponent = exponent.saturating_mul(10).saturating_add(i64::from(byte - b'0'));
        end += 1;
    }
    if end == first {
        return Err(missing_digit(bytes, end));
    }
    Ok((if negative { -exponent } else { exponent }, end))
}

fn missing_digit(bytes: &[u8], at: usize) -> (JsonErrorKind, usize) {
    let kind = if at < bytes.len() { JsonErrorKind::InvalidNumber } else { JsonErrorKind::UnexpectedEnd };
    (kind, at)
}

fn length(bytes: usize) -> i64 {
    i64::try_from(bytes).expect("no slice is longer than `isize::MAX`")
}

/// A short text without allocation: a mantissa of 17 digits, or a double, with its exponent.
struct Short {
    buffer: [u8; 48],
    length: usize,
}

impl Short {
    fn new(content: std::fmt::Arguments<'_>) -> Self {
        let mut short = Self { buffer: [0; 48], length: 0 };
        let mut rest = &mut short.buffer[..];
        rest.write_fmt(content).expect("17 digits, a point and an exponent of 20 fit");
        let unused = rest.len();
        short.length = short.buffer.len() - unused;
        short
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.buffer[..self.length]).expect("formatted numbers are ASCII")
    }
}
