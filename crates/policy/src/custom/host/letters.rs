//! Upper and lower case of single characters, where every version of Unicode and every engine agree.
//!
//! Go (and so OPA) maps each character by itself and by its own tables; Rust maps a string as a whole, with
//! newer tables. Both agree on the alphabets below; a test asks a real `opa` about every character of them.

/// Blocks that have no case: their characters stay as they are.
const CASELESS: [(char, char); 13] = [
    ('\u{0590}', '\u{07FF}'),
    ('\u{0900}', '\u{0E7F}'),
    ('\u{2000}', '\u{206F}'),
    ('\u{20A0}', '\u{20C0}'),
    ('\u{2190}', '\u{23FF}'),
    ('\u{2500}', '\u{27BF}'),
    ('\u{3000}', '\u{312F}'),
    ('\u{3400}', '\u{4DBF}'),
    ('\u{4E00}', '\u{9FFF}'),
    ('\u{AC00}', '\u{D7A3}'),
    ('\u{F900}', '\u{FAFF}'),
    ('\u{1F300}', '\u{1FAFF}'),
    ('\u{20000}', '\u{2A6DF}'),
];

/// Latin, Greek and Cyrillic, whose letters have one counterpart each.
const CASED: [(char, char); 3] =
    [('\u{00A0}', '\u{017F}'), ('\u{0386}', '\u{03CE}'), ('\u{0400}', '\u{0481}')];

/// Letters of these alphabets whose counterpart is several characters, or belongs to another letter.
const ODD: [char; 10] = [
    '\u{00B5}', '\u{00DF}', '\u{0130}', '\u{0131}', '\u{0149}', '\u{017F}', '\u{0390}', '\u{03B0}',
    '\u{03C2}', '\u{0345}',
];

/// The lower-case counterpart; `None` where engines may differ.
pub(super) fn lower(character: char) -> Option<char> {
    if character.is_ascii() || stays(character) {
        return Some(character.to_ascii_lowercase());
    }
    single(character, character.to_lowercase())
}

/// The upper-case counterpart; `None` where engines may differ.
pub(super) fn upper(character: char) -> Option<char> {
    if character.is_ascii() || stays(character) {
        return Some(character.to_ascii_uppercase());
    }
    single(character, character.to_uppercase())
}

fn stays(character: char) -> bool {
    CASELESS.iter().any(|&(first, last)| (first..=last).contains(&character))
}

fn single(character: char, mut mapped: impl Iterator<Item = char>) -> Option<char> {
    let known = CASED.iter().any(|&(first, last)| (first..=last).contains(&character));
    if !known || ODD.contains(&character) {
        return None;
    }
    let first = mapped.next()?;
    mapped.next().is_none().then_some(first)
}
