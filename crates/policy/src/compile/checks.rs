//! One check of one value: the lines that hold if it is true, and those that hold if it is false.
//!
//! Every line guards the type before it calls a built-in, so no built-in ever fails: a stock OPA with strict
//! built-in errors and this process see the same.

use serde_json::Value;

use super::canonical;
use super::literals::{array, has_type, rego_type, set, string, term, type_name, types_of};
use super::need::Want;
use super::unit::{Body, Writer};
use crate::ast::{Check, JsonType};

/// A set literal of more members is split, so that no rule outgrows the virtual machine's registers.
const SET_MEMBERS_MAX: usize = 64;

impl Writer {
    /// Lines that hold if `check` of the variable is true (or false, if not `want`).
    pub(super) fn check(&mut self, var: &str, check: &Check, want: bool) -> Body {
        match check {
            Check::Not(inner) => self.check(var, inner, !want),
            Check::Equals(literal) if want => vec![format!("{var} == {}", term(literal))],
            Check::Equals(literal) => {
                vec![has_type(var, &[type_name(literal)]), format!("{var} != {}", term(literal))]
            }
            Check::OneOf(literals) => self.one_of_literals(var, literals, want),
            Check::Min(bound) => number(var, if want { ">=" } else { "<" }, bound),
            Check::Max(bound) => number(var, if want { "<=" } else { ">" }, bound),
            Check::Type(of) => self.type_is(var, *of, want),
            Check::Matches(pattern) | Check::Finds(pattern) => self.pattern(var, pattern, want),
            Check::StartsWith(prefixes) => affix("startswith", "any_prefix_match", var, prefixes, want),
            Check::EndsWith(suffixes) => affix("endswith", "any_suffix_match", var, suffixes, want),
            Check::Length { min, max } => self.length(var, *min, *max, want),
            Check::ContainsAny(literals) => self.contains_any(var, literals, want),
            Check::ContainsAll(literals) => self.contains_all(var, literals, want),
            Check::Each(checks) => self.each(var, checks, want),
            Check::HostIn(hosts) => {
                self.canonical(var, &canonical::any_host(), &canonical::host_in(hosts), want)
            }
            Check::DomainIn(domains) => {
                self.canonical(var, &canonical::any_host(), &canonical::domain_in(domains), want)
            }
            Check::Within(folders) => {
                self.canonical(var, &canonical::any_path(), &canonical::within(folders), want)
            }
            Check::CidrIn(networks) => self.cidr(var, networks, want),
            Check::Schema(schema) => {
                let valid = self.schema(schema);
                vec![if want { format!("{valid}({var})") } else { format!("not {valid}({var})") }]
            }
        }
    }

    /// Like [`Writer::check`], for one of several checks of the same variable.
    pub(super) fn check_of(&mut self, var: &str, checks: &[Check], at: usize, want: bool) -> Body {
        match &checks[at] {
            check if checks.len() == 1 => self.check(var, check, want),
            Check::Not(inner) => {
                self.check_of(var, &[(**inner).clone(), Check::Type(JsonType::Null)], 0, !want)
            }
            Check::Equals(literal) => self.among(var, std::slice::from_ref(literal), want),
            Check::OneOf(literals) => self.among(var, literals, want),
            check => self.check(var, check, want),
        }
    }

    /// Compares by intersecting sets. OPA's type checker takes a variable that is compared with `==` or `in` to
    /// have the literal's type, and would refuse the bundle if something else reads it as another type.
    pub(super) fn among(&mut self, var: &str, literals: &[Value], want: bool) -> Body {
        let common = |of: &str, set: &String| format!("count({{{of}}} & {set})");
        let sets: Vec<String> = literals.chunks(SET_MEMBERS_MAX).map(set).collect();
        if want {
            let bodies: Vec<Body> =
                sets.iter().map(|set| vec![format!("{} == 1", common("it", set))]).collect();
            return self.function("among_", var, &bodies);
        }
        let mut lines = vec![has_type(var, &types_of(literals))];
        lines.extend(sets.iter().map(|set| format!("{} == 0", common(var, set))));
        lines
    }

