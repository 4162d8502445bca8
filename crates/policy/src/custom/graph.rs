//! The rules of a module by name, and which uses which. Recursion is refused: regorus does not notice it, and in
//! some of its modes it ends the process.

use std::collections::{BTreeMap, BTreeSet};

use aegis_model::caps::{DIAGNOSTICS_MAX, REGO_RULES_MAX};
use regorus::unstable::{Expr, Literal, Module, Query, Rule, RuleBody, RuleHead, Span as RegoSpan};

use super::parse::span;
use super::signatures;
use crate::diagnostic::Diagnostic;
use crate::sources::TextIndex;

/// What the definitions of one name make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A set that grows by `contains`.
    Set,
    /// One value.
    Value,
    /// A function of so many arguments.
    Function(usize),
}

/// All definitions of one name.
pub(super) struct RuleSet<'m> {
    pub(super) kind: Kind,
    pub(super) definitions: Vec<Definition<'m>>,
    pub(super) default: Option<&'m Expr>,
    /// The name where it is defined first.
    pub(super) name: &'m RegoSpan,
}

/// One definition.
pub(super) enum Definition<'m> {
    /// `name contains key if …`
    Member { key: &'m Expr, query: Option<&'m Query> },
    /// `name(parameters) := value if … else := …`
    Choice { parameters: Vec<&'m Expr>, branches: Vec<Branch<'m>> },
}

/// A value and its condition. Without a value: `true`.
pub(super) struct Branch<'m> {
    pub(super) value: Option<&'m Expr>,
    pub(super) query: Option<&'m Query>,
}

/// The rules of a module by name.
pub(super) type Rules<'m> = BTreeMap<&'m str, RuleSet<'m>>;

/// Collects the rules of a module.
pub(super) fn rules<'m>(module: &'m Module, index: &TextIndex<'_>) -> Result<Rules<'m>, Vec<Diagnostic>> {
    if module.policy.len() > REGO_RULES_MAX {
        let at = span(module.policy[REGO_RULES_MAX].span(), index);
        let message =
            format!("a module has at most {REGO_RULES_MAX} rules; this one has {}", module.policy.len());
        return Err(vec![
            Diagnostic::error("rego-too-large", at, message).help("split it over several documents"),
        ]);
    }
    let mut collector = Collector { index, rules: Rules::new(), problems: Vec::new() };
    for rule in &module.policy {
        collector.add(rule);
    }
    let Collector { rules, mut problems, .. } = collector;
    for (name, set) in &rules {
        if set.definitions.is_empty() {
            let message = format!("`{name}` has a default, but no rule");
            let help = "write the value as a rule: `name := value`";
            problems.push(Diagnostic::error("rego-unsupported", span(set.name, index), message).help(help));
        }
    }
    problems.truncate(DIAGNOSTICS_MAX);
    if problems.is_empty() { Ok(rules) } else { Err(problems) }
}

struct Collector<'m, 'i, 't> {
    index: &'i TextIndex<'t>,
    rules: Rules<'m>,
    problems: Vec<Diagnostic>,
}

impl<'m> Collector<'m, '_, '_> {
    fn refuse(&mut self, at: &RegoSpan, message: impl Into<String>, help: &str) {
        let at = span(at, self.index);
        self.problems.push(Diagnostic::error("rego-unsupported", at, message).help(help));
    }

    fn add(&mut self, rule: &'m Rule) {
        match rule {
            Rule::Default { refr, args, value, .. } => {
                let Some(name) = self.name(refr) else { return };
                if !args.is_empty() {
                    return self.refuse(
                        refr.span(),
                        "a function has no default here",
                        "end its rules with `else := value`",
                    );
                }
                let Some(set) = self.set(name, Kind::Value) else { return };
                if set.default.replace(value).is_some() {
                    self.refuse(refr.span(), format!("`{}` has two defaults", name.text()), "keep one");
                }
            }
            Rule::Spec { head, bodies, .. } => self.define(head, bodies),
        }
    }

