//! A slow, obvious interpreter of the policy language: the third voice beside the engine and a stock OPA.
//!
//! It shares nothing with the compiler but the checked set's types, and evaluates them as the language's page
//! says: three truth values, Kleene's connectives, `[*]` as "every" where the call needs the condition and as
//! "any" where it fears it. Messages are not its business.

pub(crate) mod canonical;
pub(crate) mod check;
pub(crate) mod condition;
pub(crate) mod custom;
pub(crate) mod obligations;
pub(crate) mod reasons;
pub(crate) mod schema;
pub(crate) mod truth;

use aegis_model::decision::Outcome;
use aegis_model::reason::ReasonCode;
use aegis_policy::ast::{Condition, Document, Entry, Glob, Mode, PolicySet, Subject};
use aegis_policy::diagnostic::position;
use serde_json::Value;

use condition::{Need, truth_of};
use reasons::Complaint;
use truth::Truth;

/// A verdict without messages.
#[derive(Debug, Clone)]
pub(crate) struct Judgement {
    pub(crate) outcome: Outcome,
    pub(crate) reasons: Vec<Because>,
    pub(crate) rules: Vec<String>,
    pub(crate) obligations: Vec<Value>,
    pub(crate) unverified: Vec<String>,
}

impl PartialEq for Judgement {
    fn eq(&self, other: &Self) -> bool {
        let same_obligations = self.obligations.len() == other.obligations.len()
            && self.obligations.iter().zip(&other.obligations).all(|(one, other)| check::same(one, other));
        same_obligations
            && (self.outcome, &self.reasons, &self.rules, &self.unverified)
                == (other.outcome, &other.reasons, &other.rules, &other.unverified)
    }
}

/// A reason without its message.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Because {
    pub(crate) code: ReasonCode,
    pub(crate) path: Option<String>,
    pub(crate) rule: Option<String>,
    pub(crate) position: Option<String>,
}

/// Judges one `input` document.
pub(crate) fn judge(set: &PolicySet, input: &Value) -> Judgement {
    Judge { set, input, shadow: false }.verdict()
}

/// Judges it as if everything in shadow mode were enforced.
pub(crate) fn judge_shadow(set: &PolicySet, input: &Value) -> Judgement {
    Judge { set, input, shadow: true }.verdict()
}

/// The entries that speak of the call, and what the call needs of each.
pub(crate) fn relevant<'a>(set: &'a PolicySet, input: &'a Value) -> Vec<(&'a Entry, Need)> {
    let judge = Judge { set, input, shadow: false };
    if !judge.in_scope() {
        return Vec::new();
    }
    let documents = judge.documents();
    let every = judge.every(&documents);
    let allowing = judge.speaking(&documents, &every);
    let allowing = allowing.flat_map(|document| document.allowed.iter().flatten());
    let denying = every.iter().flat_map(|document| &document.denied);
    denying
        .filter(|entry| judge.is_denying(entry))
        .map(|entry| (entry, Need::False))
        .chain(
            allowing
                .filter(|entry| judge.is_candidate(entry))
                .filter(|entry| names_action(entry.actions.as_deref(), judge.text("action")))
                .map(|entry| (entry, Need::True)),
        )
        .collect()
}

struct Judge<'a> {
    set: &'a PolicySet,
    input: &'a Value,
    /// Whether entries in shadow mode count.
    shadow: bool,
}

/// How an allowing entry answers.
enum Answer {
    Passes,
    Asks(Vec<Complaint>),
    Refuses(Vec<Complaint>),
}