    fn one_of_literals(&mut self, var: &str, literals: &[Value], want: bool) -> Body {
        let sets: Vec<String> = literals.chunks(SET_MEMBERS_MAX).map(set).collect();
        if want && sets.len() == 1 {
            return vec![format!("{var} in {}", sets[0])];
        }
        if want {
            let bodies: Vec<Body> = sets.iter().map(|set| vec![format!("it in {set}")]).collect();
            return self.function("one_of_", var, &bodies);
        }
        let mut lines = vec![has_type(var, &types_of(literals))];
        lines.extend(sets.iter().map(|set| format!("not {var} in {set}")));
        lines
    }

    fn type_is(&mut self, var: &str, of: JsonType, want: bool) -> Body {
        let is = has_type(var, &[rego_type(of)]);
        match (of, want) {
            (JsonType::Integer, true) => vec![is, format!("floor({var}) == {var}")],
            (JsonType::Integer, false) => {
                let bodies = [
                    vec!["not is_number(it)".to_owned()],
                    vec!["is_number(it)".to_owned(), "floor(it) != it".to_owned()],
                ];
                self.function("not_integer_", var, &bodies)
            }
            (_, true) => vec![is],
            (_, false) => vec![format!("not {is}")],
        }
    }

    /// Counts characters with `substring`: `count` counts UTF-16 units in one engine, characters in the other.
    fn length(&mut self, var: &str, min: Option<u32>, max: Option<u32>, want: bool) -> Body {
        let of = [has_type("it", &["string"]), has_type("it", &["array", "object"])];
        let below = min.filter(|least| *least > 0).map(|least| {
            [text_shorter(least, want), format!("count(it) {} {least}", if want { ">=" } else { "<" })]
        });
        let above = max.map(|most| {
            [text_longer(most, want), format!("count(it) {} {most}", if want { "<=" } else { ">" })]
        });
        let bodies: Vec<Body> = if want {
            let bounds: Vec<[String; 2]> = below.into_iter().chain(above).collect();
            let body = |kind: usize| {
                std::iter::once(of[kind].clone())
                    .chain(bounds.iter().map(|bound| bound[kind].clone()))
                    .collect()
            };
            vec![body(0), body(1)]
        } else {
            let bounds = below.into_iter().chain(above);
            bounds.flat_map(|[text, list]| [vec![of[0].clone(), text], vec![of[1].clone(), list]]).collect()
        };
        self.function("length_", var, &bodies)
    }

    fn contains_any(&mut self, var: &str, literals: &[Value], want: bool) -> Body {
        let texts = texts(literals);
        let (every, listed) = (array(literals), array(&texts));
        let typed = has_type("element", &types_of(literals));
        let mut bodies: Vec<Body> = Vec::new();
        if want {
            bodies.push(lines(["is_array(it)", &format!("some literal in {every}"), "literal in it"]));
            if !texts.is_empty() {
                bodies.push(lines([
                    "is_string(it)",
                    &format!("some literal in {listed}"),
                    "contains(it, literal)",
                ]));
            }
        } else {
            let absent = format!("every literal in {every} {{ not literal in it }}");
            bodies.push(lines(["is_array(it)", &format!("every element in it {{ {typed} }}"), &absent]));
            if !texts.is_empty() {
                let absent = format!("every literal in {listed} {{ not contains(it, literal) }}");
                bodies.push(lines(["is_string(it)", &absent]));
            }
        }
        self.function("contains_any_", var, &bodies)
    }

