//! The built-ins of custom Rego: what they take and give.

use super::shape::{ANY, ARRAY, BOOLEAN, COLLECTION, Kinds, NULL, NUMBER, OBJECT, SET, STRING};

/// Name and number of arguments of everything that the virtual machine asks us for: the built-ins that authors
/// may call, and (`aegis.…`, which authors cannot name) what operators and some constructs are lowered to.
pub const BUILTINS: &[(&str, usize)] = &[
    ("abs", 1),
    ("aegis.at_least", 2),
    ("aegis.at_most", 2),
    ("aegis.both", 2),
    ("aegis.either", 2),
    ("aegis.equal", 2),
    ("aegis.greater", 2),
    ("aegis.items", 1),
    ("aegis.key", 1),
    ("aegis.less", 2),
    ("aegis.member", 2),
    ("aegis.member_at", 3),
    ("aegis.minus", 2),
    ("aegis.not_equal", 2),
    ("aegis.object", 1),
    ("aegis.only", 1),
    ("aegis.plus", 2),
    ("aegis.rest", 2),
    ("aegis.times", 2),
    ("array.concat", 2),
    ("array.reverse", 1),
    ("array.slice", 3),
    ("ceil", 1),
    ("concat", 2),
    ("contains", 2),
    ("count", 1),
    ("endswith", 2),
    ("floor", 1),
    ("format_int", 2),
    ("indexof", 2),
    ("intersection", 1),
    ("is_array", 1),
    ("is_boolean", 1),
    ("is_null", 1),
    ("is_number", 1),
    ("is_object", 1),
    ("is_set", 1),
    ("is_string", 1),
    ("lower", 1),
    ("max", 1),
    ("min", 1),
    ("net.cidr_contains", 2),
    ("object.get", 3),
    ("object.keys", 1),
    ("product", 1),
    ("regex.match", 2),
    ("replace", 3),
    ("round", 1),
    ("sort", 1),
    ("split", 2),
    ("startswith", 2),
    ("strings.any_prefix_match", 2),
    ("strings.any_suffix_match", 2),
    ("substring", 3),
    ("sum", 1),
    ("to_number", 1),
    ("trim", 2),
    ("trim_left", 2),
    ("trim_prefix", 2),
    ("trim_right", 2),
    ("trim_space", 1),
    ("trim_suffix", 2),
    ("type_name", 1),
    ("union", 1),
    ("upper", 1),
];

/// Begins the names of what only lowered modules call.
const INTERNAL: &str = "aegis.";

/// The names that authors may call.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    BUILTINS.iter().map(|&(name, _)| name).filter(|name| !name.starts_with(INTERNAL))
}

/// Whether `word` is a built-in's name, or the part of one in front of the dot.
pub(super) fn reserves(word: &str) -> bool {
    BUILTINS.iter().any(|(name, _)| name.split('.').next() == Some(word) || *name == word)
}

/// What a parameter accepts: its kinds, and those of its members if it is an array or set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameter {
    pub(super) kinds: Kinds,
    pub(super) members: Kinds,
}

/// What a built-in takes and gives.
#[derive(Debug, Clone)]
pub(super) struct Signature {
    pub(super) parameters: Vec<Parameter>,
    pub(super) result: Kinds,
    pub(super) result_members: Kinds,
}

/// The signature of a built-in that authors may call.
pub(super) fn signature(name: &str) -> Option<Signature> {
    names().find(|known| *known == name)?;
    let (parameters, result): (&[(Kinds, Kinds)], _) = match name {
        "abs" | "ceil" | "floor" | "round" => (&[(NUMBER, ANY)], (NUMBER, ANY)),
        "count" => (&[(COLLECTION | STRING, ANY)], (NUMBER, ANY)),
        "sum" | "product" => (&[(ARRAY | SET, NUMBER)], (NUMBER, ANY)),
        "max" | "min" => (&[(ARRAY | SET, ANY)], (ANY, ANY)),
        "sort" => (&[(ARRAY | SET, ANY)], (ARRAY, ANY)),
        "union" | "intersection" => (&[(SET, SET)], (SET, ANY)),
        "lower" | "upper" | "trim_space" => (&[(STRING, ANY)], (STRING, ANY)),
        "startswith" | "endswith" | "contains" | "regex.match" | "net.cidr_contains" => {
            (&[(STRING, ANY), (STRING, ANY)], (BOOLEAN, ANY))
        }
        "trim" | "trim_left" | "trim_right" | "trim_prefix" | "trim_suffix" => {
            (&[(STRING, ANY), (STRING, ANY)], (STRING, ANY))
        }
        "indexof" => (&[(STRING, ANY), (STRING, ANY)], (NUMBER, ANY)),
        "substring" => (&[(STRING, ANY), (NUMBER, ANY), (NUMBER, ANY)], (STRING, ANY)),
        "replace" => (&[(STRING, ANY), (STRING, ANY), (STRING, ANY)], (STRING, ANY)),
        "split" => (&[(STRING, ANY), (STRING, ANY)], (ARRAY, STRING)),
        "concat" => (&[(STRING, ANY), (ARRAY | SET, STRING)], (STRING, ANY)),
        "strings.any_prefix_match" | "strings.any_suffix_match" => {
            (&[(STRING | ARRAY | SET, STRING), (STRING | ARRAY | SET, STRING)], (BOOLEAN, ANY))
        }
        "to_number" => (&[(NULL | BOOLEAN | NUMBER | STRING, ANY)], (NUMBER, ANY)),
        "format_int" => (&[(NUMBER, ANY), (NUMBER, ANY)], (STRING, ANY)),
        "type_name" => (&[(ANY, ANY)], (STRING, ANY)),
        "object.get" => (&[(OBJECT, ANY), (ANY, ANY), (ANY, ANY)], (ANY, ANY)),
        "object.keys" => (&[(OBJECT, ANY)], (SET, ANY)),
        "array.concat" => (&[(ARRAY, ANY), (ARRAY, ANY)], (ARRAY, ANY)),
        "array.slice" => (&[(ARRAY, ANY), (NUMBER, ANY), (NUMBER, ANY)], (ARRAY, ANY)),
        "array.reverse" => (&[(ARRAY, ANY)], (ARRAY, ANY)),
        _ => (&[(ANY, ANY)], (BOOLEAN, ANY)),
    };
    let parameters = parameters.iter().map(|&(kinds, members)| Parameter { kinds, members }).collect();
    Some(Signature { parameters, result: result.0, result_members: result.1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_sorted_and_every_signature_has_its_arity() {
        assert!(BUILTINS.is_sorted());
        for (name, arity) in BUILTINS.iter().filter(|(name, _)| !name.starts_with(INTERNAL)) {
            assert_eq!(signature(name).expect("a built-in").parameters.len(), *arity, "{name}");
        }
        assert!(signature("aegis.key").is_none());
        assert!(reserves("object") && reserves("count") && !reserves("get"));
    }

    #[test]
    fn every_name_is_answered() {
        for (name, arity) in BUILTINS {
            let arguments = vec![regorus::Value::Null; *arity];
            let answer = super::super::host::call(name, &arguments);
            assert_ne!(answer, Err(super::super::host::HostError::Unknown), "{name}");
        }
    }
}
