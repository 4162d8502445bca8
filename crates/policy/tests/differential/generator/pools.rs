//! What policies and calls are made of: few names, so that they meet, and many odd values.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

/// A source of randomness that is the same for the same seed.
pub(crate) struct Random(StdRng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// True in `percent` of 100 cases.
    pub(crate) fn chance(&mut self, percent: u32) -> bool {
        self.0.random_range(0..100) < percent
    }

    /// A number from `least` to `most`, both included.
    pub(crate) fn between(&mut self, least: usize, most: usize) -> usize {
        self.0.random_range(least..=most)
    }

    pub(crate) fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        from.choose(&mut self.0).expect("nothing picks from an empty pool")
    }

    /// One to `most` different members.
    pub(crate) fn some<T: Clone>(&mut self, from: &[T], most: usize) -> Vec<T> {
        let count = self.between(1, most.min(from.len()));
        from.sample(&mut self.0, count).cloned().collect()
    }

    pub(crate) fn texts(&mut self, from: &[&str], most: usize) -> Vec<String> {
        self.some(from, most).into_iter().map(str::to_owned).collect()
    }
}

pub(crate) const AGENTS: [&str; 5] = ["finance-agent", "finance-bot", "ops", "a.b:c/d", "nobody"];
pub(crate) const AGENT_GLOBS: [&str; 7] =
    ["finance-agent", "finance-*", "*-bot", "ops", "a.b:c/d", "*", "f*t"];
pub(crate) const TOOLS: [&str; 5] = ["stripe-payments", "Files.Read", "db/query", "mail:send", "filesXread"];
pub(crate) const TOOL_GLOBS: [&str; 7] =
    ["stripe-payments", "stripe-*", "*", "Files.Read", "db/*", "mail:send", "*.Read"];
pub(crate) const DENIED_TOOLS: [&str; 5] = ["stripe-payments", "files.read", "db/query", "mail:*", "files.*"];
pub(crate) const ACTIONS: [&str; 5] = ["create_payment", "call", "READ", "delete", "delete.all"];
pub(crate) const ACTION_GLOBS: [&str; 6] = ["create_payment", "create_*", "call", "READ", "delete*", "*"];
pub(crate) const DENIED_ACTIONS: [&str; 4] = ["delete", "read", "create_*", "delete.*"];
pub(crate) const CALLERS: [&str; 6] =
    ["orchestrator", "planner-1", "planner-2", "evil-bot", "Planner-1", "a:b/c"];
pub(crate) const CALLER_GLOBS: [&str; 5] = ["orchestrator", "planner-*", "*", "a:*", "*-bot"];
pub(crate) const CIRCUMSTANCES: [&str; 2] = ["purpose", "environment"];
pub(crate) const FIELDS: [&str; 12] = [
    "amount", "vendor", "note", "url", "path", "tags", "items", "frozen", "odd.key", "a/b~c", "ключ", "\"q\\",
];
pub(crate) const INNER: [&str; 4] = ["id", "price", "a b", "0"];
pub(crate) const ZONES: [&str; 4] = ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"];
pub(crate) const HOSTS: [&str; 5] = ["api.stripe.com", "x.com", "localhost", "10.0.0.1", "a-b.c3.org"];
pub(crate) const DOMAINS: [&str; 4] = ["stripe.com", "x.com", "localhost", "c3.org"];
pub(crate) const FOLDERS: [&str; 4] = ["/srv/data", "/", "/home/a b", "/etc/[x]"];
pub(crate) const NETWORKS: [&str; 8] = [
    "10.0.0.0/8",
    "192.168.1.0/24",
    "0.0.0.0/0",
    "127.0.0.1/32",
    "2001:db8::/32",
    "::/0",
    "fe80::/10",
    "::1/128",
];

pub(crate) const TEXTS: [&str; 16] = [
    "care",
    "billing",
    "production",
    "a",
    "b",
    "",
    "Ab",
    "İstanbul",
    "x\"y",
    "back\\slash",
    "nul\u{0}",
    "😀",
    "line\nbreak",
    "5000",
    "true",
    "e\u{301}",
];

