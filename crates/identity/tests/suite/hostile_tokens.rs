//! Every row of "Tokens" among the hostile inputs, and the borders of each rule.

use aegis_identity::keys::SigningKey;
use aegis_identity::refusal::{ClaimProblem, TokenPart, TokenRefusal};
use aegis_identity::token::{self, TokenKind};
use aegis_identity::trust::{Trust, TrustedKey};
use aegis_model::caps;
use aegis_model::reason::ReasonCode;
use serde_json::{Value, json};

use crate::forge::*;

#[track_caller]
fn refused(token: &str, expected: TokenRefusal) {
    assert_eq!(verify(token, NOW).unwrap_err(), expected, "of {token}");
}

#[track_caller]
fn accepted(token: &str) {
    verify(token, NOW).unwrap();
}

fn claim(claim: &'static str, problem: ClaimProblem) -> TokenRefusal {
    TokenRefusal::Claim { claim, problem }
}

#[test]
fn a_good_token_becomes_its_principal() {
    let principal = verify(&sign(&good_header(), &good_claims()), NOW).unwrap();
    assert_eq!(principal.agent.as_str(), "finance-agent");
    assert_eq!((principal.org.as_str(), principal.tenant.as_str()), ("acme", "acme-payments"));
    assert_eq!(principal.scope.to_string(), "stripe-payments:* github:read");
    assert_eq!(principal.callers, ["planner".parse().unwrap(), "front".parse().unwrap()]);
    assert_eq!(principal.claims, object(json!({"purpose": "care", "environment": "staging"})));
    assert_eq!((principal.token_id.as_str(), principal.expires_at), ("t-1", at(600)));
}

// ---- alg none or anything but EdDSA

#[test]
fn alg_none_or_another_is_refused() {
    for alg in ["none", "None", "HS256", "RS256", "ES256", "PS512", "Ed25519", "Ed448", "eddsa", "EdDSA ", ""]
    {
        refused(&with_header("alg", json!(alg)), TokenRefusal::Algorithm);
    }
    for alg in [Value::Null, json!(["EdDSA"]), json!(true)] {
        refused(&with_header("alg", alg), TokenRefusal::Algorithm);
    }
    let mut header = good_header();
    header.remove("alg");
    refused(&sign(&header, &good_claims()), TokenRefusal::Algorithm);
}

#[test]
fn an_unsigned_token_is_refused() {
    let header = json!({"alg": "none", "kid": trusted().id().to_string(), "typ": "aegis-agent+jwt"});
    let unsigned = format!("{}.{}.", encode(header.to_string()), encode(json!(good_claims()).to_string()));
    refused(&unsigned, TokenRefusal::Algorithm);
    let good = sign(&good_header(), &good_claims());
    refused(&good[..=good.rfind('.').unwrap()], TokenRefusal::Signature);
}

// ---- crit, jwk/jku/x5u headers

#[test]
fn any_further_header_member_is_refused() {
    let jwk = trusted().verifying_key().to_jwk();
    for (member, value) in [
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("jwk", jwk),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!(["MIIB"])),
        ("x5t", json!("abc")),
        ("x5t#S256", json!("abc")),
        ("cty", json!("JWT")),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("enc", json!("A128GCM")),
        ("ALG", json!("EdDSA")),
        ("", json!(1)),
    ] {
        refused(&with_header(member, value), TokenRefusal::HeaderMember);
    }
}

#[test]
fn a_key_that_the_token_brings_along_is_not_used() {
    let own = key(7);
    let header = json!({"alg": "EdDSA", "kid": own.id().to_string(), "typ": "aegis-agent+jwt"});
    let claims = json!(good_claims()).to_string();
    refused(&sign_texts(&own, &header.to_string(), &claims), TokenRefusal::UnknownKey);
    let mut with_jwk = header;
    with_jwk["jwk"] = own.verifying_key().to_jwk();
    refused(&sign_texts(&own, &with_jwk.to_string(), &claims), TokenRefusal::HeaderMember);
}

// ---- kid injection

