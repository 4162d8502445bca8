//! What strict reading costs beside `serde_json`, on the body of a typical decide call.

use std::borrow::Cow;
use std::hint::black_box;

use aegis_model::json::{Build, Items, Limits, Members, canonical, read, read_with};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// 300 bytes: a tool call as an agent sends it.
const BODY: &str = concat!(
    r#"{"tool":"stripe","action":"create_payment","params":{"amount":4999,"currency":"EUR","customer":"#,
    r#""cus_9s6XKzkNRiz8i3","description":"Invoice 2026-0042, net 30 days","metadata":{"order":"A-1042","#,
    r#""retry":false,"discount":0.15}},"context":{"purpose":"billing","environment":"production"},"#,
    r#""request_id":"01JD0000"}"#
);

/// Builds nothing: what remains is the cost of the grammar and of the checks.
struct Ignore;

impl Build for Ignore {
    type Value = ();

    fn null(&mut self) {}
    fn boolean(&mut self, _: bool) {}
    fn integer(&mut self, _: i64) {}
    fn float(&mut self, _: f64) {}
    fn string(&mut self, _: Cow<'_, str>) {}
    fn array(&mut self, _: Items<'_, ()>) {}
    fn object(&mut self, _: Members<'_, '_, ()>) {}
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("json");
    group.throughput(Throughput::Bytes(BODY.len() as u64));
    group.bench_function("read", |bench| {
        bench.iter(|| read(black_box(BODY.as_bytes()), Limits::default()).expect("a sound body"));
    });
    group.bench_function("read_with, building nothing", |bench| {
        bench.iter(|| {
            read_with(black_box(BODY.as_bytes()), Limits::default(), &mut Ignore).expect("a sound body")
        });
    });
    group.bench_function("serde_json", |bench| {
        bench.iter(|| {
            serde_json::from_slice::<serde_json::Value>(black_box(BODY.as_bytes())).expect("a sound body")
        });
    });
    let value = read(BODY.as_bytes(), Limits::default()).expect("a sound body");
    group.bench_function("canonical", |bench| bench.iter(|| canonical(black_box(&value))));
    group.finish();
}

criterion_group!(benches, reading);
criterion_main!(benches);
