//! Canonical JSON against the examples of RFC 8785.

use aegis_model::json::{Limits, canonical, read};
use serde_json::{Value, json};

fn check(value: &Value, expected: &str) {
    assert_eq!(String::from_utf8(canonical(value)).expect(expected), expected);
}

/// RFC 8785, appendix B: the bits of a double and its text. NaN and the infinities have no JSON value.
#[test]
fn numbers_are_written_as_the_appendix_says() {
    let samples = [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ];
    for (bits, expected) in samples {
        check(&json!(f64::from_bits(bits)), expected);
    }
}

#[test]
fn numbers_change_notation_where_ecmascript_does() {
    for (number, expected) in [
        (0.1, "0.1"),
        (-1.5, "-1.5"),
        (123.456, "123.456"),
        (1e-6, "0.000001"),
        (1.25e-6, "0.00000125"),
        (1e-7, "1e-7"),
        (1.25e-7, "1.25e-7"),
        (1e20, "100000000000000000000"),
        (1.5e20, "150000000000000000000"),
        (1e21, "1e+21"),
    ] {
        check(&json!(number), expected);
    }
    check(&json!(-42), "-42");
    check(&json!(9_007_199_254_740_993_i64), "9007199254740992");
    check(&json!(u64::MAX), "18446744073709552000");
}

/// RFC 8785, section 3.2.2. Its fraction of 17 digits is no number that we read, so it enters as its double.
#[test]
fn the_example_of_primitive_types() {
    let value = json!({
        "numbers": [333333333.333_333_3, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u{20ac}$\u{f}\nA'B\"\\\\\"/",
        "literals": [null, true, false],
    });
    let expected = concat!(
        r#"{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],"#,
        r#""string":"€$\u000f\nA'B\"\\\\\"/"}"#
    );
    check(&value, expected);
}

/// RFC 8785, section 3.2.3: by UTF-16 code units, an emoji stands before U+FB33.
#[test]
fn the_example_of_sorting() {
    let text = concat!(
        r#"{"\u20ac":"Euro Sign","\r":"Carriage Return","\ufb33":"Hebrew Letter Dalet With Dagesh","#,
        r#""1":"One","\ud83d\ude00":"Emoji: Grinning Face","\u0080":"Control","#,
        r#""\u00f6":"Latin Small Letter O With Diaeresis"}"#
    );
    // The key U+FB33 is not in NFC; alone in its object, it is no twin.
    let value = read(text.as_bytes(), Limits::default()).unwrap();
    let written = String::from_utf8(canonical(&value)).unwrap();
    let order = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"];
    let places: Vec<_> = order.iter().map(|word| written.find(word).unwrap()).collect();
    assert!(places.is_sorted(), "{written}");
    assert!(written.starts_with("{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u{80}\":"), "{written}");
}

#[test]
fn strings_are_escaped_as_little_as_possible() {
    check(
        &json!("\0\u{1}\u{8}\t\n\u{b}\u{c}\r\u{1f} \"\\/\u{7f}é\u{2028}😀"),
        concat!(r#""\u0000\u0001\b\t\n\u000b\f\r\u001f \"\\/"#, "\u{7f}é\u{2028}😀\""),
    );
}

#[test]
fn containers_have_no_white_space_and_nest() {
    check(&json!({"b": [], "a": {}, "": [1, [2, {"x": null}]]}), r#"{"":[1,[2,{"x":null}]],"a":{},"b":[]}"#);
}
