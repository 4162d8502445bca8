//! A tenant's custom Rego is hostile: what is refused and where, and that nothing takes long, ends the process or
//! turns an error into silence.

#![expect(clippy::panic, reason = "helpers of tests, outside of `#[test]` functions")]

use std::time::{Duration, Instant};

use aegis_model::caps;
use aegis_policy::ast::{SourceFile, Span};
use aegis_policy::custom::host::Meter;
use aegis_policy::custom::{self, BUILTINS, Module};
use aegis_policy::diagnostic::Diagnostic;
use aegis_policy::program::{EvaluationError, Program};
use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::vm::{ExecutionMode, ExecutionState, RegoVM};
use regorus::{Engine, Value};
use serde_json::json;

/// What an unoptimized build on a busy machine may take for what has to be quick. Without the bounds it would be minutes.
const QUICK: Duration = Duration::from_secs(10);
/// What an unoptimized build may take until one of the limits of an evaluation ends it.
const BOUNDED: Duration = Duration::from_secs(60);

fn check(text: &str) -> Result<Module, Vec<Diagnostic>> {
    let file = SourceFile { path: "custom.rego".to_owned(), text: text.into() };
    custom::module("m_0", &file, 0, Span::default())
}

fn check_rules(rules: &str) -> Result<Module, Vec<Diagnostic>> {
    check(&format!("package aegis.custom\n{rules}\n"))
}

#[expect(clippy::disallowed_methods, reason = "the test measures how long a refusal takes")]
fn timed<R>(run: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = run();
    (result, start.elapsed())
}

/// The first problem's code, and that it came quickly.
fn refused_quickly(text: &str) -> &'static str {
    let (result, time) = timed(|| check(text));
    let problems = result.expect_err("a refusal");
    assert!(time < QUICK, "{time:?} for {:?}", problems[0]);
    problems[0].code
}

fn evaluate(module: &Module, input: serde_json::Value) -> Result<Value, EvaluationError> {
    let program = Program::build("aegis.custom.m_0", &module.machine, &["deny"], BUILTINS, &module.patterns);
    program.expect("the module was compiled before").run(0, Value::from(input))
}

/// Evaluates rules that have to end with an error, not with an answer.
fn ends(rules: &str, input: serde_json::Value) -> String {
    let module = check_rules(rules).unwrap_or_else(|problems| panic!("{problems:?}"));
    let (result, time) = timed(|| evaluate(&module, input));
    assert!(time < BOUNDED, "{time:?}");
    result.expect_err("a limit ends it").to_string()
}

/// As [`ends`], with one meter for the whole evaluation.
fn ends_metered(rules: &str, input: serde_json::Value) -> String {
    let module = check_rules(rules).unwrap_or_else(|problems| panic!("{problems:?}"));
    let (result, time) = timed(|| run_metered(&module.machine, Value::from(input)));
    assert!(time < BOUNDED, "{time:?}");
    result.expect_err("a limit ends it")
}

fn run_metered(machine: &str, input: Value) -> Result<Value, String> {
    let mut engine = Engine::new();
    engine.add_policy("m.rego".to_owned(), machine.to_owned()).map_err(|error| error.to_string())?;
    let point = "data.aegis.custom.m_0.deny";
    let policy = engine.compile_with_entrypoint(&point.into()).map_err(|error| error.to_string())?;
    let program = Compiler::compile_from_policy_with_host_await(&policy, &[point], BUILTINS)
        .map_err(|error| error.to_string())?;
    let mut machine = RegoVM::new();
    machine.set_execution_mode(ExecutionMode::Suspendable);
    machine.set_max_instructions(caps::EVALUATION_STEPS_MAX);
    machine.load_program(program);
    machine.set_input(input);
    let mut meter = Meter::default();
    let mut result = machine.execute_entry_point_by_index(0);
    while let ExecutionState::Suspended { .. } = machine.execution_state() {
        let name =
            machine.get_host_await_identifier().expect("a name").as_string().expect("a string").to_string();
        let arguments =
            machine.get_host_await_argument().expect("arguments").as_array().expect("an array").to_vec();
        let answer = meter.call(&name, &arguments).map_err(|error| format!("`{name}` failed: {error}"))?;
        result = machine.resume(Some(answer));
    }
    result.map_err(|error| error.to_string())
}

