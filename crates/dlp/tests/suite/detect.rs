//! One line per form: what every detector finds, and what it leaves alone.

use crate::support::{LENIENT, STRICT, check, problem};

/// Found by both; `«»` around what is found.
const BOTH: &[(&str, &str)] = &[
    ("us_ssn", "SSN: «123-45-6789»."),
    ("us_ssn", "my social security number is «123456789»"),
    ("us_ssn", "ssn=«123 45 6789»"),
    ("us_ssn", "a,«123-45-6789»,b"),
    ("us_ssn", "SSN «1 2 3 - 4 5 - 6 7 8 9»"),
    ("us_ssn", "ssn «1.2.3.4.5.6.7.8.9»"),
    ("us_ssn", r"line\n«123-45-6789»\n"),
    ("us_itin", "ITIN «912-70-1234»"),
    ("us_ein", "EIN: «12-3456789»"),
    ("payment_card", "pay with «4111 1111 1111 1111» now"),
    ("payment_card", "«4111-1111-1111-1111»"),
    ("payment_card", "«378282246310005»"),
    ("payment_card", "«3782 822463 10005»"),
    ("payment_card", "«5555555555554444»"),
    ("payment_card", "«6011111111111117»"),
    ("payment_card", "«30569309025904»"),
    ("payment_card", "card «4 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1»"),
    ("iban", "IBAN «GB82 WEST 1234 5698 7654 32»"),
    ("iban", "to «DE89370400440532013000»."),
    ("iban", "«nl91abna0417164300»"),
    ("email", "write to «jane.doe@example.com»."),
    ("email", "<«j+tag@mail.example.co.uk»>"),
    ("email", "«jörg@bücher.example»"),
    ("email", "«用户@例子.公司»"),
    ("email", "mailto:«a@b.org»?subject=x"),
    ("phone", "call «+1 (212) 555-0123»"),
    ("phone", "«+44 20 7946 0958»"),
    ("phone", "«+49 30 901820»"),
    ("phone", "«(212) 555-0123 ext. 12»"),
    ("phone", "«212-555-0123x9»"),
    ("phone", "«212.555.0123»"),
    ("phone", "phone: «2125550123»"),
    ("phone", "Tel. «020 7946 0958»"),
    ("phone", "«001-212-555-0123»"),
    ("date_of_birth", "DOB: «1985-03-12»"),
    ("date_of_birth", "born on «March 12, 1985» in"),
    ("date_of_birth", "date of birth «12/03/1985»"),
    ("date_of_birth", "geboren am «12.03.1985»"),
    ("date_of_birth", "date_of_birth=«19850312»"),
    ("date_of_birth", "born «12 Mar 1985»"),
    ("ipv4", "from «192.168.0.1»:8080"),
    ("ipv4", "«10.0.0.0»/8"),
    ("ipv6", "at «2001:db8:85a3:0:0:8a2e:370:7334»"),
    ("ipv6", "[«fe80::1»]:80"),
    ("ipv6", "«::ffff:192.168.0.1»"),
    ("mac_address", "«00:1B:44:11:3A:B7»"),
    ("mac_address", "«00-1b-44-11-3a-b7»"),
    ("mac_address", "«001b.4411.3ab7»"),
    ("passport", "Passport number: «X12345678»"),
    ("us_bank_routing", "routing «021000021»"),
    ("uk_nino", "«AB123456C»"),
    ("uk_nino", "NI number «AB 12 34 56 C»"),
    ("uk_nhs", "NHS «943 476 5919»"),
    ("de_tax_id", "Steuer-ID «86095742719»"),
    ("in_aadhaar", "Aadhaar «2341 2341 2346»"),
    ("in_pan", "«ABCPE1234F»"),
    ("ca_sin", "SIN «130 692 544»"),
    ("br_cpf", "«529.982.247-25»"),
    ("br_cnpj", "«11.222.333/0001-81»"),
    ("es_nif", "«12345678Z»"),
    ("it_codice_fiscale", "«RSSMRA85T10A562S»"),
    ("fr_nir", "«255081416802538»"),
    ("pl_pesel", "PESEL «44051401359»"),
    ("nl_bsn", "BSN «111222333»"),
    ("se_personnummer", "personnummer «811218-9876»"),
    ("fi_hetu", "«131052-308T»"),
    ("ch_ahv", "«756.9217.0769.85»"),
    ("sg_nric", "«S1234567D»"),
    ("cn_resident_id", "«11010519491231002X»"),
    ("mx_curp", "«HEGG560427MVZRRL04»"),
    ("tr_kimlik", "TCKN «10000000146»"),
    ("us_npi", "NPI «1234567893»"),
    ("us_mbi", "«1EG4-TE5-MK73»"),
    ("imei", "IMEI «490154203237518»"),
    ("medical_record_number", "MRN: «A1234567»"),
    ("medical_record_number", "medical record number is «00012345»"),
    ("health_insurance_number", "Member ID: «XYZ123456789»"),
    ("swift_bic", "SWIFT: «DEUTDEFF500»"),
    ("bitcoin_address", "«bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4»"),
    ("password", r#"password = "«Tr0ub4dor&3»""#),
    ("password", r#"{"password": "«hunter2!»"}"#),
    ("password", "Server=db;User=sa;Password=«S3cr3t!x»;Database=a"),
    ("password", "the password is «Gr33n-Apple»."),
    ("password", "mysql --password=«abc123xyz» db"),
    ("connection_string", "postgres://app:«s3cr3t»@db.example.com/x"),
    ("aws_access_key_id", "«AKIAIOSFODNN7EXAMPLQ»"),
    ("aws_secret_access_key", "aws_secret_access_key = «wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY»"),
    ("github_token", "token: «ghp_16C7e42F292c6912E7710c838347Ae178B4a»"),
    ("stripe_secret_key", "«sk_live_4eC39HqLyjWDarjtT1zdp7dc»"),
    ("slack_bot_token", "«xoxb-123456789012-123456789012-AbCdEfGhIjKlMnOpQrStUvWx»"),
    (
        "anthropic_key",
        concat!(
            "«sk-ant-api03-",
            "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9jK2mN",
            "»"
        ),
    ),
    ("npm_token", "//registry.npmjs.org/:_authToken=«npm_aB3dE6gH9jK2mN5pQ8sT1vW4yZ7aB3dE6gH9»"),
    ("generic_secret", r#"client_secret: "«9f8Ab3c7D1e5F2a6B4c8»""#),
    (
        "jwt",
        "Bearer «eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U»",
    ),
    ("private_key", "«-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n-----END RSA PRIVATE KEY-----»\n"),
];

/// Found only where *lenient* is enough.
const LENIENT_ONLY: &[(&str, &str)] = &[
    ("us_ssn", "SSN: «000-12-3456»"),
    ("payment_card", "card number «4111111111111112»"),
    ("iban", "IBAN «GB83WEST12345698765432»"),
    ("us_bank_routing", "routing number «021000022»"),
    ("bank_account", "account number «123456789012»"),
    ("password", "password: «Sunshine»"),
];

/// Nothing is found.
const NOTHING: &[&str] = &[
    "",
    "the year 2024, 1234 items, 99.95 euros and version 1.2.3.4.5",
    "order 1234567890123456, invoice 2024-000123",
    "2024-01-31T12:34:56.789Z INFO started in 12.345 ms",
    "fn main() { let x: u32 = 0xdeadbeef; std::fs::read(path)?; }",
    "see std::vector and a::b::c, 12:34:56, ratio 3:4",
    "commit 3f786850e387550fdab836ed7e6dc881de23001b",
    "550e8400-e29b-41d4-a716-446655440000",
    "@decorator @param x user@localhost foo@bar",
    "password: ${PASSWORD} password=<password> password = os.environ['X'] password: ********",
    "def login(user: str, password: str) -> None: self.password = password",
    "let token = tokens.next(); if token == Token::Comma { }",
    "4111 1111 1111 1112 and 4111-1111-1111-111",
    "0000000000000000 1111111111111111",
    "1 2 3 4 5 6 7 8 9 10 11 12",
    "999-99-9999x 123-45-67890 0123-45-6789",
    "version 10.2.3.4 and v1.2.3.4.5 and 300.1.1.1",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit",
    "pages 555-1234 and 212-5",
    "https://example.com/a/b?id=12345&x=1",
];

#[test]
fn every_form_is_found() {
    let wrong: Vec<String> = BOTH
        .iter()
        .flat_map(|(kind, text)| [problem(&LENIENT, kind, text), problem(&STRICT, kind, text)])
        .flatten()
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_only_looks_like_it_is_found_where_that_is_enough() {
    for (kind, text) in LENIENT_ONLY {
        check(&LENIENT, kind, text);
        check(&STRICT, kind, &text.replace(['«', '»'], ""));
    }
}

#[test]
fn what_is_no_value_is_left_alone() {
    let wrong: Vec<String> = NOTHING.iter().filter_map(|text| problem(&LENIENT, "", text)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
