//! The grammar: one pass over the text, values built as they end, open containers on a stack of our own.

use std::borrow::Cow;

use super::keys::SeenKeys;
use super::number::{self, Number};
use super::{Build, JsonError, JsonErrorKind, Limits, pointer_push, string};
use crate::caps;

/// A reader at some place of a text.
///
/// Keys and finished values of all open containers lie on two stacks; a frame says where its own begin.
/// A value leaves the stack when its container closes, and a pointer to the present place can be told from
/// the stacks at any time, so that nothing is kept for errors while all goes well.
pub(super) struct Reader<'text, 'b, B: Build> {
    text: &'text str,
    /// Whether every character of the text is ASCII, as nearly always; then so is every key without escape.
    ascii: bool,
    at: usize,
    limits: Limits,
    /// Values begun so far.
    begun: usize,
    build: &'b mut B,
    frames: Vec<Frame<'text>>,
    keys: Vec<Cow<'text, str>>,
    values: Vec<B::Value>,
}

struct Frame<'text> {
    container: Container,
    keys_from: usize,
    values_from: usize,
    seen: SeenKeys<'text>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Array,
    Object,
}

/// A problem at a place, before it is made presentable.
pub(super) struct Failure {
    kind: JsonErrorKind,
    /// In bytes from the start.
    pub(super) at: usize,
    /// Whether the problem lies after an item, in the array itself, rather than in an item.
    between: bool,
}

impl From<(JsonErrorKind, usize)> for Failure {
    fn from((kind, at): (JsonErrorKind, usize)) -> Self {
        Self { kind, at, between: false }
    }
}

impl<'text, 'b, B: Build> Reader<'text, 'b, B> {
    pub(super) fn new(text: &'text str, limits: Limits, build: &'b mut B) -> Self {
        Self {
            text,
            ascii: text.is_ascii(),
            at: 0,
            limits,
            begun: 0,
            build,
            frames: Vec::with_capacity(8),
            keys: Vec::with_capacity(16),
            values: Vec::with_capacity(32),
        }
    }

    /// Reads the whole text as one value.
    pub(super) fn document(&mut self) -> Result<B::Value, Failure> {
        let value = self.tree()?;
        match self.peek() {
            None => Ok(value),
            Some(_) => Err(self.fail(JsonErrorKind::TrailingBytes)),
        }
    }

    fn tree(&mut self) -> Result<B::Value, Failure> {
        loop {
            if !self.begin()? {
                continue;
            }
            // A value is done; it may have been the last one of its container, and that of its own.
            loop {
                let Some(frame) = self.frames.last() else {
                    return Ok(self.values.pop().expect("the root was just done"));
                };
                if self.another(frame.container)? {
                    break;
                }
                self.close();
            }
        }
    }

    /// Reads a value (`true`), or the opening of a container that is not empty: its first item comes next.
    fn begin(&mut self) -> Result<bool, Failure> {
        if self.begun >= self.limits.values_max {
            self.peek();
            return Err(self.fail(JsonErrorKind::TooManyValues { values_max: self.limits.values_max }));
        }
        self.begun += 1;
        let value = match self.peek() {
            Some(b'"') => {
                let text = self.string()?;
                self.build.string(text)
            }
            Some(b'-' | b'0'..=b'9') => self.number()?,
            Some(b'{') => return self.open(Container::Object),
            Some(b'[') => return self.open(Container::Array),
            Some(b't') if self.take("true") => self.build.boolean(true),
            Some(b'f') if self.take("false") => self.build.boolean(false),
            Some(b'n') if self.take("null") => self.build.null(),
            _ => return Err(self.no_value()),
        };
        self.values.push(value);
        Ok(true)
    }

    fn open(&mut self, container: Container) -> Result<bool, Failure> {
        if self.frames.len() >= self.limits.depth_max {
            return Err(self.fail(JsonErrorKind::TooDeep { depth_max: self.limits.depth_max }));
        }
        self.at += 1;
        self.frames.push(Frame {
            container,
            keys_from: self.keys.len(),
            values_from: self.values.len(),
            seen: SeenKeys::default(),
        });
        match (container, self.peek()) {
            (Container::Object, Some(b'}')) | (Container::Array, Some(b']')) => {
                self.at += 1;
                self.close();
                Ok(true)
            }
            (Container::Object, _) => self.key().map(|()| false),
            (Container::Array, _) => Ok(false),
        }
    }

    /// Reads what follows an item: a comma (and the next key), or the closing bracket (`false`).
    fn another(&mut self, container: Container) -> Result<bool, Failure> {
        match (self.peek(), container) {
            (Some(b','), Container::Object) => {
                self.at += 1;
                self.peek();
                self.key().map(|()| true)
            }
            (Some(b','), Container::Array) => {
                self.at += 1;
                Ok(true)
            }
            (Some(b'}'), Container::Object) | (Some(b']'), Container::Array) => {
                self.at += 1;
                Ok(false)
            }
            (_, Container::Object) => Err(Failure { between: true, ..self.want("`,` or `}`") }),
            (_, Container::Array) => Err(Failure { between: true, ..self.want("`,` or `]`") }),
        }
    }

