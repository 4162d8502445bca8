//! Pushes what is needed of a condition down to its tests: Kleene's logic as plain Rego rules.
//!
//! An allowing entry needs its condition true, a denying one false. Under `not` the need turns around; a
//! leaf is only ever asked for one polarity, and "undecided" is simply that neither rule holds.

use super::literals::{has_type, reference, string, type_name, types_of};
use super::unit::{Body, Writer};
use crate::ast::{Check, Condition, Path, Segment, Subject, Test, TimeWindow};

/// What is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Want {
    /// True.
    True,
    /// False.
    False,
    /// True, where approvable tests only have to be decided.
    Ask,
    /// True or false, but not undecided.
    Decided,
}

impl Want {
    /// What is needed of a part under `not`.
    pub(super) fn turned(self) -> Self {
        match self {
            Self::True | Self::Ask => Self::False,
            Self::False => Self::True,
            Self::Decided => Self::Decided,
        }
    }

    /// Whether one part of an `Any` (else of an `All`) is enough.
    fn holds_positively(self) -> bool {
        self != Self::False
    }
}

impl Writer {
    /// Lines that hold exactly when `condition` is as wanted.
    pub(super) fn need(&mut self, condition: &Condition, want: Want) -> Body {
        match condition {
            Condition::Not(part) => self.need(part, want.turned()),
            Condition::Test(test) => self.need_test(test, want),
            Condition::All(parts) if want.holds_positively() => self.need_each(parts, want),
            Condition::Any(parts) if !want.holds_positively() => self.need_each(parts, want),
            Condition::All(parts) | Condition::Any(parts) => vec![self.one_of(condition, parts, want)],
        }
    }

    fn need_each(&mut self, parts: &[Condition], want: Want) -> Body {
        parts.iter().flat_map(|part| self.need(part, want)).collect()
    }

    /// The helper that holds if one of the parts is as wanted.
    pub(super) fn one_of(&mut self, group: &Condition, parts: &[Condition], want: Want) -> String {
        self.group(group, want, |writer| {
            let bodies: Vec<Body> = parts.iter().map(|part| writer.need(part, want)).collect();
            writer.either("group_", None, &bodies)
        })
    }

    fn need_test(&mut self, test: &Test, want: Want) -> Body {
        let want = match want {
            Want::Ask if test.approvable => Want::Decided,
            Want::Ask => Want::True,
            other => other,
        };
        let body = self.test_lines(test, want);
        if !self.outlined {
            return body;
        }
        vec![self.either("test_", None, &[body])]
    }

    /// Lines that hold exactly when `test` is as wanted.
    pub(super) fn test_lines(&mut self, test: &Test, want: Want) -> Body {
        match &test.subject {
            Subject::Params(path) => self.at_path("input.params", path, test, want),
            Subject::Context(path) => self.at_path("input.context", path, test, want),
            Subject::Token(path) => self.at_path("input.token", path, test, want),
            Subject::Circumstance { name, verified_only } => {
                let value = self.circumstance(name, *verified_only);
                self.at_value(&value, None, test, want)
            }
            Subject::Callers { .. } | Subject::ChainDepth(_) | Subject::Time(_) => {
                let rule = self.always_decided(&test.subject);
                match want {
                    Want::False => vec![format!("not {rule}")],
                    Want::Decided => vec![],
                    Want::True | Want::Ask => vec![rule],
                }
            }
        }
    }

    fn at_path(&mut self, root: &str, path: &Path, test: &Test, want: Want) -> Body {
        self.along(root, None, &path.0, test, want)
    }

    /// Lines for the value at `base` + `segments`. `local` is the variable that `base` is, if it is one.
    fn along(
        &mut self,
        base: &str,
        local: Option<&str>,
        segments: &[Segment],
        test: &Test,
        want: Want,
    ) -> Body {
        let Some(star) = segments.iter().position(|segment| *segment == Segment::Every) else {
            return self.at_value(&reference(base, segments), local, test, want);
        };
        let container = reference(base, &segments[..star]);
        let element = self.element(&segments[star + 1..], test, want);
        let (list, item) = (self.fresh("list_"), self.fresh("item_"));
        let each = vec![
            format!("{list} = {container}"),
            format!("is_array({list})"),
            format!("count({list}) > 0"),
            format!("every {item} in {list} {{ {element}({item}) }}"),
        ];
        if !test.optional {
            return each;
        }
        let present = self.present(&container, local);
        let empty = vec![format!("{list} = {container}"), format!("{list} == []")];
        vec![self.either("optional_", local, &[vec![format!("not {present}")], empty, each])]
    }

    /// The name of a function that holds of an element whose `tail` is as wanted.
    pub(super) fn element(&mut self, tail: &[Segment], test: &Test, want: Want) -> String {
        let body = self.along("item", Some("item"), tail, test, want);
        let head = self.either("element_", Some("item"), &[body]);
        head.trim_end_matches("(item)").to_owned()
    }

    /// Lines for the value that `value` names.
    fn at_value(&mut self, value: &str, local: Option<&str>, test: &Test, want: Want) -> Body {
        let var = self.fresh("value_");
        let mut lines = vec![format!("{var} = {value}")];
        lines.extend(self.checks(&var, &test.checks, want));
        if !test.optional || local == Some(value) {
            return lines;
        }
        let present = self.present(value, local);
        vec![self.either("optional_", local, &[vec![format!("not {present}")], lines])]
    }

