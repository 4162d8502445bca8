//! The keys of one object: no two may be equal, nor become equal under Unicode normalization.

use std::borrow::Cow;
use std::collections::HashSet;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use super::JsonErrorKind;

/// Up to this many keys are compared one by one, which is faster than hashing; beyond, that would be quadratic.
const COMPARED_KEYS_MAX: usize = 16;

/// What is remembered of an object's keys besides the keys themselves. Empty for nearly every object.
#[derive(Default)]
pub(super) struct SeenKeys<'text> {
    /// The NFC forms of the keys that are not in NFC.
    normalized: Vec<String>,
    /// The NFC forms of all keys, once there are many.
    index: Option<HashSet<Cow<'text, str>>>,
}

impl<'text> SeenKeys<'text> {
    /// Checks the last of `keys` against the others, which were checked in the same way.
    /// `ascii` says that the text, and with it each borrowed key, is ASCII.
    #[inline]
    pub(super) fn check_last(&mut self, keys: &[Cow<'text, str>], ascii: bool) -> Result<(), JsonErrorKind> {
        let Some((key, earlier)) = keys.split_last() else { return Ok(()) };
        let duplicate = || earlier.contains(key);
        if earlier.len() >= COMPARED_KEYS_MAX {
            let index = self.index.get_or_insert_with(|| earlier.iter().map(form_of).collect());
            return match index.insert(form_of(key)) {
                true => Ok(()),
                false if duplicate() => Err(JsonErrorKind::DuplicateKey),
                false => Err(JsonErrorKind::TwinKey),
            };
        }
        if duplicate() {
            return Err(JsonErrorKind::DuplicateKey);
        }
        if ascii && matches!(key, Cow::Borrowed(_)) && self.normalized.is_empty() {
            return Ok(());
        }
        let normalized = normalize(key);
        let form = normalized.as_deref().unwrap_or(key);
        let twin = self.normalized.iter().any(|other| other == form)
            // A key in NFC was compared above; an ASCII key may be the form of one that is not.
            || (normalized.is_some() && earlier.iter().any(|other| other == form));
        if twin {
            return Err(JsonErrorKind::TwinKey);
        }
        self.normalized.extend(normalized);
        Ok(())
    }
}

fn form_of<'text>(key: &Cow<'text, str>) -> Cow<'text, str> {
    normalize(key).map_or_else(|| key.clone(), Cow::Owned)
}

/// The NFC form of `key`, or `None` if that is `key` itself.
fn normalize(key: &str) -> Option<String> {
    if key.is_ascii() || is_nfc_quick(key.chars()) == IsNormalized::Yes {
        return None;
    }
    let form: String = key.nfc().collect();
    (form != key).then_some(form)
}
