//! Custom Rego: what modules mean, in this process and in a stock OPA.
//!
//! Each module of [`MODULES`] and each expression of [`EXPRESSIONS`] is judged by the engine against what stands
//! beside it; with `AEGIS_OPA` naming an `opa`, by that too. Random modules are only compared with OPA.

#![allow(
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "helpers of tests; what was not compared is said"
)]
#![expect(
    clippy::panic,
    clippy::print_stderr,
    reason = "helpers of tests, outside of `#[test]` functions; what was not compared is said"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

use aegis_policy::ast::{SourceFile, Span};
use aegis_policy::custom::{self, BUILTINS, Module, host};
use aegis_policy::diagnostic::Diagnostic;
use aegis_policy::program::Program;
use regorus::Value;
use serde_json::json;

mod random_rego;

/// Checks a module of which only the rules are given.
fn checked(name: &str, rules: &str) -> Result<Module, Vec<(&'static str, String)>> {
    let text = format!("package aegis.custom\n\n{rules}\n");
    let file = SourceFile { path: "custom.rego".to_owned(), text: text.as_str().into() };
    let render = |problem: &Diagnostic| (problem.code, problem.render(std::slice::from_ref(&file), false));
    custom::module(name, &file, 0, Span::default()).map_err(|problems| problems.iter().map(render).collect())
}

fn module(name: &str, rules: &str) -> Module {
    checked(name, rules).unwrap_or_else(|problems| {
        let shown: Vec<String> = problems.into_iter().map(|(_, shown)| shown).collect();
        panic!("{}\n{rules}", shown.join("\n"));
    })
}

/// The reasons of a set, sorted; or why there are none.
fn reasons(module: &Module, set: &str, input: &serde_json::Value) -> Result<Vec<String>, String> {
    let package = format!("aegis.custom.{}", module.name);
    let program = Program::build(&package, &module.machine, &[set], BUILTINS, &module.patterns)
        .unwrap_or_else(|error| panic!("{error}\n{}", module.machine));
    match program.run(0, Value::from(input.clone())) {
        Ok(Value::Set(found)) => Ok(found.iter().map(text).collect()),
        Ok(other) => Err(format!("{other} is no set")),
        Err(error) => Err(error.to_string()),
    }
}

fn text(value: &Value) -> String {
    value.as_string().map_or_else(|_| value.to_string(), |text| text.to_string())
}

fn opa() -> Option<PathBuf> {
    let path = std::env::var_os("AEGIS_OPA").map(PathBuf::from);
    if path.is_none() {
        eprintln!("opa was not compared: AEGIS_OPA does not name it");
    }
    path
}

/// What `opa` says of `query` over these modules: its JSON, or its errors.
fn opa_eval(
    opa: &Path,
    modules: &[&Module],
    input: &serde_json::Value,
    query: &str,
) -> Result<serde_json::Value, String> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for module in modules {
        std::fs::write(folder.path().join(format!("{}.rego", module.name)), &module.rego)
            .expect("a writable file");
    }
    let input_path = folder.path().join("input.txt");
    std::fs::write(&input_path, input.to_string()).expect("a writable file");
    let output = Command::new(opa)
        .args(["eval", "--strict-builtin-errors", "--format", "json", "--input"])
        .arg(&input_path)
        .args(modules.iter().flat_map(|module| ["-d".to_owned(), format!("{}.rego", module.name)]))
        .arg(query)
        .current_dir(folder.path())
        .output()
        .expect("opa runs");
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| String::from_utf8_lossy(&output.stderr).into_owned())?;
    match answer.pointer("/result/0/expressions/0/value") {
        Some(value) => Ok(value.clone()),
        None => Err(answer["errors"].to_string()),
    }
}

fn opa_reasons(
    opa: &Path,
    module: &Module,
    set: &str,
    input: &serde_json::Value,
) -> Result<Vec<String>, String> {
    let query = format!("data.aegis.custom.{}.{set}", module.name);
    opa_eval(opa, &[module], input, &query).map(|found| sorted(&found))
}

fn sorted(found: &serde_json::Value) -> Vec<String> {
    let members = found.as_array().expect("a set");
    members.iter().map(|member| member.as_str().map_or_else(|| member.to_string(), str::to_owned)).collect()
}

