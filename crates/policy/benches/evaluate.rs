//! What one judgement costs: a typical policy, and whether the size of the set matters.
//!
//! `cargo bench -p aegis-policy --bench evaluate`

#![expect(clippy::unwrap_used, reason = "a benchmark")]

use std::hint::black_box;

use aegis_model::call::ToolCall;
use aegis_model::clock::UnixNanos;
use aegis_model::decision::Outcome;
use aegis_model::principal::Principal;
use aegis_model::scope::Scope;
use aegis_policy::ast::PolicySet;
use aegis_policy::judge::Question;
use aegis_policy::prepared::Prepared;
use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};

mod sets;

/// As in the shipped binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use sets::set;

fn principal(agent: &str) -> Principal {
    let Value::Object(claims) = json!({"purpose": "care"}) else { unreachable!("an object") };
    Principal {
        org: "acme".parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        agent: agent.parse().unwrap(),
        scope: Scope::parse("*:*"),
        callers: vec![],
        claims,
        token_id: "j".to_owned(),
        issued_at: UnixNanos(0),
        expires_at: UnixNanos(0),
    }
}

fn call(tool: &str, amount: u64) -> ToolCall {
    let params = json!({
        "amount": amount, "currency": "EUR", "vendor": "acme-industries", "memo": "invoice 4711",
        "items": [{"sku": "a-1", "price": 12.5}, {"sku": "b-2", "price": 3}],
    });
    let Value::Object(params) = params else { unreachable!("an object") };
    ToolCall {
        request_id: None,
        tool: tool.parse().unwrap(),
        action: "create".parse().unwrap(),
        params,
        context: Default::default(),
        cost: None,
        override_token: None,
        dry_run: false,
        explain: false,
        wait_ms: 0,
        sign_receipt: false,
    }
}

fn judge(criterion: &mut Criterion, name: &str, set: &PolicySet, agent: &str, tool: &str) {
    let prepared = Prepared::new(set).unwrap();
    let (principal, allowed, denied) = (principal(agent), call(tool, 100), call(tool, 1_000_000));
    let ask = |call| prepared.judge(&Question { principal: &principal, call, now: UnixNanos(0) });
    assert_eq!((ask(&allowed).outcome, ask(&denied).outcome), (Outcome::Allow, Outcome::Deny));
    let mut group = criterion.benchmark_group("evaluate");
    group.bench_function(format!("{name}/allow"), |bench| bench.iter(|| black_box(ask(black_box(&allowed)))));
    group.bench_function(format!("{name}/deny"), |bench| bench.iter(|| black_box(ask(black_box(&denied)))));
    // As in the load test: one call in ten is denied.
    let calls: Vec<&ToolCall> = (0..10).map(|turn| if turn == 9 { &denied } else { &allowed }).collect();
    let mut turns = calls.iter().cycle();
    group.bench_function(format!("{name}/one_in_ten_denied"), |bench| {
        bench.iter(|| black_box(ask(black_box(turns.next().expect("it goes round")))))
    });
    group.finish();
}

fn typical(criterion: &mut Criterion) {
    judge(criterion, "typical-20-tools", &set(1, 20), "agent-0", "tool-7");
}

fn sizes(criterion: &mut Criterion) {
    judge(criterion, "tools-10", &set(1, 10), "agent-0", "tool-7");
    judge(criterion, "tools-10000", &set(1, 10_000), "agent-0", "tool-7777");
    judge(criterion, "agents-10", &set(10, 2), "agent-7", "tool-1");
    judge(criterion, "agents-10000", &set(10_000, 2), "agent-7777", "tool-1");
}

criterion_group!(benches, typical, sizes);
criterion_main!(benches);
