//! Values on the command line that have a form of their own.

use std::net::SocketAddr;
use std::time::Duration;

use aegis_model::clock::UnixNanos;
use aegis_model::json::{self, JsonObject, Limits};
use serde_json::Value;

/// A JSON object, read as strictly as a node does.
pub(crate) fn json_object(text: &str) -> Result<JsonObject, String> {
    json::read_object(text.as_bytes(), Limits::default())
        .map_err(|error| format!("{error}. {}", error.help()))
}

/// A moment such as `2026-11-23T09:30:00+01:00` (RFC 3339).
pub(crate) fn moment(text: &str) -> Result<UnixNanos, String> {
    let moment: jiff::Timestamp =
        text.parse().map_err(|_| "write a moment as `2026-11-23T09:30:00+01:00` or `…Z`".to_owned())?;
    let nanos =
        u64::try_from(moment.as_nanosecond()).map_err(|_| "the moment lies before 1970".to_owned())?;
    Ok(UnixNanos(nanos))
}

/// A duration in seconds, minutes or hours: `90s`, `15m`, `8h`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let units = [('h', 3_600), ('m', 60), ('s', 1)];
    let found = units.iter().find_map(|(unit, seconds)| Some((text.strip_suffix(*unit)?, *seconds)));
    let (digits, seconds) = found.unwrap_or_default();
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|_| plain).and_then(|number| number.checked_mul(seconds));
    number
        .map(Duration::from_secs)
        .ok_or_else(|| "write a whole number with `s`, `m` or `h`, such as `90s` or `15m`".to_owned())
}

/// One further claim of a token.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Claim {
    pub(crate) name: String,
    pub(crate) value: Value,
}

/// `name=text`, or `name:=JSON` for a value of another type.
pub(crate) fn claim(text: &str) -> Result<Claim, String> {
    let help = || "write `name=text`, or `name:=JSON` for a value that is no text".to_owned();
    let (name, value) = text.split_once('=').ok_or_else(help)?;
    let (name, value) = match name.strip_suffix(':') {
        None => (name, Value::String(value.to_owned())),
        Some(name) => {
            let value = json::read(value.as_bytes(), Limits::default());
            (name, value.map_err(|error| format!("{error}. {}", error.help()))?)
        }
    };
    if name.is_empty() {
        return Err(help());
    }
    Ok(Claim { name: name.to_owned(), value })
}

/// An address that only this machine can reach.
pub(crate) fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "write an address and a port, such as `127.0.0.1:7080`".to_owned())?;
    if address.ip().is_loopback() {
        return Ok(address);
    }
    Err("`aegis dev` hands out tokens freely and speaks without TLS, so it listens on loopback addresses only; for \
         others run `aegis data`"
        .to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moments_keep_their_offset() {
        assert_eq!(moment("1970-01-01T01:00:01+01:00"), Ok(UnixNanos::from_seconds(1)));
        assert_eq!(moment("1970-01-01T00:00:00.5Z"), Ok(UnixNanos(500_000_000)));
        for bad in ["", "2026-11-23", "2026-11-23T09:30:00", "1969-12-31T23:59:59Z", "now"] {
            assert!(moment(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("15m"), Ok(Duration::from_secs(900)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        for bad in
            ["", "15", "m", "-1s", "+1s", "1.5m", "15 m", "99999999999999999999s", "400000000000000000m"]
        {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_claim_is_a_text_unless_it_says_otherwise() {
        let read = |text| claim(text).map(|claim| (claim.name, claim.value)).ok();
        assert_eq!(read("purpose=care"), Some(("purpose".to_owned(), json!("care"))));
        assert_eq!(read("level=3"), Some(("level".to_owned(), json!("3"))));
        assert_eq!(read("level:=3"), Some(("level".to_owned(), json!(3))));
        assert_eq!(read("note=a=b"), Some(("note".to_owned(), json!("a=b"))));
        assert_eq!(read("empty="), Some(("empty".to_owned(), json!(""))));
        for bad in ["purpose", "=care", ":=1", "level:=", "level:={\"a\":1,\"a\":2}"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for good in ["127.0.0.1:0", "127.9.9.9:80", "[::1]:7080"] {
            assert!(loopback(good).is_ok(), "{good}");
        }
        for bad in
            ["0.0.0.0:7080", "[::]:7080", "10.0.0.1:80", "[::ffff:127.0.0.1]:1", "localhost:80", "127.0.0.1"]
        {
            assert!(loopback(bad).is_err(), "{bad}");
        }
    }
}
