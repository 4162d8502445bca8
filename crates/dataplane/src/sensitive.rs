//! What was found in parameters and results, as answers, records and metrics tell it: by kind and place, never by value (AUD-2).

use std::sync::Arc;

use aegis_audit::record;
use aegis_dlp::finding::Unread;
use aegis_dlp::redact::{Found, Kept, Key, Outcome as Looked, Redactor, Site, With};
use aegis_model::caps;
use aegis_model::completion::Completed;
use aegis_model::decision::{Reason, Receipt, Redaction};
use aegis_model::json::JsonObject;
use aegis_model::reason::ReasonCode;
use serde_json::Value;

use crate::sealing::{NotSealed, Sealer};

/// What cleaned parameters, and under which key: for a retry, whose parameters are the same.
#[derive(Debug, Clone)]
pub(crate) struct Cleaner {
    /// Cleans them.
    pub(crate) redactor: Arc<Redactor>,
    /// What stands in the place of values is made with it.
    pub(crate) key: Arc<Key>,
}

impl Cleaner {
    /// The parameters as they were cleaned before; nothing if they cannot be, which was not so then.
    pub(crate) fn again(&self, params: JsonObject) -> Option<JsonObject> {
        match self.redactor.json(Value::Object(params), &self.key) {
            Looked::Clean(Value::Object(params)) | Looked::Cleaned(Value::Object(params), _) => Some(params),
            Looked::Clean(_) | Looked::Cleaned(..) | Looked::Refused(_) => None,
        }
    }
}

/// What becomes of the result of an allowed call.
#[derive(Debug)]
pub(crate) struct ResultRules {
    /// Cleans it before it is given back.
    pub(crate) result: Option<Arc<Redactor>>,
    /// Cleans what is kept of it: so far, only finds.
    pub(crate) record: Option<Arc<Redactor>>,
    /// What stands in the place of values is made with it.
    pub(crate) key: Arc<Key>,
    /// What seals values beside their tokens, where a rule says so.
    pub(crate) sealer: Option<Arc<Sealer>>,
}

/// A result as it is given back.
#[derive(Default)]
pub(crate) struct CleanedResult {
    /// The result to use; nothing if none was sent, or if it may not be used.
    pub(crate) result: Option<Value>,
    /// Whether it is what was sent.
    pub(crate) same: bool,
    /// What was cleaned.
    pub(crate) redactions: Vec<Redaction>,
    /// Why it may not be used.
    pub(crate) withheld: Vec<Reason>,
    /// What was found.
    pub(crate) findings: Findings,
    /// The values that tokens stand for, sealed.
    pub(crate) sealed: Option<record::Sealed>,
    /// Where the record of the completion stands, once it is kept.
    pub(crate) receipt: Option<Receipt>,
}

/// Without the result, which may hold what no log may show (AUD-2).
impl std::fmt::Debug for CleanedResult {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CleanedResult")
            .field("redactions", &self.redactions)
            .field("withheld", &self.withheld)
            .finish_non_exhaustive()
    }
}

impl CleanedResult {
    /// What no rule speaks of.
    pub(crate) fn as_it_is(result: Option<Value>) -> Self {
        Self { result, same: true, ..Self::default() }
    }

    /// What the node gave back that decided.
    pub(crate) fn passed(completed: Completed) -> Self {
        let Completed { result, redactions, withheld, receipt } = completed;
        Self { result, redactions, withheld, receipt, ..Self::default() }
    }

    /// What cannot be looked at.
    pub(crate) fn unseen() -> Self {
        let reason = Reason::plain(ReasonCode::SensitiveData, "the result could not be looked at");
        Self { withheld: vec![reason], ..Self::default() }
    }
}

impl ResultRules {
    /// Cleans a result. Pure, as parameters are cleaned.
    pub(crate) fn clean(&self, result: Value) -> CleanedResult {
        let mut cleaned = CleanedResult { same: true, ..CleanedResult::default() };
        let passed = match &self.result {
            None => result,
            Some(redactor) => match redactor.json_keeping(result, &self.key) {
                (Looked::Clean(result), _) => result,
                (Looked::Cleaned(result, found), kept) => {
                    cleaned.same = false;
                    cleaned.redactions = redactions(&found);
                    cleaned.findings.add(&found, Place::Result);
                    match sealed(self.sealer.as_deref(), &kept) {
                        Ok(sealed) => cleaned.sealed = sealed,
                        Err(not_sealed) => {
                            let message = format!("the result: {not_sealed}");
                            cleaned.withheld = vec![Reason::plain(ReasonCode::SensitiveData, message)];
                            return Self::withheld(cleaned);
                        }
                    }
                    result
                }
                (Looked::Refused(found), _) => {
                    let found = without_sensitive_keys(found);
                    cleaned.findings.add(&found, Place::Result);
                    cleaned.withheld = blocked(&found, "/result", "the result", None);
                    return Self::withheld(cleaned);
                }
            },
        };
        if let Some(redactor) = &self.record
            && let Looked::Cleaned(_, found) | Looked::Refused(found) =
                redactor.json(passed.clone(), &self.key)
        {
            cleaned.findings.add(&without_sensitive_keys(found), Place::Record);
        }
        cleaned.result = Some(passed);
        cleaned
    }

