//! The scanner: prepared once from a set of detectors, then asked for every text.

use std::collections::BTreeMap;

use aegis_model::caps::{DLP_CUSTOM_MAX, DLP_DICTIONARY_WORDS_MAX};

use crate::custom::Custom;
use crate::detectors::{Anchor, DETECTORS};
use crate::finding::Report;
use crate::kind::Kind;
use crate::numbers::Numbers;
use crate::pass::{Pass, Sink, State};
use crate::place::{Hit, Spot};
use crate::resolve::resolve;
use crate::words::Words;

/// How sure a finding has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Precision {
    /// What looks like it is found.
    #[default]
    Lenient,
    /// Checksums and ranges must hold.
    Strict,
}

/// What a scanner shall find.
#[derive(Debug, Clone, Default)]
pub struct Detectors {
    kinds: BTreeMap<Kind, Precision>,
    customs: Vec<(Custom, Precision)>,
}

/// Why no scanner could be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadDetectors {
    /// No built-in kind, group or detector of one's own has this name.
    #[error("there is no detector `{0}`")]
    Unknown(String),
    /// Two detectors of one's own have this name.
    #[error("there are two detectors `{0}`")]
    Twice(String),
    /// More detectors of one's own, or words in their dictionaries, than fit.
    #[error("at most {DLP_CUSTOM_MAX} detectors of one's own, and {DLP_DICTIONARY_WORDS_MAX} words")]
    TooMany,
}

impl Detectors {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every built-in kind.
    pub fn all(precision: Precision) -> Self {
        Self { kinds: Kind::all().map(|kind| (kind, precision)).collect(), customs: Vec::new() }
    }

    /// And this kind. Asked for twice, it is found as lenient as the more lenient of both.
    pub fn with(mut self, kind: Kind, precision: Precision) -> Self {
        let entry = self.kinds.entry(kind).or_insert(precision);
        *entry = (*entry).min(precision);
        self
    }

    /// And the kind, or the kinds of the group, of this name.
    ///
    /// # Errors
    /// [`BadDetectors::Unknown`], where nothing built in has the name.
    pub fn named(mut self, name: &str, precision: Precision) -> Result<Self, BadDetectors> {
        let kinds = Kind::named(name);
        if kinds.is_empty() {
            return Err(BadDetectors::Unknown(name.to_owned()));
        }
        for kind in kinds {
            self = self.with(kind, precision);
        }
        Ok(self)
    }

    /// And one of the tenant's own.
    pub fn custom(mut self, custom: Custom, precision: Precision) -> Self {
        self.customs.push((custom, precision));
        self
    }
}

/// Finds what it was made for. Cheap to share, never changes.
pub struct Scanner {
    pub(crate) words: Words,
    pub(crate) numbers: Numbers,
    /// What each byte is: 0 nothing, 1 a digit, else one more than an index of `spots`.
    pub(crate) classes: [u8; 256],
    pub(crate) spots: Vec<Vec<SpotEntry>>,
    pub(crate) customs: Vec<Custom>,
    /// Which kinds must be sure; in the order of kinds.
    strict: Vec<bool>,
}

/// A detector that looks at a byte.
pub(crate) struct SpotEntry {
    pub kind: u16,
    /// Where the byte must stand again; 0 if it need not.
    pub again: usize,
    /// Whether a letter or digit must follow.
    pub followed: bool,
    pub find: fn(&Spot<'_>) -> Option<Hit>,
}

impl Scanner {
    /// Prepares a scanner. Takes some milliseconds, so do it once.
    ///
    /// # Errors
    /// [`BadDetectors`], where names clash or there are too many.
    pub fn new(detectors: Detectors) -> Result<Self, BadDetectors> {
        let Detectors { kinds, customs } = detectors;
        let words: usize = customs.iter().map(|(custom, _)| custom.words()).sum();
        if customs.len() > DLP_CUSTOM_MAX || words > DLP_DICTIONARY_WORDS_MAX {
            return Err(BadDetectors::TooMany);
        }
        for (at, (custom, _)) in customs.iter().enumerate() {
            if customs[..at].iter().any(|(other, _)| other.name == custom.name) {
                return Err(BadDetectors::Twice(custom.name.to_string()));
            }
        }
        let mut strict = vec![false; usize::from(Kind::built_in_count()) + customs.len()];
        for (kind, precision) in &kinds {
            strict[usize::from(kind.0)] = *precision == Precision::Strict;
        }
        for (at, (_, precision)) in customs.iter().enumerate() {
            strict[usize::from(Kind::built_in_count()) + at] = *precision == Precision::Strict;
        }
        let wanted = |kind: u16| kinds.contains_key(&Kind(kind));
        let (classes, spots) = spots(wanted);
        let customs = customs.into_iter().map(|(custom, _)| custom).collect();
        Ok(Self { words: Words::new(wanted), numbers: Numbers::new(wanted), classes, spots, customs, strict })
    }

    /// Everything sensitive in a text.
    pub fn scan(&self, text: &[u8]) -> Report {
        let (mut state, mut sink) = (State::new(self), Sink::default());
        Pass::over(self, text, 0, 0).run_all(&mut state, &mut sink);
        sink.unread.sort_unstable();
        Report { findings: resolve(&mut sink.candidates), unread: sink.unread }
    }

    /// The name of a kind that this scanner found, a tenant's own included.
    pub fn name(&self, kind: Kind) -> &str {
        let custom =
            kind.0.checked_sub(Kind::built_in_count()).and_then(|at| self.customs.get(usize::from(at)));
        custom.map_or(kind.name(), |custom| &custom.name)
    }

    /// The kinds of a name, a tenant's own included. Empty if nothing has it.
    pub fn kinds(&self, name: &str) -> Vec<Kind> {
        let custom = self.customs.iter().position(|custom| &*custom.name == name);
        match custom.and_then(|at| u16::try_from(at).ok()) {
            Some(at) => vec![Kind(Kind::built_in_count() + at)],
            None => Kind::named(name),
        }
    }

    /// Whether a hit is as sure as is asked of its kind.
    pub(crate) fn wants(&self, kind: u16, hit: Hit) -> bool {
        hit.valid || !self.strict[usize::from(kind)]
    }
}

impl std::fmt::Debug for Scanner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scanner").field("customs", &self.customs.len()).finish_non_exhaustive()
    }
}

/// Which detectors look at which bytes.
fn spots(wanted: impl Fn(u16) -> bool) -> ([u8; 256], Vec<Vec<SpotEntry>>) {
    let mut bytes: BTreeMap<u8, Vec<SpotEntry>> = BTreeMap::new();
    for (kind, detector) in (0_u16..).zip(DETECTORS).filter(|(kind, _)| wanted(*kind)) {
        for anchor in detector.anchors {
            let (byte, again, followed, find) = match anchor {
                Anchor::Byte(byte, find) => (*byte, 0, false, *find),
                Anchor::Followed(byte, find) => (*byte, 0, true, *find),
                Anchor::Twice(byte, again, find) => (*byte, *again, true, *find),
                _ => continue,
            };
            bytes.entry(byte).or_default().push(SpotEntry { kind, again, followed, find });
        }
    }
    let mut classes = [0; 256];
    classes[usize::from(b'0')..=usize::from(b'9')].fill(1);
    for (index, byte) in (2_u8..).zip(bytes.keys()) {
        classes[usize::from(*byte)] = index;
    }
    (classes, bytes.into_values().collect())
}
