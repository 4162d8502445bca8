//! The door for people: what is minted is accepted, every row of "Tokens" among the hostile inputs is refused, and no
//! token of another kind opens it.

use std::time::Duration;

use aegis_identity::inspect::inspect;
use aegis_identity::keys::SigningKey;
use aegis_identity::mint::{MintRefusal, Minted, Minter};
use aegis_identity::person::{CLAIMS, ProvenPerson, verify_person};
use aegis_identity::refusal::{ClaimProblem, TokenPart, TokenRefusal};
use aegis_identity::token::TokenKind;
use aegis_identity::trust::Trust;
use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::json::JsonObject;
use aegis_model::reason::ReasonCode;
use proptest::prelude::*;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::{Value, json};

use crate::forge::{self, NOW, NOW_SECONDS, at, encode, key, object, sign_texts, trusted};

const CLUSTER: &str = "cluster-1";

fn trust() -> Trust {
    Trust::single(CLUSTER.parse().unwrap(), trusted().verifying_key().clone())
}

fn minter() -> Minter {
    Minter::new(trusted(), CLUSTER.parse().unwrap())
}

fn mint(life: u64) -> Result<Minted, MintRefusal> {
    let person = "ada@example.com".parse().unwrap();
    minter().mint_person(&person, Duration::from_secs(life), NOW, &mut StdRng::seed_from_u64(1))
}

fn verify_at(token: &str, now: UnixNanos) -> Result<ProvenPerson, TokenRefusal> {
    verify_person(token, &trust(), now)
}

fn header() -> JsonObject {
    object(json!({"alg": "EdDSA", "kid": trusted().id().to_string(), "typ": "aegis-person+jwt"}))
}

fn claims() -> JsonObject {
    object(json!({
        "iss": CLUSTER, "aud": "aegis-admin", "sub": "ada@example.com",
        "iat": NOW_SECONDS - 60, "exp": NOW_SECONDS + 3_600, "jti": "t-1",
    }))
}

fn good() -> String {
    forge::sign(&header(), &claims())
}

fn with_header(member: &str, value: Value) -> String {
    let mut header = header();
    header.insert(member.to_owned(), value);
    forge::sign(&header, &claims())
}

fn with_claims(changed: &[(&str, Value)]) -> String {
    let mut claims = claims();
    claims.extend(changed.iter().map(|(claim, value)| ((*claim).to_owned(), value.clone())));
    forge::sign(&header(), &claims)
}

fn with_claim(claim: &str, value: Value) -> String {
    with_claims(&[(claim, value)])
}

fn without_claim(claim: &str) -> String {
    let mut claims = claims();
    claims.remove(claim).unwrap();
    forge::sign(&header(), &claims)
}

/// Refused, and inspection finds the same.
#[track_caller]
fn refused(token: &str, expected: TokenRefusal) {
    assert_eq!(verify_at(token, NOW).unwrap_err(), expected, "of {token}");
    assert_eq!(expected.code(), ReasonCode::Unauthenticated);
    let findings = inspect(token, NOW, Some(&trust())).findings;
    assert!(expected == TokenRefusal::Kind || findings.contains(&expected), "{expected:?}: {findings:?}");
}

#[track_caller]
fn accepted(token: &str) {
    verify_at(token, NOW).unwrap();
    assert_eq!(inspect(token, NOW, Some(&trust())).findings, []);
}

fn claim(claim: &'static str, problem: ClaimProblem) -> TokenRefusal {
    TokenRefusal::Claim { claim, problem }
}

// ---- minting

#[test]
fn what_is_minted_is_accepted_and_says_who() {
    let minted = mint(3_600).unwrap();
    accepted(minted.token.expose());
    let person = verify_at(minted.token.expose(), NOW).unwrap();
    assert_eq!(
        (person.person.as_str(), person.token_id.as_str()),
        ("ada@example.com", minted.token_id.as_str())
    );
    assert_eq!((person.issued_at, person.expires_at, minted.expires_at), (at(0), at(3_600), at(3_600)));
    assert!(!format!("{minted:?}").contains(&minted.token.expose()[..20]));
}

