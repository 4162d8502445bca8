//! Minting and exchange: what is signed is what was asked for, bounded, and never wider than its origin.

use std::time::Duration;

use aegis_identity::claims::REGISTERED;
use aegis_identity::mint::{Exchange, MintRefusal, Minted};
use aegis_identity::refusal::{ClaimProblem, TokenPart, TokenRefusal};
use aegis_identity::token::TokenKind;
use aegis_model::caps;
use aegis_model::principal::Principal;
use aegis_model::reason::ReasonCode;
use aegis_model::scope::Scope;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;

use crate::forge::*;

fn random() -> StdRng {
    StdRng::seed_from_u64(1)
}

fn mint(life: Duration) -> Result<Minted, MintRefusal> {
    minter().mint_agent(&agent_claims(), life, NOW, &mut random())
}

fn parent() -> Principal {
    let minted = minter().mint_agent(&agent_claims(), LIFE, NOW, &mut StdRng::seed_from_u64(2)).unwrap();
    verify(minted.token.expose(), NOW).unwrap().as_ref().clone()
}

fn exchange(parent: &Principal, scope: &str, life: u64) -> Result<Minted, MintRefusal> {
    let wanted = Exchange {
        agent: "payer".parse().unwrap(),
        scope: Scope::parse(scope),
        life: Duration::from_secs(life),
    };
    minter().exchange(parent, wanted, NOW, &mut random())
}

#[test]
fn what_is_minted_is_what_was_asked_for() {
    let (asked, minted) = (agent_claims(), mint(LIFE).unwrap());
    let principal = verify(minted.token.expose(), NOW).unwrap();
    assert_eq!(
        (&principal.org, &principal.tenant, &principal.agent),
        (&asked.org, &asked.tenant, &asked.agent)
    );
    assert_eq!((&principal.scope, &principal.callers), (&asked.scope, &asked.callers));
    assert_eq!(principal.claims, asked.claims);
    assert_eq!((&principal.token_id, principal.expires_at), (&minted.token_id, minted.expires_at));
    assert_eq!(minted.expires_at, at(600));
}

#[test]
fn same_randomness_same_token_other_randomness_another_id() {
    assert_eq!(mint(LIFE).unwrap().token, mint(LIFE).unwrap().token);
    let mut randomness = random();
    let mut next = || minter().mint_agent(&agent_claims(), LIFE, NOW, &mut randomness).unwrap().token_id;
    assert_ne!(next(), next());
}

#[test]
fn a_life_beyond_fifteen_minutes_is_refused() {
    mint(Duration::from_secs(caps::TOKEN_LIFE_SECONDS_MAX)).unwrap();
    for life in [Duration::from_secs(caps::TOKEN_LIFE_SECONDS_MAX + 1), Duration::MAX] {
        assert_eq!(mint(life).unwrap_err(), MintRefusal::Life(TokenKind::Agent));
    }
    assert_eq!(mint(Duration::ZERO).unwrap_err(), MintRefusal::Life(TokenKind::Agent));
    assert_eq!(mint(Duration::from_millis(999)).unwrap_err(), MintRefusal::Life(TokenKind::Agent));
}

#[test]
fn a_chain_beyond_five_is_refused() {
    let mut claims = agent_claims();
    claims.callers = vec!["a".parse().unwrap(); 5];
    minter().mint_agent(&claims, LIFE, NOW, &mut random()).unwrap();
    claims.callers.push("a".parse().unwrap());
    let refusal = minter().mint_agent(&claims, LIFE, NOW, &mut random()).unwrap_err();
    assert_eq!((refusal, refusal.code()), (MintRefusal::ChainTooLong, ReasonCode::ChainTooDeep));
}

#[test]
fn a_further_claim_cannot_overwrite_a_registered_one() {
    for name in REGISTERED {
        let mut claims = agent_claims();
        claims.claims.insert(name.to_owned(), json!("admin"));
        let refusal = minter().mint_agent(&claims, LIFE, NOW, &mut random()).unwrap_err();
        assert_eq!(refusal, MintRefusal::RegisteredClaim, "{name}");
    }
}

