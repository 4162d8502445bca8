//! Bodies: statements one after the other, each variable declared before it is used.

use regorus::unstable::{AssignOp, BinOp, BoolOp, Expr, Literal, LiteralStmt, Query, Span as RegoSpan};

use super::{Lowerer, Term};
use crate::custom::shape::{ARRAY, COLLECTION, Shape, names};

impl<'m> Lowerer<'m, '_, '_> {
    /// Writes the statements into the current body.
    pub(super) fn query(&mut self, query: Option<&'m Query>) {
        for (number, statement) in query.iter().flat_map(|query| &query.stmts).enumerate() {
            if let (0, Literal::Expr { expr, .. } | Literal::NotExpr { expr, .. }) =
                (number, &statement.literal)
            {
                self.unambiguous(expr);
            }
            self.statement(statement);
        }
    }

    /// `{ a | b == c }`: a body for one parser, a set of all `a` for the other.
    fn unambiguous(&mut self, first: &'m Expr) {
        let mut left = first;
        loop {
            left = match left {
                Expr::BinExpr { op: BinOp::Union, .. } => {
                    if !first.span().text().starts_with('(') {
                        self.refuse(
                            first.span(),
                            "a body cannot begin with `… | …`",
                            "put it in parentheses",
                        );
                    }
                    return;
                }
                Expr::BinExpr { lhs, .. } | Expr::BoolExpr { lhs, .. } | Expr::ArithExpr { lhs, .. } => lhs,
                Expr::Membership { key, value, .. } => key.as_ref().unwrap_or(value),
                _ => return,
            }
        }
    }

    fn statement(&mut self, statement: &'m LiteralStmt) {
        if let Some(with) = statement.with_mods.first() {
            let help = "make a function of the rule, and give it what differs";
            return self.refuse(&with.span, "`with` cannot be used", help);
        }
        match &statement.literal {
            Literal::SomeVars { span, .. } => {
                self.refuse(
                    span,
                    "`some` without `in`",
                    "write `some element in array`, or `some key, value in object`",
                );
            }
            Literal::SomeIn { key, value, collection, .. } => self.some_in(key.as_deref(), value, collection),
            Literal::Expr { expr, .. } => self.holds(expr),
            Literal::NotExpr { expr, .. } => self.not(expr),
            Literal::Every { key, value, domain, query, .. } => {
                self.every(key.as_ref(), value, domain, query)
            }
        }
    }

    /// What a loop runs over.
    fn items(&mut self, collection: &'m Expr) -> Term {
        let term = self.expr(collection);
        if term.shape.kinds & COLLECTION == 0 {
            let message = format!("this is {}, and has no elements", names(term.shape.kinds));
            self.report("rego-type", collection.span(), message, "loop over an array, an object or a set");
        }
        Term::new(format!("aegis.items({})", term.text), term.shape)
    }

    fn some_in(&mut self, key: Option<&'m Expr>, value: &'m Expr, collection: &'m Expr) {
        let items = self.items(collection);
        let key = key.map(|key| self.pattern(key, items.shape.key()));
        let value = self.pattern(value, items.shape.member());
        let names = [key, Some(value)].into_iter().flatten().collect::<Vec<_>>().join(", ");
        self.frame.iterates = true;
        self.line(format!("some {names} in {}", items.text));
    }

    /// A variable or `_`, declared.
    fn pattern(&mut self, pattern: &'m Expr, shape: Shape) -> String {
        if let Expr::Var { span, .. } = pattern {
            return self.declare_fresh(span, shape);
        }
        self.refuse(
            pattern.span(),
            "only a name can stand here",
            "give the element a name, and compare it below",
        );
        "_".to_owned()
    }

    fn every(&mut self, key: Option<&'m RegoSpan>, value: &'m RegoSpan, domain: &'m Expr, query: &'m Query) {
        let items = self.items(domain);
        let (frame, names) = self.nested(|this| {
            let key_text = key.map(|key| this.declare_fresh(key, items.shape.key()));
            let value_text = this.declare_fresh(value, items.shape.member());
            this.query(Some(query));
            for name in [key, Some(value)].into_iter().flatten() {
                this.is_used(name);
            }
            [key_text, Some(value_text)].into_iter().flatten().collect::<Vec<_>>().join(", ")
        });
        let body = if frame.lines.is_empty() { "true".to_owned() } else { frame.lines.join("\n") };
        self.line(format!("every {names} in {} {{\n{body}\n}}", items.text));
    }

