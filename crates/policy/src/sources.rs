//! Source texts: what kind of file each is, where a byte stands in it, and how one file names another.

use crate::ast::Span;

/// What a file of a policy set is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// `.yaml` and `.yml`: policy documents, or a schema that a policy names.
    Yaml,
    /// `.json`: policy documents, or a schema that a policy names.
    Json,
    /// `.rego`: a custom module.
    Rego,
    /// `*_test.yaml`, `*_test.yml`, `*_test.json`: tests of the policy, no part of it.
    Test,
    /// Anything else, such as a README: not read.
    Other,
}

impl FileKind {
    /// The kind of the file at `path`.
    pub fn of(path: &str) -> Self {
        let Some((stem, extension)) = path.rsplit_once('.') else { return Self::Other };
        match extension {
            "yaml" | "yml" | "json" if stem.ends_with("_test") => Self::Test,
            "yaml" | "yml" => Self::Yaml,
            "json" => Self::Json,
            "rego" => Self::Rego,
            _ => Self::Other,
        }
    }
}

/// The path that `reference`, written in the file at `from`, means: relative to that file's folder, with `/`.
///
/// `None` where it is absolute, empty, leaves the set's folder, or is not in plain form (`./` in front is
/// fine, `..` may lead up as long as it stays inside).
pub fn resolve_path(from: &str, reference: &str) -> Option<String> {
    if reference.is_empty() || reference.starts_with('/') || reference.contains(['\\', '\0']) {
        return None;
    }
    let folder = from.rsplit_once('/').map_or("", |(folder, _)| folder);
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in reference.split('/') {
        match part {
            "" => return None,
            "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// Bytes between two checkpoints of [`TextIndex`].
const STRIDE: usize = 32;

/// Finds line and column of a byte, and the byte of a character, in constant time but for one search among
/// the lines. Without it, a file of one long line would make every position cost the whole line.
#[derive(Debug)]
pub(crate) struct TextIndex<'t> {
    file: u32,
    text: &'t str,
    ascii: bool,
    /// Byte offset of each line's first byte.
    lines: Vec<u32>,
    /// Characters in front of byte `STRIDE * n`, or in front of the first boundary behind it.
    characters: Vec<u32>,
}

impl<'t> TextIndex<'t> {
    /// Indexes a text of at most 4 GiB; policy files are bounded far below.
    pub(crate) fn new(file: u32, text: &'t str) -> Self {
        let mut lines = vec![0];
        lines.extend(
            text.bytes().enumerate().filter(|&(_, byte)| byte == b'\n').map(|(at, _)| narrow(at + 1)),
        );
        let ascii = text.is_ascii();
        let mut characters = Vec::new();
        if !ascii {
            let mut seen: u32 = 0;
            for (at, byte) in text.bytes().enumerate() {
                if at % STRIDE == 0 {
                    characters.push(seen);
                }
                seen += u32::from(byte & 0xC0 != 0x80);
            }
        }
        Self { file, text, ascii, lines, characters }
    }

    pub(crate) fn text(&self) -> &'t str {
        self.text
    }

    /// Characters that begin in front of byte `at`.
    fn characters_before(&self, at: usize) -> usize {
        if self.ascii {
            return at;
        }
        let checkpoint = (at / STRIDE).min(self.characters.len().saturating_sub(1));
        let from = checkpoint * STRIDE;
        let rest = self.text.as_bytes()[from..at].iter().filter(|&&byte| byte & 0xC0 != 0x80).count();
        self.characters.get(checkpoint).map_or(0, |&seen| seen as usize) + rest
    }

    /// The byte at which character number `character` (from 0) begins; the text's length if there is none.
    pub(crate) fn byte_of(&self, character: usize) -> usize {
        if self.ascii {
            return character.min(self.text.len());
        }
        let checkpoint =
            self.characters.partition_point(|&seen| seen as usize <= character).saturating_sub(1);
        let mut seen = self.characters.get(checkpoint).map_or(0, |&seen| seen as usize);
        for (at, byte) in self.text.bytes().enumerate().skip(checkpoint * STRIDE) {
            if byte & 0xC0 != 0x80 {
                if seen == character {
                    return at;
                }
                seen += 1;
            }
        }
        self.text.len()
    }

    /// The span of bytes `start..end`, moved to character boundaries inside the text.
    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        let floor = |mut at: usize| {
            at = at.min(self.text.len());
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let (start, end) = (floor(start), floor(end.max(start)));
        let line = self.lines.partition_point(|&first| first as usize <= start);
        let first = self.lines[line - 1] as usize;
        let column = self.characters_before(start) - self.characters_before(first) + 1;
        Span {
            file: self.file,
            start: narrow(start),
            end: narrow(end),
            line: narrow(line),
            column: narrow(column),
        }
    }
}

/// Offsets fit in 32 bits, since files are bounded by `caps::POLICY_FILE_BYTES_MAX`.
fn narrow(offset: usize) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_its_line_column_and_character() {
        let text = format!("a\u{e4}b\r\n{}\u{1F600}x\n\n", "\u{e4}".repeat(700));
        let index = TextIndex::new(0, &text);
        for (number, (at, _)) in text.char_indices().enumerate() {
            assert_eq!(index.byte_of(number), at);
            let before = &text[..at];
            let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
            let span = index.span(at, at + 1);
            assert_eq!(span.line as usize, before.matches('\n').count() + 1);
            assert_eq!(span.column as usize, text[line_start..at].chars().count() + 1);
        }
        assert_eq!(index.byte_of(1_000_000), text.len());
    }

    #[test]
    fn references_stay_inside_the_set() {
        assert_eq!(resolve_path("a/b.yaml", "c.json").as_deref(), Some("a/c.json"));
        assert_eq!(resolve_path("a/b.yaml", "../c.json").as_deref(), Some("c.json"));
        assert_eq!(resolve_path("b.yaml", "./s/c.json").as_deref(), Some("s/c.json"));
        for outside in ["../c.json", "/etc/passwd", "", "a//b", "a\\b"] {
            assert_eq!(resolve_path("b.yaml", outside), None, "{outside:?}");
        }
    }

    #[test]
    fn tests_are_no_policies() {
        assert_eq!(FileKind::of("a/b_test.yaml"), FileKind::Test);
        assert_eq!(FileKind::of("a/b.yaml"), FileKind::Yaml);
        assert_eq!(FileKind::of("a.json"), FileKind::Json);
        assert_eq!(FileKind::of("README.md"), FileKind::Other);
        assert_eq!(FileKind::of("x.rego"), FileKind::Rego);
    }
}
