//! From the bytes of a bundle to a policy that judges. Takes as long as compiling does: never on the runtime's threads.

use aegis_identity::manifest::Verified;
use aegis_model::caps;
use aegis_policy::ast::SourceFile;
use aegis_policy::bundle::unpack;
use aegis_policy::check::check;
use aegis_policy::diagnostic::{Diagnostic, Severity};
use aegis_policy::enforce;
use aegis_policy::prepared::Prepared;

/// Why a bundle cannot judge here. The same bundle never can, by this build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unusable {
    /// `bundle` or `policy`.
    pub(super) code: &'static str,
    /// What is wrong, for people.
    pub(super) message: String,
}

/// Prepares `bytes`, which are the bundle for which `manifest` vouches. Blocks.
pub(super) fn prepare(bytes: &[u8], manifest: &Verified) -> Result<Prepared, Unusable> {
    let bad_bundle = |message: String| Unusable { code: "bundle", message };
    manifest.check_bundle(bytes).map_err(|refusal| bad_bundle(refusal.to_string()))?;
    let checked = check(unpack::sources(bytes).map_err(|bad| bad_bundle(bad.to_string()))?);
    let unusable = |diagnostics: &[Diagnostic]| told(diagnostics, &checked.files);
    let Some(set) = &checked.set else { return Err(unusable(&checked.diagnostics)) };
    let unenforced = enforce::unenforced(set);
    if !unenforced.is_empty() {
        return Err(unusable(&unenforced));
    }
    // Named by the bundle that was signed: another build's compiler may write other bytes for the same sources.
    Prepared::of_bundle(set, &manifest.manifest().bundle.to_string())
        .map_err(|diagnostics| unusable(&diagnostics))
}

/// The first error with its place, and how many more there are. Holds no text of the policy but names of fields.
fn told(diagnostics: &[Diagnostic], files: &[SourceFile]) -> Unusable {
    let errors = || diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Error);
    let mut message =
        errors().next().map_or_else(String::new, |first| match files.get(first.span.file as usize) {
            Some(file) => {
                format!("{}:{}:{}: {}", file.path, first.span.line, first.span.column, first.message)
            }
            None => first.message.clone(),
        });
    let more = errors().count().saturating_sub(1);
    if more > 0 {
        message.push_str(&format!(" (and {more} more)"));
    }
    Unusable { code: "policy", message: cut(message) }
}

/// At most [`caps::FEED_TROUBLE_BYTES_MAX`] bytes of it.
pub(super) fn cut(mut text: String) -> String {
    let mut end = caps::FEED_TROUBLE_BYTES_MAX.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
