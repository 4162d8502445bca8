//! E-mail addresses, internationalized ones too.
//!
//! Source: RFC 5321 (lengths), RFC 5322 (unquoted local parts), RFC 6531 (other letters than ASCII), RFC 1035 (labels).

use super::{Anchor, Detector, personal};
use crate::place::{Hit, Spot, any_of, escape_letter};

pub(super) const DETECTOR: Detector = Detector {
    about: personal("email", "E-mail address", "RFC 5321, 5322, 6531", "labels and top-level domain"),
    words: &["email", "e mail", "mailto", "mail"],
    anchors: &[Anchor::Followed(b'@', find)],
};

/// Longest local part and domain, in bytes.
const LOCAL_MAX: usize = 64;
const DOMAIN_MAX: usize = 255;

/// Signs of a local part, and those that never begin one in running text though they may.
const SIGNS: [bool; 256] = any_of(b"!#$%&'*+-/=?^_`{|}~.");
const NEVER_FIRST: [bool; 256] = any_of(b".'`=/{|&?!#$*^~%+-");

fn local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || SIGNS[usize::from(byte)]
}

fn find(spot: &Spot<'_>) -> Option<Hit> {
    let text = spot.text;
    let beside = |byte: Option<&u8>| byte.is_some_and(|byte| local(*byte));
    if !beside(spot.at.checked_sub(1).and_then(|at| text.get(at))) || !beside(text.get(spot.end)) {
        return None;
    }
    let floor = spot.at.saturating_sub(LOCAL_MAX);
    let mut start = spot.at;
    while start > floor && local(text[start - 1]) {
        start -= 1;
    }
    // What is allowed in a local part and yet never begins one in running text.
    while start < spot.at
        && (NEVER_FIRST[usize::from(text[start])] || (start == floor && text[start] & 0xC0 == 0x80))
    {
        start += 1;
    }
    if escape_letter(text, start + 1) && start + 1 < spot.at {
        start += 1;
    }
    if let Some(assigned) =
        text[start..spot.at].iter().rposition(|byte| *byte == b'=' || *byte == b'?' || *byte == b'&')
    {
        start += assigned + 1;
    }
    if start == spot.at || text[spot.at - 1] == b'.' {
        return None;
    }
    // `scheme://user:password@host` is no address.
    if before_user(text, start) {
        return None;
    }
    let end = domain(text, spot.end)?;
    Hit::valid(start, end)
}

fn before_user(text: &[u8], start: usize) -> bool {
    if crate::place::before(text, start, 1) != b':' {
        return false;
    }
    let head = &text[start.saturating_sub(80)..start];
    let word =
        head.iter().rposition(|byte| byte.is_ascii_whitespace() || *byte == b'"').map_or(0, |at| at + 1);
    memchr::memmem::find(&head[word..], b"://").is_some()
}

/// The end of a domain of at least two labels, the last of which is no number.
fn domain(text: &[u8], start: usize) -> Option<usize> {
    let most = text.len().min(start + DOMAIN_MAX);
    let inside = |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80 || byte == b'-' || byte == b'.';
    let mut end = start + text[start..most].iter().take_while(|byte| inside(**byte)).count();
    loop {
        while end > start && matches!(text[end - 1], b'.' | b'-') {
            end -= 1;
        }
        let last = text[start..end].iter().rposition(|byte| *byte == b'.')? + start;
        let top = &text[last + 1..end];
        let named = top.len() >= 2 && top.iter().all(|byte| byte.is_ascii_alphabetic() || *byte >= 0x80)
            || top.starts_with(b"xn--") && top.len() > 4;
        let labels = text[start..last].split(|byte| *byte == b'.');
        let sound = labels.clone().all(|label| {
            !label.is_empty() && label.len() <= 63 && label[0] != b'-' && label[label.len() - 1] != b'-'
        });
        match named && sound {
            true => return Some(end),
            // `a@b.com.1`, `a@b.com..`: what stands before may be one.
            false => end = last,
        }
    }
}
