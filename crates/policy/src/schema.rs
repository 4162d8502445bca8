//! JSON Schema 2020-12 to [`Schema`]: local references resolved, every keyword understood or refused by name.

use aegis_model::caps::{POLICY_DEPTH_MAX, SCHEMA_NODES_MAX};
use serde_json::Number;

use crate::ast::{JsonType, Keyword, Schema, Span};
use crate::check::{Cx, JSON_TYPES};
use crate::yaml::{Kind, Node, Pair};

/// The only dialect that is understood.
const DIALECT: &str = "https://json-schema.org/draft/2020-12/schema";

/// Keywords that assert nothing.
const ANNOTATIONS: [&str; 9] = [
    "title",
    "description",
    "default",
    "examples",
    "$comment",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$defs",
];

/// Keywords that cannot be compiled, and what to do instead.
const REFUSED: [(&str, &str); 22] = [
    ("format", "what a format accepts differs between validators: use `pattern`"),
    (
        "patternProperties",
        "list the members in `properties`, and bound the others with `additionalProperties`",
    ),
    ("unevaluatedProperties", "use `additionalProperties: false`"),
    ("unevaluatedItems", "use `items: false` behind `prefixItems`"),
    ("dependentRequired", "use `if` and `then`"),
    ("dependentSchemas", "use `if` and `then`"),
    ("dependencies", "use `if` and `then`"),
    ("minContains", "use `contains`, which asks for at least one"),
    ("maxContains", "use `not` with `contains`, or `items`"),
    ("$dynamicRef", "use a local `$ref` such as `#/$defs/name`"),
    ("$dynamicAnchor", "use a local `$ref` such as `#/$defs/name`"),
    ("$recursiveRef", "use a local `$ref` such as `#/$defs/name`"),
    ("$recursiveAnchor", "use a local `$ref` such as `#/$defs/name`"),
    ("$anchor", "refer to it by its place: `#/$defs/name`"),
    ("$vocabulary", "remove it"),
    ("definitions", "write `$defs`, as 2020-12 does"),
    ("additionalItems", "write `items`, as 2020-12 does"),
    ("contentEncoding", "it asserts nothing: remove it"),
    ("contentMediaType", "it asserts nothing: remove it"),
    ("contentSchema", "it asserts nothing: remove it"),
    ("nullable", "write `type: [string, \"null\"]`"),
    ("divisibleBy", "write `multipleOf`"),
];

/// Names that are understood, for the nearest of an unknown one.
const KNOWN: [&str; 33] = [
    "type",
    "enum",
    "const",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "minItems",
    "maxItems",
    "uniqueItems",
    "prefixItems",
    "items",
    "contains",
    "minProperties",
    "maxProperties",
    "required",
    "properties",
    "additionalProperties",
    "propertyNames",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "$ref",
    "$defs",
    "$schema",
];

/// Compiles the schema at `root`. Problems are reported; `None` if there was an error.
pub(crate) fn compile(root: &Node, cx: &mut Cx<'_>) -> Option<Schema> {
    let errors = cx.error_count();
    let mut compiler = Compiler { root, cx, nodes: 0, full: false, references: Vec::new() };
    let schema = compiler.schema(root, 1);
    (cx.error_count() == errors).then_some(schema)
}

struct Compiler<'n, 'c, 'f> {
    root: &'n Node,
    cx: &'c mut Cx<'f>,
    nodes: usize,
    /// More nodes than permitted: nothing is compiled any more.
    full: bool,
    /// References that are being followed.
    references: Vec<&'n str>,
}

impl<'n> Compiler<'n, '_, '_> {
    fn schema(&mut self, node: &'n Node, depth: usize) -> Schema {
        self.nodes += 1;
        if self.full || self.nodes > SCHEMA_NODES_MAX {
            if !self.full {
                let message = format!(
                    "the schema has more than {SCHEMA_NODES_MAX} parts when its references are resolved"
                );
                self.error("schema-too-large", node.span, message, "use fewer nested references");
            }
            self.full = true;
            return Schema::Bool(false);
        }
        if depth > POLICY_DEPTH_MAX {
            let message = format!(
                "the schema nests deeper than {POLICY_DEPTH_MAX} levels when its references are resolved"
            );
            self.error("too-deep", node.span, message, "use fewer nested references");
            return Schema::Bool(false);
        }
        match &node.kind {
            Kind::Bool(value) => Schema::Bool(*value),
            Kind::Map(pairs) => self.keywords(node, pairs, depth),
            _ => {
                self.cx.wrong_type(node, "a schema: a mapping, `true` or `false`");
                Schema::Bool(false)
            }
        }
    }

