//! The memory of verified tokens: what it keeps, what it forgets, and that it never grows.

use std::sync::Arc;

use aegis_identity::cache::TokenCache;
use aegis_identity::refusal::TokenRefusal;
use aegis_identity::trust::{Trust, TrustedKey};
use aegis_identity::verify::Verifier;
use aegis_model::caps;
use serde_json::json;

use crate::forge::*;

fn verifier(trust: Trust, cache: &Arc<TokenCache>) -> Verifier {
    Verifier::new(Arc::new(trust), Arc::clone(cache))
}

#[test]
fn a_token_is_verified_once() {
    let cache = Arc::new(TokenCache::with_entries(64));
    let token = sign(&good_header(), &good_claims());
    let first = verifier(trust(), &cache).verify_agent(&token, NOW).unwrap();
    let again = verifier(trust(), &cache).verify_agent(&token, at(1)).unwrap();
    assert!(Arc::ptr_eq(&first, &again), "equal trust shares what was verified");
    assert_eq!(cache.occupied(), 1);
}

#[test]
fn what_is_remembered_still_expires() {
    let cache = Arc::new(TokenCache::with_entries(64));
    let verifier = verifier(trust(), &cache);
    let token = sign(&good_header(), &good_claims());
    verifier.verify_agent(&token, NOW).unwrap();
    verifier.verify_agent(&token, at(629)).unwrap();
    assert_eq!(verifier.verify_agent(&token, at(630)).unwrap_err(), TokenRefusal::Expired);
    // A clock that was set back does not open a token before its time either.
    assert_eq!(verifier.verify_agent(&token, at(-91)).unwrap_err(), TokenRefusal::NotYetValid);
    assert_eq!(cache.occupied(), 1);
}

#[test]
fn a_withdrawn_key_ends_what_it_proved() {
    let cache = Arc::new(TokenCache::with_entries(64));
    let token = sign(&good_header(), &good_claims());
    verifier(trust(), &cache).verify_agent(&token, NOW).unwrap();
    let rotated = Trust::single(ISSUER.parse().unwrap(), key(2).verifying_key().clone());
    assert_eq!(verifier(rotated, &cache).verify_agent(&token, NOW).unwrap_err(), TokenRefusal::UnknownKey);
    let rebound = Trust::single("https://other.test".parse().unwrap(), trusted().verifying_key().clone());
    assert_eq!(verifier(rebound, &cache).verify_agent(&token, NOW).unwrap_err(), TokenRefusal::Issuer);
    let added = TrustedKey { issuer: ISSUER.parse().unwrap(), key: key(2).verifying_key().clone() };
    let grown = Trust::new(trust().keys().cloned().chain([added])).unwrap();
    verifier(grown, &cache).verify_agent(&token, NOW).unwrap();
}

#[test]
fn a_refused_token_is_not_remembered() {
    let cache = Arc::new(TokenCache::with_entries(64));
    let verifier = verifier(trust(), &cache);
    let good = sign(&good_header(), &good_claims());
    let forged = format!("{}{}", &good[..good.len() - 4], "AAAA");
    for token in [forged.as_str(), &without_claim("exp"), &with_claim("aud", json!("other")), "", "a.b.c"] {
        verifier.verify_agent(token, NOW).unwrap_err();
        verifier.verify_agent(token, NOW).unwrap_err();
    }
    assert_eq!(verifier.verify_agent(&good, at(630)).unwrap_err(), TokenRefusal::Expired);
    assert_eq!(cache.occupied(), 0);
}

#[test]
fn it_holds_no_more_than_its_slots_and_forgets_none_wrongly() {
    let cache = Arc::new(TokenCache::with_entries(8));
    let verifier = verifier(trust(), &cache);
    let tokens: Vec<_> = (0..40).map(|n| with_claim("jti", json!(format!("t-{n}")))).collect();
    for _ in 0..2 {
        for (n, token) in tokens.iter().enumerate() {
            assert_eq!(verifier.verify_agent(token, NOW).unwrap().token_id, format!("t-{n}"));
        }
    }
    assert_eq!(cache.occupied(), 8, "40 tokens fill both sets of 8 slots, and no more");
}

#[test]
fn a_full_set_gives_up_what_expires_first() {
    let cache = Arc::new(TokenCache::with_entries(4));
    let verifier = verifier(trust(), &cache);
    let token = |exp: u64| with_claim("exp", json!(NOW_SECONDS + exp));
    let soonest = verifier.verify_agent(&token(100), NOW).unwrap();
    let latest = verifier.verify_agent(&token(700), NOW).unwrap();
    for exp in [500, 501, 502] {
        verifier.verify_agent(&token(exp), NOW).unwrap();
    }
    assert!(Arc::ptr_eq(&latest, &verifier.verify_agent(&token(700), NOW).unwrap()));
    assert!(!Arc::ptr_eq(&soonest, &verifier.verify_agent(&token(100), NOW).unwrap()));
}

#[test]
fn an_expired_token_gives_way_before_a_living_one() {
    let cache = Arc::new(TokenCache::with_entries(4));
    let verifier = verifier(trust(), &cache);
    let token = |exp: u64| with_claim("exp", json!(NOW_SECONDS + exp));
    for exp in [1, 101, 102, 103] {
        verifier.verify_agent(&token(exp), NOW).unwrap();
    }
    let living: Vec<_> =
        [101, 102, 103].map(|exp| verifier.verify_agent(&token(exp), at(60)).unwrap()).into();
    verifier.verify_agent(&token(90), at(60)).unwrap();
    for (exp, before) in [101, 102, 103].into_iter().zip(living) {
        assert!(Arc::ptr_eq(&before, &verifier.verify_agent(&token(exp), at(60)).unwrap()), "{exp}");
    }
}

#[test]
fn it_cannot_be_made_larger_than_its_bound() {
    assert_eq!(
        format!("{:?}", TokenCache::with_entries(usize::MAX)),
        format!("TokenCache({} slots)", caps::TOKEN_CACHE_ENTRIES_MAX)
    );
    assert_eq!(format!("{:?}", TokenCache::with_entries(0)), "TokenCache(4 slots)");
}

#[test]
fn threads_share_it() {
    let cache = Arc::new(TokenCache::with_entries(8));
    let verifier = verifier(trust(), &cache);
    let tokens: Vec<_> = (0..12).map(|n| with_claim("jti", json!(format!("t-{n}")))).collect();
    std::thread::scope(|scope| {
        for start in 0..4 {
            let (verifier, tokens) = (&verifier, &tokens);
            scope.spawn(move || {
                for step in 0..120 {
                    let n = (start * 3 + step) % tokens.len();
                    let principal = verifier.verify_agent(&tokens[n], NOW).unwrap();
                    assert_eq!(principal.token_id, format!("t-{n}"));
                }
            });
        }
    });
    assert!(cache.occupied() <= 8);
}
