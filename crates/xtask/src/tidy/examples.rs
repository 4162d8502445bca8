//! Every folder under `examples/` is run by something: a test or a script of CI names it.

use std::collections::BTreeSet;

use super::Finding;
use crate::tree::Tree;

/// Finds example folders that no test and no script of CI mentions.
pub fn check(tree: &Tree) -> Vec<Finding> {
    let folders: BTreeSet<&str> = tree
        .texts()
        .filter_map(|(path, _)| path.strip_prefix("examples/")?.split_once('/').map(|(folder, _)| folder))
        .collect();
    let runs = |path: &str| path.starts_with(".ci/") || (path.contains("/tests/") && path.ends_with(".rs"));
    let scripts: Vec<&str> = tree.texts().filter(|(path, _)| runs(path)).map(|(_, text)| text).collect();
    let named = |folder: &str| {
        let (as_path, as_word) = (format!("examples/{folder}"), format!("\"{folder}\""));
        scripts.iter().any(|text| holds_name(text, &as_path) || text.contains(&as_word))
    };
    folders
        .into_iter()
        .filter(|folder| !named(folder))
        .map(|folder| Finding::new(format!("examples/{folder}"), "no test and no script of CI names it"))
        .collect()
}

/// Whether the name stands in the text and does not go on: `examples/pay` is not `examples/payments`.
fn holds_name(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let next = text[at + name.len()..].chars().next();
        next.is_none_or(|it| !it.is_ascii_alphanumeric() && it != '-' && it != '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_example_that_nothing_runs_is_found() {
        let policy = ("examples/pay/policy.yaml", "agent: a\n");
        let places = |script: (&str, &str)| {
            check(&Tree::of(&[policy, script])).into_iter().map(|it| it.place).collect::<Vec<_>>()
        };
        assert_eq!(places(("crates/a/tests/run.rs", "load(\"examples/payments\")")), ["examples/pay"]);
        assert_eq!(places(("crates/a/src/lib.rs", "\"pay\"")), ["examples/pay"]);
        assert_eq!(places(("crates/a/tests/run.rs", "[\"pay\", \"other\"]")), Vec::<String>::new());
        assert_eq!(places((".ci/run", "policy check examples/pay\n")), Vec::<String>::new());
    }
}
