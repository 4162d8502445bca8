//! Every alert has a test with `promtool`, and says what to do in `docs/telemetry.md`; and nothing else has.

use std::collections::BTreeSet;

use super::Finding;
use crate::tree::Tree;

const RULES: &str = "deploy/prometheus/rules.yml";
const TESTS: &str = "deploy/prometheus/rules_test.yml";
const PAGE: &str = "docs/telemetry.md";

/// Pairs alerts with tests and with sections of the page.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let alerts = after(tree, RULES, "- alert: ");
    let tested = after(tree, TESTS, "- alertname: ");
    let told: BTreeSet<&str> =
        after(tree, PAGE, "### ").into_iter().filter(|heading| heading.starts_with("Aegis")).collect();
    let mut findings = Vec::new();
    for (path, found, what) in [(TESTS, &tested, "no test expects"), (PAGE, &told, "no section tells of")] {
        let missing =
            alerts.difference(found).map(|alert| Finding::new(path, format!("{what} the alert `{alert}`")));
        let strange =
            found.difference(&alerts).map(|name| Finding::new(path, format!("there is no alert `{name}`")));
        findings.extend(missing.chain(strange));
    }
    findings
}

/// What follows `mark` on the lines of a file that begin with it.
fn after<'t>(tree: &'t Tree, path: &str, mark: &str) -> BTreeSet<&'t str> {
    let lines = tree.text(path).unwrap_or_default().lines();
    lines.filter_map(|line| line.trim_start().strip_prefix(mark)).map(str::trim).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(tests: &str, page: &str) -> Vec<String> {
        let tree = Tree::of(&[(RULES, "  - alert: AegisDown\n"), (TESTS, tests), (PAGE, page)]);
        check(&tree).iter().map(|finding| finding.problem.clone()).collect()
    }

    #[test]
    fn an_alert_needs_a_test_and_a_section_and_they_need_an_alert() {
        assert!(found("  - alertname: AegisDown\n", "### AegisDown\n### Other\n").is_empty());
        assert_eq!(found("", "### AegisDown\n"), ["no test expects the alert `AegisDown`"]);
        assert_eq!(found("- alertname: AegisDown", ""), ["no section tells of the alert `AegisDown`"]);
        let more = found("- alertname: AegisDown\n- alertname: AegisUp\n", "### AegisDown\n### AegisLeft\n");
        assert_eq!(more, ["there is no alert `AegisUp`", "there is no alert `AegisLeft`"]);
    }
}
