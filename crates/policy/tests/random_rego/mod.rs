//! Random custom modules, evaluated here and by OPA.
//!
//! Only constructs that never fail are drawn (comparisons, membership, loops, `every`, `not`, comprehensions,
//! functions, `else`, defaults): a difference is a difference in what they mean.

use std::fmt::Write as _;
use std::path::Path;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use super::{Module, checked, opa_eval, reasons, sorted};

/// Modules that are compared, unless `AEGIS_RANDOM_REGO` says how many.
const MODULES: u64 = 150;
const PER_RUN: u64 = 50;

/// Compares the modules over some inputs. A failure names the seed.
pub(crate) fn compare(opa: &Path) {
    let count = std::env::var("AEGIS_RANDOM_REGO").map_or(MODULES, |count| count.parse().expect("a number"));
    let (mut fired, mut silent, mut refused) = (0, 0, 0);
    for first in (0..count).step_by(usize::try_from(PER_RUN).expect("small")) {
        let texts: Vec<(u64, String)> = (first..first + PER_RUN).map(|seed| (seed, rules(seed))).collect();
        let modules: Vec<(Module, &str)> =
            texts.iter().filter_map(|(seed, text)| accepted(*seed, text)).collect();
        refused += texts.len() - modules.len();
        for input in inputs() {
            let loaded: Vec<&Module> = modules.iter().map(|(module, _)| module).collect();
            let found = opa_eval(opa, &loaded, &input, "data.aegis.custom")
                .unwrap_or_else(|error| panic!("opa: {error}\n{input}"));
            for (module, text) in &modules {
                let theirs = sorted(&found[&module.name]["deny"]);
                let ours = reasons(module, "deny", &input);
                assert_eq!(
                    ours,
                    Ok(theirs.clone()),
                    "{} of {input}\n{text}\n--\n{}",
                    module.name,
                    module.machine
                );
                if theirs.is_empty() { silent += 1 } else { fired += 1 }
            }
        }
    }
    let modules = usize::try_from(count).expect("small");
    assert!(refused * 3 < modules, "{refused} of {modules} modules were refused");
    assert!(fired > modules && silent > modules / 4, "{fired} fired, {silent} did not");
}

/// The module, unless its types do not fit or it is too large for the machine.
fn accepted(seed: u64, text: &str) -> Option<(Module, &str)> {
    match checked(&format!("m_{seed}"), text) {
        Ok(module) => Some((module, text)),
        Err(problems) => {
            let expected = |(code, shown): &(&str, String)| {
                *code == "rego-type" || (*code == "rego-too-large" && shown.contains("Register overflow"))
            };
            assert!(problems.iter().all(expected), "seed {seed}: {problems:?}\n{text}");
            None
        }
    }
}

fn inputs() -> Vec<serde_json::Value> {
    vec![
        json!({}),
        json!({"a": 1, "l": [1, 2, 3], "o": {"p": 1, "q": [2, 3]}}),
        json!({"a": "x", "l": [], "m": [[], [1], [1, 2]], "o": {}}),
        json!({"a": null, "l": "text", "m": [[3], [4, 1]], "o": {"p": {"q": 1}}}),
        json!({"a": 2, "l": [{"q": 1}, {}, {"q": 3}], "m": [[2]], "o": {"p": 2, "q": [1, 2]}}),
        json!({"a": false, "l": [false, true, 0], "m": [[], []], "o": {"p": false, "q": []}}),
        json!({"a": [1, 2], "l": [[1, 2], [2]], "m": [[1, 2, 3, 4]], "o": {"p": [1, 2], "q": {"r": 2}}}),
    ]
}

struct Writer {
    random: StdRng,
    /// Variables in scope.
    variables: Vec<String>,
    next: usize,
    /// Functions and rules that may be used.
    functions: Vec<&'static str>,
    rules: Vec<&'static str>,
}

fn rules(seed: u64) -> String {
    let mut writer = Writer {
        random: StdRng::seed_from_u64(seed),
        variables: vec![],
        next: 0,
        functions: vec![],
        rules: vec![],
    };
    let mut text = String::new();
    for name in ["f", "g"] {
        writer.function(name, &mut text);
        writer.functions.push(name);
    }
    for name in ["p", "q", "r", "s"] {
        writer.rule(name, &mut text);
        writer.rules.push(name);
    }
    for number in 0..4 {
        let body = writer.body(0);
        let _ = writeln!(text, "deny contains \"{number}\" if {{\n{body}}}\n");
    }
    let body = writer.body(0);
    let _ = writeln!(text, "deny contains type_name(z) if {{\n{body}\tz := input.l\n}}");
    text
}

