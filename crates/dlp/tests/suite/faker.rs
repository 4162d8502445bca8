//! Texts with sensitive values in them, and where: seeded, so that the same seed gives the same texts everywhere.
//!
//! Values have the checksums and ranges of real ones and belong to nobody. Some are written as an attacker would write them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A generator of random numbers: SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut it = self.0;
        it = (it ^ it >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        it = (it ^ it >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        it ^ it >> 31
    }

    pub(crate) fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.next() % most as u64).unwrap_or(0)
    }

    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    pub(crate) fn digits(&mut self, count: usize) -> String {
        (0..count).map(|_| char::from(b'0' + u8::try_from(self.below(10)).unwrap_or(0))).collect()
    }

    fn of(&mut self, alphabet: &str, count: usize) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        (0..count).map(|_| letters[self.below(letters.len())]).collect()
    }
}

/// A text with one labelled value, or with none.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    pub(crate) text: String,
    /// The kind, and where the value stands; of an encoded one, the encoded characters.
    pub(crate) label: Option<(&'static str, std::ops::Range<usize>)>,
    /// How it is written.
    pub(crate) form: &'static str,
}

/// Kinds with values, words that announce them, and whether they are found without.
pub(crate) const KINDS: &[(&str, bool)] = &[
    ("us_ssn", false),
    ("email", true),
    ("payment_card", true),
    ("iban", true),
    ("ipv4", true),
    ("ipv6", true),
    ("mac_address", true),
    ("phone", false),
    ("date_of_birth", false),
    ("passport", false),
    ("us_bank_routing", false),
    ("uk_nino", true),
    ("de_tax_id", false),
    ("in_aadhaar", false),
    ("medical_record_number", false),
    ("health_insurance_number", false),
    ("password", false),
    ("connection_string", true),
    ("aws_access_key_id", true),
    ("github_token", true),
    ("stripe_secret_key", true),
    ("slack_bot_token", true),
    ("jwt", true),
];

const FIRST: &[&str] =
    &["jane", "john", "maria", "wei", "olu", "anna", "li", "omar", "ines", "piotr", "sofia", "raj"];
const LAST: &[&str] =
    &["doe", "smith", "garcia", "chen", "okafor", "novak", "rossi", "patel", "meyer", "silva", "kim"];
const WORDS: &[&str] = &[
    "the", "of", "invoice", "please", "review", "system", "and", "with", "today", "meeting", "report", "we",
    "shipped", "order", "customer", "about", "status", "team", "value", "before", "result", "plan",
    "service", "is", "was", "a", "new", "later",
];