    /// Makes one value of the innermost container's items.
    fn close(&mut self) {
        let frame = self.frames.pop().expect("only an open container is closed");
        let values = self.values.drain(frame.values_from..);
        let value = match frame.container {
            Container::Array => self.build.array(values),
            Container::Object => self.build.object(self.keys.drain(frame.keys_from..).zip(values)),
        };
        self.values.push(value);
    }

    /// Reads a key and its colon.
    fn key(&mut self) -> Result<(), Failure> {
        let start = self.at;
        if self.text.as_bytes().get(start) != Some(&b'"') {
            return Err(self.want("a key in double quotes"));
        }
        let key = self.string()?;
        // Pushed before it is checked, so that the pointer of a refusal names it.
        self.keys.push(key);
        let frame = self.frames.last_mut().expect("a key stands in an object");
        let checked = frame.seen.check_last(&self.keys[frame.keys_from..], self.ascii);
        checked.map_err(|kind| Failure::from((kind, start)))?;
        if self.peek() != Some(b':') {
            return Err(self.want("`:`"));
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn string(&mut self) -> Result<Cow<'text, str>, Failure> {
        let (text, end) = string::read(self.text, self.at + 1)?;
        self.at = end;
        Ok(text)
    }

    fn number(&mut self) -> Result<B::Value, Failure> {
        let (number, end) = number::read(self.text.as_bytes(), self.at).map_err(|problem| {
            let infinite = ["-Infinity", "-NaN"].iter().any(|word| self.text[self.at..].starts_with(word));
            if infinite { self.fail(JsonErrorKind::NotFinite) } else { problem.into() }
        })?;
        self.at = end;
        Ok(match number {
            Number::Integer(integer) => self.build.integer(integer),
            Number::Float(float) => self.build.float(float),
        })
    }

    fn no_value(&self) -> Failure {
        let rest = &self.text[self.at..];
        if rest.starts_with("NaN") || rest.starts_with("Infinity") {
            return self.fail(JsonErrorKind::NotFinite);
        }
        if rest.starts_with(['+', '.']) {
            return self.fail(JsonErrorKind::InvalidNumber);
        }
        self.want("a value")
    }

    /// Skips white space and gives the byte after it.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        loop {
            match bytes.get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    /// Takes `word` if the text goes on with it.
    fn take(&mut self, word: &str) -> bool {
        let found = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += if found { word.len() } else { 0 };
        found
    }

    fn want(&self, expected: &'static str) -> Failure {
        if self.at == self.text.len() {
            return self.fail(JsonErrorKind::UnexpectedEnd);
        }
        self.fail(JsonErrorKind::Unexpected { expected })
    }

    fn fail(&self, kind: JsonErrorKind) -> Failure {
        Failure { kind, at: self.at, between: false }
    }

    /// Makes a failure presentable. Only right after it, while the stacks still say where it happened.
    pub(super) fn explain(&self, failure: Failure) -> JsonError {
        let pointer = match failure.kind {
            JsonErrorKind::TrailingBytes => None,
            _ => Some(self.pointer(failure.between)),
        };
        JsonError::new(failure.kind, self.text.as_bytes(), failure.at, pointer)
    }

    /// The pointer of the present place.
    pub(super) fn pointer_here(&self) -> String {
        self.pointer(false)
    }

    fn pointer(&self, between: bool) -> String {
        let mut pointer = String::new();
        for (depth, frame) in self.frames.iter().enumerate() {
            let above = self.frames.get(depth + 1);
            let values_to = above.map_or(self.values.len(), |above| above.values_from);
            let keys_to = above.map_or(self.keys.len(), |above| above.keys_from);
            let done = values_to - frame.values_from;
            let fits = match frame.container {
                Container::Array if between && above.is_none() => true,
                Container::Array => push_bounded(&mut pointer, &done.to_string()),
                // The key that is read but has no value yet; between two members there is none.
                Container::Object => match self.keys[frame.keys_from..keys_to].get(done) {
                    Some(key) => push_bounded(&mut pointer, key),
                    None => true,
                },
            };
            if !fits {
                break;
            }
        }
        pointer
    }
}

/// Appends `token` unless the pointer gets too long with it: then it keeps naming an ancestor.
fn push_bounded(pointer: &mut String, token: &str) -> bool {
    if pointer.len() + token.len() >= caps::JSON_POINTER_BYTES_MAX {
        return false;
    }
    let before = pointer.len();
    pointer_push(pointer, token);
    let fits = pointer.len() <= caps::JSON_POINTER_BYTES_MAX;
    if !fits {
        pointer.truncate(before);
    }
    fits
}
