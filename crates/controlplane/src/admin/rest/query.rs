//! The query of a request: known names, each once.

use aegis_model::caps;

use super::head::malformed;
use crate::admin::Problem;

/// What stands in a query.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    /// Reads `text`, in which only `known` names may stand.
    pub(super) fn read(text: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let text = text.unwrap_or_default();
        if text.len() > caps::ADMIN_QUERY_BYTES_MAX {
            return Err(malformed(format!("a query has at most {} bytes", caps::ADMIN_QUERY_BYTES_MAX)));
        }
        let mut read: Vec<(String, String)> = Vec::new();
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let decoded = decode(name).zip(decode(value));
            let (name, value) = decoded.ok_or_else(|| malformed("the query is not percent-encoded UTF-8"))?;
            if !known.contains(&name.as_str()) {
                let known = if known.is_empty() { "none".to_owned() } else { known.join("`, `") };
                let name = name.escape_debug();
                return Err(malformed(format!("the query has `{name}`; this path takes `{known}`")));
            }
            if read.iter().any(|(other, _)| *other == name) {
                return Err(malformed(format!("`{name}` stands in the query more than once")));
            }
            read.push((name, value));
        }
        Ok(Self(read))
    }

    /// The text of `name`; empty if it is not there.
    pub(super) fn text(&self, name: &str) -> &str {
        self.get(name).unwrap_or_default()
    }

    /// The number of `name`, if it is there.
    pub(super) fn number<N: std::str::FromStr>(&self, name: &str) -> Result<Option<N>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| plain);
        number.map(Some).ok_or_else(|| malformed(format!("`{name}` in the query has to be a number")))
    }

    /// Whether `name` is said.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(malformed(format!("`{name}` in the query has to be `true` or `false`"))),
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Percent-decoded, and `+` as a space.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                bytes.push(u8::try_from(high * 16 + low).ok()?);
            }
            b'+' => bytes.push(b' '),
            other => bytes.push(other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_and_stand_once() {
        let query = Query::read(Some("limit=10&cursor=a%2Fb+c"), &["limit", "cursor"]).unwrap();
        assert_eq!(query.number::<u32>("limit").unwrap(), Some(10));
        assert_eq!(query.text("cursor"), "a/b c");
        for text in ["limt=1", "limit=1&limit=2", "limit=%zz", "limit=%ff", &"x".repeat(5_000)] {
            assert!(Query::read(Some(text), &["limit"]).is_err(), "{text}");
        }
        for text in ["limit=", "limit=-1", "limit=1e3", "limit=99999999999"] {
            assert!(Query::read(Some(text), &["limit"]).unwrap().number::<u32>("limit").is_err(), "{text}");
        }
        assert!(Query::read(Some("wait=yes"), &["wait"]).unwrap().flag("wait").is_err());
    }
}