/// Rules, input, and the reasons of `deny`.
const MODULES: &[(&str, &str, &[&str])] = &[
    (r#"deny contains "x" if input.params.a == 1"#, r#"{"params": {"a": 1}}"#, &["x"]),
    (r#"deny contains "x" if input.params.a == 1"#, r#"{"params": {"a": "1"}}"#, &[]),
    (r#"deny contains "x" if input.params.a == 1"#, "{}", &[]),
    // A text is more than any number, as Rego orders types; the virtual machine by itself gives up here.
    (r#"deny contains "x" if input.a > 5"#, r#"{"a": "abc"}"#, &["x"]),
    (r#"deny contains "x" if input.a < 5"#, r#"{"a": null}"#, &["x"]),
    (r#"deny contains "x" if input.a <= {}"#, r#"{"a": []}"#, &["x"]),
    (r#"deny contains "x" if {} < {1}"#, "{}", &["x"]),
    // An undefined assignment fails its body.
    (r#"deny contains "x" if { y := input.a }"#, "{}", &[]),
    (r#"deny contains "x" if { y := input.a }"#, r#"{"a": false}"#, &["x"]),
    (r#"deny contains "x" if { input.a }"#, r#"{"a": false}"#, &[]),
    (r#"deny contains "x" if { input.a }"#, r#"{"a": null}"#, &["x"]),
    (r#"deny contains "x" if not input.a"#, r#"{"a": 0}"#, &[]),
    (r#"deny contains "x" if not input.a"#, "{}", &["x"]),
    // Operands are evaluated in front of `not`: where one is missing, nothing holds.
    (r#"deny contains "x" if not input.a > 3"#, "{}", &[]),
    (r#"deny contains "x" if not input.a > 3"#, r#"{"a": 2}"#, &["x"]),
    (r#"deny contains "x" if not count(input.a) > 3"#, "{}", &[]),
    (r#"deny contains "x" if not input.a in ["p"]"#, "{}", &[]),
    (r#"deny contains "x" if not input.a == 3"#, "{}", &["x"]),
    (r#"deny contains "x" if not input.a != 3"#, "{}", &[]),
    (r#"deny contains "x" if not input.l[input.a] == 3"#, r#"{"l": []}"#, &[]),
    (r#"deny contains "x" if not input.l[input.a] == 3"#, r#"{"l": [], "a": 2}"#, &["x"]),
    (r#"deny contains "x" if not (input.a == 3) == false"#, "{}", &[]),
    (r#"deny contains "x" if not input.l[input.a]"#, r#"{"l": [1]}"#, &[]),
    (r#"deny contains "x" if not input.l[7]"#, r#"{"l": [1]}"#, &["x"]),
    (r#"deny contains "x" if not object.get(input, "a", 0) > 3"#, "{}", &["x"]),
    (r#"deny contains "x" if { every v in input.l { not v.q > 3 } }"#, r#"{"l": [{}]}"#, &[]),
    (
        r#"deny contains "x" if not f(1)[0]
f(x) := [x] if x > 3"#,
        "{}",
        &[],
    ),
    (
        r#"deny contains "x" if not f(1)[0]
f(x) := [false] if x > 0"#,
        "{}",
        &["x"],
    ),
    (
        r#"deny contains "x" if { not p }
p if { some x in input.l; x > 10 }"#,
        r#"{"l": [1, 2]}"#,
        &["x"],
    ),
    (
        r#"deny contains "x" if { not p }
p if { some x in input.l; x > 1 }"#,
        r#"{"l": [1, 2]}"#,
        &[],
    ),
    // Loops.
    (r#"deny contains x if { some x in input.l; x != "b" }"#, r#"{"l": ["a", "b", "c"]}"#, &["a", "c"]),
    (r#"deny contains k if { some k, v in input.o; v > 1 }"#, r#"{"o": {"a": 1, "b": 2}}"#, &["b"]),
    (
        r#"deny contains format_int(i, 10) if { some i, v in input.l; v > 1 }"#,
        r#"{"l": [1, 2, 3]}"#,
        &["1", "2"],
    ),
    (r#"deny contains input.l[_]"#, r#"{"l": ["a", "b"]}"#, &["a", "b"]),
    (r#"deny contains "x" if input.l[_].a[_] == 3"#, r#"{"l": [{"a": [1]}, {}, {"a": [2, 3]}]}"#, &["x"]),
    (r#"deny contains "x" if { some x in input.a }"#, r#"{"a": 5}"#, &[]),
    (r#"deny contains "x" if { some x in input.a }"#, r#"{"a": "text"}"#, &[]),
    (r#"deny contains "x" if { some _, v in input.a; v == 1 }"#, r#"{"a": {"k": 1}}"#, &["x"]),
    (
        r#"deny contains x if { some x in names }
names contains lower(n) if { some n in input.l }"#,
        r#"{"l": ["A", "B", "a"]}"#,
        &["a", "b"],
    ),
    // `every`.
    (r#"deny contains "x" if { every v in input.l { v > 0 } }"#, r#"{"l": [1, 2]}"#, &["x"]),
    (r#"deny contains "x" if { every v in input.l { v > 1 } }"#, r#"{"l": [1, 2]}"#, &[]),
    (r#"deny contains "x" if { every v in input.l { v > 1 } }"#, r#"{"l": []}"#, &["x"]),
    (r#"deny contains "x" if { every v in input.l { v > 1 } }"#, r#"{"l": 5}"#, &[]),
    (r#"deny contains "x" if { every v in input.l { v > 1 } }"#, "{}", &[]),
    (
        r#"deny contains "x" if { every k, v in input.o { k == v } }"#,
        r#"{"o": {"a": "a", "b": "b"}}"#,
        &["x"],
    ),
    (
        r#"deny contains "x" if { every v in input.l { some w in input.m; v == w } }"#,
        r#"{"l": [1, 2], "m": [2, 1]}"#,
        &["x"],
    ),
    (r#"deny contains "x" if { every v in input.l { y := v.q; y > 0 } }"#, r#"{"l": [{"q": 1}, {}]}"#, &[]),
    (
        r#"deny contains "x" if { every v in input.l { every w in v { w > 1 } } }"#,
        r#"{"l": [[2], [], [3]]}"#,
        &["x"],
    ),
    // `input` is first used in a loop that does not run.
    (
        r#"deny contains "x" if {
	count([y | some v in ["a"]; v == "b"; y := input.o]) == 0
	count([y | some y in input.o]) == 2
	every v in input.q { v }
}"#,
        r#"{"o": {"p": 1, "q": 2}, "q": []}"#,
        &["x"],
    ),
    // Comprehensions skip what is undefined.
    (
        r#"deny contains "x" if [v.q | some v in input.l] == [1, 3]"#,
        r#"{"l": [{"q": 1}, {}, {"q": 3}]}"#,
        &["x"],
    ),
    (r#"deny contains "x" if [v | v := input.zz] == []"#, "{}", &["x"]),
    (r#"deny contains "x" if {v | some v in input.l; v > 1} == {2, 3}"#, r#"{"l": [3, 1, 2, 2]}"#, &["x"]),
    (
        r#"deny contains "x" if count({k: v | some k, v in input.o; v > 1}) == 1"#,
        r#"{"o": {"a": 1, "b": 2}}"#,
        &["x"],
    ),
    (
        r#"deny contains "x" if { m := {v.k: v.n | some v in input.l}; m.a == 1; m["b"] == 2 }"#,
        r#"{"l": [{"k": "a", "n": 1}, {"k": "b", "n": 2}, {"k": "a", "n": 1}]}"#,
        &["x"],
    ),
    (
        r#"deny contains "x" if { every v in input.l { count([w | some w in v; w > 1]) == 1 } }"#,
        r#"{"l": [[2], [3, 1]]}"#,
        &["x"],
    ),
    (
        r#"deny contains "x" if { l := [[w | some w in v; w > 1] | some v in input.l]; l == [[], [3], []] }"#,
        r#"{"l": [[], [3], [1]]}"#,
        &["x"],
    ),
    // `else`, also behind a loop that finds nothing.
    (
        r#"deny contains level
level := "high" if { some v in input.l; v > 5 } else := "low" if { some v in input.l; v > 3 } else := "none""#,
        r#"{"l": [1, 4]}"#,
        &["low"],
    ),
    (
        r#"deny contains level
level := "high" if { some v in input.l; v > 5 } else := "low" if { some v in input.l; v > 4 } else := "none""#,
        r#"{"l": [1, 4]}"#,
        &["none"],
    ),
    (
        r#"deny contains size(v) if { some v in input.l }
size(v) := "big" if v > 2 else := "mid" if v > 1 else := "small""#,
        r#"{"l": [1, 2, 3]}"#,
        &["big", "mid", "small"],
    ),
    (
        r#"deny contains size(v) if { some v in input.l }
size(v) := w if { some w in ["3", "4"]; to_number(w) == v } else := "none""#,
        r#"{"l": [1, 3]}"#,
        &["3", "none"],
    ),
    (
        r#"deny contains f(input.a)
f(x) := "one" if x == 1 else := "odd" if x % 2 == 1
f(x) := "two" if x == 2"#,
        r#"{"a": 2}"#,
        &["two"],
    ),
    (
        r#"deny contains f(input.a)
f(x) := "one" if x == 1 else := "odd" if x % 2 == 1
f(x) := "odd" if x == 3"#,
        r#"{"a": 3}"#,
        &["odd"],
    ),
    // Values of rules.
    (
        r#"deny contains "x" if limit == 5
default limit := 5
limit := 9 if input.big"#,
        "{}",
        &["x"],
    ),
    (
        r#"deny contains "x" if limit == 9
default limit := 5
limit := 9 if { some v in input.l; v == 2 }"#,
        r#"{"l": [1, 2, 3]}"#,
        &["x"],
    ),
    (
        r#"deny contains "x" if limit == 9
limit := input.a if input.a > 1
limit := input.b if input.b > 1"#,
        r#"{"a": 9, "b": 9}"#,
        &["x"],
    ),
    (
        r#"deny contains "x" if limit == 9
limit := input.a if input.a > 1
limit := input.b if input.b > 1"#,
        r#"{"a": 1, "b": 9}"#,
        &["x"],
    ),
    (
        r#"deny contains "x" if flag
flag if input.a == 1
flag if input.b == 1"#,
        r#"{"b": 1}"#,
        &["x"],
    ),
    (
        r#"deny contains "x" if not flag
flag := false if input.a == 1"#,
        r#"{"a": 1}"#,
        &["x"],
    ),
    (
        r#"deny contains "x" if { not f(input.zz) }
f(_) := 1"#,
        "{}",
        &[],
    ),
    (
        r#"deny contains "x" if { not f(1) }
f(x) := x if x > 1"#,
        "{}",
        &["x"],
    ),
    (
        r#"deny contains f(1)[0]
f(x) := ["a", x]"#,
        "{}",
        &["a"],
    ),
    (r#"deny contains a if { [a, _] := input.l }"#, r#"{"l": ["p", "q"]}"#, &["p"]),
    (r#"deny contains a if { [a, _] := input.l }"#, r#"{"l": ["p", "q", "r"]}"#, &[]),
    (r#"deny contains a if { [a, _] := input.l }"#, r#"{"l": "pq"}"#, &[]),
    (
        r#"deny contains "x" if table[input.a] == "v"
table := {"k": "v", "l": "w"}"#,
        r#"{"a": "k"}"#,
        &["x"],
    ),
    (
        r#"deny contains "x" if names[input.a]
names := {"p", "q"}"#,
        r#"{"a": "p"}"#,
        &["x"],
    ),
    (
        r#"deny contains "x" if names.p
names contains "p" if true"#,
        "{}",
        &["x"],
    ),
    (r#"deny contains "x" if { k := "a"; input.o[k].b[0] == 7 }"#, r#"{"o": {"a": {"b": [7]}}}"#, &["x"]),
    // Operators.
    (r#"deny contains "x" if input.a * 2 + 3 - 1 == 12"#, r#"{"a": 5}"#, &["x"]),
    (r#"deny contains "x" if (input.a + 1) % 4 == 2"#, r#"{"a": 5}"#, &["x"]),
    (r#"deny contains "x" if 1 - 2 - 3 == -4"#, "{}", &["x"]),
    (r#"deny contains "x" if 2 + 3 * 4 == 14"#, "{}", &["x"]),
    (r#"deny contains "x" if -7 % 3 == -1"#, "{}", &["x"]),
    (
        r#"deny contains "x" if { a := {v | some v in input.l}; a - {1} == {2}; a | {3} == {1, 2, 3}; a & {1} == {1} }"#,
        r#"{"l": [1, 2]}"#,
        &["x"],
    ),
    (r#"deny contains "x" if { a := {1}; a | {2} & {2, 3} == {1, 2} }"#, "{}", &["x"]),
    (r#"deny contains "x" if input.a in ["p", "q"]"#, r#"{"a": "q"}"#, &["x"]),
    (r#"deny contains "x" if input.a in {"p", "q"}"#, r#"{"a": "r"}"#, &[]),
    (r#"deny contains "x" if not input.a in {"p", "q"}"#, r#"{"a": "r"}"#, &["x"]),
    (r#"deny contains "x" if input.a in input.o"#, r#"{"a": 2, "o": {"k": 2}}"#, &["x"]),
    (r#"deny contains "x" if input.a in input.o"#, r#"{"a": 2, "o": 2}"#, &[]),
    (r#"deny contains "x" if ("k", 2 in input.o)"#, r#"{"o": {"k": 2}}"#, &["x"]),
    (r#"deny contains "x" if (1, "b" in input.l)"#, r#"{"l": ["a", "b"]}"#, &["x"]),
    (r#"deny contains "x" if (2, "b" in input.l)"#, r#"{"l": ["a", "b"]}"#, &[]),
    (r#"deny contains "x" if [1, [2, {"a": 3}]] == input.l"#, r#"{"l": [1, [2, {"a": 3}]]}"#, &["x"]),
    (r#"deny contains "x" if [1, [2, {"a": 3}]] != input.l"#, r#"{"l": [1, [2, {"a": 4}]]}"#, &["x"]),
    (r#"deny contains "x" if 0.1 < input.a"#, r#"{"a": 0.25}"#, &["x"]),
    (
        r#"deny contains "x" if {[1, "a"], [2, "b"]} == {[v, w] | some v, w in {1: "a", 2: "b"}}"#,
        "{}",
        &["x"],
    ),
    ("deny contains `a\\d\n\"q\"` if true", "{}", &["a\\d\n\"q\""]),
    (r#"deny contains "\u00e4\n\"" if true"#, "{}", &["ä\n\""]),
    // Regular expressions.
    (r#"deny contains "x" if regex.match(`^\d+$`, input.a)"#, r#"{"a": "123"}"#, &["x"]),
    (r#"deny contains "x" if regex.match(`^\d+$`, input.a)"#, r#"{"a": "١٢٣"}"#, &[]),
    (r#"deny contains "x" if regex.match(`(?i)^k$`, input.a)"#, r#"{"a": "\u212a"}"#, &[]),
    (r#"deny contains "x" if not regex.match("^a.c$", input.a)"#, r#"{"a": "abc"}"#, &[]),
    (
        r#"deny contains "x" if { some p in input.l; regex.match(`^/tmp/`, p) }"#,
        r#"{"l": ["/etc", "/tmp/x"]}"#,
        &["x"],
    ),
];

#[test]
fn modules_mean_what_stands_beside_them() {
    let opa = opa();
    let mut wrong = Vec::new();
    for (number, (rules, input, expected)) in MODULES.iter().enumerate() {
        let module = module(&format!("m_{number}"), rules);
        let input: serde_json::Value = serde_json::from_str(input).expect("JSON");
        let mut voices = vec![("engine", reasons(&module, "deny", &input))];
        voices.extend(opa.as_ref().map(|opa| ("opa", opa_reasons(opa, &module, "deny", &input))));
        for (voice, found) in voices {
            if found.as_deref()
                != Ok(expected.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>().as_slice())
            {
                wrong.push(format!(
                    "{voice} says {found:?}, not {expected:?}, of {input}:\n{rules}\n--\n{}",
                    module.machine
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Expressions and their values, over [`expression_input`].
const EXPRESSIONS: &[(&str, &str)] = &[
    ("abs(input.minus)", "7"),
    ("abs(-1.5)", "1.5"),
    ("ceil(1.2)", "2"),
    ("ceil(-1.5)", "-1"),
    ("ceil(3)", "3"),
    ("floor(1.8)", "1"),
    ("floor(-1.5)", "-2"),
    ("round(0.5)", "1"),
    ("round(2.5)", "3"),
    ("round(-2.5)", "-3"),
    ("round(-0.4)", "0"),
    ("round(0.49)", "0"),
    ("count(\"aä€\")", "3"),
    ("count(input.o)", "2"),
    ("count({1, 1, 2})", "2"),
    ("sum([])", "0"),
    ("sum([1, 2, -5])", "-2"),
    ("sum({1, 1})", "1"),
    ("product([])", "1"),
    ("product([2, 3])", "6"),
    ("max([1, \"a\", null])", "\"a\""),
    ("min([1, \"a\", null])", "null"),
    ("max([{1}, {\"a\": 1}])", "{1}"),
    ("min({3, 2})", "2"),
    ("[x | x := max([])]", "[]"),
    ("sort([{1}, {\"a\": 1}, [1], \"a\", 1, null, true])", "[null, true, 1, \"a\", [1], {\"a\": 1}, {1}]"),
    ("sort([3, 1.5, 2, -1])", "[-1, 1.5, 2, 3]"),
    ("sort([{\"b\": 1}, {\"a\": 2}, {\"a\": 1}])", "[{\"a\": 1}, {\"a\": 2}, {\"b\": 1}]"),
    ("sort({\"b\", \"a\"})", "[\"a\", \"b\"]"),
    ("sort([[2], [1, 5], [1]])", "[[1], [1, 5], [2]]"),
    ("lower(\"AbÄÖΩЖ\")", "\"abäöωж\""),
    ("upper(\"abäöωж\")", "\"ABÄÖΩЖ\""),
    ("upper(\"日本 ok\")", "\"日本 OK\""),
    ("trim(\"aabca\", \"a\")", "\"bc\""),
    ("trim(\"xyabcyx\", \"xy\")", "\"abc\""),
    ("trim_left(\"aabc\", \"ab\")", "\"c\""),
    ("trim_right(\"abcc\", \"c\")", "\"ab\""),
    ("trim_prefix(\"aab\", \"a\")", "\"ab\""),
    ("trim_suffix(\"baa\", \"a\")", "\"ba\""),
    ("trim_prefix(\"aab\", \"x\")", "\"aab\""),
    ("trim_space(\"\\u00a0\\t a \\u3000\\u2028\")", "\"a\""),
    ("trim_space(\"\\u200ba\\ufeff\")", "\"\\u200ba\\ufeff\""),
    ("startswith(\"abc\", \"\")", "true"),
    ("endswith(\"abc\", \"bc\")", "true"),
    ("contains(\"abc\", \"\")", "true"),
    ("contains(\"abc\", \"d\")", "false"),
    ("indexof(\"aäb\", \"b\")", "2"),
    ("indexof(\"abc\", \"d\")", "-1"),
    ("substring(\"aäb\", 1, 1)", "\"ä\""),
    ("substring(\"abc\", 5, 1)", "\"\""),
    ("substring(\"abc\", 1, -1)", "\"bc\""),
    ("substring(\"abc\", 1, 99)", "\"bc\""),
    ("substring(\"abc\", 3, 1)", "\"\""),
    ("replace(\"abc\", \"\", \"-\")", "\"-a-b-c-\""),
    ("replace(\"aaa\", \"aa\", \"b\")", "\"ba\""),
    ("split(\"abc\", \"\")", "[\"a\", \"b\", \"c\"]"),
    ("split(\"\", \",\")", "[\"\"]"),
    ("split(\"\", \"\")", "[]"),
    ("split(\"a,,b\", \",\")", "[\"a\", \"\", \"b\"]"),
    ("concat(\",\", [])", "\"\""),
    ("concat(\",\", {\"b\", \"a\"})", "\"a,b\""),
    ("concat(\", \", [\"b\", \"a\"])", "\"b, a\""),
    ("to_number(\"12\")", "12"),
    ("to_number(\"-12.50\")", "-12.5"),
    ("to_number(\"0\")", "0"),
    ("to_number(null)", "0"),
    ("to_number(true)", "1"),
    ("to_number(1.5)", "1.5"),
    ("format_int(255, 16)", "\"ff\""),
    ("format_int(-255, 2)", "\"-11111111\""),
    ("format_int(9007199254740992, 10)", "\"9007199254740992\""),
    ("format_int(8, 8)", "\"10\""),
    ("format_int(-1.9, 10)", "\"-1\""),
    ("is_null(null)", "true"),
    ("is_boolean(input.o)", "false"),
    ("is_number(1.5)", "true"),
    ("is_string(input.minus)", "false"),
    ("is_array({1})", "false"),
    ("is_set({1})", "true"),
    ("is_object(input.o)", "true"),
    ("type_name(input.o)", "\"object\""),
    ("type_name({1})", "\"set\""),
    ("type_name(1)", "\"number\""),
    ("object.get(input.o, \"a\", 9)", "1"),
    ("object.get(input.o, \"z\", 9)", "9"),
    ("object.get(input.o, [\"b\", 1], 9)", "\"q\""),
    ("object.get(input.o, [\"b\", 2], 9)", "9"),
    ("object.get(input.o, [\"a\", \"x\"], 9)", "9"),
    ("object.get(input.o, [], 9) == input.o", "true"),
    ("object.get({\"s\": {\"e\"}}, [\"s\", \"e\"], 9)", "\"e\""),
    ("object.keys(input.o)", "{\"a\", \"b\"}"),
    ("array.concat([1], [2])", "[1, 2]"),
    ("array.slice([1, 2, 3], -1, 2)", "[1, 2]"),
    ("array.slice([1, 2, 3], 2, 1)", "[]"),
    ("array.slice([1, 2, 3], 1, 99)", "[2, 3]"),
    ("array.slice([1, 2, 3], 5, 99)", "[]"),
    ("array.slice([1, 2, 3], -5, -1)", "[]"),
    ("array.reverse([1, 2])", "[2, 1]"),
    ("strings.any_prefix_match(\"abc\", \"ab\")", "true"),
    ("strings.any_prefix_match({\"abc\", \"x\"}, [\"zz\", \"ab\"])", "true"),
    ("strings.any_prefix_match([], \"\")", "false"),
    ("strings.any_prefix_match(\"abc\", [\"b\"])", "false"),
    ("strings.any_suffix_match(\"abc\", {\"bc\"})", "true"),
    ("union({{1}, {2}})", "{1, 2}"),
    ("union(set())", "set()"),
    ("intersection({{1, 2}, {2}})", "{2}"),
    ("intersection(set())", "set()"),
    ("net.cidr_contains(\"10.0.0.0/8\", \"10.1.2.3\")", "true"),
    ("net.cidr_contains(\"10.0.0.0/8\", \"10.0.0.0/7\") == true", "false"),
    ("net.cidr_contains(\"10.0.0.0/8\", \"10.0.0.0/16\")", "true"),
    ("net.cidr_contains(\"10.0.0.0/8\", \"11.0.0.0\")", "false"),
    ("net.cidr_contains(\"10.0.0.0/8\", \"::1\")", "false"),
    ("net.cidr_contains(\"0.0.0.0/0\", \"255.1.2.3\")", "true"),
    ("net.cidr_contains(\"::/0\", \"2001:db8::1\")", "true"),
    ("net.cidr_contains(\"::/0\", \"10.0.0.1\")", "false"),
    ("net.cidr_contains(\"2001:db8::/32\", \"2001:db8:0:0:0:0:0:1\")", "true"),
    ("net.cidr_contains(\"2001:db8::/32\", \"2001:db9::\")", "false"),
    ("net.cidr_contains(\"10.1.2.3/32\", \"10.1.2.3\")", "true"),
];

fn expression_input() -> serde_json::Value {
    json!({"minus": -7, "o": {"a": 1, "b": ["p", "q"]}})
}

#[test]
fn built_ins_give_what_opa_gives() {
    let rule = |(number, (expression, value)): (usize, &(&str, &str))| {
        format!("deny contains \"{number:03}\" if {{\n\tfound := {expression}\n\tfound == {value}\n}}\n")
    };
    let skipped = "net.cidr_contains(\"10.0.0.0/8\", \"10.0.0.0/7\") == true";
    let rules: String = EXPRESSIONS
        .iter()
        .enumerate()
        .filter(|(_, (expression, _))| *expression != skipped)
        .map(rule)
        .collect();
    let module = module("m_0", &rules);
    let mut voices = vec![("engine", reasons(&module, "deny", &expression_input()).expect("no error"))];
    if let Some(opa) = opa() {
        voices.push(("opa", opa_reasons(&opa, &module, "deny", &expression_input()).expect("no error")));
    }
    for (voice, found) in voices {
        for (number, (expression, value)) in EXPRESSIONS.iter().enumerate() {
            let holds = found.contains(&format!("{number:03}"));
            assert!(holds || *expression == skipped, "{voice}: {expression} is not {value}");
        }
    }
}

/// Expressions that end the evaluation, over [`FAILING_INPUT`]; whether OPA fails too, or computes something that
/// other engines would not.
const FAILING: &[(&str, bool)] = &[
    ("to_number(input.zz) > 3", true),
    ("to_number(input.list) > 3", true),
    ("to_number(\"007\") > 3", false),
    ("to_number(\"1e3\") > 3", false),
    ("to_number(\" 1\") > 3", true),
    ("to_number(\"0.1000000000000000055\") > 3", false),
    ("input.zz + 1 > 3", true),
    ("input.list - {1} == input.one", true),
    ("input.decimal + 1 > 3", false),
    ("input.decimal * 2 > 3", false),
    ("input.decimal % 2 > 3", true),
    ("9007199254740992 + input.one > 3", false),
    ("5 % (input.one - 1) == input.one", true),
    ("sum([0.1, 0.2]) > 3", false),
    ("sum(input.list) > 3", true),
    ("product([9007199254740991, 2]) > 3", false),
    ("count(input.one) > 3", true),
    ("(input.list | {1}) == input.one", true),
    ("input.list & {1} == input.one", true),
    ("max(input.one) == input.one", true),
    ("sort(input.o) == input.one", true),
    ("lower(input.one) == \"x\"", true),
    ("lower(\"\\u0130\") == \"x\"", false),
    ("upper(\"ß\") == \"x\"", false),
    ("indexof(\"abc\", \"\") == input.one", true),
    ("substring(\"abc\", input.one - 2, 1) == \"x\"", true),
    ("substring(\"abc\", input.decimal, 1) == \"x\"", true),
    ("concat(\",\", input.list) == \"x\"", true),
    ("split(input.one, \",\") == input.one", true),
    ("format_int(5, 3) == \"x\"", true),
    ("ceil(-0.5) == input.one", false),
    ("floor(-0.5) == input.one", false),
    ("object.get(input.list, 0, 1) == input.one", true),
    ("object.keys(input.list) == input.one", true),
    ("array.concat(input.list, input.o) == input.one", true),
    ("array.slice(input.list, input.decimal, 2) == input.one", true),
    ("array.reverse(input.o) == input.one", true),
    ("strings.any_prefix_match(input.list, \"a\")", true),
    ("union({1, 2} - {input.one}) == input.one", true),
    ("regex.match(\"a\", input.one)", true),
    ("net.cidr_contains(\"10.0.0.0/8\", input.zz)", true),
    ("net.cidr_contains(\"10.0.0.1/8\", \"10.0.0.1\")", false),
    ("net.cidr_contains(\"10.0.0.0/8\", \"::ffff:10.0.0.1\")", false),
    ("net.cidr_contains(\"10.0.0.0/8\", \"010.1.2.3\")", true),
    ("{p1: p2 | some p1 in [\"a\"]; some p2 in [1, 2]} == input.one", false),
    ("several == input.one", true),
    ("several_loop == input.one", true),
    ("several_of(input.one) == input.one", true),
];

const FAILING_INPUT: &str = r#"{"zz": "zz", "one": 1, "decimal": 1.5, "list": [1, "a"], "o": {"a": 1}}"#;

const FAILING_RULES: &str = "
several := 1 if input.one == 1

several := 2 if input.one < 2

several_loop := v if some v in input.list

several_of(x) := v if some v in [x, \"b\"]
";

/// An error is never taken for "does not fire", whether the expression stands alone, under `not` or in a loop.
#[test]
fn errors_end_the_evaluation() {
    let opa = opa();
    let input: serde_json::Value = serde_json::from_str(FAILING_INPUT).expect("JSON");
    for (expression, opa_fails) in FAILING {
        for body in [
            format!("{{\n\t{expression}\n}}"),
            format!("not {expression}"),
            format!("{{\n\tsome v in input.list\n\tv == 1\n\t{expression}\n}}"),
            format!("{{\n\tevery v in input.list {{\n\t\t{expression}\n\t\tv == v\n\t}}\n}}"),
            format!("count([v | some v in input.list; {expression}]) == 9"),
            format!("not helper\n\nhelper if {{\n\t{expression}\n}}"),
        ] {
            if expression.contains("_match(") && body.starts_with("not ") && expression.contains("==") {
                continue;
            }
            let module = module("m_0", &format!("deny contains \"x\" if {body}\n{FAILING_RULES}"));
            let found = reasons(&module, "deny", &input);
            assert!(found.is_err(), "{found:?}: {body}\n{}", module.machine);
            if let Some(opa) = opa.as_ref().filter(|_| *opa_fails) {
                let found = opa_reasons(opa, &module, "deny", &input);
                assert!(found.is_err(), "opa says {found:?}: {body}");
            }
        }
    }
}

#[test]
fn letters_have_the_counterparts_that_opa_gives_them() {
    let mapped = |name: &str, character: char| {
        let text = Value::from(character.to_string());
        host::call(name, &[text]).ok().map(|mapped| mapped.as_string().expect("a string").to_string())
    };
    assert_eq!(mapped("lower", 'Ä').as_deref(), Some("ä"));
    assert_eq!(mapped("upper", 'ß'), None);
    let every = ('\0'..='\u{2FFFF}').chain('\u{E0000}'..='\u{E01EF}');
    let known: Vec<char> = every
        .filter(|&character| mapped("lower", character).is_some() || mapped("upper", character).is_some())
        .collect();
    assert!(known.len() > 60_000, "{} characters", known.len());
    let Some(opa) = opa() else { return };
    let input = json!(known.iter().map(char::to_string).collect::<Vec<_>>());
    for name in ["lower", "upper"] {
        let found = opa_eval(&opa, &[], &input, &format!("[{name}(x) | some x in input]")).expect("no error");
        let found = found.as_array().expect("an array");
        assert_eq!(found.len(), known.len());
        for (character, found) in known.iter().zip(found) {
            if let Some(ours) = mapped(name, *character) {
                assert_eq!(
                    Some(ours.as_str()),
                    found.as_str(),
                    "{name}({character:?} {:x})",
                    u32::from(*character)
                );
            }
        }
    }
}

#[test]
fn the_text_for_opa_keeps_its_lines() {
    let rules = "# a comment\ndeny contains \"x\" if {\n\tregex.match(`^\\d+$`, input.a)\n}\n";
    let module = module("m_7", rules);
    let expected = format!("package aegis.custom.m_7\n\n{}\n", rules.replace("`^\\d+$`", "\"^(?:[0-9])+$\""));
    assert_eq!(module.rego, expected);
    assert_eq!((module.denies, module.approves), (true, false));
    assert_eq!(module.patterns, ["^(?:[0-9])+$"]);
}

#[test]
fn the_page_for_authors_is_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/custom-rego.md");
    let page = std::fs::read_to_string(path).expect("the page");
    let examples: Vec<&str> = page
        .split("```rego\n")
        .skip(1)
        .filter_map(|rest| rest.split_once("```").map(|(text, _)| text))
        .collect();
    assert!(examples.len() >= 3, "{} examples", examples.len());
    for example in examples {
        module("m_0", example.strip_prefix("package aegis.custom\n").expect("a whole module"));
    }
    let (_, section) = page.split_once("## Built-ins").expect("a section");
    let (section, _) = section.split_once("`sprintf`").expect("the end of the table");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let listed: std::collections::BTreeSet<&str> = rows
        .flat_map(|row| row.split('|').next().expect("a cell").split('`'))
        .filter(|word| !word.trim_matches([',', ' ']).is_empty())
        .collect();
    let permitted: std::collections::BTreeSet<&str> =
        BUILTINS.iter().map(|(name, _)| *name).filter(|name| !name.starts_with("aegis.")).collect();
    assert_eq!(listed, permitted);
}

#[test]
fn approval_is_a_set_of_its_own() {
    let module = module("m_0", "import rego.v1\n\napproval contains \"ask\" if input.a > 1");
    assert_eq!((module.denies, module.approves), (false, true));
    assert_eq!(reasons(&module, "approval", &json!({"a": 2})), Ok(vec!["ask".to_owned()]));
}

#[test]
fn random_modules_agree_with_opa() {
    let Some(opa) = opa() else { return };
    random_rego::compare(&opa);
}
