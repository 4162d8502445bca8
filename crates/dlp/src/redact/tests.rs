//! What rules make of JSON, texts and streams.

use serde_json::{Value, json};

use super::*;
use crate::custom::Custom;

fn key(version: u32) -> Key {
    Key::new(version, [7; 32])
}

fn detect(names: &[&str], with: With) -> Rule {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Rule { what: What::Detect(names, Precision::Lenient), with }
}

fn fields(path: &[&str], with: With) -> Rule {
    let step = |step: &&str| match *step {
        "*" => Step::Each,
        step => step.parse().map_or_else(|_| Step::Key(step.to_owned()), Step::Index),
    };
    Rule { what: What::Fields(vec![Path(path.iter().map(step).collect())]), with }
}

const MASK: With = With::Mask { keep_last: Keep(0) };
const LAST_FOUR: With = With::Mask { keep_last: Keep(4) };

fn redact(rules: &[Rule], value: Value) -> Outcome<Value> {
    Redactor::new(rules, &[]).unwrap().json(value, &key(1))
}

fn cleaned(rules: &[Rule], value: Value) -> Value {
    match redact(rules, value) {
        Outcome::Cleaned(value, _) => value,
        other => panic!("{other:?}"),
    }
}

#[test]
fn masks_keep_what_they_may() {
    let rules = [detect(&["us_ssn", "payment_card", "email"], LAST_FOUR)];
    let value = json!({"note": "SSN 123-45-6789, card 4111 1111 1111 1111, jane.doe@example.com", "n": [1, true, null]});
    let wanted =
        json!({"note": "SSN ***-**-6789, card **** **** **** 1111, ********ecom", "n": [1, true, null]});
    assert_eq!(cleaned(&rules, value), wanted);
}

#[test]
fn a_mask_never_shows_more_than_half() {
    let rules = [detect(&["us_ssn"], With::Mask { keep_last: Keep(16) })];
    assert_eq!(cleaned(&rules, json!("123-45-6789")), json!("***-**-6789"));
    let rules = [fields(&["pin"], LAST_FOUR)];
    assert_eq!(cleaned(&rules, json!({"pin": "1234"})), json!({"pin": "********34"}));
}

#[test]
fn tokens_are_the_same_for_the_same_value_kind_and_version() {
    let rules = [detect(&["us_ssn", "us_itin"], With::Token)];
    let redactor = Redactor::new(&rules, &[]).unwrap();
    let token = |text: &str, key: &Key| match redactor.json(json!(text), key) {
        Outcome::Cleaned(Value::String(text), _) => text,
        other => panic!("{other:?}"),
    };
    let one = token("123-45-6789", &key(1));
    assert!(one.starts_with("<us_ssn:v1:") && one.ends_with('>') && one.len() == 44, "{one}");
    assert_eq!(one, token("123-45-6789", &key(1)));
    assert_eq!(one, token("ssn 123 45 6789", &key(1)).trim_start_matches("ssn "));
    assert_ne!(one, token("123-45-6780", &key(1)));
    assert!(token("123-45-6789", &key(2)).starts_with("<us_ssn:v2:"));
    assert_ne!(one, token("123-45-6789", &Key::new(1, [8; 32])));
}

#[test]
fn remove_drops_members_and_nulls_elements() {
    let rules = [detect(&["us_ssn"], With::Remove), fields(&["b", "*", "c"], With::Remove)];
    let value = json!({"a": "is 123-45-6789", "b": [{"c": 1, "d": 2}, {"d": 3}], "e": ["x", "123-45-6789"]});
    assert_eq!(cleaned(&rules, value), json!({"b": [{"d": 2}, {"d": 3}], "e": ["x", null]}));
    assert_eq!(cleaned(&rules, json!("123-45-6789")), Value::Null);
}

#[test]
fn numbers_and_keys_are_refused_unless_a_rule_names_the_field() {
    let detect = detect(&["us_ssn", "payment_card"], MASK);
    for value in [json!({"ssn": 123456789}), json!({"a": {"123-45-6789": 1}}), json!([4111111111111111_u64])]
    {
        let Outcome::Refused(found) = redact(std::slice::from_ref(&detect), value.clone()) else {
            panic!("{value}")
        };
        assert!(found.iter().all(|it| it.with == With::Block && matches!(it.site, Site::Number | Site::Key)));
        let words = format!("{found:?}");
        assert!(!words.contains("123-45") && !words.contains("4111"), "{words}");
    }
    let named = [detect, fields(&["ssn"], With::Token)];
    let out = cleaned(&named, json!({"ssn": 123456789}));
    assert!(out["ssn"].as_str().unwrap().starts_with("<field:v1:"));
}

#[test]
fn fields_are_replaced_leaf_by_leaf() {
    let rules = [fields(&["patient"], MASK)];
    let value = json!({"patient": {"name": "Jane", "age": 40, "ok": true, "none": null, "list": ["a"]}, "other": "x"});
    let blank = "********";
    let wanted = json!({"patient": {"name": blank, "age": blank, "ok": blank, "none": null, "list": [blank]}, "other": "x"});
    assert_eq!(cleaned(&rules, value), wanted);
}

