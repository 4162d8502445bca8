//! Public test vectors: strict Ed25519 as one pinned behaviour, and no foreign signature accepted.

use std::path::PathBuf;

use aegis_identity::keys::{SigningKey, VerifyingKey};
use aegis_identity::refusal::TokenRefusal;
use aegis_identity::token::{self, TokenKind};
use aegis_identity::trust::Trust;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::forge::{encode, key};

/// The vectors, or nothing where the folder is not there.
#[expect(clippy::print_stderr, reason = "whoever runs the tests has to see what was skipped")]
fn vectors(path: &str) -> Option<Value> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors");
    if !folder.is_dir() {
        eprintln!("skipped: ../shared/vectors is not here");
        return None;
    }
    let text = std::fs::read_to_string(folder.join(path)).unwrap();
    Some(serde_json::from_str(&text).unwrap())
}

fn hex(value: &Value) -> Vec<u8> {
    let digits = value.as_str().unwrap().as_bytes();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

fn verifies(key: &Value, message: &[u8], signature: &Value) -> bool {
    let key: [u8; 32] = hex(key).try_into().unwrap();
    let Ok(signature) = <[u8; 64]>::try_from(hex(signature)) else {
        return false;
    };
    VerifyingKey::from_bytes(&key).is_ok_and(|key| key.verifies(message, &signature))
}

fn groups(vectors: &Value) -> &Vec<Value> {
    vectors["testGroups"].as_array().unwrap()
}

fn tests(group: &Value) -> &Vec<Value> {
    group["tests"].as_array().unwrap()
}

#[test]
fn wycheproof_ed25519_is_judged_as_it_says() {
    let Some(vectors) = vectors("ed25519/wycheproof_ed25519_test.json") else { return };
    let (mut right, mut valid) = (0, 0);
    for group in groups(&vectors) {
        for test in tests(group) {
            let expected = test["result"] == "valid";
            let judged = verifies(&group["publicKey"]["pk"], &hex(&test["msg"]), &test["sig"]);
            assert_eq!(judged, expected, "tcId {}: {}", test["tcId"], test["comment"]);
            right += 1;
            valid += u32::from(expected);
        }
        let pem = group["publicKeyPem"].as_str().unwrap();
        let read = VerifyingKey::from_public_key_pem(pem).unwrap();
        assert_eq!(read.as_bytes().as_slice(), hex(&group["publicKey"]["pk"]));
    }
    assert_eq!((right, valid), (151, 88));
}

/// 914 signatures that implementations disagree about, each flagged with what is odd in it.
///
/// Accepted are exactly those that satisfy the equation without cofactor and have neither a point of small order
/// nor a second encoding: keys and points of mixed order, which strict verification allows.
#[test]
fn cctv_ed25519_has_one_pinned_behaviour() {
    const REFUSED_FOR: [&str; 5] =
        ["low_order_A", "low_order_R", "non_canonical_A", "non_canonical_R", "low_order_residue"];
    let Some(vectors) = vectors("ed25519/cctv_ed25519vectors.json") else { return };
    let (mut accepted, mut refused) = (0, 0);
    for test in vectors.as_array().unwrap() {
        let flags: Vec<&str> =
            test["flags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let expected = !flags.iter().any(|flag| REFUSED_FOR.contains(flag));
        let judged = verifies(&test["key"], test["msg"].as_str().unwrap().as_bytes(), &test["sig"]);
        assert_eq!(judged, expected, "number {}: {flags:?}", test["number"]);
        if judged { accepted += 1 } else { refused += 1 }
    }
    assert_eq!((accepted, refused), (43, 871));
}

/// Everything 32 bytes long in the key material of a group, as if it were an Ed25519 public or private key.
fn keys_of(group: &Value) -> (Vec<VerifyingKey>, usize) {
    let mut keys = Vec::new();
    let mut native = 0;
    for side in ["public", "private"] {
        let jwks: Vec<&Value> = match &group[side] {
            Value::Array(list) => list.iter().collect(),
            Value::Null => vec![],
            one => vec![one],
        };
        for jwk in jwks {
            native += usize::from(jwk["kty"] == "OKP" || jwk["crv"] == "Ed25519");
            for member in ["k", "x", "y", "d"] {
                let Some(text) = jwk[member].as_str() else { continue };
                let Ok(bytes) = URL_SAFE_NO_PAD.decode(text) else { continue };
                let Ok(bytes) = <[u8; 32]>::try_from(bytes) else { continue };
                keys.extend(VerifyingKey::from_bytes(&bytes));
            }
        }
    }
    (keys, native)
}

#[test]
fn no_foreign_jose_signature_is_accepted() {
    let mut counted = Vec::new();
    for file in ["jose/wycheproof_json_web_signature_test.json", "jose/wycheproof_json_web_crypto_test.json"]
    {
        let Some(vectors) = vectors(file) else { return };
        let (mut seen, mut valid_elsewhere, mut native, mut disguised) = (0, 0, 0, 0);
        for group in groups(&vectors) {
            let (keys, ours) = keys_of(group);
            native += ours;
            for test in tests(group) {
                let Some(jws) = text_of(test) else { continue };
                seen += 1;
                valid_elsewhere += u32::from(test["result"] == "valid");
                refused_at_every_door(&jws, &keys);
                disguised += refused_in_our_header(&jws, &keys);
            }
        }
        counted.push((seen, valid_elsewhere, native, disguised));
    }
    // No key of the vectors is an Ed25519 key; 32 bytes of another kind, taken for one, are tried all the same.
    assert_eq!(counted, [(401, 46, 0, 78), (83, 6, 0, 21)]);
}

/// The token text of a test: a compact JWS or JWE, or the JSON form as its text.
fn text_of(test: &Value) -> Option<String> {
    ["jws", "jwe"].into_iter().find_map(|member| match &test[member] {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    })
}

fn refused_at_every_door(jws: &str, keys: &[VerifyingKey]) {
    let trust = trust_in(keys);
    for door in TokenKind::ALL {
        let outcome = token::parse(jws, door).and_then(|token| token.authenticate(&trust).map(|_| ()));
        assert!(outcome.is_err(), "accepted: {jws}");
    }
}

/// The foreign payload and signature behind a header of ours, for every key of the group: the algorithm
/// confusion that an attacker would try. Gives the number of attempts that came as far as the signature.
fn refused_in_our_header(jws: &str, keys: &[VerifyingKey]) -> u32 {
    let parts: Vec<&str> = jws.split('.').collect();
    let [_, payload, signature] = parts[..] else { return 0 };
    let trust = trust_in(keys);
    let mut attempts = 0;
    for key in keys {
        let header =
            json!({"alg": "EdDSA", "kid": key.id().to_string(), "typ": "aegis-agent+jwt"}).to_string();
        let token = format!("{}.{payload}.{signature}", encode(header));
        let Ok(parsed) = token::parse(&token, TokenKind::Agent) else { continue };
        assert_eq!(parsed.authenticate(&trust).unwrap_err(), TokenRefusal::Signature, "accepted: {token}");
        attempts += 1;
    }
    attempts
}

fn trust_in(keys: &[VerifyingKey]) -> Trust {
    let bind = |key: &VerifyingKey| aegis_identity::trust::TrustedKey {
        issuer: "https://foreign.test".parse().unwrap(),
        key: key.clone(),
    };
    Trust::new(keys.iter().map(bind)).unwrap()
}

/// The guard of the tests above: by the same path a signature of ours is accepted.
#[test]
fn the_doors_do_open_for_a_right_signature() {
    let own: SigningKey = key(3);
    let header = json!({"alg": "EdDSA", "kid": own.id().to_string(), "typ": "aegis-agent+jwt"}).to_string();
    let token = crate::forge::sign_texts(&own, &header, "foreign payload");
    let parsed = token::parse(&token, TokenKind::Agent).unwrap();
    parsed.authenticate(&trust_in(&[own.verifying_key().clone()])).unwrap();
}