impl<'a> Judge<'a> {
    fn text(&self, name: &str) -> &'a str {
        self.input[name].as_str().expect("the input document names agent, tool and action")
    }

    fn verdict(&self) -> Judgement {
        if !self.in_scope() {
            return plain(Outcome::Deny, Some(ReasonCode::ScopeExceeded));
        }
        let documents = self.documents();
        let every = self.every(&documents);
        if self.observes_only(&every) {
            return plain(Outcome::Allow, None);
        }
        if documents.is_empty() {
            return plain(Outcome::Deny, Some(ReasonCode::UnknownAgent));
        }
        self.denied(&every).unwrap_or_else(|| self.allowed(&documents, &every))
    }

    /// The token's scope: items `tool:action`, split at the last colon.
    fn in_scope(&self) -> bool {
        let scope = self.input["token"]["scope"].as_str().expect("a token has a scope");
        scope.split(' ').filter_map(|item| item.rsplit_once(':')).any(|(tool, action)| {
            tool != "aegis"
                && tool != "assert"
                && glob(tool, self.text("tool"))
                && glob(action, self.text("action"))
        })
    }

    /// The documents that name the agent.
    fn documents(&self) -> Vec<&'a Document> {
        let agent = self.text("agent");
        let names = |document: &&Document| document.agents.iter().any(|one| glob(&one.0, agent));
        self.set.documents.iter().filter(names).collect()
    }

    /// And the defaults.
    fn every(&self, documents: &[&'a Document]) -> Vec<&'a Document> {
        documents.iter().copied().chain(&self.set.defaults).collect()
    }

    /// The documents whose allowances count: the defaults' only where the agent has none of its own.
    fn speaking<'b>(
        &self,
        documents: &'b [&'a Document],
        every: &'b [&'a Document],
    ) -> std::slice::Iter<'b, &'a Document> {
        let own = documents.iter().any(|document| document.allowed.is_some());
        if own { documents.iter() } else { every.iter() }
    }

    fn counts(&self, entry: &Entry) -> bool {
        self.shadow || entry.mode == Mode::Enforce
    }

    fn is_denying(&self, entry: &Entry) -> bool {
        self.counts(entry)
            && glob(&entry.tool.0, &self.text("tool").to_ascii_lowercase())
            && names_action(entry.actions.as_deref(), &self.text("action").to_ascii_lowercase())
    }

    fn is_candidate(&self, entry: &Entry) -> bool {
        self.counts(entry) && glob(&entry.tool.0, self.text("tool"))
    }

    fn observes_only(&self, every: &[&Document]) -> bool {
        self.set.observe_only
            && !self.shadow
            && every.iter().all(|document| {
                let mut entries = document.allowed.iter().flatten().chain(&document.denied);
                entries.all(|entry| entry.mode == Mode::Shadow)
            })
    }

    fn denied(&self, every: &[&'a Document]) -> Option<Judgement> {
        let fired: Vec<&Entry> = every
            .iter()
            .flat_map(|document| &document.denied)
            .filter(|entry| self.is_denying(entry))
            .filter(|entry| truth_of(&entry.condition, Need::False, self.input) != Truth::False)
            .collect();
        let mut reasons = Vec::new();
        for entry in &fired {
            reasons.push(self.at_entry(ReasonCode::ToolDenied, entry));
            let complaints = reasons::of(&entry.condition, Need::False, self.input);
            reasons.extend(
                complaints.into_iter().filter(|one| one.undecided).map(|one| self.at_leaf(one, entry)),
            );
        }
        let mut rules: Vec<String> = fired.iter().map(|entry| entry.rule.clone()).collect();
        let (custom, custom_rules) = custom::reasons(self.set, every, custom::Kind::Deny, self.input);
        if fired.is_empty() && custom.is_empty() {
            return None;
        }
        reasons.extend(custom);
        rules.extend(custom_rules);
        let unverified = self.unverified(&fired);
        Some(Judgement { outcome: Outcome::Deny, reasons, rules, obligations: Vec::new(), unverified })
    }

    fn allowed(&self, documents: &[&'a Document], every: &[&'a Document]) -> Judgement {
        let candidates: Vec<&Entry> = self
            .speaking(documents, every)
            .flat_map(|document| document.allowed.iter().flatten())
            .filter(|entry| self.is_candidate(entry))
            .collect();
        if candidates.is_empty() {
            return plain(Outcome::Deny, Some(ReasonCode::ToolNotAllowed));
        }
        let matching: Vec<&Entry> = candidates
            .into_iter()
            .filter(|entry| names_action(entry.actions.as_deref(), self.text("action")))
            .collect();
        if matching.is_empty() {
            return plain(Outcome::Deny, Some(ReasonCode::ActionNotAllowed));
        }
        let mut passing = Vec::new();
        let mut asking = Vec::new();
        let mut refusing: Option<(&Entry, Vec<Complaint>)> = None;
        for entry in matching {
            match self.answer(entry) {
                Answer::Passes => passing.push(entry),
                Answer::Asks(complaints) => asking.push((entry, complaints)),
                Answer::Refuses(complaints) => {
                    if refusing.as_ref().is_none_or(|(_, fewest)| complaints.len() < fewest.len()) {
                        refusing = Some((entry, complaints));
                    }
                }
            }
        }
        let (custom, custom_rules) = custom::reasons(self.set, every, custom::Kind::Approval, self.input);
        if passing.is_empty()
            && asking.is_empty()
            && let Some((entry, complaints)) = refusing
        {
            let reasons = complaints.into_iter().map(|one| self.at_leaf(one, entry)).collect();
            return Judgement { reasons, ..plain(Outcome::Deny, None) };
        }
        let asks = passing.is_empty();
        let mut reasons = Vec::new();
        if asks {
            for (entry, complaints) in asking {
                if complaints.is_empty() {
                    reasons.push(self.at_entry(ReasonCode::ApprovalRequired, entry));
                }
                reasons.extend(complaints.into_iter().map(|one| self.at_leaf(one, entry)));
                passing.push(entry);
            }
        }
        let outcome = if asks || !custom.is_empty() { Outcome::ApprovalRequired } else { Outcome::Allow };
        reasons.extend(custom);
        let mut rules: Vec<String> = passing.iter().map(|entry| entry.rule.clone()).collect();
        rules.extend(custom_rules);
        Judgement {
            outcome,
            reasons,
            rules,
            obligations: obligations::of(self.set, &passing, documents),
            unverified: self.unverified(&passing),
        }
    }

    fn answer(&self, entry: &Entry) -> Answer {
        if truth_of(&entry.condition, Need::True, self.input) == Truth::True {
            return if entry.always_ask { Answer::Asks(Vec::new()) } else { Answer::Passes };
        }
        let complaints = reasons::of(&entry.condition, Need::True, self.input);
        if condition::would_pass_if_approved(&entry.condition, self.input) {
            return Answer::Asks(complaints.into_iter().filter(|one| one.asks).collect());
        }
        Answer::Refuses(complaints)
    }

    fn at_entry(&self, code: ReasonCode, entry: &Entry) -> Because {
        let position = Some(position(entry.span, &self.set.files));
        Because { code, path: None, rule: Some(entry.rule.clone()), position }
    }

    fn at_leaf(&self, complaint: Complaint, entry: &Entry) -> Because {
        let position = Some(position(complaint.span, &self.set.files));
        Because { code: complaint.code, path: complaint.path, rule: Some(entry.rule.clone()), position }
    }

    /// Circumstances that the deciding entries read from the caller's word.
    fn unverified(&self, deciding: &[&Entry]) -> Vec<String> {
        let mut names = Vec::new();
        for entry in deciding {
            each_test(&entry.condition, &mut |subject| {
                if let Subject::Circumstance { name, verified_only: false } = subject
                    && self.input["token"].get(name).is_none()
                    && self.input["context"].get(name).is_some()
                {
                    names.push(name.clone());
                }
            });
        }
        names.sort();
        names.dedup();
        names
    }
}

fn each_test<'a>(condition: &'a Condition, visit: &mut dyn FnMut(&'a Subject)) {
    match condition {
        Condition::All(parts) | Condition::Any(parts) => parts.iter().for_each(|part| each_test(part, visit)),
        Condition::Not(part) => each_test(part, visit),
        Condition::Test(test) => visit(&test.subject),
    }
}

fn names_action(actions: Option<&[Glob]>, action: &str) -> bool {
    actions.is_none_or(|globs| globs.iter().any(|one| glob(&one.0, action)))
}

fn plain(outcome: Outcome, code: Option<ReasonCode>) -> Judgement {
    let reasons =
        code.map(|code| Because { code, path: None, rule: None, position: None }).into_iter().collect();
    Judgement { outcome, reasons, rules: Vec::new(), obligations: Vec::new(), unverified: Vec::new() }
}

/// `*` is any run of characters.
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len()).filter(|at| text.is_char_boundary(*at)).any(|at| glob(rest, &text[at..]))
        }),
    }
}
