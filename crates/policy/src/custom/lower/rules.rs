//! Rules: sets, values and functions.

use regorus::unstable::{Expr, Query};

use super::{Lowerer, rule_name};
use crate::custom::graph::{Branch, Definition, Kind};
use crate::custom::shape::{SET, STRING, Shape};

/// A written branch: its condition and its value.
struct Made {
    lines: Vec<String>,
    value: String,
    constant: bool,
    /// Whether the condition may hold in several ways.
    iterates: bool,
    shape: Shape,
}

impl Made {
    /// Whether it may give several values for one call.
    fn ambiguous(&self) -> bool {
        self.iterates && !self.constant
    }

    fn body(&self) -> String {
        if self.lines.is_empty() { String::new() } else { format!(" if {{\n{}\n}}", self.lines.join("\n")) }
    }

    /// An array of all its values.
    fn all(&self) -> String {
        let condition = if self.lines.is_empty() { "true".to_owned() } else { self.lines.join("\n") };
        format!("[{} |\n{condition}\n]", self.value)
    }
}

impl<'m> Lowerer<'m, '_, '_> {
    /// Writes all definitions of one name.
    pub(super) fn rule(&mut self, name: &'m str) {
        let rules = self.rules;
        let set = &rules[name];
        let shape = match set.kind {
            Kind::Set => self.members(name, &set.definitions),
            Kind::Value | Kind::Function(_) => {
                let mut shape = self.choices(name, &set.definitions);
                if let Some(value) = set.default {
                    shape = shape.or(&self.default(name, value));
                }
                shape
            }
        };
        self.shapes.insert(name, shape);
    }

    // ---- sets

    fn members(&mut self, name: &'m str, definitions: &[Definition<'m>]) -> Shape {
        let mut members: Option<Shape> = None;
        for definition in definitions {
            let Definition::Member { key, query } = definition else { continue };
            let shape = self.member(name, key, *query);
            members = Some(members.map_or(shape.clone(), |before| before.or(&shape)));
        }
        members.map_or(Shape::of(SET), |member| Shape::of_members(SET, member))
    }

    fn member(&mut self, name: &str, key: &'m Expr, query: Option<&'m Query>) -> Shape {
        let (frame, (text, shape)) = self.body(|this| {
            this.query(query);
            let term = this.expr(key);
            if term.constant {
                return (term.text, term.shape);
            }
            (this.element(&term), term.shape)
        });
        if matches!(name, "deny" | "approval") && shape.kinds & STRING == 0 {
            self.report(
                "rego-type",
                key.span(),
                "a reason is a text",
                "say in a string why the call is refused",
            );
        }
        let made =
            Made { lines: frame.lines, value: text, constant: false, iterates: false, shape: shape.clone() };
        self.written.push(format!("{} contains {}{}", rule_name(name), made.value, made.body()));
        shape
    }

    // ---- values and functions

    fn default(&mut self, name: &str, value: &'m Expr) -> Shape {
        let (_, term) = self.body(|this| this.expr(value));
        if !term.constant {
            self.refuse(value.span(), "a default is a literal", "write the value itself");
        }
        self.written.push(format!("default {} := {}", rule_name(name), term.text));
        term.shape
    }

    fn choices(&mut self, name: &str, definitions: &[Definition<'m>]) -> Shape {
        let mut chains: Vec<Vec<Made>> = Vec::new();
        let mut arity = 0;
        for definition in definitions {
            let Definition::Choice { parameters, branches } = definition else { continue };
            arity = parameters.len();
            chains.push(branches.iter().map(|branch| self.branch(parameters, branch)).collect());
        }
        let shapes = chains.iter().flatten().map(|made| made.shape.clone());
        let shape = shapes.reduce(|a, b| a.or(&b)).unwrap_or_else(Shape::any);
        let arguments: Vec<String> = (0..arity).map(|number| format!("a{number}")).collect();
        let arguments = if arity == 0 { String::new() } else { format!("({})", arguments.join(", ")) };
        self.chains(&format!("{}{arguments}", rule_name(name)), &arguments, chains);
        shape
    }

    fn branch(&mut self, parameters: &[&'m Expr], branch: &Branch<'m>) -> Made {
        let (frame, (value, shape, constant)) = self.body(|this| {
            for (number, parameter) in parameters.iter().enumerate() {
                match parameter {
                    Expr::Var { span, .. } if span.text() == "_" => {}
                    Expr::Var { span, .. } => this.declare(span, format!("a{number}"), Shape::any()),
                    other => this.refuse(other.span(), "a parameter is a name", "compare it in the body"),
                }
            }
            this.query(branch.query);
            let Some(value) = branch.value else {
                return ("true".to_owned(), Shape::of(crate::custom::shape::BOOLEAN), true);
            };
            let term = this.expr(value);
            let text = if term.constant { term.text } else { this.bind_defined(&term.text) };
            (text, term.shape, term.constant)
        });
        Made { lines: frame.lines, value, constant, iterates: frame.iterates, shape }
    }

    /// Writes `head` so that it has the value of whichever chain of `else` gives one, or an error if they differ.
    fn chains(&mut self, head: &str, arguments: &str, chains: Vec<Vec<Made>>) {
        let single = chains.iter().all(|chain| chain.len() == 1);
        let first = chains.first().and_then(|chain| chain.first());
        let alike = first.is_some_and(|first| {
            chains.iter().flatten().all(|made| made.constant && first.constant && made.value == first.value)
        });
        if single && (alike || chains.len() == 1) {
            for made in chains.iter().flatten() {
                self.one(head, made);
            }
        } else if let [chain] = chains.as_slice() {
            self.chain(head, arguments, chain);
        } else {
            let mut sources = Vec::new();
            for chain in &chains {
                sources.push(match chain.as_slice() {
                    [made] => made.all(),
                    chain => {
                        let helper = format!("{}{arguments}", self.fresh("h"));
                        self.chain(&helper, arguments, chain);
                        let value = self.fresh("v");
                        format!("[{value} |\n{value} := {helper}\n[{value}]\n]")
                    }
                });
            }
            self.only(head, &sources);
        }
    }

    /// One condition, one value; an error where it holds with several.
    fn one(&mut self, head: &str, made: &Made) {
        if made.ambiguous() {
            return self.only(head, &[made.all()]);
        }
        self.written.push(format!("{head} := {}{}", made.value, made.body()));
    }

    /// The one value among those of several arrays.
    fn only(&mut self, head: &str, sources: &[String]) {
        let mut lines = Vec::new();
        let mut names = Vec::new();
        for source in sources {
            let name = self.fresh("v");
            lines.push(format!("{name} := {source}"));
            names.push(name);
        }
        let value = self.fresh("v");
        lines.push(format!("{value} := aegis.only([{}])\n[{value}]", names.join(",\n")));
        self.written.push(format!("{head} := {value} if {{\n{}\n}}", lines.join("\n")));
    }

    /// `else`: each condition is a rule of its own, since the machine takes a loop that finds nothing for a
    /// condition that held, and never comes to the `else` behind it.
    fn chain(&mut self, head: &str, arguments: &str, chain: &[Made]) {
        let mut text = head.to_owned();
        for (number, made) in chain.iter().enumerate() {
            let helper = format!("{}{arguments}", self.fresh("h"));
            self.one(&helper, made);
            let value = self.fresh("v");
            let word = if number == 0 { "" } else { " else" };
            text.push_str(&format!("{word} := {value} if {{\n{value} := {helper}\n[{value}]\n}}"));
        }
        self.written.push(text);
    }
}
