//! Passwords in `key=value`, in JSON and YAML, on command lines and in sentences.
//!
//! Source: what configuration files and programs look like; there is no standard.

use super::{Anchor, Detector, assigned, secret};
use crate::place::{Hit, Spot};

pub(super) const DETECTOR: Detector = Detector {
    about: secret("password", "Password", "key=value, in whatever notation", "no placeholder or code"),
    words: &[],
    anchors: &[Anchor::Words(
        &[
            "password",
            "passwd",
            "pwd",
            "passphrase",
            "pass",
            "passcode",
            "passwort",
            "kennwort",
            "contraseña",
            "db_pass",
            "userpass",
            "pw",
            "psw",
        ],
        find,
    )],
};

fn find(spot: &Spot<'_>) -> Option<Hit> {
    let value = assigned(spot, true)?;
    let text = &spot.text[value.start..value.end];
    if text.len() < 4 || super::placeholder(text) {
        return None;
    }
    let class = |of: fn(&u8) -> bool| usize::from(text.iter().any(of));
    let marked = text.iter().any(|byte| !byte.is_ascii_alphabetic());
    let classes = class(u8::is_ascii_digit)
        + class(u8::is_ascii_uppercase)
        + class(u8::is_ascii_lowercase)
        + class(u8::is_ascii_punctuation);
    let code =
        !value.quoted && (text.iter().any(|byte| b"()[]{}<>;".contains(byte)) || super::identifier(text));
    match (code, value.quoted || value.said) {
        (true, _) => None,
        (false, _) if marked && classes >= 2 && text.len() >= 6 => Hit::valid(value.start, value.end),
        (false, true) => Hit::looks(value.start, value.end),
        (false, false) => (classes >= 2 || text.len() >= 8).then(|| Hit::looks(value.start, value.end))?,
    }
}