    /// A helper that holds if `value` exists, whatever it is.
    pub(super) fn present(&mut self, value: &str, local: Option<&str>) -> String {
        self.either("present_", local, &[vec![format!("_ = {value}")]])
    }

    /// Lines that hold if all `checks` of the variable together are as wanted.
    pub(super) fn checks(&mut self, var: &str, checks: &[Check], want: Want) -> Body {
        let all = 0..checks.len();
        match want {
            Want::True | Want::Ask => all.flat_map(|at| self.check_of(var, checks, at, true)).collect(),
            Want::False if checks.len() == 1 => self.check(var, &checks[0], false),
            Want::False => {
                let bodies: Vec<Body> = checks.iter().map(|check| self.check("it", check, false)).collect();
                self.function("fails_", var, &bodies)
            }
            Want::Decided
                if let [check] = checks
                    && let Some(types) = decided_by_type(check) =>
            {
                vec![has_type(var, &types)]
            }
            Want::Decided => {
                let mut bodies: Vec<Body> =
                    vec![all.flat_map(|at| self.check_of("it", checks, at, true)).collect()];
                bodies.extend(checks.iter().map(|check| self.check("it", check, false)));
                self.function("decided_", var, &bodies)
            }
        }
    }

    /// A call of a new function of `it` that has these bodies, applied to `var`.
    pub(super) fn function(&mut self, prefix: &str, var: &str, bodies: &[Body]) -> Body {
        let head = self.either(prefix, Some("it"), bodies);
        vec![head.replace("(it)", &format!("({var})"))]
    }

    /// The rule that gives a circumstance's value.
    pub(super) fn circumstance(&mut self, name: &str, verified_only: bool) -> String {
        let token = reference("input.token", &[Segment::Key(name.to_owned())]);
        if verified_only {
            return token;
        }
        let context = reference("input.context", &[Segment::Key(name.to_owned())]);
        let proven = self.present(&token, None);
        let rule = self.fresh("circumstance_");
        self.rule(&format!("{rule} := stated"), &vec![proven.clone(), format!("stated = {token}")]);
        self.rule(
            &format!("{rule} := stated"),
            &vec![format!("not {proven}"), format!("stated = {context}")],
        );
        rule
    }

    /// The rule that says whether a subject holds that is never undecided.
    pub(super) fn always_decided(&mut self, subject: &Subject) -> String {
        match subject {
            Subject::Callers { globs, none_allowed } => self.callers(globs, *none_allowed),
            Subject::ChainDepth(most) => {
                self.either("depth_", None, &[vec![format!("count(input.callers) <= {most}")]])
            }
            Subject::Time(window) => self.time(window),
            Subject::Params(_) | Subject::Context(_) | Subject::Token(_) | Subject::Circumstance { .. } => {
                self.either("never_", None, &[])
            }
        }
    }

    fn callers(&mut self, globs: &[crate::ast::Glob], none_allowed: bool) -> String {
        let pattern = super::literals::glob_pattern(globs);
        let matches = self.matches(&pattern, "it");
        let member = self.either("member_", Some("it"), &[vec![matches]]);
        let each = member.replace("(it)", "(caller)");
        let mut bodies = vec![vec![
            "count(input.callers) > 0".to_owned(),
            format!("every caller in input.callers {{ {each} }}"),
        ]];
        if none_allowed {
            bodies.push(vec!["count(input.callers) == 0".to_owned()]);
        }
        self.either("callers_", None, &bodies)
    }

    fn time(&mut self, window: &TimeWindow) -> String {
        self.zones.push(window.zone.clone());
        let local = format!("local = input.local[{}]", string(&window.zone));
        let days = |shift: usize| {
            let days: Vec<String> =
                (0..7).filter(|day| window.days[*day]).map(|day| ((day + shift) % 7).to_string()).collect();
            format!("local.day in {{{}}}", days.join(", "))
        };
        let (from, to) = (window.from_minute, window.to_minute);
        let starts = format!("local.minute >= {from}");
        let ends = format!("local.minute < {to}");
        if !window.days.contains(&true) {
            return self.either("time_", None, &[]);
        }
        let bodies = if from < to {
            vec![vec![local, days(0), starts, ends]]
        } else {
            vec![vec![local.clone(), days(0), starts], vec![local, days(1), ends]]
        };
        self.either("time_", None, &bodies)
    }
}

/// The types of value for which `check` is true or false, where its type alone decides that.
fn decided_by_type(check: &Check) -> Option<Vec<&'static str>> {
    match check {
        Check::Not(inner) => decided_by_type(inner),
        Check::Min(_) | Check::Max(_) => Some(vec!["number"]),
        Check::Matches(_) | Check::Finds(_) | Check::StartsWith(_) | Check::EndsWith(_) => {
            Some(vec!["string"])
        }
        Check::Equals(literal) => Some(vec![type_name(literal)]),
        Check::OneOf(literals) if !literals.is_empty() => Some(types_of(literals)),
        _ => None,
    }
}

/// Whether a value for which `earlier` is decided is of a type that decides `check`.
pub(super) fn decides(earlier: &Check, check: &Check) -> bool {
    match (decided_by_type(earlier), decided_by_type(check)) {
        (Some(have), Some(need)) => have.iter().all(|one| need.contains(one)),
        _ => false,
    }
}
