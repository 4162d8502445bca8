//! `aegis token`.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use aegis_identity::keys::SigningKey;
use serde_json::json;

use crate::support::{Dev, run, run_with_input};

#[test]
fn a_token_from_a_key_file_says_what_was_asked_for_and_is_inspected_with_the_public_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = SigningKey::generate(&mut rand::rng());
    let (private, public) = (folder.path().join("key.pem"), folder.path().join("key.pub.pem"));
    fs::write(&private, key.to_pkcs8_pem().expose()).expect("a file");
    fs::write(&public, key.verifying_key().to_public_key_pem()).expect("a file");
    let private = private.to_str().expect("UTF-8");
    let mint = [
        "token",
        "mint",
        "--key-file",
        private,
        "--issuer",
        "https://issuer.example",
        "--org",
        "o",
        "--tenant",
        "t",
        "--agent",
        "a",
        "--scope",
        "x:*",
        "--life",
        "90s",
        "--claim",
        "purpose=care",
        "--claim",
        "level:=3",
        "--caller",
        "b",
        "--caller",
        "c",
    ];
    // A key that others may read is refused before it is used.
    fs::set_permissions(private, fs::Permissions::from_mode(0o644)).expect("its mode");
    let ran = run(&mint);
    assert!(ran.code == Some(1) && ran.stderr.contains("others may read"), "{ran:?}");
    fs::set_permissions(private, fs::Permissions::from_mode(0o600)).expect("its mode");
    let minted = run(&mint);
    assert_eq!(minted.code, Some(0), "{minted:?}");

    let public = public.to_str().expect("UTF-8");
    let inspect =
        ["token", "inspect", "--trust", public, "--issuer", "https://issuer.example", "--output", "json"];
    let seen = run_with_input(&inspect, &minted.stdout);
    assert_eq!(seen.code, Some(0), "{seen:?}");
    let seen = seen.json();
    assert_eq!(seen["signature"]["status"], json!("valid"));
    let claims = &seen["claims"];
    assert_eq!(
        (&claims["sub"], &claims["scope"], &claims["callers"]),
        (&json!("a"), &json!("x:*"), &json!(["b", "c"]))
    );
    assert_eq!((&claims["purpose"], &claims["level"]), (&json!("care"), &json!(3)));
    let life = claims["exp"].as_u64().zip(claims["iat"].as_u64()).map(|(until, from)| until - from);
    assert_eq!(life, Some(90));

    // Another issuer's key, a changed token, and no token at all.
    let foreign =
        run_with_input(&["token", "inspect", "--trust", public, "--issuer", "other"], &minted.stdout);
    assert!(foreign.code == Some(1) && foreign.stdout.contains("refused:"), "{foreign:?}");
    let mut changed = minted.stdout.trim().to_owned();
    let last = changed.pop().expect("a character");
    changed.push(if last == 'A' { 'Q' } else { 'A' });
    assert_eq!(run_with_input(&inspect, &changed).code, Some(1));
    assert_eq!(run_with_input(&inspect, "").code, Some(2));
    let unchecked = run(&["token", "inspect", minted.stdout.trim()]);
    assert!(unchecked.code == Some(0) && unchecked.stdout.contains("not checked"), "{unchecked:?}");
}

#[test]
fn what_no_verifier_would_accept_is_not_made() {
    let dev = Dev::start(None);
    let data_dir = dev.data_dir.path().to_str().expect("UTF-8");
    for (arguments, told) in [
        (&["--life", "16m"][..], "lives between 1 and 900 seconds"),
        (&["--life", "0s"], "lives between 1 and 900 seconds"),
        (&["--claim", "sub=x"], "name of a registered one"),
        (&["--claim", "a=1", "--claim", "a=2"], "given twice"),
        (&["--caller", "1,2,3,4,5,6"], "at most 5 members"),
    ] {
        let ran = run(&[&["token", "mint", "--data-dir", data_dir], arguments].concat());
        assert!(ran.code == Some(2) && ran.stderr.contains(told), "{arguments:?}: {ran:?}");
    }
    let missing = run(&["token", "mint", "--data-dir", "no-such-folder"]);
    assert!(missing.code == Some(1) && missing.stderr.contains("no-such-folder"), "{missing:?}");
}
