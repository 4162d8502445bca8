//! Lowering: the module that the virtual machine runs, written anew from the syntax tree.
//!
//! The virtual machine overlooks what OPA reports: a rule whose operator meets a wrong type counts as not
//! firing, `x := undefined` as fulfilled, two values of one rule as none, a second value of a key replaces the
//! first, `else` is not reached behind a loop. It also compares values of any size in one step. So it gets only
//! what it does right: loops over what we hand it, `every`, `not`, comprehensions and calls. Every operator
//! becomes a call of a host function, and whatever could go wrong without a word is checked in one.
//!
//! What has no place here has none in custom Rego: the walk refuses it, with its place in the author's text.
//! OPA gets the author's text.

mod calls;
mod expr;
mod literals;
mod query;
mod references;
mod rules;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Range;

use aegis_model::caps::DIAGNOSTICS_MAX;
use regorus::unstable::Span as RegoSpan;

use super::graph::Rules;
use super::parse::span;
use super::shape::Shape;
use super::signatures;
use crate::check::nearest;
use crate::diagnostic::Diagnostic;
use crate::sources::TextIndex;

/// A module for the virtual machine, and what changes in the author's text.
pub(super) struct Lowered {
    /// The rules, without a package.
    pub(super) rules: String,
    /// The regular expressions among its literals, translated.
    pub(super) patterns: Vec<String>,
    /// Parts of the author's text (the regular expressions) with their replacements.
    pub(super) edits: Vec<(Range<usize>, String)>,
}

/// Lowers rules, given in an order in which each comes behind those it uses.
pub(super) fn lower<'m>(
    rules: &Rules<'m>,
    order: &[&'m str],
    index: &TextIndex<'_>,
) -> Result<Lowered, Vec<Diagnostic>> {
    let mut lowerer = Lowerer {
        index,
        rules,
        shapes: HashMap::new(),
        written: Vec::new(),
        problems: Vec::new(),
        next: 0,
        scopes: Vec::new(),
        frame: Frame::default(),
        input: None,
        depth: 0,
        patterns: BTreeSet::new(),
        edits: Vec::new(),
    };
    for name in order {
        lowerer.rule(name);
    }
    lowerer.problems.truncate(DIAGNOSTICS_MAX);
    if !lowerer.problems.is_empty() {
        return Err(lowerer.problems);
    }
    let patterns = lowerer.patterns.into_iter().collect();
    Ok(Lowered { rules: lowerer.written.join("\n"), patterns, edits: lowerer.edits })
}

/// The lines of a body while it is written.
#[derive(Default)]
struct Frame {
    lines: Vec<String>,
    /// Whether the body has a loop, and so may hold in several ways.
    iterates: bool,
    /// Whether the expression that is being written stands under `not`.
    negated: bool,
}

/// A variable in scope.
#[derive(Clone)]
struct Local {
    text: String,
    shape: Shape,
    used: bool,
}

/// A written expression.
struct Term {
    text: String,
    shape: Shape,
    /// Whether it is made of literals only.
    constant: bool,
}

impl Term {
    fn new(text: impl Into<String>, shape: Shape) -> Self {
        Self { text: text.into(), shape, constant: false }
    }
}

struct Lowerer<'m, 'i, 't> {
    index: &'i TextIndex<'t>,
    rules: &'i Rules<'m>,
    /// What is known of the values of the rules that are written already.
    shapes: HashMap<&'m str, Shape>,
    written: Vec<String>,
    problems: Vec<Diagnostic>,
    /// Makes names.
    next: usize,
    scopes: Vec<BTreeMap<&'m str, Local>>,
    frame: Frame,
    /// The variable that holds `input` in the current rule, once it is used.
    input: Option<String>,
    /// Expressions around the one that is being written.
    depth: usize,
    patterns: BTreeSet<String>,
    edits: Vec<(Range<usize>, String)>,
}

impl<'m> Lowerer<'m, '_, '_> {
    fn report(
        &mut self,
        code: &'static str,
        at: &RegoSpan,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let at = span(at, self.index);
        self.problems.push(Diagnostic::error(code, at, message).help(help));
    }

