//! Stands between the text and the YAML scanner, and ends the text early once brackets nest too deep.
//!
//! Before it hands out the first event of a flow collection (`[…]`, `{…}`), the scanner reads the whole of it, keeps
//! its tokens, and for each token walks over every open bracket, of which it takes up to 255. So depth and tokens have to
//! be bounded while it scans, not in the tree that is built from its events. The scanner asks, at the start of
//! every token and nowhere else, whether the next character is a byte order mark; the bracket that it skips right
//! afterwards is therefore a token and not part of a string. Tests of time and of exact depth hold this in place.

use std::cell::Cell;

use aegis_model::caps::{POLICY_DEPTH_MAX, POLICY_NODES_MAX};
use saphyr_parser::Input;

/// Most tokens of one file: a node costs at most a few.
const TOKENS_MAX: usize = 4 * POLICY_NODES_MAX;

/// How many characters the scanner takes in one go where it copies.
const BATCH: usize = 128;

/// What the guard has seen.
#[derive(Debug, Default)]
pub(super) struct Watch {
    depth: Cell<usize>,
    tokens: Cell<usize>,
    consumed: Cell<usize>,
    token_starts: Cell<bool>,
    stopped: Cell<Option<Stop>>,
}

/// Why the text was ended early, and at which byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    TooDeep(usize),
    TooManyTokens(usize),
}

impl Watch {
    pub(super) fn stopped(&self) -> Option<Stop> {
        self.stopped.get()
    }
}

/// A string as the scanner's input, watched.
#[derive(Debug, Clone)]
pub(super) struct Guarded<'t> {
    rest: &'t str,
    looked_ahead: usize,
    watch: &'t Watch,
}

impl<'t> Guarded<'t> {
    pub(super) fn new(text: &'t str, watch: &'t Watch) -> Self {
        Self { rest: text, looked_ahead: 0, watch }
    }

    /// Consumes `next`, the first character.
    fn consume(&mut self, next: char) {
        let watch = self.watch;
        if watch.stopped.get().is_some() {
            self.rest = "";
            return;
        }
        if watch.token_starts.replace(false) {
            let depth = watch.depth.get();
            match next {
                '[' | '{' if depth >= POLICY_DEPTH_MAX => {
                    return self.stop(Stop::TooDeep(watch.consumed.get()));
                }
                '[' | '{' => watch.depth.set(depth + 1),
                ']' | '}' => watch.depth.set(depth.saturating_sub(1)),
                _ => {}
            }
        }
        watch.consumed.set(watch.consumed.get() + next.len_utf8());
        self.rest = &self.rest[next.len_utf8()..];
    }

    fn stop(&mut self, why: Stop) {
        self.watch.stopped.set(Some(why));
        self.rest = "";
    }
}

impl Input for Guarded<'_> {
    fn lookahead(&mut self, count: usize) {
        self.looked_ahead = self.looked_ahead.max(count);
    }

    fn buflen(&self) -> usize {
        self.looked_ahead
    }

    fn bufmaxlen(&self) -> usize {
        BATCH
    }

    fn raw_read_ch(&mut self) -> char {
        let next = self.peek();
        self.skip();
        next
    }

    fn raw_read_non_breakz_ch(&mut self) -> Option<char> {
        let next = self.peek_opt().filter(|next| !matches!(next, '\0' | '\n' | '\r' | '\u{FEFF}'))?;
        self.consume(next);
        Some(next)
    }

    fn skip(&mut self) {
        if let Some(next) = self.peek_opt() {
            self.consume(next);
        }
    }

    fn skip_n(&mut self, count: usize) {
        for _ in 0..count {
            self.skip();
        }
    }

    fn peek(&self) -> char {
        self.peek_opt().unwrap_or('\0')
    }

    fn peek_nth(&self, n: usize) -> char {
        self.rest.chars().nth(n).unwrap_or('\0')
    }

    fn peek_opt(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn look_ch(&mut self) -> char {
        self.lookahead(1);
        self.peek()
    }

    fn next_char_is(&self, wanted: char) -> bool {
        if wanted == '\u{FEFF}' {
            let watch = self.watch;
            watch.token_starts.set(true);
            watch.tokens.set(watch.tokens.get() + 1);
            if watch.tokens.get() > TOKENS_MAX && watch.stopped.get().is_none() {
                watch.stopped.set(Some(Stop::TooManyTokens(watch.consumed.get())));
            }
        }
        self.peek() == wanted
    }
}
