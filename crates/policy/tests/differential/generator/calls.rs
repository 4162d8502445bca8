//! Calls aimed at a set: at its entries, at both sides of its literals, and beside them.

use aegis_model::call::ToolCall;
use aegis_model::clock::UnixNanos;
use aegis_model::decision::Outcome;
use aegis_model::json::JsonObject;
use aegis_model::principal::Principal;
use aegis_model::scope::Scope;
use aegis_policy::ast::{Condition, Document, Entry, PolicySet, Segment, Subject, Test, TimeWindow};
use aegis_policy::judge::Question;
use serde_json::{Value, json};

use super::checks::candidates;
use super::pools::{self, Random, odd};
use crate::reference::{self, check, glob, truth::Truth};

/// Calls drawn before one is taken whose outcome is not the one aimed at.
const TRIES: usize = 14;

/// A question that owns its parts.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) principal: Principal,
    pub(crate) call: ToolCall,
    pub(crate) now: UnixNanos,
}

impl Asked {
    pub(crate) fn question(&self) -> Question<'_> {
        Question { principal: &self.principal, call: &self.call, now: self.now }
    }
}

/// What a draft of a call says.
struct Draft {
    agent: String,
    tool: String,
    action: String,
    scope: String,
    params: Value,
    context: Value,
    token: Value,
    callers: Vec<String>,
    now: UnixNanos,
}

/// A call of a set; `document` makes the input document of it.
pub(crate) fn call(set: &PolicySet, random: &mut Random, document: &dyn Fn(&Asked) -> Value) -> Asked {
    let aim = match random.between(0, 99) {
        0..40 => Outcome::Allow,
        40..80 => Outcome::ApprovalRequired,
        _ => Outcome::Deny,
    };
    let mut tries = 0;
    loop {
        let asked = draft(set, aim, random).finish();
        tries += 1;
        let plain_refusal = |judged: &reference::Judgement| {
            aim == Outcome::Deny
                && judged.rules.is_empty()
                && judged.reasons.iter().all(|one| one.rule.is_none())
        };
        let judged = reference::judge(set, &document(&asked));
        if (judged.outcome == aim && (!plain_refusal(&judged) || random.chance(30))) || tries == TRIES {
            return asked;
        }
    }
}

impl Draft {
    fn finish(self) -> Asked {
        let object = |value: Value| -> JsonObject {
            match value {
                Value::Object(members) => members,
                _ => JsonObject::new(),
            }
        };
        let name = "a name of a pool is valid";
        let principal = Principal {
            org: "acme".parse().expect(name),
            tenant: "acme-eu".parse().expect(name),
            agent: self.agent.parse().expect(name),
            scope: Scope::parse(&self.scope),
            callers: self.callers.iter().map(|caller| caller.parse().expect(name)).collect(),
            claims: object(self.token),
            token_id: "t-1".to_owned(),
            issued_at: UnixNanos(0),
            expires_at: UnixNanos(u64::MAX),
        };
        let call = ToolCall {
            request_id: None,
            tool: self.tool.parse().expect(name),
            action: self.action.parse().expect(name),
            params: object(self.params),
            context: object(self.context),
            cost: None,
            override_token: None,
            dry_run: false,
            explain: false,
            wait_ms: 0,
            sign_receipt: false,
        };
        Asked { principal, call, now: self.now }
    }
}

