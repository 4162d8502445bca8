//! A look at the brackets and operators of a module, before any parser sees it.
//!
//! The parser of regorus reads nested collections twice per level, its lexer and everything behind it recurse
//! with the nesting, and it takes a NUL for the end of the text. So nesting, length of expressions and characters
//! are bounded here, in one pass over the bytes.

use aegis_model::caps::{REGO_BRACKET_DEPTH_MAX, REGO_CHAIN_MAX, REGO_PARSE_WORK_MAX};

use crate::diagnostic::Diagnostic;
use crate::sources::TextIndex;

/// Refuses a text that would be costly or dangerous to parse.
pub(super) fn scan(index: &TextIndex<'_>) -> Result<(), Diagnostic> {
    let mut scan =
        Scan { index, text: index.text().as_bytes(), at: 0, levels: vec![Level::default()], work: 0 };
    while scan.at < scan.text.len() {
        scan.token()?;
    }
    Ok(())
}

/// What is known about the innermost open bracket.
#[derive(Default, Clone, Copy)]
struct Level {
    /// Whether the parser reads it more than once.
    collection: bool,
    /// Operators since the expression began.
    chain: usize,
    /// Whether the last token ends an operand.
    operand: bool,
}

struct Scan<'a, 't> {
    index: &'a TextIndex<'t>,
    text: &'t [u8],
    at: usize,
    levels: Vec<Level>,
    work: usize,
}

impl Scan<'_, '_> {
    fn token(&mut self) -> Result<(), Diagnostic> {
        let start = self.at;
        match self.text[start] {
            b' ' | b'\t' | b'\r' | b'\n' => self.at += 1,
            b'#' => return self.comment(),
            b'"' => {
                self.string()?;
                return self.operand(start);
            }
            b'`' => {
                self.raw_string()?;
                return self.operand(start);
            }
            open @ (b'(' | b'[' | b'{') => {
                self.at += 1;
                return self.open(start, open);
            }
            b')' | b']' | b'}' => {
                self.at += 1;
                if self.levels.len() > 1 {
                    self.levels.pop();
                }
                self.level().operand = true;
            }
            b',' | b';' => {
                self.at += 1;
                *self.level() = Level { collection: self.level().collection, ..Level::default() };
                return self.count(start);
            }
            byte if byte.is_ascii_alphanumeric() || byte == b'_' => {
                let word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
                self.at += self.text[start..].iter().take_while(word).count();
                return if &self.text[start..self.at] == b"in" {
                    self.connective(start)
                } else {
                    self.operand(start)
                };
            }
            byte if byte < b' ' || byte == 0x7F => {
                self.at += 1;
                return Err(self.error("rego-syntax", start, "a control character", "remove it"));
            }
            byte if byte.is_ascii() => {
                self.at += 1;
                return self.connective(start);
            }
            // Not ASCII: the parser refuses it outside of strings and comments.
            _ => self.at += 1,
        }
        Ok(())
    }

    fn level(&mut self) -> &mut Level {
        self.levels.last_mut().expect("the outermost level is never closed")
    }

    /// Counts a token as often as the parser may read it.
    fn count(&mut self, start: usize) -> Result<(), Diagnostic> {
        let doublings = self.levels.iter().filter(|level| level.collection).count();
        self.work += 1 << doublings;
        if self.work > REGO_PARSE_WORK_MAX {
            let help = "split long or nested literals into rules of their own";
            return Err(self.error("rego-too-large", start, "the module is too large and nested", help));
        }
        Ok(())
    }

    /// A name, a number, a string: behind another operand it begins a new expression.
    fn operand(&mut self, start: usize) -> Result<(), Diagnostic> {
        let level = self.level();
        if level.operand {
            level.chain = 0;
        }
        level.operand = true;
        self.count(start)
    }

    fn connective(&mut self, start: usize) -> Result<(), Diagnostic> {
        let level = self.level();
        level.operand = false;
        level.chain += 1;
        if level.chain > REGO_CHAIN_MAX {
            let message = format!("an expression has more than {REGO_CHAIN_MAX} operators in a row");
            return Err(self.error("rego-too-deep", start, message, "give parts of it names with `:=`"));
        }
        self.count(start)
    }

    fn open(&mut self, start: usize, bracket: u8) -> Result<(), Diagnostic> {
        if self.level().operand {
            // A call, an index, or the first token of a new expression: counted as the former.
            self.connective(start)?;
        }
        self.levels.push(Level { collection: bracket != b'(', ..Level::default() });
        if self.levels.len() > REGO_BRACKET_DEPTH_MAX + 1 {
            let message = format!("brackets are nested deeper than {REGO_BRACKET_DEPTH_MAX}");
            let help = "move the inner parts into rules of their own";
            return Err(self.error("rego-too-deep", start, message, help));
        }
        self.count(start)
    }

    fn comment(&mut self) -> Result<(), Diagnostic> {
        let start = self.at;
        let rest = &self.text[start..];
        let length = rest.iter().position(|&byte| byte == b'\n').unwrap_or(rest.len());
        self.at += length;
        self.no_control(start)?;
        if rest[1..length].trim_ascii() == b"METADATA" {
            let help = "write it as a plain comment";
            return Err(self.error("rego-unsupported", start, "annotations have no meaning here", help));
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), Diagnostic> {
        let start = self.at;
        self.at += 1;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => break self.at += 1,
                Some(b'\\') => self.at += 2,
                None | Some(b'\n') => {
                    return Err(self.error("rego-syntax", start, "the string is not closed", "add `\"`"));
                }
                Some(_) => self.at += 1,
            }
        }
        self.at = self.at.min(self.text.len());
        self.no_control(start)
    }

    fn raw_string(&mut self) -> Result<(), Diagnostic> {
        let start = self.at;
        let closing = self.text[start + 1..].iter().position(|&byte| byte == b'`');
        let Some(closing) = closing else {
            self.at = self.text.len();
            return Err(self.error("rego-syntax", start, "the raw string is not closed", "add a backtick"));
        };
        self.at += closing + 2;
        if self.text[start..self.at].contains(&b'\r') {
            let help = "end its lines with a line feed only";
            return Err(self.error("rego-syntax", start, "a raw string has carriage returns", help));
        }
        self.no_control(start)
    }

    /// From `start` to here. A NUL would end the text for the parser, and hide what follows.
    fn no_control(&self, start: usize) -> Result<(), Diagnostic> {
        let bad = |&byte: &u8| (byte < b' ' && !matches!(byte, b'\t' | b'\n' | b'\r')) || byte == 0x7F;
        match self.text[start..self.at].iter().position(bad) {
            None => Ok(()),
            Some(offset) => {
                let span = self.index.span(start + offset, start + offset + 1);
                Err(Diagnostic::error("rego-syntax", span, "a control character").help("remove it"))
            }
        }
    }

    fn error(&self, code: &'static str, start: usize, message: impl Into<String>, help: &str) -> Diagnostic {
        Diagnostic::error(code, self.index.span(start, self.at.max(start + 1)), message).help(help)
    }
}
