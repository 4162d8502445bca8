//! Writes the Rego module of one entry's condition.
//!
//! Locals are bound with `=`, never with `:=`: behind `local := undefined` the virtual machine goes on, where a
//! stock OPA stops.

use std::collections::HashMap;
use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use super::need::Want;
use super::{Reads, Unit, UnitRules};
use crate::ast::{Condition, Test};

/// Lines of a rule's body, joined by "and".
pub(super) type Body = Vec<String>;

/// More tests than this are moved into helper rules, so that no rule outgrows the virtual machine's
/// window of 256 registers.
const TESTS_INLINE_MAX: usize = 10;

/// Collects helper rules while the formula is written down.
#[derive(Default)]
pub(super) struct Writer {
    rules: Vec<String>,
    next: usize,
    /// Helper rules of disjunctions, by the place of the condition and the wanted polarity.
    groups: HashMap<(usize, Want), String>,
    /// Zones read from `input.local`.
    pub(super) zones: Vec<String>,
    /// Regular expressions matched with.
    patterns: Vec<String>,
    /// Whether tests stand in rules of their own.
    pub(super) outlined: bool,
}

impl Writer {
    /// A name that no other helper of the unit has.
    pub(super) fn fresh(&mut self, prefix: &str) -> String {
        self.next += 1;
        format!("{prefix}{}", self.next)
    }

    /// A call that holds if the string variable matches.
    pub(super) fn matches(&mut self, pattern: &str, var: &str) -> String {
        self.patterns.push(pattern.to_owned());
        format!("regex.match({}, {var})", super::literals::string(pattern))
    }

    /// Adds `head if { body }`.
    pub(super) fn rule(&mut self, head: &str, body: &Body) {
        let mut text = String::new();
        if body.is_empty() {
            let _ = writeln!(text, "{head} if true");
        } else {
            let _ = writeln!(text, "{head} if {{\n\t{}\n}}", body.join("\n\t"));
        }
        self.rules.push(text);
    }

    /// Whether a rule begins with `head`.
    pub(super) fn has_rule(&self, head: &str) -> bool {
        self.rules.iter().any(|rule| rule.starts_with(head))
    }

    /// A helper with one rule per body: true if any body is. `argument` is the local it needs, if any.
    pub(super) fn either(&mut self, prefix: &str, argument: Option<&str>, bodies: &[Body]) -> String {
        let name = self.fresh(prefix);
        let head = match argument {
            Some(local) => format!("{name}({local})"),
            None => name,
        };
        for body in bodies {
            self.rule(&head, body);
        }
        if bodies.is_empty() {
            self.rule(&head, &vec!["false".to_owned()]);
        }
        head
    }

    /// The helper of a group, written once.
    pub(super) fn group(
        &mut self,
        of: &Condition,
        want: Want,
        write: impl FnOnce(&mut Self) -> String,
    ) -> String {
        let key = (std::ptr::from_ref(of) as usize, want);
        if let Some(name) = self.groups.get(&key) {
            return name.clone();
        }
        let name = write(self);
        self.groups.insert(key, name.clone());
        name
    }

    fn finish(mut self, rules: UnitRules, condition: &Condition, described: &str) -> (Unit, Vec<String>) {
        if !self.has_rule("reasons contains ") {
            self.rules.push("reasons := set()\n".to_owned());
        }
        self.rules.reverse();
        let body = self.rules.join("\n");
        let kind = if matches!(rules, UnitRules::Denying) { "denying" } else { "allowing" };
        let digest = Sha256::digest(format!("{kind}\n{body}"));
        let name: String =
            digest[..8].iter().fold("u_".to_owned(), |name, byte| name + &format!("{byte:02x}"));
        let rego = format!("# {described}\npackage aegis.unit.{name}\n\n{body}");
        self.patterns.sort();
        self.patterns.dedup();
        (Unit { name, rego, rules, patterns: self.patterns, reads: Reads::of(condition) }, self.zones)
    }
}

/// The unit of an allowing entry, and the zones it reads.
pub(super) fn allowing(condition: &Condition) -> (Unit, Vec<String>) {
    let mut writer = Writer { outlined: count_tests(condition) > TESTS_INLINE_MAX, ..Writer::default() };
    let mut approvable = false;
    condition.for_each_test(&mut |test: &Test| approvable |= test.approvable);
    writer.reasons(condition, Want::True, false);
    if approvable {
        let body = writer.need(condition, Want::Ask);
        writer.rule("ask", &body);
    }
    let body = writer.need(condition, Want::True);
    writer.rule("pass", &body);
    writer.finish(UnitRules::Allowing { ask: approvable }, condition, "The conditions of an allowing entry.")
}

/// The unit of a denying entry, and the zones it reads.
pub(super) fn denying(condition: &Condition) -> (Unit, Vec<String>) {
    let mut writer = Writer { outlined: count_tests(condition) > TESTS_INLINE_MAX, ..Writer::default() };
    writer.reasons(condition, Want::False, true);
    let body = writer.need(condition, Want::False);
    writer.rule("clear", &body);
    writer.finish(UnitRules::Denying, condition, "The conditions of a denying entry.")
}

fn count_tests(condition: &Condition) -> usize {
    let mut count = 0;
    condition.for_each_test(&mut |test| count += test.checks.len().max(1));
    count
}
