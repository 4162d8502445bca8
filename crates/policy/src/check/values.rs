//! Single values: strings, integers, lists, names, globs, durations. Each reports what is wrong and gives nothing.

use aegis_model::caps::NAME_BYTES_MAX;
use aegis_model::ids::is_name_byte;
use serde_json::Number;

use super::cx::Cx;
use super::fields::Fields;
use crate::ast::{Glob, Mode};
use crate::yaml::{Kind, Node};

/// A string.
pub(crate) fn string<'n>(node: &'n Node, cx: &mut Cx<'_>) -> Option<&'n str> {
    if node.text().is_none() {
        let help = match &node.kind {
            Kind::Number(_, text) => format!("quote it: \"{text}\""),
            Kind::Bool(value) => format!("quote it: \"{value}\""),
            _ => String::new(),
        };
        cx.wrong_type_help(node, "a string", help);
    }
    node.text()
}

/// One of a few words.
pub(crate) fn word<T: Copy>(node: &Node, words: &[(&'static str, T)], cx: &mut Cx<'_>) -> Option<T> {
    let text = string(node, cx)?;
    let found = words.iter().find(|(word, _)| *word == text).map(|&(_, value)| value);
    if found.is_none() {
        let names: Vec<&str> = words.iter().map(|&(word, _)| word).collect();
        let help = match super::nearest::nearest(text, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("one of {}", super::fields::list(&names)),
        };
        cx.error("bad-value", node.span, format!("`{text}` is not known here"), help);
    }
    found
}

/// `true` or `false`.
pub(crate) fn boolean(node: &Node, cx: &mut Cx<'_>) -> Option<bool> {
    if let Kind::Bool(value) = node.kind {
        return Some(value);
    }
    cx.wrong_type(node, "`true` or `false`");
    None
}

/// A number, with the text in which it is written.
pub(crate) fn number<'n>(node: &'n Node, cx: &mut Cx<'_>) -> Option<(&'n Number, &'n str)> {
    if let Kind::Number(number, text) = &node.kind {
        return Some((number, text));
    }
    cx.wrong_type(node, "a number");
    None
}

/// An integer in `min..=max`.
pub(crate) fn integer(node: &Node, min: u32, max: u32, cx: &mut Cx<'_>) -> Option<u32> {
    let (number, _) = number(node, cx)?;
    let value = number
        .as_u64()
        .and_then(|value| u32::try_from(value).ok())
        .filter(|value| (min..=max).contains(value));
    if value.is_none() {
        let message = format!("expected an integer from {min} to {max}");
        cx.push(crate::diagnostic::Diagnostic::error("bad-value", node.span, message).label("out of range"));
    }
    value
}

/// The elements of a list; reports an empty one unless it may be.
pub(crate) fn list<'n>(
    node: &'n Node,
    what: &str,
    may_be_empty: bool,
    cx: &mut Cx<'_>,
) -> Option<&'n [Node]> {
    let Kind::Seq(items) = &node.kind else {
        let help = node.text().map(|text| format!("write `[{}]`", short(text))).unwrap_or_default();
        cx.wrong_type_help(node, &format!("a list of {what}"), help);
        return None;
    };
    if items.is_empty() && !may_be_empty {
        cx.error(
            "empty-list",
            node.span,
            format!("this list of {what} is empty"),
            "name at least one, or leave the field out",
        );
        return None;
    }
    Some(items)
}

/// A single value or the elements of a non-empty list.
pub(crate) fn one_or_list<'n>(node: &'n Node, what: &str, cx: &mut Cx<'_>) -> Option<&'n [Node]> {
    match node.kind {
        Kind::Seq(_) => list(node, what, false, cx),
        _ => Some(std::slice::from_ref(node)),
    }
}

