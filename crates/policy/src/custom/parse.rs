//! Parsing with regorus, and the places of its errors.

use regorus::unstable::{Expr, Module, Parser, Source, Span as RegoSpan};

use crate::ast::Span;
use crate::diagnostic::Diagnostic;
use crate::sources::TextIndex;

/// The name under which regorus knows the text; it stands in its messages in front of a place.
const NAME: &str = "custom.rego";

/// The package of every custom module.
pub(super) const PACKAGE: &str = "aegis.custom";

/// Parses a text that [`scan`](super::scan) let through, as Rego v1, and checks its head.
pub(super) fn parse(index: &TextIndex<'_>) -> Result<Module, Vec<Diagnostic>> {
    // regorus gives its errors as text.
    let refused = |error: String| vec![syntax_error(&error, index)];
    let source = Source::from_contents(NAME.to_owned(), index.text().to_owned())
        .map_err(|e| refused(e.to_string()))?;
    let mut parser = Parser::new(&source).map_err(|e| refused(e.to_string()))?;
    parser.enable_rego_v1().map_err(|e| refused(e.to_string()))?;
    let module = parser.parse().map_err(|e| refused(e.to_string()))?;
    let problems = head_problems(&module, index);
    if problems.is_empty() { Ok(module) } else { Err(problems) }
}

/// The place of a syntax element. That of a string includes its quotes, which the parser leaves out.
pub(super) fn span(of: &RegoSpan, index: &TextIndex<'_>) -> Span {
    let (start, end) = (of.start as usize, of.end as usize);
    let text = index.text().as_bytes();
    let before = start.checked_sub(1).and_then(|at| text.get(at));
    match (before, text.get(end)) {
        (Some(open @ (b'"' | b'`')), Some(close)) if open == close => index.span(start - 1, end + 1),
        _ => index.span(start, end),
    }
}

/// Where the name of the package stands in the text.
pub(super) fn package_name(module: &Module) -> std::ops::Range<usize> {
    let span = module.package.refr.span();
    span.start as usize..span.end as usize
}

fn head_problems(module: &Module, index: &TextIndex<'_>) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    let name = &index.text()[package_name(module)];
    if name != PACKAGE {
        let at = span(module.package.refr.span(), index);
        let message = format!("a custom module has the package `{PACKAGE}`, not `{name}`");
        problems.push(
            Diagnostic::error("rego-package", at, message)
                .help(format!("write `package {PACKAGE}` in its first line")),
        );
    }
    for import in &module.imports {
        if is_v1(&import.refr) && import.r#as.is_none() {
            continue;
        }
        let help = "a module knows `input` and its own rules only; `import rego.v1` is allowed";
        let at = span(&import.span, index);
        problems.push(Diagnostic::error("rego-import", at, "nothing can be imported").help(help));
    }
    if module.target.is_some() {
        let at = span(module.package.refr.span(), index);
        problems.push(
            Diagnostic::error("rego-unsupported", at, "a module has no `__target__`").help("remove it"),
        );
    }
    problems
}

fn is_v1(path: &Expr) -> bool {
    path.span().text() == "rego.v1"
}

/// Reads `custom.rego:LINE:COLUMN` and the message out of what regorus says.
fn syntax_error(error: &str, index: &TextIndex<'_>) -> Diagnostic {
    let place = error.split_once(NAME).and_then(|(_, rest)| {
        let mut numbers = rest.strip_prefix(':')?.split(|byte: char| !byte.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    });
    let message = match error.rsplit_once("error: ") {
        Some((_, message)) => message,
        None => error.rsplit_once(NAME).map_or(error, |(_, message)| message),
    };
    let message: String = message.lines().next().unwrap_or_default().trim().chars().take(200).collect();
    let message = if message.is_empty() { "this is not Rego".to_owned() } else { message };
    Diagnostic::error(
        "rego-syntax",
        place.map_or(index.span(0, 0), |(line, column)| at(line, column, index)),
        message,
    )
}

/// The place of a line and column (from 1) as regorus counts them: a tab is four columns.
fn at(line: usize, column: usize, index: &TextIndex<'_>) -> Span {
    let text = index.text();
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let mut passed = 1;
    let mut offset = 0;
    for character in text[start..].chars().take_while(|&character| character != '\n') {
        if passed >= column {
            let length = character.len_utf8();
            return index.span(start + offset, start + offset + length);
        }
        passed += if character == '\t' { 4 } else { 1 };
        offset += character.len_utf8();
    }
    index.span(start + offset, start + offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first_error(text: &str) -> (u32, u32, String) {
        let error = parse(&TextIndex::new(0, text)).expect_err("an error").remove(0);
        (error.span.line, error.span.column, error.message)
    }

    #[test]
    fn syntax_errors_have_their_place() {
        let (line, column, message) =
            first_error("package aegis.custom\n\ndeny contains \"x\" if {\n\tinput.a +\n}\n");
        assert_eq!((line, column), (5, 1), "{message}");
        let (line, column, message) = first_error("package aegis.custom\ndeny contains \"ä\" if {\n\t? }\n");
        assert_eq!((line, column), (3, 2), "{message}");
        assert_eq!(message, "invalid character");
    }

    #[test]
    fn version_0_is_not_accepted() {
        let (line, _, message) = first_error("package aegis.custom\ndeny[\"x\"] { true }\n");
        assert_eq!(line, 2);
        assert!(message.contains("`if` keyword is required"), "{message}");
    }
}
