//! Tokens of issuers outside: what is pinned counts, and nothing that a token says about how it is to be verified.

use aegis_identity::foreign::{self, Algorithm, Foreign, KeySet, KeySetError, Pinned};
use aegis_identity::refusal::{ClaimProblem, TokenRefusal};
use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::json::JsonObject;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{self, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::forge::{NOW, NOW_SECONDS, at, key, object, sign_texts};

type Sign = dyn Fn(&[u8]) -> Vec<u8>;

/// Somebody who signs, and the public key as a JSON Web Key.
struct Signer {
    algorithm: Algorithm,
    jwk: Value,
    sign: Box<Sign>,
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// 2,048 bits.
fn rsa() -> Signer {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    // `RSAPublicKey` (RFC 8017): a sequence of two integers, the first of which begins with a zero.
    let der = pair.public_key().as_ref();
    let (n, e) = (&der[9..265], &der[267..270]);
    let jwk = json!({"kty": "RSA", "kid": "rsa", "use": "sig", "alg": "RS256",
        "n": text(n), "e": text(e), "x5c": ["AAAA"]});
    let sign = Box::new(move |message: &[u8]| {
        let mut signature = vec![0; pair.public_modulus_len()];
        pair.sign(&signature::RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).unwrap();
        signature
    });
    Signer { algorithm: Algorithm::Rs256, jwk, sign }
}

fn p256() -> Signer {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = pair.public_key().as_ref().to_vec();
    let jwk =
        json!({"kty": "EC", "crv": "P-256", "kid": "ec", "x": text(&point[1..33]), "y": text(&point[33..])});
    let sign =
        Box::new(move |message: &[u8]| pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec());
    Signer { algorithm: Algorithm::Es256, jwk, sign }
}

fn ed25519() -> Signer {
    let key = key(9);
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": text(key.verifying_key().as_bytes())});
    Signer { algorithm: Algorithm::EdDsa, jwk, sign: Box::new(move |message| key.sign(message).to_vec()) }
}

impl Signer {
    fn keys(&self) -> KeySet {
        KeySet::read(json!({"keys": [self.jwk]}).to_string().as_bytes(), self.algorithm).unwrap()
    }

    fn header(&self) -> JsonObject {
        object(json!({"alg": self.algorithm.as_str(), "kid": self.jwk["kid"], "typ": "JWT"}))
    }

    fn token(&self, header: &JsonObject, claims: &JsonObject) -> String {
        let signed = format!(
            "{}.{}",
            text(json!(header).to_string().as_bytes()),
            text(json!(claims).to_string().as_bytes())
        );
        let signature = text(&(self.sign)(signed.as_bytes()));
        format!("{signed}.{signature}")
    }
}

fn claims() -> JsonObject {
    object(json!({
        "iss": "https://ci.example", "aud": "aegis", "sub": "repo:acme/shop", "iat": NOW_SECONDS - 5,
        "exp": NOW_SECONDS + 600, "jti": "x", "ref": "refs/heads/main", "nested": {"deep": [1, 2]},
    }))
}

fn verify(token: &str, keys: &KeySet) -> Result<Foreign, TokenRefusal> {
    let pinned = Pinned { issuer: "https://ci.example", audience: "aegis", claim: "sub", keys };
    foreign::verify(token, pinned, NOW)
}

#[test]
fn each_pinned_algorithm_verifies_its_own_signatures_only() {
    let all = [rsa(), p256(), ed25519()];
    for signer in &all {
        let good = signer.token(&signer.header(), &claims());
        let foreign = verify(&good, &signer.keys()).unwrap();
        assert_eq!(foreign.subject, "repo:acme/shop");
        assert_eq!(
            (foreign.issued_at, foreign.expires_at),
            (UnixNanos::from_seconds(NOW_SECONDS - 5), at(600))
        );
        // The set as it is kept verifies the same.
        let kept = KeySet::read(signer.keys().to_jwks().to_string().as_bytes(), signer.algorithm).unwrap();
        assert_eq!(verify(&good, &kept).unwrap(), foreign);
        for other in all.iter().filter(|other| other.algorithm != signer.algorithm) {
            assert_eq!(verify(&good, &other.keys()), Err(TokenRefusal::ForeignAlgorithm));
            // A header that says what is pinned does not make another signature one of it.
            let lie = signer.token(&other.header(), &claims());
            assert_eq!(verify(&lie, &other.keys()), Err(TokenRefusal::Signature), "{:?}", other.algorithm);
        }
        let dot = good.rfind('.').unwrap();
        let mut spoilt = URL_SAFE_NO_PAD.decode(&good[dot + 1..]).unwrap();
        *spoilt.last_mut().unwrap() ^= 1;
        let spoilt = format!("{}.{}", &good[..dot], text(&spoilt));
        assert_eq!(verify(&spoilt, &signer.keys()), Err(TokenRefusal::Signature));
    }
}

#[test]
fn a_header_says_nothing_about_how_it_is_verified() {
    let signer = ed25519();
    let keys = signer.keys();
    let with = |member: &str, value: Value| {
        let mut header = signer.header();
        header.insert(member.to_owned(), value);
        verify(&signer.token(&header, &claims()), &keys)
    };
    for member in ["crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc", "cty"] {
        assert_eq!(with(member, json!("x")), Err(TokenRefusal::HeaderMember), "{member}");
    }
    for alg in [json!("none"), json!("HS256"), json!("eddsa"), json!(["EdDSA"]), json!(null)] {
        assert_eq!(with("alg", alg), Err(TokenRefusal::ForeignAlgorithm));
    }
    // A token of ours is none of theirs, and the other way round.
    for typ in ["aegis-agent+jwt", "aegis-assertion+jwt", "aegis-override+jwt", "dpop+jwt"] {
        assert_eq!(with("typ", json!(typ)), Err(TokenRefusal::Kind), "{typ}");
    }
    assert!(with("typ", json!("at+jwt")).is_ok() && with("x5t", json!("a thumbprint")).is_ok());
    assert_eq!(with("kid", json!("other")), Err(TokenRefusal::UnknownKey));
    assert_eq!(with("kid", json!(7)), Err(TokenRefusal::KeyId));
    // Without a name it is the only key, or nobody's.
    let mut header = signer.header();
    header.remove("kid");
    let unnamed = signer.token(&header, &claims());
    assert!(verify(&unnamed, &keys).is_ok());
    let mut second = signer.jwk.clone();
    second["kid"] = json!("second");
    let two = json!({"keys": [signer.jwk, second]}).to_string();
    let two = KeySet::read(two.as_bytes(), Algorithm::EdDsa).unwrap();
    assert_eq!(verify(&unnamed, &two), Err(TokenRefusal::UnknownKey));
    // A public key is not a secret that signs.
    let by_hmac = sign_texts(&key(3), r#"{"alg":"HS256","kid":"ed"}"#, &json!(claims()).to_string());
    assert_eq!(verify(&by_hmac, &keys), Err(TokenRefusal::ForeignAlgorithm));
}

#[test]
fn claims_are_those_that_are_pinned_and_in_time() {
    let signer = ed25519();
    let keys = signer.keys();
    let with = |claim: &str, value: Value| {
        let mut claims = claims();
        if value.is_null() {
            claims.remove(claim);
        } else {
            claims.insert(claim.to_owned(), value);
        }
        verify(&signer.token(&signer.header(), &claims), &keys)
    };
    for iss in [json!(null), json!("https://ci.example/"), json!(["https://ci.example"])] {
        assert_eq!(with("iss", iss), Err(TokenRefusal::Issuer));
    }
    assert!(with("aud", json!(["aegis"])).is_ok());
    for aud in [json!(null), json!("aegis2"), json!(["aegis", "other"]), json!([]), json!({"aegis": 1})] {
        assert_eq!(with("aud", aud), Err(TokenRefusal::ForeignAudience));
    }
    let claim = |claim, problem| Err(TokenRefusal::Claim { claim, problem });
    assert_eq!(with("exp", json!(null)), claim("exp", ClaimProblem::Missing));
    assert_eq!(with("exp", json!("soon")), claim("exp", ClaimProblem::Type));
    assert_eq!(with("exp", json!(NOW_SECONDS - 30)), Err(TokenRefusal::Expired));
    assert!(with("exp", json!(NOW_SECONDS - 29)).is_ok(), "clocks differ");
    let longest = NOW_SECONDS - 5 + caps::FOREIGN_TOKEN_SECONDS_MAX;
    assert!(with("exp", json!(longest)).is_ok());
    assert_eq!(with("exp", json!(longest + 1)), Err(TokenRefusal::ForeignLife));
    // Also where not much of it is left.
    let old = NOW_SECONDS - caps::FOREIGN_TOKEN_SECONDS_MAX;
    assert_eq!(with("iat", json!(old)), Err(TokenRefusal::ForeignLife));
    assert_eq!(with("iat", json!(null)), claim("iat", ClaimProblem::Missing), "it could not be revoked");
    assert_eq!(with("iat", json!(1.5)), claim("iat", ClaimProblem::Type));
    for from in ["iat", "nbf"] {
        assert_eq!(with(from, json!(NOW_SECONDS + 31)), Err(TokenRefusal::NotYetValid), "{from}");
        assert!(with(from, json!(NOW_SECONDS + 30)).is_ok());
    }
    assert_eq!(with("cnf", json!({"jkt": "x"})), Err(TokenRefusal::Bound));
    for sub in [json!(null), json!(""), json!(7), json!("a\u{0}b"), json!("x".repeat(257))] {
        assert_eq!(with("sub", sub), Err(TokenRefusal::ForeignSubject));
    }
    let twice = sign_texts(&key(9), r#"{"alg":"EdDSA"}"#, r#"{"iss":"a","iss":"b"}"#);
    assert!(matches!(verify(&twice, &keys), Err(TokenRefusal::Json(_))), "which of the two?");
    let long = format!("{}{}", "a".repeat(caps::TOKEN_BYTES_MAX), ".b.c");
    assert_eq!(verify(&long, &keys), Err(TokenRefusal::TooLong));
}

#[test]
fn a_key_set_is_pinned_whole_or_not_at_all() {
    let read = |keys: Value, algorithm| {
        KeySet::read(json!({ "keys": keys }).to_string().as_bytes(), algorithm)
            .map(|set| set.key_ids().count())
    };
    let (ed, ec) = (ed25519().jwk, p256().jwk);
    assert_eq!(read(json!([ed, ec]), Algorithm::EdDsa), Ok(1), "others are left out");
    assert_eq!(read(json!([ec]), Algorithm::EdDsa), Err(KeySetError::Empty));
    let with = |member: &str, value: Value| {
        let mut jwk = ed.clone();
        jwk[member] = value;
        read(json!([jwk]), Algorithm::EdDsa)
    };
    assert_eq!(with("d", json!("AAAA")), Err(KeySetError::Private));
    assert_eq!(with("x", json!("AAAA")), Err(KeySetError::Key));
    assert_eq!(with("use", json!("enc")), Err(KeySetError::Empty));
    assert_eq!(with("alg", json!("ES256")), Err(KeySetError::Empty));
    assert_eq!(with("key_ops", json!(["sign"])), Err(KeySetError::Empty));
    assert_eq!(with("key_ops", json!(["verify"])), Ok(1));
    assert_eq!(with("kid", json!(7)), Err(KeySetError::Form));
    assert_eq!(with("kid", json!("k\u{1b}[2J")), Err(KeySetError::Form), "it is shown to people");
    let mut off = ec.clone();
    off["y"] = off["x"].clone();
    assert_eq!(read(json!([off]), Algorithm::Es256), Err(KeySetError::Key), "no point of the curve");
    assert_eq!(read(json!([ed, ed]), Algorithm::EdDsa), Err(KeySetError::Twice));
    assert_eq!(read(json!({"keys": []}), Algorithm::EdDsa), Err(KeySetError::Form));
    let many: Vec<Value> = vec![ec.clone(); caps::ISSUER_KEYS_MAX + 1];
    assert_eq!(read(json!(many), Algorithm::EdDsa), Err(KeySetError::TooMany));
    // 1,024 bits, and an exponent of 3.
    let weak =
        |n: &[u8], e: &[u8]| read(json!([{"kty": "RSA", "n": text(n), "e": text(e)}]), Algorithm::Rs256);
    assert_eq!(weak(&[0xff; 256], &[1, 0, 1]), Ok(1));
    for (n, e) in [(&[0xff; 128][..], &[1, 0, 1][..]), (&[0xff; 256], &[3]), (&[0x7f; 256], &[1, 0, 1])] {
        assert_eq!(weak(n, e), Err(KeySetError::Key));
    }
    for text in ["", "{}", r#"{"keys":[],"keys":[]}"#, "[]", r#"{"keys":[1]}"#] {
        assert_eq!(KeySet::read(text.as_bytes(), Algorithm::EdDsa).err(), Some(KeySetError::Form), "{text}");
    }
}
