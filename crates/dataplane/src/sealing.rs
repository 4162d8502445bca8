//! Values that are sealed beside their tokens: only the control plane opens them again, for who may ask.

use std::collections::BTreeMap;

use aegis_audit::record::Sealed;
use aegis_dlp::redact::Kept;
use aegis_identity::sealing::SealingPublicKey;
use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_model::tenant_key::TenantKey;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Seals values of one tenant.
#[derive(Debug)]
pub(crate) struct Sealer {
    tenant: TenantId,
    version: u64,
    key: SealingPublicKey,
}

/// Why values cannot be sealed: then nothing is given out, since who counts on asking again could not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotSealed {
    #[error(
        "more values than one record can seal: {} of them, {} bytes",
        caps::SEALED_VALUES_MAX,
        caps::SEALED_BYTES_MAX
    )]
    TooMuch,
    #[error("the values could not be sealed")]
    Key,
}

impl Sealer {
    /// What seals to the sealing key of this version; nothing if it has none.
    pub(crate) fn new(tenant: TenantId, key: &TenantKey) -> Option<Self> {
        let public = SealingPublicKey::from_bytes(key.sealing()?).ok()?;
        Some(Self { tenant, version: u64::from(key.version()), key: public })
    }

    /// The values, sealed; nothing if there are none.
    pub(crate) fn seal(&self, kept: &Kept) -> Result<Option<Sealed>, NotSealed> {
        if kept.is_empty() {
            return Ok(None);
        }
        let bytes: usize = kept.iter().map(|(token, value)| token.len() + value.expose().len()).sum();
        if kept.len() > caps::SEALED_VALUES_MAX || bytes > caps::SEALED_BYTES_MAX {
            return Err(NotSealed::TooMuch);
        }
        let values: BTreeMap<&str, &str> =
            kept.iter().map(|(token, value)| (token.as_str(), value.expose().as_str())).collect();
        // Escaped, a byte takes at most six: room for it beforehand, so that no copy is left behind by growth.
        let mut plain = Zeroizing::new(Vec::with_capacity(6 * bytes + 8 * kept.len() + 2));
        serde_json::to_writer(&mut *plain, &values).map_err(|_error| NotSealed::Key)?;
        if plain.len() > caps::SEALED_BYTES_MAX {
            return Err(NotSealed::TooMuch);
        }
        let tokens: Vec<String> = kept.keys().cloned().collect();
        let about = Sealed::about(&self.tenant, self.version, &tokens);
        let sealed = self.key.seal(&about, &plain).map_err(|_error| NotSealed::Key)?;
        Ok(Some(Sealed { key: self.version, tokens, values: STANDARD.encode(sealed) }))
    }
}

#[cfg(test)]
mod tests {
    use aegis_identity::sealing::SealingKey;
    use aegis_model::secret::Secret;

    use super::*;

    fn sealer() -> (Sealer, SealingKey) {
        let private = SealingKey::from_bytes(Secret::new([9; 32]));
        let public = *private.public().unwrap().as_bytes();
        let key = TenantKey::new(3, Secret::new([1; 32])).with_sealing(Some(public));
        (Sealer::new("acme".parse().unwrap(), &key).unwrap(), private)
    }

    fn kept(values: impl IntoIterator<Item = (String, String)>) -> Kept {
        values.into_iter().map(|(token, value)| (token, Secret::new(value))).collect()
    }

    #[test]
    fn what_is_sealed_opens_as_what_it_was() {
        let (sealer, private) = sealer();
        assert_eq!(sealer.seal(&Kept::new()), Ok(None));
        let values = [("<b>", "2\"1"), ("<a>", "219-09-9999")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        let sealed = sealer.seal(&kept(values)).unwrap().unwrap();
        assert_eq!((sealed.key, &sealed.tokens[..]), (3, &["<a>".to_owned(), "<b>".to_owned()][..]));
        let bytes = STANDARD.decode(&sealed.values).unwrap();
        let about = Sealed::about(&"acme".parse().unwrap(), 3, &sealed.tokens);
        let plain = private.open(&about, &bytes).unwrap();
        assert_eq!(plain.expose().as_slice(), br#"{"<a>":"219-09-9999","<b>":"2\"1"}"#);
        let other = Sealed::about(&"globex".parse().unwrap(), 3, &sealed.tokens);
        assert!(private.open(&other, &bytes).is_err());
    }

    #[test]
    fn more_than_a_record_can_seal_is_refused() {
        let (sealer, _) = sealer();
        let many =
            |count: usize, length: usize| kept((0..count).map(|at| (format!("<{at}>"), "1".repeat(length))));
        assert!(sealer.seal(&many(caps::SEALED_VALUES_MAX, 9)).is_ok());
        assert_eq!(sealer.seal(&many(caps::SEALED_VALUES_MAX + 1, 9)), Err(NotSealed::TooMuch));
        assert_eq!(sealer.seal(&many(2, caps::SEALED_BYTES_MAX / 2)), Err(NotSealed::TooMuch));
        let escaped = kept([("<a>".to_owned(), "\u{1}".repeat(caps::SEALED_BYTES_MAX / 5))]);
        assert_eq!(sealer.seal(&escaped), Err(NotSealed::TooMuch));
    }

    #[test]
    fn a_version_without_a_sealing_key_seals_nothing() {
        assert!(Sealer::new("acme".parse().unwrap(), &TenantKey::new(1, Secret::new([1; 32]))).is_none());
    }
}
