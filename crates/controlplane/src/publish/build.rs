//! Checking and compiling: from sources or a ready bundle to a bundle that is known to be right.

use std::collections::BTreeSet;

use aegis_identity::manifest::digest_of;
use aegis_model::caps;
use aegis_model::digest::Digest;
use aegis_policy::ast::{PolicySet, SourceFile};
use aegis_policy::bundle::unpack::{self, UnpackError};
use aegis_policy::check::check;
use aegis_policy::enforce;
use aegis_policy::prepared::Prepared;
use aegis_policy::sources::resolve_path;
use bytes::Bytes;

use super::progress::Progress;
use super::report::Report;

/// What is to be published.
#[derive(Debug, Clone)]
pub enum Content {
    /// Source files, tests and others among them, which are left out.
    Sources(Vec<SourceFile>),
    /// A bundle made by `aegis policy build`.
    Bundle(Bytes),
}

/// A bundle that was made here, of sources that were checked here.
#[derive(Debug, Clone)]
pub struct Built {
    /// The gzipped tar.
    pub bytes: Bytes,
    /// Its digest.
    pub digest: Digest,
    /// The channels that its policies tell of requests for approval, rising, each once.
    pub notify: Vec<String>,
    /// What is odd in the sources, though not wrong.
    pub warnings: Report,
}

/// Why nothing was built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The policy is wrong, or asks for what nodes cannot enforce.
    #[error("the policy has {} error{}", .0.errors(), if .0.errors() == 1 { "" } else { "s" })]
    Policy(Report),
    /// No files, or too many, or a path that is not in plain form.
    #[error("{0}")]
    Sources(String),
    /// The bundle cannot be read.
    #[error(transparent)]
    Unpack(#[from] UnpackError),
    /// The bundle is not what its sources give.
    #[error(
        "the bundle is `{given}`, but its sources give `{built}` here: build it with the version that the cluster runs, \
         or publish the sources"
    )]
    NotReproducible {
        /// What was given.
        given: Digest,
        /// What it should be.
        built: Digest,
    },
    /// The bundle is larger than [`caps::BUNDLE_BYTES_MAX`].
    #[error("the bundle has {0} bytes; at most {most} fit", most = caps::BUNDLE_BYTES_MAX)]
    TooLarge(usize),
}

/// Checks and compiles. Takes as long as the policies are large: not for a thread that others wait for.
///
/// # Errors
/// [`Rejected`], with every problem that was found.
pub fn build(content: Content) -> Result<Built, Rejected> {
    build_telling(content, &|_nobody| ())
}

/// The same, telling `tell` where it is.
pub(super) fn build_telling(content: Content, tell: &dyn Fn(Progress)) -> Result<Built, Rejected> {
    tell(Progress::Checking);
    let (files, given) = match content {
        Content::Sources(files) => (bounded(files)?, None),
        Content::Bundle(bytes) => (unpack::sources(&bytes)?, Some(digest_of(&bytes))),
    };
    let built = compile(files, tell)?;
    match given {
        Some(given) if given != built.digest => Err(Rejected::NotReproducible { given, built: built.digest }),
        Some(_) | None => Ok(built),
    }
}

/// The checked set within a bundle that was published.
///
/// # Errors
/// [`Rejected`]: it was made by a version whose rules were others.
pub fn set_of(bundle: &[u8]) -> Result<PolicySet, Rejected> {
    checked(unpack::sources(bundle)?).map(|(set, _)| set)
}

fn compile(files: Vec<SourceFile>, tell: &dyn Fn(Progress)) -> Result<Built, Rejected> {
    let (set, warnings) = checked(files)?;
    let unenforced = enforce::unenforced(&set);
    if !unenforced.is_empty() {
        return Err(Rejected::Policy(Report::of(&unenforced, &set.files, 0)));
    }
    let notify = channels_of(&set)?;
    tell(Progress::Compiling);
    // Made ready as a node does it, so that no version is published that a node then cannot run.
    let (_ready, bundle) = Prepared::with_bundle(&set)
        .map_err(|problems| Rejected::Policy(Report::of(&problems, &set.files, 0)))?;
    if bundle.bytes.len() > caps::BUNDLE_BYTES_MAX {
        return Err(Rejected::TooLarge(bundle.bytes.len()));
    }
    // A node reads the sources back, within bounds of its own; a set that compresses beyond reason is one that it would
    // refuse.
    unpack::sources(&bundle.bytes)?;
    let digest = digest_of(&bundle.bytes);
    Ok(Built { bytes: bundle.bytes.into(), digest, notify, warnings })
}

/// The channels that policies tell of requests for approval.
fn channels_of(set: &PolicySet) -> Result<Vec<String>, Rejected> {
    let documents = set.documents.iter().chain(&set.defaults);
    let entries = documents.flat_map(|document| document.allowed.iter().flatten());
    let terms = entries.filter_map(|entry| entry.approval.as_ref());
    let names: BTreeSet<&String> = terms.flat_map(|terms| &terms.notify).collect();
    if names.len() as u64 > caps::CHANNELS_MAX {
        let message =
            format!("`notify` names {} channels; at most {} can be", names.len(), caps::CHANNELS_MAX);
        return Err(Rejected::Sources(message));
    }
    Ok(names.into_iter().cloned().collect())
}

fn checked(files: Vec<SourceFile>) -> Result<(PolicySet, Report), Rejected> {
    let checked = check(files);
    let report = Report::of(&checked.diagnostics, &checked.files, checked.more);
    match checked.set {
        Some(set) => Ok((set, report)),
        None => Err(Rejected::Policy(report)),
    }
}

