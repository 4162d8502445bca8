//! A valid token has no neighbour: whatever is changed in it, it is refused.

use std::sync::Arc;

use aegis_identity::cache::TokenCache;
use aegis_identity::verify::Verifier;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::forge::*;

fn minted(seed: u64) -> String {
    let minted = minter().mint_agent(&agent_claims(), LIFE, NOW, &mut StdRng::seed_from_u64(seed)).unwrap();
    minted.token.expose().clone()
}

/// A verifier that has seen `token` and remembers it, as in a running node.
fn warm(token: &str) -> Verifier {
    let verifier = Verifier::new(Arc::new(trust()), Arc::new(TokenCache::with_entries(64)));
    verifier.verify_agent(token, NOW).unwrap();
    verifier
}

#[test]
fn every_single_bit_counts() {
    let token = minted(1);
    let verifier = warm(&token);
    for place in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[place] ^= 1 << bit;
            let twin = String::from_utf8(bytes).unwrap();
            assert!(verifier.verify_agent(&twin, NOW).is_err(), "bit {bit} of byte {place} of {token}");
        }
    }
    assert!(verifier.verify_agent(&token, NOW).is_ok());
}

#[test]
fn every_character_is_needed() {
    let token = minted(2);
    let verifier = warm(&token);
    for place in 0..token.len() {
        let mut shorter = token.clone();
        shorter.remove(place);
        assert!(verifier.verify_agent(&shorter, NOW).is_err(), "without byte {place} of {token}");
        assert!(verifier.verify_agent(&token[..place], NOW).is_err(), "the first {place} bytes of {token}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_other_character_fits(seed in 0_u64..8, place in 0_usize..10_000, other in any::<char>()) {
        let token = minted(seed);
        let verifier = warm(&token);
        let place = place % token.len();
        let mut replaced: Vec<char> = token.chars().collect();
        prop_assume!(replaced[place] != other);
        replaced[place] = other;
        prop_assert!(verifier.verify_agent(&replaced.into_iter().collect::<String>(), NOW).is_err());
        let mut inserted = token.clone();
        inserted.insert(place, other);
        prop_assert!(verifier.verify_agent(&inserted, NOW).is_err());
    }

    #[test]
    fn parts_of_two_tokens_do_not_mix(one in 0_u64..1_000, two in 0_u64..1_000, place in 1_usize..3) {
        prop_assume!(one != two);
        let (token, other) = (minted(one), minted(two));
        let other: Vec<&str> = other.split('.').collect();
        let mut mixed: Vec<&str> = token.split('.').collect();
        mixed[place] = other[place];
        prop_assert!(warm(&token).verify_agent(&mixed.join("."), NOW).is_err());
    }

    #[test]
    fn any_text_is_refused_without_panic(text in "\\PC{0,200}", parts in "[A-Za-z0-9_-]{0,90}\\.[A-Za-z0-9_-]{0,90}\\.[A-Za-z0-9_-]{0,90}") {
        prop_assert!(verify(&text, NOW).is_err());
        prop_assert!(verify(&parts, NOW).is_err());
        aegis_identity::inspect::inspect(&text, NOW, Some(&trust()));
        aegis_identity::inspect::inspect(&parts, NOW, Some(&trust()));
    }
}
