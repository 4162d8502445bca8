//! The checkout itself is tidy, and the command line works.

use std::process::Command;

use xtask::{tidy, tree};

#[test]
fn the_checkout_is_tidy() {
    let outcomes = tidy::all(&tree::root()).expect("the checkout can be read");
    assert_eq!(outcomes.len(), 10, "a check was dropped");
    let findings: Vec<String> = outcomes
        .iter()
        .flat_map(|outcome| {
            outcome.findings.iter().map(move |finding| format!("{}: {finding}", outcome.check))
        })
        .collect();
    assert!(findings.is_empty(), "`cargo xtask tidy` finds:\n{}", findings.join("\n"));
}

#[test]
fn the_graph_and_the_tree_are_not_empty() {
    // A check over nothing finds nothing; this makes sure that there is something to check.
    let root = tree::root();
    let graph = xtask::graph::Graph::read(&root).expect("cargo gives its graph");
    let model =
        graph.packages.iter().find(|package| package.name == "aegis-model").expect("the model is there");
    assert!(model.needs.is_empty() && model.folder == "crates/model");
    let dataplane = graph.packages.iter().find(|package| package.name == "aegis-dataplane");
    assert!(dataplane.expect("the data plane is there").needs.contains("aegis-policy"));
    let binary = graph.packages.iter().find(|package| package.name == "aegis").expect("the binary is there");
    assert!(binary.needs_for_tests.contains("aegis-testkit") && !binary.needs.contains("aegis-testkit"));
    assert!(graph.features.keys().any(|package| package.starts_with("serde_json ")));
    assert!(tree::Tree::read(&root).expect("the checkout can be read").rust().count() > 40);
}

#[test]
fn the_command_explains_itself_and_refuses_what_it_does_not_know() {
    let xtask = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask")).args(arguments).output().expect("it starts");
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&text).into_owned())
    };
    let (code, help) = xtask(&["--help"]);
    assert!(code == Some(0) && help.contains("Examples:") && help.contains("verify"), "{help}");
    let (code, list) = xtask(&["bar"]);
    assert!(code == Some(0) && list.contains("evaluate"), "{list}");
    let (code, text) = xtask(&["bar", "no-such-bar"]);
    assert!(code == Some(1) && text.contains("no bar is named `no-such-bar`"), "{text}");
}
