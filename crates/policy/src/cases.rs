//! Calls at the boundaries of a policy: for every entry one call that should pass, and that call with one
//! thing changed at a time, just inside and just outside what each matcher permits.

use std::collections::BTreeSet;

use aegis_model::call::ToolCall;
use aegis_model::clock::UnixNanos;
use aegis_model::ids::{ActionName, AgentId, ToolName};
use aegis_model::json::JsonObject;
use aegis_model::principal::Principal;
use aegis_model::scope::Scope;
use serde::Serialize;
use serde_json::{Value, json};

use crate::ast::{Entry, Glob, Path, PolicySet, Segment, Subject, Test, TimeWindow};
use crate::judge::Question;

mod samples;

/// Most calls that are made for one set. Beyond, the rest of the entries is left out, and counted.
pub const CASES_MAX: usize = 50_000;

/// A call and who makes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Case {
    /// The agent.
    pub agent: AgentId,
    /// The tool.
    pub tool: ToolName,
    /// The action.
    pub action: ActionName,
    /// The parameters.
    pub params: JsonObject,
    /// What the caller says.
    pub context: JsonObject,
    /// The token's claims.
    pub token: JsonObject,
    /// Who called the agent, nearest first.
    pub callers: Vec<AgentId>,
    /// Nanoseconds since 1970.
    pub now: UnixNanos,
}

