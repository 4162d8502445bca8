//! Hostile sources end in a diagnostic, in bounded time. The times are far above what is needed, so that a
//! slow machine passes, and far below what the attack would take.

use std::time::{Duration, Instant};

use aegis_model::caps::{DIAGNOSTICS_MAX, POLICY_DEPTH_MAX, POLICY_FILE_BYTES_MAX};
use aegis_policy::ast::SourceFile;
use aegis_policy::check::{Checked, check};

use super::{check_one, rendered};

/// Checks a file, for which a slow machine takes `seconds` at most.
#[expect(clippy::disallowed_methods, reason = "the time that a check takes is what these tests are about")]
#[expect(clippy::print_stderr, reason = "the times are worth seeing")]
fn timed(path: &str, text: &str, seconds: u64) -> Checked {
    let start = Instant::now();
    let checked = check_one(path, text);
    let taken = start.elapsed();
    eprintln!("{path}: {} bytes in {taken:?}", text.len());
    // Three times, for a machine that is busy with other things.
    assert!(taken < Duration::from_secs(3 * seconds), "{path} took {taken:?}");
    checked
}

fn codes(checked: &Checked) -> Vec<&'static str> {
    checked.diagnostics.iter().map(|problem| problem.code).collect()
}

/// `head`, then `part` over and over up to the largest file that is parsed.
fn filled(head: &str, part: &str) -> String {
    repeated(head, part, POLICY_FILE_BYTES_MAX)
}

/// `head`, then `part` over and over up to a quarter of that.
fn quarter(head: &str, part: &str) -> String {
    repeated(head, part, POLICY_FILE_BYTES_MAX / 4)
}

fn repeated(head: &str, part: &str, bytes: usize) -> String {
    format!("{head}{}", part.repeat((bytes - head.len()) / part.len()))
}

#[test]
fn a_file_of_a_hundred_megabytes_is_refused_before_it_is_parsed() {
    let checked = timed("huge.yaml", &"agent: a\n---\n".repeat(8_000_000), 10);
    assert_eq!(codes(&checked), ["file-too-large"]);
    assert!(rendered(&checked).contains("104000000 bytes"), "{}", rendered(&checked));
}

#[test]
fn ten_thousand_agents_check_in_seconds() {
    let document = |number: usize| {
        let entries: String = (0..2)
            .map(|tool| {
                format!("- name: tool-{tool}\n  actions: [read, write]\n  conditions:\n    max_amount: {number}\n    purpose: [care, billing]\n    params:\n      id: {{matches: '[A-Z]{{2}}\\d+-{number}'}}\n")
            })
            .collect();
        format!("agent: agent-{number}\nallowed_tools:\n{entries}denied_tools:\n- name: shell\n")
    };
    let files: Vec<SourceFile> = (0..100)
        .map(|file| {
            let documents: Vec<String> = (0..100).map(|at| document(file * 100 + at)).collect();
            SourceFile { path: format!("team-{file:03}.yaml"), text: documents.join("---\n").into() }
        })
        .collect();
    let bytes: usize = files.iter().map(|file| file.text.len()).sum();
    #[expect(clippy::disallowed_methods, reason = "the time that a check takes is what this test is about")]
    let start = Instant::now();
    let checked = check(files);
    let taken = start.elapsed();
    eprintln!("10,000 agents of 2 tools, {bytes} bytes: {taken:?}");
    assert_eq!(rendered(&checked), "");
    assert_eq!(checked.set.expect("a set").documents.len(), 10_000);
    assert!(taken < Duration::from_secs(360), "{taken:?}");
}

#[test]
fn brackets_without_end_are_too_deep() {
    for (name, part) in
        [("seq", "["), ("map", "{a: "), ("mixed", "[{a: "), ("lines", "[\n  "), ("quoted", "[ \"]\", ")]
    {
        let checked = timed(&format!("{name}.yaml"), &filled("agent: ", part), 20);
        assert_eq!(codes(&checked), ["too-deep"], "{name}");
    }
    for (name, part) in [("seq", "["), ("map", "{\"a\":")] {
        let checked = timed(&format!("{name}.json"), &filled("", part), 20);
        assert_eq!(codes(&checked), ["too-deep"], "{name}");
    }
    let checked = timed("block.yaml", &filled("agent:\n", "- "), 20);
    assert_eq!(codes(&checked), ["too-deep"]);
}

#[test]
fn the_depth_is_counted_exactly_whatever_stands_in_strings() {
    // A document, `equals` and the brackets around it make eight levels.
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels), "]".repeat(levels));
        format!(
            "agent: a\nallowed_tools:\n- name: t # [[[[ {{{{\n  conditions:\n    params:\n      x: {{equals: {open}'[[[{{{{', \"[[[\\\"[\", a'[b{close}}}\n"
        )
    };
    let deepest = (1..=POLICY_DEPTH_MAX)
        .filter(|&levels| codes(&check_one("d.yaml", &nested(levels))).is_empty())
        .max();
    assert_eq!(deepest, None, "an unquoted bracket inside of a flow collection is no string");
    let nested = |levels: usize| nested(levels).replace(", a'[b", "");
    let deepest = (1..=POLICY_DEPTH_MAX)
        .filter(|&levels| codes(&check_one("d.yaml", &nested(levels))).is_empty())
        .max();
    assert_eq!(deepest, Some(POLICY_DEPTH_MAX - 6));
    let strings = format!(
        "agent: a\nallowed_tools:\n- name: t\n  conditions: {{params: {{x: [{}]}}}}\n",
        "'[{', \"[[\", ".repeat(10_000)
    );
    let checked = timed("strings.yaml", &strings, 20);
    assert_eq!(codes(&checked), Vec::<&str>::new());
}

