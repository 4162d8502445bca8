//! Regular expressions on which RE2 (Go, OPA) and Rust agree, spelled out so that nothing is left to either.
//!
//! A pattern is read by Rust's own parser, refused where the two engines differ, and printed anew: classes
//! as explicit ranges, case-insensitive ASCII letters as `[Aa]`, every group without a name, every special
//! character escaped. What is printed uses only syntax that both engines define alike, so that a pattern means
//! one thing: `\d`, `\w`, `\s` and the flag `i` speak of ASCII.

mod classes;

use std::fmt::Write as _;

use aegis_model::caps::{REGEX_BYTES_MAX, REGEX_COMPILED_BYTES_MAX};
use regex_syntax::ast::{
    AssertionKind, Ast, ClassBracketed, ClassSet, ClassSetItem, Flag, Flags, FlagsItemKind, Group, GroupKind,
    HexLiteralKind, Literal, LiteralKind, RepetitionKind, RepetitionRange, parse::ParserBuilder,
};

use classes::{Ranges, complement, merge, perl, posix};

/// Highest count of a repetition, nested counts multiplied: RE2's own limit.
const REPEAT_MAX: u64 = 1_000;

/// Deepest nesting of groups.
const NESTING_MAX: u32 = 64;

/// Why a pattern is refused, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What is wrong, lower case.
    pub message: String,
    /// What to write instead; may be empty.
    pub help: String,
}

impl Refused {
    fn new(message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into() }
    }
}

/// The pattern in the common subset; it matches anywhere in a text.
///
/// # Errors
/// A pattern that is malformed, too large, or not the same to both engines.
pub fn translate(pattern: &str) -> Result<String, Refused> {
    let printed = print(pattern)?;
    compile(&printed)?;
    Ok(printed)
}

/// The pattern in the common subset; it matches only a whole text: `^(?:…)$`.
///
/// # Errors
/// As [`translate`].
pub fn translate_whole(pattern: &str) -> Result<String, Refused> {
    let printed = format!("^(?:{})$", print(pattern)?);
    compile(&printed)?;
    Ok(printed)
}

fn compile(printed: &str) -> Result<(), Refused> {
    match regex::RegexBuilder::new(printed).size_limit(REGEX_COMPILED_BYTES_MAX).build() {
        Ok(_) => Ok(()),
        Err(_) => Err(Refused::new(
            format!("it needs more than {REGEX_COMPILED_BYTES_MAX} bytes when compiled"),
            "use smaller counts and fewer alternatives",
        )),
    }
}

fn print(pattern: &str) -> Result<String, Refused> {
    if pattern.len() > REGEX_BYTES_MAX {
        let message = format!("it has {} bytes; at most {REGEX_BYTES_MAX} fit", pattern.len());
        return Err(Refused::new(message, "split it into several matchers"));
    }
    if pattern.is_empty() {
        return Err(Refused::new(
            "it is empty",
            "use `equals: \"\"` for the empty string, or leave the matcher out",
        ));
    }
    let parser = ParserBuilder::new().nest_limit(NESTING_MAX).build().parse(pattern);
    let ast = parser.map_err(|error| {
        let at = pattern[..error.span().start.offset.min(pattern.len())].chars().count() + 1;
        Refused::new(format!("{} (at character {at})", error.kind()), help_for(pattern))
    })?;
    let mut printer = Printer { out: String::new(), mode: Mode::default() };
    printer.ast(&ast)?;
    Ok(printer.out)
}

/// Help where the parser itself refuses.
fn help_for(pattern: &str) -> &'static str {
    if ["(?=", "(?!", "(?<=", "(?<!"].iter().any(|look| pattern.contains(look)) {
        return "look-around takes more than linear time: write several matchers, or `not_matches`";
    }
    "back-references and look-around do not exist; escape special characters with `\\`"
}

/// The flags in force.
#[derive(Debug, Clone, Copy, Default)]
struct Mode {
    ignore_case: bool,
    multi_line: bool,
    dot_all: bool,
}

struct Printer {
    out: String,
    mode: Mode,
}

impl Printer {
    fn ast(&mut self, ast: &Ast) -> Result<(), Refused> {
        match ast {
            Ast::Empty(_) => Ok(()),
            Ast::Flags(flags) => self.set(&flags.flags),
            Ast::Literal(literal) => self.literal(literal),
            Ast::Dot(_) => {
                self.out.push_str(if self.mode.dot_all { "(?s:.)" } else { "." });
                Ok(())
            }
            Ast::Assertion(assertion) => self.assertion(&assertion.kind),
            Ast::ClassUnicode(_) => Err(no_unicode_class()),
            Ast::ClassPerl(class) => {
                self.class(perl(class), false);
                Ok(())
            }
            Ast::ClassBracketed(class) => self.bracketed(class),
            Ast::Repetition(repetition) => self.repetition(repetition),
            Ast::Group(group) => self.group(group),
            Ast::Alternation(alternation) => {
                for (at, branch) in alternation.asts.iter().enumerate() {
                    if at > 0 {
                        self.out.push('|');
                    }
                    self.ast(branch)?;
                }
                Ok(())
            }
            Ast::Concat(concat) => concat.asts.iter().try_for_each(|part| self.ast(part)),
        }
    }

