//! Paths into parameters: `amount`, `customer.id`, `items[*].price`, `items[0]`, `"odd.key"`.

use aegis_model::caps::JSON_DEPTH_MAX;

use super::cx::Cx;
use super::values::short;
use crate::ast::{Path, STARS_MAX, Segment, Span};

/// The path that `text` means; reports what is wrong with it.
pub(super) fn path(text: &str, span: Span, cx: &mut Cx<'_>) -> Option<Path> {
    match parse(text) {
        Ok(path) => Some(path),
        Err(why) => {
            let help =
                "a path is `name`, `a.b`, `list[*].x`, `list[0]`; quote odd names inside: '\"odd.key\"'";
            cx.error("bad-path", span, format!("`{}` is not a path: {why}", short(text)), help);
            None
        }
    }
}

/// Reads a path.
pub(crate) fn parse(text: &str) -> Result<Path, String> {
    let mut segments = Vec::new();
    let mut rest = text;
    loop {
        rest = name(rest, &mut segments)?;
        while let Some(inner) = rest.strip_prefix('[') {
            rest = index(inner, &mut segments)?;
        }
        if rest.is_empty() {
            break;
        }
        rest = rest.strip_prefix('.').ok_or("expected `.` or `[` between its parts")?;
    }
    let stars = segments.iter().filter(|segment| matches!(segment, Segment::Every)).count();
    if stars > STARS_MAX {
        return Err(format!("it has more than {STARS_MAX} `[*]`"));
    }
    if segments.len() > JSON_DEPTH_MAX {
        return Err(format!("it has more than {JSON_DEPTH_MAX} parts"));
    }
    Ok(Path(segments))
}

fn name<'t>(text: &'t str, segments: &mut Vec<Segment>) -> Result<&'t str, String> {
    if let Some(quoted) = text.strip_prefix('"') {
        return quoted_name(quoted, segments);
    }
    let end = text.find(['.', '[', ']', '"']).unwrap_or(text.len());
    let name = &text[..end];
    if name.is_empty() {
        return Err("a name is empty".to_owned());
    }
    if name == "*" {
        return Err("`*` stands only in brackets, as in `list[*]`".to_owned());
    }
    if let Some(odd) = name.chars().find(|c| c.is_whitespace() || c.is_control() || *c == '*' || *c == '\\') {
        return Err(format!("{odd:?} may stand only in a quoted name"));
    }
    segments.push(Segment::Key(name.to_owned()));
    Ok(&text[end..])
}

fn quoted_name<'t>(text: &'t str, segments: &mut Vec<Segment>) -> Result<&'t str, String> {
    let mut name = String::new();
    let mut chars = text.char_indices();
    while let Some((at, next)) = chars.next() {
        match next {
            '"' => {
                segments.push(Segment::Key(name));
                return Ok(&text[at + 1..]);
            }
            '\\' => match chars.next() {
                Some((_, escaped @ ('"' | '\\'))) => name.push(escaped),
                _ => return Err("only `\\\"` and `\\\\` are escapes in a quoted name".to_owned()),
            },
            _ => name.push(next),
        }
    }
    Err("a quoted name has no closing quote".to_owned())
}

fn index<'t>(text: &'t str, segments: &mut Vec<Segment>) -> Result<&'t str, String> {
    let (inner, rest) = text.split_once(']').ok_or("a `[` has no `]`")?;
    if inner == "*" {
        segments.push(Segment::Every);
        return Ok(rest);
    }
    let plain = !inner.is_empty() && inner.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = plain && (inner == "0" || !inner.starts_with('0'));
    let number = inner.parse::<u32>().ok().filter(|_| canonical);
    segments.push(Segment::Index(number.ok_or("in brackets stands `*` or a number from 0")?));
    Ok(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Segment {
        Segment::Key(name.to_owned())
    }

    #[test]
    fn paths_of_the_language() {
        assert_eq!(parse("amount"), Ok(Path(vec![key("amount")])));
        assert_eq!(parse("customer.id"), Ok(Path(vec![key("customer"), key("id")])));
        assert_eq!(parse("items[*].price"), Ok(Path(vec![key("items"), Segment::Every, key("price")])));
        assert_eq!(parse("items[0][*]"), Ok(Path(vec![key("items"), Segment::Index(0), Segment::Every])));
        assert_eq!(parse("\"odd.key\".x"), Ok(Path(vec![key("odd.key"), key("x")])));
        assert_eq!(parse("\"a\\\"b\\\\\""), Ok(Path(vec![key("a\"b\\")])));
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a[",
            "a[]",
            "a[-1]",
            "a[01]",
            "a[x]",
            "a]b",
            "*",
            "a.*",
            "a b",
            "\"a",
            "a\"b\"",
            "[0]",
            "a[4294967296]",
            "a[*][*][*][*]",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
