//! What becomes of what was found: rules, and their application to JSON, to texts and to streams.
//!
//! Same input, same rules and same key give the same output on every node (DLP-1). Whatever cannot be cleaned is refused, and
//! nothing of it is given out.

mod json;
mod keyed;
mod mask;
mod path;
mod text;

use std::collections::BTreeMap;

use crate::custom::Custom;
use crate::finding::{Confidence, Finding, Span, Unread, Via};
use crate::kind::Kind;
use crate::scanner::{BadDetectors, Detectors, Precision, Scanner};
use aegis_model::caps;
use aegis_model::secret::Secret;
pub use keyed::Key;
pub use path::{Path, Step};
pub use text::StreamRedactor;

/// What stays in the place of a value. Where several apply, the last of this order does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum With {
    /// Asterisks, but for so many letters and digits at the end: never more than half of them.
    Mask {
        /// How many.
        keep_last: Keep,
    },
    /// As [`With::Token`]; the value comes out beside it ([`Redactor::json_keeping`]), to be sealed for who may ask for it later.
    Sealed,
    /// `<us_ssn:v1:…>`: the same value of the same kind gives the same token under the same key.
    Token,
    /// `hmac-sha256:v1:…`: the same value gives the same, whatever its kind.
    Hash,
    /// Nothing: the member of an object is dropped, the element of an array is null. In a text, the value is cut out.
    Remove,
    /// Nothing at all is given out.
    Block,
}

/// How many characters a mask leaves readable. More readable is less, where two rules meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep(pub u8);

impl PartialOrd for Keep {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Keep {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        other.0.cmp(&self.0)
    }
}

/// What a rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// These places of a JSON value, whatever is there.
    Fields(Vec<Path>),
    /// What detectors of these names find: kinds, groups, the tenant's own.
    Detect(Vec<String>, Precision),
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// What it speaks of.
    pub what: What,
    /// What becomes of it.
    pub with: With,
}

/// Where in a JSON value something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Site {
    /// In a string.
    Text,
    /// In a number.
    Number,
    /// In the name of a member.
    Key,
    /// A rule names the place.
    Field,
}

/// What was found and what became of it: for the record, never with the value (AUD-2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Name of the kind; `field` where a rule names the place, `unread` where nothing could be seen.
    pub kind: String,
    /// JSON Pointer of the string, the number or the member; empty in texts. Of a key that is sensitive itself: of the object
    /// around it.
    pub pointer: String,
    /// Where it was.
    pub site: Site,
    /// How sure it is.
    pub confidence: Confidence,
    /// How it was hidden.
    pub via: Via,
    /// What became of it. [`With::Block`] where it could not be cleaned.
    pub with: With,
    /// Why it could not be looked at, if so.
    pub unread: Option<Unread>,
}

/// What becomes of a value or a text.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome<T> {
    /// Nothing was found: it is what it was.
    Clean(T),
    /// What was found is replaced.
    Cleaned(T, Vec<Found>),
    /// Nothing may be given out: `SensitiveData`.
    Refused(Vec<Found>),
}

/// Values that a [`With::Sealed`] rule replaced, by the token that stands for each: to be sealed, and never to be kept or shown as they are.
pub type Kept = BTreeMap<String, Secret<String>>;

/// Rules, prepared.
#[derive(Debug)]
pub struct Redactor {
    scanner: Scanner,
    /// By kind: what becomes of what looks like it, and of what is sure.
    withs: Vec<[Option<With>; 2]>,
    fields: Vec<(Path, With)>,
}