    fn contains_all(&mut self, var: &str, literals: &[Value], want: bool) -> Body {
        let all_texts = texts(literals).len() == literals.len();
        let every = array(literals);
        let typed = has_type("element", &types_of(literals));
        let mut bodies: Vec<Body> = Vec::new();
        if want {
            bodies.push(lines(["is_array(it)", &format!("every literal in {every} {{ literal in it }}")]));
            if all_texts {
                bodies.push(lines([
                    "is_string(it)",
                    &format!("every literal in {every} {{ contains(it, literal) }}"),
                ]));
            }
        } else {
            let some = format!("some literal in {every}");
            bodies.push(lines([
                "is_array(it)",
                &format!("every element in it {{ {typed} }}"),
                &some,
                "not literal in it",
            ]));
            if all_texts {
                bodies.push(lines(["is_string(it)", &some, "not contains(it, literal)"]));
            }
        }
        self.function("contains_all_", var, &bodies)
    }

    fn each(&mut self, var: &str, checks: &[Check], want: bool) -> Body {
        let item = self.fresh("each_");
        let body = self.checks("it", checks, if want { Want::True } else { Want::False });
        let holds = self.either("element_", Some("it"), &[body]).replace("(it)", &format!("({item})"));
        let mut lines = vec![format!("is_array({var})")];
        if want {
            lines.push(format!("count({var}) > 0"));
            lines.push(format!("every {item} in {var} {{ {holds} }}"));
            return lines;
        }
        let bodies = [vec![format!("some {item} in it"), holds]];
        lines.extend(self.function("some_", var, &bodies));
        lines
    }

    fn pattern(&mut self, var: &str, pattern: &str, want: bool) -> Body {
        let call = self.matches(pattern, var);
        vec![format!("is_string({var})"), if want { call } else { format!("not {call}") }]
    }

    fn canonical(&mut self, var: &str, any: &str, listed: &str, want: bool) -> Body {
        let mut lines = vec![format!("is_string({var})"), self.matches(if want { listed } else { any }, var)];
        if !want {
            lines.push(format!("not {}", self.matches(listed, var)));
        }
        lines
    }

    fn cidr(&mut self, var: &str, networks: &[String], want: bool) -> Body {
        let canonical = self.matches(&canonical::any_address(), var);
        let mut lines = vec![format!("is_string({var})"), canonical];
        if want {
            let bodies: Vec<Body> = networks
                .iter()
                .map(|network| vec![format!("net.cidr_contains({}, it)", string(network))])
                .collect();
            lines.extend(self.function("in_network_", var, &bodies));
        } else {
            lines.extend(
                networks.iter().map(|network| format!("not net.cidr_contains({}, {var})", string(network))),
            );
        }
        lines
    }
}

fn lines<const N: usize>(texts: [&str; N]) -> Body {
    texts.iter().map(|&text| text.to_owned()).collect()
}

fn texts(literals: &[Value]) -> Vec<Value> {
    literals.iter().filter(|literal| literal.is_string()).cloned().collect()
}

fn number(var: &str, operator: &str, bound: &serde_json::Number) -> Body {
    vec![format!("is_number({var})"), format!("{var} {operator} {bound}")]
}

/// Holds if the text `it` has less than `least` (not 0) characters; if `not`, the opposite.
pub(super) fn text_shorter(least: u32, not: bool) -> String {
    format!("substring(it, {}, 1) {} \"\"", least - 1, if not { "!=" } else { "==" })
}

/// Holds if the text `it` has more than `most` characters; if `not`, the opposite.
pub(super) fn text_longer(most: u32, not: bool) -> String {
    format!("substring(it, {most}, 1) {} \"\"", if not { "==" } else { "!=" })
}

fn affix(one: &str, several: &str, var: &str, texts: &[String], want: bool) -> Body {
    let call = match texts {
        [text] => format!("{one}({var}, {})", string(text)),
        texts => {
            let listed: Vec<Value> = texts.iter().map(|text| Value::from(text.as_str())).collect();
            format!("strings.{several}({var}, {})", array(&listed))
        }
    };
    vec![format!("is_string({var})"), if want { call } else { format!("not {call}") }]
}