/// A value of a kind, well formed.
pub(crate) fn value(kind: &str, random: &mut Random) -> String {
    let r = random;
    match kind {
        "us_ssn" => {
            let area = loop {
                let area = 1 + r.below(899);
                if area != 666 {
                    break area;
                }
            };
            let (group, serial) = (1 + r.below(99), 1 + r.below(9_999));
            let joint = r.pick(&["-", "-", "-", " ", ""]);
            format!("{area:03}{joint}{group:02}{joint}{serial:04}")
        }
        "email" => {
            let (first, last) = (r.pick(FIRST), r.pick(LAST));
            let local = match r.below(4) {
                0 => format!("{first}.{last}"),
                1 => format!("{first}_{last}{}", r.below(99)),
                2 => format!("{first}+{}", r.pick(&["news", "tag", "x1"])),
                _ => format!("{}{last}", &first[..1]),
            };
            format!(
                "{local}@{}",
                r.pick(&[
                    "example.com",
                    "mail.example.org",
                    "example.co.uk",
                    "my-firm.example.net",
                    "bücher.example",
                    "xn--bcher-kva.example"
                ])
            )
        }
        "payment_card" => {
            let (prefix, length) = [
                ("4", 16),
                ("51", 16),
                ("55", 16),
                ("2221", 16),
                ("34", 15),
                ("37", 15),
                ("6011", 16),
                ("65", 16),
                ("3528", 16),
                ("36", 14),
            ][r.below(10)];
            let body = format!("{prefix}{}", r.digits(length - 1 - prefix.len()));
            let number = with_luhn(&body);
            let groups: &[usize] = match (length, r.below(3)) {
                (_, 0) => return number,
                (16, _) => &[4, 4, 4, 4],
                (15, _) => &[4, 6, 5],
                _ => &[4, 6, 4],
            };
            split(&number, groups, r.pick(&[" ", "-", " "]))
        }
        "iban" => {
            let (country, bban) = match r.below(5) {
                0 => ("DE", r.digits(18)),
                1 => ("GB", format!("WEST{}", r.digits(14))),
                2 => ("FR", r.digits(23)),
                3 => ("NL", format!("ABNA{}", r.digits(10))),
                _ => ("ES", r.digits(20)),
            };
            let rest = format!("{bban}{country}00").bytes().fold(0_u32, |rest, byte| match byte {
                b'0'..=b'9' => (rest * 10 + u32::from(byte - b'0')) % 97,
                _ => (rest * 100 + u32::from(byte - b'A') + 10) % 97,
            });
            let iban = format!("{country}{:02}{bban}", 98 - rest);
            let groups: Vec<String> =
                iban.as_bytes().chunks(4).map(|it| String::from_utf8_lossy(it).into_owned()).collect();
            match r.below(4) {
                0 | 1 => iban,
                2 => groups.join(" "),
                _ => iban.to_lowercase(),
            }
        }
        "ipv4" => format!("{}.{}.{}.{}", 1 + r.below(254), r.below(256), r.below(256), r.below(256)),
        "ipv6" => {
            let group = |r: &mut Random| format!("{:x}", r.below(65_536));
            match r.below(3) {
                0 => (0..8).map(|_| group(r)).collect::<Vec<_>>().join(":"),
                1 => format!("2001:db8::{}:{}", group(r), group(r)),
                _ => format!("fe80::{}:{}:{}:{}", group(r), group(r), group(r), 1 + r.below(9)),
            }
        }
        "mac_address" => {
            let joint = r.pick(&[":", "-"]);
            let pairs: Vec<String> = (0..6).map(|_| format!("{:02x}", r.below(256))).collect();
            let text = pairs.join(joint);
            if r.below(2) == 0 { text.to_uppercase() } else { text }
        }
        "phone" => {
            let (area, exchange, line) = (200 + r.below(700), 200 + r.below(700), r.digits(4));
            let (area, exchange) = (
                if area % 100 == 11 { area + 1 } else { area },
                if exchange % 100 == 11 { exchange + 1 } else { exchange },
            );
            match r.below(9) {
                0 => format!("({area}) {exchange}-{line}"),
                1 => format!("{area}-{exchange}-{line}"),
                2 => format!("{area}.{exchange}.{line}"),
                3 => format!("+1 {area} {exchange} {line}"),
                4 => format!("+1-{area}-{exchange}-{line}x{}", r.digits(3)),
                5 => format!("{area}{exchange}{line}"),
                6 => format!("+44 20 {} {}", r.digits(4), r.digits(4)),
                7 => format!("+49 30 {}", 1_000_000 + r.below(8_999_999)),
                _ => format!("001-{area}-{exchange}-{line}"),
            }
        }
        "date_of_birth" => {
            let (year, month, day) = (1930 + r.below(80), 1 + r.below(12), 1 + r.below(28));
            let name = [
                "January",
                "February",
                "March",
                "April",
                "May",
                "June",
                "July",
                "August",
                "September",
                "October",
                "November",
                "December",
            ][month - 1];
            match r.below(6) {
                0 => format!("{year}-{month:02}-{day:02}"),
                1 => format!("{month:02}/{day:02}/{year}"),
                2 => format!("{day:02}.{month:02}.{year}"),
                3 => format!("{name} {day}, {year}"),
                4 => format!("{day} {} {year}", &name[..3]),
                _ => format!("{month}/{day}/{:02}", year % 100),
            }
        }
        "passport" => match r.below(3) {
            0 => r.digits(9),
            1 => format!("{}{}", r.of("ABCXYZ", 1), r.digits(8)),
            _ => format!("{}{}", r.of("ABCXYZ", 2), r.digits(7)),
        },
        "us_bank_routing" => {
            let body = format!("{:02}{}", 1 + r.below(12), r.digits(6));
            let sum: u32 = body
                .bytes()
                .zip([3, 7, 1, 3, 7, 1, 3, 7])
                .map(|(it, weight)| u32::from(it - b'0') * weight)
                .sum();
            format!("{body}{}", (10 - sum % 10) % 10)
        }
        "uk_nino" => {
            let text = format!(
                "{}{}{}{}",
                r.of("ABCEGHJKLMPRSTWXY", 1),
                r.of("ABCEHJKLMPRSTWXYZ", 1),
                r.digits(6),
                r.of("ABCD", 1)
            );
            let text = if ["GB", "BG", "NK", "KN", "TN", "NT", "ZZ"].iter().any(|it| text.starts_with(it)) {
                format!("AB{}", &text[2..])
            } else {
                text
            };
            if r.below(2) == 0 { split(&text, &[2, 2, 2, 2, 1], " ") } else { text }
        }
        "de_tax_id" => {
            // Nine different digits and one of them again.
            let mut digits: Vec<usize> = (1..10).collect();
            for at in (1..9).rev() {
                digits.swap(at, r.below(at + 1));
            }
            let again = digits[r.below(9)];
            digits.push(again);
            let product = digits.iter().fold(10, |product, digit| {
                let sum = (product + digit) % 10;
                (if sum == 0 { 10 } else { sum }) * 2 % 11
            });
            digits.push((11 - product) % 10);
            let text: String = digits.iter().map(ToString::to_string).collect();
            if r.below(2) == 0 { split(&text, &[2, 3, 3, 3], " ") } else { text }
        }
        "in_aadhaar" => {
            let body = format!("{}{}", 2 + r.below(8), r.digits(10));
            let valid = |text: &String| {
                aegis_dlp::checksum::verhoeff(&text.bytes().map(|it| it - b'0').collect::<Vec<_>>())
            };
            let text = (0..10).map(|check| format!("{body}{check}")).find(valid).unwrap();
            if r.below(2) == 0 { split(&text, &[4, 4, 4], " ") } else { text }
        }
        "medical_record_number" => match r.below(2) {
            0 => r.digits(8),
            _ => format!("{}{}", r.of("ABCM", 1), r.digits(7)),
        },
        "health_insurance_number" => format!("{}{}", r.of("ABCDEFGHXYZ", 3), r.digits(9)),
        "password" => format!(
            "{}{}{}",
            r.of("ABCDEFGHJKLMNPQRSTUVWXYZ", 2),
            r.of("abcdefghijkmnopqrstuvwxyz23456789!#%*", 9),
            r.below(10)
        ),
        "connection_string" => r.of("abcdefghijkmnopqrstuvwxyzABCDEFGH23456789", 12),
        "aws_access_key_id" => format!("AKIA{}", r.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
        "github_token" => format!("ghp_{}", r.of(ALNUM, 36)),
        "stripe_secret_key" => format!("sk_live_{}", r.of(ALNUM, 24)),
        "slack_bot_token" => format!("xoxb-{}-{}-{}", r.digits(12), r.digits(12), r.of(ALNUM, 24)),
        "jwt" => {
            let part = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
            format!(
                "{}.{}.{}",
                part(r#"{"alg":"HS256","typ":"JWT"}"#),
                part(&format!(r#"{{"sub":"{}","iat":{}}}"#, r.digits(6), r.digits(9))),
                r.of(ALNUM, 43)
            )
        }
        other => panic!("no values of `{other}`"),
    }
}

const ALNUM: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

fn with_luhn(body: &str) -> String {
    let valid =
        |text: &String| aegis_dlp::checksum::luhn(&text.bytes().map(|it| it - b'0').collect::<Vec<_>>());
    (0..10).map(|check| format!("{body}{check}")).find(valid).unwrap()
}

fn split(text: &str, groups: &[usize], joint: &str) -> String {
    let mut rest = text;
    let mut parts = Vec::new();
    for group in groups {
        let (part, after) = rest.split_at(*group);
        parts.push(part);
        rest = after;
    }
    parts.join(joint)
}

/// A sentence with a hole for the value: with words that announce it, or with none.
fn frame(kind: &str, announced: bool, random: &mut Random) -> &'static str {
    let told: &[&str] = match kind {
        "us_ssn" => &[
            "SSN: {}",
            "her social security number is {}.",
            r#"{"ssn": "{}"}"#,
            "ssn={}",
            "Please verify SSN {} today",
            "customer_ssn: {}",
        ],
        "email" => &["email: {}", "write to {}.", r#"{"email":"{}"}"#, "<{}>", "cc {}; thanks"],
        "payment_card" => {
            &["card: {}", "paid with Visa {} yesterday", r#"{"card_number": "{}"}"#, "cc {} exp 12/29"]
        }
        "iban" => &["IBAN: {}", "transfer to {} please", r#"{"iban":"{}"}"#],
        "ipv4" | "ipv6" => {
            &["ip={}", "connection from {} refused", r#"{"client_ip": "{}"}"#, "host {} is down"]
        }
        "mac_address" => &["MAC {}", "device {} joined", r#"{"mac":"{}"}"#],
        "phone" => &[
            "phone: {}",
            "call me at {}.",
            r#"{"phone":"{}"}"#,
            "Tel: {}",
            "my mobile is {}",
            "fax {} or visit",
        ],
        "date_of_birth" => &[
            "DOB: {}",
            "born on {} in Lyon",
            r#"{"date_of_birth": "{}"}"#,
            "date of birth {}",
            "birthday: {}",
        ],
        "passport" => &["passport number: {}", "Passport No. {}", r#"{"passport":"{}"}"#],
        "us_bank_routing" => &["routing number {}", "ABA: {}", r#"{"routing_number":"{}"}"#],
        "uk_nino" => &["NI number {}", "nino: {}", "national insurance {}."],
        "de_tax_id" => &["Steuer-ID {}", "Steueridentifikationsnummer: {}"],
        "in_aadhaar" => &["Aadhaar {}", "aadhaar no: {}"],
        "medical_record_number" => &["MRN: {}", "medical record number {}", r#"{"mrn":"{}"}"#],
        "health_insurance_number" => {
            &["Member ID: {}", "insurance number is {}", r#"{"policy_number":"{}"}"#]
        }
        "password" => &[
            "password: {}",
            "password={}",
            r#"{"password":"{}"}"#,
            "the password is {}",
            "DB_PASSWORD=\"{}\"",
        ],
        "connection_string" => &[
            "postgres://app:{}@db.example.com:5432/x",
            "redis://user:{}@cache.example.net/0",
            "DATABASE_URL=mysql://root:{}@localhost/db",
        ],
        _ => &["key {}", "export X={}", r#""{}""#, "see {} there"],
    };
    let bare: &[&str] = &["{}", "see {} there", "({})", "we noted {} today", "a,{},b"];
    random.pick(if announced { told } else { bare })
}

/// How an attacker writes a value: the form's name and the value in it.
fn disguised(kind: &str, value: &str, random: &mut Random) -> (&'static str, String) {
    let numeric = matches!(kind, "us_ssn" | "payment_card" | "us_bank_routing" | "in_aadhaar");
    let wide = |it: char| char::from_u32(u32::from(it) - u32::from('0') + 0xFF10).unwrap_or(it);
    match random.below(if numeric { 8 } else { 6 }) {
        0 => (
            "full-width digits",
            value.chars().map(|it| if it.is_ascii_digit() { wide(it) } else { it }).collect(),
        ),
        1 => {
            let hidden = random.pick(&["\u{200B}", "\u{200D}", "\u{2060}", "\u{202E}"]);
            let at = value.char_indices().nth(2).map_or(0, |it| it.0);
            ("zero-width and bidi", format!("{}{hidden}{}", &value[..at], &value[at..]))
        }
        2 => ("percent", value.bytes().map(|it| format!("%{it:02X}")).collect()),
        3 => ("json escapes", value.encode_utf16().map(|it| format!("\\u{it:04x}")).collect()),
        4 => ("base64", STANDARD.encode(format!("the value is {value} as agreed"))),
        5 => ("hex", format!("value is {value}").bytes().map(|it| format!("{it:02x}")).collect()),
        6 => (
            "spaced digits",
            value.chars().filter(char::is_ascii_digit).map(String::from).collect::<Vec<_>>().join(" "),
        ),
        _ => (
            "dotted digits",
            value.chars().filter(char::is_ascii_digit).map(String::from).collect::<Vec<_>>().join("."),
        ),
    }
}

fn filler(random: &mut Random) -> String {
    (0..random.below(12)).map(|_| random.pick(WORDS)).collect::<Vec<_>>().join(" ")
}

/// A text with a value of this kind.
pub(crate) fn positive(kind: &'static str, alone: bool, random: &mut Random) -> Sample {
    let plain = value(kind, random);
    let simple = matches!(
        kind,
        "us_ssn"
            | "email"
            | "payment_card"
            | "iban"
            | "ipv4"
            | "phone"
            | "us_bank_routing"
            | "in_aadhaar"
            | "github_token"
            | "date_of_birth"
    );
    let (form, written) = if simple && random.below(4) == 0 {
        disguised(kind, &plain, random)
    } else {
        ("plain", plain.clone())
    };
    // Of what does not speak for itself, and of digits that are hidden, somebody says what it is.
    let announced = !alone || form.ends_with("digits") || random.below(3) > 0;
    let frame = frame(kind, announced || kind == "connection_string", random);
    let (head, tail) = frame.split_once("{}").unwrap();
    let before = filler(random);
    let start = before.len() + 1 + head.len();
    let text = format!("{before} {head}{written}{tail} {}", filler(random));
    Sample { text, label: Some((kind, start..start + written.len())), form }
}

/// A text that looks as if there were something, and holds nothing.
pub(crate) fn negative(random: &mut Random) -> Sample {
    let r = random;
    let value = match r.below(22) {
        0 => format!("order {}", r.digits(9)),
        1 => format!(
            "2024-{:02}-{:02}T{:02}:{:02}:{:02}.{}Z",
            1 + r.below(12),
            1 + r.below(28),
            r.below(24),
            r.below(60),
            r.below(60),
            r.digits(3)
        ),
        2 => format!("version {}.{}.{}", r.below(20), r.below(20), r.below(100)),
        3 => format!(
            "{}-{}-{}-{}-{}",
            r.of("0123456789abcdef", 8),
            r.of("0123456789abcdef", 4),
            r.of("0123456789abcdef", 4),
            r.of("0123456789abcdef", 4),
            r.of("0123456789abcdef", 12)
        ),
        4 => format!("commit {}", r.of("0123456789abcdef", 40)),
        5 => format!("${}.{} for {} items", r.digits(4), r.digits(2), r.digits(2)),
        6 => format!("tracking 1Z{}", r.of("0123456789ABCDEF", 16)),
        7 => format!("ISBN 978-{}-{}-{}-{}", r.below(10), r.digits(4), r.digits(4), r.below(10)),
        8 => format!("at {}.{},{}.{}", r.below(90), r.digits(5), r.below(180), r.digits(5)),
        9 => format!("build {}", r.digits(10)),
        10 => format!(
            "2023-{:02}-{:02} and {}/{}/2022",
            1 + r.below(12),
            1 + r.below(28),
            1 + r.below(12),
            1 + r.below(28)
        ),
        11 => format!("id {}", r.digits(16)),
        12 => format!("{} {} {} {}", r.digits(3), r.digits(3), r.digits(3), r.digits(2)),
        13 => format!("@{} said hi", r.pick(LAST)),
        14 => format!("std::{}::{}", r.pick(WORDS), r.pick(WORDS)),
        15 => format!("{:02}:{:02}:{:02}", r.below(24), r.below(60), r.below(60)),
        16 => format!("sku-{}-{}", r.of("ABCDEF", 3), r.digits(5)),
        17 => "password: ${DB_PASSWORD}".to_owned(),
        18 => format!("let token = next_{}();", r.pick(WORDS)),
        19 => format!("section {}.{}.{}.{}", 1 + r.below(9), r.below(9), r.below(9), r.below(9)),
        20 => format!("rate {}%25 of {}", r.digits(2), r.digits(3)),
        _ => format!("range {}-{}", r.digits(3), r.digits(4)),
    };
    Sample { text: format!("{} {value} {}", filler(r), filler(r)), label: None, form: "plain" }
}
