//! What a token costs: verified for the first time, verified again, minted.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use aegis_identity::cache::TokenCache;
use aegis_identity::claims::AgentClaims;
use aegis_identity::keys::SigningKey;
use aegis_identity::mint::Minter;
use aegis_identity::trust::Trust;
use aegis_identity::verify::Verifier;
use aegis_model::clock::UnixNanos;
use aegis_model::scope::Scope;
use criterion::{Criterion, criterion_group, criterion_main};
use rand::SeedableRng;
use rand::rngs::StdRng;

const NOW: UnixNanos = UnixNanos(1_800_000_000_000_000_000);
const LIFE: Duration = Duration::from_secs(600);

fn claims() -> AgentClaims {
    let name = "a name is valid";
    let serde_json::Value::Object(further) = serde_json::json!({"purpose": "care", "environment": "staging"})
    else {
        unreachable!("an object is written above")
    };
    AgentClaims {
        org: "acme".parse().expect(name),
        tenant: "acme-payments".parse().expect(name),
        agent: "finance-agent".parse().expect(name),
        scope: Scope::parse("stripe-payments:* github:read slack:post_message"),
        callers: vec!["planner".parse().expect(name)],
        claims: further,
    }
}

fn token(c: &mut Criterion) {
    let mut randomness = StdRng::seed_from_u64(1);
    let minter = Minter::new(SigningKey::generate(&mut randomness), "aegis-bench".parse().expect("valid"));
    let trust = Arc::new(Trust::new([minter.trusted_key()]).expect("one key"));
    let minted = minter.mint_agent(&claims(), LIFE, NOW, &mut randomness).expect("valid claims");
    let text = minted.token.expose().as_str();

    // With four slots and many more tokens than slots, no token is known when its turn comes again.
    let small = Verifier::new(Arc::clone(&trust), Arc::new(TokenCache::with_entries(4)));
    let many: Vec<_> = (0..64)
        .map(|_| minter.mint_agent(&claims(), LIFE, NOW, &mut randomness).expect("valid claims"))
        .collect();
    let mut turn = many.iter().cycle();
    c.bench_function("token/verify_cold", |b| {
        b.iter(|| {
            let token = turn.next().expect("a cycle never ends").token.expose();
            black_box(small.verify_agent(black_box(token), NOW)).expect("valid")
        })
    });

    let warm = Verifier::new(trust, Arc::new(TokenCache::new()));
    c.bench_function(&format!("token/verify_cached/{}_bytes", text.len()), |b| {
        b.iter(|| black_box(warm.verify_agent(black_box(text), NOW)).expect("valid"))
    });

    let claims = claims();
    c.bench_function("token/mint", |b| {
        b.iter(|| {
            black_box(minter.mint_agent(black_box(&claims), LIFE, NOW, &mut randomness)).expect("valid")
        })
    });
}

criterion_group!(benches, token);
criterion_main!(benches);
