//! From a file's text to its documents.

use aegis_model::caps::POLICY_FILE_BYTES_MAX;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Tag};

use super::build::{Builder, Scalar, Stopped, Style, too_deep};
use super::guard::{Guarded, Stop, Watch};
use super::node::{Kind, Node};
use super::scalar::resolve_plain;
use crate::ast::{SourceFile, Span};
use crate::check::report::Report;
use crate::diagnostic::Diagnostic;
use crate::sources::TextIndex;

/// The documents of a file, and how many nodes they have. Empty documents are left out. What is wrong goes
/// into `report`; after an error of syntax nothing of the file is returned.
pub(crate) fn read(file: u32, source: &SourceFile, report: &mut Report) -> (Vec<Node>, usize) {
    if let Some(problem) = refuse_whole(file, source) {
        report.push(problem);
        return (Vec::new(), 0);
    }
    let index = TextIndex::new(file, &source.text);
    let mut builder = Builder::new(report);
    let result = if source.path.ends_with(".json") {
        super::json::read_json(&index, &mut builder)
    } else {
        read_yaml(&index, &mut builder)
    };
    let (mut documents, nodes) = builder.finish();
    if result.is_err() {
        return (Vec::new(), nodes);
    }
    documents.retain(|document| !matches!(document.kind, Kind::Nothing));
    (documents, nodes)
}

/// What is wrong with the file as a whole, before anything of it is parsed.
fn refuse_whole(file: u32, source: &SourceFile) -> Option<Diagnostic> {
    let top = Span { file, start: 0, end: 0, line: 1, column: 1 };
    if source.text.len() > POLICY_FILE_BYTES_MAX {
        let bytes = source.text.len();
        let message =
            format!("the file has {bytes} bytes; a policy file has at most {POLICY_FILE_BYTES_MAX}");
        return Some(Diagnostic::error("file-too-large", top, message).help("split it into several files"));
    }
    if source.text.starts_with('\u{FEFF}') {
        let message = "the file begins with a byte order mark";
        return Some(
            Diagnostic::error("byte-order-mark", top, message).help("save it as UTF-8 without a mark"),
        );
    }
    None
}

fn read_yaml(index: &TextIndex<'_>, builder: &mut Builder<'_>) -> Result<(), Stopped> {
    let watch = Watch::default();
    let mut parser = Parser::new(Guarded::new(index.text(), &watch));
    loop {
        let event = parser.next_event();
        if let Some(stop) = watch.stopped() {
            builder.report().push(explain_stop(index, stop));
            return Err(Stopped);
        }
        match event {
            None | Some(Ok((Event::StreamEnd, _))) => return Ok(()),
            Some(Ok((event, span))) => take(index, builder, event, span)?,
            Some(Err(error)) => {
                builder.report().push(explain_error(index, &error));
                return Err(Stopped);
            }
        }
    }
}

fn take(
    index: &TextIndex<'_>,
    builder: &mut Builder<'_>,
    event: Event<'_>,
    marks: saphyr_parser::Span,
) -> Result<(), Stopped> {
    let start = index.byte_of(marks.start.index());
    let end = if marks.end.index() > marks.start.index() { index.byte_of(marks.end.index()) } else { start };
    // Spans of the scanner may reach over trailing blanks and line ends.
    let end = start + index.text()[start..end.max(start)].trim_end().len();
    let span = index.span(start, end);
    match event {
        Event::Scalar(value, style, anchor, tag) => {
            refuse_tag(builder, tag.as_deref(), span)?;
            builder.scalar(make_scalar(&value, style, span), anchor)
        }
        Event::SequenceStart(anchor, tag) => {
            refuse_tag(builder, tag.as_deref(), span)?;
            builder.open_seq(span, anchor)
        }
        Event::MappingStart(anchor, tag) => {
            refuse_tag(builder, tag.as_deref(), span)?;
            builder.open_map(span, anchor)
        }
        Event::SequenceEnd | Event::MappingEnd => builder.close(last_content_byte(index, end)),
        Event::Alias(anchor) => builder.alias(span, anchor),
        Event::Nothing
        | Event::StreamStart
        | Event::StreamEnd
        | Event::DocumentStart(_)
        | Event::DocumentEnd => Ok(()),
    }
}

/// The end of what stands in front of byte `end`, blanks and line ends left out.
fn last_content_byte(index: &TextIndex<'_>, end: usize) -> u32 {
    let trimmed = index.text()[..end].trim_end().len();
    index.span(trimmed, trimmed).start
}

fn make_scalar(value: &str, style: ScalarStyle, span: Span) -> Scalar {
    let text: Box<str> = value.into();
    let style = match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        _ => Style::Other,
    };
    let (kind, refused) = if style == Style::Plain {
        match resolve_plain(value) {
            Ok(kind) => (kind, None),
            Err(why) => (Kind::Bad, Some(Diagnostic::error(why.code, span, why.message).help(why.help))),
        }
    } else {
        (Kind::Text(text.clone()), None)
    };
    Scalar { node: Node { span, kind }, text, style, refused }
}

fn refuse_tag(builder: &mut Builder<'_>, tag: Option<&Tag>, span: Span) -> Result<(), Stopped> {
    let Some(tag) = tag else { return Ok(()) };
    let problem = Diagnostic::error("tag", span, format!("the tag `{tag}` is not allowed in a policy"))
        .help("leave it out: quotes make a string, everything else has its type by its form");
    builder.report().push(problem);
    Err(Stopped)
}

fn explain_stop(index: &TextIndex<'_>, stop: Stop) -> Diagnostic {
    match stop {
        Stop::TooDeep(at) => too_deep(index.span(at, at + 1)),
        Stop::TooManyTokens(at) => {
            Diagnostic::error("too-many-nodes", index.span(at, at + 1), "the file has too many nodes")
                .help("split it into several files")
        }
    }
}

/// Says what is wrong in the words of an author, above all where tabs are to blame.
fn explain_error(index: &TextIndex<'_>, error: &ScanError) -> Diagnostic {
    let at = index.byte_of(error.marker().index());
    if let Some(tab) = tab_in_indentation(index.text(), at) {
        return Diagnostic::error("tab-indentation", index.span(tab, tab + 1), "a tab cannot indent in YAML")
            .label("this tab")
            .help("indent with spaces");
    }
    let end = index.text()[at..].find('\n').map_or(index.text().len(), |newline| at + newline);
    let end = at + index.text()[at..end].trim_end().len();
    Diagnostic::error("yaml-syntax", index.span(at, end), format!("this is not valid YAML: {}", error.info()))
        .help("check indentation, colons and quotes at this place and just above it")
}

/// The first tab in the indentation of the line of byte `at`, or of the lines around it: the scanner stops
/// at the start of what it was reading.
fn tab_in_indentation(text: &str, at: usize) -> Option<usize> {
    let line_start = |at: usize| text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let here = line_start(at);
    let above = if here > 0 { line_start(here - 1) } else { here };
    let below = text[at..].find('\n').map_or(here, |newline| at + newline + 1);
    [here, above, below].into_iter().find_map(|start| {
        let indentation = text[start..].bytes().take_while(|byte| matches!(byte, b' ' | b'\t' | b'-'));
        indentation.enumerate().find(|&(_, byte)| byte == b'\t').map(|(offset, _)| start + offset)
    })
}