    /// OPA refuses a variable of `every` that its body does not use.
    fn is_used(&mut self, name: &'m RegoSpan) {
        if self.local(name.text()).is_some_and(|local| !local.used) {
            self.refuse(name, format!("`{}` is not used", name.text()), "write `_`");
        }
    }

    fn not(&mut self, expr: &'m Expr) {
        if self.is_collection(expr) {
            return;
        }
        self.frame.negated = true;
        let term = match expr {
            Expr::BoolExpr { op: BoolOp::Eq, lhs, rhs, span, .. } => self.equality(lhs, rhs, span),
            other => self.expr(other),
        };
        self.frame.negated = false;
        if term.constant {
            return self.refuse(expr.span(), "this is always the same", "remove it");
        }
        self.line(format!("not {}", term.text));
    }

    /// Refuses a collection as a statement: it is never false, and after `if` the parsers disagree about its braces.
    fn is_collection(&mut self, expr: &'m Expr) -> bool {
        let is = matches!(
            expr,
            Expr::Array { .. }
                | Expr::Set { .. }
                | Expr::Object { .. }
                | Expr::ArrayCompr { .. }
                | Expr::SetCompr { .. }
                | Expr::ObjectCompr { .. }
        );
        if is {
            self.refuse(expr.span(), "a collection is never false", "compare it, or remove it");
        }
        is
    }

    /// The operand of a call or operator. Under `not` it has to be defined in front of it: `not input.a > 3` does
    /// not hold where there is no `input.a`, since OPA evaluates operands before it negates. Only the references
    /// next to a negated `==` may be undefined: `not input.a == 3` holds then.
    pub(super) fn operand(&mut self, text: String) -> String {
        if self.frame.negated { self.bind_defined(&text) } else { text }
    }

    /// An expression that has to hold: anything but false and undefined.
    fn holds(&mut self, expr: &'m Expr) {
        if let Expr::AssignExpr { op, lhs, rhs, span, .. } = expr {
            return match op {
                AssignOp::ColEq => self.assign(lhs, rhs),
                AssignOp::Eq => {
                    self.refuse(
                        span,
                        "`=` both compares and assigns",
                        "write `==` to compare, `:=` to assign",
                    );
                }
            };
        }
        if self.is_collection(expr) {
            return;
        }
        let term = self.expr(expr);
        if !term.constant || term.text == "false" {
            self.line(term.text);
        }
    }

    fn assign(&mut self, to: &'m Expr, value: &'m Expr) {
        let term = self.expr(value);
        match to {
            Expr::Var { span, .. } if span.text() == "_" => {
                self.refuse(span, "a value is assigned to nothing", "remove the assignment, or use a name");
            }
            Expr::Var { span, .. } => {
                let text = self.bind_defined(&term.text);
                self.declare(span, text, term.shape);
            }
            Expr::Array { items, span, .. } => self.take_apart(items, span, &term),
            other => self.refuse(other.span(), "only a name can stand here", "write `name := …`"),
        }
    }

    /// `[a, b] := value`: an array of that length.
    fn take_apart(&mut self, items: &'m [regorus::unstable::Ref<Expr>], span: &RegoSpan, term: &Term) {
        if term.shape.kinds & ARRAY == 0 {
            let message = format!("this is {}, not an array", names(term.shape.kinds));
            self.report("rego-type", span, message, "assign it to one name");
        }
        let whole = self.bind_defined(&term.text);
        self.line(format!("is_array({whole})"));
        self.line(format!("aegis.equal(count({whole}), {})", items.len()));
        for (number, item) in items.iter().enumerate() {
            let Expr::Var { span, .. } = &**item else {
                self.refuse(item.span(), "only a name can stand here", "take the array apart step by step");
                continue;
            };
            if span.text() != "_" {
                let text = self.bind_defined(&format!("{whole}[{number}]"));
                self.declare(span, text, term.shape.member());
            }
        }
    }
}
