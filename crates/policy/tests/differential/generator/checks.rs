//! Random checks, and values near where they turn.

use aegis_policy::ast::{Check, JsonType};
use serde_json::{Value, json};

use super::pools::{self, Random, literal, near, normal, number, odd};
use super::schema;

/// How many kinds of checks [`of_kind`] knows (all but schemas, which stand alone).
const KINDS: usize = 18;

/// The checks of one test: mostly one, sometimes several that one value can satisfy.
pub(crate) fn checks(random: &mut Random) -> Vec<Check> {
    if random.chance(75) {
        return vec![of_kind(random.between(0, KINDS - 1), 2, random)];
    }
    if random.chance(30) {
        // Checks of several types, which no value satisfies: the policy is silly, but has to be judged alike.
        return (0..random.between(2, 3)).map(|_| of_kind(random.between(0, KINDS - 1), 1, random)).collect();
    }
    let families: [&[usize]; 3] = [&[2, 3, 0, 1], &[5, 6, 7, 8, 9, 10], &[9, 10, 11, 12]];
    let family = random.between(0, 2);
    let kinds = random.some(families[family], 2);
    let mut checks: Vec<Check> = kinds.into_iter().map(|kind| of_kind(kind, 1, random)).collect();
    if random.chance(50) {
        let types = [*random.pick(&[JsonType::Number, JsonType::Integer]), JsonType::String, JsonType::Array];
        checks.insert(0, Check::Type(types[family]));
    }
    checks
}

/// A check of the given kind; `depth` bounds the nesting.
fn of_kind(kind: usize, depth: usize, random: &mut Random) -> Check {
    match kind {
        0 => Check::Equals(literal(random)),
        1 => {
            let mut literals: Vec<Value> = (0..random.between(1, 4)).map(|_| literal(random)).collect();
            if random.chance(8) {
                // More than fit into one set of the compiler's.
                literals
                    .extend((0..random.between(60, 140)).map(|number| json!(format!("literal {number}"))));
            }
            Check::OneOf(literals)
        }
        2 => Check::Min(number(random)),
        3 => Check::Max(number(random)),
        4 => Check::Type(*random.pick(&TYPES)),
        5 => Check::Matches(format!("^(?:{})$", random.pick(&pools::PATTERNS).0)),
        6 => Check::Finds(random.pick(&pools::PATTERNS).0.to_owned()),
        7 => Check::StartsWith(random.texts(&pools::TEXTS, 3)),
        8 => Check::EndsWith(random.texts(&pools::TEXTS, 3)),
        9 => length(random),
        10 => Check::ContainsAny(parts(random)),
        11 => Check::ContainsAll(parts(random)),
        12 if depth > 0 => {
            let count = random.between(1, 2);
            Check::Each(
                (0..count).map(|_| of_kind(random.between(0, KINDS - 1), depth - 1, random)).collect(),
            )
        }
        13 => Check::HostIn(random.texts(&pools::HOSTS, 3)),
        14 => Check::DomainIn(random.texts(&pools::DOMAINS, 3)),
        15 => Check::Within(random.texts(&pools::FOLDERS, 2)),
        16 => Check::CidrIn(random.texts(&pools::NETWORKS, 3)),
        17 if depth > 0 => Check::Not(Box::new(of_kind(random.between(0, KINDS - 1), depth - 1, random))),
        _ => of_kind(random.between(0, 11), 0, random),
    }
}

pub(crate) const TYPES: [JsonType; 7] = [
    JsonType::Null,
    JsonType::Boolean,
    JsonType::Number,
    JsonType::Integer,
    JsonType::String,
    JsonType::Array,
    JsonType::Object,
];

fn length(random: &mut Random) -> Check {
    let min = random.between(0, 3);
    let max = min + random.between(0, 2);
    let bound = |bound: usize| u32::try_from(bound).expect("a small number");
    match random.between(0, 3) {
        0 => Check::Length { min: Some(bound(min)), max: None },
        1 => Check::Length { min: None, max: Some(bound(max)) },
        _ => Check::Length { min: Some(bound(min)), max: Some(bound(max)) },
    }
}

fn parts(random: &mut Random) -> Vec<Value> {
    if random.chance(60) {
        return random.texts(&pools::TEXTS, 3).into_iter().map(Value::from).collect();
    }
    (0..random.between(1, 3)).map(|_| literal(random)).collect()
}

/// Values near where `check` turns: some true, some false, some undecided.
pub(crate) fn candidates(check: &Check, random: &mut Random) -> Vec<Value> {
    let mut values = match check {
        Check::Equals(literal) => vec![literal.clone(), near(literal, random), json!(literal.to_string())],
        Check::OneOf(literals) => {
            let some = random.pick(literals).clone();
            vec![near(&some, random), json!([some.clone()]), some]
        }
        Check::Min(bound) | Check::Max(bound) => {
            let bound = bound.as_f64().unwrap_or_default();
            let around = [bound, bound + 1.0, bound - 1.0, bound + 0.5, bound - 0.5, -bound];
            let mut values: Vec<Value> = around.into_iter().map(normal).collect();
            values.extend([json!(bound.to_string()), json!([bound]), json!(true)]);
            values
        }
        Check::Type(_) => {
            vec![json!(1), json!(1.5), json!("a"), json!(null), json!([]), json!({}), json!(false)]
        }
        Check::Matches(pattern) | Check::Finds(pattern) => of_pattern(pattern, random),
        Check::StartsWith(texts) | Check::EndsWith(texts) => {
            let text = random.pick(texts).clone();
            vec![
                json!(text),
                json!(format!("{text}z")),
                json!(format!("z{text}")),
                json!(text.to_uppercase()),
                json!([text]),
            ]
        }
        Check::Length { min, max } => {
            of_length(min.or(*max).unwrap_or_default(), max.or(*min).unwrap_or_default())
        }
        Check::ContainsAny(parts) | Check::ContainsAll(parts) => of_parts(parts, random),
        Check::Each(checks) => of_each(checks, random),
        Check::HostIn(hosts) | Check::DomainIn(hosts) => of_host(random.pick(hosts).as_str()),
        Check::Within(folders) => of_folder(random.pick(folders).as_str()),
        Check::CidrIn(_) => ADDRESSES.iter().map(|address| json!(address)).collect(),
        Check::Not(check) => return candidates(check, random),
        Check::Schema(schema) => (0..10).map(|_| schema::instance(schema, random)).collect(),
    };
    values.push(odd(random));
    values.push(odd(random));
    values
}

