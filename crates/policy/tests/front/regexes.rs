//! Translated patterns mean the same to RE2, as a stock `opa` runs it, and to Rust.

use std::io::Write;
use std::process::{Command, Stdio};

use aegis_policy::regex_subset::{translate, translate_whole};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};

/// Patterns out of everything that one of the engines knows.
const PATTERNS: &str = r"(\(\?[ims-]{1,3}\)|[a-cksKS]|\.|\\[dwsDWSnt.]|\[\^?[a-c\\dks0-9-]{1,4}\]|\(|\)|\||[*+?]|\{[0-9]{1,2},?[0-9]{0,2}\}|\^|\$|\\A|\\z|[!-/:-@\[-`{-~]|\[\[:\^?(alpha|digit|space|punct|upper|lower)+:\]\]|é|K){1,9}";
/// Texts that the patterns may match, with the characters on which engines like to differ.
const TEXTS: &str = "[a-ckKsS0-9 \n_\u{212a}\u{17f}éÉ\u{b}\t.-]{0,6}";
/// How many patterns are compared, and each on how many texts.
const COMPARED: (usize, usize) = (3_000, 12);

const RULES: &str = "package rx
invalid contains one.pattern if { some one in input; not regex.is_valid(one.pattern) }
differs contains [one.pattern, text.text] if { some one in input; some text in one.texts; regex.match(one.pattern, text.text) != text.matches }
";

/// Patterns with texts, and what Rust's engine says of each.
fn samples() -> Vec<Value> {
    let mut runner = TestRunner::deterministic();
    let strategy = |regex: &str| proptest::string::string_regex(regex).expect("a pattern for samples");
    let (patterns, texts) = (strategy(PATTERNS), strategy(TEXTS));
    let mut draw = |of: &proptest::string::RegexGeneratorStrategy<String>| {
        of.new_tree(&mut runner).expect("a sample").current()
    };
    let mut samples = Vec::new();
    for number in 0..COMPARED.0 * 20 {
        if samples.len() == COMPARED.0 {
            break;
        }
        let pattern = draw(&patterns);
        let translated = if number % 2 == 0 { translate_whole(&pattern) } else { translate(&pattern) };
        let Ok(printed) = translated else { continue };
        let regex = regex::Regex::new(&printed).expect("what is printed compiles");
        let texts: Vec<Value> = (0..COMPARED.1)
            .map(|_| draw(&texts))
            .map(|text| json!({"matches": regex.is_match(&text), "text": text}))
            .collect();
        samples.push(json!({"pattern": printed, "texts": texts}));
    }
    samples
}

#[test]
fn both_engines_say_the_same() {
    let samples = samples();
    assert_eq!(samples.len(), COMPARED.0);
    let matches = samples
        .iter()
        .flat_map(|sample| sample["texts"].as_array().expect("texts"))
        .filter(|text| text["matches"] == true);
    assert!(matches.count() > COMPARED.0, "too few texts match to compare anything");
    let Some(program) = std::env::var_os("AEGIS_OPA").filter(|value| !value.is_empty()) else {
        eprintln!("skipped: AEGIS_OPA names no opa");
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let rules = folder.path().join("rx.rego");
    std::fs::write(&rules, RULES).expect("the rules are written");
    let mut opa = Command::new(program)
        .args(["eval", "--format=raw", "--strict-builtin-errors", "--stdin-input", "--data"])
        .arg(&rules)
        .arg("[data.rx.invalid, data.rx.differs]")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("opa starts");
    let mut stdin = opa.stdin.take().expect("its standard input");
    stdin.write_all(&serde_json::to_vec(&samples).expect("JSON")).expect("opa reads");
    drop(stdin);
    let output = opa.wait_with_output().expect("opa ends");
    assert_eq!(String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<String>(), "[[],[]]");
}