#[test]
fn nothing_is_signed_that_the_verifier_would_refuse() {
    let refused = |spoil: fn(&mut aegis_identity::claims::AgentClaims)| {
        let mut claims = agent_claims();
        spoil(&mut claims);
        match minter().mint_agent(&claims, LIFE, NOW, &mut random()).unwrap_err() {
            MintRefusal::Unacceptable(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    };
    let scope = TokenRefusal::Claim { claim: "scope", problem: ClaimProblem::Value };
    assert_eq!(refused(|claims| claims.scope = Scope::parse(&"a:b ".repeat(200))), scope);
    assert_eq!(refused(|claims| drop(claims.claims.insert("cnf".into(), json!({})))), TokenRefusal::Bound);
    assert_eq!(
        refused(|claims| drop(claims.claims.insert("big".into(), json!(u64::MAX)))),
        TokenRefusal::Json(TokenPart::Payload)
    );
    assert_eq!(
        refused(|claims| drop(claims.claims.insert("many".into(), json!(vec![1; 300])))),
        TokenRefusal::TooManyClaims
    );
    assert_eq!(
        refused(|claims| drop(claims.claims.insert("note".into(), json!("x".repeat(8_000))))),
        TokenRefusal::TooLong
    );
}

#[test]
fn debug_shows_no_token() {
    let minted = mint(LIFE).unwrap();
    assert!(!format!("{minted:?}").contains(&minted.token.expose()[..20]));
}

// ---- exchange; among the hostile inputs: scope wider than the parent's

#[test]
fn an_exchange_puts_the_parent_at_the_head_of_the_chain() {
    let parent = parent();
    let minted = exchange(&parent, "stripe-payments:create_payment", 60).unwrap();
    let child = verify(minted.token.expose(), NOW).unwrap();
    assert_eq!(child.agent.as_str(), "payer");
    assert_eq!(child.callers, ["finance-agent".parse().unwrap(), "planner".parse().unwrap()]);
    assert_eq!((&child.org, &child.tenant, &child.claims), (&parent.org, &parent.tenant, &parent.claims));
    assert_eq!(child.scope.to_string(), "stripe-payments:create_payment");
    assert_eq!(child.expires_at, at(60));
    assert_ne!(child.token_id, parent.token_id);
}

#[test]
fn a_scope_wider_than_the_parents_is_refused() {
    let parent = parent();
    for scope in ["*:*", "github:*", "github:write", "stripe-payments:* slack:post", "stripe:*", "settle"] {
        let refusal = exchange(&parent, scope, 60).unwrap_err();
        assert_eq!(
            (refusal, refusal.code()),
            (MintRefusal::ScopeTooWide, ReasonCode::ScopeExceeded),
            "{scope}"
        );
    }
    exchange(&parent, "stripe-payments:* github:read", 60).unwrap();
    exchange(&parent, "", 60).unwrap();
}

#[test]
fn a_right_at_the_gateway_is_not_won_by_exchange() {
    let mut parent = parent();
    parent.scope = Scope::parse("*:*");
    for scope in ["aegis:explain", "assert:billing", "assert:*", "a:b assert:x:y"] {
        assert_eq!(exchange(&parent, scope, 60).unwrap_err(), MintRefusal::ScopeTooWide, "{scope}");
    }
    parent.scope = Scope::parse("*:* aegis:explain assert:billing");
    exchange(&parent, "aegis:explain assert:billing", 60).unwrap();
}

#[test]
fn a_child_never_outlives_its_parent() {
    let parent = parent();
    assert_eq!(exchange(&parent, "", 900).unwrap().expires_at, parent.expires_at);
    assert_eq!(exchange(&parent, "", 901).unwrap_err(), MintRefusal::Life(TokenKind::Agent));
    let mut over = parent.clone();
    for expired in [at(0), at(-1), at(-100_000)] {
        over.expires_at = expired;
        let refusal = exchange(&over, "", 60).unwrap_err();
        assert_eq!((refusal, refusal.code()), (MintRefusal::ParentExpired, ReasonCode::TokenExpired));
    }
}

#[test]
fn a_chain_grows_by_exchange_to_five_and_no_further() {
    let mut principal = parent();
    principal.callers.clear();
    for length in 1..=5 {
        let minted = exchange(&principal, "stripe-payments:*", 60).unwrap();
        principal = verify(minted.token.expose(), NOW).unwrap().as_ref().clone();
        assert_eq!(principal.callers.len(), length);
    }
    assert_eq!(exchange(&principal, "stripe-payments:*", 60).unwrap_err(), MintRefusal::ChainTooLong);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_minted_is_accepted(
        agent in "[A-Za-z0-9_.:/-]{1,128}",
        scope in "[a-z*:]{0,20}( [a-z*:]{1,20}){0,20}",
        purpose in "\\PC{0,60}",
        number in -9_007_199_254_740_992_i64..=9_007_199_254_740_992,
        callers in proptest::collection::vec("[A-Za-z0-9_.:/-]{1,128}", 0..=5),
        life in 1_u64..=900,
        skew in -30_i64..=30,
    ) {
        let mut claims = agent_claims();
        claims.agent = agent.parse().unwrap();
        claims.scope = Scope::parse(&scope);
        claims.callers = callers.iter().map(|caller| caller.parse().unwrap()).collect();
        claims.claims.insert("purpose".into(), json!(purpose));
        claims.claims.insert("number".into(), json!(number));
        let minted = minter().mint_agent(&claims, Duration::from_secs(life), NOW, &mut random()).unwrap();
        let principal = verify(minted.token.expose(), at(skew)).unwrap();
        prop_assert_eq!(&principal.agent, &claims.agent);
        prop_assert_eq!(&principal.scope, &claims.scope);
        prop_assert_eq!(&principal.callers, &claims.callers);
        prop_assert_eq!(&principal.claims, &claims.claims);
    }
}
