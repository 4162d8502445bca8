//! Strict JSON into the same tree: RFC 8259 without its freedoms. Comments and trailing commas are refused.

use super::build::{Builder, Scalar, Stopped, Style};
use super::node::{Kind, Node};
use super::scalar::resolve_number;
use crate::ast::Span;
use crate::diagnostic::Diagnostic;
use crate::sources::TextIndex;

/// Reads one JSON document. Iterative: nesting costs no stack, and the builder bounds it.
pub(super) fn read_json(index: &TextIndex<'_>, builder: &mut Builder<'_>) -> Result<(), Stopped> {
    let mut reader = Reader { index, builder, at: 0 };
    let result = reader.document();
    match result {
        Ok(()) => Ok(()),
        Err(Failed::Stopped) => Err(Stopped),
        Err(Failed::Syntax { start, end, expected }) => {
            let problem = Diagnostic::error(
                "json-syntax",
                index.span(start, end),
                format!("this is not valid JSON: expected {expected}"),
            )
            .help(
                "a `.json` file is strict JSON: double quotes, no comments, no comma behind the last element",
            );
            builder.report().push(problem);
            Err(Stopped)
        }
    }
}

enum Failed {
    Stopped,
    Syntax { start: usize, end: usize, expected: &'static str },
}

impl From<Stopped> for Failed {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

struct Reader<'a, 't, 'b, 'r> {
    index: &'a TextIndex<'t>,
    builder: &'b mut Builder<'r>,
    at: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Seq,
    Map,
}

impl Reader<'_, '_, '_, '_> {
    fn document(&mut self) -> Result<(), Failed> {
        let mut open: Vec<Inside> = Vec::new();
        self.skip_space();
        if self.at == self.index.text().len() {
            return Ok(());
        }
        loop {
            if let Some(inside) = self.value()?
                && !self.first_is_close(inside)?
            {
                open.push(inside);
                self.key_if(inside)?;
                continue;
            }
            if !self.after_value(&mut open)? {
                break;
            }
        }
        self.skip_space();
        if self.at < self.index.text().len() { self.fail("the end of the file") } else { Ok(()) }
    }

    /// Reads a scalar, or the opening bracket of a collection.
    fn value(&mut self) -> Result<Option<Inside>, Failed> {
        self.skip_space();
        let start = self.at;
        match self.peek() {
            Some(b'{') => {
                self.at += 1;
                self.builder.open_map(self.index.span(start, self.at), 0)?;
                Ok(Some(Inside::Map))
            }
            Some(b'[') => {
                self.at += 1;
                self.builder.open_seq(self.index.span(start, self.at), 0)?;
                Ok(Some(Inside::Seq))
            }
            Some(b'"') => {
                self.string()?;
                Ok(None)
            }
            _ => {
                self.word()?;
                Ok(None)
            }
        }
    }

    /// Closes a collection that has no element.
    fn first_is_close(&mut self, inside: Inside) -> Result<bool, Failed> {
        self.skip_space();
        let close = if inside == Inside::Map { b'}' } else { b']' };
        if self.peek() != Some(close) {
            return Ok(false);
        }
        self.close()?;
        Ok(true)
    }

    /// Behind a value: a comma and the next key, or closing brackets. False: the document is complete.
    fn after_value(&mut self, open: &mut Vec<Inside>) -> Result<bool, Failed> {
        loop {
            let Some(&inside) = open.last() else { return Ok(false) };
            self.skip_space();
            match (self.peek(), inside) {
                (Some(b','), _) => {
                    self.at += 1;
                    self.key_if(inside)?;
                    return Ok(true);
                }
                (Some(b'}'), Inside::Map) | (Some(b']'), Inside::Seq) => {
                    self.close()?;
                    open.pop();
                }
                (_, Inside::Map) => return self.fail("`,` or `}`"),
                (_, Inside::Seq) => return self.fail("`,` or `]`"),
            }
        }
    }

    fn close(&mut self) -> Result<(), Failed> {
        self.at += 1;
        let end = self.index.span(self.at, self.at).start;
        Ok(self.builder.close(end)?)
    }

    fn key_if(&mut self, inside: Inside) -> Result<(), Failed> {
        if inside == Inside::Seq {
            return Ok(());
        }
        self.skip_space();
        if self.peek() != Some(b'"') {
            return self.fail("a key in double quotes");
        }
        self.string()?;
        self.skip_space();
        if self.peek() != Some(b':') {
            return self.fail("`:`");
        }
        self.at += 1;
        Ok(())
    }

    fn string(&mut self) -> Result<(), Failed> {
        let start = self.at;
        let bytes = self.index.text().as_bytes();
        let mut end = start + 1;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => end += 2,
                Some(byte) if *byte < 0x20 => return self.fail_at(end, "no control character in a string"),
                Some(_) => end += 1,
                None => return self.fail_at(start, "a closing quote"),
            }
        }
        end += 1;
        // serde_json knows the escapes, and refuses lone surrogates.
        let Ok(text) = serde_json::from_str::<String>(&self.index.text()[start..end]) else {
            return Err(Failed::Syntax { start, end, expected: "valid escapes in this string" });
        };
        self.at = end;
        let span = self.index.span(start, end);
        let text: Box<str> = text.into();
        let node = Node { span, kind: Kind::Text(text.clone()) };
        Ok(self.builder.scalar(Scalar { node, text, style: Style::Other, refused: None }, 0)?)
    }

    fn word(&mut self) -> Result<(), Failed> {
        let start = self.at;
        let rest = &self.index.text()[start..];
        let length = rest
            .bytes()
            .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_'))
            .count();
        let word = &rest[..length];
        let span = self.index.span(start, start + length);
        let (kind, refused) = match word {
            "null" => (Kind::Null, None),
            "true" => (Kind::Bool(true), None),
            "false" => (Kind::Bool(false), None),
            number if super::number::is_json_number(number) => match resolve_number(number) {
                Ok(kind) => (kind, None),
                Err(why) => (Kind::Bad, Some(Diagnostic::error(why.code, span, why.message).help(why.help))),
            },
            _ => return Err(Failed::Syntax { start, end: start + length.max(1), expected: "a value" }),
        };
        self.at += length;
        Ok(self.place(span, word, kind, refused)?)
    }

    fn place(
        &mut self,
        span: Span,
        word: &str,
        kind: Kind,
        refused: Option<Diagnostic>,
    ) -> Result<(), Stopped> {
        self.builder
            .scalar(Scalar { node: Node { span, kind }, text: word.into(), style: Style::Other, refused }, 0)
    }

    fn peek(&self) -> Option<u8> {
        self.index.text().as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn fail<T>(&self, expected: &'static str) -> Result<T, Failed> {
        self.fail_at(self.at, expected)
    }

    fn fail_at<T>(&self, at: usize, expected: &'static str) -> Result<T, Failed> {
        Err(Failed::Syntax { start: at, end: at + 1, expected })
    }
}
