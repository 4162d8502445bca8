//! `aegis explain`: the page of a reason code.

use aegis_model::reason::ReasonCode;
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::json;

use crate::ended::Ended;
use crate::output::{Output, Tone};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis explain ParameterOutOfRange

The codes, too, may be listed: aegis explain --help")]
pub(crate) struct Options {
    /// The reason code; upper and lower case do not matter
    #[arg(ignore_case = true, value_parser = code_parser())]
    code: ReasonCode,
}

/// Through the list of all codes, so that clap names the nearest one and shells complete it.
fn code_parser() -> impl TypedValueParser<Value = ReasonCode> {
    let names = ReasonCode::ALL.iter().map(|code| code.as_str());
    PossibleValuesParser::new(names).map(|name| name.parse().expect("only the names of codes pass"))
}

pub(crate) fn run(options: &Options, output: Output) -> Ended {
    let code = options.code;
    let page = page(code);
    let told = json!({
        "code": code, "meaning": code.meaning(), "next_step": code.next_step(),
        "retryable": code.retryable(), "page": page,
    });
    output.result(&told, || plain(page, output));
    Ended::Done
}

/// The pages of `docs/errors`, built in. A code without a page does not compile.
macro_rules! pages {
    ($($code:ident)*) => {
        fn page(code: ReasonCode) -> &'static str {
            match code {
                $(ReasonCode::$code => include_str!(concat!("../../../docs/errors/", stringify!($code), ".md")),)*
            }
        }
    };
}

pages! {
    ToolNotAllowed ActionNotAllowed ToolDenied ParameterMissing ParameterType ParameterOutOfRange ParameterMismatch
    SchemaViolation ContextMismatch CallerNotAllowed ChainTooDeep OutsideTimeWindow CustomRule ScopeExceeded
    ApprovalRequired ApprovalPending ApprovalRejected ApprovalExpired OverrideInvalid OverrideUsed RateLimitExceeded
    BudgetExceeded EgressDenied SensitiveData Unauthenticated TokenExpired TokenRevoked WrongTenant UnknownAgent
    PolicyUnavailable PolicyStale LimitsUnavailable AuditUnavailable Overloaded InvalidRequest
}

/// The page for a terminal: headings stand out without marks, examples are indented, links keep their text.
fn plain(page: &str, output: Output) -> String {
    let mut lines = Vec::new();
    let mut example = false;
    for line in page.lines() {
        if line.starts_with("```") {
            example = !example;
            continue;
        }
        lines.push(match line.trim_start_matches('#') {
            _ if example => format!("  {line}"),
            heading if heading.len() < line.len() => output.paint(heading.trim_start(), Tone::Strong),
            text => without_links(text),
        });
    }
    lines.join("\n")
}

/// `[text](target)` becomes `text`.
fn without_links(line: &str) -> String {
    let mut text = String::new();
    let mut rest = line;
    while let Some((before, link)) = rest.split_once('[') {
        text.push_str(before);
        match link.split_once("](").and_then(|(label, target)| Some((label, target.split_once(')')?.1))) {
            Some((label, after)) if !label.contains('[') => {
                text.push_str(label);
                rest = after;
            }
            _ => {
                text.push('[');
                rest = link;
            }
        }
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_own_page() {
        for &code in ReasonCode::ALL {
            assert_eq!(page(code).lines().next(), Some(format!("# {code}").as_str()));
        }
    }

    #[test]
    fn links_keep_their_text_and_brackets_stay() {
        assert_eq!(without_links("see [the page](x.md) and [another](y.md)."), "see the page and another.");
        assert_eq!(without_links("`actions[0]`, [a](b)"), "`actions[0]`, a");
        assert_eq!(without_links("[*] and [x"), "[*] and [x");
    }
}
