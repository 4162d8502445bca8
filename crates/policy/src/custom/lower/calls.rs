//! Calls of built-ins and of the module's own functions.

use regorus::unstable::{Expr, Ref, Span as RegoSpan};

use super::expr::nothing;
use super::{Lowerer, Term, rule_name};
use crate::custom::graph::Kind;
use crate::custom::shape::{ANY, ARRAY, COLLECTION, SET, Shape, names};
use crate::custom::signatures::{self, Signature};

impl<'m> Lowerer<'m, '_, '_> {
    pub(super) fn call(&mut self, function: &'m Expr, arguments: &'m [Ref<Expr>], span: &RegoSpan) -> Term {
        let Some(name) = dotted(function) else {
            self.refuse(function.span(), "this is no function's name", "");
            return nothing();
        };
        if let Some(set) = self.rules.get(name.as_str()) {
            let Kind::Function(arity) = set.kind else {
                self.refuse(function.span(), format!("`{name}` is no function"), "use it without `()`");
                return nothing();
            };
            if !self.has_arity(&name, arity, arguments, span) {
                return nothing();
            }
            return self.own(&name, arguments);
        }
        match signatures::signature(&name) {
            Some(signature) if self.has_arity(&name, signature.parameters.len(), arguments, span) => {
                self.built_in(&name, &signature, arguments)
            }
            Some(_) => nothing(),
            None => {
                self.unknown(&name, function.span());
                nothing()
            }
        }
    }

    fn has_arity(&mut self, name: &str, arity: usize, arguments: &[Ref<Expr>], span: &RegoSpan) -> bool {
        let given = arguments.len();
        if given == arity {
            return true;
        }
        let help =
            if given == arity + 1 { "assign the result with `:=`, not by a last argument" } else { "" };
        let plural = if arity == 1 { "" } else { "s" };
        self.report(
            "rego-arguments",
            span,
            format!("`{name}` takes {arity} argument{plural}, not {given}"),
            help,
        );
        false
    }

    fn unknown(&mut self, name: &str, span: &RegoSpan) {
        let help = match self.did_you_mean(name, true) {
            help if help.is_empty() => "the permitted built-ins stand in docs/custom-rego.md".to_owned(),
            help => help,
        };
        self.report("rego-builtin", span, format!("`{name}` cannot be called in custom Rego"), help);
    }

    fn own(&mut self, name: &str, arguments: &'m [Ref<Expr>]) -> Term {
        let terms: Vec<Term> = arguments.iter().map(|argument| self.expr(argument)).collect();
        let deepest = terms.iter().map(|term| term.shape.depth).max().unwrap_or_default();
        let texts: Vec<String> = terms.into_iter().map(|term| self.operand(term.text)).collect();
        let shape = self.shapes.get(name).cloned().unwrap_or_else(Shape::any).deeper(deepest);
        Term::new(format!("{}(\n{})", rule_name(name), texts.join(",\n")), shape)
    }

    fn built_in(&mut self, name: &str, signature: &Signature, arguments: &'m [Ref<Expr>]) -> Term {
        let mut texts = Vec::new();
        let mut depth = 0;
        for (number, (argument, parameter)) in arguments.iter().zip(&signature.parameters).enumerate() {
            let term =
                if name == "regex.match" && number == 0 { self.regex(argument) } else { self.expr(argument) };
            self.expect(&term.shape, parameter.kinds, argument.span());
            self.expect_members(&term.shape, parameter.members, argument.span());
            depth = depth.max(term.shape.depth);
            texts.push(self.operand(term.text));
        }
        let shape = match signature.result {
            result if signature.result_members != ANY => {
                Shape::of_members(result, Shape::of(signature.result_members))
            }
            result if result & COLLECTION != 0 => Shape::of(result).deeper(depth.saturating_add(1)),
            result => Shape::of(result),
        };
        Term::new(format!("{name}(\n{})", texts.join(",\n")), shape)
    }

    /// Reports a list none of whose elements can have the right type.
    fn expect_members(&mut self, shape: &Shape, takes: u8, at: &RegoSpan) {
        if shape.kinds & !(ARRAY | SET) == 0 && shape.member().kinds & takes == 0 {
            let message =
                format!("its elements are {}, and have to be {}", names(shape.member().kinds), names(takes));
            self.report("rego-type", at, message, "");
        }
    }
}

/// `a.b.c`, if the expression is made of names only.
fn dotted(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Var { span, .. } => Some(span.text().to_owned()),
        Expr::RefDot { refr, field, .. } => Some(format!("{}.{}", dotted(refr)?, field.0.text())),
        _ => None,
    }
}