// ---- before any parser

#[test]
fn a_large_module_is_refused_by_its_size() {
    let text = format!("package aegis.custom\n{}", "# x\n".repeat(caps::REGO_BYTES_MAX / 4));
    assert_eq!(refused_quickly(&text), "rego-too-large");
}

/// The parser's time doubles with each level of these: depth 20 would take half a minute.
#[test]
fn nested_collections_are_refused_before_they_are_parsed() {
    for depth in [9, 12, 16, 20, 10_000] {
        for (open, close) in [
            ("[", "]"),
            ("{", "}"),
            ("{\"a\":", "}"),
            ("{\"a\":[", "]}"),
            ("(", ")"),
            ("count(", ")"),
            ("x[", "]"),
        ] {
            let value = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let text = format!("package aegis.custom\ndeny contains \"x\" if {{\n\tx := {value}\n}}\n");
            assert_eq!(refused_quickly(&text), "rego-too-deep", "{depth} of {open}");
        }
    }
}

#[test]
fn eight_levels_are_allowed() {
    let module = check_rules("deny contains \"x\" if {\n\tx := [[[[[[[1]]]]]]]\n\tcount(x) == 1\n}")
        .expect("a module");
    assert_eq!(
        evaluate(&module, json!({})),
        Ok(Value::from(["x"].map(Value::from).into_iter().collect::<std::collections::BTreeSet<_>>()))
    );
}

/// The lexer calls itself for each of these, to see whether a set is empty.
#[test]
fn a_chain_of_set_words_does_not_end_the_process() {
    assert_eq!(
        refused_quickly(&format!("package aegis.custom\nx := {}", "set(\n".repeat(50_000))),
        "rego-too-deep"
    );
}

/// Many literals just below the permitted depth.
#[test]
fn many_nested_literals_are_refused_before_they_are_parsed() {
    let literal = format!("{}1{}", "{\"a\":[".repeat(3), "]}".repeat(3));
    let rules: String = (0..5_000).map(|number| format!("x{number} := {literal}\n")).collect();
    assert_eq!(refused_quickly(&format!("package aegis.custom\n{rules}")), "rego-too-large");
}

/// Each operator and dot is a level of the syntax tree, which is walked and dropped recursively.
#[test]
fn long_expressions_are_refused_before_they_are_parsed() {
    for chain in ["1 +\n", "input.a -\n", "1 ==\n", "x in\n", "x |\n", "- "] {
        let text = format!(
            "package aegis.custom\ndeny contains \"x\" if {{\n\tx := {}1\n}}\n",
            chain.repeat(20_000)
        );
        assert_eq!(refused_quickly(&text), "rego-too-deep", "{chain}");
    }
    let path = ".a".repeat(400);
    assert_eq!(
        refused_quickly(&format!("package aegis.custom\ndeny contains \"x\" if input{path}\n")),
        "rego-too-deep"
    );
}

/// The deepest syntax tree that gets past the look at the text is still walked on a small stack.
#[test]
fn the_deepest_tree_is_walked_and_refused() {
    let level = format!("({}", "1 + ".repeat(31));
    let value = format!("{}1{}", level.repeat(7), ")".repeat(7));
    let text = format!("package aegis.custom\ndeny contains \"x\" if {{\n\tx := {value}\n\tx == 1\n}}\n");
    assert_eq!(refused_quickly(&text), "rego-too-deep");
}

#[test]
fn bodies_of_many_lines_are_no_long_expressions() {
    let lines: String = (0..30).map(|number| format!("\tinput.params.a{number} == \"{number}\"\n")).collect();
    check_rules(&format!("deny contains \"x\" if {{\n{lines}}}")).expect("a module");
    let list: String = (0..2_000).map(|number| format!("\t\"name-{number}\",\n")).collect();
    check_rules(&format!("deny contains \"x\" if input.tool in names\n\nnames := {{\n{list}}}"))
        .expect("a module");
}

