//! Values that nobody would remember, assigned to a name that says that they are secret.
//!
//! Source: C. E. Shannon, *A mathematical theory of communication* (1948), for entropy; the names are those that occur.

use super::{Anchor, Detector, assigned, secret};
use crate::place::{Hit, Spot};

pub(super) const DETECTOR: Detector = Detector {
    about: secret(
        "generic_secret",
        "Secret of no known vendor",
        "Shannon's entropy",
        "entropy, with a telling name",
    ),
    words: &[],
    anchors: &[Anchor::Words(
        &[
            "secret",
            "api key",
            "access key",
            "secret key",
            "auth token",
            "access token",
            "refresh token",
            "token",
            "client secret",
            "private key",
            "encryption key",
            "signing key",
            "apikey",
            "credential",
            "credentials",
            "authorization",
            "bearer",
            "x api key",
            "session key",
            "master key",
            "webhook secret",
            "app secret",
            "consumer secret",
            "auth key",
            "license key",
        ],
        find,
    )],
};

fn find(spot: &Spot<'_>) -> Option<Hit> {
    let value = assigned(spot, false)?;
    let text = &spot.text[value.start..value.end];
    if text.len() < 12 || super::placeholder(text) || text.iter().any(|byte| b"()[]{}<>; ".contains(byte)) {
        return None;
    }
    let digits = text.iter().filter(|byte| byte.is_ascii_digit()).count();
    let bits = super::entropy(text);
    if !value.quoted && digits == 0 {
        return None;
    }
    match (bits, digits) {
        (bits, 1..) if bits >= 3.3 && text.len() >= 16 => Hit::valid(value.start, value.end),
        (bits, _) if bits >= 3.0 && (digits > 0 || bits >= 3.8) => Hit::looks(value.start, value.end),
        _ => None,
    }
}
