//! What only control nodes may know of a channel: sealed for the state, opened while it is used.
//!
//! Sealed is AES-256-GCM with a random nonce, under the key of the purpose `channel` of the tenant's secret key, which is in the state only
//! wrapped under the cluster key: whoever has the state alone can open nothing, and a cluster key is replaced without touching
//! channels. What was sealed for one tenant, channel or kind opens for no other.

use std::fmt;

use aegis_model::ids::TenantId;
use aegis_model::tenant_key::{TenantKey, TenantKeys};
use aegis_proto::control::{ChannelKind, SealedSecrets};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use crate::command::set_channel_kind_name;

/// The secrets of a channel. Wiped when dropped; `Debug` shows nothing.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Secrets {
    /// Of a webhook: the keys that sign, the newest first. Base64 as they were given, without `whsec_`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) signing: Vec<String>,
    /// Of Slack: what its requests are signed with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) slack_signing: String,
    /// Of Slack: the bot's token.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) token: String,
    /// Of Teams: the workflow's address.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) url: String,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets([secret])")
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        self.signing.zeroize();
        self.slack_signing.zeroize();
        self.token.zeroize();
        self.url.zeroize();
    }
}

/// Whose secrets they are: what sealed ones are bound to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owner<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) channel: &'a str,
    pub(crate) kind: ChannelKind,
}

/// Sealed secrets cannot be opened here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// The version of the tenant's key that sealed them is not kept any more.
    #[error(
        "the tenant's secret key that the channel was sealed with is forgotten: set the channel's secrets anew"
    )]
    Forgotten,
    /// They were changed, or belong elsewhere.
    #[error("the channel's secrets are damaged, or belong to another channel")]
    Refused,
}

impl Secrets {
    /// Those of a webhook.
    pub(crate) fn webhook(signing: Vec<String>) -> Self {
        Self { signing, slack_signing: String::new(), token: String::new(), url: String::new() }
    }

    /// Those of Slack.
    pub(crate) fn slack(slack_signing: String, token: String) -> Self {
        Self { signing: Vec::new(), slack_signing, token, url: String::new() }
    }

    /// That of Teams.
    pub(crate) fn teams(url: String) -> Self {
        Self { signing: Vec::new(), slack_signing: String::new(), token: String::new(), url }
    }

    /// Sealed for `owner`, under the newest of the tenant's keys.
    pub(crate) fn seal(
        &self,
        keys: &TenantKeys,
        owner: Owner<'_>,
        randomness: &mut (impl CryptoRng + ?Sized),
    ) -> SealedSecrets {
        let mut nonce = [0; NONCE_LEN];
        randomness.fill_bytes(&mut nonce);
        let plain = Zeroizing::new(serde_json::to_vec(self).expect("texts are written as JSON"));
        // Reserved beforehand, so that the plain text is encrypted where it lies and never copied by growth.
        let mut sealed = Zeroizing::new(Vec::with_capacity(plain.len() + AES_256_GCM.tag_len()));
        sealed.extend_from_slice(&plain);
        cipher(keys.current())
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), bound_to(owner), &mut *sealed)
            .expect("a few kilobytes are far below the limit of the cipher");
        SealedSecrets { key_version: keys.current().version(), sealed: [nonce.as_slice(), &sealed].concat() }
    }

    /// What was sealed for `owner`.
    ///
    /// # Errors
    /// [`OpenError`]
    pub(crate) fn open(
        keys: &TenantKeys,
        owner: Owner<'_>,
        sealed: &SealedSecrets,
    ) -> Result<Self, OpenError> {
        let key = keys.get(sealed.key_version).ok_or(OpenError::Forgotten)?;
        let (nonce, rest) = sealed.sealed.split_first_chunk::<NONCE_LEN>().ok_or(OpenError::Refused)?;
        let mut rest = Zeroizing::new(rest.to_vec());
        let plain = cipher(key)
            .open_in_place(Nonce::assume_unique_for_key(*nonce), bound_to(owner), &mut rest)
            .map_err(|_uninformative| OpenError::Refused)?;
        serde_json::from_slice(plain).map_err(|_form| OpenError::Refused)
    }
}

fn cipher(key: &TenantKey) -> LessSafeKey {
    let key = key.derive("channel");
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.expose()).expect("the key has the cipher's length"))
}

fn bound_to(owner: Owner<'_>) -> Aad<Vec<u8>> {
    let mut data = b"aegis/channel-secrets/v1".to_vec();
    for part in [owner.tenant.as_str(), owner.channel, set_channel_kind_name(owner.kind)] {
        data.extend_from_slice(&(part.len() as u64).to_be_bytes());
        data.extend_from_slice(part.as_bytes());
    }
    Aad::from(data)
}

#[cfg(test)]
mod tests {
    use aegis_model::secret::Secret;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    use super::*;

    fn keys(versions: &[u32]) -> TenantKeys {
        let key = |&version: &u32| TenantKey::new(version, Secret::new([version as u8; 32]));
        TenantKeys::new(versions.iter().map(key).collect()).unwrap()
    }

    fn secrets() -> Secrets {
        Secrets::slack("KEEP-OUT".to_owned(), "xoxb-KEEP-OUT".to_owned())
    }

    fn sealed(version: u32) -> SealedSecrets {
        let (tenant, mut random) = ("acme".parse().unwrap(), StdRng::seed_from_u64(1));
        let owner = Owner { tenant: &tenant, channel: "#payments", kind: ChannelKind::Slack };
        secrets().seal(&keys(&[version]), owner, &mut random)
    }

    fn open(
        tenant: &str,
        channel: &str,
        kind: ChannelKind,
        sealed: &SealedSecrets,
    ) -> Result<Secrets, OpenError> {
        let tenant = tenant.parse().unwrap();
        Secrets::open(&keys(&[1, 2]), Owner { tenant: &tenant, channel, kind }, sealed)
    }

    #[test]
    fn secrets_open_only_where_they_belong() {
        use ChannelKind::{Slack, Webhook};
        for version in [1, 2] {
            assert!(open("acme", "#payments", Slack, &sealed(version)) == Ok(secrets()));
        }
        for (tenant, channel, kind) in
            [("globex", "#payments", Slack), ("acme", "#other", Slack), ("acme", "#payments", Webhook)]
        {
            assert_eq!(open(tenant, channel, kind, &sealed(1)).unwrap_err(), OpenError::Refused);
        }
        assert_eq!(open("acme", "#payments", Slack, &sealed(3)).unwrap_err(), OpenError::Forgotten);
        let good = sealed(1);
        for bit in 0..good.sealed.len() * 8 {
            let mut twin = good.clone();
            twin.sealed[bit / 8] ^= 1 << (bit % 8);
            open("acme", "#payments", Slack, &twin).unwrap_err();
        }
        for length in 0..good.sealed.len() {
            let short = SealedSecrets { sealed: good.sealed[..length].to_vec(), ..good.clone() };
            open("acme", "#payments", Slack, &short).unwrap_err();
        }
    }

    #[test]
    fn nothing_shows_a_secret() {
        let sealed = sealed(1);
        assert!(!sealed.sealed.windows(8).any(|window| window == b"KEEP-OUT"));
        assert!(!format!("{:?} {sealed:?}", secrets()).contains("KEEP-OUT"));
    }
}
