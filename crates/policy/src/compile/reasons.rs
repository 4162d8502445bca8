//! The rule `reasons` of a unit: for every test that is not as needed, what is wrong and where.
//!
//! A reason is `{at, code, message, path?, ask?}`: `at` is the test's number within the condition, and `ask`
//! is true of an approvable test that is decided. Each reason's text is fixed when the policy is compiled; no value of a
//! call enters it (AUD-2).

use super::literals::{pointer, reference, spelled, string};
use super::messages;
use super::need::{Want, decides};
use super::unit::{Body, Writer};
use crate::ast::{Check, Condition, Keyword, Path, Schema, Segment, Subject, Test};

/// Where a failing value stands, in the terms of Rego and of people.
struct Place<'a> {
    /// Number of the test.
    at: usize,
    /// The set that the reasons go into: it is looked at only if the test is not as needed.
    set: &'a str,
    /// Lines that have to hold before anything is said about this value.
    guards: &'a [String],
    /// How an author spells the path.
    spelled: String,
    /// Whether the value is one of `params`.
    params: bool,
    /// Only undecided values are spoken of (denying entries).
    undecided_only: bool,
    /// The rule that says whether a person could agree to the failure; for approvable tests.
    ask: Option<&'a str>,
}

/// Which kind of failure a reason is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    Missing,
    Type,
    Range,
    Mismatch,
}

impl Place<'_> {
    fn code(&self, failure: Failure) -> &'static str {
        match failure {
            _ if !self.params => "ContextMismatch",
            Failure::Missing => "ParameterMissing",
            Failure::Type => "ParameterType",
            Failure::Range => "ParameterOutOfRange",
            Failure::Mismatch => "ParameterMismatch",
        }
    }
}

impl Writer {
    /// Writes the reasons for which `condition` may fail to be as wanted.
    pub(super) fn reasons(&mut self, condition: &Condition, want: Want, undecided_only: bool) {
        let mut at = 0;
        self.reasons_of(condition, want, undecided_only, &mut Vec::new(), &mut at);
    }

    fn reasons_of(
        &mut self,
        condition: &Condition,
        want: Want,
        undecided_only: bool,
        guards: &mut Body,
        at: &mut usize,
    ) {
        match condition {
            Condition::Not(part) => self.reasons_of(part, want.turned(), undecided_only, guards, at),
            Condition::Test(test) => {
                // A set of its own for each test: one look at a test that is as needed spares the look at each way in
                // which it could fail.
                let lines = self.test_lines(test, want);
                let holds = self.either("holds_", None, &[lines]);
                let set = self.fresh("why_");
                self.test_reasons(test, want, undecided_only, &set, *at);
                if self.has_rule(&format!("{set} contains ")) {
                    let mut body = guards.clone();
                    body.extend([format!("not {holds}"), format!("some why in {set}")]);
                    self.rule("reasons contains why", &body);
                }
                *at += 1;
            }
            Condition::All(parts) | Condition::Any(parts) => {
                let disjunction = matches!(condition, Condition::Any(_)) == (want == Want::True);
                if disjunction {
                    let group = self.one_of(condition, parts, want);
                    guards.push(format!("not {group}"));
                }
                for part in parts {
                    self.reasons_of(part, want, undecided_only, guards, at);
                }
                if disjunction {
                    guards.pop();
                }
            }
        }
    }

    /// Writes the reasons of one test into `set`.
    fn test_reasons(&mut self, test: &Test, want: Want, undecided_only: bool, set: &str, at: usize) {
        let ask = (test.approvable && want == Want::True).then(|| self.asks(test));
        let ask = ask.as_deref();
        let place = |spelled: String, params: bool| Place {
            at,
            set,
            guards: &[],
            spelled,
            params,
            undecided_only,
            ask,
        };
        match &test.subject {
            Subject::Params(path) => {
                self.path_reasons("params", path, test, want, &place(spelled("params", &path.0), true))
            }
            Subject::Context(path) => {
                self.path_reasons("context", path, test, want, &place(spelled("context", &path.0), false))
            }
            Subject::Token(path) => {
                self.path_reasons("token", path, test, want, &place(spelled("token", &path.0), false))
            }
            Subject::Circumstance { name, verified_only } => {
                let value = self.circumstance(name, *verified_only);
                let path = self.circumstance_path(name, *verified_only);
                self.value_reasons(&value, None, &path, test, want, &place(name.clone(), false));
            }
            Subject::Callers { .. } | Subject::ChainDepth(_) | Subject::Time(_) if undecided_only => {}
            Subject::Callers { .. } | Subject::ChainDepth(_) | Subject::Time(_) => {
                let rule = self.always_decided(&test.subject);
                let line = if want == Want::True { format!("not {rule}") } else { rule };
                let (code, path) = match &test.subject {
                    Subject::Callers { .. } => ("CallerNotAllowed", string("/callers")),
                    Subject::ChainDepth(_) => ("ChainTooDeep", string("/callers")),
                    _ => ("OutsideTimeWindow", String::new()),
                };
                let message = messages::of_subject(&test.subject);
                self.reason(&place(String::new(), false), code, &path, &message, &vec![line]);
            }
        }
    }

