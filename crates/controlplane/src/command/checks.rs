//! Checks that several commands share: texts into names, names into rows.

use std::str::FromStr;

use aegis_identity::keys::VerifyingKey;
use aegis_model::caps;
use aegis_model::ids::{BadName, PersonId, TenantId};
use aegis_proto::control::{Person, Tenant, Version};
use aegis_raft_store::tables::StateRead;

use super::kind::Failure;
use super::refused::{Code, Refused};
use crate::state::{channels, people, tenants, versions};

/// A name in `field`.
pub(crate) fn name<N: FromStr<Err = BadName>>(field: &'static str, text: &str) -> Result<N, Refused> {
    text.parse().map_err(|error| Refused::invalid(field, error))
}

/// A tenant that is not retired.
pub(crate) fn living_tenant(state: &impl StateRead, text: &str) -> Result<(TenantId, Tenant), Failure> {
    let name: TenantId = name("tenant", text)?;
    match tenants::tenant(state, &name)? {
        None => Err(Refused::unknown(Code::UnknownTenant, "tenant", name).into()),
        Some(row) if row.retired_ms > 0 => {
            let message = format!("the tenant `{name}` was retired");
            Err(Refused::new(Code::TenantRetired, message).with("name", name).into())
        }
        Some(row) => Ok((name, row)),
    }
}

/// A version of a tenant whose bundle was not given up.
pub(crate) fn usable_version(
    state: &impl StateRead,
    tenant: &TenantId,
    number: u64,
) -> Result<Version, Failure> {
    let version = known_version(state, tenant, number)?;
    if version.retired_ms > 0 {
        let message = format!("the bundle of version {number} was given up");
        return Err(Refused::new(Code::VersionRetired, message).with("version", number).into());
    }
    Ok(version)
}

/// A version of a tenant.
pub(crate) fn known_version(
    state: &impl StateRead,
    tenant: &TenantId,
    number: u64,
) -> Result<Version, Failure> {
    if let Some(version) = versions::version(state, tenant, number)? {
        return Ok(version);
    }
    let newest = versions::newest(state, tenant)?;
    Err(Refused::unknown(Code::UnknownVersion, "version", number).with("newest", newest).into())
}

/// The name of a channel: what the `notify` of a policy may say.
pub(crate) fn channel_name(field: &'static str, text: &str) -> Result<String, Refused> {
    let max = caps::NAME_BYTES_MAX;
    let plain = |byte: u8| aegis_model::ids::is_name_byte(byte) || matches!(byte, b'@' | b'+' | b'#');
    if text.is_empty() || text.len() > max || !text.bytes().all(plain) {
        return Err(Refused::invalid(field, format!("1 to {max} of `A-Z a-z 0-9 _ . : / - @ + #`")));
    }
    Ok(text.to_owned())
}

/// The name of a legal hold within its tenant.
pub(crate) fn hold_name(field: &'static str, text: &str) -> Result<String, Refused> {
    let max = caps::NAME_BYTES_MAX;
    if text.is_empty() || text.len() > max || !text.bytes().all(aegis_model::ids::is_name_byte) {
        return Err(Refused::invalid(field, format!("1 to {max} of `A-Z a-z 0-9 _ . : / -`")));
    }
    Ok(text.to_owned())
}

/// Words of a person, and not none.
pub(crate) fn reason(field: &'static str, text: &str) -> Result<String, Refused> {
    let words = words(field, text)?;
    if words.trim().is_empty() { Err(Refused::invalid(field, "a reason in words")) } else { Ok(words) }
}

/// Every channel that the policies of `version` tell is there: nobody is promised that people are told who are not.
pub(crate) fn channels_of(
    state: &impl StateRead,
    tenant: &TenantId,
    version: &Version,
) -> Result<(), Failure> {
    for name in &version.notify {
        if channels::channel(state, tenant, name)?.is_none() {
            return Err(Refused::unknown(Code::UnknownChannel, "channel", name)
                .with("version", version.number)
                .into());
        }
    }
    Ok(())
}

