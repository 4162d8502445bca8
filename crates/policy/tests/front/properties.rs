//! Whatever the text: no panic, every place inside the file, and the same result twice.

use aegis_policy::ast::SourceFile;
use aegis_policy::check::check;
use aegis_policy::regex_subset;
use aegis_policy::tests_file;
use proptest::prelude::*;

use super::{check_one, rendered};

/// A policy that uses most of the language.
const WHOLE: &str = include_str!("whole.yaml");

/// A test file with every field.
const TESTS: &str = "\
tests:
- name: one
  agent: a
  call: {tool: t, action: x, params: {amount: 5}, context: {purpose: care}}
  token: {purpose: care, scope: 't:*'}
  callers: [planner]
  at: 2026-11-23T09:00:00+01:00
  expect: {outcome: deny, reasons: [ToolNotAllowed], path: /params/amount, rules: [a/allowed_tools[0]]}
";

fn holds_for(path: &str, text: &str) -> Result<(), TestCaseError> {
    let checked = check_one(path, text);
    for problem in &checked.diagnostics {
        let span = problem.span;
        if span.file == u32::MAX {
            continue;
        }
        let (start, end) = (span.start as usize, span.end as usize);
        prop_assert!(start <= end && end <= text.len(), "{span:?} of {}", text.len());
        prop_assert!(text.is_char_boundary(start) && text.is_char_boundary(end), "{span:?}");
        let line_start = text[..start].rfind('\n').map_or(0, |at| at + 1);
        prop_assert_eq!(span.line as usize, text[..start].matches('\n').count() + 1);
        prop_assert_eq!(span.column as usize, text[line_start..start].chars().count() + 1);
        prop_assert!(!problem.render(&checked.files, false).is_empty());
    }
    prop_assert_eq!(checked.set.is_none(), checked.has_errors());
    let again = check(vec![SourceFile { path: path.to_owned(), text: text.into() }]);
    prop_assert_eq!(rendered(&checked), rendered(&again));
    Ok(())
}

/// A change of a text: at a place, some characters are replaced by others.
fn mutated(text: &str, changes: &[(usize, usize, String)]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for (at, length, with) in changes {
        let at = at % (characters.len() + 1);
        let end = (at + length).min(characters.len());
        characters.splice(at..end, with.chars());
    }
    characters.into_iter().collect()
}

fn pieces() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\t".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("ä\u{1F600}".to_owned()),
        Just("&a ".to_owned()),
        Just("*a".to_owned()),
        Just("---\n".to_owned()),
        Just("\u{FEFF}".to_owned()),
        Just("\0".to_owned()),
        Just("<<: ".to_owned()),
        Just("!!str ".to_owned()),
        Just(": ".to_owned()),
        Just("- ".to_owned()),
        Just("? ".to_owned()),
        Just("|\n".to_owned()),
        Just("not_".to_owned()),
        Just("010".to_owned()),
        Just("-1e400".to_owned()),
        "[\\[\\]{},:\"'#|>*&!%@` \n]{0,6}",
        "[a-z_.\\[\\]*0-9]{0,8}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_test_file_is_answered(changes in prop::collection::vec((0..600_usize, 0..12_usize, pieces()), 0..5)) {
        let text = mutated(TESTS, &changes);
        let tests = tests_file::read(vec![SourceFile { path: "a_test.yaml".to_owned(), text: text.as_str().into() }]);
        for problem in &tests.diagnostics {
            let (start, end) = (problem.span.start as usize, problem.span.end as usize);
            prop_assert!(text.get(start..end).is_some(), "{:?} of {}", problem.span, text.len());
        }
        prop_assert!(!tests.tests.is_empty() || !tests.diagnostics.is_empty() || changes.len() > 1);
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}|[ \\n\\ta-z:\\-\\[\\]{},#&*!|>'\"%@`0-9]{0,300}") {
        holds_for("any.yaml", &text)?;
        holds_for("any.json", &text)?;
    }

    #[test]
    fn any_change_of_a_policy_is_answered(changes in prop::collection::vec((0..8_000_usize, 0..12_usize, pieces()), 1..6)) {
        holds_for("changed.yaml", &mutated(WHOLE, &changes))?;
    }

    #[test]
    fn a_translated_pattern_is_read_by_both_engines_alike(pattern in "[a-c.*+?|(){}\\[\\]^$0-9\\\\dwsDWS,:imsk\\-]{1,16}", texts in prop::collection::vec("[a-ckKs0-9 \n_\\-]{0,6}", 4)) {
        let Ok(printed) = regex_subset::translate(&pattern) else { return Ok(()) };
        prop_assert!(printed.is_ascii() && !printed.contains("(?P") && !printed.contains("&&"));
        let twice = regex_subset::translate(&printed);
        prop_assert!(twice.is_ok(), "{pattern} became {printed}, which is refused: {twice:?}");
        let (first, second) = (regex::Regex::new(&printed), regex::Regex::new(&twice.unwrap_or_default()));
        let (Ok(first), Ok(second)) = (first, second) else { return Err(TestCaseError::fail(printed)) };
        for text in texts {
            prop_assert_eq!(first.is_match(&text), second.is_match(&text), "{} on {:?}", printed, text);
        }
    }
}