    /// A rule that is true if the test is decided wherever it looks, false if not.
    fn asks(&mut self, test: &Test) -> String {
        let decided = self.test_lines(test, Want::Decided);
        let decided = self.either("decided_", None, &[decided]);
        let rule = self.fresh("asks_");
        self.rule(&format!("{rule} := false"), &vec![format!("not {decided}")]);
        self.rule(&format!("{rule} := true"), &vec![decided]);
        rule
    }

    /// A rule that gives the pointer at which a circumstance was looked for.
    fn circumstance_path(&mut self, name: &str, verified_only: bool) -> String {
        let key = [Segment::Key(name.to_owned())];
        let (token, context) = (string(&pointer("/token", &key)), string(&pointer("/context", &key)));
        if verified_only {
            return token;
        }
        let proven = self.present(&reference("input.token", &key), None);
        let rule = self.fresh("pointer_");
        self.rule(&format!("{rule} := {token}"), &vec![proven.clone()]);
        self.rule(&format!("{rule} := {context}"), &vec![format!("not {proven}")]);
        rule
    }

    fn path_reasons(&mut self, root: &str, path: &Path, test: &Test, want: Want, place: &Place<'_>) {
        let base = format!("input.{root}");
        let prefix = format!("/{root}");
        let Some(star) = path.0.iter().position(|segment| *segment == Segment::Every) else {
            let (value, pointer) = (reference(&base, &path.0), pointer(&prefix, &path.0));
            if let ([Check::Schema(schema)], Want::True) = (test.checks.as_slice(), want) {
                return self.schema_reasons(schema, &value, &pointer, place);
            }
            return self.value_reasons(&value, None, &string(&pointer), test, want, place);
        };
        let (head, tail) = (&path.0[..star], &path.0[star + 1..]);
        self.container_reasons(&reference(&base, head), &pointer(&prefix, head), test, place);
        self.element_reasons(&reference(&base, head), &pointer(&prefix, head), tail, test, want, place);
    }

    fn container_reasons(&mut self, container: &str, pointer: &str, test: &Test, place: &Place<'_>) {
        let name = place.spelled.split("[*]").next().unwrap_or_default().to_owned();
        let path = string(pointer);
        if !test.optional {
            let present = self.present(container, None);
            let missing = vec![format!("not {present}")];
            self.failing(place, Failure::Missing, &path, &format!("`{name}` is missing"), &missing);
            let empty = vec![format!("{container} == []")];
            self.failing(
                place,
                Failure::Missing,
                &path,
                &format!("`{name}` must have at least one element"),
                &empty,
            );
        }
        let wrong = vec![format!("list = {container}"), "not is_array(list)".to_owned()];
        self.failing(place, Failure::Type, &path, &format!("`{name}` must be an array"), &wrong);
    }

    fn element_reasons(
        &mut self,
        container: &str,
        head: &str,
        tail: &[Segment],
        test: &Test,
        want: Want,
        place: &Place<'_>,
    ) {
        let good = self.element(tail, test, want);
        let first = self.fresh("first_");
        let body = vec![
            format!("list = {container}"),
            "is_array(list)".to_owned(),
            format!("bad = {{index | some index, item in list; not {good}(item)}}"),
            "count(bad) > 0".to_owned(),
            "place = min(bad)".to_owned(),
        ];
        self.rule(&format!("{first} := place"), &body);
        let find = vec![format!("place = {first}"), format!("item = {container}[place]")];
        if tail.contains(&Segment::Every) {
            if !place.undecided_only {
                let path = format!("concat(\"\", [{}, format_int(place, 10)])", string(&format!("{head}/")));
                let message = format!("`{}` must satisfy the rule in every element", place.spelled);
                self.failing(place, Failure::Mismatch, &path, &message, &find);
            }
            return;
        }
        let guards: Body = place.guards.iter().cloned().chain(find).collect();
        let inner = Place { guards: &guards, spelled: place.spelled.clone(), ..*place };
        let behind = pointer("", tail);
        let path = format!(
            "concat(\"\", [{}, format_int(place, 10), {}])",
            string(&format!("{head}/")),
            string(&behind)
        );
        self.value_reasons(&reference("item", tail), Some("item"), &path, test, want, &inner);
    }

