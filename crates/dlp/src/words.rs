//! One automaton over everything that is found by its letters: words of context, names of secrets, prefixes of keys.

use std::collections::BTreeMap;

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::dfa::DFA;
use aho_corasick::{Anchored, MatchKind};

use crate::detectors::{Anchor, DETECTORS};
use crate::place::{before, begins, escape_letter};
use crate::secrets::VENDORS;

/// Longest word, in bytes: what counts as near, this, and what surrounds it is less than what detectors see.
pub(crate) const WORD_MAX: usize = 48;

/// Parts of a text that are gone over at once, and the shortest that is worth it.
const LANES: usize = 4;
const LANE_MIN: usize = 256;

/// Room is made for a word in so many bytes, as texts with many words have; more is made as needed.
const BYTES_PER_WORD: usize = 32;

/// What a word leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lead {
    /// It makes these kinds likelier.
    Context(u64),
    /// A detector, and which of its anchors.
    Detector(u16, u8),
    /// A row of the table of vendors.
    Vendor(u16),
}

/// A word of the text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Word {
    pub start: usize,
    pub end: usize,
    pattern: u32,
}

struct Entry {
    length: usize,
    /// Whether it counts only as a whole word.
    whole: bool,
    leads: Vec<Lead>,
    /// Of the prefixes of vendors, how they are written: vendors do not ignore case.
    spelled: Vec<&'static str>,
}

impl Entry {
    /// Whether a prefix stands there: not within a word, and as its vendor writes it.
    fn begins(&self, text: &[u8], start: usize, end: usize) -> bool {
        let apart = !text[start].is_ascii_alphanumeric() || begins(text, start);
        apart && (self.spelled.is_empty() || self.spelled.iter().any(|it| it.as_bytes() == &text[start..end]))
    }
}

/// The automaton of the kinds that are looked for.
pub(crate) struct Words {
    automaton: DFA,
    start: StateID,
    entries: Vec<Entry>,
}

/// Bytes as the automaton reads them: lower case, and one byte for all that joins words.
const FOLD: [u8; 256] = {
    let mut fold = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        fold[byte] = (byte as u8).to_ascii_lowercase();
        byte += 1;
    }
    fold[b'_' as usize] = b' ';
    fold[b'-' as usize] = b' ';
    fold
};

impl Words {
    /// For the kinds that `wanted` holds of.
    pub(crate) fn new(wanted: impl Fn(u16) -> bool) -> Self {
        let mut patterns: BTreeMap<(Vec<u8>, bool), Vec<Lead>> = BTreeMap::new();
        let mut add = |text: &str, whole: bool, lead: Lead| {
            let folded: Vec<u8> = text.bytes().map(|byte| FOLD[usize::from(byte)]).collect();
            if whole && folded.contains(&b' ') {
                let joined = folded.iter().copied().filter(|byte| *byte != b' ').collect();
                patterns.entry((joined, whole)).or_default().push(lead);
            }
            patterns.entry((folded, whole)).or_default().push(lead);
        };
        for (kind, detector) in (0_u16..).zip(DETECTORS).filter(|(kind, _)| wanted(*kind)) {
            detector.words.iter().for_each(|word| add(word, true, Lead::Context(1 << kind)));
            for (at, anchor) in (0_u8..).zip(detector.anchors) {
                let lead = Lead::Detector(kind, at);
                match anchor {
                    Anchor::Words(words, _) => words.iter().for_each(|word| add(word, true, lead)),
                    Anchor::Prefixes(words, _) => words.iter().for_each(|word| add(word, false, lead)),
                    Anchor::Long(words, _) => words.iter().for_each(|word| add(word, false, lead)),
                    Anchor::Plain(..)
                    | Anchor::Grouped(..)
                    | Anchor::Lettered(..)
                    | Anchor::Byte(..)
                    | Anchor::Followed(..)
                    | Anchor::Twice(..) => {}
                }
            }
        }
        let first = u16::try_from(DETECTORS.len()).expect("at most 64");
        for (row, vendor) in (0_u16..).zip(VENDORS).filter(|(row, _)| wanted(first + row)) {
            vendor.marks.iter().for_each(|mark| add(mark, !vendor.prefixed, Lead::Vendor(row)));
        }
        Self::of(patterns)
    }