fn draft(set: &PolicySet, aim: Outcome, random: &mut Random) -> Draft {
    let agent = agent(set, random);
    let every: Vec<&Document> = set
        .documents
        .iter()
        .filter(|document| document.agents.iter().any(|one| glob(&one.0, &agent)))
        .chain(&set.defaults)
        .collect();
    let allowing: Vec<&Entry> = every.iter().flat_map(|document| document.allowed.iter().flatten()).collect();
    let denying: Vec<&Entry> = every.iter().flat_map(|document| &document.denied).collect();
    let at_denial = aim == Outcome::Deny && !denying.is_empty() && random.chance(50);
    let targets = if at_denial { &denying } else { &allowing };
    let target = if targets.is_empty() { None } else { Some(*random.pick(targets)) };
    let tool = named(target.map(|entry| entry.tool.0.as_str()), &pools::TOOLS, at_denial, random);
    let action =
        target.and_then(|entry| entry.actions.as_ref()).map(|actions| random.pick(actions).0.as_str());
    let action = named(action, &pools::ACTIONS, at_denial, random);
    let mut draft = Draft {
        scope: scope(&tool, &action, random),
        agent,
        tool,
        action,
        params: json!({}),
        context: json!({}),
        token: json!({}),
        callers: callers(random),
        now: UnixNanos::from_seconds(1_790_000_000 + random.between(0, 20_000_000) as u64),
    };
    for entry in denying {
        let wanted = if at_denial { *random.pick(&ANY) } else { Truth::False };
        let (tool, action) = (draft.tool.to_ascii_lowercase(), draft.action.to_ascii_lowercase());
        let acts = |actions: &[aegis_policy::ast::Glob]| actions.iter().any(|one| glob(&one.0, &action));
        if glob(&entry.tool.0, &tool) && entry.actions.as_deref().is_none_or(acts) {
            draft.fit(&entry.condition, wanted, aim, random);
        }
    }
    if let Some(entry) = target
        && !at_denial
    {
        let wanted = match aim {
            Outcome::Deny => *random.pick(&[Truth::False, Truth::Undecided]),
            _ => Truth::True,
        };
        draft.fit(&entry.condition, wanted, aim, random);
    }
    if random.chance(15) {
        let (name, value) = ((*random.pick(&pools::FIELDS)).to_owned(), odd(random));
        let roots = [&mut draft.params, &mut draft.context, &mut draft.token];
        let [params, context, token] = roots;
        let root = match random.between(0, 4) {
            0 => context,
            1 => token,
            _ => params,
        };
        root[name] = value;
    }
    draft
}

const ANY: [Truth; 3] = [Truth::True, Truth::False, Truth::Undecided];

fn agent(set: &PolicySet, random: &mut Random) -> String {
    if random.chance(6) {
        return (*random.pick(&pools::AGENTS)).to_owned();
    }
    let named: Vec<&str> = pools::AGENTS
        .into_iter()
        .filter(|name| {
            set.documents.iter().flat_map(|document| &document.agents).any(|one| glob(&one.0, name))
        })
        .collect();
    (*random.pick(if named.is_empty() { &pools::AGENTS } else { &named })).to_owned()
}

/// A name of the pool that the pattern matches, mostly; where case does not count, in any case.
fn named(pattern: Option<&str>, pool: &[&str], any_case: bool, random: &mut Random) -> String {
    let exact = pattern.filter(|pattern| !pattern.contains('*'));
    let matching: Vec<&str> = pool
        .iter()
        .copied()
        .chain(exact)
        .filter(|name| {
            pattern.is_none_or(|pattern| {
                glob(pattern, name) || (any_case && glob(pattern, &name.to_lowercase()))
            })
        })
        .collect();
    let name =
        if matching.is_empty() || random.chance(4) { random.pick(pool) } else { random.pick(&matching) };
    if any_case && random.chance(30) { name.to_ascii_uppercase() } else { (*name).to_owned() }
}

fn scope(tool: &str, action: &str, random: &mut Random) -> String {
    if random.chance(85) {
        return "*:*".to_owned();
    }
    let scopes = [
        format!("{tool}:{action}"),
        format!("aegis:explain  {tool}:*"),
        format!("x:y *:{action}"),
        format!("{tool}x:{action}"),
        tool.to_owned(),
        String::new(),
        "aegis:* assert:*".to_owned(),
        "*:create_*".to_owned(),
        format!("{}:*", tool.to_uppercase()),
        format!("[{tool}]:.+ ^.*$:.*"),
        "*s*e*:*a*".to_owned(),
    ];
    random.pick(&scopes).clone()
}

fn callers(random: &mut Random) -> Vec<String> {
    let count = if random.chance(45) { 0 } else { random.between(1, 5) };
    (0..count).map(|_| (*random.pick(&pools::CALLERS)).to_owned()).collect()
}

impl Draft {
    /// Changes the call so that the condition becomes as wanted, as far as its tests do not contradict.
    fn fit(&mut self, condition: &Condition, wanted: Truth, aim: Outcome, random: &mut Random) {
        match condition {
            Condition::Not(part) => self.fit(part, wanted.not(), aim, random),
            Condition::Test(test) => self.fit_test(test, wanted, aim, random),
            Condition::All(parts) | Condition::Any(parts) => {
                let all = matches!(condition, Condition::All(_));
                // Of a true "and", and of a false "or", every part has to be so; else one is enough.
                let each = wanted == if all { Truth::True } else { Truth::False };
                let guilty = if parts.is_empty() { 0 } else { random.between(0, parts.len() - 1) };
                for (index, part) in parts.iter().enumerate() {
                    let wanted = if each || index == guilty { wanted } else { *random.pick(&ANY) };
                    self.fit(part, wanted, aim, random);
                }
            }
        }
    }

