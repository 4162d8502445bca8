//! One pass over a text, or over as much of a stream as can be decided.
//!
//! Everything that is found is found at an *anchor*: a word, a run of digits, a byte, the beginning of a run of base64 or of a
//! stretch of escapes. What is found there depends on bounded text around it, so an anchor can be decided as soon as that text
//! is there, and never differently later (DLP-1). A pass decides every anchor from `from` up to a limit, which it gives back.

use aegis_model::caps::{DLP_DECODED_RATIO_MAX, DLP_DEPTH_MAX, DLP_UNPACKED_BYTES_MAX, DLP_VALUE_BYTES_MAX};

use crate::detectors::{Anchor, DETECTORS, Long};
use crate::finding::{Span, Unread, Via};
use crate::kind::Kind;
use crate::near::Near;
use crate::numbers::NO_RUNS;
use crate::place::{AHEAD, Announced, BEHIND, Hit, Spot};
use crate::resolve::Candidate;
use crate::scanner::{Scanner, SpotEntry};
use crate::secrets::VENDORS;
use crate::views::escapes::{self, AROUND, Stretch};
use crate::views::{Origin, View, blobs, gzip};
use crate::words::{Lead, Word};

/// Room for what a detector sees of the byte behind its window: whether a run of digits goes on, and what joins it.
const SLACK: usize = 16;

/// How far before its anchor a finding may begin, in bytes.
pub(crate) const BACK: usize = if AROUND > BEHIND { AROUND } else { BEHIND };

/// Most bytes of a word, and so how far before an anchor its words of context may begin.
const WORDS_BACK: usize = BEHIND;

/// What a pass leaves to the next one over the same stream. Offsets are those of the text that it saw.
#[derive(Debug, Clone)]
pub(crate) struct State {
    /// Before here every run of base64 is decided.
    run: usize,
    /// A run that was too long goes on here.
    run_again: Option<usize>,
    /// Before here every stretch of escapes is decided.
    stretch: usize,
    /// Before here every packed text is decided.
    pack: usize,
    /// Of a text that is all there: before here no other run begins, and no other stretch, so that nobody looks again.
    run_ahead: usize,
    stretch_ahead: usize,
    /// Where each of the tenant's own detectors goes on.
    customs: Vec<usize>,
    /// Long values that words announced.
    announced: Announced,
    /// Bytes that may still be unpacked.
    unpack: usize,
}

impl State {
    pub(crate) fn new(scanner: &Scanner) -> Self {
        let customs = vec![0; scanner.customs.len()];
        Self {
            run: 0,
            run_again: None,
            stretch: 0,
            pack: 0,
            run_ahead: 0,
            stretch_ahead: 0,
            customs,
            announced: Announced::default(),
            unpack: DLP_UNPACKED_BYTES_MAX,
        }
    }

    /// The first bytes of the text are gone.
    pub(crate) fn forget(&mut self, count: usize) {
        let places =
            [&mut self.run, &mut self.stretch, &mut self.pack, &mut self.run_ahead, &mut self.stretch_ahead];
        for at in places.into_iter().chain(&mut self.customs) {
            *at = at.saturating_sub(count);
        }
        self.announced.forget(count);
        self.run_again = self.run_again.map(|at| at.saturating_sub(count));
    }
}

/// Where a pass puts what it finds.
#[derive(Debug, Default)]
pub(crate) struct Sink {
    pub candidates: Vec<Candidate>,
    pub unread: Vec<(Span, Unread)>,
    /// Bytes that may still be decoded within the present run.
    decode: usize,
}

/// One pass.
#[derive(Clone, Copy)]
pub(crate) struct Pass<'a> {
    pub scanner: &'a Scanner,
    pub text: &'a [u8],
    /// The first anchor that is not decided yet.
    pub from: usize,
    /// Anchors from here on are left to another pass.
    pub until: usize,
    /// Whether the text ends here.
    pub last: bool,
    /// Kinds of which words stand around the text.
    pub hint: u64,
    /// Encodings around the text.
    pub depth: usize,
}

/// How much of a text one pass goes over: what it remembers on its way stays in the processor's caches, however long the text is.
const AT_ONCE: usize = 64 << 10;

/// What to look at closer: found in a first run, done if it begins before the limit.
#[derive(Default)]
struct Parts {
    longs: Vec<(usize, u16, Option<Hit>)>,
    runs: Vec<(usize, usize, Option<usize>)>,
    stretches: Vec<Stretch>,
    packs: Vec<(usize, gzip::Unpacked)>,
}