impl Writer {
    fn pick<'a>(&mut self, among: &[&'a str]) -> &'a str {
        among[self.random.random_range(0..among.len())]
    }

    fn fresh(&mut self) -> String {
        self.next += 1;
        format!("x{}", self.next)
    }

    fn function(&mut self, name: &str, text: &mut String) {
        // Definitions of different values could contradict each other.
        let form = self.random.random_range(0..3);
        let definitions = if form == 0 { 1 } else { self.random.random_range(1..3) };
        for _ in 0..definitions {
            let argument = self.fresh();
            self.variables.push(argument.clone());
            let (one, two) = (self.body(1), self.body(1));
            let _ = match form {
                0 => writeln!(text, "{name}({argument}) if {{\n{one}}} else := false if {{\n{two}}}\n"),
                1 => writeln!(text, "{name}({argument}) if {{\n{one}}} else if {{\n{two}}}\n"),
                _ => writeln!(text, "{name}({argument}) if {{\n{one}}}\n"),
            };
            self.variables.clear();
        }
    }

    fn rule(&mut self, name: &str, text: &mut String) {
        let (one, two) = (self.body(1), self.body(1));
        let _ = match self.random.random_range(0..6) {
            0 => {
                writeln!(text, "default {name} := 0\n\n{name} := 1 if {{\n{one}}} else := 2 if {{\n{two}}}\n")
            }
            1 => writeln!(text, "{name} := 1 if {{\n{one}}} else := 2 if {{\n{two}}} else := 3\n"),
            2 => writeln!(text, "{name} contains 1 if {{\n{one}}}\n\n{name} contains 2 if {{\n{two}}}\n"),
            3 => {
                let collection = self.collection(0);
                let value = self.fresh();
                writeln!(text, "{name} contains {value} if {{\n\tsome {value} in {collection}\n{one}}}\n")
            }
            4 => writeln!(text, "{name} if {{\n{one}}}\n\n{name} if {{\n{two}}}\n"),
            _ => writeln!(text, "default {name} := false\n\n{name} if {{\n{one}}}\n"),
        };
    }

    /// Statements, each in a line.
    fn body(&mut self, depth: usize) -> String {
        let kept = self.variables.len();
        let mut text = String::new();
        for _ in 0..self.random.random_range(1..=3) {
            let _ = writeln!(text, "\t{}", self.statement(depth));
        }
        self.variables.truncate(kept);
        text
    }

    fn statement(&mut self, depth: usize) -> String {
        match self.random.random_range(0..if depth < 3 { 9 } else { 5 }) {
            0 | 1 => self.test(depth),
            2 => format!("not {}", self.test_without_loop(depth)),
            3 => {
                let value = self.value(depth);
                let name = self.fresh();
                self.variables.push(name.clone());
                format!("{name} := {value}")
            }
            4 => {
                let collection = self.collection(depth);
                let (key, value) = (self.fresh(), self.fresh());
                self.variables.push(value.clone());
                if self.random.random_bool(0.3) {
                    self.variables.push(key.clone());
                    return format!("some {key}, {value} in {collection}");
                }
                format!("some {value} in {collection}")
            }
            5 | 6 => {
                let collection = self.collection(depth);
                let value = self.fresh();
                self.variables.push(value.clone());
                let mut body = self.body(depth + 1);
                self.variables.pop();
                if !body.split(|part: char| !part.is_ascii_alphanumeric()).any(|word| word == value) {
                    let _ = writeln!(body, "\tis_array([{value}])");
                }
                format!("every {value} in {collection} {{\n{body}\t}}")
            }
            _ => {
                let comprehension = self.comprehension(depth);
                let number = self.random.random_range(0..3);
                let operator = self.pick(&["==", ">", "<=", "!="]);
                format!("count({comprehension}) {operator} {number}")
            }
        }
    }

    fn test(&mut self, depth: usize) -> String {
        if self.random.random_bool(0.15) {
            return format!(
                "input.{}[_] {} {}",
                self.pick(&["l", "m", "o"]),
                self.pick(&["==", ">"]),
                self.value(depth)
            );
        }
        self.test_without_loop(depth)
    }

    fn test_without_loop(&mut self, depth: usize) -> String {
        match self.random.random_range(0..8) {
            // A comprehension by itself is never false, which is refused.
            0 => self.value(9),
            1 if !self.functions.is_empty() => {
                let function = self.functions[self.random.random_range(0..self.functions.len())];
                format!("{function}({})", self.value(depth))
            }
            2 if !self.rules.is_empty() => {
                self.rules[self.random.random_range(0..self.rules.len())].to_owned()
            }
            3 => format!("{} in {}", self.value(depth), self.collection(depth)),
            4 => format!("is_number({})", self.value(depth)),
            _ => {
                let operator = self.pick(&["==", "!=", "<", "<=", ">", ">="]);
                format!("{} {operator} {}", self.value(depth), self.value(9))
            }
        }
    }

    /// A value of any type, so that no comparison is refused for its types.
    fn value(&mut self, depth: usize) -> String {
        if !self.variables.is_empty() && self.random.random_bool(0.5) {
            return self.variables[self.random.random_range(0..self.variables.len())].clone();
        }
        if depth < 2 && self.random.random_bool(0.1) {
            return self.comprehension(depth + 1);
        }
        let paths = [
            "input.a",
            "input.l",
            "input.o.p",
            "input.o.q",
            "input.l[1]",
            "input.zz",
            "input.m[0]",
            "input.o[input.a]",
        ];
        self.pick(&paths).to_owned()
    }

    fn collection(&mut self, depth: usize) -> String {
        if depth < 2 && self.random.random_bool(0.1) {
            return self.comprehension(depth + 1);
        }
        if !self.variables.is_empty() && self.random.random_bool(0.4) {
            return self.variables[self.random.random_range(0..self.variables.len())].clone();
        }
        self.pick(&["input.l", "input.m", "input.o", "input.o.q", "input.zz"]).to_owned()
    }

    fn comprehension(&mut self, depth: usize) -> String {
        let kept = self.variables.len();
        let collection = self.collection(depth + 1);
        let element = self.fresh();
        self.variables.push(element.clone());
        let test = self.statement(depth + 2);
        let term = if self.random.random_bool(0.5) { element.clone() } else { self.value(depth + 2) };
        self.variables.truncate(kept);
        let (open, close) = if self.random.random_bool(0.5) { ("[", "]") } else { ("{", "}") };
        format!("{open}{term} | some {element} in {collection}; {test}{close}")
    }
}
