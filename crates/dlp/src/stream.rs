//! Streams: the same findings wherever the stream was cut, and nothing let out that is not decided (DLP-1).

use aegis_model::caps::DLP_HOLD_BYTES_MAX;

use crate::finding::{Finding, Report, Span, Unread};
use crate::pass::{BACK, Pass, Sink, State};
use crate::resolve::{Candidate, resolve};
use crate::scanner::Scanner;

/// Bytes before the first undecided anchor that are kept for those that come: what they may look back on.
const KEPT: usize = 2 * BACK + 64;

/// Fewest new bytes that are worth a pass.
const PASS_BYTES_MIN: usize = 256;

/// A part of the stream that is decided. No finding goes beyond it at either end.
#[derive(Default, PartialEq, Eq)]
pub struct Decided {
    /// Where it begins in the stream.
    pub at: usize,
    /// Its bytes.
    pub text: Vec<u8>,
    /// What is in it. Spans count from the beginning of the stream.
    pub report: Report,
}

/// Shows how much it is, never what it says (AUD-2).
impl std::fmt::Debug for Decided {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { at, text, report } = self;
        f.debug_struct("Decided").field("at", at).field("bytes", &text.len()).field("report", report).finish()
    }
}

/// Scans what arrives in pieces. What is dropped without [`StreamScanner::finish`] never lets its last bytes out, so a stream
/// that breaks off ends closed.
pub struct StreamScanner<'a> {
    scanner: &'a Scanner,
    /// Bytes from `base` on: some that are released, kept to look back on, and those that are held.
    buffer: Vec<u8>,
    /// Where the buffer begins in the stream.
    base: usize,
    /// Where the held bytes begin in the buffer.
    released: usize,
    /// The first undecided anchor in the buffer.
    from: usize,
    /// No pass is worth its time before the buffer is so long.
    next: usize,
    state: State,
    /// Of what is not released, by offsets of the buffer.
    candidates: Vec<Candidate>,
    unread: Vec<(Span, Unread)>,
}

impl<'a> StreamScanner<'a> {
    /// A stream of which nothing has arrived.
    pub fn new(scanner: &'a Scanner) -> Self {
        Self {
            scanner,
            buffer: Vec::new(),
            base: 0,
            released: 0,
            from: 0,
            next: 0,
            state: State::new(scanner),
            candidates: Vec::new(),
            unread: Vec::new(),
        }
    }

    /// The next piece; gives what is decided by it.
    pub fn push(&mut self, piece: &[u8]) -> Decided {
        self.buffer.extend_from_slice(piece);
        if self.buffer.len() < self.next {
            return Decided { at: self.base + self.released, ..Decided::default() };
        }
        self.pass(false)
    }

    /// The stream ended in order; gives the rest.
    pub fn finish(mut self) -> Decided {
        self.pass(true)
    }

    /// How many bytes are held back.
    pub fn held(&self) -> usize {
        self.buffer.len() - self.released
    }

    fn pass(&mut self, last: bool) -> Decided {
        let mut sink = Sink::default();
        let (text, until) = (self.buffer.as_slice(), self.buffer.len());
        let pass = Pass { scanner: self.scanner, text, from: self.from, until, last, hint: 0, depth: 0 };
        self.from = pass.run(&mut self.state, &mut sink);
        self.candidates.append(&mut sink.candidates);
        self.unread.append(&mut sink.unread);
        let safe = self.safe(last);
        let decided = self.release(safe);
        self.forget();
        // A pass reads again what it could not decide: it waits until that is worth it.
        let undecided = self.buffer.len() - self.from;
        self.next = self.buffer.len() + PASS_BYTES_MIN.max(undecided / 8);
        debug_assert!(last || self.held() + undecided / 8 <= DLP_HOLD_BYTES_MAX);
        decided
    }

    /// Up to where everything is decided: nothing that is found later begins before, and nothing found goes beyond.
    fn safe(&self, last: bool) -> usize {
        if last {
            return self.buffer.len();
        }
        let mut safe = self.from.saturating_sub(BACK).max(self.released);
        let found = self.candidates.iter().map(|it| (it.start, it.end));
        let mut spans: Vec<(usize, usize)> =
            found.chain(self.unread.iter().map(|(span, _)| (span.start, span.end))).collect();
        // From the last one on: moving the end to the left can only make earlier ones reach over it.
        spans.sort_unstable_by_key(|span| std::cmp::Reverse(*span));
        for (start, end) in spans {
            if start < safe && end > safe {
                safe = start;
            }
        }
        safe.max(self.released)
    }

    fn release(&mut self, safe: usize) -> Decided {
        let text = self.buffer[self.released..safe].to_vec();
        let at = self.base + self.released;
        let (mut ours, rest) = self.candidates.drain(..).partition::<Vec<_>, _>(|it| it.end <= safe);
        self.candidates = rest;
        let (unread, rest) = self.unread.drain(..).partition::<Vec<_>, _>(|(span, _)| span.end <= safe);
        self.unread = rest;
        let base = self.base;
        let moved = |span: Span| Span { start: span.start + base, end: span.end + base };
        let findings =
            resolve(&mut ours).into_iter().map(|it| Finding { span: moved(it.span), ..it }).collect();
        let mut unread: Vec<_> = unread.into_iter().map(|(span, why)| (moved(span), why)).collect();
        unread.sort_unstable();
        self.released = safe;
        Decided { at, text, report: Report { findings, unread } }
    }

    /// Lets go of what nobody looks back on.
    fn forget(&mut self) {
        let gone = self.from.saturating_sub(KEPT).min(self.released);
        // Moving the rest costs as much as it is long.
        if gone < KEPT {
            return;
        }
        self.buffer.drain(..gone);
        self.base += gone;
        self.released -= gone;
        self.from -= gone;
        self.state.forget(gone);
        for candidate in &mut self.candidates {
            (candidate.start, candidate.end) = (candidate.start - gone, candidate.end - gone);
        }
        for (span, _) in &mut self.unread {
            *span = Span { start: span.start - gone, end: span.end - gone };
        }
    }
}

impl std::fmt::Debug for StreamScanner<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamScanner").field("held", &self.held()).finish_non_exhaustive()
    }
}
