//! Calls to show a newcomer: one that is allowed, one that is denied, one that needs a person.

use aegis_model::clock::UnixNanos;
use aegis_model::decision::Outcome;
use aegis_policy::ast::PolicySet;
use aegis_policy::cases::{self, Case};
use aegis_policy::prepared::Prepared;
use aegis_policy::tests_file::PolicyTest;

/// The outcomes that are shown, in this order.
pub(super) const SHOWN: [Outcome; 3] = [Outcome::Allow, Outcome::Deny, Outcome::ApprovalRequired];

/// For each outcome of [`SHOWN`] a call that has it at `now`, if one is found: the first of the tests, since somebody
/// wrote it to be read, else one at the boundary of a rule.
///
/// Every call is judged here, so that what is printed about it is true.
pub(super) fn find(set: &PolicySet, tests: &[PolicyTest], now: UnixNanos) -> [Option<Case>; 3] {
    let Ok(prepared) = Prepared::new(set) else { return [None, None, None] };
    let outcome = |case: &Case| case.ask(|question| prepared.judge(question)).outcome;
    let written = tests.iter().filter(|test| test.scope == "*:*").map(|test| &test.case);
    let mut found = [None, None, None];
    fill(&mut found, written.cloned(), now, outcome);
    if found.iter().any(Option::is_none) {
        fill(&mut found, cases::boundary(set).0.into_iter(), now, outcome);
    }
    found
}

fn fill(
    found: &mut [Option<Case>; 3],
    cases: impl Iterator<Item = Case>,
    now: UnixNanos,
    outcome: impl Fn(&Case) -> Outcome,
) {
    for case in cases.map(|case| Case { now, ..case }) {
        if found.iter().all(Option::is_some) {
            return;
        }
        let place = SHOWN.iter().position(|&shown| shown == outcome(&case));
        if let Some(place) = place.filter(|&place| found[place].is_none()) {
            found[place] = Some(case);
        }
    }
}

#[cfg(test)]
mod tests {
    use aegis_policy::ast::SourceFile;
    use aegis_policy::check;

    use super::*;

    const NOW: UnixNanos = UnixNanos(1_767_614_400_000_000_000);

    fn set(text: &str) -> PolicySet {
        let file = SourceFile { path: "p.yaml".to_owned(), text: text.into() };
        check::check(vec![file]).set.expect("a sound policy")
    }

    #[test]
    fn a_policy_without_tests_shows_calls_at_its_boundaries() {
        let policy =
            set("agent: a\nallowed_tools:\n- name: t\n  conditions: {max_x: 5, approval_needed: true}\n");
        let [allowed, denied, asking] = find(&policy, &[], NOW);
        assert!(
            allowed.is_some() && denied.is_some() && asking.is_some(),
            "{allowed:?} {denied:?} {asking:?}"
        );
    }

    #[test]
    fn what_does_not_occur_is_not_invented() {
        let [allowed, denied, asking] =
            find(&set("agent: a\nallowed_tools:\n- name: t\n  actions: [x]\n"), &[], NOW);
        assert!(allowed.is_some() && denied.is_some());
        assert_eq!(asking, None);
    }
}