#[test]
fn a_life_beyond_twelve_hours_is_neither_minted_nor_accepted() {
    let most = caps::PERSON_TOKEN_LIFE_SECONDS_MAX;
    assert_eq!(most, 12 * 3_600);
    accepted(mint(most).unwrap().token.expose());
    for life in [0, most + 1, u64::MAX] {
        assert_eq!(mint(life).unwrap_err(), MintRefusal::Life(TokenKind::Person));
    }
    let life =
        |seconds: u64| with_claims(&[("iat", json!(NOW_SECONDS)), ("exp", json!(NOW_SECONDS + seconds))]);
    accepted(&life(most));
    refused(&life(most + 1), TokenRefusal::Life(TokenKind::Person));
    refused(&life(0), TokenRefusal::Life(TokenKind::Person));
    refused(&with_claim("exp", json!(9_007_199_254_740_992_u64)), TokenRefusal::Life(TokenKind::Person));
    let ahead = NOW_SECONDS + caps::CLOCK_SKEW_SECONDS_MAX + 1;
    refused(&with_claims(&[("iat", json!(ahead)), ("exp", json!(ahead + most))]), TokenRefusal::NotYetValid);
}

// ---- a token of one kind at another kind's door

#[test]
fn an_agents_token_does_not_open_the_door_for_people() {
    let agent = forge::minter()
        .mint_agent(&forge::agent_claims(), forge::LIFE, NOW, &mut StdRng::seed_from_u64(1))
        .unwrap();
    refused(agent.token.expose(), TokenRefusal::Kind);
    // Even if the cluster's key had signed an agent's claims under the header of a person.
    let mut agents = forge::good_claims();
    agents.insert("iss".into(), json!(CLUSTER));
    refused(&forge::sign(&header(), &agents), TokenRefusal::Audience(TokenKind::Person));
    agents.insert("aud".into(), json!("aegis-admin"));
    refused(&forge::sign(&header(), &agents), TokenRefusal::UnknownClaim);
    for kind in [TokenKind::Agent, TokenKind::Override] {
        refused(&with_header("typ", json!(kind.typ())), TokenRefusal::Kind);
    }
}

#[test]
fn a_persons_token_does_not_open_the_door_for_agents() {
    let person = Minter::new(trusted(), forge::ISSUER.parse().unwrap());
    let minted = person
        .mint_person(&"ada".parse().unwrap(), Duration::from_secs(60), NOW, &mut StdRng::seed_from_u64(1))
        .unwrap();
    assert_eq!(forge::verify(minted.token.expose(), NOW).unwrap_err(), TokenRefusal::Kind);
    let mut claims = claims();
    claims.insert("iss".into(), json!(forge::ISSUER));
    let relabelled = forge::sign(&forge::good_header(), &claims);
    assert_eq!(forge::verify(&relabelled, NOW).unwrap_err(), TokenRefusal::Audience(TokenKind::Agent));
}

#[test]
fn the_token_of_another_cluster_is_refused() {
    refused(&with_claim("iss", json!("cluster-2")), TokenRefusal::Issuer);
    let other = Minter::new(key(2), CLUSTER.parse().unwrap());
    let minted = other
        .mint_person(&"ada".parse().unwrap(), Duration::from_secs(60), NOW, &mut StdRng::seed_from_u64(1))
        .unwrap();
    refused(minted.token.expose(), TokenRefusal::UnknownKey);
}

// ---- the header

