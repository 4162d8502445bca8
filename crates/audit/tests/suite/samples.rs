//! Records, keys and logs to test with.

use aegis_audit::hash::{DigestKey, Hash};
use aegis_audit::keys::{KeyKind, SigningKey};
use aegis_audit::record::*;
use aegis_model::clock::UnixNanos;
use aegis_model::decision::Outcome;
use aegis_model::reason::ReasonCode;
use aegis_model::secret::Secret;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Randomness that is the same in every run.
pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

/// The key of this name.
pub(crate) fn key(name: &str, kind: KeyKind) -> SigningKey {
    SigningKey::generate(name.parse().unwrap(), kind, &mut rng(name.len() as u64))
}

/// A decision with every field filled.
pub(crate) fn full_decision() -> What {
    let digest = DigestKey::new(&Secret::new([7; 32])).digest(b"{}");
    What::Decision(Box::new(Decision {
        action: "refund".parse().unwrap(),
        agent: "support-bot".parse().unwrap(),
        approval: Some(Approval { approvers: vec!["ann@example.com".parse().unwrap()], id: "a-1".into() }),
        callers: vec!["planner".parse().unwrap()],
        charged: vec![Charged {
            amount: "0.25".parse().unwrap(),
            entry: Some("pay*".into()),
            ledger: Some(7),
            level: "entry".into(),
            unit: "usd".into(),
        }],
        decision_id: "n1-7-41".into(),
        dry_run: true,
        findings: vec![Finding { count: 2, kind: "ssn".into(), path: "/params/note".into() }],
        latency_ns: [("authorize".into(), 4_100), ("identify".into(), 900)].into(),
        left_out: 1,
        limits: vec![LimitUse {
            after: "9.75".parse().unwrap(),
            before: "10".parse().unwrap(),
            name: "budget/agent/usd".into(),
        }],
        org: "acme".parse().unwrap(),
        outcome: Outcome::Sanitize,
        params: Some("{\"note\":\"\u{1F600} \\\"quoted\\\" \u{7f}\u{1}\\n\"}".into()),
        params_digest: Some(digest),
        params_key: Some(2),
        policy: Some(Policy { activation: 3, digest: "sha256:00".into(), version: 2 }),
        reasons: vec![Reason {
            code: ReasonCode::SensitiveData,
            message: "tab\there, \u{e4}\u{2028}".into(),
            path: Some("/params/note".into()),
            position: Some("p.yaml:3:4".into()),
            rule: Some("support/allowed[0]".into()),
        }],
        request_id: Some("r-1".parse().unwrap()),
        rules: vec!["support/allowed[0]".into()],
        sealed: Some(Sealed { key: 2, tokens: vec!["<us_ssn:v2:00>".into()], values: "AAAA".into() }),
        snapshot: 12,
        surface: "grpc".into(),
        token_id: "t-1".into(),
        tool: "payments".parse().unwrap(),
        trace_id: Some(RecordId([9; 16])),
        unverified: vec!["purpose".into()],
    }))
}

/// An ordinary decision.
pub(crate) fn decision(number: u64) -> What {
    let digest = DigestKey::new(&Secret::new([7; 32])).digest(&number.to_be_bytes());
    What::Decision(Box::new(Decision {
        action: "call".parse().unwrap(),
        agent: "support-bot".parse().unwrap(),
        approval: None,
        callers: Vec::new(),
        charged: Vec::new(),
        decision_id: format!("n1-7-{number}"),
        dry_run: false,
        findings: Vec::new(),
        latency_ns: [("authorize".into(), 4_100), ("identify".into(), 900)].into(),
        left_out: 0,
        limits: Vec::new(),
        org: "acme".parse().unwrap(),
        outcome: Outcome::Allow,
        params: None,
        params_digest: Some(digest),
        params_key: None,
        policy: Some(Policy { activation: 3, digest: Hash::of(b"bundle").to_string(), version: 2 }),
        reasons: Vec::new(),
        request_id: None,
        rules: vec!["support/allowed_tools[0]".into()],
        sealed: None,
        snapshot: 12,
        surface: "grpc".into(),
        token_id: "1b4e28ba-2fa1-11d2-883f-0016d3cca427".into(),
        tool: "payments".parse().unwrap(),
        trace_id: None,
        unverified: Vec::new(),
    }))
}

/// One of every kind.
pub(crate) fn every_kind() -> Vec<What> {
    let link = Link { entry: Hash::of(b"entry"), id: RecordId([1; 16]) };
    let policy = Policy { activation: 4, digest: "sha256:11".into(), version: 3 };
    vec![
        full_decision(),
        decision(1),
        What::Completion(Completion {
            action: "refund".parse().unwrap(),
            agent: "support-bot".parse().unwrap(),
            by: "payments".parse().unwrap(),
            cost: Some("0.25".parse().unwrap()),
            decision: link,
            decision_id: "d-n1-7-41".into(),
            findings: vec![Finding { count: 1, kind: "iban".into(), path: "/result".into() }],
            left_out: 0,
            result: CallResult::NotRun,
            result_digest: Some(DigestKey::new(&Secret::new([7; 32])).digest(b"x")),
            sealed: Some(Sealed { key: 2, tokens: vec!["<iban:v2:00>".into()], values: "AAAA".into() }),
            settled: vec![Settled {
                charged: "1".parse().unwrap(),
                cost: "0.25".parse().unwrap(),
                entry: None,
                ledger: Some(1 << 53),
                level: "agent".into(),
                unit: "usd".into(),
            }],
            token_id: "t-2".into(),
            tool: "payments".parse().unwrap(),
            withheld: false,
        }),
        What::Shadow(Shadow {
            decision: link,
            outcome: Outcome::Deny,
            policy,
            reasons: Vec::new(),
            rules: vec!["r".into()],
        }),
        What::Refusals(Refusals {
            code: ReasonCode::Unauthenticated,
            count: 17,
            source: "address:10.0.0.1".into(),
        }),
        What::Gap(Gap { after: 9, cause: GapCause::PowerLoss }),
        What::SegmentEnd(SegmentEnd { at: 99, heads: 3, heads_root: Hash::of(b"h"), last: true, segment: 0 }),
    ]
}

/// A moment.
pub(crate) fn moment(number: u64) -> UnixNanos {
    UnixNanos(1_795_741_200_000_000_000 + number)
}