impl<'a> Pass<'a> {
    /// The first pass over a text that is all there.
    pub(crate) fn over(scanner: &'a Scanner, text: &'a [u8], hint: u64, depth: usize) -> Self {
        Self { scanner, text, from: 0, until: AT_ONCE, last: true, hint, depth }
    }

    /// Decides all of a text that is all there.
    pub(crate) fn run_all(mut self, state: &mut State, sink: &mut Sink) {
        let step = self.until;
        while self.from < self.text.len() {
            self.from = self.run(state, sink);
            self.until = self.from + step;
        }
    }
}

impl Pass<'_> {
    /// Decides what can be decided; gives the first anchor that cannot.
    pub(crate) fn run(self, state: &mut State, sink: &mut Sink) -> usize {
        let seen = if self.last { self.text.len() } else { self.text.len().saturating_sub(AHEAD + SLACK) };
        let reach = seen.min(self.until);
        if reach <= self.from {
            return self.from;
        }
        let mut words = Vec::new();
        let end = self.text.len().min(reach + AHEAD + SLACK);
        self.scanner.words.find(self.text, self.from.saturating_sub(WORDS_BACK), end, &mut words);
        let mut near = Near::new(self.hint);
        for word in &words {
            for lead in self.scanner.words.leads(*word) {
                if let Lead::Context(kinds) = lead {
                    near.push(word.start, word.end, *kinds);
                }
            }
        }
        let (parts, limit) = self.parts(&words, reach, state);
        if limit <= self.from {
            return self.from;
        }
        self.words(&words, limit, &mut near, state, sink);
        self.longs(&parts, limit, sink);
        near.rewind();
        self.bytes(limit, &mut near, sink);
        self.customs(limit, state, sink);
        self.views(parts, limit, &near, state, sink);
        limit
    }

    fn push(&self, sink: &mut Sink, kind: u16, hit: Hit) {
        if self.scanner.wants(kind, hit) {
            let Hit { start, end, valid } = hit;
            sink.candidates.push(Candidate { start, end, kind, valid, via: Via::Plain });
        }
    }

    /// What may be long, and the limit that it leaves: where something begins that could go on behind the text.
    fn parts(&self, words: &[Word], reach: usize, state: &mut State) -> (Parts, usize) {
        let (mut parts, mut limit) = (Parts::default(), reach);
        let alone = (Near::new(0), Announced::default());
        for word in words.iter().filter(|word| word.start >= self.from && word.start < reach) {
            for lead in self.scanner.words.leads(*word) {
                let Some((kind, found, end)) = self.long(*word, *lead, &alone) else { continue };
                let more = match found {
                    Long::More(_) => !self.last && end < DLP_VALUE_BYTES_MAX,
                    Long::Done(_) => false,
                };
                if more {
                    limit = limit.min(word.start);
                }
                let (Long::Done(hit) | Long::More(hit)) = found;
                parts.longs.push((word.start, kind, hit));
            }
        }
        if self.depth <= DLP_DEPTH_MAX {
            limit = self.find_runs(limit, state, &mut parts);
            limit = self.find_stretches(limit, state, &mut parts);
            limit = self.find_packs(limit, state, &mut parts);
        }
        (parts, limit)
    }

    /// What a detector of long values says, and how many bytes it saw. It looks at the value alone.
    fn long(
        &self,
        word: Word,
        lead: Lead,
        (near, announced): &(Near, Announced),
    ) -> Option<(u16, Long, usize)> {
        let text = &self.text[..self.text.len().min(word.start + DLP_VALUE_BYTES_MAX)];
        let spot = |kind| Spot { text, at: word.start, end: word.end, near, kind, announced };
        let seen = text.len() - word.start;
        match lead {
            Lead::Detector(kind, at) => match &DETECTORS[usize::from(kind)].anchors[usize::from(at)] {
                Anchor::Long(_, find) => Some((kind, find(&spot(kind)), seen)),
                _ => None,
            },
            Lead::Vendor(row) => {
                let vendor = &VENDORS[usize::from(row)];
                let kind = vendor_kind(row);
                vendor.long().then(|| {
                    let hit = vendor.find(&spot(kind));
                    let open = seen < vendor.longest();
                    (kind, if open { Long::More(hit) } else { Long::Done(hit) }, seen)
                })
            }
            Lead::Context(_) => None,
        }
    }

    fn find_runs(&self, mut limit: usize, state: &mut State, parts: &mut Parts) -> usize {
        let text = self.text;
        let mut at = self.from.max(state.run);
        match state.run_again {
            Some(again) => at = again,
            None if at == self.from && at > state.run && blobs::inside(text, at) => {
                at = blobs::skip(text, at)
            }
            None => {}
        }
        at = at.max(state.run_ahead);
        while at < limit {
            let Some((start, end)) = blobs::next(text, at) else {
                state.run_ahead = if self.last { text.len() } else { state.run_ahead };
                break;
            };
            if start >= limit {
                state.run_ahead = if self.last { start } else { state.run_ahead };
                break;
            }
            if end == text.len() && !self.last && end - start < blobs::RUN_MAX
                || !self.last && end + 4 > text.len()
            {
                limit = start;
                break;
            }
            let goes_on = end - start == blobs::RUN_MAX && blobs::inside(text, end + 1);
            let again = goes_on.then(|| end - blobs::OVERLAP);
            parts.runs.push((start, end, again));
            at = again.unwrap_or_else(|| blobs::skip(text, end));
        }
        limit
    }

    fn find_stretches(&self, mut limit: usize, state: &mut State, parts: &mut Parts) -> usize {
        let mut at = self.from.max(state.stretch).max(state.stretch_ahead);
        while at < limit {
            let Some(stretch) = escapes::next(self.text, at) else {
                state.stretch_ahead = if self.last { self.text.len() } else { state.stretch_ahead };
                break;
            };
            if stretch.first >= limit {
                state.stretch_ahead = if self.last { stretch.first } else { state.stretch_ahead };
                break;
            }
            if stretch.open && !self.last {
                limit = stretch.first;
                break;
            }
            at = stretch.last;
            parts.stretches.push(stretch);
        }
        limit
    }

    fn find_packs(&self, mut limit: usize, state: &State, parts: &mut Parts) -> usize {
        let mut at = self.from.max(state.pack);
        while at < limit
            && let Some(found) =
                memchr::memmem::find(&self.text[at..self.text.len().min(limit + 2)], gzip::MAGIC)
        {
            let start = at + found;
            let packed = &self.text[start..self.text.len().min(start + blobs::RUN_MAX)];
            let unpacked = gzip::unpack(packed);
            if unpacked.unread == Some(Unread::Broken) && !self.last && packed.len() < blobs::RUN_MAX {
                limit = start;
                break;
            }
            at = start + unpacked.taken.max(gzip::MAGIC.len());
            parts.packs.push((start, unpacked));
        }
        limit
    }

    fn words(&self, words: &[Word], limit: usize, near: &mut Near, state: &State, sink: &mut Sink) {
        let announced = &state.announced;
        for word in words.iter().filter(|word| word.start >= self.from && word.start < limit) {
            let text = &self.text[..self.text.len().min(word.start + AHEAD)];
            for lead in self.scanner.words.leads(*word) {
                let (kind, found) = match *lead {
                    Lead::Context(_) => continue,
                    Lead::Detector(kind, at) => {
                        match &DETECTORS[usize::from(kind)].anchors[usize::from(at)] {
                            Anchor::Words(_, find) | Anchor::Prefixes(_, find) => {
                                near.move_to(word.start);
                                (
                                    kind,
                                    find(&Spot {
                                        text,
                                        at: word.start,
                                        end: word.end,
                                        near,
                                        kind,
                                        announced,
                                    }),
                                )
                            }
                            _ => continue,
                        }
                    }
                    Lead::Vendor(row) => {
                        let (vendor, kind) = (&VENDORS[usize::from(row)], vendor_kind(row));
                        if vendor.long() {
                            continue;
                        }
                        (
                            kind,
                            vendor.find(&Spot { text, at: word.start, end: word.end, near, kind, announced }),
                        )
                    }
                };
                if let Some(hit) = found {
                    self.push(sink, kind, hit);
                }
            }
        }
    }

    fn longs(&self, parts: &Parts, limit: usize, sink: &mut Sink) {
        for (start, kind, hit) in &parts.longs {
            if let Some(hit) = hit.filter(|_| *start < limit) {
                self.push(sink, *kind, hit);
            }
        }
    }

    /// Runs of digits, and bytes such as `@`.
    fn bytes(&self, limit: usize, near: &mut Near, sink: &mut Sink) {
        let (text, scanner) = (self.text, self.scanner);
        let mut runs = NO_RUNS;
        let mut at = self.from;
        // The rest of a run that begins before is a part of it.
        if at > 0 && text[at - 1].is_ascii_digit() {
            at += text[at..limit].iter().take_while(|byte| byte.is_ascii_digit()).count();
        }
        while let Some(next) =
            text[at..limit].iter().position(|byte| scanner.classes[usize::from(*byte)] != 0)
        {
            at += next;
            let class = scanner.classes[usize::from(text[at])];
            if class == 1 {
                let end = scanner
                    .numbers
                    .chain(text, at, limit, near, &mut runs, &mut |kind, hit| self.push(sink, kind, hit));
                self.spots(at, end.min(limit), near, sink);
                at = end;
            } else {
                self.spot(at, class, near, sink);
                at += 1;
            }
            if at >= limit {
                break;
            }
        }
    }

    /// The bytes that join runs of digits may be looked for themselves.
    fn spots(&self, from: usize, to: usize, near: &mut Near, sink: &mut Sink) {
        for at in from..to {
            let class = self.scanner.classes[usize::from(self.text[at])];
            if class > 1 {
                self.spot(at, class, near, sink);
            }
        }
    }

    fn spot(&self, at: usize, class: u8, near: &mut Near, sink: &mut Sink) {
        let text = &self.text[..self.text.len().min(at + AHEAD)];
        let follows = text.get(at + 1).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte >= 0x80);
        near.move_to(at);
        let announced = &Announced::default();
        for SpotEntry { kind, again, followed, find } in &self.scanner.spots[usize::from(class) - 2] {
            if *followed && !follows || *again != 0 && text.get(at + again) != Some(&text[at]) {
                continue;
            }
            if let Some(hit) = find(&Spot { text, at, end: at + 1, near, kind: *kind, announced }) {
                self.push(sink, *kind, hit);
            }
        }
    }

    /// The tenant's own search on by themselves, so a text that is all there is searched to its end at once.
    fn customs(&self, limit: usize, state: &mut State, sink: &mut Sink) {
        let limit = if self.last { self.text.len() } else { limit };
        for ((kind, custom), from) in
            (Kind::built_in_count()..).zip(&self.scanner.customs).zip(&mut state.customs)
        {
            *from =
                custom.find(self.text, self.from.max(*from), limit, &mut |hit| self.push(sink, kind, hit));
        }
    }

    /// What is hidden in the text.
    fn views(&self, parts: Parts, limit: usize, near: &Near, state: &mut State, sink: &mut Sink) {
        for (start, end, again) in parts.runs.into_iter().filter(|run| run.0 < limit) {
            (state.run, state.run_again) = (end, again);
            let Some(view) = blobs::decode(self.text, start, end) else { continue };
            self.grant(sink, end - start);
            // What goes on in the next part is told of there, so that no two spans form a chain without end.
            let span = Span { start, end: again.unwrap_or(end) };
            self.inside(view, span, near.around(start), state, sink);
        }
        for stretch in parts.stretches.into_iter().filter(|stretch| stretch.first < limit) {
            state.stretch = stretch.last;
            let span = Span {
                start: stretch.first.saturating_sub(AROUND),
                end: self.text.len().min(stretch.last + AROUND),
            };
            let view = escapes::resolve(self.text, span.start, span.end);
            self.grant(sink, span.len());
            // It begins so far before that words around it are in it.
            self.inside(view, span, self.hint, state, sink);
        }
        for (start, unpacked) in parts.packs.into_iter().filter(|pack| pack.0 < limit) {
            state.pack = start + unpacked.taken.max(gzip::MAGIC.len());
            let span = Span { start, end: (start + unpacked.taken).min(self.text.len()) };
            self.packed(unpacked, span, near.around(start), state, sink);
        }
    }

    /// Lets so many bytes be decoded as a run of this length may take.
    fn grant(&self, sink: &mut Sink, length: usize) {
        if self.depth == 0 {
            sink.decode = length.saturating_mul(DLP_DECODED_RATIO_MAX);
        }
    }

    /// Scans a view, which came from a span of this text.
    fn inside(&self, view: View, span: Span, hint: u64, state: &mut State, sink: &mut Sink) {
        if view.text.starts_with(gzip::MAGIC) && view.via != Via::Escapes {
            return self.packed(gzip::unpack(&view.text), span, hint, state, sink);
        }
        if self.depth == DLP_DEPTH_MAX {
            // Escapes within escapes are common where nothing is hidden; an encoded text is not.
            if view.via != Via::Escapes {
                sink.unread.push((span, Unread::Depth));
            }
            return;
        }
        match sink.decode.checked_sub(view.text.len()) {
            Some(left) => sink.decode = left,
            None => return sink.unread.push((span, Unread::Work)),
        }
        self.scan(&view, span, hint, state, sink);
    }

    fn packed(&self, unpacked: gzip::Unpacked, span: Span, hint: u64, state: &mut State, sink: &mut Sink) {
        let broken_at_once = unpacked.unread == Some(Unread::Broken) && unpacked.text.is_empty();
        if let Some(why) = unpacked.unread.filter(|_| !broken_at_once) {
            sink.unread.push((span, why));
        }
        if self.depth == DLP_DEPTH_MAX {
            return sink.unread.push((span, Unread::Depth));
        }
        match state.unpack.checked_sub(unpacked.text.len()) {
            Some(left) => state.unpack = left,
            None => return sink.unread.push((span, Unread::Work)),
        }
        let view = View { text: unpacked.text, via: Via::Gzip, origin: Origin::Whole(span) };
        sink.decode = sink.decode.max(view.text.len() * DLP_DECODED_RATIO_MAX);
        self.scan(&view, span, hint, state, sink);
    }

    fn scan(&self, view: &View, span: Span, hint: u64, state: &mut State, sink: &mut Sink) {
        let pass = Pass::over(self.scanner, &view.text, hint, self.depth + 1);
        let mut inner_state = State { unpack: state.unpack, ..State::new(self.scanner) };
        let mut inner = Sink { decode: sink.decode, ..Sink::default() };
        pass.run_all(&mut inner_state, &mut inner);
        (state.unpack, sink.decode) = (inner_state.unpack, inner.decode);
        for candidate in inner.candidates {
            // What touches the edge of a part may be a part itself.
            let cut = view.via == Via::Escapes
                && (candidate.start == 0 && span.start > 0
                    || candidate.end == view.text.len() && span.end < self.text.len());
            if cut {
                continue;
            }
            let Span { start, end } = view.origin.span(candidate.start, candidate.end);
            let via = if candidate.via == Via::Plain { view.via } else { candidate.via };
            sink.candidates.push(Candidate { start, end, via, ..candidate });
        }
        for (inner, why) in inner.unread {
            sink.unread.push((view.origin.span(inner.start, inner.end), why));
        }
    }
}

