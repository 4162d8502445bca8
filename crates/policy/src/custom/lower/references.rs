//! Variables, rules, and the way into values: `input.params["x"][0]`.

use regorus::unstable::{Expr, Span as RegoSpan};

use super::expr::nothing;
use super::literals::{json, scalar_kind, string_value};
use super::{Lowerer, Term, rule_name};
use crate::custom::graph::Kind;
use crate::custom::shape::{COLLECTION, NUMBER, Shape, names};

/// One step into a value.
enum Step<'m> {
    Field(&'m RegoSpan),
    Index(&'m Expr),
}

impl<'m> Lowerer<'m, '_, '_> {
    pub(super) fn reference(&mut self, expr: &'m Expr) -> Term {
        let mut steps = Vec::new();
        let mut root = expr;
        loop {
            match root {
                Expr::RefDot { refr, field, .. } => {
                    steps.push(Step::Field(&field.0));
                    root = refr;
                }
                Expr::RefBrack { refr, index, .. } => {
                    steps.push(Step::Index(index));
                    root = refr;
                }
                _ => break,
            }
        }
        let mut term = match root {
            Expr::Var { span, .. } => self.variable(span),
            other => self.intermediate(other),
        };
        for step in steps.into_iter().rev() {
            term = self.step(term, step);
        }
        term
    }

    fn variable(&mut self, span: &RegoSpan) -> Term {
        let name = span.text();
        if let Some(local) = self.local(name) {
            local.used = true;
            return Term::new(local.text.clone(), local.shape.clone());
        }
        match self.rules.get(name).map(|set| set.kind) {
            Some(Kind::Function(_)) => {
                self.refuse(span, format!("`{name}` is a function"), format!("call it: `{name}(…)`"));
                return nothing();
            }
            // The order of the rules gives their shapes; within a cycle, which was refused, there is none.
            Some(_) => {
                let shape = self.shapes.get(name).cloned().unwrap_or_else(Shape::any);
                return Term::new(rule_name(name), shape);
            }
            None => {}
        }
        match name {
            "input" => {
                let name = self.input.take().unwrap_or_else(|| self.fresh("v"));
                self.input = Some(name.clone());
                Term::new(name, Shape::any())
            }
            "data" => {
                let help = "a module knows `input`; its own rules are used by their names";
                self.refuse(span, "`data` cannot be used", help);
                nothing()
            }
            "_" => {
                self.refuse(span, "`_` stands for no value here", "give the element a name with `some … in`");
                nothing()
            }
            _ => {
                let help = match self.did_you_mean(name, false) {
                    help if help.is_empty() => {
                        "a variable is declared by `:=`, `some … in` or `every` in front of its use"
                            .to_owned()
                    }
                    help => help,
                };
                self.report("rego-unknown-name", span, format!("`{name}` is not defined here"), help);
                nothing()
            }
        }
    }

    /// A value that is not named, such as the result of a call: it gets a name first.
    fn intermediate(&mut self, expr: &'m Expr) -> Term {
        let term = self.expr(expr);
        Term { text: self.bind_defined(&term.text), constant: false, ..term }
    }

    fn step(&mut self, base: Term, step: Step<'m>) -> Term {
        let index = match step {
            Step::Field(span) => return self.field(base, span.text(), json(span.text()), span),
            Step::Index(index) => index,
        };
        if let Some(name) = string_value(index) {
            return self.field(base, &name, json(&name), index.span());
        }
        if scalar_kind(index) == Some(NUMBER) {
            let written = self.expr(index).text;
            return self.field(base, &written, written.clone(), index.span());
        }
        if let Expr::Var { span, .. } = index
            && span.text() == "_"
        {
            return self.any_element(base, span);
        }
        let key = self.expr(index);
        self.has_members(&base, index.span());
        let key = if key.shape.kinds == NUMBER { key.text } else { format!("aegis.key({})", key.text) };
        let key = self.operand(key);
        Term::new(format!("{}[{key}]", base.text), base.shape.member())
    }

    fn has_members(&mut self, base: &Term, at: &RegoSpan) {
        if base.shape.kinds & COLLECTION == 0 {
            let message = format!("{} has no members", names(base.shape.kinds));
            self.report("rego-type", at, message, "");
        }
    }

    fn field(&mut self, base: Term, name: &str, written: String, at: &RegoSpan) -> Term {
        let Some(shape) = base.shape.field(name) else {
            let message = match base.shape.kinds & COLLECTION {
                0 => format!("{} has no members", names(base.shape.kinds)),
                _ => format!("there is no member `{name}`"),
            };
            self.report("rego-type", at, message, "");
            return nothing();
        };
        Term::new(format!("{}[{written}]", base.text), shape)
    }

    /// `base[_]`: a loop in front of the expression.
    fn any_element(&mut self, base: Term, at: &RegoSpan) -> Term {
        self.has_members(&base, at);
        if self.frame.negated {
            let help = "write `not x in array`, or a rule of its own with `some … in`";
            self.refuse(at, "`_` under `not`", help);
            return nothing();
        }
        let name = self.fresh("v");
        self.line(format!("some {name} in aegis.items({})", base.text));
        self.frame.iterates = true;
        Term::new(name, base.shape.member())
    }
}
