//! Classes of characters as explicit ranges.

use regex_syntax::ast::{ClassAsciiKind, ClassPerl, ClassPerlKind};

/// Inclusive ranges of Unicode scalar values.
pub(super) type Ranges = Vec<(u32, u32)>;

/// `\d`, `\s`, `\w` and their opposites.
pub(super) fn perl(class: &ClassPerl) -> Ranges {
    let plain = match class.kind {
        ClassPerlKind::Digit => ascii(&[('0', '9')]),
        // As in RE2, without the vertical tab.
        ClassPerlKind::Space => ascii(&[('\t', '\n'), ('\u{c}', '\r'), (' ', ' ')]),
        ClassPerlKind::Word => ascii(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
    };
    if class.negated { complement(plain) } else { plain }
}

/// `[:alpha:]` and its like.
pub(super) fn posix(kind: &ClassAsciiKind) -> Ranges {
    match kind {
        ClassAsciiKind::Alnum => ascii(&[('0', '9'), ('A', 'Z'), ('a', 'z')]),
        ClassAsciiKind::Alpha => ascii(&[('A', 'Z'), ('a', 'z')]),
        ClassAsciiKind::Ascii => ascii(&[('\0', '\u{7f}')]),
        ClassAsciiKind::Blank => ascii(&[('\t', '\t'), (' ', ' ')]),
        ClassAsciiKind::Cntrl => ascii(&[('\0', '\u{1f}'), ('\u{7f}', '\u{7f}')]),
        ClassAsciiKind::Digit => ascii(&[('0', '9')]),
        ClassAsciiKind::Graph => ascii(&[('!', '~')]),
        ClassAsciiKind::Lower => ascii(&[('a', 'z')]),
        ClassAsciiKind::Print => ascii(&[(' ', '~')]),
        ClassAsciiKind::Punct => ascii(&[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')]),
        ClassAsciiKind::Space => ascii(&[('\t', '\r'), (' ', ' ')]),
        ClassAsciiKind::Upper => ascii(&[('A', 'Z')]),
        ClassAsciiKind::Word => ascii(&[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')]),
        ClassAsciiKind::Xdigit => ascii(&[('0', '9'), ('A', 'F'), ('a', 'f')]),
    }
}

fn ascii(ranges: &[(char, char)]) -> Ranges {
    ranges.iter().map(|&(from, to)| (u32::from(from), u32::from(to))).collect()
}

/// Sorted, without overlaps or neighbours.
pub(super) fn merge(mut ranges: Ranges) -> Ranges {
    ranges.sort_unstable();
    let mut merged: Ranges = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match merged.last_mut() {
            // The surrogates are no characters: 0xD7FF and 0xE000 are neighbours.
            Some(last) if from <= last.1.saturating_add(1) || (last.1 == 0xD7FF && from == 0xE000) => {
                last.1 = last.1.max(to)
            }
            _ => merged.push((from, to)),
        }
    }
    merged
}

/// Every scalar value that is in none of the ranges.
pub(super) fn complement(ranges: Ranges) -> Ranges {
    let mut rest = Ranges::new();
    let mut next = 0;
    for (from, to) in merge(ranges) {
        if from > next {
            rest.push((next, from - 1));
        }
        next = to + 1;
    }
    if next <= 0x10_FFFF {
        rest.push((next, 0x10_FFFF));
    }
    rest
}
