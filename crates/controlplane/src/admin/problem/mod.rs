//! Why a call of the admin API has no answer but a problem: one value for both surfaces.
//!
//! [`code`] has the stable codes, [`status`] what each of them is over HTTP and gRPC, [`help`] what to do about it.

pub mod code;
pub(crate) mod help;
pub(crate) mod status;

mod causes;

use std::fmt;

use aegis_proto::admin as wire;

pub use code::{ApiCode, ProblemCode};

/// Where the codes are explained, relative to the address that was asked.
pub(crate) const PAGES: &str = "/admin/v1/problems/";

/// A problem. Holds neither secrets nor policy text, but for the excerpts of a policy that its author is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    /// Why, as a stable code.
    pub code: ProblemCode,
    /// Why, for people.
    pub detail: String,
    /// The place in the body: a JSON Pointer; may be empty.
    pub pointer: String,
    /// What a program needs to go on.
    pub facts: Vec<(String, String)>,
    /// What is wrong with a policy.
    pub findings: Vec<wire::PolicyFinding>,
    /// How many more findings there are.
    pub more_findings: u32,
}

impl Problem {
    pub(crate) fn new(code: impl Into<ProblemCode>, detail: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            detail: detail.into(),
            pointer: String::new(),
            facts: Vec::new(),
            findings: Vec::new(),
            more_findings: 0,
        }
    }

    pub(crate) fn with(mut self, name: &str, value: impl fmt::Display) -> Self {
        self.facts.push((name.to_owned(), value.to_string()));
        self
    }

    pub(crate) fn at(mut self, pointer: impl Into<String>) -> Self {
        self.pointer = pointer.into();
        self
    }

    /// A field does not have the form that it must have.
    pub(crate) fn invalid(field: &str, form: impl fmt::Display) -> Self {
        Self::new(crate::command::Code::Invalid, format!("`{field}` must be: {form}")).with("field", field)
    }

    /// The node is at fault; what exactly stands in its log.
    pub(crate) fn internal(what: &'static str) -> Self {
        tracing::error!(what, "the admin API failed");
        Self::new(ApiCode::Internal, "the control node failed; its log says more")
    }

    /// What to do about it, in words.
    pub fn help(&self) -> &'static str {
        help::help(self.code)
    }

    /// When to try the same again, in milliseconds; nothing if the same is refused again.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.code.retryable().then_some(aegis_model::caps::RETRY_AFTER_MS)
    }

    /// The document of RFC 9457.
    pub(crate) fn document(&self) -> wire::Problem {
        let status = status::http(self.code);
        let fact =
            |(name, value): &(String, String)| wire::ProblemFact { name: name.clone(), value: value.clone() };
        wire::Problem {
            r#type: format!("{PAGES}{}", self.code.as_str()),
            title: status.canonical_reason().unwrap_or("Error").to_owned(),
            status: status.as_u16().into(),
            code: self.code.as_str().to_owned(),
            detail: self.detail.clone(),
            help: self.help().to_owned(),
            pointer: self.pointer.clone(),
            facts: self.facts.iter().map(fact).collect(),
            findings: self.findings.clone(),
            more_findings: self.more_findings,
            retry_after_ms: self.retry_after_ms(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code.as_str(), self.detail)
    }
}

impl std::error::Error for Problem {}