/// Somebody, disabled or not.
pub(crate) fn known_person(state: &impl StateRead, text: &str) -> Result<(PersonId, Person), Failure> {
    let name: PersonId = name("person", text)?;
    match people::person(state, &name)? {
        None => Err(Refused::unknown(Code::UnknownPerson, "person", name).into()),
        Some(row) => Ok((name, row)),
    }
}

/// Words of a person, or none. They are shown in terminals, which control characters would steer.
pub(crate) fn words(field: &'static str, text: &str) -> Result<String, Refused> {
    if text.chars().any(|it| it.is_control() && !matches!(it, '\n' | '\t')) {
        return Err(Refused::invalid(field, "words without control characters"));
    }
    within(field, text, caps::WORDS_BYTES_MAX)
}

/// A node's address, or none.
pub(crate) fn address(field: &'static str, text: &str) -> Result<String, Refused> {
    let text = within(field, text, caps::ADDRESS_BYTES_MAX)?;
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(Refused::invalid(field, "printable ASCII"))
    }
}

/// A node's name.
pub(crate) fn node_name(field: &'static str, text: &str) -> Result<String, Refused> {
    let max = caps::NODE_NAME_BYTES_MAX;
    let valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if text.is_empty() || text.len() > max || !text.bytes().all(valid) {
        return Err(Refused::invalid(field, format!("1 to {max} characters of `A-Z a-z 0-9 . _ -`")));
    }
    Ok(text.to_owned())
}

/// A token's id.
pub(crate) fn token_id(field: &'static str, text: &str) -> Result<String, Refused> {
    let max = caps::TOKEN_ID_BYTES_MAX;
    if text.is_empty() || text.len() > max || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refused::invalid(field, format!("1 to {max} printable ASCII characters")));
    }
    Ok(text.to_owned())
}

/// The bytes of a digest.
pub(crate) fn digest(field: &'static str, bytes: &[u8]) -> Result<[u8; 32], Refused> {
    bytes.try_into().map_err(|_length| Refused::invalid(field, "32 bytes"))
}

/// An Ed25519 public key.
pub(crate) fn public_key(field: &'static str, bytes: &[u8]) -> Result<VerifyingKey, Refused> {
    let bytes = bytes.try_into().map_err(|_length| Refused::invalid(field, "32 bytes"))?;
    VerifyingKey::from_bytes(bytes).map_err(|error| Refused::invalid(field, error))
}

/// `expected`, if it was given, is `current`.
pub(crate) fn expected(what: &str, expected: Option<u64>, current: u64) -> Result<(), Refused> {
    match expected {
        Some(expected) if expected != current => Err(Refused::stale(what, current)),
        _ => Ok(()),
    }
}

/// There is room for one more of what is counted.
pub(crate) fn room(bound: &'static str, count: u64, max: u64) -> Result<(), Refused> {
    if count < max { Ok(()) } else { Err(Refused::too_many(bound, max)) }
}

pub(crate) fn within(field: &'static str, text: &str, max: usize) -> Result<String, Refused> {
    if text.len() > max {
        return Err(Refused::invalid(field, format!("at most {max} bytes")));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_held_to_their_bounds() {
        assert!(words("message", &"x".repeat(caps::WORDS_BYTES_MAX)).is_ok());
        assert!(words("message", &"x".repeat(caps::WORDS_BYTES_MAX + 1)).is_err());
        assert!(address("address", "https://data-1:7081").is_ok());
        assert!(address("address", "https://data 1").is_err());
        assert!(node_name("name", "control-1").is_ok());
        assert!(node_name("name", "").is_err() && node_name("name", "a/b").is_err());
        assert!(token_id("token_id", "").is_err() && token_id("token_id", "a b").is_err());
    }

    #[test]
    fn a_weak_public_key_is_refused() {
        assert!(public_key("public_key", &[0; 32]).is_err(), "a point of small order");
        assert!(public_key("public_key", &[1; 31]).is_err());
    }
}
