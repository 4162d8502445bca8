//! Expressions: operators become calls of host functions, comprehensions keep their form.

use aegis_model::caps::{REGO_EXPRESSION_DEPTH_MAX, REGO_VALUE_DEPTH_MAX};
use regorus::unstable::{ArithOp, BinOp, BoolOp, Expr, Query, Span as RegoSpan};

use super::{Lowerer, Term};
use crate::custom::shape::{ANY, ARRAY, BOOLEAN, Kinds, NULL, NUMBER, OBJECT, SET, Shape, names};

impl<'m> Lowerer<'m, '_, '_> {
    /// Writes an expression. Where it has no place in custom Rego, that is reported, and something is
    /// written in its place.
    pub(super) fn expr(&mut self, expr: &'m Expr) -> Term {
        self.depth += 1;
        let term = if self.depth > REGO_EXPRESSION_DEPTH_MAX {
            let message = format!("operators and calls are nested deeper than {REGO_EXPRESSION_DEPTH_MAX}");
            self.report("rego-too-deep", expr.span(), message, "give parts of it names with `:=`");
            nothing()
        } else {
            self.shallow(expr)
        };
        self.depth -= 1;
        if term.shape.depth > REGO_VALUE_DEPTH_MAX {
            let message = format!("the value may be nested deeper than {REGO_VALUE_DEPTH_MAX}");
            self.report("rego-too-deep", expr.span(), message, "build flatter values");
            return nothing();
        }
        term
    }

    fn shallow(&mut self, expr: &'m Expr) -> Term {
        match expr {
            Expr::String { .. }
            | Expr::RawString { .. }
            | Expr::Number { .. }
            | Expr::Bool { .. }
            | Expr::Null { .. } => self.scalar(expr),
            Expr::Array { items, .. } => self.array(items),
            Expr::Set { items, .. } => self.set(items),
            Expr::Object { fields, .. } => self.object(fields),
            Expr::ArrayCompr { term, query, .. } => self.array_of(term, query),
            Expr::SetCompr { term, query, .. } => self.set_of(term, query),
            Expr::ObjectCompr { key, value, query, .. } => self.object_of(key, value, query),
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => self.reference(expr),
            Expr::Call { fcn, params, span, .. } => self.call(fcn, params, span),
            Expr::BinExpr { op, lhs, rhs, .. } => {
                let name = match op {
                    BinOp::Intersection => "aegis.both",
                    BinOp::Union => "aegis.either",
                };
                self.operator(name, lhs, rhs, SET, SET)
            }
            Expr::ArithExpr { op, lhs, rhs, span, .. } => self.arithmetic(op, lhs, rhs, span),
            Expr::BoolExpr { op, lhs, rhs, span, .. } => self.comparison(op, lhs, rhs, span),
            Expr::Membership { key, value, collection, .. } => {
                self.membership(key.as_deref(), value, collection)
            }
            Expr::UnaryExpr { span, .. } => {
                self.refuse(span, "`-` in front of an expression", "write `0 - …`");
                nothing()
            }
            Expr::AssignExpr { span, .. } => {
                self.refuse(
                    span,
                    "an assignment inside of an expression",
                    "write it as a statement of its own",
                );
                nothing()
            }
        }
    }

    // ---- operators

    fn operator(&mut self, name: &str, lhs: &'m Expr, rhs: &'m Expr, takes: Kinds, gives: Kinds) -> Term {
        let (left, right) = (self.expr(lhs), self.expr(rhs));
        for (term, at) in [(&left, lhs), (&right, rhs)] {
            self.expect(&term.shape, takes, at.span());
        }
        let depth = left.shape.depth.max(right.shape.depth);
        let shape = if gives & SET == 0 { Shape::of(gives) } else { Shape::of(gives).deeper(depth) };
        let (left, right) = (self.operand(left.text), self.operand(right.text));
        Term::new(format!("{name}(\n{left},\n{right})"), shape)
    }

    /// Reports a value that can have none of the types, which OPA would refuse too.
    pub(super) fn expect(&mut self, shape: &Shape, takes: Kinds, at: &RegoSpan) {
        if shape.kinds & takes == 0 {
            let message = format!("this is {}, and has to be {}", names(shape.kinds), names(takes));
            self.report("rego-type", at, message, "");
        }
    }

    fn arithmetic(&mut self, op: &ArithOp, lhs: &'m Expr, rhs: &'m Expr, span: &RegoSpan) -> Term {
        let (name, takes) = match op {
            ArithOp::Add => ("aegis.plus", NUMBER),
            ArithOp::Sub => ("aegis.minus", NUMBER | SET),
            ArithOp::Mul => ("aegis.times", NUMBER),
            ArithOp::Mod => ("aegis.rest", NUMBER),
            ArithOp::Div => {
                let help = "multiply the other side instead: `a > 2 * b` says what `a / b > 2` does";
                self.refuse(span, "`/` gives other digits in each engine", help);
                return nothing();
            }
        };
        self.operator(name, lhs, rhs, takes, takes)
    }