    fn keywords(&mut self, node: &'n Node, pairs: &'n [Pair], depth: usize) -> Schema {
        pairs.iter().for_each(|pair| self.check_name(node, pair, depth));
        let mut out = Vec::new();
        self.values(node, &mut out);
        self.numbers(node, &mut out);
        self.strings(node, &mut out);
        self.arrays(node, depth, &mut out);
        self.objects(node, depth, &mut out);
        self.groups(node, depth, &mut out);
        self.reference(node, depth, &mut out);
        Schema::Keywords(out)
    }

    /// Refuses what is not understood; checks what only annotates.
    fn check_name(&mut self, node: &'n Node, pair: &'n Pair, depth: usize) {
        let (name, span) = (&*pair.key.text, pair.key.span);
        if let Some((_, help)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
            return self.error(
                "schema-keyword",
                span,
                format!("the keyword `{name}` cannot be compiled"),
                *help,
            );
        }
        match name {
            "$schema" if pair.value.text().map(|text| text.trim_end_matches('#')) != Some(DIALECT) => {
                self.error(
                    "schema-dialect",
                    pair.value.span,
                    "only JSON Schema 2020-12 is understood",
                    format!("write `{DIALECT}`"),
                );
            }
            "$id" if !std::ptr::eq(node, self.root) => {
                let help = "it would change what references mean: remove it";
                self.error("schema-keyword", span, "`$id` may stand only at the root of a schema", help);
            }
            "$defs" => self.members(pair, depth).truncate(0),
            "then" | "else" if node.member("if").is_none() => {
                self.error(
                    "schema-keyword",
                    span,
                    format!("`{name}` has no effect without `if`"),
                    "add `if`, or remove it",
                );
            }
            "$id" => {}
            known if KNOWN.contains(&known) || ANNOTATIONS.contains(&known) => {}
            unknown => {
                let help = match crate::check::nearest(unknown, &KNOWN) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "unknown keywords would assert nothing, so they are refused".to_owned(),
                };
                self.error("schema-keyword", span, format!("unknown keyword `{unknown}`"), help);
            }
        }
    }

    /// `type`, `enum` and `const`.
    fn values(&mut self, node: &'n Node, out: &mut Vec<Keyword>) {
        if let Some(pair) = node.member("type") {
            let types = self.types(&pair.value);
            out.push(Keyword::Type(types));
        }
        if let Some(pair) = node.member("enum")
            && let Some(items) = self.list(&pair.value)
        {
            self.refuse_bad(&pair.value);
            out.push(Keyword::Enum(items.iter().map(Node::to_json).collect()));
        }
        if let Some(pair) = node.member("const") {
            self.refuse_bad(&pair.value);
            out.push(Keyword::Const(pair.value.to_json()));
        }
    }

    fn types(&mut self, node: &'n Node) -> Vec<JsonType> {
        let items = match &node.kind {
            Kind::Seq(_) => self.list(node).unwrap_or_default(),
            _ => std::slice::from_ref(node),
        };
        let mut types = Vec::new();
        for item in items {
            let name = if matches!(item.kind, Kind::Null) { Some("null") } else { item.text() };
            let known = JSON_TYPES.iter().find(|(known, _)| Some(*known) == name);
            let Some(&(_, found)) = known else {
                let help = "one of `null`, `boolean`, `number`, `integer`, `string`, `array`, `object`";
                self.error("bad-value", item.span, "this is not a type of JSON", help);
                continue;
            };
            if types.contains(&found) {
                self.error("bad-value", item.span, "this type stands here twice", "remove one");
            }
            types.push(found);
        }
        types
    }

    fn numbers(&mut self, node: &'n Node, out: &mut Vec<Keyword>) {
        let names = ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"];
        let keyword_of: [fn(Number) -> Keyword; 4] =
            [Keyword::Minimum, Keyword::Maximum, Keyword::ExclusiveMinimum, Keyword::ExclusiveMaximum];
        for (name, keyword) in names.into_iter().zip(keyword_of) {
            let Some(pair) = node.member(name) else { continue };
            match &pair.value.kind {
                Kind::Number(number, _) => out.push(keyword(number.clone())),
                _ => self.cx.wrong_type(&pair.value, "a number"),
            }
        }
        let Some(pair) = node.member("multipleOf") else { return };
        match &pair.value.kind {
            Kind::Number(number, _) if number.as_u64().is_some_and(|number| number > 0) => {
                out.extend(number.as_u64().map(Keyword::MultipleOf));
            }
            Kind::Number(..) => {
                let help = "what is a multiple of a decimal depends on rounding: count in smaller units";
                self.error("bad-value", pair.value.span, "`multipleOf` takes a positive integer", help);
            }
            _ => self.cx.wrong_type(&pair.value, "a positive integer"),
        }
    }

    fn strings(&mut self, node: &'n Node, out: &mut Vec<Keyword>) {
        out.extend(self.count(node, "minLength").map(Keyword::MinLength));
        out.extend(self.count(node, "maxLength").map(Keyword::MaxLength));
        if let Some(pair) = node.member("pattern") {
            out.extend(self.cx.pattern(&pair.value, false).map(Keyword::Pattern));
        }
    }

    fn arrays(&mut self, node: &'n Node, depth: usize, out: &mut Vec<Keyword>) {
        out.extend(self.count(node, "minItems").map(Keyword::MinItems));
        out.extend(self.count(node, "maxItems").map(Keyword::MaxItems));
        if let Some(pair) = node.member("uniqueItems") {
            match pair.value.kind {
                Kind::Bool(true) => out.push(Keyword::UniqueItems),
                Kind::Bool(false) => {}
                _ => self.cx.wrong_type(&pair.value, "`true` or `false`"),
            }
        }
        let prefix = node.member("prefixItems").map(|pair| self.schemas(pair, depth)).unwrap_or_default();
        let from = u32::try_from(prefix.len()).unwrap_or(u32::MAX);
        if !prefix.is_empty() {
            out.push(Keyword::PrefixItems(prefix));
        }
        if let Some(pair) = node.member("items") {
            if matches!(pair.value.kind, Kind::Seq(_)) {
                self.error(
                    "schema-keyword",
                    pair.value.span,
                    "`items` takes one schema in 2020-12",
                    "write `prefixItems`",
                );
            } else {
                let schema = Box::new(self.schema(&pair.value, depth + 1));
                out.push(Keyword::Items { from, schema });
            }
        }
        if let Some(pair) = node.member("contains") {
            let schema = self.schema(&pair.value, depth + 1);
            out.push(Keyword::Contains(Box::new(schema)));
        }
    }

    fn objects(&mut self, node: &'n Node, depth: usize, out: &mut Vec<Keyword>) {
        out.extend(self.count(node, "minProperties").map(Keyword::MinProperties));
        out.extend(self.count(node, "maxProperties").map(Keyword::MaxProperties));
        if let Some(pair) = node.member("required") {
            let names = self.required(&pair.value);
            out.push(Keyword::Required(names));
        }
        let properties = node.member("properties").map(|pair| self.members(pair, depth)).unwrap_or_default();
        let except = properties.iter().map(|(name, _)| name.clone()).collect();
        if !properties.is_empty() {
            out.push(Keyword::Properties(properties));
        }
        if let Some(pair) = node.member("additionalProperties") {
            let schema = Box::new(self.schema(&pair.value, depth + 1));
            out.push(Keyword::AdditionalProperties { except, schema });
        }
        if let Some(pair) = node.member("propertyNames") {
            match &pair.value.kind {
                Kind::Map(pairs) if pairs.len() == 1 && &*pairs[0].key.text == "pattern" => {
                    out.extend(self.cx.pattern(&pairs[0].value, false).map(Keyword::PropertyNamesPattern));
                }
                _ => {
                    let help = "write `propertyNames: {pattern: …}`";
                    self.error("schema-keyword", pair.key.span, "`propertyNames` takes a pattern only", help);
                }
            }
        }
    }

    fn groups(&mut self, node: &'n Node, depth: usize, out: &mut Vec<Keyword>) {
        let keyword_of: [fn(Vec<Schema>) -> Keyword; 3] = [Keyword::AllOf, Keyword::AnyOf, Keyword::OneOf];
        for (name, keyword) in ["allOf", "anyOf", "oneOf"].into_iter().zip(keyword_of) {
            if let Some(pair) = node.member(name) {
                let schemas = self.schemas(pair, depth);
                out.push(keyword(schemas));
            }
        }
        if let Some(pair) = node.member("not") {
            let schema = self.schema(&pair.value, depth + 1);
            out.push(Keyword::Not(Box::new(schema)));
        }
        if let Some(pair) = node.member("if") {
            let condition = Box::new(self.schema(&pair.value, depth + 1));
            let mut branch = |name| match node.member(name) {
                Some(pair) => Box::new(self.schema(&pair.value, depth + 1)),
                None => Box::new(Schema::Bool(true)),
            };
            let (then, otherwise) = (branch("then"), branch("else"));
            out.push(Keyword::IfThenElse { condition, then, otherwise });
        }
    }

    /// `$ref`: what it refers to holds beside the other keywords.
    fn reference(&mut self, node: &'n Node, depth: usize, out: &mut Vec<Keyword>) {
        let Some(pair) = node.member("$ref") else { return };
        let span = pair.value.span;
        let Some(text) = pair.value.text() else { return self.cx.wrong_type(&pair.value, "a reference") };
        if !text.starts_with('#') {
            let help = "copy the schema into `$defs`, and refer to `#/$defs/name`";
            return self.error(
                "remote-reference",
                span,
                format!("`{text}` lies outside of this schema"),
                help,
            );
        }
        if self.references.contains(&text) || text == "#" {
            let help = "a recursive schema has no bound: write out as many levels as are needed";
            return self.error("recursive-reference", span, format!("`{text}` leads back to itself"), help);
        }
        let Some(target) = self.target(text) else {
            let help = "a reference is a place in this schema, such as `#/$defs/name`";
            return self.error("bad-reference", span, format!("`{text}` leads nowhere"), help);
        };
        self.references.push(text);
        let schema = self.schema(target, depth + 1);
        self.references.pop();
        out.push(Keyword::AllOf(vec![schema]));
    }

    /// What a JSON Pointer in a fragment points at.
    fn target(&self, reference: &str) -> Option<&'n Node> {
        let mut node = self.root;
        for step in reference.strip_prefix("#/")?.split('/') {
            let step = step.replace("~1", "/").replace("~0", "~");
            node = match &node.kind {
                Kind::Map(pairs) => &pairs.iter().find(|pair| *pair.key.text == *step)?.value,
                Kind::Seq(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        Some(node)
    }

    /// The schemas of a non-empty list.
    fn schemas(&mut self, pair: &'n Pair, depth: usize) -> Vec<Schema> {
        let items = self.list(&pair.value).unwrap_or_default();
        items.iter().map(|item| self.schema(item, depth + 1)).collect()
    }

    /// The schemas of a mapping of names.
    fn members(&mut self, pair: &'n Pair, depth: usize) -> Vec<(String, Schema)> {
        let Kind::Map(pairs) = &pair.value.kind else {
            self.cx.wrong_type(&pair.value, "a mapping of names to schemas");
            return Vec::new();
        };
        pairs.iter().map(|pair| (pair.key.text.to_string(), self.schema(&pair.value, depth + 1))).collect()
    }

    fn required(&mut self, node: &'n Node) -> Vec<String> {
        let Kind::Seq(items) = &node.kind else {
            self.cx.wrong_type(node, "a list of names");
            return Vec::new();
        };
        let mut names: Vec<String> = Vec::new();
        for item in items {
            match item.text() {
                Some(text) if names.iter().any(|name| name == text) => {
                    self.error("bad-value", item.span, format!("`{text}` stands here twice"), "remove one");
                }
                Some(text) => names.push(text.to_owned()),
                None => self.cx.wrong_type(item, "a string"),
            }
        }
        names
    }

    fn list(&mut self, node: &'n Node) -> Option<&'n [Node]> {
        match &node.kind {
            Kind::Seq(items) if !items.is_empty() => Some(items),
            Kind::Seq(_) => {
                self.error(
                    "empty-list",
                    node.span,
                    "this list is empty",
                    "name at least one, or leave the keyword out",
                );
                None
            }
            _ => {
                self.cx.wrong_type(node, "a list");
                None
            }
        }
    }

    fn count(&mut self, node: &'n Node, name: &str) -> Option<u32> {
        let value = &node.member(name)?.value;
        let count = match &value.kind {
            Kind::Number(number, _) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
            _ => None,
        };
        if count.is_none() {
            self.cx.wrong_type(value, "an integer that is not negative");
        }
        count
    }

    /// Values with a missing part have been reported, or are now.
    fn refuse_bad(&mut self, node: &'n Node) {
        if node.has_bad() {
            self.error(
                "missing-value",
                node.span,
                "here a value is missing or unreadable",
                "write it out; `null` for JSON's null",
            );
        }
    }

    fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.cx.error(code, span, message, help);
    }
}

#[cfg(test)]
mod tests;