/// The parser takes a NUL for the end of the text, so that a rule behind it would silently not exist.
#[test]
fn a_nul_hides_nothing() {
    for text in [
        "package aegis.custom\ndeny contains \"a\" if false\n# \0\ndeny contains \"x\" if true\n",
        "package aegis.custom\ndeny contains \"a\" if false\n\0\ndeny contains \"x\" if true\n",
        "package aegis.custom\ndeny contains \"a\0\" if false\ndeny contains \"x\" if true\n",
        "package aegis.custom\ndeny contains `a\0` if false\ndeny contains \"x\" if true\n",
    ] {
        assert_eq!(refused_quickly(text), "rego-syntax", "{text:?}");
    }
}

#[test]
fn open_strings_and_annotations_are_refused() {
    assert_eq!(refused_quickly("package aegis.custom\ndeny contains \"x if true\n"), "rego-syntax");
    assert_eq!(refused_quickly("package aegis.custom\ndeny contains `x if true\n"), "rego-syntax");
    assert_eq!(
        refused_quickly("package aegis.custom\n# METADATA\n# title: [\ndeny contains \"x\"\n"),
        "rego-unsupported"
    );
    // What stands in strings and comments counts for nothing.
    check_rules("# [[[[[[[[[[[[\ndeny contains \"[[[[[[[[[[[[\" if input.a == `((((((((((((`")
        .expect("a module");
}

// ---- what a module may say

