//! JSON in, JSON of the same shape out.

use aegis_model::json::pointer_push;
use aegis_model::secret::Secret;
use serde_json::{Map, Value};

use super::path::{Path, Taken};
use super::{Found, Kept, Key, Outcome, Redactor, Site, With, mask, unread};
use crate::finding::{Confidence, Finding, Span, Via};

/// Longest key that is read as the context of its value, in bytes: its end counts.
const KEY_CONTEXT_MAX: usize = 64;

/// Shortest text that is looked at: nothing built in is shorter.
const TEXT_MIN: usize = 4;

/// What becomes of one value.
enum Cleaned {
    Stays(Value),
    Goes,
}

impl Redactor {
    /// Cleans a value.
    ///
    /// - Strings: what rules detect is replaced; a string stays a string.
    /// - Numbers and keys: what is detected in them cannot be replaced, so it is refused, unless a rule names the field.
    /// - Fields that a rule names: every string, number and boolean in them is replaced, by a string.
    /// - `Remove`: the member is dropped, the element of an array is null, and so is the whole value.
    pub fn json(&self, value: Value, key: &Key) -> Outcome<Value> {
        self.json_keeping(value, key).0
    }

    /// As [`Redactor::json`], and the values that are to be sealed. Empty unless something was cleaned.
    pub fn json_keeping(&self, value: Value, key: &Key) -> (Outcome<Value>, Kept) {
        let paths: Vec<Way<'_>> = self.fields.iter().map(|(path, with)| (path, 0, *with)).collect();
        let mut walk = Walk { redactor: self, key, found: Vec::new(), kept: Kept::new(), buffer: Vec::new() };
        let cleaned = walk.value(value, &paths, "", &mut String::new());
        let Walk { found, kept, .. } = walk;
        let value = match cleaned {
            Cleaned::Stays(value) => value,
            Cleaned::Goes => Value::Null,
        };
        match (found.is_empty(), found.iter().any(|it| it.with == With::Block)) {
            (_, true) => (Outcome::Refused(found), Kept::new()),
            (true, false) => (Outcome::Clean(value), kept),
            (false, false) => (Outcome::Cleaned(value, found), kept),
        }
    }
}

/// A path of a rule, how many of its steps are taken, and what becomes of what lies there.
type Way<'a> = (&'a Path, usize, With);

struct Walk<'a> {
    redactor: &'a Redactor,
    key: &'a Key,
    found: Vec<Found>,
    kept: Kept,
    buffer: Vec<u8>,
}

