//! What tokens an agent may get by itself: their scope, their life, their claims, and what else than a key proves it.

use aegis_identity::claims::{BASIS, REGISTERED};
use aegis_model::caps;
use aegis_model::scope::Scope;
use aegis_proto::control::{Agent, AgentBounds, FixedClaim};

use super::refused::Refused;
use super::set_issuer;

/// `agent` with these bounds.
pub(super) fn within(agent: Agent, bounds: &AgentBounds) -> Result<Agent, Refused> {
    let longest = u32::try_from(caps::TOKEN_LIFE_SECONDS_MAX).unwrap_or(u32::MAX);
    if bounds.life_seconds_max > longest {
        return Err(Refused::invalid("life_seconds_max", format!("at most {longest}")));
    }
    Ok(Agent {
        scope: read_scope("scope", &bounds.scope)?.to_string(),
        life_seconds_max: bounds.life_seconds_max,
        claims: read_claims(&bounds.claims)?,
        spiffe_id: read_spiffe_id(&bounds.spiffe_id)?,
        issuer: read_issuer(bounds)?,
        issuer_subject: bounds.issuer_subject.clone(),
        ..agent
    })
}

/// A scope that a token can carry.
pub(super) fn read_scope(field: &'static str, text: &str) -> Result<Scope, Refused> {
    let form = || {
        format!(
            "at most {} bytes and {} items of printable ASCII, with one space between two",
            caps::TOKEN_SCOPE_BYTES_MAX,
            caps::TOKEN_SCOPE_ITEMS_MAX
        )
    };
    let valid = text.len() <= caps::TOKEN_SCOPE_BYTES_MAX
        && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && text.split(' ').count() <= caps::TOKEN_SCOPE_ITEMS_MAX;
    if valid { Ok(Scope::parse(text)) } else { Err(Refused::invalid(field, form())) }
}

fn read_claims(claims: &[FixedClaim]) -> Result<Vec<FixedClaim>, Refused> {
    if claims.len() > caps::FIXED_CLAIMS_MAX {
        return Err(Refused::invalid("claims", format!("at most {}", caps::FIXED_CLAIMS_MAX)));
    }
    for (at, FixedClaim { name, value }) in claims.iter().enumerate() {
        let reserved = REGISTERED.contains(&name.as_str()) || name == BASIS || name == "cnf";
        if name.is_empty() || name.len() > caps::NAME_BYTES_MAX || reserved {
            return Err(Refused::invalid("claims", "claims of your own, not those that every token has"));
        }
        if value.len() > caps::FIXED_CLAIM_BYTES_MAX {
            return Err(Refused::invalid("claims", format!("at most {} bytes", caps::FIXED_CLAIM_BYTES_MAX)));
        }
        if claims.iter().take(at).any(|earlier| earlier.name == *name) {
            return Err(Refused::invalid("claims", "each of them once"));
        }
    }
    Ok(claims.to_vec())
}

/// An issuer and whom it speaks of, or neither. The issuer need not be there yet: until then it proves nobody.
fn read_issuer(bounds: &AgentBounds) -> Result<String, Refused> {
    let subject = &bounds.issuer_subject;
    if bounds.issuer.is_empty() != subject.is_empty() {
        return Err(Refused::invalid("issuer_subject", "given with `issuer`, and not without it"));
    }
    if subject.is_empty() {
        return Ok(String::new());
    }
    if subject.len() > caps::ISSUER_BYTES_MAX || subject.contains(char::is_control) {
        let form = format!("at most {} bytes without control characters", caps::ISSUER_BYTES_MAX);
        return Err(Refused::invalid("issuer_subject", form));
    }
    set_issuer::name("issuer", &bounds.issuer)
}

/// `spiffe://TRUST-DOMAIN/PATH`, in the one spelling that the standard permits; or none.
fn read_spiffe_id(text: &str) -> Result<String, Refused> {
    if text.is_empty() || is_spiffe_id(text) {
        return Ok(text.to_owned());
    }
    Err(Refused::invalid("spiffe_id", "`spiffe://TRUST-DOMAIN/PATH`, as the SPIFFE standard spells it"))
}

/// Whether a text is a SPIFFE id of a workload (SPIFFE-ID, 2): so strict that no two spellings are the same id.
pub(crate) fn is_spiffe_id(text: &str) -> bool {
    let Some((domain, path)) = text.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')) else {
        return false;
    };
    let in_domain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    let in_path = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let segment = |segment: &str| {
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(in_path)
    };
    text.len() <= caps::SPIFFE_ID_BYTES_MAX
        && (1..=255).contains(&domain.len())
        && domain.bytes().all(in_domain)
        && path.split('/').all(segment)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spiffe_id_has_one_spelling() {
        for good in ["spiffe://acme.example/agents/payer", "spiffe://a/b", "spiffe://a-b_c.d/E.f-g_h"] {
            assert!(is_spiffe_id(good), "{good}");
        }
        for bad in [
            "",
            "spiffe://",
            "spiffe://acme",
            "spiffe://acme/",
            "spiffe:///x",
            "spiffe://Acme/x",
            "SPIFFE://acme/x",
            "spiffe://acme//x",
            "spiffe://acme/x/",
            "spiffe://acme/../x",
            "spiffe://acme/./x",
            "spiffe://acme/x%2fy",
            "spiffe://acme:1/x",
            "spiffe://u@acme/x",
            "spiffe://acme/x?y",
            "spiffe://acme/x#y",
            "spiffe://acme/\u{e9}",
            "https://acme/x",
        ] {
            assert!(!is_spiffe_id(bad), "{bad}");
        }
        assert!(!is_spiffe_id(&format!("spiffe://a/{}", "x".repeat(caps::SPIFFE_ID_BYTES_MAX))));
    }

    #[test]
    fn an_issuer_speaks_of_somebody() {
        let read = |issuer: &str, issuer_subject: &str| {
            let (issuer, issuer_subject) = (issuer.to_owned(), issuer_subject.to_owned());
            read_issuer(&AgentBounds { issuer, issuer_subject, ..AgentBounds::default() })
        };
        assert_eq!(read("", "").as_deref(), Ok(""));
        assert_eq!(read("ci", "repo:acme/shop").as_deref(), Ok("ci"));
        for (issuer, subject) in [("ci", ""), ("", "x"), ("CI", "x"), ("ci", "a\nb")] {
            assert!(read(issuer, subject).is_err(), "{issuer} {subject}");
        }
        assert!(read("ci", &"x".repeat(caps::ISSUER_BYTES_MAX + 1)).is_err());
    }

    #[test]
    fn claims_of_every_token_are_not_fixed() {
        let claim = |name: &str, value: &str| FixedClaim { name: name.to_owned(), value: value.to_owned() };
        assert!(read_claims(&[claim("purpose", "care"), claim("environment", "prod")]).is_ok());
        for bad in ["", "sub", "exp", "callers", "basis", "cnf"] {
            assert!(read_claims(&[claim(bad, "x")]).is_err(), "{bad}");
        }
        assert!(read_claims(&[claim("a", "x"), claim("a", "y")]).is_err());
        assert!(read_claims(&[claim("a", &"x".repeat(caps::FIXED_CLAIM_BYTES_MAX + 1))]).is_err());
        let many: Vec<_> = (0..=caps::FIXED_CLAIMS_MAX).map(|it| claim(&it.to_string(), "x")).collect();
        assert!(read_claims(&many).is_err());
    }
}