    /// Reasons about the value that `value` names; `path` is a Rego expression.
    fn value_reasons(
        &mut self,
        value: &str,
        local: Option<&str>,
        path: &str,
        test: &Test,
        want: Want,
        place: &Place<'_>,
    ) {
        if !test.optional && local != Some(value) {
            let present = self.present(value, local);
            let message = format!("`{}` is missing", place.spelled);
            self.failing(place, Failure::Missing, path, &message, &vec![format!("not {present}")]);
        }
        let found = format!("value = {value}");
        if want == Want::True && !place.undecided_only {
            return self.check_reasons(&found, path, test, place);
        }
        let decided = self.checks("value", &test.checks, Want::Decided);
        let message = messages::undecided(&place.spelled, &test.checks);
        let lines = vec![found.clone(), format!("not {}", decided.join(""))];
        self.failing(place, Failure::Type, path, &message, &lines);
        if !place.undecided_only {
            let mut lines = vec![found];
            lines.extend(self.checks("value", &test.checks, Want::True));
            let message = messages::forbidden(&place.spelled, &test.checks);
            self.failing(place, Failure::Mismatch, path, &message, &lines);
        }
    }

    /// The first check that is not true gives the reason.
    fn check_reasons(&mut self, found: &str, path: &str, test: &Test, place: &Place<'_>) {
        let mut before = vec![found.to_owned()];
        for (at, check) in test.checks.iter().enumerate() {
            let message = messages::required(&place.spelled, check);
            // Where an earlier check was true, the value may be of a type that decides this one, too.
            let settled = test.checks[..at].iter().any(|earlier| decides(earlier, check));
            if !settled {
                let decided = self.checks("value", std::slice::from_ref(check), Want::Decided);
                let mut lines = before.clone();
                lines.push(format!("not {}", decided.join("")));
                self.failing(place, Failure::Type, path, &message, &lines);
            }
            let mut lines = before.clone();
            lines.extend(self.check_of("value", &test.checks, at, false));
            let code = match check {
                Check::Schema(_) => "SchemaViolation",
                Check::Min(_) | Check::Max(_) | Check::Length { .. } => place.code(Failure::Range),
                _ => place.code(Failure::Mismatch),
            };
            self.reason(place, code, path, &message, &lines);
            before.extend(self.check_of("value", &test.checks, at, true));
        }
    }

    /// One reason for each place, reachable through `properties`, that does not satisfy its own keywords.
    fn schema_reasons(&mut self, schema: &Schema, value: &str, at: &str, place: &Place<'_>) {
        if place.undecided_only {
            return;
        }
        let found = [format!("value = {value}")];
        let message = "the parameters do not satisfy the schema of the rule here".to_owned();
        let Schema::Keywords(keywords) = schema else {
            let valid = self.schema(schema);
            let lines = vec![found[0].clone(), format!("not {valid}(value)")];
            return self.reason(place, "SchemaViolation", &string(at), &message, &lines);
        };
        let own: Vec<&Keyword> = keywords
            .iter()
            .filter(|keyword| !matches!(keyword, Keyword::Properties(_) | Keyword::Required(_)))
            .collect();
        if !own.is_empty() {
            let valid = self.keywords(&own);
            let lines = vec![found[0].clone(), format!("not {valid}(value)")];
            self.reason(place, "SchemaViolation", &string(at), &message, &lines);
        }
        for keyword in keywords {
            match keyword {
                Keyword::Required(names) => self.required_reasons(names, value, at, place),
                Keyword::Properties(properties) => {
                    for (name, inner) in properties {
                        let key = [Segment::Key(name.clone())];
                        self.schema_reasons(inner, &reference(value, &key), &pointer(at, &key), place);
                    }
                }
                _ => {}
            }
        }
    }

    fn required_reasons(&mut self, names: &[String], value: &str, at: &str, place: &Place<'_>) {
        for name in names {
            let key = [Segment::Key(name.clone())];
            let present = self.present(&reference(value, &key), None);
            let lines = vec![format!("is_object({value})"), format!("not {present}")];
            let message = "the schema of the rule requires this member".to_owned();
            self.reason(place, "SchemaViolation", &string(&pointer(at, &key)), &message, &lines);
        }
    }

    fn failing(&mut self, place: &Place<'_>, failure: Failure, path: &str, message: &str, lines: &Body) {
        self.reason(place, place.code(failure), path, message, lines);
    }

    /// Writes one reason; an empty `path` leaves the member out.
    fn reason(&mut self, place: &Place<'_>, code: &str, path: &str, message: &str, lines: &Body) {
        let mut body: Body = place.guards.to_vec();
        body.extend_from_slice(lines);
        let mut members =
            format!("\"at\": {}, \"code\": {}, \"message\": {}", place.at, string(code), string(message));
        if !path.is_empty() {
            body.push(format!("path = {path}"));
            members.push_str(", \"path\": path");
        }
        if let Some(rule) = place.ask {
            body.push(format!("asks = {rule}"));
            members.push_str(", \"ask\": asks");
        }
        self.rule(&format!("{} contains {{{members}}}", place.set), &body);
    }
}