#[test]
fn a_header_with_anything_but_the_three_members_is_refused() {
    for alg in ["none", "None", "HS256", "RS256", "ES256", "Ed25519", "eddsa", "EdDSA ", ""] {
        refused(&with_header("alg", json!(alg)), TokenRefusal::Algorithm);
    }
    refused(&with_header("alg", json!(["EdDSA"])), TokenRefusal::Algorithm);
    for member in ["crit", "jwk", "jku", "x5u", "x5c", "x5t#S256", "cty", "b64", "zip", "enc", "ALG", ""] {
        refused(&with_header(member, json!(["exp"])), TokenRefusal::HeaderMember);
    }
    for kid in ["", "../../dev/null", "' OR 1=1 --", "https://evil.example/key"] {
        refused(&with_header("kid", json!(kid)), TokenRefusal::KeyId);
    }
    for typ in ["JWT", "at+jwt", "aegis-person", "AEGIS-PERSON+JWT", "application/aegis-person+jwt", ""] {
        refused(&with_header("typ", json!(typ)), TokenRefusal::Kind);
    }
    for member in ["alg", "kid", "typ"] {
        let mut header = header();
        header.remove(member);
        assert!(verify_at(&forge::sign(&header, &claims()), NOW).is_err(), "without {member}");
    }
}

#[test]
fn an_unsigned_token_and_one_that_brings_its_key_are_refused() {
    let none = json!({"alg": "none", "kid": trusted().id().to_string(), "typ": "aegis-person+jwt"});
    let unsigned = format!("{}.{}.", encode(none.to_string()), encode(json!(claims()).to_string()));
    refused(&unsigned, TokenRefusal::Algorithm);
    refused(&good()[..=good().rfind('.').unwrap()], TokenRefusal::Signature);
    let own: SigningKey = key(7);
    let header = json!({"alg": "EdDSA", "kid": own.id().to_string(), "typ": "aegis-person+jwt"}).to_string();
    refused(&sign_texts(&own, &header, &json!(claims()).to_string()), TokenRefusal::UnknownKey);
}

// ---- the claims

#[test]
fn an_audience_other_than_the_one_string_is_refused() {
    let audience = TokenRefusal::Audience(TokenKind::Person);
    for aud in ["aegis", "aegis-admin2", "aegis-admi", "Aegis-Admin", "aegis-admin ", "aegis,aegis-admin", ""]
    {
        refused(&with_claim("aud", json!(aud)), audience);
    }
    for aud in [json!(["aegis-admin"]), json!(["aegis", "aegis-admin"]), json!([]), Value::Null] {
        refused(&with_claim("aud", aud), audience);
    }
    refused(&without_claim("aud"), audience);
}

#[test]
fn every_claim_is_required_and_has_its_form() {
    for name in ["iss", "sub", "iat", "exp", "jti"] {
        refused(&without_claim(name), claim(name, ClaimProblem::Missing));
        refused(&with_claim(name, Value::Null), claim(name, ClaimProblem::Type));
        refused(&with_claim(name, json!(["a"])), claim(name, ClaimProblem::Type));
    }
    for sub in ["", "a b", "é", "a\n", "a\u{0}b", &"a".repeat(caps::NAME_BYTES_MAX + 1)] {
        refused(&with_claim("sub", json!(sub)), claim("sub", ClaimProblem::Value));
    }
    for id in ["", "a b", "a\n", "é", &"x".repeat(caps::TOKEN_ID_BYTES_MAX + 1)] {
        refused(&with_claim("jti", json!(id)), claim("jti", ClaimProblem::Value));
    }
    for exp in [json!("1800003600"), json!(1_800_003_600.5), json!(-1), json!(true)] {
        refused(&with_claim("exp", exp), claim("exp", ClaimProblem::Type));
    }
}

#[test]
fn a_claim_that_people_do_not_have_is_refused() {
    for further in
        ["cnf", "scope", "role", "roles", "tenant", "org", "callers", "purpose", "admin", "AUD", ""]
    {
        assert!(!CLAIMS.contains(&further));
        refused(&with_claim(further, json!({"a": 1})), TokenRefusal::UnknownClaim);
    }
    accepted(&with_claim("nbf", json!(0)));
}

