//! Inspection finds what the verifier refuses, and shows what can be shown.

use aegis_identity::inspect::{SignatureStatus, inspect};
use aegis_identity::refusal::{ClaimProblem, TokenPart, TokenRefusal};
use aegis_identity::token::TokenKind;
use aegis_identity::trust::Trust;
use serde_json::{Value, json};

use crate::forge::*;

#[test]
fn a_good_token_has_no_findings() {
    let seen = inspect(&sign(&good_header(), &good_claims()), NOW, Some(&trust()));
    assert_eq!(seen.findings, []);
    assert_eq!(seen.signature, SignatureStatus::Valid { issuer: ISSUER.into() });
    assert_eq!(seen.kind, Some(TokenKind::Agent));
    assert_eq!((seen.header.unwrap(), seen.claims.unwrap()), (good_header(), good_claims()));
    assert_eq!(seen.times.issued_at, Some(NOW_SECONDS - 60));
    assert_eq!((seen.times.not_before, seen.times.expires_at), (None, Some(NOW_SECONDS + 600)));
    assert_eq!(seen.times.expires_in, Some(600));
}

#[test]
fn without_trust_the_signature_is_left_open() {
    let seen = inspect(&sign(&good_header(), &good_claims()), NOW, None);
    assert_eq!((seen.signature, seen.findings), (SignatureStatus::NotChecked, vec![]));
}

#[test]
fn the_signature_is_judged_by_the_key_that_is_named() {
    let good = sign(&good_header(), &good_claims());
    let seen = inspect(&good, NOW, Some(&Trust::new([]).unwrap()));
    assert_eq!(
        (seen.signature, seen.findings),
        (SignatureStatus::UnknownKey, vec![TokenRefusal::UnknownKey])
    );
    let spoilt = format!("{}AA", &good[..good.len() - 2]);
    let seen = inspect(&spoilt, NOW, Some(&trust()));
    assert_eq!((seen.signature, seen.findings), (SignatureStatus::Invalid, vec![TokenRefusal::Signature]));
    let rebound = Trust::single("https://other.test".parse().unwrap(), trusted().verifying_key().clone());
    let seen = inspect(&good, NOW, Some(&rebound));
    assert_eq!(seen.signature, SignatureStatus::Valid { issuer: "https://other.test".into() });
    assert_eq!(seen.findings, [TokenRefusal::Issuer]);
}

#[test]
fn everything_that_is_wrong_is_found_at_once() {
    let header = object(json!({"alg": "none", "kid": "1", "typ": "JWT", "crit": ["exp"]}));
    let claims = object(json!({"aud": ["aegis"], "sub": "a b", "callers": "x", "exp": NOW_SECONDS + 600}));
    let seen = inspect(&sign(&header, &claims), NOW, Some(&trust()));
    let claim = |claim, problem| TokenRefusal::Claim { claim, problem };
    for expected in [
        TokenRefusal::HeaderMember,
        TokenRefusal::Algorithm,
        TokenRefusal::Kind,
        TokenRefusal::KeyId,
        TokenRefusal::UnknownKey,
        TokenRefusal::Audience(TokenKind::Agent),
        claim("iss", ClaimProblem::Missing),
        claim("sub", ClaimProblem::Value),
        claim("org", ClaimProblem::Missing),
        claim("tenant", ClaimProblem::Missing),
        claim("scope", ClaimProblem::Missing),
        claim("jti", ClaimProblem::Missing),
        claim("iat", ClaimProblem::Missing),
        claim("callers", ClaimProblem::Type),
    ] {
        assert!(seen.findings.contains(&expected), "{expected:?} among {:?}", seen.findings);
    }
    assert_eq!(seen.findings.len(), 14);
    assert_eq!(seen.claims.unwrap(), claims);
}

#[test]
fn what_the_verifier_refuses_is_always_among_the_findings() {
    let good = sign(&good_header(), &good_claims());
    let parts: Vec<&str> = good.split('.').collect();
    let payload = json!(good_claims()).to_string();
    let doubled = payload.replacen('{', r#"{"sub":"admin","#, 1);
    let tokens = [
        good.clone(),
        "".into(),
        "a".repeat(9_000),
        good.replace('.', ""),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        format!("{}. {}.{}", parts[0], parts[1], parts[2]),
        format!("{}.{}.{}=", parts[0], parts[1], parts[2]),
        format!("{}.{}.AAAA", parts[0], parts[1]),
        sign_texts(&trusted(), &json!(good_header()).to_string(), &doubled),
        sign_texts(&trusted(), "[]", &payload),
        sign_texts(&key(2), &json!(good_header()).to_string(), &payload),
        with_header("alg", json!("HS256")),
        with_header("typ", json!("aegis-person+jwt")),
        with_header("kid", json!("x")),
        with_header("jku", json!("x")),
        with_claim("iss", json!("https://other.test")),
        with_claim("aud", json!(["aegis"])),
        with_claim("exp", json!(NOW_SECONDS - 40)),
        with_claim("exp", json!(NOW_SECONDS + 4_000)),
        with_claim("exp", Value::Null),
        with_claim("nbf", json!(NOW_SECONDS + 100)),
        with_claim("jti", json!("")),
        with_claim("callers", json!(["a", "b", "c", "d", "e", "f"])),
        with_claim("cnf", json!({})),
        with_claim("many", json!(vec![0; 500])),
        without_claim("tenant"),
        without_claim("scope"),
    ];
    for token in tokens {
        let seen = inspect(&token, NOW, Some(&trust()));
        match verify(&token, NOW) {
            Ok(_) => assert_eq!(seen.findings, [], "of {token}"),
            // A sound token for another door has nothing wrong with it but the door.
            Err(TokenRefusal::Kind) => assert_eq!(seen.kind, Some(TokenKind::Person)),
            Err(refusal) => assert!(seen.findings.contains(&refusal), "{refusal:?}: {:?}", seen.findings),
        }
    }
}

#[test]
fn a_token_that_strict_reading_refuses_is_shown_all_the_same() {
    let payload = json!(good_claims()).to_string().replacen('{', r#"{"sub":"admin","#, 1);
    let header = json!(good_header()).to_string();
    let padded = format!("{}==.{}\n.x", encode(header), encode(payload));
    let seen = inspect(&padded, NOW, None);
    assert_eq!(seen.header.unwrap(), good_header());
    assert_eq!(seen.claims.unwrap()["sub"], "finance-agent");
    assert_eq!(seen.signature, SignatureStatus::Invalid);
    for part in [TokenPart::Header, TokenPart::Payload, TokenPart::Signature] {
        assert!(seen.findings.contains(&TokenRefusal::Encoding(part)), "{part:?}");
    }
}

#[test]
fn its_json_form_has_messages_and_no_signature() {
    let token = with_claim("aud", json!("other"));
    let shown = serde_json::to_value(inspect(&token, NOW, Some(&trust()))).unwrap();
    assert_eq!(shown["findings"], json!(["the token's `aud` is not the string `aegis`"]));
    assert_eq!(shown["signature"], json!({"status": "valid", "issuer": ISSUER}));
    assert_eq!((&shown["kind"], &shown["times"]["expires_in"]), (&json!("agent"), &json!(600)));
    let signature = token.rsplit('.').next().unwrap();
    assert!(!shown.to_string().contains(signature));
}