    /// Flags hold until the end of the group, over `|` too, in both engines.
    fn set(&mut self, flags: &Flags) -> Result<(), Refused> {
        let mut value = true;
        for item in &flags.items {
            match item.kind {
                FlagsItemKind::Negation => value = false,
                FlagsItemKind::Flag(Flag::CaseInsensitive) => self.mode.ignore_case = value,
                FlagsItemKind::Flag(Flag::MultiLine) => self.mode.multi_line = value,
                FlagsItemKind::Flag(Flag::DotMatchesNewLine) => self.mode.dot_all = value,
                FlagsItemKind::Flag(_) => {
                    return Err(Refused::new(
                        "only the flags `i`, `m` and `s` are the same everywhere",
                        "remove the other flags",
                    ));
                }
            }
        }
        Ok(())
    }

    fn literal(&mut self, literal: &Literal) -> Result<(), Refused> {
        check_literal(literal)?;
        let c = literal.c;
        if self.mode.ignore_case && c.is_ascii_alphabetic() {
            let _ = write!(self.out, "[{}{}]", c.to_ascii_uppercase(), c.to_ascii_lowercase());
            return Ok(());
        }
        self.refuse_folding(u32::from(c), u32::from(c))?;
        push_char(&mut self.out, u32::from(c));
        Ok(())
    }

    /// Under `i`, characters beyond ASCII that have another case are refused: tables of the engines differ.
    fn refuse_folding(&self, from: u32, to: u32) -> Result<(), Refused> {
        if !self.mode.ignore_case || to < 0x80 {
            return Ok(());
        }
        let bounds = char::from_u32(from.max(0x80)).zip(char::from_u32(to));
        let folds = bounds.is_none_or(|(from, to)| {
            let range = regex_syntax::hir::ClassUnicodeRange::new(from, to);
            let mut class = regex_syntax::hir::ClassUnicode::new([range]);
            let before = class.clone();
            class.case_fold_simple();
            class != before
        });
        if !folds {
            return Ok(());
        }
        Err(Refused::new(
            "the flag `i` speaks of ASCII letters only",
            "list both cases of other letters: `[ÄäÖö]` outside of `(?i)`",
        ))
    }

    fn assertion(&mut self, kind: &AssertionKind) -> Result<(), Refused> {
        let text = match kind {
            AssertionKind::StartLine if self.mode.multi_line => "(?m:^)",
            AssertionKind::EndLine if self.mode.multi_line => "(?m:$)",
            AssertionKind::StartLine | AssertionKind::StartText => "^",
            AssertionKind::EndLine | AssertionKind::EndText => "$",
            _ => {
                let help = "name the characters around it, e.g. `(?:^|[^0-9A-Za-z_])word(?:[^0-9A-Za-z_]|$)`";
                return Err(Refused::new(
                    "word boundaries (`\\b`, `\\B`, `\\<`, `\\>`) differ between engines",
                    help,
                ));
            }
        };
        self.out.push_str(text);
        Ok(())
    }

    fn repetition(&mut self, repetition: &regex_syntax::ast::Repetition) -> Result<(), Refused> {
        let counted = counts(&Ast::repetition(repetition.clone()));
        if counted > REPEAT_MAX {
            let message =
                format!("it repeats something more than {REPEAT_MAX} times, nested counts multiplied");
            return Err(Refused::new(message, "use a smaller count, or `*` together with `length`"));
        }
        self.out.push_str("(?:");
        self.ast(&repetition.ast)?;
        self.out.push(')');
        // Lazy or greedy is the same to a question of yes or no.
        let _ = match &repetition.op.kind {
            RepetitionKind::ZeroOrOne => write!(self.out, "?"),
            RepetitionKind::ZeroOrMore => write!(self.out, "*"),
            RepetitionKind::OneOrMore => write!(self.out, "+"),
            RepetitionKind::Range(RepetitionRange::Exactly(count)) => write!(self.out, "{{{count}}}"),
            RepetitionKind::Range(RepetitionRange::AtLeast(count)) => write!(self.out, "{{{count},}}"),
            RepetitionKind::Range(RepetitionRange::Bounded(from, to)) => write!(self.out, "{{{from},{to}}}"),
        };
        Ok(())
    }

    fn group(&mut self, group: &Group) -> Result<(), Refused> {
        let outer = self.mode;
        if let GroupKind::NonCapturing(flags) = &group.kind {
            self.set(flags)?;
        }
        self.out.push_str("(?:");
        self.ast(&group.ast)?;
        self.out.push(')');
        self.mode = outer;
        Ok(())
    }

    fn bracketed(&mut self, class: &ClassBracketed) -> Result<(), Refused> {
        let mut ranges = Ranges::new();
        match &class.kind {
            ClassSet::Item(item) => self.item(item, &mut ranges)?,
            ClassSet::BinaryOp(_) => {
                let help = "write the resulting characters out, or escape `&`, `-` and `~`";
                return Err(Refused::new("set operations (`&&`, `--`, `~~`) exist in one engine only", help));
            }
        }
        if merge(ranges.clone()) == [(0, 0x10_FFFF)] && class.negated {
            return Err(Refused::new("a class matches no character at all", "remove it"));
        }
        self.class(ranges, class.negated);
        Ok(())
    }