impl Walk<'_> {
    fn value(&mut self, value: Value, ways: &[Way<'_>], name: &str, pointer: &mut String) -> Cleaned {
        let named =
            ways.iter().filter(|(path, taken, _)| path.0.len() == *taken).map(|(.., with)| *with).max();
        if let Some(with) = named {
            self.found.push(field(pointer, with));
            return match with {
                With::Remove | With::Block => Cleaned::Goes,
                With::Mask { .. } | With::Sealed | With::Token | With::Hash => {
                    Cleaned::Stays(self.leaves(value, with))
                }
            };
        }
        match value {
            Value::String(text) => self.string(text, name, pointer),
            Value::Number(number) => {
                self.refuse(number.to_string().as_bytes(), name, pointer, Site::Number);
                Cleaned::Stays(Value::Number(number))
            }
            Value::Array(items) => Cleaned::Stays(Value::Array(self.array(items, ways, name, pointer))),
            Value::Object(members) => Cleaned::Stays(Value::Object(self.object(members, ways, pointer))),
            other @ (Value::Null | Value::Bool(_)) => Cleaned::Stays(other),
        }
    }

    fn array(&mut self, items: Vec<Value>, ways: &[Way<'_>], name: &str, pointer: &mut String) -> Vec<Value> {
        let mut out = Vec::with_capacity(items.len());
        for (at, item) in items.into_iter().enumerate() {
            let length = pointer.len();
            pointer_push(pointer, &at.to_string());
            let cleaned = self.value(item, &onward(ways, Taken::Index(at)), name, pointer);
            pointer.truncate(length);
            out.push(match cleaned {
                Cleaned::Stays(value) => value,
                Cleaned::Goes => Value::Null,
            });
        }
        out
    }

    fn object(
        &mut self,
        members: Map<String, Value>,
        ways: &[Way<'_>],
        pointer: &mut String,
    ) -> Map<String, Value> {
        let mut out = Map::new();
        for (name, value) in members {
            let ways = onward(ways, Taken::Key(&name));
            // A rule that names the member knows its key.
            if ways.is_empty() {
                self.refuse(name.as_bytes(), "", pointer, Site::Key);
            }
            let length = pointer.len();
            pointer_push(pointer, &name);
            let cleaned = self.value(value, &ways, &name, pointer);
            pointer.truncate(length);
            if let Cleaned::Stays(value) = cleaned {
                out.insert(name, value);
            }
        }
        out
    }

    fn string(&mut self, text: String, name: &str, pointer: &str) -> Cleaned {
        let findings = self.scan(text.as_bytes(), name, pointer, Site::Text);
        if findings.is_empty() {
            return Cleaned::Stays(Value::String(text));
        }
        let redactor = self.redactor;
        for finding in &findings {
            let with = redactor.with(finding);
            self.found.extend(with.map(|with| redactor.found(finding, pointer, Site::Text, with)));
        }
        let pieces = redactor.pieces(&findings);
        if pieces.iter().any(|piece| piece.with >= With::Remove) {
            return Cleaned::Goes;
        }
        let mut out = String::with_capacity(text.len());
        let mut done = 0;
        for piece in &pieces {
            let (start, end) = (floor(&text, piece.span.start).max(done), ceil(&text, piece.span.end));
            out.push_str(&text[done..start]);
            let replacement = redactor.replacement(piece, &text.as_bytes()[start..end], self.key);
            out.push_str(&replacement);
            if piece.with == With::Sealed {
                self.keep(replacement, &text[start..end]);
            }
            done = end;
        }
        out.push_str(&text[done..]);
        Cleaned::Stays(Value::String(out))
    }

    /// What is in a number or a key, neither of which can be cleaned.
    fn refuse(&mut self, text: &[u8], name: &str, pointer: &str, site: Site) {
        for finding in self.scan(text, name, pointer, site) {
            if self.redactor.with(&finding).is_some() {
                self.found.push(self.redactor.found(&finding, pointer, site, With::Block));
            }
        }
    }

    /// The findings of a text that has this name: the name is context. What could not be read is noted as refused.
    fn scan(&mut self, text: &[u8], name: &str, pointer: &str, site: Site) -> Vec<Finding> {
        if text.len() < TEXT_MIN && self.redactor.scanner.customs.is_empty() {
            return Vec::new();
        }
        let name = &name.as_bytes()[name.len().saturating_sub(KEY_CONTEXT_MAX)..];
        self.buffer.clear();
        if !name.is_empty() {
            self.buffer.extend_from_slice(name);
            self.buffer.extend_from_slice(br#"": ""#);
        }
        let offset = self.buffer.len();
        self.buffer.extend_from_slice(text);
        self.buffer.extend_from_slice(if name.is_empty() { b"" } else { b"\"" });
        let report = self.redactor.scanner.scan(&self.buffer);
        self.found.extend(report.unread.iter().map(|(_, why)| unread(pointer, site, *why)));
        let inner = report
            .findings
            .into_iter()
            .filter(|finding| finding.span.end > offset && finding.span.start < offset + text.len());
        inner
            .map(|finding| {
                let start = finding.span.start.saturating_sub(offset);
                // The name says that it is a password: all of it is.
                let whole =
                    start == 0 && offset > 0 && matches!(finding.kind.name(), "password" | "generic_secret");
                let end = if whole { text.len() } else { (finding.span.end - offset).min(text.len()) };
                Finding { span: Span { start, end }, ..finding }
            })
            .collect()
    }

    /// Equal values have equal tokens, so the first is as good as any.
    fn keep(&mut self, token: String, value: &str) {
        self.kept.entry(token).or_insert_with(|| Secret::new(value.to_owned()));
    }

    /// Every string, number and boolean within a named field, replaced.
    fn leaves(&mut self, value: Value, with: With) -> Value {
        match value {
            Value::Null => Value::Null,
            Value::Array(items) => items.into_iter().map(|item| self.leaves(item, with)).collect(),
            Value::Object(members) => members
                .into_iter()
                .map(|(name, value)| (name, self.leaves(value, with)))
                .collect::<Map<_, _>>()
                .into(),
            Value::String(text) => Value::String(self.leaf(&text, with)),
            other @ (Value::Bool(_) | Value::Number(_)) => Value::String(self.leaf(&other.to_string(), with)),
        }
    }

    fn leaf(&mut self, text: &str, with: With) -> String {
        match with {
            With::Mask { keep_last } => mask::mask_field(text, keep_last),
            With::Token => self.key.token("field", text.as_bytes()),
            With::Sealed => {
                let token = self.key.token("field", text.as_bytes());
                self.keep(token.clone(), text);
                token
            }
            With::Hash => self.key.hash(text.as_bytes()),
            With::Remove | With::Block => String::new(),
        }
    }
}

fn field(pointer: &str, with: With) -> Found {
    Found {
        kind: "field".to_owned(),
        pointer: super::told(pointer),
        site: Site::Field,
        confidence: Confidence::Valid,
        via: Via::Plain,
        with,
        unread: None,
    }
}

/// The paths that go on with this step.
fn onward<'a>(ways: &[Way<'a>], taken: Taken<'_>) -> Vec<Way<'a>> {
    let goes_on = |(path, at, _): &&Way<'_>| path.0.get(*at).is_some_and(|step| step.takes(taken));
    ways.iter().filter(goes_on).map(|(path, at, with)| (*path, at + 1, *with)).collect()
}

fn floor(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn ceil(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at += 1;
    }
    at
}