    fn define(&mut self, head: &'m RuleHead, bodies: &'m [RuleBody]) {
        if let Some(second) = bodies.iter().skip(1).find(|body| !body.is_else) {
            return self.refuse(&second.span, "a rule has one body", "repeat the head in front of each body");
        }
        let (refr, kind, definition) = match head {
            RuleHead::Set { refr, key: Some(key), .. } => {
                let query = bodies.first().map(|body| &*body.query);
                (refr, Kind::Set, Definition::Member { key, query })
            }
            RuleHead::Set { span, .. } => {
                return self.refuse(span, "this rule has no value", "write `name contains value if { … }`");
            }
            RuleHead::Compr { refr, assign, .. } => {
                let value = assign.as_ref().map(|assign| &*assign.value);
                (
                    refr,
                    Kind::Value,
                    Definition::Choice { parameters: vec![], branches: branches(value, bodies) },
                )
            }
            RuleHead::Func { refr, args, assign, span } => {
                if args.is_empty() {
                    return self.refuse(
                        span,
                        "a function has at least one parameter",
                        "write a rule without `()`",
                    );
                }
                let value = assign.as_ref().map(|assign| &*assign.value);
                let parameters: Vec<&Expr> = args.iter().map(|argument| &**argument).collect();
                let kind = Kind::Function(parameters.len());
                (refr, kind, Definition::Choice { parameters, branches: branches(value, bodies) })
            }
        };
        let Some(name) = self.name(refr) else { return };
        if let Some(set) = self.set(name, kind) {
            set.definitions.push(definition);
        }
    }

