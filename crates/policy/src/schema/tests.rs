//! Tests of the compilation of JSON Schema.

use super::*;

/// Compiles a schema of its own, for tests of what is made of it.
fn compiled(text: &str) -> Result<Schema, Vec<&'static str>> {
    let files = [crate::ast::SourceFile { path: "s.json".to_owned(), text: text.into() }];
    let mut report = crate::check::report::Report::default();
    let (documents, _) = crate::yaml::read(0, &files[0], &mut report);
    let mut cx = Cx::new(&files, crate::check::Lints::default());
    let schema = documents.first().and_then(|root| compile(root, &mut cx));
    let (problems, _) = cx.into_report().finish();
    schema.ok_or_else(|| problems.iter().map(|problem| problem.code).collect())
}

#[test]
fn keywords_come_in_a_fixed_order() {
    let schema = compiled(
        r#"{"required": ["a"], "type": "object", "properties": {"a": {"minimum": 1}}, "additionalProperties": false}"#,
    );
    let expected = Schema::Keywords(vec![
        Keyword::Type(vec![JsonType::Object]),
        Keyword::Required(vec!["a".to_owned()]),
        Keyword::Properties(vec![("a".to_owned(), Schema::Keywords(vec![Keyword::Minimum(1.into())]))]),
        Keyword::AdditionalProperties { except: vec!["a".to_owned()], schema: Box::new(Schema::Bool(false)) },
    ]);
    assert_eq!(schema, Ok(expected));
}

#[test]
fn local_references_are_resolved() {
    let schema = compiled(
        r##"{"$defs": {"a/b": {"type": "string"}}, "properties": {"x": {"$ref": "#/$defs/a~1b", "maxLength": 3}}}"##,
    );
    let target = Schema::Keywords(vec![Keyword::Type(vec![JsonType::String])]);
    let x = Schema::Keywords(vec![Keyword::MaxLength(3), Keyword::AllOf(vec![target])]);
    assert_eq!(schema, Ok(Schema::Keywords(vec![Keyword::Properties(vec![("x".to_owned(), x)])])));
}

#[test]
fn what_has_no_bound_is_refused() {
    assert_eq!(compiled(r##"{"properties": {"a": {"$ref": "#"}}}"##), Err(vec!["recursive-reference"]));
    let cycle =
        r##"{"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}"##;
    assert!(compiled(cycle).is_err_and(|codes| codes.contains(&"recursive-reference")));
    let doubling: Vec<String> = (0..20)
        .map(|at| {
            format!(
                r##""d{at}": {{"allOf": [{{"$ref": "#/$defs/d{}"}}, {{"$ref": "#/$defs/d{}"}}]}}"##,
                at + 1,
                at + 1
            )
        })
        .collect();
    let bomb = format!(r##"{{"$defs": {{{}, "d20": true}}, "$ref": "#/$defs/d0"}}"##, doubling.join(","));
    assert!(
        compiled(&bomb)
            .is_err_and(|codes| codes.contains(&"schema-too-large") || codes.contains(&"too-deep"))
    );
}

#[test]
fn what_cannot_be_compiled_is_refused_by_name() {
    for (text, code) in [
        (r#"{"format": "email"}"#, "schema-keyword"),
        (r#"{"patternProperties": {}}"#, "schema-keyword"),
        (r#"{"$ref": "https://example.com/s.json"}"#, "remote-reference"),
        (r##"{"$ref": "#/$defs/nowhere"}"##, "bad-reference"),
        (r#"{"multipleOf": 0.1}"#, "bad-value"),
        (r#"{"$schema": "http://json-schema.org/draft-07/schema#"}"#, "schema-dialect"),
        (r#"{"propertys": {}}"#, "schema-keyword"),
        (r#"{"properties": {"a": {"$id": "x"}}}"#, "schema-keyword"),
        (r#"{"items": [true]}"#, "schema-keyword"),
        (r#"{"then": true}"#, "schema-keyword"),
        (r#"{"type": "float"}"#, "bad-value"),
        (r#"{"pattern": "\\bx"}"#, "bad-regex"),
        (r#"{"enum": []}"#, "empty-list"),
    ] {
        assert_eq!(compiled(text), Err(vec![code]), "{text}");
    }
}