/// A regular expression of the common subset, and texts in which it is found or not.
pub(crate) const PATTERNS: [(&str, &[&str]); 14] = [
    ("[a-z]+", &["abc", "ABC", "", "ab1", "abc\n", "é"]),
    ("[A-Z]{2}[0-9]{2,4}", &["AB12", "AB1", "ab12", "xAB12", "AB12345"]),
    ("(?i:kiss)", &["KISS", "\u{212a}iss", "ki\u{17f}s", "kis", "kiss!"]),
    ("a|bc", &["a", "bc", "abc", "c", "ac"]),
    ("(?:[0-9]{1,3}[.]){3}[0-9]{1,3}", &["10.0.0.1", "10.0.0", "1.2.3.4567", "999.999.999.999"]),
    (".*", &["", "x", "a\nb", "\u{2028}"]),
    ("(?s:.+)", &["a\nb", "", "\n"]),
    ("(?m:^b$)", &["b", "a\nb\nc", "ab", "b\n", "b\r\n"]),
    ("[^@]+@[^@]+[.]com", &["a@b.com", "a@b.org", "a@@b.com", "@b.com"]),
    ("[а-я]+", &["привет", "Привет", "hello"]),
    ("\\x{1F600}{2}", &["😀😀", "😀", "😀😀😀"]),
    ("x*?y{0,2}", &["", "xxyy", "yyy", "z"]),
    ("[\\-\\]\\\\\"`$]+", &["-]", "\\", "`", "\"", "$", "a"]),
    ("\\.\\*\\{\\}\\[\\]", &[".*{}[]", "x"]),
];

/// Numbers a policy compares with.
pub(crate) fn number(random: &mut Random) -> serde_json::Number {
    let numbers = [
        json!(0),
        json!(1),
        json!(-1),
        json!(5),
        json!(100),
        json!(5000),
        json!(0.5),
        json!(-2.5),
        json!(0.1),
        json!(12_345.678),
        json!(1e-7),
        json!(9_007_199_254_740_992_i64),
        json!(-9_007_199_254_740_992_i64),
    ];
    random.pick(&numbers).as_number().expect("numbers").clone()
}

/// Values a policy compares with.
pub(crate) fn literal(random: &mut Random) -> Value {
    match random.between(0, 9) {
        0 => json!(true),
        1 => json!(false),
        2 => Value::Null,
        3 | 4 => Value::Number(number(random)),
        5 => random
            .pick(&[json!([]), json!([1, "a"]), json!({}), json!({"a": 1}), json!({"a": [null]})])
            .clone(),
        _ => json!(random.pick(&TEXTS)),
    }
}

/// What nobody expects.
pub(crate) fn odd(random: &mut Random) -> Value {
    let values = [
        Value::Null,
        json!(true),
        json!(false),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(""),
        json!("5000"),
        json!("İ"),
        json!("\u{0}"),
        json!([]),
        json!({}),
        json!([null]),
        json!({"a": 1}),
        json!([[]]),
        json!([1, "a"]),
        json!({"0": 1, "id": "x"}),
        json!("null"),
        json!("a\u{301}\u{202e}"),
        json!(9_007_199_254_740_992_i64),
        json!(1e-300),
        json!([[1], [2, 2]]),
    ];
    random.pick(&values).clone()
}

/// Another value of the same type, near `value`.
pub(crate) fn near(value: &Value, random: &mut Random) -> Value {
    match value {
        Value::Null => Value::Null,
        Value::Bool(flag) => json!(!flag),
        Value::Number(number) => {
            let step = *random.pick(&[1.0, -1.0, 0.5, -0.5, 0.001]);
            normal(number.as_f64().unwrap_or_default() + step)
        }
        Value::String(text) => json!(match random.between(0, 5) {
            0 => text.to_uppercase(),
            1 => format!("{text}x"),
            2 => format!("x{text}"),
            3 => format!("{text}\n"),
            4 => text.chars().skip(1).collect(),
            _ => (*random.pick(&TEXTS)).to_owned(),
        }),
        Value::Array(items) => {
            let mut items = items.clone();
            if items.pop().is_none() || random.chance(30) {
                items.push(odd(random));
            }
            Value::Array(items)
        }
        Value::Object(members) => {
            let mut members = members.clone();
            members.insert((*random.pick(&["a", "b"])).to_owned(), odd(random));
            Value::Object(members)
        }
    }
}

/// A number as the strict reader gives it: whole numbers as integers.
pub(crate) fn normal(number: f64) -> Value {
    /// Beyond it the reader refuses integers.
    const MOST: f64 = 9_007_199_254_740_992.0;
    if number.fract() != 0.0 {
        return json!(number);
    }
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within the clamp")]
    let whole = number.clamp(-MOST, MOST) as i64;
    json!(whole)
}
