//! Every manifest carries the workspace's lints and is never published; dangerous features stay off.

use toml::{Table, Value};

use super::Finding;
use crate::graph::Graph;
use crate::tree::Tree;

/// Crates whose releases break often and are therefore pinned with `=`.
const PINNED: &[&str] = &["regorus", "openraft"];

/// Features that change how everybody's JSON is read or written, and why we do without them.
const FORBIDDEN_FEATURES: &[(&str, &str, &str)] = &[
    ("serde_json", "preserve_order", "canonical JSON needs sorted keys"),
    ("serde_json", "arbitrary_precision", "numbers would arrive as maps in untagged types"),
];

/// Checks the root manifest, the members' manifests and the resolved features.
pub fn check(tree: &Tree, graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.ending("Cargo.toml") {
        match text.parse::<Table>() {
            Err(error) => findings.push(Finding::new(path, format!("is not TOML: {}", error.message()))),
            Ok(table) if path == "Cargo.toml" => findings.extend(root_problems(path, &table)),
            Ok(table) => findings.extend(member_problems(path, &table)),
        }
    }
    findings.extend(feature_problems(graph));
    findings
}

fn root_problems(path: &str, table: &Table) -> Vec<Finding> {
    let mut findings = Vec::new();
    let publish = table.get("workspace").and_then(|it| it.get("package")).and_then(|it| it.get("publish"));
    if publish != Some(&Value::Boolean(false)) {
        findings.push(Finding::new(path, "`[workspace.package]` must say `publish = false`"));
    }
    let dependencies = table.get("workspace").and_then(|it| it.get("dependencies"));
    for name in PINNED {
        let Some(dependency) = dependencies.and_then(|it| it.get(name)) else { continue };
        let version = dependency.as_str().or_else(|| dependency.get("version").and_then(Value::as_str));
        if !version.is_some_and(|version| version.starts_with('=')) {
            findings.push(Finding::new(
                path,
                format!("`{name}` must be pinned as `={}`", version.unwrap_or("…")),
            ));
        }
    }
    findings
}

fn member_problems(path: &str, table: &Table) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lints = table.get("lints").and_then(|it| it.get("workspace"));
    if lints != Some(&Value::Boolean(true)) {
        findings.push(Finding::new(path, "must say `[lints] workspace = true`"));
    }
    let publish = table.get("package").and_then(|it| it.get("publish"));
    let inherited = publish.and_then(|it| it.get("workspace")) == Some(&Value::Boolean(true));
    if !inherited && publish != Some(&Value::Boolean(false)) {
        findings.push(Finding::new(path, "must say `publish.workspace = true`"));
    }
    findings.extend(own_versions(path, table));
    findings
}

/// Versions stand once, in the root: a member that names its own would build a second copy.
fn own_versions(path: &str, table: &Table) -> Vec<Finding> {
    let sections = ["dependencies", "dev-dependencies", "build-dependencies"];
    let all = sections.iter().filter_map(|section| table.get(*section).and_then(Value::as_table)).flatten();
    all.filter(|(_, value)| value.get("workspace").is_none())
        .map(|(name, _)| Finding::new(path, format!("`{name}` must come from `[workspace.dependencies]`")))
        .collect()
}

fn feature_problems(graph: &Graph) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (package, features) in &graph.features {
        for (name, feature, why) in FORBIDDEN_FEATURES {
            if package.split(' ').next() == Some(name) && features.contains(*feature) {
                let problem = format!("feature `{feature}` is on in `{package}`: {why}");
                findings.push(Finding::new("Cargo.lock", problem));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: &str = "[package]\nname = \"a\"\npublish.workspace = true\n[lints]\nworkspace = true\n";

    fn problems(path: &str, text: &str) -> Vec<String> {
        let findings = check(&Tree::of(&[(path, text)]), &Graph::default());
        findings.into_iter().map(|finding| finding.problem).collect()
    }

    #[test]
    fn a_member_in_order_passes() {
        assert_eq!(problems("crates/a/Cargo.toml", MEMBER), Vec::<String>::new());
        let never = MEMBER.replace("publish.workspace = true", "publish = false");
        assert_eq!(problems("crates/a/Cargo.toml", &never), Vec::<String>::new());
    }

    #[test]
    fn missing_lints_or_publish_and_own_versions_are_found() {
        let bad = "[package]\nname = \"a\"\n[dependencies]\nserde = \"1\"\n";
        let found = problems("crates/a/Cargo.toml", bad);
        assert!(found.len() == 3 && found[0].contains("lints") && found[1].contains("publish"), "{found:?}");
        assert!(found[2].contains("`serde` must come from"), "{found:?}");
    }

    #[test]
    fn a_loose_pin_is_found() {
        let root = "[workspace.package]\npublish = false\n[workspace.dependencies]\n";
        assert_eq!(problems("Cargo.toml", &format!("{root}regorus = \"=0.14.1\"\n")), Vec::<String>::new());
        assert!(problems("Cargo.toml", &format!("{root}regorus = \"0.14\"\n"))[0].contains("pinned"));
        assert!(
            problems("Cargo.toml", &format!("{root}regorus = {{ version = \"0.14\" }}\n"))[0]
                .contains("pinned")
        );
    }

    #[test]
    fn a_forbidden_feature_is_found() {
        let mut graph = Graph::default();
        graph
            .features
            .insert("serde_json 1.0.1".into(), ["std".to_owned(), "preserve_order".to_owned()].into());
        graph.features.insert("toml 1.0.0".into(), ["preserve_order".to_owned()].into());
        let found = check(&Tree::default(), &graph);
        assert!(found.len() == 1 && found[0].problem.contains("canonical JSON"), "{found:?}");
    }
}
