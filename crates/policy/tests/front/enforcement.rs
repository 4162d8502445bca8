//! What a running node refuses, field by field.

use aegis_policy::ast::PolicySet;
use aegis_policy::diagnostic::Diagnostic;
use aegis_policy::enforce::{lent, unenforced};

use super::check_one;

fn refused(text: &str) -> Vec<(String, u32)> {
    named(text, unenforced, "not-enforced-yet")
}

fn named(text: &str, look: fn(&PolicySet) -> Vec<Diagnostic>, code: &str) -> Vec<(String, u32)> {
    let checked = check_one("policy.yaml", text);
    let set = checked.set.expect("a set without errors");
    let found = look(&set);
    assert!(found.iter().all(|problem| problem.code == code && !problem.help.is_empty()));
    found
        .iter()
        .map(|problem| (problem.message.split('`').nth(1).unwrap_or_default().to_owned(), problem.span.line))
        .collect()
}

#[test]
fn what_this_build_enforces_is_accepted() {
    assert_eq!(
        refused(
            "agent: a\nrps_limit: 5\ndaily_budget: 3\nallowed_tools:\n- name: t\n  conditions: {max_amount: 5, approval_needed: true}\n  approval: {by: [boss], notify: ['#payments']}\n"
        ),
        []
    );
}

#[test]
fn each_field_that_nobody_keeps_is_named_at_its_place() {
    let text =
        include_str!("whole.yaml").replace("defaults:\n  denied", "defaults:\n  mode: shadow\n  denied");
    let found = refused(&text);
    // Each is found where its field stands.
    let lines: Vec<&str> = text.lines().collect();
    for (field, line) in &found {
        let shown = lines[*line as usize - 1];
        let begins = shown.contains(field.split(':').next().unwrap_or(field));
        assert!(begins, "{field} at {shown:?}");
    }
    let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
    assert_eq!(fields, ["mode: shadow", "egress", "mode: shadow"]);
}

#[test]
fn what_is_made_with_the_tenants_key_needs_a_control_plane() {
    let text = "agent: a\nallowed_tools:\n- name: t\n  redact:\n  - {detect: [us_ssn], with: mask}\n  - {detect: [email], with: token}\n  - {fields: [a], with: hash}\n";
    assert_eq!(refused(text), []);
    assert_eq!(
        named(text, lent, "needs-control-plane"),
        [("redact".to_owned(), 6), ("redact".to_owned(), 7)]
    );
}

#[test]
fn each_limit_is_named_to_a_node_that_nobody_lends_to() {
    let found = named(include_str!("whole.yaml"), lent, "needs-control-plane");
    let fields: Vec<&str> = found.iter().map(|(field, _)| field.as_str()).collect();
    let of_document = ["rps_limit", "burst", "daily_budget", "cost", "timezone"];
    assert_eq!(
        fields,
        [
            &["rps_limit", "rps_limit", "daily_budget", "cost", "timezone"],
            &of_document[..],
            &["notify", "cost"]
        ]
        .concat()
    );
    let lines: Vec<&str> = include_str!("whole.yaml").lines().collect();
    assert!(found.iter().all(|(field, line)| lines[*line as usize - 1].contains(field)), "{found:?}");
}
