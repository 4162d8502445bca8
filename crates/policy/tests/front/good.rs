//! Policies that are right: silent, and lowered as the language says.

use aegis_policy::ast::{Check, Condition, Subject};

use super::{check_one, rendered};

const FIRST_EXAMPLE: &str = "\
agent: finance-agent
allowed_tools:
- name: stripe-payments
  actions:
  - create_payment
  conditions:
    max_amount: 5000
    approval_needed: true
";

#[test]
fn the_shortest_policy_is_silent_and_means_what_it_says() {
    let checked = check_one("policy.yaml", FIRST_EXAMPLE);
    assert_eq!(rendered(&checked), "");
    let set = checked.set.expect("a set");
    insta::assert_debug_snapshot!(set.documents);
    let entry = &set.documents[0].allowed.as_ref().expect("entries")[0];
    let Condition::All(parts) = &entry.condition else { panic!("a conjunction") };
    let [Condition::Test(low), Condition::Test(high)] = parts.as_slice() else { panic!("two tests") };
    assert!(matches!(&low.subject, Subject::Params(path) if path.0.len() == 1));
    assert_eq!((low.checks.as_slice(), low.approvable), ([Check::Min(0.into())].as_slice(), false));
    assert_eq!((high.checks.as_slice(), high.approvable), ([Check::Max(5000.into())].as_slice(), true));
}
