//! Texts and streams of text: what is found is replaced where it stands.

use super::{Found, Key, Outcome, Redactor, Site, With, unread};
use crate::finding::Report;
use crate::stream::{Decided, StreamScanner};

impl Redactor {
    /// Cleans a text.
    pub fn text(&self, text: &[u8], key: &Key) -> Outcome<Vec<u8>> {
        let report = self.scanner.scan(text);
        self.clean(text, 0, &report, key)
    }

    /// Cleans a part of a text that begins at `at`.
    fn clean(&self, text: &[u8], at: usize, report: &Report, key: &Key) -> Outcome<Vec<u8>> {
        let mut found: Vec<Found> =
            report.unread.iter().map(|(_, why)| unread("", Site::Text, *why)).collect();
        let ours = |finding| self.with(finding).map(|with| self.found(finding, "", Site::Text, with));
        found.extend(report.findings.iter().filter_map(ours));
        if found.iter().any(|it| it.with == With::Block) {
            return Outcome::Refused(found);
        }
        if found.is_empty() {
            return Outcome::Clean(text.to_vec());
        }
        let mut out = Vec::with_capacity(text.len());
        let mut done = 0;
        for piece in self.pieces(&report.findings) {
            let (start, end) = (piece.span.start - at, piece.span.end - at);
            out.extend_from_slice(&text[done..start]);
            out.extend_from_slice(self.replacement(&piece, &text[start..end], key).as_bytes());
            done = end;
        }
        out.extend_from_slice(&text[done..]);
        Outcome::Cleaned(out, found)
    }
}

/// Cleans a stream as it goes by. Once something was refused, nothing more comes out; what is dropped unfinished keeps what it
/// holds.
#[derive(Debug)]
pub struct StreamRedactor<'a> {
    redactor: &'a Redactor,
    key: &'a Key,
    stream: StreamScanner<'a>,
    refused: bool,
}

impl<'a> StreamRedactor<'a> {
    /// A stream of which nothing has arrived.
    pub fn new(redactor: &'a Redactor, key: &'a Key) -> Self {
        Self { redactor, key, stream: StreamScanner::new(&redactor.scanner), refused: false }
    }

    /// The next piece; gives what may go on.
    pub fn push(&mut self, piece: &[u8]) -> Outcome<Vec<u8>> {
        if self.refused {
            return Outcome::Refused(Vec::new());
        }
        let decided = self.stream.push(piece);
        let outcome = clean(self.redactor, &decided, self.key);
        self.refused = matches!(outcome, Outcome::Refused(_));
        outcome
    }

    /// The stream ended in order; gives the rest.
    pub fn finish(self) -> Outcome<Vec<u8>> {
        if self.refused {
            return Outcome::Refused(Vec::new());
        }
        clean(self.redactor, &self.stream.finish(), self.key)
    }
}

fn clean(redactor: &Redactor, decided: &Decided, key: &Key) -> Outcome<Vec<u8>> {
    redactor.clean(&decided.text, decided.at, &decided.report, key)
}