/// Rules (behind one line with the package), the code, line and column of the first problem, and a part of its text.
const REFUSED: &[(&str, &str, u32, u32, &str)] = &[
    // Imports and other documents.
    ("import data.other\ndeny contains \"x\"", "rego-import", 2, 1, "nothing can be imported"),
    ("import input.params as p\ndeny contains \"x\" if p.a", "rego-import", 2, 1, "nothing can be imported"),
    ("import future.keywords.in\ndeny contains \"x\"", "rego-import", 2, 1, "nothing can be imported"),
    ("deny contains \"x\" if data.other.allow", "rego-unsupported", 2, 22, "`data` cannot be used"),
    ("deny contains \"x\" if data[input.a].allow", "rego-unsupported", 2, 22, "`data` cannot be used"),
    // Recursion: some forms of it would end the process.
    ("deny contains \"x\" if deny", "rego-recursion", 2, 1, "`deny` → `deny`"),
    ("deny contains \"x\" if deny[input.a]", "rego-recursion", 2, 1, "`deny` → `deny`"),
    ("deny contains \"x\" if a\na if b\nb if a", "rego-recursion", 3, 1, "`a` → `b` → `a`"),
    ("deny contains \"x\" if f(1)\nf(x) if f(x)", "rego-recursion", 3, 1, "`f` → `f`"),
    ("deny contains \"x\" if f(1)\nf(x) if g(x)\ng(x) if f(x)", "rego-recursion", 3, 1, "`f` → `g` → `f`"),
    ("deny contains x if { some x in [y | some y in deny] }", "rego-recursion", 2, 1, "`deny` → `deny`"),
    (
        "deny contains \"x\"\nunused if { every v in unused { v } }",
        "rego-recursion",
        3,
        1,
        "`unused` → `unused`",
    ),
    // Built-ins by name.
    ("deny contains \"x\" if numbers.range(1, 30000000)[0]", "rego-builtin", 2, 22, "`numbers.range`"),
    ("deny contains sprintf(\"%1000000000d\", [1])", "rego-builtin", 2, 15, "`sprintf`"),
    ("deny contains \"x\" if http.send({\"url\": \"http://x\"})", "rego-builtin", 2, 22, "`http.send`"),
    ("deny contains \"x\" if time.now_ns() > 5", "rego-builtin", 2, 22, "`time.now_ns`"),
    ("deny contains \"x\" if opa.runtime()", "rego-builtin", 2, 22, "`opa.runtime`"),
    ("deny contains \"x\" if io.jwt.decode(input.a)", "rego-builtin", 2, 22, "`io.jwt.decode`"),
    ("deny contains \"x\" if crypto.md5(input.a) == \"x\"", "rego-builtin", 2, 22, "`crypto.md5`"),
    ("deny contains \"x\" if rand.intn(\"a\", 5) == 1", "rego-builtin", 2, 22, "`rand.intn`"),
    ("deny contains \"x\" if print(input)", "rego-builtin", 2, 22, "`print`"),
    ("deny contains \"x\" if trace(\"a\")", "rego-builtin", 2, 22, "`trace`"),
    ("deny contains \"x\" if json.marshal(input) == \"\"", "rego-builtin", 2, 22, "`json.marshal`"),
    ("deny contains \"x\" if regex.find_n(\"a\", input.a, 1)", "rego-builtin", 2, 22, "`regex.find_n`"),
    ("deny contains \"x\" if aegis.key(input.a)", "rego-builtin", 2, 22, "`aegis.key`"),
    (
        "deny contains \"x\" if __builtin_host_await(1, \"x\")",
        "rego-builtin",
        2,
        22,
        "`__builtin_host_await`",
    ),
    ("deny contains \"x\" if internal.member_2(1, [1])", "rego-builtin", 2, 22, "`internal.member_2`"),
    ("deny contains \"x\" if startswth(input.a, \"x\")", "rego-builtin", 2, 22, "`startswth`"),
    ("deny contains \"x\" if input.f(1)", "rego-builtin", 2, 22, "`input.f`"),
    ("deny contains \"x\" if count(input.a, n)", "rego-arguments", 2, 22, "takes 1 argument, not 2"),
    ("deny contains \"x\" if startswith(input.a)", "rego-arguments", 2, 22, "takes 2 arguments, not 1"),
    ("deny contains \"x\" if f(1, 2)\nf(x) if x", "rego-arguments", 2, 22, "takes 1 argument, not 2"),
    // What makes the evaluation depend on more than the text says.
    ("deny contains \"x\" if true with input as {}", "rego-unsupported", 2, 27, "`with` cannot be used"),
    ("deny contains \"x\" if { some i; input.l[i] == 1 }", "rego-unsupported", 2, 24, "`some` without `in`"),
    ("deny contains \"x\" if input.l[i] == 1", "rego-unknown-name", 2, 30, "`i` is not defined here"),
    ("deny contains \"x\" if { y > 3; y := input.a }", "rego-unknown-name", 2, 24, "`y` is not defined here"),
    ("deny contains \"x\" if { y = input.a }", "rego-unsupported", 2, 24, "`=` both compares and assigns"),
    ("deny contains \"x\" if not input.l[_] == 3", "rego-unsupported", 2, 34, "`_` under `not`"),
    ("deny contains \"x\" if input.a / 2 > 3", "rego-unsupported", 2, 22, "`/` gives other digits"),
    ("deny contains \"x\" if -input.a > 3", "rego-unsupported", 2, 22, "`-` in front of an expression"),
    ("deny contains \"x\" if { some [a, b] in input.l; a == b }", "rego-unsupported", 2, 29, "only a name"),
    (
        "deny contains \"x\" if { every v in input.l { input.a } }",
        "rego-unsupported",
        2,
        30,
        "`v` is not used",
    ),
    ("deny contains \"x\" if {\n\tinput.a | {1} == {1}\n}", "rego-unsupported", 3, 2, "cannot begin with"),
    ("deny contains \"x\" if { {v | some v in input.l} }", "rego-unsupported", 2, 24, "never false"),
    (
        "deny contains \"x\" if { x := {input.a: 1, input.b: 2}; x }",
        "rego-unsupported",
        2,
        30,
        "a computed key",
    ),
    ("deny contains \"x\" if { x := {\"a\": 1, \"a\": 2}; x }", "rego-unsupported", 2, 38, "twice"),
    ("deny contains \"x\" if input.a == 1e3", "rego-unsupported", 2, 33, "different numbers"),
    ("deny contains \"x\" if input.a == 1.50001000000000001", "rego-unsupported", 2, 33, "different numbers"),
    ("deny contains \"x\" if input.a == 9007199254740993", "rego-unsupported", 2, 33, "different numbers"),
    ("deny contains \"x\" if input.a == 1.0", "rego-unsupported", 2, 33, "different numbers"),
    // Names.
    ("deny contains \"x\" if { input := 1; input }", "rego-syntax", 2, 30, "input cannot be shadowed"),
    ("deny contains \"x\" if { count := 1; count == 1 }", "rego-unsupported", 2, 24, "`count` has a meaning"),
    (
        "deny contains \"x\" if { object := 1; object == 1 }",
        "rego-unsupported",
        2,
        24,
        "`object` has a meaning",
    ),
    ("deny contains \"x\" if { p := 1; p == 1 }\np := 2", "rego-unsupported", 2, 24, "`p` is a rule"),
    (
        "deny contains \"x\" if { v := 1; w := [v | some v in [1]]; w }",
        "rego-unsupported",
        2,
        47,
        "`v` is a variable already",
    ),
    ("deny contains \"x\" if f(1, 2)\nf(x, x) if x", "rego-unsupported", 3, 6, "`x` is a variable already"),
    ("deny contains \"x\"\ncount(x) := 1", "rego-unsupported", 3, 1, "`count` has a meaning"),
    ("deny contains \"x\" if lage\nlarge if input.a", "rego-unknown-name", 2, 22, "`lage` is not defined"),
    // Forms of rules.
    ("deny := \"x\"", "rego-entry", 2, 1, "`deny` is a set of reasons"),
    ("deny if input.a", "rego-entry", 2, 1, "`deny` is a set of reasons"),
    ("deny := {\"a\": \"x\"}", "rego-entry", 2, 1, "`deny` is a set of reasons"),
    ("deny(x) if x", "rego-entry", 2, 1, "`deny` is a set of reasons"),
    ("deny contains \"x\"\ndeny := 1", "rego-unsupported", 3, 1, "`deny` is a set and a value"),
    ("approval := true", "rego-entry", 2, 1, "`approval` is a set of reasons"),
    ("denies contains \"x\"", "rego-entry", 1, 1, "neither `deny` nor `approval`"),
    ("deny contains 5", "rego-type", 2, 15, "a reason is a text"),
    ("deny.x contains \"x\"", "rego-unsupported", 2, 1, "a plain name"),
    ("deny contains \"x\"\np[k] := v if { some k, v in input.o }", "rego-unsupported", 3, 1, "a plain name"),
    (
        "deny contains \"x\"\ndefault p := input.a\np := 1 if input.b",
        "rego-unsupported",
        3,
        14,
        "a default is a literal",
    ),
    ("deny contains \"x\"\ndefault p := 1", "rego-unsupported", 3, 9, "a default, but no rule"),
    ("deny contains \"x\"\ndefault f(x) := 1\nf(x) := 2 if x", "rego-unsupported", 3, 9, "no default here"),
    ("deny contains \"x\"\nf([a, b]) if a == b", "rego-unsupported", 3, 3, "a parameter is a name"),
    ("deny contains \"x\" if f\nf(x) if x", "rego-unsupported", 2, 22, "`f` is a function"),
    ("deny contains \"x\" if p(1)\np := 1", "rego-unsupported", 2, 22, "`p` is no function"),
    // Types that OPA refuses too.
    ("deny contains \"x\" if count(5) == 1", "rego-type", 2, 28, "`number`"),
    ("deny contains \"x\" if \"a\" + 1 == 2", "rego-type", 2, 22, "`string`"),
    ("deny contains \"x\" if 1 == \"a\"", "rego-type", 2, 22, "never equal"),
    ("deny contains \"x\" if sum([\"a\"]) == 1", "rego-type", 2, 26, "its elements"),
    ("deny contains \"x\" if p.a == 1\np := 5", "rego-type", 2, 24, "no members"),
    ("deny contains \"x\" if p.b == 1\np := {\"a\": 1}", "rego-type", 2, 24, "no member `b`"),
    // Regular expressions.
    ("deny contains \"x\" if regex.match(`(`, input.a)", "rego-regex", 2, 34, "regular expression"),
    ("deny contains \"x\" if regex.match(`\\bx`, input.a)", "rego-regex", 2, 34, "regular expression"),
    ("deny contains \"x\" if regex.match(input.p, input.a)", "rego-regex", 2, 34, "is a literal"),
    ("deny contains \"x\" if regex.match(`a{1001}`, input.a)", "rego-regex", 2, 34, "regular expression"),
    // Not Rego v1.
    ("deny[\"x\"] { input.a }", "rego-syntax", 2, 11, "`if` keyword is required"),
    ("deny contains \"x\" { input.a }", "rego-syntax", 2, 19, "`if` keyword is required"),
];