impl Redactor {
    /// Prepares rules, with a tenant's own detectors.
    ///
    /// # Errors
    /// [`BadDetectors`], where a rule names a detector that there is not, or the tenant's own clash.
    pub fn new(rules: &[Rule], customs: &[Custom]) -> Result<Self, BadDetectors> {
        let detects = || {
            rules.iter().filter_map(|rule| match &rule.what {
                What::Detect(names, precision) => Some((names, *precision, rule.with)),
                What::Fields(_) => None,
            })
        };
        let mut detectors = Detectors::new();
        for custom in customs {
            let asked = detects().filter(|(names, ..)| names.iter().any(|name| **name == *custom.name));
            if let Some(precision) = asked.map(|(_, precision, _)| precision).min() {
                detectors = detectors.custom(custom.clone(), precision);
            }
        }
        for (names, precision, _) in detects() {
            for name in names.iter().filter(|name| !customs.iter().any(|custom| *custom.name == ***name)) {
                detectors = detectors.named(name, precision)?;
            }
        }
        let scanner = Scanner::new(detectors)?;
        let mut withs = vec![[None; 2]; usize::from(Kind::built_in_count()) + customs.len()];
        for (names, precision, with) in detects() {
            for kind in names.iter().flat_map(|name| scanner.kinds(name)) {
                let slots: &mut [Option<With>; 2] = &mut withs[usize::from(kind.0)];
                slots[1] = slots[1].max(Some(with));
                if precision == Precision::Lenient {
                    slots[0] = slots[0].max(Some(with));
                }
            }
        }
        let fields = rules.iter().filter_map(|rule| match &rule.what {
            What::Fields(paths) => Some(paths.iter().map(|path| (path.clone(), rule.with))),
            What::Detect(..) => None,
        });
        Ok(Self { scanner, withs, fields: fields.flatten().collect() })
    }

    /// The scanner of the rules.
    pub fn scanner(&self) -> &Scanner {
        &self.scanner
    }

    /// What becomes of a finding.
    fn with(&self, finding: &Finding) -> Option<With> {
        self.withs[usize::from(finding.kind.0)][usize::from(finding.confidence == Confidence::Valid)]
    }

    fn found(&self, finding: &Finding, pointer: &str, site: Site, with: With) -> Found {
        Found {
            kind: self.scanner.name(finding.kind).to_owned(),
            pointer: told(pointer),
            site,
            confidence: finding.confidence,
            via: finding.via,
            with,
            unread: None,
        }
    }
}

/// A place as it is told: a client chose the keys, so one that is too long is cut to an ancestor.
fn told(pointer: &str) -> String {
    if pointer.len() <= caps::JSON_POINTER_BYTES_MAX {
        return pointer.to_owned();
    }
    let within = &pointer.as_bytes()[..=caps::JSON_POINTER_BYTES_MAX];
    let end = within.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    pointer[..end].to_owned()
}

/// What could not be seen is not given out.
fn unread(pointer: &str, site: Site, why: Unread) -> Found {
    Found {
        kind: "unread".to_owned(),
        pointer: told(pointer),
        site,
        confidence: Confidence::Looks,
        via: Via::Plain,
        with: With::Block,
        unread: Some(why),
    }
}

/// A span that shall be replaced, and how.
struct Piece {
    span: Span,
    with: With,
    kind: Kind,
    via: Via,
}

impl Redactor {
    /// The findings of a text as pieces that do not overlap: of those that do, one piece, with the strictest rule.
    fn pieces(&self, findings: &[Finding]) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = Vec::new();
        for finding in findings {
            let Some(with) = self.with(finding) else { continue };
            let Finding { span, kind, via, .. } = *finding;
            match pieces.last_mut().filter(|last| last.span.meets(span)) {
                Some(last) => {
                    last.span.end = last.span.end.max(span.end);
                    (last.with, last.kind) =
                        if with > last.with { (with, kind) } else { (last.with, last.kind) };
                    last.via = last.via.max(via);
                }
                None => pieces.push(Piece { span, with, kind, via }),
            }
        }
        pieces
    }

    /// What stands in the place of a piece.
    fn replacement(&self, piece: &Piece, value: &[u8], key: &Key) -> String {
        let name = self.scanner.name(piece.kind);
        match piece.with {
            With::Mask { keep_last } => mask::mask(piece.kind, piece.via, value, keep_last),
            With::Sealed | With::Token => key.token(name, &keyed::normal(piece.kind, piece.via, value)),
            With::Hash => key.hash(&keyed::normal(piece.kind, piece.via, value)),
            With::Remove | With::Block => String::new(),
        }
    }
}

#[cfg(test)]
mod tests;
