//! Of candidates that stand within each other, the surest counts.

use crate::detectors::DETECTORS;
use crate::finding::{Confidence, Finding, Span, Via};
use crate::kind::Kind;

/// What a detector found, before others were asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub start: usize,
    pub end: usize,
    pub kind: u16,
    pub valid: bool,
    pub via: Via,
}

impl Candidate {
    /// Before whom it counts: a tenant's own kinds, vendors, then detectors in their order.
    fn rank(&self) -> u32 {
        let detectors = DETECTORS.len();
        match usize::from(self.kind) {
            kind if kind < detectors => 2_000 + u32::from(self.kind),
            kind if kind < usize::from(Kind::built_in_count()) => 1_000 + u32::from(self.kind),
            _ => u32::from(self.kind) % 1_000,
        }
    }

    fn finding(&self) -> Finding {
        let confidence = if self.valid { Confidence::Valid } else { Confidence::Looks };
        Finding {
            span: Span { start: self.start, end: self.end },
            kind: Kind(self.kind),
            confidence,
            via: self.via,
        }
    }
}

/// Drops each candidate that lies within one at least as sure; of two with the same span the first by rank stays. Whether
/// one is dropped depends on those around it alone, not on what became of them: so it does not matter where a stream is cut
/// (DLP-1).
pub(crate) fn resolve(candidates: &mut [Candidate]) -> Vec<Finding> {
    candidates.sort_by_key(|it| (it.start, std::cmp::Reverse(it.end), !it.valid, it.rank(), it.via));
    let (mut reach, mut valid_reach) = (0, 0);
    let mut findings = Vec::new();
    for candidate in candidates.iter() {
        let within = candidate.end <= if candidate.valid { valid_reach } else { reach };
        if !within {
            findings.push(candidate.finding());
        }
        reach = reach.max(candidate.end);
        if candidate.valid {
            valid_reach = valid_reach.max(candidate.end);
        }
    }
    findings
}