impl Case {
    /// Puts the case as a question, under a scope that covers every call.
    pub fn ask<T>(&self, judge: impl FnOnce(&Question<'_>) -> T) -> T {
        let principal = Principal {
            org: "org".parse().expect("a valid name"),
            tenant: "tenant".parse().expect("a valid name"),
            agent: self.agent.clone(),
            scope: Scope::parse("*:*"),
            callers: self.callers.clone(),
            claims: self.token.clone(),
            token_id: "case".to_owned(),
            issued_at: self.now,
            expires_at: self.now,
        };
        let call = ToolCall {
            request_id: None,
            tool: self.tool.clone(),
            action: self.action.clone(),
            params: self.params.clone(),
            context: self.context.clone(),
            cost: None,
            override_token: None,
            dry_run: false,
            explain: false,
            wait_ms: 0,
            sign_receipt: false,
        };
        judge(&Question { principal: &principal, call: &call, now: self.now })
    }
}

/// The boundary calls of a set, and how many were left out.
pub fn boundary(set: &PolicySet) -> (Vec<Case>, usize) {
    let mut cases = Vec::new();
    let mut left_out = 0;
    let documents = set.documents.iter().map(|document| (document.agents.as_slice(), document));
    let first_agents: &[Glob] =
        set.documents.first().map(|document| document.agents.as_slice()).unwrap_or_default();
    let defaults = set.defaults.iter().map(|document| (first_agents, document));
    for (agents, document) in documents.chain(defaults) {
        for entry in document.allowed.iter().flatten().chain(&document.denied) {
            for agent in agents {
                let made = around(agent, entry);
                if cases.len() + made.len() > CASES_MAX {
                    left_out += made.len();
                } else {
                    cases.extend(made);
                }
            }
        }
    }
    (cases, left_out)
}

/// A Monday at noon, UTC, when no window says otherwise.
const NOON: UnixNanos = UnixNanos(1_767_614_400_000_000_000);

fn around(agent: &Glob, entry: &Entry) -> Vec<Case> {
    let (Some(agent), Some(tool)) = (name::<AgentId>(agent), name::<ToolName>(&entry.tool)) else {
        return vec![];
    };
    let mut tests: Vec<&Test> = Vec::new();
    entry.condition.for_each_test(&mut |test| tests.push(test));
    let actions: Vec<ActionName> = match &entry.actions {
        Some(globs) => globs.iter().filter_map(name).collect(),
        None => vec![ActionName::default_call()],
    };
    let mut cases = Vec::new();
    for action in actions {
        let mut base = Case {
            agent: agent.clone(),
            tool: tool.clone(),
            action,
            params: JsonObject::new(),
            context: JsonObject::new(),
            token: JsonObject::new(),
            callers: vec![],
            now: NOON,
        };
        for test in &tests {
            if let Some(change) = changes(test).into_iter().next() {
                change.apply(&mut base);
            }
        }
        let varied = tests.iter().flat_map(|test| changes(test)).map(|change| {
            let mut case = base.clone();
            change.apply(&mut case);
            case
        });
        cases.extend(varied);
        let other = "another-action".parse().expect("a valid name");
        cases.push(Case { action: other, ..base.clone() });
        cases.push(base);
    }
    cases.dedup();
    cases
}

/// A name that the glob matches.
fn name<T: std::str::FromStr>(glob: &Glob) -> Option<T> {
    glob.0.replace('*', "x").parse().ok()
}

/// One change of a case.
#[derive(Debug, Clone)]
enum Change {
    Put(Root, Path, Value),
    Remove(Root, Path),
    Callers(Vec<AgentId>),
    Now(UnixNanos),
}

#[derive(Debug, Clone, Copy)]
enum Root {
    Params,
    Context,
    Token,
}

impl Change {
    fn apply(self, case: &mut Case) {
        match self {
            Self::Put(root, path, value) => put(root.of(case), &path.0, value),
            Self::Remove(root, path) => remove(root.of(case), &path.0),
            Self::Callers(callers) => case.callers = callers,
            Self::Now(now) => case.now = now,
        }
    }
}

impl Root {
    fn of(self, case: &mut Case) -> &mut JsonObject {
        match self {
            Self::Params => &mut case.params,
            Self::Context => &mut case.context,
            Self::Token => &mut case.token,
        }
    }
}

/// The changes that matter to a test; the first should satisfy it.
fn changes(test: &Test) -> Vec<Change> {
    match &test.subject {
        Subject::Params(path) => at(Root::Params, path, test),
        Subject::Context(path) => at(Root::Context, path, test),
        Subject::Token(path) => at(Root::Token, path, test),
        Subject::Circumstance { name, .. } => {
            let path = Path(vec![Segment::Key(name.clone())]);
            let mut changes = at(Root::Token, &path, test);
            changes.extend(at(Root::Context, &path, test));
            changes
        }
        Subject::Callers { globs, none_allowed } => {
            let mut chains: Vec<Vec<AgentId>> =
                globs.iter().filter_map(name).map(|caller| vec![caller]).collect();
            chains.insert(if *none_allowed { 0 } else { chains.len() }, vec![]);
            chains.push(vec!["another-caller".parse().expect("a valid name")]);
            chains.into_iter().map(Change::Callers).collect()
        }
        Subject::ChainDepth(most) => {
            let caller: AgentId = "another-caller".parse().expect("a valid name");
            let most = *most as usize;
            [most, most + 1].map(|length| Change::Callers(vec![caller.clone(); length])).to_vec()
        }
        Subject::Time(window) => moments(window).into_iter().map(Change::Now).collect(),
    }
}

fn at(root: Root, path: &Path, test: &Test) -> Vec<Change> {
    let samples = samples::of_checks(&test.checks);
    let mut seen = BTreeSet::new();
    let mut changes: Vec<Change> = samples
        .into_iter()
        .filter(|value| seen.insert(value.to_string()))
        .map(|value| Change::Put(root, path.clone(), value))
        .collect();
    if let Some(star) = path.0.iter().position(|segment| *segment == Segment::Every) {
        changes.push(Change::Put(root, Path(path.0[..star].to_vec()), json!([])));
    }
    if !path.0.is_empty() {
        changes.push(Change::Remove(root, path.clone()));
    }
    changes
}

/// The edges of a window, on its first day and on a day that is not in it.
fn moments(window: &TimeWindow) -> Vec<UnixNanos> {
    let Ok(zone) = jiff::tz::TimeZone::get(&window.zone) else { return vec![] };
    let monday = jiff::civil::date(2026, 1, 5);
    let mut found = Vec::new();
    let inside = window.days.iter().position(|day| *day).unwrap_or_default();
    let outside = window.days.iter().position(|day| !*day).unwrap_or_default();
    for day in [inside, outside] {
        let (from, to) = (i64::from(window.from_minute), i64::from(window.to_minute));
        for minute in [from, from - 1, to - 1, to] {
            let shift = jiff::Span::new().days(day as i64).minutes(minute);
            let moment =
                monday.at(0, 0, 0, 0).checked_add(shift).ok().and_then(|at| at.to_zoned(zone.clone()).ok());
            let nanos = moment.and_then(|at| u64::try_from(at.timestamp().as_nanosecond()).ok());
            found.extend(nanos.map(UnixNanos));
        }
    }
    found
}

/// Puts `value` at the path, making what is missing on the way; `[*]` and `[n]` make arrays.
fn put(object: &mut JsonObject, path: &[Segment], value: Value) {
    let mut root = Value::Object(std::mem::take(object));
    place(&mut root, path, value);
    if let Value::Object(members) = root {
        *object = members;
    }
}

fn place(at: &mut Value, path: &[Segment], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        *at = value;
        return;
    };
    match first {
        Segment::Key(key) => {
            if !at.is_object() {
                *at = json!({});
            }
            if let Value::Object(members) = at {
                place(members.entry(key.clone()).or_insert(Value::Null), rest, value);
            }
        }
        Segment::Index(_) | Segment::Every => {
            let index = if let Segment::Index(index) = first { (*index as usize).min(64) } else { 0 };
            if !at.is_array() {
                *at = json!([]);
            }
            if let Value::Array(items) = at {
                while items.len() <= index {
                    items.push(Value::Null);
                }
                place(&mut items[index], rest, value);
            }
        }
    }
}

fn remove(object: &mut JsonObject, path: &[Segment]) {
    let Some(Segment::Key(first)) = path.first() else { return };
    if path.len() == 1 {
        object.remove(first);
        return;
    }
    let mut at = object.get_mut(first);
    for segment in &path[1..path.len() - 1] {
        at = match (segment, at) {
            (Segment::Key(key), Some(value)) => value.get_mut(key),
            (Segment::Index(index), Some(value)) => value.get_mut(*index as usize),
            (Segment::Every, Some(value)) => value.get_mut(0),
            (_, None) => return,
        };
    }
    if let (Some(Value::Object(members)), Some(Segment::Key(last))) = (at, path.last()) {
        members.remove(last);
    }
}
