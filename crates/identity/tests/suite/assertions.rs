//! Assertions: one shape, one audience, a short life, the agent's own signature; everything else is refused.

use aegis_identity::assertion::{self, Assertion, TYP};
use aegis_identity::refusal::{ClaimProblem, TokenRefusal};
use aegis_identity::token::{self, TokenKind};
use aegis_model::caps;
use aegis_model::ids::ClusterId;
use aegis_model::json::JsonObject;
use serde_json::{Value, json};

use crate::forge::{self, NOW, NOW_SECONDS, at, encode, key, object, sign_texts};

fn cluster() -> ClusterId {
    "prod".parse().unwrap()
}

fn header() -> JsonObject {
    object(json!({"alg": "EdDSA", "kid": key(5).id().to_string(), "typ": TYP}))
}

fn claims() -> JsonObject {
    object(json!({
        "iss": "payer", "sub": "payer", "aud": "prod", "tenant": "acme",
        "iat": NOW_SECONDS, "exp": NOW_SECONDS + 60, "jti": "a-1",
    }))
}

fn signed(header: &JsonObject, claims: &JsonObject) -> String {
    sign_texts(&key(5), &json!(header).to_string(), &json!(claims).to_string())
}

fn with_claim(claim: &str, value: Value) -> String {
    let mut claims = claims();
    claims.insert(claim.to_owned(), value);
    signed(&header(), &claims)
}

fn with_header(member: &str, value: Value) -> String {
    let mut header = header();
    header.insert(member.to_owned(), value);
    signed(&header, &claims())
}

fn read(text: &str) -> Result<Assertion, TokenRefusal> {
    assertion::read(text, &cluster(), NOW)?.verify(key(5).verifying_key())
}

#[test]
fn a_good_one_says_who_it_is_once() {
    let assertion = read(&signed(&header(), &claims())).unwrap();
    assert_eq!((assertion.tenant.as_str(), assertion.agent.as_str()), ("acme", "payer"));
    assert_eq!((assertion.id.as_str(), assertion.key_id), ("a-1", key(5).id()));
    let made = assertion::sign(&key(5), "prod", "acme", "payer", "a-1", NOW, 60);
    assert_eq!(read(&made).unwrap(), assertion);
    assert_eq!(read(&with_claim("nbf", json!(NOW_SECONDS))).unwrap(), assertion);
}

#[test]
fn whatever_else_it_says_refuses_it() {
    use TokenRefusal::{
        Algorithm, AssertionAudience, AssertionLife, Claim, Expired, HeaderMember, KeyId, Kind, NotYetValid,
        UnknownClaim,
    };
    let value = |claim| Claim { claim, problem: ClaimProblem::Value };
    let cases = [
        (with_header("alg", json!("none")), Algorithm),
        (with_header("alg", json!("HS256")), Algorithm),
        (with_header("typ", json!("JWT")), Kind),
        (with_header("typ", json!("aegis-agent+jwt")), Kind),
        (with_header("typ", json!("AEGIS-ASSERTION+JWT")), Kind),
        (with_header("kid", json!("../../key")), KeyId),
        (with_header("crit", json!(["exp"])), HeaderMember),
        (with_header("jwk", key(5).verifying_key().to_jwk()), HeaderMember),
        (with_header("jku", json!("https://evil.example/keys")), HeaderMember),
        (with_header("x5u", json!("https://evil.example/cert")), HeaderMember),
        (with_claim("aud", json!("staging")), AssertionAudience),
        (with_claim("aud", json!(["prod"])), AssertionAudience),
        (with_claim("aud", json!("prod ")), AssertionAudience),
        (with_claim("iss", json!("planner")), value("iss")),
        (with_claim("sub", json!("a b")), value("sub")),
        (with_claim("tenant", json!("")), value("tenant")),
        (with_claim("jti", json!("")), value("jti")),
        (with_claim("jti", json!("x".repeat(caps::TOKEN_ID_BYTES_MAX + 1))), value("jti")),
        (with_claim("scope", json!("*:*")), UnknownClaim),
        (with_claim("cnf", json!({})), UnknownClaim),
        (with_claim("exp", json!(NOW_SECONDS + caps::ASSERTION_LIFE_SECONDS_MAX + 1)), AssertionLife),
        (with_claim("exp", json!(NOW_SECONDS)), AssertionLife),
        (with_claim("exp", json!(1_u64 << 52)), AssertionLife),
        (with_claim("iat", json!(NOW_SECONDS + 31)), NotYetValid),
        (with_claim("nbf", json!(NOW_SECONDS + 31)), NotYetValid),
    ];
    for (text, expected) in cases {
        assert_eq!(read(&text).unwrap_err(), expected, "{text}");
    }
    for claim in ["iss", "sub", "aud", "tenant", "iat", "exp", "jti"] {
        let mut claims = claims();
        claims.remove(claim).unwrap();
        read(&signed(&header(), &claims)).unwrap_err();
    }
    let good = signed(&header(), &claims());
    assert_eq!(assertion::read(&good, &cluster(), at(90)).unwrap_err(), Expired);
    assert!(assertion::read(&good, &cluster(), at(89)).is_ok());
}

#[test]
fn its_text_has_one_spelling_and_its_signature_one_key() {
    let good = signed(&header(), &claims());
    for bad in [format!("{good}="), format!(" {good}"), good.replace('.', ".."), good[1..].to_owned()] {
        assert!(read(&bad).is_err(), "{bad}");
    }
    let twice = r#"{"iss":"payer","sub":"payer","sub":"planner","aud":"prod"}"#;
    assert!(read(&sign_texts(&key(5), &json!(header()).to_string(), twice)).is_err());
    let by_another = sign_texts(&key(6), &json!(header()).to_string(), &json!(claims()).to_string());
    assert_eq!(read(&by_another).unwrap_err(), TokenRefusal::Signature);
    let read = assertion::read(&good, &cluster(), NOW).unwrap();
    assert_eq!(read.verify(key(6).verifying_key()).unwrap_err(), TokenRefusal::UnknownKey);
    let parts: Vec<&str> = good.split('.').collect();
    let changed = json!(object(json!({"sub": "planner"}))).to_string();
    let moved = format!("{}.{}.{}", parts[0], encode(changed), parts[2]);
    assert!(assertion::read(&moved, &cluster(), NOW).is_err());
}

#[test]
fn an_assertion_opens_no_door_for_tokens_and_no_token_this_one() {
    let good = signed(&header(), &claims());
    for door in TokenKind::ALL {
        assert_eq!(token::parse(&good, door).unwrap_err(), TokenRefusal::Kind);
    }
    let token = forge::sign(&forge::good_header(), &forge::good_claims());
    assert_eq!(assertion::read(&token, &cluster(), NOW).unwrap_err(), TokenRefusal::Kind);
}

#[test]
fn what_a_token_rests_on_is_a_short_list_of_texts() {
    let basis = |value: Value| forge::verify(&forge::with_claim("basis", value), NOW);
    assert!(basis(json!(["key:k-1", "token:t-1"])).is_ok());
    for bad in [json!("key:k-1"), json!([1]), json!({}), json!(vec!["key:k"; caps::TOKEN_BASIS_MAX + 1])] {
        let refusal = TokenRefusal::Claim { claim: "basis", problem: ClaimProblem::Value };
        assert_eq!(basis(bad).unwrap_err(), refusal);
    }
}
