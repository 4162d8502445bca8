//! Schemas and modules in files of their own.

use aegis_policy::ast::{Check, Keyword, Schema, SourceFile};
use aegis_policy::check::{Checked, check};

use super::rendered;

fn check_files(files: &[(&str, &str)]) -> Checked {
    check(
        files
            .iter()
            .map(|(path, text)| SourceFile { path: (*path).to_owned(), text: (*text).into() })
            .collect(),
    )
}

const POLICY: &str = "\
agent: a
allowed_tools:
- name: pay
  conditions: {schema: schemas/pay.json}
- name: refund
  conditions: {schema: schemas/pay.json}
";

#[test]
fn a_schema_file_is_read_relative_to_the_policy_and_is_no_policy() {
    let checked = check_files(&[
        ("team/policy.yaml", POLICY),
        ("team/schemas/pay.json", "{\n\t\"type\": \"object\",\n\t\"required\": [\"amount\"]\n}\n"),
        ("README.md", "nothing"),
    ]);
    assert_eq!(rendered(&checked), "");
    let set = checked.set.expect("a set");
    let mut required = 0;
    for entry in set.documents[0].allowed.iter().flatten() {
        entry.condition.for_each_test(&mut |test| {
            let [Check::Schema(schema)] = test.checks.as_slice() else { panic!("a schema") };
            let Schema::Keywords(keywords) = &**schema else { panic!("keywords") };
            required += usize::from(keywords.contains(&Keyword::Required(vec!["amount".to_owned()])));
        });
    }
    assert_eq!(required, 2);
}

#[test]
fn problems_of_a_schema_file_are_shown_in_that_file_once() {
    let checked = check_files(&[("policy.yaml", POLICY), ("schemas/pay.json", "{\"format\": \"email\"}")]);
    insta::assert_snapshot!(rendered(&checked), @r#"
    error[schema-keyword]: the keyword `format` cannot be compiled
     --> schemas/pay.json:1:2
      |
    1 | {"format": "email"}
      |  ^^^^^^^^
      |
    help: what a format accepts differs between validators: use `pattern`
    "#);
    assert!(checked.set.is_none());
}

#[test]
fn a_missing_file_is_answered_with_the_nearest_one() {
    let checked = check_files(&[("policy.yaml", POLICY), ("schemas/pays.json", "{\"$schema\": \"x\"}")]);
    let shown = rendered(&checked);
    assert!(shown.contains("the set has `schemas/pays.json`"), "{shown}");
    assert!(shown.contains("no policy names this schema"), "{shown}");
}

const MODULE: &str = "package aegis.custom\n\ndeny contains \"too late\" if input.params.late == true\n";

#[test]
fn a_module_is_found_and_one_that_nobody_names_is_a_warning() {
    let policy = "agent: a\nrego: rules/deny.rego\n";
    let checked =
        check_files(&[("policy.yaml", policy), ("rules/deny.rego", MODULE), ("rules/other.rego", MODULE)]);
    assert_eq!(checked.diagnostics.len(), 1, "{}", rendered(&checked));
    assert_eq!((checked.diagnostics[0].code, checked.has_errors()), ("unused-module", false));
    let set = checked.set.expect("a set");
    let custom = set.documents[0].custom.as_ref().expect("a module");
    assert_eq!(set.files[custom.file as usize].path, "rules/deny.rego");
}

#[test]
fn problems_of_a_module_are_shown_with_all_others() {
    let policy = "agent: a\nrego: deny.rego\nallowed_tool: []\n";
    let module = "package aegis.custom\n\ndeny contains \"x\" if http.send({}).ok\n";
    let checked = check_files(&[("policy.yaml", policy), ("deny.rego", module)]);
    let places: Vec<(&str, u32)> = checked
        .diagnostics
        .iter()
        .map(|problem| (checked.files[problem.span.file as usize].path.as_str(), problem.span.line))
        .collect();
    assert_eq!(places, [("deny.rego", 3), ("policy.yaml", 3)], "{}", rendered(&checked));
}

#[test]
fn tests_are_no_policies() {
    let checked = check_files(&[("policy.yaml", "agent: a\n"), ("policy_test.yaml", "tests: [nonsense]\n")]);
    assert_eq!(rendered(&checked), "");
}