    /// The name of a rule, if it is a plain one.
    fn name(&mut self, refr: &'m Expr) -> Option<&'m RegoSpan> {
        let Expr::Var { span, .. } = refr else {
            let help = "objects are made with `name := {key: value | …}`";
            self.refuse(refr.span(), "a rule has a plain name, without dots and brackets", help);
            return None;
        };
        if signatures::reserves(span.text()) || matches!(span.text(), "input" | "data" | "aegis" | "_") {
            self.refuse(span, format!("`{}` has a meaning of its own", span.text()), "choose another name");
            return None;
        }
        Some(span)
    }

    fn set(&mut self, name: &'m RegoSpan, kind: Kind) -> Option<&mut RuleSet<'m>> {
        let set = self.rules.entry(name.text()).or_insert_with(|| RuleSet {
            kind,
            definitions: Vec::new(),
            default: None,
            name,
        });
        if set.kind == kind {
            return self.rules.get_mut(name.text());
        }
        let described = |kind| match kind {
            Kind::Set => "a set".to_owned(),
            Kind::Value => "a value".to_owned(),
            Kind::Function(arity) => format!("a function of {arity}"),
        };
        let message = format!("`{}` is {} and {}", name.text(), described(set.kind), described(kind));
        self.refuse(name, message, "give one of them another name");
        None
    }
}

fn branches<'m>(value: Option<&'m Expr>, bodies: &'m [RuleBody]) -> Vec<Branch<'m>> {
    let first = Branch { value, query: bodies.first().map(|body| &*body.query) };
    let others = bodies.iter().skip(1).map(|body| Branch {
        value: body.assign.as_ref().map(|assign| &*assign.value),
        query: Some(&*body.query),
    });
    std::iter::once(first).chain(others).collect()
}

/// The names of the rules, each behind those it uses.
///
/// # Errors
/// The cycles, each with its names.
pub(super) fn order<'m>(rules: &Rules<'m>, index: &TextIndex<'_>) -> Result<Vec<&'m str>, Vec<Diagnostic>> {
    let uses: BTreeMap<&str, Vec<&str>> =
        rules.iter().map(|(name, set)| (*name, used(set, rules).into_iter().collect())).collect();
    let (mut ordered, mut done, mut problems) = (Vec::new(), BTreeSet::new(), Vec::new());
    for &start in rules.keys() {
        // The way from `start`: each name with how many of its uses were followed. No recursion, since a
        // tenant decides how long the way is.
        let mut way: Vec<(&str, usize)> = if done.contains(start) { vec![] } else { vec![(start, 0)] };
        while let Some(&mut (name, ref mut followed)) = way.last_mut() {
            let Some(&next) = uses[name].get(*followed) else {
                done.insert(name);
                ordered.push(name);
                way.pop();
                continue;
            };
            *followed += 1;
            if let Some(from) = way.iter().position(|(name, _)| *name == next) {
                let cycle: Vec<&str> = way[from..].iter().map(|(name, _)| *name).chain([next]).collect();
                let message = format!("recursion: `{}`", cycle.join("` → `"));
                let at = span(rules[next].name, index);
                let help = "a rule cannot use itself, not even through others";
                problems.push(Diagnostic::error("rego-recursion", at, message).help(help));
            } else if !done.contains(next) {
                way.push((next, 0));
            }
        }
    }
    problems.truncate(DIAGNOSTICS_MAX);
    if problems.is_empty() { Ok(ordered) } else { Err(problems) }
}

/// The rules whose names stand anywhere in the definitions. A variable of the same name is refused elsewhere.
fn used<'m>(set: &RuleSet<'m>, rules: &Rules<'m>) -> BTreeSet<&'m str> {
    let mut used = BTreeSet::new();
    let mut visit = |expr: &Expr| {
        if let Expr::Var { span, .. } = expr
            && let Some((name, _)) = rules.get_key_value(span.text())
        {
            used.insert(*name);
        }
    };
    for definition in &set.definitions {
        match definition {
            Definition::Member { key, query } => {
                each_expr(key, &mut visit);
                query.iter().for_each(|query| each_in_query(query, &mut visit));
            }
            Definition::Choice { branches, .. } => {
                for branch in branches {
                    branch.value.iter().for_each(|value| each_expr(value, &mut visit));
                    branch.query.iter().for_each(|query| each_in_query(query, &mut visit));
                }
            }
        }
    }
    set.default.iter().for_each(|value| each_expr(value, &mut visit));
    used
}

fn each_in_query(query: &Query, visit: &mut dyn FnMut(&Expr)) {
    for statement in &query.stmts {
        match &statement.literal {
            Literal::SomeVars { .. } => {}
            Literal::SomeIn { key, value, collection, .. } => {
                key.iter().for_each(|key| each_expr(key, visit));
                each_expr(value, visit);
                each_expr(collection, visit);
            }
            Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. } => each_expr(expr, visit),
            Literal::Every { domain, query, .. } => {
                each_expr(domain, visit);
                each_in_query(query, visit);
            }
        }
        for modifier in &statement.with_mods {
            each_expr(&modifier.refr, visit);
            each_expr(&modifier.r#as, visit);
        }
    }
}

/// The expression and all parts of it. Its depth was bounded before parsing.
fn each_expr(expr: &Expr, visit: &mut dyn FnMut(&Expr)) {
    visit(expr);
    match expr {
        Expr::String { .. }
        | Expr::RawString { .. }
        | Expr::Number { .. }
        | Expr::Bool { .. }
        | Expr::Null { .. }
        | Expr::Var { .. } => {}
        Expr::Array { items, .. } | Expr::Set { items, .. } => {
            items.iter().for_each(|item| each_expr(item, visit))
        }
        Expr::Object { fields, .. } => fields.iter().for_each(|(_, key, value)| {
            each_expr(key, visit);
            each_expr(value, visit);
        }),
        Expr::ArrayCompr { term, query, .. } | Expr::SetCompr { term, query, .. } => {
            each_expr(term, visit);
            each_in_query(query, visit);
        }
        Expr::ObjectCompr { key, value, query, .. } => {
            each_expr(key, visit);
            each_expr(value, visit);
            each_in_query(query, visit);
        }
        Expr::Call { fcn, params, .. } => {
            each_expr(fcn, visit);
            params.iter().for_each(|parameter| each_expr(parameter, visit));
        }
        Expr::UnaryExpr { expr, .. } => each_expr(expr, visit),
        Expr::RefDot { refr, .. } => each_expr(refr, visit),
        Expr::RefBrack { refr, index, .. } => {
            each_expr(refr, visit);
            each_expr(index, visit);
        }
        Expr::BinExpr { lhs, rhs, .. }
        | Expr::BoolExpr { lhs, rhs, .. }
        | Expr::ArithExpr { lhs, rhs, .. }
        | Expr::AssignExpr { lhs, rhs, .. } => {
            each_expr(lhs, visit);
            each_expr(rhs, visit);
        }
        Expr::Membership { key, value, collection, .. } => {
            key.iter().for_each(|key| each_expr(key, visit));
            each_expr(value, visit);
            each_expr(collection, visit);
        }
    }
}