#[test]
fn times_count_within_the_skew_and_no_longer() {
    verify_at(&good(), at(3_629)).unwrap();
    assert_eq!(verify_at(&good(), at(3_630)).unwrap_err(), TokenRefusal::Expired);
    for claim in ["iat", "nbf"] {
        accepted(&with_claim(claim, json!(NOW_SECONDS + 30)));
        refused(&with_claim(claim, json!(NOW_SECONDS + 31)), TokenRefusal::NotYetValid);
    }
}

#[test]
fn duplicate_claims_and_loose_json_are_refused() {
    let (header, payload) = (json!(header()).to_string(), json!(claims()).to_string());
    let twice = |json: &str, first: &str| format!("{{{first},{}", &json[1..]);
    for first in [r#""sub":"root""#, r#""s\u0075b":"root""#, r#""exp":1"#] {
        let token = sign_texts(&trusted(), &header, &twice(&payload, first));
        refused(&token, TokenRefusal::Json(TokenPart::Payload));
    }
    let token = sign_texts(&trusted(), &twice(&header, r#""alg":"none""#), &payload);
    refused(&token, TokenRefusal::Json(TokenPart::Header));
    for bad in ["", "[]", "null", "{", "{}x", "\u{feff}{}", r#"{"a":"\ud800"}"#] {
        refused(&sign_texts(&trusted(), &header, bad), TokenRefusal::Json(TokenPart::Payload));
    }
}

// ---- the form

#[test]
fn padding_white_space_length_and_parts_are_strict() {
    let good = good();
    for spoilt in [format!("{good}="), format!(" {good}"), format!("{good}\n"), good.replacen('.', "=.", 1)] {
        assert!(matches!(verify_at(&spoilt, NOW), Err(TokenRefusal::Encoding(_))), "{spoilt:?}");
    }
    for spoilt in ["", "a.b", &format!("{good}."), &format!("{good}.e30"), &format!(".{good}")] {
        refused(spoilt, TokenRefusal::NotCompact);
    }
    refused(&"a".repeat(caps::TOKEN_BYTES_MAX + 1), TokenRefusal::TooLong);
    let twin = format!("{}{}", &good[..good.len() - 1], char::from(good.as_bytes()[good.len() - 1] + 1));
    refused(&twin, TokenRefusal::Encoding(TokenPart::Signature));
}

#[test]
fn every_single_bit_counts() {
    let token = mint(60).unwrap().token.expose().clone();
    for place in 0..token.len() {
        for bit in 0..7 {
            let mut bytes = token.clone().into_bytes();
            bytes[place] ^= 1 << bit;
            let twin = String::from_utf8(bytes).unwrap();
            assert!(verify_at(&twin, NOW).is_err(), "bit {bit} of byte {place} of {token}");
        }
    }
}

#[test]
fn no_refusal_shows_any_part_of_the_token() {
    let mark = "s3cret-mark";
    for token in [
        with_header("kid", json!(mark)),
        with_header(mark, json!(mark)),
        with_claim("iss", json!(mark)),
        with_claim("aud", json!(mark)),
        with_claim("sub", json!(format!("{mark} "))),
        with_claim("jti", json!(format!("{mark} "))),
        with_claim(mark, json!(mark)),
        mark.to_owned(),
    ] {
        let refusal = verify_at(&token, NOW).unwrap_err();
        let shown = format!("{refusal} {refusal:?}");
        assert!(!shown.contains("s3cret") && !shown.contains(&token), "{shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whoever_is_minted_for_is_proven(
        person in "[A-Za-z0-9_.:/@+-]{1,128}", life in 1_u64..=43_200, skew in -30_i64..=30,
    ) {
        let wanted = person.parse().unwrap();
        let minted = minter()
            .mint_person(&wanted, Duration::from_secs(life), NOW, &mut StdRng::seed_from_u64(life))
            .unwrap();
        prop_assert_eq!(verify_at(minted.token.expose(), at(skew)).unwrap().person, wanted);
    }

    #[test]
    fn any_text_is_refused_without_panic(text in "\\PC{0,200}") {
        prop_assert!(verify_at(&text, NOW).is_err());
    }
}
