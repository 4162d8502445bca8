//! Whatever is in a JSON value, what comes out has its shape, and is the same on every node (DLP-1).
//!
//! `AEGIS_DLP_DOCUMENTS=1000000` tries so many values; without it a sample.

use aegis_dlp::redact::{Keep, Key, Outcome, Redactor, Rule, What, With};
use aegis_dlp::scanner::Precision;
use serde_json::{Map, Value, json};

use crate::faker::{KINDS, Random, negative, positive};
use crate::support::{figure, number};

fn value(random: &mut Random, depth: usize) -> Value {
    match random.below(if depth == 0 { 5 } else { 8 }) {
        0 => Value::Null,
        1 => json!(random.below(2) == 0),
        2 => json!(random.below(10_000)),
        3 => json!(negative(random).text),
        4 => {
            let (kind, alone) = KINDS[random.below(KINDS.len())];
            json!(positive(kind, alone, random).text)
        }
        5 => (0..random.below(4)).map(|_| value(random, depth - 1)).collect(),
        _ => {
            let names = ["a", "note", "ssn", "password", "customer email", "items", "x y"];
            let members =
                (0..random.below(5)).map(|_| (random.pick(&names).to_owned(), value(random, depth - 1)));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}

/// Strings become strings, everything else stays what it is.
fn same_shape(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::String(_), Value::String(_)) => true,
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len()
                && before.iter().zip(after).all(|(before, after)| same_shape(before, after))
        }
        (Value::Object(before), Value::Object(after)) => {
            before.len() == after.len()
                && before
                    .iter()
                    .all(|(name, value)| after.get(name).is_some_and(|other| same_shape(value, other)))
        }
        (before, after) => before == after,
    }
}

/// As the same shape, but for members that are gone and elements that are null.
fn removed_shape(before: &Value, after: &Value) -> bool {
    match (before, after) {
        (Value::String(_) | Value::Null, Value::Null) => true,
        (Value::Array(before), Value::Array(after)) => {
            before.len() == after.len()
                && before.iter().zip(after).all(|(before, after)| removed_shape(before, after))
        }
        (Value::Object(before), Value::Object(after)) => after
            .iter()
            .all(|(name, value)| before.get(name).is_some_and(|other| removed_shape(other, value))),
        (before, after) => before == after,
    }
}

#[test]
fn output_has_the_shape_of_the_input() {
    let rules = |with| [Rule { what: What::Detect(vec!["all".into()], Precision::Lenient), with }];
    let withs = [With::Mask { keep_last: Keep(4) }, With::Token, With::Hash, With::Remove];
    let redactors = withs.map(|with| [(); 2].map(|()| (with, Redactor::new(&rules(with), &[]).unwrap())));
    let key = Key::new(3, [9; 32]);
    let (mut cleaned, mut refused) = (0_u64, 0_u64);
    let tried = number("AEGIS_DLP_DOCUMENTS", 1_200);
    for seed in 0..tried {
        let mut random = Random(seed);
        let before = value(&mut random, 4);
        // Two nodes that prepared the same rules.
        let [(with, redactor), (_, other)] = &redactors[random.below(4)];
        let after = match redactor.json(before.clone(), &key) {
            Outcome::Clean(after) => {
                assert_eq!(after, before, "seed {seed}");
                continue;
            }
            Outcome::Refused(_) => {
                refused += 1;
                continue;
            }
            Outcome::Cleaned(after, _) => after,
        };
        cleaned += 1;
        let shaped =
            if *with == With::Remove { removed_shape(&before, &after) } else { same_shape(&before, &after) };
        assert!(shaped, "seed {seed}: {before} became {after}");
        let text = serde_json::to_string(&after).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), after);
        let again = other.json(before, &key);
        assert!(
            matches!(again, Outcome::Cleaned(same, _) if same == after),
            "seed {seed}: another node says the same"
        );
    }
    assert!(cleaned > refused, "{cleaned} cleaned, {refused} refused");
    figure("documents", tried);
    figure("documents_cleaned", cleaned);
    figure("documents_refused", refused);
}