    fn withheld(cleaned: CleanedResult) -> CleanedResult {
        CleanedResult { result: None, same: false, redactions: Vec::new(), ..cleaned }
    }
}

/// The values that a rule keeps, sealed. Where nothing can seal them they are not given out as tokens either.
pub(crate) fn sealed(sealer: Option<&Sealer>, kept: &Kept) -> Result<Option<record::Sealed>, NotSealed> {
    match sealer {
        Some(sealer) => sealer.seal(kept),
        None if kept.is_empty() => Ok(None),
        None => Err(NotSealed::Key),
    }
}

/// Where something was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// In the parameters that are passed on.
    Params,
    /// In the result that is given back.
    Result,
    /// In what is passed on, but not to be kept.
    Record,
}

impl Place {
    /// Its name in records and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Params => "params",
            Self::Result => "result",
            Self::Record => "record",
        }
    }
}

/// What was found in one call, in order; equal ones together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Findings {
    /// At most [`caps::FINDINGS_MAX`].
    pub(crate) kept: Vec<Finding>,
    /// How many values are not among them.
    pub(crate) left_out: u64,
}

/// Values of one kind at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What they are.
    pub(crate) kind: String,
    /// JSON Pointer of the text, number or member; of a key that is sensitive itself, of the object around it.
    pub(crate) path: String,
    /// In what.
    pub(crate) on: Place,
    /// What became of them.
    pub(crate) with: &'static str,
    /// How many.
    pub(crate) count: u64,
}

impl Findings {
    /// Adds what was found.
    pub(crate) fn add(&mut self, found: &[Found], on: Place) {
        for found in found {
            let with = with(found.with);
            let same = |known: &Finding| {
                known.path == found.pointer
                    && known.kind == found.kind
                    && known.with == with
                    && known.on == on
            };
            match self.kept.iter().position(same) {
                Some(at) => self.kept[at].count += 1,
                None if self.kept.len() < caps::FINDINGS_MAX => self.kept.push(Finding {
                    kind: found.kind.clone(),
                    path: found.pointer.clone(),
                    on,
                    with,
                    count: 1,
                }),
                None => self.left_out += 1,
            }
        }
    }

    /// As a record holds them, each kind once per place below `base`, whatever became of it; and how many values it does not name.
    pub(crate) fn recorded(&self, base: &str) -> (Vec<record::Finding>, u64) {
        let mut recorded: Vec<record::Finding> = Vec::new();
        for Finding { kind, path, count, on: _, with: _ } in &self.kept {
            let path = format!("{base}{path}");
            match recorded.iter_mut().find(|known| known.kind == *kind && known.path == path) {
                Some(known) => known.count += count,
                None => recorded.push(record::Finding { count: *count, kind: kind.clone(), path }),
            }
        }
        (recorded, self.left_out)
    }
}

/// What was cleaned, as an answer says it: each kind once per place, at most [`caps::REDACTIONS_MAX`]. What is beyond is cleaned as
/// well.
pub(crate) fn redactions(found: &[Found]) -> Vec<Redaction> {
    let mut redactions: Vec<Redaction> = Vec::new();
    for found in found {
        if redactions.len() == caps::REDACTIONS_MAX {
            break;
        }
        let redaction = Redaction {
            path: found.pointer.clone(),
            kind: found.kind.clone(),
            with: with(found.with).to_owned(),
        };
        // Those of one place follow each other.
        let same_place = redactions.iter().rev().take_while(|known| known.path == redaction.path);
        if !same_place.into_iter().any(|known| *known == redaction) {
            redactions.push(redaction);
        }
    }
    redactions
}