#[test]
fn aliases_multiply_only_up_to_the_bound() {
    let mut bomb = String::from(
        "agent: a\nallowed_tools:\n- name: t\n  conditions:\n    params:\n      x0: &a0 {equals: [1, 1, 1, 1, 1, 1, 1, 1, 1]}\n",
    );
    for level in 1..12 {
        let previous = level - 1;
        bomb.push_str(&format!(
            "      x{level}: &a{level} {{one_of: [{}]}}\n",
            format!("*a{previous}, ").repeat(9)
        ));
    }
    let checked = timed("bomb.yaml", &bomb, 20);
    assert_eq!(codes(&checked), ["too-many-nodes"]);
    let nested = filled("agent: a\nx:\n", "- &a [&b [&c [&d [&e [1]]]]]\n");
    timed("anchors.yaml", &nested, 60);
    let shared = "agent: a\nallowed_tools:\n- name: t\n  conditions: &c {max_amount: 5}\n- name: u\n  conditions: *c\n";
    assert_eq!(rendered(&check_one("shared.yaml", shared)), "");
}

#[test]
fn an_alias_to_what_is_still_open_is_a_cycle() {
    for text in ["agent: &a [*a]\n", "agent: a\nallowed_tools: &t\n- name: x\n  conditions: {any_of: *t}\n"] {
        assert_eq!(codes(&check_one("cycle.yaml", text)), ["alias-cycle"], "{text}");
    }
}

#[test]
fn a_regular_expression_of_a_megabyte_is_refused_unread() {
    let text = format!(
        "agent: a\nallowed_tools:\n- name: t\n  conditions: {{params: {{x: {{matches: '{}'}}}}}}\n",
        "(a|b)*".repeat(180_000)
    );
    let checked = timed("regex.yaml", &text, 20);
    assert_eq!(codes(&checked), ["bad-regex"]);
    assert!(rendered(&checked).len() < 4_000, "the excerpt is cut");
}

#[test]
fn many_problems_are_counted_and_not_all_shown() {
    let entries = "- nam: x\n".repeat(5_000);
    let checked = timed("many.yaml", &format!("agent: a\nallowed_tools:\n{entries}"), 20);
    assert_eq!(checked.diagnostics.len(), DIAGNOSTICS_MAX);
    assert_eq!(checked.more, 2 * 5_000 - DIAGNOSTICS_MAX);
    assert!(checked.set.is_none());
}

#[test]
fn warnings_never_hide_an_error() {
    let entries = "- name: t\n".repeat(500);
    let checked = check_one(
        "w.yaml",
        &format!("agent: a\nallowed_tools:\n{entries}---\nagent: b\nallowed_tools:\n- nam: t\n"),
    );
    assert!(checked.set.is_none() && checked.has_errors());
}

#[test]
fn large_files_of_odd_shapes_take_bounded_time() {
    let shapes = [
        ("flow.yaml", filled("agent: [", "a, "), "too-many-nodes"),
        ("keys.yaml", quarter("", "? a\n"), "duplicate-key"),
        ("tabs.yaml", quarter("agent: a\n", "\t"), ""),
        ("colons.yaml", quarter("agent: ", "a: "), "yaml-syntax"),
        ("anchors.yaml", quarter("agent: ", "&a "), ""),
        ("quotes.yaml", quarter("agent: \"", "a\\u0041\n "), "yaml-syntax"),
        ("plain.yaml", quarter("agent: a", " a\n "), ""),
        ("block.yaml", quarter("agent: |\n", " [{ \n"), "bad-name"),
        ("documents.yaml", quarter("", "---\n"), ""),
        ("comments.yaml", quarter("agent: a\n", "# [\n"), ""),
        ("percent.yaml", quarter("", "%TAG ! tag:x\n"), "yaml-syntax"),
        ("dashes.yaml", filled("agent:\n", "-\n"), "too-many-nodes"),
        ("umlauts.yaml", quarter("agent: [", "ä, "), "yaml-syntax"),
        ("line.json", filled("[", "1,"), "too-many-nodes"),
        ("objects.json", quarter("{\"agent\":\"a\",\"allowed_tools\":[", "{\"name\":\"ä\"},"), "json-syntax"),
    ];
    for (path, text, code) in shapes {
        let checked = timed(path, &text, 60);
        assert!(code.is_empty() || codes(&checked).contains(&code), "{path}: {:?}", codes(&checked));
    }
}

#[test]
fn many_similar_entries_do_not_make_the_lints_slow() {
    let allowed: String =
        (0..10_000).map(|at| format!("- name: tool-*-{at}\n- name: t\n  actions: [a{at}]\n")).collect();
    let denied: String = (0..10_000).map(|at| format!("- name: other-*-{at}\n")).collect();
    let text = format!("agent: a\nallowed_tools:\n{allowed}denied_tools:\n{denied}");
    let checked = timed("lints.yaml", &text, 30);
    assert!(!checked.has_errors());
}

#[test]
fn a_wide_collection_behind_many_brackets_is_bounded_too() {
    let checked = timed("wide.yaml", &filled(&format!("agent: {}", "[".repeat(250)), "a,"), 10);
    assert_eq!(codes(&checked), ["too-deep"]);
}
