//! No test is switched off, nothing is left to do in code, and no test waits for time to pass.

use super::Finding;
use crate::tree::Tree;

/// Words that mark unfinished or disabled code. Written in parts, so that this file does not find itself.
const FORBIDDEN: &[(&str, &str)] = &[
    (concat!("#[ig", "nore"), "a test that does not run proves nothing: mend it or delete it"),
    (concat!("to", "do!"), "unfinished code does not land"),
    (concat!("un", "implemented!"), "unfinished code does not land"),
];

/// What a sleep looks like, whoever provides it.
const SLEEPS: &[&str] = &[concat!("sl", "eep("), concat!("sl", "eep_until(")];

/// The comment that excuses a sleep in a test; words must follow.
const EXCUSE: &str = "// expect(sleep):";

/// How many lines above a sleep its excuse may stand.
const EXCUSE_LINES: usize = 3;

/// Finds forbidden words everywhere, and sleeps without an excuse in tests.
pub fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust().flat_map(|(path, text)| [forbidden(path, text), sleeps(path, text)].concat()).collect()
}

fn forbidden(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (line, content) in code_lines(text) {
        for (word, why) in FORBIDDEN {
            if content.contains(word) {
                findings.push(Finding::at(path, line, format!("`{word}`: {why}")));
            }
        }
    }
    findings
}

fn sleeps(path: &str, text: &str) -> Vec<Finding> {
    let lines: Vec<&str> = text.lines().collect();
    let only_tests = path.split('/').any(|part| part == "tests" || part == "tests.rs" || part == "testkit");
    let tests_from = match only_tests {
        true => 0,
        false => lines.iter().position(|line| line.trim() == "#[cfg(test)]").unwrap_or(lines.len()),
    };
    let excused = |at: usize| {
        let near = &lines[at.saturating_sub(EXCUSE_LINES)..=at];
        near.iter().any(|line| line.split_once(EXCUSE).is_some_and(|(_, reason)| !reason.trim().is_empty()))
    };
    code_lines(text)
        .filter(|(line, content)| *line >= tests_from && SLEEPS.iter().any(|it| content.contains(it)))
        .filter(|(line, _)| !excused(*line))
        .map(|(line, _)| {
            let problem = format!("a test waits for an event, not for time; if it must, say `{EXCUSE} why`");
            Finding::at(path, line, problem)
        })
        .collect()
}

/// The lines that are not wholly comments.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn disabled_tests_and_unfinished_code_are_found() {
        assert_eq!(found("a/src/lib.rs", &format!("{}]\n", FORBIDDEN[0].0)), 1);
        assert_eq!(found("a/src/lib.rs", &format!("{}(\"later\")\n", FORBIDDEN[1].0)), 1);
        assert_eq!(found("a/src/lib.rs", &format!("// says {}() in words\n", FORBIDDEN[1].0)), 0);
    }

    #[test]
    fn a_sleep_in_a_test_needs_an_excuse() {
        let nap = format!("tokio::time::{}TEN).await;\n", SLEEPS[0]);
        assert_eq!(found("a/src/retry.rs", &nap), 0, "product code may pause");
        assert_eq!(found("a/tests/retry.rs", &nap), 1);
        assert_eq!(found("a/src/retry/tests.rs", &nap), 1);
        assert_eq!(found("a/src/retry.rs", &format!("#[cfg(test)]\nmod tests {{\n{nap}}}\n")), 1);
        assert_eq!(found("a/tests/retry.rs", &format!("{EXCUSE} the clock is paused\n{nap}")), 0);
        assert_eq!(found("a/tests/retry.rs", &format!("{EXCUSE}\n{nap}")), 1, "an excuse needs words");
    }
}
