//! Collects problems, bounded, each place and code once.

use std::collections::HashSet;

use aegis_model::caps::DIAGNOSTICS_MAX;

use crate::ast::Span;
use crate::diagnostic::{Diagnostic, Severity};

/// The problems found so far. Errors and warnings are bounded apart, so that warnings never hide an error.
#[derive(Debug, Default)]
pub(crate) struct Report {
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    seen: HashSet<(&'static str, Span, u64)>,
    more: usize,
    error_count: usize,
}

impl Report {
    /// Adds a problem, unless the same was reported at the same place (an alias repeats its node).
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        let list = match diagnostic.severity {
            Severity::Error => {
                self.error_count += 1;
                &mut self.errors
            }
            Severity::Warning => &mut self.warnings,
        };
        if list.len() >= DIAGNOSTICS_MAX {
            self.more += 1;
            return;
        }
        if self.seen.insert((diagnostic.code, diagnostic.span, fingerprint(&diagnostic.message))) {
            list.push(diagnostic);
        }
    }

    /// How many errors were reported so far, repeated ones included.
    pub(crate) fn error_count(&self) -> usize {
        self.error_count
    }

    /// The problems in the order of the sources, at most [`DIAGNOSTICS_MAX`], errors before warnings where
    /// not all fit; and how many were left out.
    pub(crate) fn finish(self) -> (Vec<Diagnostic>, usize) {
        let mut shown = self.errors;
        let room = DIAGNOSTICS_MAX - shown.len();
        let more = self.more + self.warnings.len().saturating_sub(room);
        shown.extend(self.warnings.into_iter().take(room));
        shown.sort_by_key(|diagnostic| (diagnostic.span.file, diagnostic.span.start, diagnostic.span.end));
        (shown, more)
    }
}

fn fingerprint(text: &str) -> u64 {
    use std::hash::{Hash, Hasher};
    let mut hasher = std::collections::hash_map::DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