#[test]
fn block_refuses_and_says_where() {
    let rules = [detect(&["secrets"], With::Block), detect(&["all"], MASK)];
    let Outcome::Refused(found) = redact(&rules, json!({"env": {"password": "hunter2 and more!"}})) else {
        panic!()
    };
    assert_eq!((found[0].kind.as_str(), found[0].pointer.as_str()), ("password", "/env/password"));
}

#[test]
fn the_strictest_of_two_rules_counts() {
    let rules = [detect(&["us_ssn"], LAST_FOUR), detect(&["personal"], With::Hash)];
    let out = cleaned(&rules, json!("123-45-6789"));
    assert!(out.as_str().unwrap().starts_with("hmac-sha256:v1:"));
    let rules = [detect(&["us_ssn"], LAST_FOUR), detect(&["us_ssn"], MASK)];
    assert_eq!(cleaned(&rules, json!("123-45-6789")), json!("***-**-****"));
}

#[test]
fn the_name_of_a_member_is_context() {
    let rules = [detect(&["all"], MASK)];
    let out = cleaned(
        &rules,
        json!({"customerSsn": "123456789", "password": "correct horse 1 battery", "plain": "123456789"}),
    );
    assert_eq!(out, json!({"customerSsn": "*********", "password": "********", "plain": "123456789"}));
}

#[test]
fn what_is_clean_stays_as_it_is_and_cleaning_twice_changes_nothing() {
    let rules = [detect(&["all"], With::Token)];
    let value = json!({"a": [1, 2.5, "x", null], "b": {"c": "nothing here"}});
    assert_eq!(redact(&rules, value.clone()), Outcome::Clean(value));
    let once = cleaned(
        &rules,
        json!({"n": "SSN 123-45-6789, jane@example.com, password=S3cr3t!x, 4111111111111111, 192.168.0.1"}),
    );
    assert_eq!(redact(&rules, once.clone()), Outcome::Clean(once));
}

#[test]
fn a_tenants_own_detectors_are_named_like_others() {
    let custom = Custom::regex("employee_number", r"EMP-[0-9]{6}").unwrap();
    let rules = [detect(&["employee_number"], MASK)];
    let redactor = Redactor::new(&rules, std::slice::from_ref(&custom)).unwrap();
    let Outcome::Cleaned(value, found) = redactor.json(json!("by EMP-123456."), &key(1)) else { panic!() };
    assert_eq!((value, found[0].kind.as_str()), (json!("by ********."), "employee_number"));
    assert!(Redactor::new(&rules, &[]).is_err());
}

#[test]
fn streams_are_cleaned_and_end_closed() {
    let redactor = Redactor::new(&[detect(&["us_ssn"], MASK)], &[]).unwrap();
    let key = key(1);
    let text = format!("{} SSN 123-45-6789 {}", "a ".repeat(2_000), "b ".repeat(2_000));
    let mut stream = StreamRedactor::new(&redactor, &key);
    let mut out = Vec::new();
    for piece in text.as_bytes().chunks(7) {
        match stream.push(piece) {
            Outcome::Clean(bytes) | Outcome::Cleaned(bytes, _) => out.extend(bytes),
            Outcome::Refused(_) => panic!(),
        }
    }
    // Dropped here, what is held back would be lost, and so kept.
    assert!(!out.is_empty() && out.len() < text.len());
    match stream.finish() {
        Outcome::Clean(bytes) | Outcome::Cleaned(bytes, _) => out.extend(bytes),
        Outcome::Refused(_) => panic!(),
    }
    assert_eq!(String::from_utf8(out).unwrap(), text.replace("123-45-6789", "***-**-****"));

    let blocks = Redactor::new(&[detect(&["us_ssn"], With::Block)], &[]).unwrap();
    let mut stream = StreamRedactor::new(&blocks, &key);
    let refused =
        text.as_bytes().chunks(7).filter(|piece| matches!(stream.push(piece), Outcome::Refused(_))).count();
    assert!(refused > 0 && matches!(stream.finish(), Outcome::Refused(_)));
}

#[test]
fn what_may_be_asked_for_again_comes_out_beside_its_token() {
    let rules = [detect(&["us_ssn"], With::Sealed), fields(&["born"], With::Sealed)];
    let redactor = Redactor::new(&rules, &[]).unwrap();
    let value = json!({"a": "ssn 219-09-9999", "b": ["ssn 219-09-9999"], "born": "1974-03-05", "c": "x"});
    let (outcome, kept) = redactor.json_keeping(value, &key(1));
    let Outcome::Cleaned(cleaned, found) = outcome else { panic!("it is cleaned") };
    let values: Vec<(&str, &str)> =
        kept.iter().map(|(token, value)| (token.as_str(), value.expose().as_str())).collect();
    let token = cleaned["a"].as_str().unwrap().strip_prefix("ssn ").unwrap();
    let born = cleaned["born"].as_str().unwrap();
    assert_eq!(values, [(born, "1974-03-05"), (token, "219-09-9999")], "each once");
    assert_eq!(cleaned["b"][0], cleaned["a"]);
    assert!(!format!("{kept:?} {found:?}").contains("219"), "nothing shows a value");
    // A token that nobody may take back is the stricter of two.
    let strict = [detect(&["us_ssn"], With::Sealed), detect(&["us_ssn"], With::Token)];
    let (_, kept) = Redactor::new(&strict, &[]).unwrap().json_keeping(json!("ssn 219-09-9999"), &key(1));
    assert!(kept.is_empty());
}