    fn fit_test(&mut self, test: &Test, wanted: Truth, aim: Outcome, random: &mut Random) {
        let wanted = match aim {
            Outcome::ApprovalRequired if test.approvable && random.chance(70) => Truth::False,
            _ => wanted,
        };
        if wanted == Truth::Undecided && random.chance(35) {
            return;
        }
        if test.optional && wanted != Truth::Undecided && random.chance(30) {
            return;
        }
        let (root, path) = match &test.subject {
            Subject::Params(path) => (&mut self.params, path.0.clone()),
            Subject::Context(path) => (&mut self.context, path.0.clone()),
            Subject::Token(path) => (&mut self.token, path.0.clone()),
            Subject::Circumstance { name, verified_only } => {
                let token = random.chance(if *verified_only { 90 } else { 50 });
                (if token { &mut self.token } else { &mut self.context }, vec![Segment::Key(name.clone())])
            }
            Subject::Callers { none_allowed, .. } => {
                if *none_allowed && wanted == Truth::True && random.chance(60) {
                    self.callers.clear();
                }
                return;
            }
            Subject::ChainDepth(most) => {
                if wanted == Truth::True {
                    self.callers.truncate(*most as usize);
                }
                return;
            }
            Subject::Time(window) => {
                self.now = near_window(window, random);
                return;
            }
        };
        place(root, &path, &mut |random| value(test, wanted, random), random);
        if !root.is_object() {
            *root = json!({});
        }
    }
}

/// A value for the test: as wanted, if one of a few candidates is.
fn value(test: &Test, wanted: Truth, random: &mut Random) -> Value {
    let mut drawn: Vec<Value> = test.checks.iter().flat_map(|check| candidates(check, random)).collect();
    let fitting: Vec<&Value> =
        drawn.iter().filter(|value| check::all(&test.checks, value) == wanted).collect();
    if fitting.is_empty() {
        let last = drawn.len() - 1;
        return drawn.swap_remove(random.between(0, last));
    }
    (*random.pick(&fitting)).clone()
}

/// Writes values to where the path leads, making what is on the way.
fn place(
    root: &mut Value,
    path: &[Segment],
    make: &mut dyn FnMut(&mut Random) -> Value,
    random: &mut Random,
) {
    let Some((step, rest)) = path.split_first() else {
        *root = make(random);
        return;
    };
    match step {
        Segment::Key(name) => {
            if !root.is_object() {
                *root = json!({});
            }
            place(&mut root[name], rest, make, random);
        }
        Segment::Index(index) => {
            let index = *index as usize;
            if !root.is_array() {
                *root = json!([]);
            }
            let items = root.as_array_mut().expect("made an array above");
            while items.len() <= index {
                items.push(odd(random));
            }
            place(&mut items[index], rest, make, random);
        }
        Segment::Every => {
            let count = if random.chance(8) { 0 } else { random.between(1, 3) };
            let mut items = vec![Value::Null; count];
            for item in &mut items {
                if random.chance(4) {
                    *item = odd(random);
                } else {
                    place(item, rest, make, random);
                }
            }
            *root = if random.chance(3) { odd(random) } else { Value::Array(items) };
        }
    }
}

/// A moment in, at the edge of, or near the window.
fn near_window(window: &TimeWindow, random: &mut Random) -> UnixNanos {
    let (from, to) = (i64::from(window.from_minute), i64::from(window.to_minute));
    let any = i64::try_from(random.between(0, 1439)).expect("small");
    let minute = *random.pick(&[from, from - 1, from + 1, to, to - 1, to + 1, any]);
    let zone = jiff::tz::TimeZone::get(&window.zone).expect("the pool's zones exist");
    // October has a day of 25 hours in some of the zones.
    let day = jiff::civil::date(
        2026,
        *random.pick(&[3, 10, 11]),
        20 + i8::try_from(random.between(0, 10)).expect("small"),
    );
    let start = day.to_zoned(zone).expect("every day begins");
    let moment =
        start.timestamp().as_second() + minute * 60 + i64::try_from(random.between(0, 59)).expect("small");
    UnixNanos::from_seconds(u64::try_from(moment).expect("after 1970"))
}