#[test]
fn a_kid_of_another_form_is_refused() {
    let id = trusted().id().to_string();
    for kid in [
        "",
        "../../../../dev/null",
        "' OR 1=1 --",
        "a\u{0}b",
        "https://evil.example/key",
        &format!("{id}="),
        &format!(" {id}"),
        &format!("{id}/../{id}"),
        &id.to_lowercase(),
        &"A".repeat(1_000),
    ] {
        let refusal = verify(&with_header("kid", json!(kid)), NOW).unwrap_err();
        assert!(matches!(refusal, TokenRefusal::KeyId | TokenRefusal::UnknownKey), "{kid:?}: {refusal:?}");
    }
    for kid in [Value::Null, json!([id]), json!({"id": id}), json!(1)] {
        refused(&with_header("kid", kid), TokenRefusal::KeyId);
    }
    let mut header = good_header();
    header.remove("kid");
    refused(&sign(&header, &good_claims()), TokenRefusal::KeyId);
}

#[test]
fn a_kid_of_another_trusted_key_is_refused() {
    let (one, two) = (key(1), key(2));
    let bind =
        |key: &SigningKey| TrustedKey { issuer: ISSUER.parse().unwrap(), key: key.verifying_key().clone() };
    let trust = Trust::new([bind(&one), bind(&two)]).unwrap();
    let header = json!({"alg": "EdDSA", "kid": one.id().to_string(), "typ": "aegis-agent+jwt"}).to_string();
    let token = sign_texts(&two, &header, &json!(good_claims()).to_string());
    let parsed = token::parse(&token, TokenKind::Agent).unwrap();
    assert_eq!(parsed.authenticate(&trust).unwrap_err(), TokenRefusal::Signature);
}

// ---- wrong typ; a token of one kind at another kind's door

#[test]
fn a_wrong_typ_is_refused() {
    for typ in ["JWT", "jwt", "at+jwt", "aegis-agent", "AEGIS-AGENT+JWT", "application/aegis-agent+jwt", ""] {
        refused(&with_header("typ", json!(typ)), TokenRefusal::Kind);
    }
    for typ in [Value::Null, json!(["aegis-agent+jwt"])] {
        refused(&with_header("typ", typ), TokenRefusal::Kind);
    }
    let mut header = good_header();
    header.remove("typ");
    refused(&sign(&header, &good_claims()), TokenRefusal::Kind);
}

#[test]
fn a_token_of_one_kind_is_refused_at_every_other_door() {
    for made_for in TokenKind::ALL {
        let token = with_header("typ", json!(made_for.typ()));
        for door in TokenKind::ALL {
            let outcome = token::parse(&token, door);
            assert_eq!(outcome.is_ok(), made_for == door, "{made_for:?} at {door:?}");
            if made_for != door {
                assert_eq!(outcome.unwrap_err(), TokenRefusal::Kind);
            }
        }
        assert_eq!(verify(&token, NOW).is_ok(), made_for == TokenKind::Agent);
    }
}

// ---- aud list or substring

#[test]
fn an_audience_other_than_the_one_string_is_refused() {
    for aud in ["aegis2", "aegi", "Aegis", "aegis ", "https://aegis", "aegis,other", ""] {
        refused(&with_claim("aud", json!(aud)), TokenRefusal::Audience(TokenKind::Agent));
    }
    for aud in [json!(["aegis"]), json!(["aegis", "other"]), json!([]), json!({"aegis": true}), Value::Null] {
        refused(&with_claim("aud", aud), TokenRefusal::Audience(TokenKind::Agent));
    }
    refused(&without_claim("aud"), TokenRefusal::Audience(TokenKind::Agent));
}

#[test]
fn an_issuer_who_does_not_own_the_key_is_refused() {
    for iss in ["https://aegis.test/", "https://aegis.tes", "HTTPS://AEGIS.TEST", ""] {
        refused(&with_claim("iss", json!(iss)), TokenRefusal::Issuer);
    }
    refused(&with_claim("iss", json!([ISSUER])), claim("iss", ClaimProblem::Type));
    refused(&without_claim("iss"), claim("iss", ClaimProblem::Missing));
}

// ---- missing or huge exp

#[test]
fn a_missing_exp_is_refused() {
    refused(&without_claim("exp"), claim("exp", ClaimProblem::Missing));
    refused(&without_claim("iat"), claim("iat", ClaimProblem::Missing));
}

#[test]
fn a_huge_or_odd_exp_is_refused() {
    refused(&with_claim("exp", json!(9_007_199_254_740_992_u64)), TokenRefusal::Life(TokenKind::Agent));
    refused(&with_claim("exp", json!(NOW_SECONDS + 86_400)), TokenRefusal::Life(TokenKind::Agent));
    for exp in [json!("1800000600"), json!(1_800_000_600.5), json!(-1), Value::Null, json!([1_800_000_600])] {
        refused(&with_claim("exp", exp), claim("exp", ClaimProblem::Type));
    }
    for exp in ["1e400", "18446744073709551616", "9007199254740993"] {
        let payload = json!(good_claims()).to_string().replace(&(NOW_SECONDS + 600).to_string(), exp);
        assert!(payload.contains(exp));
        let token = sign_texts(&trusted(), &json!(good_header()).to_string(), &payload);
        refused(&token, TokenRefusal::Json(TokenPart::Payload));
    }
}