    fn item(&self, item: &ClassSetItem, ranges: &mut Ranges) -> Result<(), Refused> {
        match item {
            ClassSetItem::Empty(_) => {}
            ClassSetItem::Literal(literal) => {
                check_literal(literal)?;
                self.add(u32::from(literal.c), u32::from(literal.c), ranges)?;
            }
            ClassSetItem::Range(range) => {
                check_literal(&range.start)?;
                check_literal(&range.end)?;
                self.add(u32::from(range.start.c), u32::from(range.end.c), ranges)?;
            }
            ClassSetItem::Ascii(class) => {
                let plain = posix(&class.kind);
                ranges.extend(if class.negated { complement(plain) } else { plain });
                self.fold_ascii(ranges);
            }
            ClassSetItem::Perl(class) => ranges.extend(perl(class)),
            ClassSetItem::Unicode(_) => return Err(no_unicode_class()),
            ClassSetItem::Bracketed(_) => {
                return Err(Refused::new(
                    "a class inside a class exists in one engine only",
                    "escape `[` inside of a class: `\\[`",
                ));
            }
            ClassSetItem::Union(union) => union.items.iter().try_for_each(|item| self.item(item, ranges))?,
        }
        Ok(())
    }

    fn add(&self, from: u32, to: u32, ranges: &mut Ranges) -> Result<(), Refused> {
        self.refuse_folding(from, to)?;
        ranges.push((from, to));
        self.fold_ascii(ranges);
        Ok(())
    }

    /// Adds the other case of every ASCII letter.
    fn fold_ascii(&self, ranges: &mut Ranges) {
        if !self.mode.ignore_case {
            return;
        }
        let has = |c: u8| ranges.iter().any(|&(from, to)| (from..=to).contains(&u32::from(c)));
        let folded: Vec<u32> = (b'a'..=b'z')
            .flat_map(|c| [(c, c.to_ascii_uppercase()), (c.to_ascii_uppercase(), c)])
            .filter(|&(present, _)| has(present))
            .map(|(_, other)| u32::from(other))
            .collect();
        ranges.extend(folded.into_iter().map(|c| (c, c)));
    }

    fn class(&mut self, ranges: Ranges, negated: bool) {
        self.out.push_str(if negated { "[^" } else { "[" });
        for (from, to) in merge(ranges) {
            push_char(&mut self.out, from);
            if to > from {
                if to > from + 1 {
                    self.out.push('-');
                }
                push_char(&mut self.out, to);
            }
        }
        self.out.push(']');
    }
}

fn no_unicode_class() -> Refused {
    Refused::new(
        "Unicode classes (`\\p`, `\\P`) differ between engines",
        "list the characters or ranges, e.g. `[A-Za-z]`",
    )
}

fn check_literal(literal: &Literal) -> Result<(), Refused> {
    match literal.kind {
        LiteralKind::HexFixed(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong)
        | LiteralKind::HexBrace(HexLiteralKind::UnicodeShort | HexLiteralKind::UnicodeLong) => {
            Err(Refused::new(
                "`\\u` and `\\U` exist in one engine only",
                "write `\\x{…}`, or the character itself",
            ))
        }
        _ => Ok(()),
    }
}

/// The largest product of nested counts. Bounded recursion: the parser limits nesting.
fn counts(ast: &Ast) -> u64 {
    match ast {
        Ast::Repetition(repetition) => {
            let own = match &repetition.op.kind {
                RepetitionKind::Range(RepetitionRange::Exactly(count) | RepetitionRange::AtLeast(count)) => {
                    *count
                }
                RepetitionKind::Range(RepetitionRange::Bounded(_, to)) => *to,
                _ => 1,
            };
            u64::from(own.max(1)).saturating_mul(counts(&repetition.ast))
        }
        Ast::Group(group) => counts(&group.ast),
        Ast::Alternation(alternation) => alternation.asts.iter().map(counts).max().unwrap_or(1),
        Ast::Concat(concat) => concat.asts.iter().map(counts).max().unwrap_or(1),
        _ => 1,
    }
}

/// One character, so that it is literal in and outside of classes, in both engines.
fn push_char(out: &mut String, c: u32) {
    match u8::try_from(c) {
        Ok(byte)
            if byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'_' | b' '
                        | b'"'
                        | b'\''
                        | b','
                        | b'/'
                        | b':'
                        | b';'
                        | b'<'
                        | b'='
                        | b'>'
                        | b'@'
                        | b'%'
                        | b'!'
                        | b'`'
                ) =>
        {
            out.push(char::from(byte));
        }
        Ok(byte) if byte.is_ascii_punctuation() => {
            out.push('\\');
            out.push(char::from(byte));
        }
        _ => {
            let _ = write!(out, "\\x{{{c:X}}}");
        }
    }
}

#[cfg(test)]
mod tests;
