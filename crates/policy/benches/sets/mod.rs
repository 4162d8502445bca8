//! Sets of any size, for benchmarks.

use aegis_policy::ast::*;
use serde_json::json;

fn test(key: &str, check: Check) -> Condition {
    let subject = Subject::Params(Path(vec![Segment::Key(key.to_owned())]));
    Condition::Test(Test {
        subject,
        checks: vec![check],
        optional: false,
        approvable: false,
        span: Span::default(),
    })
}

/// Three conditions, one of them a regular expression; `seed` makes the literals differ.
fn conditions(seed: u64) -> Condition {
    Condition::All(vec![
        test("amount", Check::Min(0.into())),
        test("amount", Check::Max((5_000 + seed).into())),
        test("currency", Check::OneOf(vec![json!("EUR"), json!("USD"), json!("GBP")])),
        test("vendor", Check::Matches("^(?:[a-z][a-z0-9-]{1,30})$".to_owned())),
    ])
}

fn document(agent: &str, tools: usize, seed: u64) -> Document {
    let entry = |tool: usize| Entry {
        rule: format!("{agent}/allowed_tools[{tool}]"),
        tool: Glob(format!("tool-{tool}")),
        actions: Some(vec![Glob("create".to_owned())]),
        condition: conditions(seed + tool as u64),
        always_ask: false,
        approval: None,
        redact: vec![],
        limits: Limits::default(),
        mode: Mode::Enforce,
        span: Span::default(),
    };
    Document {
        label: agent.to_owned(),
        agents: vec![Glob(agent.to_owned())],
        allowed: Some((0..tools).map(entry).collect()),
        ..Document::default()
    }
}

/// `agents` agents with `tools` tools each; no two entries have the same conditions literal for literal.
pub(crate) fn set(agents: usize, tools: usize) -> PolicySet {
    let documents =
        (0..agents).map(|agent| document(&format!("agent-{agent}"), tools, agent as u64)).collect();
    let file = SourceFile { path: "bench.yaml".to_owned(), text: "x".into() };
    PolicySet { files: vec![file], documents, ..PolicySet::default() }
}