#[test]
fn a_life_of_exactly_fifteen_minutes_is_the_longest() {
    let life =
        |seconds: u64| with_claims(&[("iat", json!(NOW_SECONDS)), ("exp", json!(NOW_SECONDS + seconds))]);
    accepted(&life(caps::TOKEN_LIFE_SECONDS_MAX));
    refused(&life(caps::TOKEN_LIFE_SECONDS_MAX + 1), TokenRefusal::Life(TokenKind::Agent));
    refused(&life(0), TokenRefusal::Life(TokenKind::Agent));
    let backwards = with_claims(&[("iat", json!(NOW_SECONDS)), ("exp", json!(NOW_SECONDS - 1))]);
    refused(&backwards, TokenRefusal::Life(TokenKind::Agent));
    // A clock that is ahead cannot stretch the life either.
    let ahead = NOW_SECONDS + caps::CLOCK_SKEW_SECONDS_MAX + 1;
    refused(&with_claims(&[("iat", json!(ahead)), ("exp", json!(ahead + 900))]), TokenRefusal::NotYetValid);
}

// ---- clock skew beyond 30 s

#[test]
fn an_expired_token_counts_for_the_skew_and_no_longer() {
    let token = sign(&good_header(), &good_claims());
    verify(&token, at(600)).unwrap();
    verify(&token, aegis_model::clock::UnixNanos(at(630).0 - 1)).unwrap();
    assert_eq!(verify(&token, at(630)).unwrap_err(), TokenRefusal::Expired);
    assert_eq!(TokenRefusal::Expired.code(), ReasonCode::TokenExpired);
}

#[test]
fn a_token_from_the_future_counts_within_the_skew_only() {
    for claim in ["iat", "nbf"] {
        let token = |ahead: u64| with_claim(claim, json!(NOW_SECONDS + ahead));
        accepted(&token(30));
        refused(&token(31), TokenRefusal::NotYetValid);
    }
    accepted(&with_claim("nbf", json!(0)));
    refused(&with_claim("nbf", json!("0")), claim("nbf", ClaimProblem::Type));
}

// ---- duplicate claims