    fn comparison(&mut self, op: &BoolOp, lhs: &'m Expr, rhs: &'m Expr, span: &RegoSpan) -> Term {
        let name = match op {
            BoolOp::Lt => "aegis.less",
            BoolOp::Le => "aegis.at_most",
            BoolOp::Eq => "aegis.equal",
            BoolOp::Ge => "aegis.at_least",
            BoolOp::Gt => "aegis.greater",
            BoolOp::Ne => "aegis.not_equal",
        };
        let (left, right) = (self.expr(lhs), self.expr(rhs));
        if matches!(op, BoolOp::Eq | BoolOp::Ne) {
            self.expect_equal(&left, &right, span);
        }
        let (left, right) = (self.operand(left.text), self.operand(right.text));
        Term::new(format!("{name}(\n{left},\n{right})"), Shape::of(BOOLEAN))
    }

    /// `lhs == rhs` right behind `not`.
    pub(super) fn equality(&mut self, lhs: &'m Expr, rhs: &'m Expr, span: &RegoSpan) -> Term {
        let (left, right) = (self.expr(lhs), self.expr(rhs));
        self.expect_equal(&left, &right, span);
        let mut side = |expr: &Expr, term: Term| match expr {
            Expr::Var { .. } | Expr::RefDot { .. } | Expr::RefBrack { .. } => term.text,
            _ => self.operand(term.text),
        };
        let (left, right) = (side(lhs, left), side(rhs, right));
        Term::new(format!("aegis.equal(\n{left},\n{right})"), Shape::of(BOOLEAN))
    }

    fn expect_equal(&mut self, left: &Term, right: &Term, span: &RegoSpan) {
        let (left, right) = (left.shape.kinds, right.shape.kinds);
        if left & right == 0 {
            self.report("rego-type", span, format!("{} is never equal to {}", names(left), names(right)), "");
        }
    }

    fn membership(&mut self, key: Option<&'m Expr>, value: &'m Expr, collection: &'m Expr) -> Term {
        let key = key.map(|key| self.written_operand(key));
        let (value, collection) = (self.written_operand(value), self.written_operand(collection));
        let text = match key {
            Some(key) => format!("aegis.member_at(\n{key},\n{value},\n{collection})"),
            None => format!("aegis.member(\n{value},\n{collection})"),
        };
        Term::new(text, Shape::of(BOOLEAN))
    }

    fn written_operand(&mut self, expr: &'m Expr) -> String {
        let text = self.expr(expr).text;
        self.operand(text)
    }

    // ---- comprehensions

    fn array_of(&mut self, term: &'m Expr, query: &'m Query) -> Term {
        let (frame, (value, shape)) = self.nested(|this| {
            this.query(Some(query));
            let term = this.expr(term);
            (this.bind_defined(&term.text), term.shape)
        });
        let text = format!("[{value} |\n{}\n]", frame.lines.join("\n"));
        Term::new(text, Shape::of_members(ARRAY, shape))
    }

    fn set_of(&mut self, term: &'m Expr, query: &'m Query) -> Term {
        let (frame, (value, shape)) = self.nested(|this| {
            this.query(Some(query));
            let term = this.expr(term);
            (this.element(&term), term.shape)
        });
        let text = format!("{{{value} |\n{}\n}}", frame.lines.join("\n"));
        Term::new(text, Shape::of_members(SET, shape))
    }

    /// A variable for an element of a set. Only what may be large has to be looked at.
    pub(super) fn element(&mut self, term: &Term) -> String {
        if term.constant || term.shape.kinds & !(NULL | BOOLEAN | NUMBER) == 0 {
            return self.bind_defined(&term.text);
        }
        self.bind_defined(&format!("aegis.key({})", term.text))
    }

    /// By way of an array of pairs: the machine would let a second value replace the first.
    fn object_of(&mut self, key: &'m Expr, value: &'m Expr, query: &'m Query) -> Term {
        let (frame, (pair, (shape, keys))) = self.nested(|this| {
            this.query(Some(query));
            let (key, value) = (this.expr(key), this.expr(value));
            let (key_name, value_name) = (this.bind_defined(&key.text), this.bind_defined(&value.text));
            let shape = value.shape.at_least(key.shape.depth);
            let pair = this.bind(&format!("[{key_name}, {value_name}]"));
            (pair, (shape, key.shape.kinds))
        });
        let text = format!("aegis.object(\n[{pair} |\n{}\n])", frame.lines.join("\n"));
        Term::new(text, Shape::of_members(OBJECT, shape).with_keys(keys))
    }
}

/// What is written in the place of something refused.
pub(super) fn nothing() -> Term {
    Term::new("null", Shape::of(ANY))
}
