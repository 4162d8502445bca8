//! A tenant's own detectors.

use aegis_dlp::custom::{BadCustom, Checksum, Custom};
use aegis_dlp::scanner::{BadDetectors, Detectors, Precision, Scanner};

use crate::support::check;

fn scanner(custom: Custom, precision: Precision) -> Scanner {
    Scanner::new(Detectors::new().custom(custom, precision)).unwrap()
}

#[test]
fn expressions_and_dictionaries_find() {
    let regex = Custom::regex("employee_number", "EMP-[0-9]{4,6}").unwrap();
    check(&scanner(regex, Precision::Strict), "employee_number", "by «EMP-123456», «EMP-1234» and EMP-1");
    let words = Custom::dictionary("project", &["Blue Moon", "blue", "orion"]).unwrap();
    check(&scanner(words, Precision::Strict), "project", "«BLUE MOON» and «Blue», not bluebird; «Orion»");
}

#[test]
fn checksum_and_context_make_the_difference_between_looking_and_being() {
    let custom =
        || Custom::regex("member", "[0-9]{8}").unwrap().checksum(Checksum::Luhn).context(&["Member"]);
    let strict = scanner(custom(), Precision::Strict);
    check(&strict, "member", "member «12345674», 12345675");
    check(&strict, "member", "12345674");
    check(&scanner(custom(), Precision::Lenient), "member", "«12345674» «12345675»");
}

#[test]
fn what_has_no_bound_is_refused() {
    for pattern in ["a+", "a*", "(ab)?", "a{1,300}", ".*secret"] {
        assert_eq!(Custom::regex("x", pattern).unwrap_err(), BadCustom::Length("x".into()), "{pattern}");
    }
    assert_eq!(Custom::regex("x", "(").unwrap_err(), BadCustom::Regex("x".into()));
    assert_eq!(Custom::regex("x", r"(?=a)b").unwrap_err(), BadCustom::Regex("x".into()));
    for name in ["", "UPPER", "us_ssn", "secrets", "all", "a-b"] {
        assert_eq!(Custom::regex(name, "a").unwrap_err(), BadCustom::Name(name.into()));
    }
    assert!(Custom::dictionary("x", &[] as &[&str]).is_err() && Custom::dictionary("x", &[""]).is_err());
}

#[test]
fn names_do_not_clash() {
    let custom = || Custom::regex("x", "abc").unwrap();
    let twice = Detectors::new().custom(custom(), Precision::Strict).custom(custom(), Precision::Strict);
    assert_eq!(Scanner::new(twice).unwrap_err(), BadDetectors::Twice("x".into()));
    let unknown = Detectors::new().named("us_sn", Precision::Lenient);
    assert_eq!(unknown.unwrap_err(), BadDetectors::Unknown("us_sn".into()));
}