/// Reasons for what must not be passed on: kinds and places.
pub(crate) fn blocked(found: &[Found], base: &str, what: &str, rule: Option<String>) -> Vec<Reason> {
    let mut reasons: Vec<Reason> = Vec::new();
    for found in found.iter().filter(|found| found.with == With::Block) {
        let message = match (found.unread, found.site) {
            (Some(Unread::Inflates), _) => {
                format!("{what} hold data that unpacks to too much to be looked at")
            }
            (Some(Unread::Broken), _) => format!("{what} hold packed data that is broken off or damaged"),
            (Some(Unread::Work | Unread::Depth), _) => {
                format!("{what} hold data that is encoded too often to be looked at")
            }
            (None, Site::Number) => format!("{what} hold a number that is sensitive: `{}`", found.kind),
            (None, Site::Key) => format!("{what} hold a key that is sensitive: `{}`", found.kind),
            (None, Site::Text | Site::Field) => {
                format!("{what} hold what may not be passed on: `{}`", found.kind)
            }
        };
        let reason = Reason {
            path: Some(format!("{base}{}", found.pointer)),
            rule: rule.clone(),
            ..Reason::plain(ReasonCode::SensitiveData, message)
        };
        if reasons.len() < caps::RECORD_REASONS_MAX && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    if reasons.is_empty() {
        let message = format!("{what} could not be cleaned");
        reasons.push(Reason { rule, ..Reason::plain(ReasonCode::SensitiveData, message) });
    }
    reasons
}

/// A key that is sensitive itself stands in the pointers of everything below it: those are cut at the object around the key.
pub(crate) fn without_sensitive_keys(mut found: Vec<Found>) -> Vec<Found> {
    let around: Vec<String> =
        found.iter().filter(|found| found.site == Site::Key).map(|found| found.pointer.clone()).collect();
    for found in &mut found {
        let below = |object: &&String| {
            found.pointer.strip_prefix(object.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        if let Some(object) = around.iter().filter(below).min_by_key(|object| object.len()) {
            found.pointer.clone_from(object);
        }
    }
    found
}

/// What became of it, as policies say it.
fn with(with: With) -> &'static str {
    match with {
        With::Mask { .. } => "mask",
        With::Sealed | With::Token => "token",
        With::Hash => "hash",
        With::Remove => "remove",
        With::Block => "block",
    }
}

#[cfg(test)]
mod tests {
    use aegis_dlp::finding::{Confidence, Via};
    use aegis_dlp::redact::{Rule, What};
    use aegis_dlp::scanner::Precision;
    use serde_json::json;

    use super::*;

    fn found(pointer: &str, site: Site) -> Found {
        Found {
            kind: "us_ssn".to_owned(),
            pointer: pointer.to_owned(),
            site,
            confidence: Confidence::Valid,
            via: Via::Plain,
            with: With::Block,
            unread: None,
        }
    }

    #[test]
    fn a_sensitive_key_stands_in_no_place_that_is_told() {
        let told = without_sensitive_keys(vec![
            found("/a", Site::Key),
            found("/a/078-05-1120/note", Site::Text),
            found("/ab", Site::Text),
        ]);
        let pointers: Vec<&str> = told.iter().map(|found| found.pointer.as_str()).collect();
        assert_eq!(pointers, ["/a", "/a", "/ab"]);
    }

    #[test]
    fn equal_findings_are_counted_and_there_are_not_too_many() {
        let mut findings = Findings::default();
        findings.add(&[found("/a", Site::Text), found("/a", Site::Text)], Place::Params);
        assert_eq!((findings.kept.len(), findings.kept[0].count), (1, 2));
        for at in 0..caps::FINDINGS_MAX + 5 {
            findings.add(&[found(&format!("/{at}"), Site::Text)], Place::Params);
        }
        assert_eq!((findings.kept.len(), findings.left_out), (caps::FINDINGS_MAX, 6));
    }

    #[test]
    fn a_result_is_cleaned_or_withheld() {
        let rules = |with| {
            let what = What::Detect(vec!["us_ssn".to_owned()], Precision::Lenient);
            let redactor = Redactor::new(&[Rule { what, with }], &[]).unwrap();
            ResultRules {
                result: Some(Arc::new(redactor)),
                record: None,
                key: Arc::new(Key::new(1, [7; 32])),
                sealer: None,
            }
        };
        let result = || json!({"note": "ssn 219-09-9999", "n": 1});
        let cleaned = rules(With::Token).clean(result());
        let note = cleaned.result.as_ref().unwrap()["note"].as_str().unwrap().to_owned();
        assert!(note.starts_with("ssn <us_ssn:v1:"), "{note}");
        assert_eq!((cleaned.redactions.len(), cleaned.same), (1, false));
        let withheld = rules(With::Block).clean(result());
        assert_eq!((withheld.result, withheld.withheld[0].code), (None, ReasonCode::SensitiveData));
        assert_eq!(withheld.withheld[0].path.as_deref(), Some("/result/note"));
        let nothing = rules(With::Block).clean(json!({"note": "fine"}));
        assert!(nothing.same && nothing.withheld.is_empty());
    }
}