    /// Reports a construct that has no place in custom Rego.
    fn refuse(&mut self, at: &RegoSpan, message: impl Into<String>, help: impl Into<String>) {
        self.report("rego-unsupported", at, message, help);
    }

    /// A name that no author can write in front of ours: rules get `r_`, parameters are `a0`, `a1`, ….
    fn fresh(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{}", self.next)
    }

    fn line(&mut self, line: String) {
        self.frame.lines.push(line);
    }

    /// A variable with the value of an expression. Undefined stays undefined.
    fn bind(&mut self, text: &str) -> String {
        let name = self.fresh("v");
        self.line(format!("{name} := {text}"));
        name
    }

    /// As [`Self::bind`], but the body fails where the value is undefined, which `:=` alone lets pass. A variable
    /// is its own name: those of the author always have a value.
    fn bind_defined(&mut self, text: &str) -> String {
        if is_variable(text) {
            return text.to_owned();
        }
        let name = self.bind(text);
        self.line(format!("[{name}]"));
        name
    }

    /// Writes a body of its own: new scope, new lines.
    fn nested<R>(&mut self, write: impl FnOnce(&mut Self) -> R) -> (Frame, R) {
        self.scopes.push(BTreeMap::new());
        let outer = std::mem::take(&mut self.frame);
        let result = write(self);
        self.scopes.pop();
        (std::mem::replace(&mut self.frame, outer), result)
    }

    /// Writes the body of a rule. It begins with the one load of `input` that there is: the machine would load it
    /// where it is used first, and take it for loaded even where that is a loop that never ran.
    fn body<R>(&mut self, write: impl FnOnce(&mut Self) -> R) -> (Frame, R) {
        self.input = None;
        let (mut frame, result) = self.nested(write);
        if let Some(name) = self.input.take() {
            frame.lines.insert(0, format!("{name} := input"));
        }
        (frame, result)
    }

    /// Declares a variable of the author under a name of ours.
    fn declare(&mut self, name: &'m RegoSpan, text: String, shape: Shape) {
        let word = name.text();
        let help = "choose another name";
        if signatures::reserves(word) || matches!(word, "input" | "data" | "aegis") {
            return self.refuse(name, format!("`{word}` has a meaning of its own"), help);
        }
        if self.rules.contains_key(word) {
            return self.refuse(name, format!("`{word}` is a rule of this module"), help);
        }
        if self.local(word).is_some() {
            return self.refuse(name, format!("`{word}` is a variable already"), help);
        }
        let scope = self.scopes.last_mut().expect("bodies are written in a scope");
        scope.insert(word, Local { text, shape, used: false });
    }

    /// As [`Self::declare`], with a fresh name, which is returned. `_` declares nothing.
    fn declare_fresh(&mut self, name: &'m RegoSpan, shape: Shape) -> String {
        let text = self.fresh("v");
        if name.text() != "_" {
            self.declare(name, text.clone(), shape);
        }
        text
    }

    fn local(&mut self, name: &str) -> Option<&mut Local> {
        self.scopes.iter_mut().rev().find_map(|scope| scope.get_mut(name))
    }

    /// The name that was probably meant.
    fn did_you_mean(&self, unknown: &str, functions: bool) -> String {
        let mut known: Vec<&str> = self.rules.keys().copied().collect();
        if functions {
            signatures::names().for_each(|name| known.push(name));
        } else {
            known.extend(self.scopes.iter().flat_map(|scope| scope.keys().copied()));
            known.push("input");
        }
        match nearest(unknown, &known) {
            Some(name) => format!("did you mean `{name}`?"),
            None => String::new(),
        }
    }
}

/// Whether an expression is only the name of a variable or parameter.
fn is_variable(text: &str) -> bool {
    text.strip_prefix(['v', 'a']).is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The name of a rule in the lowered module. The two that are asked for from outside keep theirs.
fn rule_name(name: &str) -> String {
    if matches!(name, "deny" | "approval") { name.to_owned() } else { format!("r_{name}") }
}
