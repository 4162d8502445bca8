//! A form (`application/x-www-form-urlencoded`), read so strictly that no two readers can take it for different things.

use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};

use super::NotIssued;

/// Most fields of a form: more than any grant knows.
const FIELDS_MAX: usize = 32;

/// The fields of a form, each once.
pub(super) struct Form {
    fields: Vec<(String, String)>,
}

/// Refuses a body of another type.
pub(super) fn check_type(headers: &HeaderMap) -> Result<(), NotIssued> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let only = match (values.next(), values.next()) {
        (Some(only), None) => only.to_str().unwrap_or_default(),
        (None, _) | (Some(_), Some(_)) => "",
    };
    let (media, parameter) = only.split_once(';').unwrap_or((only, ""));
    let parameter = parameter.trim();
    let plain = parameter.is_empty() || parameter.eq_ignore_ascii_case("charset=utf-8");
    let form = media.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded");
    if form && plain && !headers.contains_key(CONTENT_ENCODING) {
        return Ok(());
    }
    Err(NotIssued::request("the body has to be `application/x-www-form-urlencoded`"))
}

impl Form {
    /// Reads a body.
    pub(super) fn read(body: &[u8]) -> Result<Self, NotIssued> {
        let mut fields: Vec<(String, String)> = Vec::new();
        for pair in body.split(|byte| *byte == b'&') {
            let at = pair.iter().position(|byte| *byte == b'=');
            let at = at.ok_or_else(|| NotIssued::request("a field of the form has no value"))?;
            let (name, value) = pair.split_at(at);
            let name = decoded(name)?;
            let value = decoded(value.get(1..).unwrap_or_default())?;
            if name.is_empty() || fields.iter().any(|(known, _)| *known == name) {
                return Err(NotIssued::request("each field of the form has a name and stands once"));
            }
            if fields.len() >= FIELDS_MAX {
                return Err(NotIssued::request("the form has too many fields"));
            }
            fields.push((name, value));
        }
        Ok(Self { fields })
    }

    /// A field that has a value; one without is as good as none (RFC 6749, 3.2).
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A field that has to be there.
    pub(super) fn required(&self, name: &str) -> Result<&str, NotIssued> {
        self.get(name).ok_or_else(|| NotIssued::request(format!("`{name}` is missing")))
    }
}

/// Takes escapes off. Whatever is neither an escape, nor a plus sign, nor visible ASCII is refused.
fn decoded(text: &[u8]) -> Result<String, NotIssued> {
    let bad = || NotIssued::request("the form is not encoded as it has to be");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let mut digit = || {
                    let digit = rest.next().map(char::from).and_then(|digit| digit.to_digit(16));
                    digit.and_then(|digit| u8::try_from(digit).ok())
                };
                let (high, low) = (digit().ok_or_else(bad)?, digit().ok_or_else(bad)?);
                bytes.push(high << 4 | low);
            }
            _ if byte.is_ascii_graphic() => bytes.push(byte),
            _ => return Err(bad()),
        }
    }
    String::from_utf8(bytes).map_err(|_withheld| bad())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_in_one_way_or_not_at_all() {
        let form = Form::read(b"grant_type=a%3Ab&scope=x%3Ay+z&empty=").map_err(drop).unwrap();
        assert_eq!((form.get("grant_type"), form.get("scope")), (Some("a:b"), Some("x:y z")));
        assert_eq!((form.get("empty"), form.get("other")), (None, None));
        for bad in [
            "",
            "a",
            "=b",
            "a=1&a=2",
            "a=1&%61=2",
            "a=%",
            "a=%4",
            "a=%zz",
            "a=%ff",
            "a=b c",
            "a=b\n",
            "a=1&&b=2",
            "a=1&",
        ] {
            assert!(Form::read(bad.as_bytes()).is_err(), "{bad:?}");
        }
        let many: String = (0..=FIELDS_MAX).map(|number| format!("f{number}=1&")).collect();
        assert!(Form::read(many.trim_end_matches('&').as_bytes()).is_err());
    }
}
