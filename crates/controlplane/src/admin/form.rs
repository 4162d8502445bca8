//! The text forms of what rows hold as bytes and numbers, and back.

use std::str::FromStr;

use aegis_identity::keys::VerifyingKey;
use aegis_model::clock::UnixNanos;
use aegis_model::digest::Digest;
use aegis_model::ids::{BadName, PersonId, TenantId};
use aegis_model::money::Micros;
use aegis_model::utc::Utc;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Problem;
use crate::state::key::Scope;
use crate::state::page::{Cursor, Page, PageQuery};

/// A moment of log time, as RFC 3339.
pub(crate) fn time(ms: u64) -> String {
    Utc(UnixNanos(ms.saturating_mul(1_000_000))).to_string()
}

/// The same, where 0 is never.
pub(crate) fn maybe_time(ms: u64) -> Option<String> {
    (ms > 0).then(|| time(ms))
}

/// A moment in whole seconds.
pub(crate) fn time_of_seconds(seconds: u64) -> String {
    time(seconds.saturating_mul(1_000))
}

/// A node's id.
pub(crate) fn node_id(id: u64) -> String {
    format!("{id:016x}")
}

/// A node's id as a client gives it.
pub(crate) fn read_node_id(text: &str) -> Result<u64, Problem> {
    let hexadecimal = text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let id = u64::from_str_radix(text, 16).ok().filter(|_| hexadecimal);
    id.ok_or_else(|| Problem::invalid("id", "16 hexadecimal digits in lower case"))
}

/// A digest.
pub(crate) fn digest(bytes: &[u8]) -> String {
    <[u8; 32]>::try_from(bytes).map_or_else(|_length| String::new(), |it| Digest::from_bytes(it).to_string())
}

/// A public key.
pub(crate) fn public_key(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Public keys as a client gives them: base64url, PEM or a JSON Web Key, each.
pub(crate) fn read_public_keys(texts: &[String]) -> Result<Vec<Vec<u8>>, Problem> {
    texts.iter().enumerate().map(|(at, text)| read_public_key(at, text)).collect()
}

fn read_public_key(at: usize, text: &str) -> Result<Vec<u8>, Problem> {
    let problem = |form: &str| Problem::invalid("public_keys", form).at(format!("/public_keys/{at}"));
    public_key_of(text, problem)
}

/// One public key in the field `public_key`.
pub(crate) fn read_one_public_key(text: &str) -> Result<Vec<u8>, Problem> {
    public_key_of(text, |form| Problem::invalid("public_key", form).at("/public_key".to_owned()))
}

fn public_key_of(text: &str, problem: impl Fn(&str) -> Problem) -> Result<Vec<u8>, Problem> {
    let key = if text.trim_start().starts_with('{') {
        VerifyingKey::from_jwk(text).map_err(|error| problem(&error.to_string()))?
    } else if text.trim_start().starts_with("-----BEGIN") {
        VerifyingKey::from_public_key_pem(text.trim()).map_err(|error| problem(&error.to_string()))?
    } else {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let bytes = bytes.ok_or_else(|| {
            problem("an Ed25519 public key: 43 characters of base64url, PEM, or a JSON Web Key")
        })?;
        VerifyingKey::from_bytes(&bytes).map_err(|error| problem(&error.to_string()))?
    };
    Ok(key.as_bytes().to_vec())
}

/// A name in `field`.
pub(crate) fn name<N: FromStr<Err = BadName>>(field: &str, text: &str) -> Result<N, Problem> {
    text.parse().map_err(|error| Problem::invalid(field, error))
}

/// An amount in `field`: a decimal.
pub(crate) fn amount(field: &str, text: &str) -> Result<Micros, Problem> {
    text.parse().map_err(|error| Problem::invalid(field, error))
}

/// The same, where an empty text is none.
pub(crate) fn maybe_amount(field: &str, text: &str) -> Result<Option<Micros>, Problem> {
    if text.is_empty() { Ok(None) } else { amount(field, text).map(Some) }
}

/// The tenant that a request names.
pub(crate) fn tenant(text: &str) -> Result<TenantId, Problem> {
    name("tenant", text)
}

/// The person that a request names.
pub(crate) fn person(text: &str) -> Result<PersonId, Problem> {
    name("person", text)
}

/// The scope that a request names.
pub(crate) fn scope(text: &str) -> Result<Scope, Problem> {
    name("scope", text)
}

/// The page that a request asks for.
pub(crate) fn page(limit: u32, cursor: &str) -> Result<PageQuery, Problem> {
    let max = aegis_model::caps::PAGE_ROWS_MAX;
    let limit = limit as usize;
    if limit > max {
        return Err(Problem::invalid("limit", format!("at most {max}")));
    }
    let after = match cursor {
        "" => None,
        text => {
            let read = text.parse::<Cursor>();
            Some(read.map_err(|_bad| Problem::invalid("cursor", "`next` of the page before, unchanged"))?)
        }
    };
    Ok(PageQuery::new(after, limit))
}

/// The rows of a page in another form, and what leads to the next one.
pub(crate) fn listed<R, M>(page: Page<R>, form: impl FnMut(R) -> M) -> (Vec<M>, String) {
    let Page { rows, next } = page.map(form);
    (rows, next.map(|cursor| cursor.to_string()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_id_has_one_spelling() {
        assert_eq!(read_node_id(&node_id(17)).unwrap(), 17);
        assert_eq!(read_node_id(&node_id(u64::MAX)).unwrap(), u64::MAX);
        for text in
            ["", "17", "0x00000000000011", "00000000000000FF", "+000000000000011", "000000000000000011"]
        {
            assert!(read_node_id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_public_key_is_read_in_both_forms() {
        use rand::SeedableRng as _;
        let key = aegis_identity::keys::SigningKey::generate(&mut rand::rngs::StdRng::seed_from_u64(1));
        let key = key.verifying_key();
        let texts = [public_key(key.as_bytes()), key.to_public_key_pem(), key.to_jwk().to_string()];
        assert_eq!(read_public_keys(&texts).unwrap(), vec![key.as_bytes().to_vec(); 3]);
        let problem = read_public_keys(&[texts[0].clone(), "x".to_owned()]).unwrap_err();
        assert_eq!(problem.pointer, "/public_keys/1");
    }
}
