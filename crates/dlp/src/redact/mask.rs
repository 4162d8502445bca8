//! Masks: asterisks, and perhaps the last characters.

use super::Keep;
use super::keyed::number_like;
use crate::finding::Via;
use crate::kind::Kind;

/// Asterisks for whatever has no form that helps to recognize it: its length says nothing.
const BLANK: &str = "********";

/// The mask of a value. Numbers keep what joins their groups; of anything else the length does not show. Of what was hidden,
/// nothing is kept: its last characters are those of an encoding.
pub(super) fn mask(kind: Kind, via: Via, value: &[u8], keep: Keep) -> String {
    let text = String::from_utf8_lossy(value);
    let keep = if via == Via::Plain { usize::from(keep.0) } else { 0 };
    let shown = text.chars().filter(|it| it.is_alphanumeric()).count();
    // Never more than half, or a mask would show what it hides.
    let keep = keep.min(shown / 2);
    if via == Via::Plain && number_like(kind, value) {
        let mut left = shown - keep;
        let masked = |it: char| match it.is_alphanumeric() {
            true if left > 0 => {
                left -= 1;
                '*'
            }
            _ => it,
        };
        return text.chars().map(masked).collect();
    }
    let kept: Vec<char> = text.chars().rev().filter(|it| it.is_alphanumeric()).take(keep).collect();
    BLANK.chars().chain(kept.into_iter().rev()).collect()
}

/// The mask of a value that a rule names.
pub(super) fn mask_field(value: &str, keep: Keep) -> String {
    let shown = value.chars().filter(|it| it.is_alphanumeric()).count();
    let keep = usize::from(keep.0).min(shown / 2);
    let kept: Vec<char> = value.chars().rev().filter(|it| it.is_alphanumeric()).take(keep).collect();
    BLANK.chars().chain(kept.into_iter().rev()).collect()
}