/// The strings of a single value or a non-empty list, each checked by `check`.
pub(crate) fn strings(
    node: &Node,
    what: &str,
    cx: &mut Cx<'_>,
    mut check: impl FnMut(&str, &Node, &mut Cx<'_>) -> Option<String>,
) -> Option<Vec<String>> {
    let items = one_or_list(node, what, cx)?;
    let mut all = Some(Vec::with_capacity(items.len()));
    for item in items {
        let text = string(item, cx).and_then(|text| check(text, item, cx));
        all = match (all, text) {
            (Some(mut all), Some(text)) => {
                all.push(text);
                Some(all)
            }
            _ => None,
        };
    }
    all
}

/// Any string that is not empty.
pub(crate) fn not_empty(text: &str, node: &Node, cx: &mut Cx<'_>) -> Option<String> {
    if text.is_empty() {
        cx.error(
            "empty-string",
            node.span,
            "this string is empty",
            "an empty text fits everything or nothing: leave it out",
        );
        return None;
    }
    Some(text.to_owned())
}

/// A glob over tool, action or agent names.
pub(crate) fn glob(node: &Node, kind: &str, cx: &mut Cx<'_>) -> Option<Glob> {
    let text = string(node, cx)?;
    let bad = text.bytes().find(|&byte| !is_name_byte(byte) && byte != b'*');
    if text.is_empty() || text.len() > NAME_BYTES_MAX || bad.is_some() {
        let why = match bad {
            Some(_) => "has a character that no name has",
            None => "has no or too many characters",
        };
        let help = format!(
            "1 to {NAME_BYTES_MAX} characters of `A-Z a-z 0-9 _ . : / -`; `*` stands for any run of them"
        );
        cx.error("bad-name", node.span, format!("the {kind} `{}` {why}", short(text)), help);
        return None;
    }
    Some(Glob(text.to_owned()))
}

/// `mode`: `enforce` or `shadow`.
pub(crate) fn mode(fields: &mut Fields<'_>, cx: &mut Cx<'_>) -> Mode {
    let Some(pair) = fields.take("mode") else { return Mode::Enforce };
    let words = [("enforce", Mode::Enforce), ("shadow", Mode::Shadow)];
    let mode = word(&pair.value, &words, cx).unwrap_or_default();
    if mode == Mode::Shadow {
        cx.shadow.push(pair.key.span);
    }
    mode
}

/// A duration such as `90s`, `30m`, `12h`, `7d`, in seconds.
pub(crate) fn duration(node: &Node, min: u64, max: u64, cx: &mut Cx<'_>) -> Option<u64> {
    let text = string(node, cx)?;
    let unit = match text.as_bytes().last() {
        Some(b's') => Some(1),
        Some(b'm') => Some(60),
        Some(b'h') => Some(3_600),
        Some(b'd') => Some(86_400),
        _ => None,
    };
    let seconds = unit.and_then(|unit: u64| {
        let digits = &text[..text.len() - 1];
        let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| plain)?.checked_mul(unit)
    });
    let fits = seconds.filter(|seconds| (min..=max).contains(seconds));
    if fits.is_none() {
        let help =
            format!("write a whole number with `s`, `m`, `h` or `d`, such as `30m`; from {min} s to {max} s");
        cx.error("bad-value", node.span, format!("`{}` is not a duration that fits here", short(text)), help);
    }
    fits
}

/// The name of a time zone, as the time zone database writes it.
pub(crate) fn zone(node: &Node, cx: &mut Cx<'_>) -> Option<String> {
    let text = string(node, cx)?;
    let known = jiff::tz::TimeZone::get(text).ok();
    match known.as_ref().and_then(jiff::tz::TimeZone::iana_name) {
        Some(name) if name == text => Some(text.to_owned()),
        Some(name) => {
            cx.error(
                "bad-time-zone",
                node.span,
                format!("the time zone is written `{name}`"),
                format!("write `{name}`"),
            );
            None
        }
        None => {
            let help = "use a name of the IANA database, such as `Europe/Berlin` or `UTC`";
            cx.error("bad-time-zone", node.span, format!("there is no time zone `{}`", short(text)), help);
            None
        }
    }
}

/// At most 60 characters of a text, for messages.
pub(crate) fn short(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
