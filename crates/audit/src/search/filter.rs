//! Which decisions are wanted, and whether a record is one of them.

use std::borrow::Cow;

use aegis_model::clock::UnixNanos;
use aegis_model::decision::Outcome;
use aegis_model::ids::{ActionName, AgentId, RequestId, ToolName};
use aegis_model::reason::ReasonCode;
use memchr::memmem::{self, Finder};
use serde::Deserialize;

use super::moment;
use crate::record::{Link, RecordId};

/// Which decisions: what is not there does not narrow them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Who asked.
    pub agent: Option<AgentId>,
    /// The tool.
    pub tool: Option<ToolName>,
    /// What was to be done with it.
    pub action: Option<ActionName>,
    /// The answer.
    pub outcome: Option<Outcome>,
    /// A code among the reasons.
    pub reason: Option<ReasonCode>,
    /// The version of the policy that judged.
    pub version: Option<u64>,
    /// From this moment on.
    pub from: Option<UnixNanos>,
    /// Before this moment.
    pub to: Option<UnixNanos>,
    /// The id in the answer.
    pub decision_id: Option<String>,
    /// The trace of the caller.
    pub trace_id: Option<RecordId>,
    /// The client's own id of the call.
    pub request_id: Option<RequestId>,
}

/// What a record is to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// A decision that is wanted.
    Decision {
        /// The id of the record.
        id: RecordId,
        /// Its moment.
        at: UnixNanos,
    },
    /// Something that names a decision.
    Link {
        /// Its kind.
        kind: &'static str,
        /// The id of the decision's record.
        decision: RecordId,
    },
    /// Neither.
    Other,
}

/// A filter that is ready to be held against many records.
pub(super) struct Matcher<'f> {
    filter: &'f Filter,
    /// What stands in every record that is wanted: most others are told by that, without being taken apart.
    decisions: Vec<Finder<'static>>,
    /// What stands in every completion of one.
    completions: Vec<Finder<'static>>,
    what: Finder<'static>,
}

impl<'f> Matcher<'f> {
    pub(super) fn new(filter: &'f Filter) -> Self {
        let text = |name: &str, value: Option<String>| {
            // As records are written: no other spelling of a text is canonical.
            value.map(|value| format!("\"{name}\":{}", serde_json::Value::String(value)))
        };
        let (id, agent) = (filter.decision_id.clone(), filter.agent.as_ref().map(ToString::to_string));
        let in_both = [text("decision_id", id), text("agent", agent)];
        let in_decisions = [
            text("trace_id", filter.trace_id.map(String::from)),
            text("request_id", filter.request_id.as_ref().map(ToString::to_string)),
            text("tool", filter.tool.as_ref().map(ToString::to_string)),
            text("action", filter.action.as_ref().map(ToString::to_string)),
            text("code", filter.reason.map(|code| code.as_str().to_owned())),
            filter.version.map(|version| format!("\"version\":{version}}}")),
            text("outcome", filter.outcome.map(|outcome| outcome.as_str().to_owned())),
        ];
        let finder = |needle: String| Finder::new(&needle).into_owned();
        let completions: Vec<Finder<'static>> = in_both.into_iter().flatten().map(finder).collect();
        let decisions =
            completions.iter().cloned().chain(in_decisions.into_iter().flatten().map(finder)).collect();
        Self { filter, decisions, completions, what: Finder::new(WHAT) }
    }

    pub(super) fn filter(&self) -> &'f Filter {
        self.filter
    }

    /// What a canonical record is; nothing if it is none.
    pub(super) fn look(&self, record: &[u8]) -> Option<Seen> {
        // Before `what` stands nothing that could hold this: neither a name of a chain nor hexadecimal digits have a quote.
        let kind = self.what.find(record)? + WHAT.len();
        let end = kind + memchr::memchr(b'"', &record[kind..])?;
        let body = record.get(end + 2..record.len().checked_sub(2)?)?;
        let all = |needles: &[Finder<'_>]| needles.iter().all(|needle| needle.find(record).is_some());
        match &record[kind..end] {
            b"decision" if all(&self.decisions) => self.decision(record, body),
            b"completion" if all(&self.completions) => link("completion", body),
            b"shadow" => link("shadow", body),
            _ => Some(Seen::Other),
        }
    }

    fn decision(&self, record: &[u8], body: &[u8]) -> Option<Seen> {
        let at = moment(record)?;
        let decision: Decision<'_> = serde_json::from_slice(body).ok()?;
        if !(self.is_in_time(at) && self.is_wanted(&decision)) {
            return Some(Seen::Other);
        }
        Some(Seen::Decision { id: id(record)?, at })
    }

    fn is_in_time(&self, at: UnixNanos) -> bool {
        self.filter.from.is_none_or(|from| at >= from) && self.filter.to.is_none_or(|to| at < to)
    }

    fn is_wanted(&self, it: &Decision<'_>) -> bool {
        let filter = self.filter;
        filter.agent.as_ref().is_none_or(|agent| agent.as_str() == it.agent)
            && filter.tool.as_ref().is_none_or(|tool| tool.as_str() == it.tool)
            && filter.action.as_ref().is_none_or(|action| action.as_str() == it.action)
            && filter.outcome.is_none_or(|outcome| outcome.as_str() == it.outcome)
            && filter.reason.is_none_or(|code| it.reasons.iter().any(|reason| reason.code == code.as_str()))
            && filter.version.is_none_or(|version| it.policy.as_ref().is_some_and(|it| it.version == version))
            && filter.decision_id.as_ref().is_none_or(|id| *id == it.decision_id)
            && filter.trace_id.is_none_or(|trace| it.trace_id == Some(trace))
            && filter.request_id.as_ref().is_none_or(|id| it.request_id.as_deref() == Some(id.as_str()))
    }
}

const WHAT: &[u8] = br#","what":{""#;

/// The id of a canonical record.
fn id(record: &[u8]) -> Option<RecordId> {
    const ID: &[u8] = br#"","id":""#;
    let at = memmem::find(record, ID)? + ID.len();
    let text = std::str::from_utf8(record.get(at..at + 32)?).ok()?;
    RecordId::try_from(text.to_owned()).ok()
}

fn link(kind: &'static str, body: &[u8]) -> Option<Seen> {
    let named: Named = serde_json::from_slice(body).ok()?;
    Some(Seen::Link { kind, decision: named.decision.id })
}

/// What a filter looks at in a decision; the rest is skipped.
#[derive(Deserialize)]
struct Decision<'r> {
    #[serde(borrow)]
    agent: Cow<'r, str>,
    #[serde(borrow)]
    tool: Cow<'r, str>,
    #[serde(borrow)]
    action: Cow<'r, str>,
    #[serde(borrow)]
    outcome: Cow<'r, str>,
    #[serde(borrow, default)]
    reasons: Vec<Reason<'r>>,
    #[serde(default)]
    policy: Option<Policy>,
    #[serde(borrow)]
    decision_id: Cow<'r, str>,
    #[serde(default)]
    trace_id: Option<RecordId>,
    #[serde(borrow, default)]
    request_id: Option<Cow<'r, str>>,
}

#[derive(Deserialize)]
struct Reason<'r> {
    #[serde(borrow)]
    code: Cow<'r, str>,
}

#[derive(Deserialize)]
struct Policy {
    version: u64,
}

#[derive(Deserialize)]
struct Named {
    decision: Link,
}