fn vendor_kind(row: u16) -> u16 {
    u16::try_from(DETECTORS.len()).expect("at most 64") + row
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::resolve;
    use crate::scanner::{Detectors, Precision};

    const PARTS: [&str; 16] = [
        "ssn 219-09-9999 ",
        "card 4111 1111 1111 1111, ",
        "ann@example.com;",
        "password=hunter2-and-more\n",
        "U1NOIDIxOS0wOS05OTk5IGFuZCBtb3JlIHRleHQ=",
        "3231392d30392d39393939206f7220736f",
        "\\u0032\\u0031\\u0039-09-9999 ",
        "１２３-45-6789 ",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jK7C3p1mKg ",
        "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345 ",
        "2001:db8::1 10.0.0.1 ",
        "nothing of the kind stands in here; ",
        "1 2 3 4 5 6 7 8 9 0 ",
        "aaaaaaaaaaaaaaaaaaaaaaaa",
        "badge XQ-123 ",
    ];

    /// However much of a text is gone over at once, the findings are the same.
    #[test]
    fn what_is_found_does_not_depend_on_how_much_is_looked_at_at_once() {
        let custom = crate::custom::Custom::regex("badge", "XQ-[0-9]{3}").unwrap();
        let detectors = Detectors::all(Precision::Lenient).custom(custom, Precision::Lenient);
        let scanner = Scanner::new(detectors).unwrap();
        let found = |text: &[u8], until| {
            let (mut state, mut sink) = (State::new(&scanner), Sink::default());
            Pass { until, ..Pass::over(&scanner, text, 0, 0) }.run_all(&mut state, &mut sink);
            sink.unread.sort_unstable();
            (resolve(&mut sink.candidates), sink.unread)
        };
        let mut seed = 7_u32;
        let mut random = |below: usize| {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 8) as usize % below
        };
        let (mut findings, rounds) = (0, 60);
        for _ in 0..rounds {
            let text: String = (0..40).map(|_| PARTS[random(PARTS.len())]).collect();
            let whole = found(text.as_bytes(), usize::MAX / 2);
            findings += whole.0.len();
            for until in [1 + random(9), 64 + random(64), 500 + random(500)] {
                assert_eq!(found(text.as_bytes(), until), whole, "{until} at once of {text:?}");
            }
        }
        assert!(findings > 20 * rounds, "{findings} findings");
    }
}