#[test]
fn what_is_refused_is_refused_at_its_place() {
    let mut wrong = Vec::new();
    for (rules, code, line, column, text) in REFUSED {
        match check_rules(rules) {
            Ok(_) => wrong.push(format!("accepted:\n{rules}")),
            Err(problems) => {
                let first = &problems[0];
                let place = (first.code, first.span.line, first.span.column);
                if place != (*code, *line, *column) || !first.message.contains(text) {
                    wrong.push(format!(
                        "{place:?} {:?}, not {:?}:\n{rules}",
                        first.message,
                        (code, line, column, text)
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn a_module_has_one_package() {
    for package in ["aegis.custom.x", "aegis", "main", "aegis[\"custom\"]"] {
        let problems = check(&format!("package {package}\ndeny contains \"x\"\n")).expect_err("a refusal");
        assert_eq!(
            (problems[0].code, problems[0].span.line, problems[0].span.column),
            ("rego-package", 1, 9)
        );
    }
    check("# a comment\n\npackage aegis.custom\nimport rego.v1\ndeny contains \"x\"\n").expect("a module");
}

#[test]
fn nearest_names_are_offered() {
    let help = |rules: &str| check_rules(rules).expect_err("a refusal")[0].help.clone();
    assert_eq!(help("deny contains \"x\" if startswth(input.a, \"x\")"), "did you mean `startswith`?");
    assert_eq!(help("deny contains \"x\" if lage\nlarge if input.a"), "did you mean `large`?");
    assert_eq!(help("deny contains \"x\" if { some item in input.l; itm == 1 }"), "did you mean `item`?");
}

#[test]
fn every_problem_is_reported_at_once() {
    let rules = "deny contains \"x\" if { sprintf(\"\", []); y == 1 }\napproval contains 5 if data.x";
    let problems = check_rules(rules).expect_err("a refusal");
    let found: Vec<(&str, u32)> = problems.iter().map(|problem| (problem.code, problem.span.line)).collect();
    assert_eq!(
        found,
        [("rego-unsupported", 3), ("rego-type", 3), ("rego-builtin", 2), ("rego-unknown-name", 2)]
    );
}

#[test]
fn too_many_rules_are_refused() {
    let rules: String = (0..600).map(|number| format!("p{number} := {number}\n")).collect();
    assert_eq!(
        refused_quickly(&format!("package aegis.custom\ndeny contains \"x\"\n{rules}")),
        "rego-too-large"
    );
}

/// Each function doubles the depth of its argument: values are compared and dropped recursively.
#[test]
fn deep_values_are_refused() {
    let functions: String =
        (1..17).map(|number| format!("f{number}(x) := f{0}(f{0}(x))\n", number - 1)).collect();
    let rules = format!("deny contains \"x\" if f16(1)\nf0(x) := [x]\n{functions}");
    let problems = check_rules(&rules).expect_err("a refusal");
    assert!(problems.iter().all(|problem| problem.code == "rego-too-deep"), "{problems:?}");
    let rules: String = (1..200).map(|number| format!("p{number} := [p{}]\n", number - 1)).collect();
    let problems =
        check_rules(&format!("deny contains \"x\" if p199 == 1\np0 := 1\n{rules}")).expect_err("a refusal");
    assert_eq!(problems[0].code, "rego-too-deep");
}

/// Too much for the machine's registers: refused when it is checked, not when it is activated.
#[test]
fn a_rule_too_large_for_the_machine_is_refused_at_check() {
    let lines: String = (0..400).map(|number| format!("\tcount(input.a{number}) > {number}\n")).collect();
    let problems = check_rules(&format!("deny contains \"x\" if {{\n{lines}}}")).expect_err("a refusal");
    assert_eq!(problems[0].code, "rego-too-large");
    assert!(problems[0].message.contains("Register overflow"), "{}", problems[0].message);
}

/// The machine's jumps would wrap around silently.
#[test]
fn too_many_statements_are_refused_at_check() {
    let rule = |number: usize| {
        format!("p{number} if {{\n{}}}\n", format!("\tcount(input.a) > {number}\n").repeat(10))
    };
    let rules: String = (0..500).map(rule).collect();
    let text = format!("package aegis.custom\ndeny contains \"x\"\n{rules}");
    let problems = check(&text).expect_err("a refusal");
    assert_eq!(problems[0].message, "the module is too large to evaluate: it has too many statements");
}

#[test]
fn too_many_regular_expressions_are_refused() {
    let lines: String =
        (0..100).map(|number| format!("p{number} if regex.match(`a{{{number},}}`, input.a)\n")).collect();
    let problems = check_rules(&format!("deny contains \"x\"\n{lines}")).expect_err("a refusal");
    assert_eq!(problems[0].code, "rego-too-large");
    assert_eq!(problems[0].message, "a module has at most 64 regular expressions");
}

// ---- second line of defence: evaluation

/// Even recursion that slipped through would end at the step limit.
#[test]
fn recursion_ends_at_the_step_limit() {
    for rules in ["deny contains \"x\" if f(1)\nf(x) if f(x)", "deny contains \"x\" if a\na if b\nb if a"] {
        let rego = format!("package aegis.custom.m_0\n{rules}\n");
        let program =
            Program::build("aegis.custom.m_0", &rego, &["deny"], BUILTINS, &[]).expect("it compiles");
        let (result, time) = timed(|| program.run(0, Value::from(json!({}))));
        assert_eq!(result, Err(EvaluationError::Machine));
        assert!(time < BOUNDED, "{time:?}");
    }
}

#[test]
fn nested_loops_end_at_the_step_limit() {
    let list: Vec<u32> = (0..1_000).collect();
    let rules = "deny contains \"x\" if { some a in input.l; some b in input.l; some c in input.l; a + b + c == 5000 }";
    assert_eq!(ends(rules, json!({"l": list})), "the virtual machine stopped");
    let rules = "deny contains \"x\" if count([1 | some a in input.l; some b in input.l; some c in input.l; a > b; b > c]) == 1";
    assert_eq!(ends(rules, json!({"l": list})), "the virtual machine stopped");
}

/// One step compares whole values; that the lists are long has to count.
#[test]
fn long_lists_in_a_loop_end_at_the_work_limit() {
    let list: Vec<u32> = (0..100_000).collect();
    let rules = "deny contains \"x\" if { every v in input.l { not v in input.m } }";
    let text =
        ends_metered(rules, json!({"l": list, "m": list.iter().map(|v| v + 100_000).collect::<Vec<_>>()}));
    assert_eq!(text, "`aegis.member` failed: the evaluation takes too much work");
    let rules = "deny contains \"x\" if { every v in input.l { v >= 0; input.m == input.n } }";
    let text = ends_metered(rules, json!({"l": list, "m": list, "n": list}));
    assert_eq!(text, "`aegis.equal` failed: the evaluation takes too much work");
}

/// Forty lines that share their parts make values of 2^40 members.
#[test]
fn shared_parts_are_counted_each_time() {
    let doubled = |name: &str| -> String {
        (1..=40).map(|number| format!("{name}{number} := [{name}{0}, {name}{0}]\n", number - 1)).collect()
    };
    let rules = format!(
        "deny contains \"x\" if a40 == b40\na0 := input.a\nb0 := input.b\n{}{}",
        doubled("a"),
        doubled("b")
    );
    let text = ends(&rules, json!({"a": [1], "b": [1]}));
    assert_eq!(text, "`aegis.equal` failed: the evaluation takes too much work");
    let rules = format!("deny contains \"x\" if {{a40: 1}} == input.b\na0 := input.a\n{}", doubled("a"));
    let text = ends(&rules, json!({"a": [1], "b": {}}));
    assert_eq!(text, "`aegis.key` failed: it is too large for an element of a set or a key");
}

#[test]
fn growing_strings_and_arrays_end_at_the_work_limit() {
    let strings: String =
        (1..=30).map(|number| format!("s{number} := concat(\"\", [s{0}, s{0}])\n", number - 1)).collect();
    let text = ends(
        &format!("deny contains \"x\" if s30 == \"y\"\ns0 := input.s\n{strings}"),
        json!({"s": "0123456789"}),
    );
    assert_eq!(text, "`concat` failed: the evaluation takes too much work");
    let arrays: String =
        (1..=30).map(|number| format!("s{number} := array.concat(s{0}, s{0})\n", number - 1)).collect();
    let text = ends(
        &format!("deny contains \"x\" if s30 == input.b\ns0 := input.s\n{arrays}"),
        json!({"s": [1, 2]}),
    );
    assert_eq!(text, "`array.concat` failed: the evaluation takes too much work");
    let text = ends(
        "deny contains \"x\" if replace(input.s, \"\", input.s) == \"\"",
        json!({"s": "x".repeat(100_000)}),
    );
    assert_eq!(text, "`replace` failed: the evaluation takes too much work");
}

#[test]
fn one_regular_expression_on_many_long_texts_ends_at_the_work_limit() {
    let texts: Vec<String> = (0..1_000).map(|number| format!("{number}{}", "a".repeat(50_000))).collect();
    let rules = "deny contains \"x\" if { some t in input.l; regex.match(`^(a|aa)+$`, t) }";
    let text = ends_metered(rules, json!({"l": texts}));
    assert_eq!(text, "`regex.match` failed: the evaluation takes too much work");
}

/// The machine by itself lets each of these rules not fire, without a word.
#[test]
fn a_swallowed_error_is_an_error() {
    for (rules, name) in [
        ("deny contains \"x\" if to_number(input.zz) > 3", "to_number"),
        ("deny contains \"x\" if input.zz + 1 > 3", "aegis.plus"),
        ("deny contains \"x\" if not input.zz % 2 == 1", "aegis.rest"),
        ("deny contains \"x\" if limit > 3\nlimit := 4 if input.zz\nlimit := 5 if input.yy", "aegis.only"),
        (
            "deny contains \"x\" if { o := {k: v | some k in [\"a\"]; some v in [1, 2]}; o.a == 3 }",
            "aegis.object",
        ),
        ("deny contains \"x\" if regex.match(`a`, input.n)", "regex.match"),
    ] {
        let module = check_rules(rules).expect("a module");
        match evaluate(&module, json!({"zz": "zz", "yy": true, "n": 5})) {
            Err(EvaluationError::Host { name: failed, .. }) => assert_eq!(failed, name, "{rules}"),
            other => panic!("{other:?}: {rules}"),
        }
    }
}

/// After an evaluation was given up in its middle, the thread's machine starts anew.
#[test]
fn a_failed_evaluation_leaves_no_trace() {
    let module =
        check_rules("deny contains \"x\" if { some v in input.l; to_number(v) > 3 }").expect("a module");
    for _ in 0..3 {
        assert!(evaluate(&module, json!({"l": ["1", "zz", "5"]})).is_err());
        assert_eq!(evaluate(&module, json!({"l": ["1"]})), Ok(Value::new_set()));
    }
}