/// Sources come from a client: what a folder could not hold is refused before anything is read.
fn bounded(files: Vec<SourceFile>) -> Result<Vec<SourceFile>, Rejected> {
    let refused = |message: String| Err(Rejected::Sources(message));
    if files.is_empty() {
        return refused("there are no sources".to_owned());
    }
    if files.len() > caps::POLICY_FILES_MAX {
        return refused(format!("there are {} files; at most {} fit", files.len(), caps::POLICY_FILES_MAX));
    }
    if let Some(file) = files.iter().find(|file| resolve_path("", &file.path).as_deref() != Some(&file.path))
    {
        return refused(format!("`{}` is not a plain relative path", file.path.escape_debug()));
    }
    let mut paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    paths.sort_unstable();
    if let Some(twice) = paths.windows(2).find(|pair| pair[0] == pair[1]) {
        return refused(format!("`{}` is there twice", twice[0].escape_debug()));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use aegis_policy::bundle;
    use aegis_policy::diagnostic::Severity;

    use super::*;

    const GOOD: &str = "agent: finance-agent\nallowed_tools:\n- name: stripe\n  actions: [pay]\n";

    fn file(path: &str, text: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), text: text.into() }
    }

    fn from(files: &[(&str, &str)]) -> Result<Built, Rejected> {
        build(Content::Sources(files.iter().map(|(path, text)| file(path, text)).collect()))
    }

    #[track_caller]
    fn report(result: Result<Built, Rejected>) -> Report {
        match result.unwrap_err() {
            Rejected::Policy(report) => report,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sources_and_the_bundle_made_of_them_give_the_same() {
        let built = from(&[("pay.yaml", GOOD), ("pay_test.yaml", "not read"), ("README.md", "x")]).unwrap();
        assert_eq!(built.digest, digest_of(&built.bytes));
        let again = build(Content::Bundle(built.bytes.clone())).unwrap();
        assert_eq!((again.digest, again.bytes), (built.digest, built.bytes));
    }

    #[test]
    fn every_problem_is_told_with_its_place() {
        let broken = "agent: x\nalowed_tools: []\nallowed_tools:\n- nam: y\n";
        let report = report(from(&[("good.yaml", GOOD), ("sub/broken.yaml", broken)]));
        assert!(report.errors() >= 2, "{report:?}");
        let unknown = report.findings.iter().find(|one| one.code == "unknown-field").unwrap();
        assert_eq!((unknown.file.as_str(), unknown.line, unknown.column), ("sub/broken.yaml", 2, 1));
        assert_eq!(unknown.severity, Severity::Error);
        assert!(unknown.excerpt.contains("alowed_tools: []"), "{}", unknown.excerpt);
        assert!(unknown.excerpt.contains("sub/broken.yaml:2:1"), "{}", unknown.excerpt);
    }

    #[test]
    fn what_nodes_cannot_enforce_is_refused() {
        let unenforced = format!("{GOOD}egress: {{allow: [api.example.com]}}\n");
        let report = report(from(&[("pay.yaml", &unenforced)]));
        assert_eq!(report.findings[0].code, "not-enforced-yet");
        assert_eq!((report.findings[0].file.as_str(), report.findings[0].line), ("pay.yaml", 5));
        let set = check(vec![file("pay.yaml", &unenforced)]).set.unwrap();
        let bundle = bundle::build(&set).unwrap();
        let refused = build(Content::Bundle(bundle.bytes.into())).unwrap_err();
        assert!(matches!(refused, Rejected::Policy(_)));
    }

    #[test]
    fn a_bundle_that_its_sources_do_not_give_is_refused() {
        let built = from(&[("pay.yaml", GOOD)]).unwrap();
        let repacked = repack(&built.bytes);
        assert_ne!(repacked, built.bytes);
        let refused = build(Content::Bundle(repacked.clone())).unwrap_err();
        let expected = Rejected::NotReproducible { given: digest_of(&repacked), built: built.digest };
        assert_eq!(refused, expected);
        assert!(matches!(build(Content::Bundle(Bytes::from_static(b"x"))), Err(Rejected::Unpack(_))));
    }

    /// The same gzipped tar with a comment in the gzip header: for every reader the same files.
    fn repack(bundle: &[u8]) -> Bytes {
        let mut repacked = bundle.to_vec();
        assert_eq!(repacked[..4], [0x1f, 0x8b, 8, 0], "a gzip header without flags");
        repacked[3] = 0x10;
        repacked.splice(10..10, *b"evil\0");
        repacked.into()
    }

    #[test]
    fn paths_are_plain_and_single() {
        for path in ["/etc/passwd", "../a.yaml", "a//b.yaml", "./a.yaml", "", "a/../b.yaml", "a\\b.yaml"] {
            assert!(matches!(from(&[(path, GOOD)]), Err(Rejected::Sources(_))), "{path}");
        }
        assert!(matches!(from(&[("a.yaml", GOOD), ("a.yaml", GOOD)]), Err(Rejected::Sources(_))));
        assert!(matches!(from(&[]), Err(Rejected::Sources(_))));
    }

    #[test]
    fn a_published_bundle_gives_its_set_back() {
        let built = from(&[("pay.yaml", GOOD)]).unwrap();
        assert_eq!(set_of(&built.bytes).unwrap().files[0].path, "pay.yaml");
    }
}