    fn of(patterns: BTreeMap<(Vec<u8>, bool), Vec<Lead>>) -> Self {
        let texts: Vec<&[u8]> = patterns.keys().map(|(text, _)| &text[..]).collect();
        let automaton = DFA::builder().match_kind(MatchKind::Standard).prefilter(false).build(texts);
        let automaton = automaton.expect("some thousand short words fit");
        let start = automaton.start_state(Anchored::No).expect("built for searches anywhere");
        let longest = patterns.keys().map(|(text, _)| text.len()).max().unwrap_or(0);
        assert!(longest <= WORD_MAX, "a word is seen as a whole wherever a text is cut");
        let entry = |((text, whole), mut leads): ((Vec<u8>, bool), Vec<Lead>)| {
            leads.sort_unstable();
            leads.dedup();
            let context = leads
                .iter()
                .fold(0, |kinds, lead| if let Lead::Context(kind) = lead { kinds | kind } else { kinds });
            leads.retain(|lead| !matches!(lead, Lead::Context(_)));
            leads.extend((context != 0).then_some(Lead::Context(context)));
            let vendors =
                leads.iter().filter_map(|lead| if let Lead::Vendor(row) = lead { Some(*row) } else { None });
            let marks = vendors.flat_map(|row| VENDORS[usize::from(row)].marks.iter().copied());
            let same =
                |mark: &&str| mark.bytes().map(|byte| FOLD[usize::from(byte)]).eq(text.iter().copied());
            let only = leads.iter().all(|lead| matches!(lead, Lead::Vendor(_)));
            let spelled = if only && !whole { marks.filter(same).collect() } else { Vec::new() };
            Entry { length: text.len(), whole, leads, spelled }
        };
        Self { automaton, start, entries: patterns.into_iter().map(entry).collect() }
    }

    /// Every word between `from` and `to`, by its start.
    pub(crate) fn find(&self, text: &[u8], from: usize, to: usize, out: &mut Vec<Word>) {
        if self.entries.is_empty() || from >= to {
            return;
        }
        let first = out.len();
        let part = (to - from) / LANES;
        if part < LANE_MIN {
            self.lane(text, self.start, from, to, out);
        } else {
            self.lanes(text, from, to, part, out);
        }
        // Words come by their ends, so that only neighbours change places.
        for at in first + 1..out.len() {
            let mut at = at;
            while at > first && (out[at - 1].start, out[at - 1].end) > (out[at].start, out[at].end) {
                out.swap(at - 1, at);
                at -= 1;
            }
        }
    }

    /// Goes from `from` to `to`; gives the state there.
    fn lane(&self, text: &[u8], mut state: StateID, from: usize, to: usize, out: &mut Vec<Word>) -> StateID {
        for (at, byte) in text[..to].iter().enumerate().skip(from) {
            state = self.step(state, *byte);
            if self.automaton.is_special(state) {
                self.matches(text, at + 1, state, out);
            }
        }
        state
    }

    /// Goes over several parts at once: each step waits for memory, and meanwhile the others go on.
    fn lanes(&self, text: &[u8], from: usize, to: usize, part: usize, out: &mut Vec<Word>) {
        let starts: [usize; LANES] = std::array::from_fn(|lane| from + lane * part);
        let mut found: [Vec<Word>; LANES] =
            std::array::from_fn(|_| Vec::with_capacity(part / BYTES_PER_WORD));
        // A word that ends in a part may begin before it; what ends before the part is found by the lane before.
        let mut states = starts.map(|start| {
            let warm = start.saturating_sub(WORD_MAX).max(from);
            text[warm..start].iter().fold(self.start, |state, byte| self.step(state, *byte))
        });
        for at in 0..part {
            for lane in 0..LANES {
                states[lane] = self.step(states[lane], text[starts[lane] + at]);
                if self.automaton.is_special(states[lane]) {
                    self.matches(text, starts[lane] + at + 1, states[lane], &mut found[lane]);
                }
            }
        }
        let end = starts[LANES - 1] + part;
        self.lane(text, states[LANES - 1], end, to, &mut found[LANES - 1]);
        found.iter_mut().for_each(|words| out.append(words));
    }

    fn step(&self, state: StateID, byte: u8) -> StateID {
        self.automaton.next_state(Anchored::No, state, FOLD[usize::from(byte)])
    }

    #[inline(never)]
    fn matches(&self, text: &[u8], end: usize, state: StateID, out: &mut Vec<Word>) {
        if !self.automaton.is_match(state) {
            return;
        }
        for index in 0..self.automaton.match_len(state) {
            let pattern = self.automaton.match_pattern(state, index).as_u32();
            let entry = &self.entries[pattern as usize];
            let start = end - entry.length;
            let stands = if entry.whole { whole(text, start, end) } else { entry.begins(text, start, end) };
            if stands {
                out.push(Word { start, end, pattern });
            }
        }
    }

    /// What a word leads to.
    pub(crate) fn leads(&self, word: Word) -> &[Lead] {
        &self.entries[word.pattern as usize].leads
    }
}

/// Whether what stands there is a word of its own, also within `customerSsn` and `SSNs`.
fn whole(text: &[u8], start: usize, end: usize) -> bool {
    let (left, first) = (before(text, start, 1), text[start]);
    let begins = !left.is_ascii_alphabetic()
        || first.is_ascii_uppercase() && left.is_ascii_lowercase()
        || escape_letter(text, start);
    let next = text.get(end).copied().unwrap_or(0);
    let plural = next == b's' && text.get(end + 1).is_none_or(|byte| !byte.is_ascii_alphabetic());
    begins
        && (!next.is_ascii_lowercase() || plural)
        && !(next.is_ascii_uppercase() && text[end - 1].is_ascii_uppercase())
}
