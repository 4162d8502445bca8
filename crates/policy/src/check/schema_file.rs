//! `conditions.schema`: a JSON Schema, inline or in a file of the set.

use std::sync::Arc;

use super::cx::Cx;
use crate::ast::{Check, Condition, Path, Schema, Subject, Test};
use crate::schema;
use crate::sources::FileKind;
use crate::yaml::{Kind, Pair};

/// The test that a schema comes to: it speaks of the whole of `params`.
pub(super) fn condition(pair: &Pair, cx: &mut Cx<'_>) -> Option<Condition> {
    let schema = match &pair.value.kind {
        Kind::Text(reference) => named(reference, pair, cx)?,
        Kind::Map(_) => Arc::new(schema::compile(&pair.value, cx)?),
        _ => {
            cx.wrong_type(&pair.value, "a JSON Schema, or the path of a file with one");
            return None;
        }
    };
    let subject = Subject::Params(Path::default());
    let checks = vec![Check::Schema(schema)];
    Some(Condition::Test(Test { subject, checks, optional: false, approvable: false, span: pair.key.span }))
}

/// The schema of a file, compiled once however many entries name it.
fn named(reference: &str, pair: &Pair, cx: &mut Cx<'_>) -> Option<Arc<Schema>> {
    let span = pair.value.span;
    let file = cx.file_named(reference, span)?;
    if let Some(known) = cx.schemas.get(&file) {
        return known.clone();
    }
    let source = &cx.files[file as usize];
    if !matches!(FileKind::of(&source.path), FileKind::Json | FileKind::Yaml) {
        cx.error(
            "bad-file",
            span,
            format!("`{}` is no schema file", source.path),
            "a schema is a `.json`, `.yaml` or `.yml` file",
        );
        return None;
    }
    let documents = cx.read(file, source);
    let compiled = match documents.as_slice() {
        [schema] => schema::compile(schema, cx).map(Arc::new),
        _ => {
            cx.error(
                "bad-file",
                span,
                format!("`{}` does not hold exactly one schema", source.path),
                "put one JSON Schema into the file",
            );
            None
        }
    };
    cx.schemas.insert(file, compiled.clone());
    compiled
}
