//! `redact` and `detectors` of a set, as rules and detectors that [`aegis_dlp`] applies.

use aegis_dlp::custom::{BadCustom, Checksum, Custom};
use aegis_dlp::redact::{Keep, Path, Rule, Step, What, With};
use aegis_dlp::scanner::Precision;
use serde_json::Value;

use crate::ast::{Segment, Span};
use crate::check::paths;

/// One redaction of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redaction {
    /// As it is written, in JSON: `{fields|detect, with, keep_last, reversible, precision, on}`. What a stock OPA shows.
    pub document: Value,
    /// What is done.
    pub rule: Rule,
    /// To what.
    pub on: On,
    /// Where it stands.
    pub span: Span,
}

/// To what a redaction speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum On {
    /// Parameters, before anything is done with them.
    Params,
    /// Results, before they are given back.
    Result,
    /// What is kept or shown of either; what is passed on stays.
    Record,
    /// Parameters and results. What a redaction without `on` means: the careful reading.
    Both,
}

impl On {
    /// Every one with its name in a policy.
    pub const ALL: [(&'static str, Self); 4] =
        [("params", Self::Params), ("result", Self::Result), ("record", Self::Record), ("both", Self::Both)];

    /// Whether parameters are cleaned.
    pub fn params(self) -> bool {
        matches!(self, Self::Params | Self::Both)
    }

    /// Whether results are cleaned.
    pub fn result(self) -> bool {
        matches!(self, Self::Result | Self::Both)
    }
}

impl Redaction {
    /// The redaction that a checked document means; nothing if it was not checked.
    pub fn of(document: Value, span: Span) -> Option<Self> {
        let what = match (&document["fields"], &document["detect"]) {
            (Value::Array(fields), Value::Null) => {
                What::Fields(texts(fields).map(|text| path(text?)).collect::<Option<_>>()?)
            }
            (Value::Null, Value::Array(names)) => {
                let names = texts(names).map(|name| name.map(ToOwned::to_owned)).collect::<Option<_>>()?;
                let precision = match document["precision"].as_str() {
                    None | Some("lenient") => Precision::Lenient,
                    Some("strict") => Precision::Strict,
                    Some(_) => return None,
                };
                What::Detect(names, precision)
            }
            _ => return None,
        };
        let keep_last = match &document["keep_last"] {
            Value::Null => 0,
            keep => u8::try_from(keep.as_u64()?).ok()?,
        };
        let with = match document["with"].as_str()? {
            "mask" => With::Mask { keep_last: Keep(keep_last) },
            "remove" => With::Remove,
            "hash" => With::Hash,
            "token" if document["reversible"] == true => With::Sealed,
            "token" => With::Token,
            "block" => With::Block,
            _ => return None,
        };
        let on = match document["on"].as_str() {
            None => On::Both,
            Some(name) => On::ALL.into_iter().find(|(known, _)| *known == name)?.1,
        };
        Some(Self { rule: Rule { what, with }, on, document, span })
    }

    /// Whether it makes something with the tenant's secret key.
    pub fn needs_key(&self) -> bool {
        needs_key(&self.rule)
    }
}

/// Whether values are sealed beside their tokens.
pub(crate) fn needs_seal(rule: &Rule) -> bool {
    rule.with == With::Sealed
}

/// Whether a rule makes something with the tenant's secret key.
pub(crate) fn needs_key(rule: &Rule) -> bool {
    matches!(rule.with, With::Sealed | With::Token | With::Hash)
}

/// One detector of the tenant's own.
#[derive(Debug, Clone)]
pub struct Detector {
    /// As it is written, in JSON: `{name, regex|dictionary, checksum, context}`.
    pub document: Value,
    /// What finds.
    pub custom: Custom,
    /// Where it stands.
    pub span: Span,
}

impl Detector {
    /// The detector that a checked document means.
    ///
    /// # Errors
    /// [`BadCustom`], where it is out of the bounds of what can be found in streams.
    pub fn of(document: Value, span: Span) -> Result<Self, BadCustom> {
        let name = document["name"].as_str().unwrap_or_default();
        let mut custom = match document["regex"].as_str() {
            Some(regex) => Custom::regex(name, regex)?,
            None => Custom::dictionary(name, &words(&document["dictionary"]))?,
        };
        custom = match document["checksum"].as_str() {
            Some("luhn") => custom.checksum(Checksum::Luhn),
            Some("mod97") => custom.checksum(Checksum::Mod97),
            Some("mod11") => custom.checksum(Checksum::Mod11),
            _ => custom,
        };
        let context = words(&document["context"]);
        let custom = if context.is_empty() { custom } else { custom.context(&context) };
        Ok(Self { document, custom, span })
    }

    /// How many words its dictionary has.
    pub fn words(&self) -> usize {
        self.document["dictionary"].as_array().map_or(0, Vec::len)
    }
}

fn texts(values: &[Value]) -> impl Iterator<Item = Option<&str>> {
    values.iter().map(Value::as_str)
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().map(|words| words.iter().filter_map(Value::as_str).collect()).unwrap_or_default()
}

fn path(text: &str) -> Option<Path> {
    let path = paths::parse(text).ok()?;
    let steps = path.0.into_iter().map(|segment| match segment {
        Segment::Key(name) => Step::Key(name),
        Segment::Index(at) => Step::Index(at as usize),
        Segment::Every => Step::Each,
    });
    Some(Path(steps.collect()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_document_means_a_rule() {
        let of = |document: Value| Redaction::of(document, Span::default());
        let read = of(json!({"detect": ["us_ssn"], "with": "mask", "keep_last": 4})).unwrap();
        assert_eq!(read.rule.with, With::Mask { keep_last: Keep(4) });
        assert_eq!(read.rule.what, What::Detect(vec!["us_ssn".to_owned()], Precision::Lenient));
        assert_eq!(read.on, On::Both, "parameters and results, unless it says otherwise");
        let read = of(json!({"fields": ["a[*].b"], "with": "remove", "on": "record"})).unwrap();
        let steps = vec![Step::Key("a".into()), Step::Each, Step::Key("b".into())];
        assert_eq!((read.rule.what, read.on), (What::Fields(vec![Path(steps)]), On::Record));
        let read = of(json!({"detect": ["us_ssn"], "with": "token", "reversible": true})).unwrap();
        assert!(read.rule.with == With::Sealed && read.needs_key() && needs_seal(&read.rule));
        for bad in [
            json!({"with": "mask"}),
            json!({"detect": ["a"], "fields": ["b"], "with": "mask"}),
            json!({"detect": ["a"], "with": "blur"}),
            json!({"detect": ["a"], "with": "mask", "on": "all"}),
            json!({"detect": ["a"], "with": "mask", "precision": "exact"}),
        ] {
            assert_eq!(of(bad.clone()), None, "{bad}");
        }
    }
}