const ADDRESSES: [&str; 23] = [
    "10.0.0.1",
    "10.255.255.255",
    "11.0.0.0",
    "192.168.1.255",
    "192.168.2.0",
    "127.0.0.1",
    "::1",
    "::",
    "2001:db8::1",
    "2001:db9::1",
    "fe80::1",
    "febf:1:2:3:4:5:6:7",
    "010.0.0.1",
    "10.0.0",
    "::ffff:10.0.0.1",
    "2001:DB8::1",
    "fe80::1%eth0",
    "10.0.0.1:80",
    "1:2:3:4:5:6:7::",
    "2001:db8:0:0:0:0:0:1",
    "2001:db8:3:4:5:6::",
    "2001:db8::3:4:5:6",
    "2001:db8::3:4:5:6:7",
];

fn of_pattern(pattern: &str, random: &mut Random) -> Vec<Value> {
    let known = pools::PATTERNS.iter().find(|(one, _)| pattern == *one || pattern == format!("^(?:{one})$"));
    let examples = known.map_or(&[][..], |(_, examples)| examples);
    let mut values: Vec<Value> = examples.iter().map(|text| json!(text)).collect();
    if let Some(text) = examples.first() {
        values.extend([json!(format!("!{text}")), json!(format!("{text}!")), json!([text])]);
    }
    values.push(json!(random.pick(&pools::TEXTS)));
    values
}

fn of_length(min: u32, max: u32) -> Vec<Value> {
    let mut values = Vec::new();
    for size in [min.saturating_sub(1), min, max, max + 1] {
        let size = size as usize;
        values.push(json!("é".repeat(size)));
        values.push(json!("😀".repeat(size)));
        values.push(Value::Array(vec![json!(7); size]));
        values.push((0..size).map(|index| (index.to_string(), Value::Null)).collect());
    }
    values.extend([json!(max), json!(true), Value::Null]);
    values
}

fn of_parts(parts: &[Value], random: &mut Random) -> Vec<Value> {
    let mut all = parts.to_vec();
    let some = random.pick(parts).clone();
    let text: String = parts.iter().filter_map(Value::as_str).collect();
    let mut values = vec![
        json!(all.clone()),
        json!([some.clone()]),
        json!([near(&some, random)]),
        json!([near(&some, random), some.clone()]),
        json!([]),
        json!(text.clone()),
        json!(format!("<{text}>")),
        json!(some.as_str().unwrap_or("z")),
        json!("none of them"),
    ];
    all.push(odd(random));
    values.push(json!(all));
    values.push(json!([near(&some, random), odd(random)]));
    values
}

fn of_each(checks: &[Check], random: &mut Random) -> Vec<Value> {
    let mut pool: Vec<Value> = checks.iter().flat_map(|check| candidates(check, random)).collect();
    let good: Vec<Value> = pool
        .iter()
        .filter(|value| crate::reference::check::all(checks, value) == crate::reference::truth::Truth::True)
        .cloned()
        .collect();
    let mut values = vec![json!([]), json!(good), json!({"0": good})];
    for _ in 0..4 {
        let count = random.between(1, 3);
        values.push((0..count).map(|_| random.pick(&pool).clone()).collect());
    }
    values.push(random.pick(&pool).clone());
    if let Some(first) = good.first() {
        values.push(json!([first]));
        values.push(json!([first, pool.remove(0)]));
    }
    values
}

fn of_host(host: &str) -> Vec<Value> {
    [
        host.to_owned(),
        format!("https://{host}/v1/x?u=http://y.z/"),
        format!("{host}:8443"),
        format!("sub.{host}"),
        format!("https://a.b.{host}"),
        format!("evil{host}"),
        format!("{host}.evil.org"),
        host.to_uppercase(),
        format!("{host}."),
        format!("https://user@{host}/"),
        format!("https://evil.org/@{host}"),
        format!("{host}/%2e%2e"),
        format!("{host}//x"),
        format!("{host}/../x"),
        format!("{host}\n"),
        format!("{host}#x"),
        format!("https://evil.org?{host}"),
        "other.net".to_owned(),
        "xn--e1afmkfd.com".to_owned(),
        "пример.com".to_owned(),
    ]
    .map(Value::from)
    .to_vec()
}

fn of_folder(folder: &str) -> Vec<Value> {
    let folder = folder.trim_end_matches('/');
    [
        folder.to_owned(),
        format!("{folder}/"),
        format!("{folder}/a/b.txt"),
        format!("{folder}x"),
        format!("{folder}/../x"),
        format!("{folder}//x"),
        format!("{folder}/./x"),
        format!("{folder}/%2e%2e/x"),
        format!("{folder}/...x"),
        format!("{folder}/é"),
        format!("/else{folder}"),
        folder.trim_start_matches('/').to_owned(),
        format!("{folder}/x\n"),
        "/".to_owned(),
    ]
    .map(Value::from)
    .to_vec()
}