#[test]
fn duplicate_members_are_refused_at_any_depth() {
    let (header, payload) = (json!(good_header()).to_string(), json!(good_claims()).to_string());
    let twice = |json: &str, first: &str| format!("{{{first},{}", &json[1..]);
    for first in [r#""sub":"admin""#, r#""s\u0075b":"admin""#, r#""exp":1"#, r#""a":{"b":1,"b":2}"#] {
        let token = sign_texts(&trusted(), &header, &twice(&payload, first));
        refused(&token, TokenRefusal::Json(TokenPart::Payload));
    }
    let token = sign_texts(&trusted(), &twice(&header, r#""alg":"none""#), &payload);
    refused(&token, TokenRefusal::Json(TokenPart::Header));
}

#[test]
fn a_part_that_is_not_a_strict_object_is_refused() {
    let (header, payload) = (json!(good_header()).to_string(), json!(good_claims()).to_string());
    let nested = format!(r#"{{"a":{}1{}}}"#, "[".repeat(80), "]".repeat(80));
    for bad in
        ["", "[]", "null", "{", "{}x", "{} {}", "\u{feff}{}", r#"{"a":"\ud800"}"#, r#"{"a":NaN}"#, &nested]
    {
        let as_header = sign_texts(&trusted(), bad, &payload);
        refused(&as_header, TokenRefusal::Json(TokenPart::Header));
        let as_payload = sign_texts(&trusted(), &header, bad);
        refused(&as_payload, TokenRefusal::Json(TokenPart::Payload));
    }
}

// ---- base64 padding or white space

#[test]
fn padding_white_space_and_other_alphabets_are_refused() {
    let good = sign(&good_header(), &good_claims());
    let parts: Vec<&str> = good.split('.').collect();
    for (place, part) in [TokenPart::Header, TokenPart::Payload, TokenPart::Signature].into_iter().enumerate()
    {
        let text = parts[place];
        let spoilt = [
            format!("{text}="),
            format!("{text}=="),
            format!(" {text}"),
            format!("{text}\n"),
            format!("{}\r\n{}", &text[..8], &text[8..]),
            format!("{}\t{}", &text[..8], &text[8..]),
            format!("{}+{}", &text[..8], &text[9..]),
            format!("{}/{}", &text[..8], &text[9..]),
            format!("{}é{}", &text[..8], &text[9..]),
            format!("{}%3D", text),
        ];
        for spoilt in spoilt {
            let mut parts = parts.clone();
            parts[place] = &spoilt;
            refused(&parts.join("."), TokenRefusal::Encoding(part));
        }
    }
}

#[test]
fn trailing_bits_that_are_not_zero_are_refused() {
    // 64 bytes end in two characters of which the last carries four unused bits.
    let good = sign(&good_header(), &good_claims());
    let last = good.chars().last().unwrap();
    assert!("AQgw".contains(last), "the last character of a canonical signature has four zero bits");
    let other = char::from(last as u8 + 1);
    let twin = format!("{}{other}", &good[..good.len() - 1]);
    refused(&twin, TokenRefusal::Encoding(TokenPart::Signature));
}

#[test]
fn other_numbers_of_parts_are_refused() {
    let good = sign(&good_header(), &good_claims());
    for token in ["", ".", "a.b", "Bearer", &format!("{good}."), &format!(".{good}"), &format!("{good}.e30")]
    {
        refused(token, TokenRefusal::NotCompact);
    }
    refused("..", TokenRefusal::Json(TokenPart::Header));
    // The JSON serializations of a JWS are not tokens.
    let parts: Vec<&str> = good.split('.').collect();
    let flattened = json!({"protected": parts[0], "payload": parts[1], "signature": parts[2]}).to_string();
    refused(&flattened, TokenRefusal::NotCompact);
}

#[test]
fn a_signature_of_another_length_is_refused() {
    let good = sign(&good_header(), &good_claims());
    let signed = &good[..good.rfind('.').unwrap()];
    for length in [0, 1, 32, 63, 65, 128] {
        refused(&format!("{signed}.{}", encode(vec![0; length])), TokenRefusal::Signature);
    }
}

// ---- > 8 KiB

#[test]
fn a_token_above_eight_kib_is_refused_before_it_is_decoded() {
    refused(&".".repeat(caps::TOKEN_BYTES_MAX + 1), TokenRefusal::TooLong);
    refused(&"a".repeat(caps::TOKEN_BYTES_MAX + 1), TokenRefusal::TooLong);
    refused(&"a".repeat(caps::TOKEN_BYTES_MAX), TokenRefusal::NotCompact);
    let sized = |bytes: usize| with_claim("note", json!("x".repeat(bytes)));
    let overhead = sized(0).len();
    let fitting = (caps::TOKEN_BYTES_MAX - overhead) / 4 * 3;
    accepted(&sized(fitting));
    assert!(sized(fitting + 4).len() > caps::TOKEN_BYTES_MAX);
    refused(&sized(fitting + 4), TokenRefusal::TooLong);
}

// ---- chain longer than 5

#[test]
fn a_chain_longer_than_five_is_refused() {
    let chain = |members: usize| with_claim("callers", json!(vec!["a"; members]));
    accepted(&chain(5));
    refused(&chain(6), TokenRefusal::ChainTooLong);
    refused(&chain(500), TokenRefusal::ChainTooLong);
}

#[test]
fn a_chain_of_another_form_is_refused() {
    accepted(&with_claim("callers", json!([])));
    assert!(verify(&without_claim("callers"), NOW).unwrap().callers.is_empty());
    for callers in
        [json!("planner"), Value::Null, json!({"sub": "planner"}), json!([["planner"]]), json!([1])]
    {
        refused(&with_claim("callers", callers), claim("callers", ClaimProblem::Type));
    }
    for member in ["", "a b", "é", &"a".repeat(caps::NAME_BYTES_MAX + 1)] {
        refused(&with_claim("callers", json!(["planner", member])), claim("callers", ClaimProblem::Value));
    }
}

// ---- names, scope, id and further claims

#[test]
fn names_have_their_alphabet_and_length() {
    for name in ["sub", "org", "tenant"] {
        accepted(&with_claim(name, json!("a".repeat(caps::NAME_BYTES_MAX))));
        for value in ["", "a b", "a\u{0}", "é", "a\n", "*", &"a".repeat(caps::NAME_BYTES_MAX + 1)] {
            refused(&with_claim(name, json!(value)), claim(name, ClaimProblem::Value));
        }
        refused(&with_claim(name, json!(["a"])), claim(name, ClaimProblem::Type));
        refused(&with_claim(name, Value::Null), claim(name, ClaimProblem::Type));
        refused(&without_claim(name), claim(name, ClaimProblem::Missing));
    }
}

#[test]
fn a_scope_is_a_bounded_text() {
    accepted(&with_claim("scope", json!("")));
    accepted(&with_claim("scope", json!(vec!["a:b"; caps::TOKEN_SCOPE_ITEMS_MAX].join(" "))));
    for scope in [
        vec!["a:b"; caps::TOKEN_SCOPE_ITEMS_MAX + 1].join(" "),
        "a".repeat(caps::TOKEN_SCOPE_BYTES_MAX + 1),
        "a:b\tc:d".to_owned(),
        "a:b\u{a0}c:d".to_owned(),
    ] {
        refused(&with_claim("scope", json!(scope)), claim("scope", ClaimProblem::Value));
    }
    refused(&with_claim("scope", json!(["a:b"])), claim("scope", ClaimProblem::Type));
    refused(&without_claim("scope"), claim("scope", ClaimProblem::Missing));
}

#[test]
fn a_token_id_is_required_and_bounded() {
    accepted(&with_claim("jti", json!("x".repeat(caps::TOKEN_ID_BYTES_MAX))));
    for id in ["", "a b", "a\n", "é", &"x".repeat(caps::TOKEN_ID_BYTES_MAX + 1)] {
        refused(&with_claim("jti", json!(id)), claim("jti", ClaimProblem::Value));
    }
    refused(&with_claim("jti", json!(7)), claim("jti", ClaimProblem::Type));
    refused(&without_claim("jti"), claim("jti", ClaimProblem::Missing));
}

#[test]
fn further_claims_are_bounded() {
    let many = |count: usize| {
        let mut claims = good_claims();
        claims.extend((2..count).map(|number| (format!("c{number}"), json!(number))));
        sign(&good_header(), &claims)
    };
    accepted(&many(caps::TOKEN_CLAIMS_MAX));
    refused(&many(caps::TOKEN_CLAIMS_MAX + 1), TokenRefusal::TooManyClaims);
    // `purpose` and `environment` count as well, and so does the list itself.
    let wide = |values: usize| with_claim("list", json!(vec![0; values - 3]));
    accepted(&wide(caps::TOKEN_CLAIM_VALUES_MAX));
    refused(&wide(caps::TOKEN_CLAIM_VALUES_MAX + 1), TokenRefusal::TooManyClaims);
}

#[test]
fn a_token_bound_to_a_key_is_not_taken_from_a_mere_bearer() {
    refused(&with_claim("cnf", json!({"jkt": "abc"})), TokenRefusal::Bound);
}

#[test]
fn a_signature_by_nobody_trusted_is_refused() {
    let token = sign(&good_header(), &good_claims());
    let nobody = Trust::new([]).unwrap();
    let parsed = token::parse(&token, TokenKind::Agent).unwrap();
    assert_eq!(parsed.authenticate(&nobody).unwrap_err(), TokenRefusal::UnknownKey);
}

// ---- nothing of a token in any message

#[test]
fn no_refusal_shows_any_part_of_the_token() {
    let marks = ["s3cret-mark", "https://s3cret-mark.example"];
    for mark in marks {
        for token in [
            with_header("alg", json!(mark)),
            with_header("kid", json!(mark)),
            with_header("typ", json!(mark)),
            with_header(mark, json!(mark)),
            with_claim("iss", json!(mark)),
            with_claim("aud", json!(mark)),
            with_claim("sub", json!(format!("{mark} "))),
            with_claim("scope", json!(format!("{mark}\n"))),
            with_claim("jti", json!(format!("{mark} "))),
            with_claim("callers", json!([format!("{mark} ")])),
            with_claim("exp", json!(mark)),
            with_claim("cnf", json!(mark)),
            mark.to_owned(),
        ] {
            let refusal = verify(&token, NOW).unwrap_err();
            let shown = format!("{refusal} {refusal:?}");
            assert!(!shown.contains("s3cret") && !shown.contains(&token), "{shown}");
            assert_eq!(refusal.code(), ReasonCode::Unauthenticated);
            assert!(!refusal.retryable());
        }
    }
}
