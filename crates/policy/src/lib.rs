//! Compiles policy text to a checked program and an OPA bundle; evaluates it to a verdict with its explanation.
//!
//! The way of a policy: sources → [`check`] → [`ast::PolicySet`] → [`compile`] (Rego units and an index) →
//! the bundle for a stock OPA, and [`prepared::Prepared`] for this process. The same units serve both.
//!
//! What this crate does not do: it reads no file, no clock and no socket; the caller brings texts and moments.

pub mod ast;
pub mod bundle;
pub mod cases;
pub mod check;
pub mod compile;
pub mod diagnostic;
pub mod diff;
pub mod enforce;
pub mod input;
pub mod judge;
mod parallel;
pub mod prepared;
pub mod program;
pub mod regex_subset;
mod schema;
pub mod sources;
pub mod tests_file;
mod yaml;

/// stub
pub mod custom {
    use crate::ast;
    use crate::diagnostic::Diagnostic;
    #[derive(Debug, Clone)]
    pub struct Module {
        pub name: String,
        pub rego: String,
        pub denies: bool,
        pub approves: bool,
    }
    pub fn module(_: &str, _: &ast::SourceFile, _: u32, span: ast::Span) -> Result<Module, Vec<Diagnostic>> {
        Err(vec![Diagnostic::error("custom-rego", span, "not yet")])
    }
    pub const BUILTINS: &[(&str, usize)] = &[];
    pub mod host {
        #[derive(Debug, thiserror::Error)]
        #[error("no")]
        pub struct HostError;
        pub fn call(_: &str, _: &[regorus::Value]) -> Result<regorus::Value, HostError> {
            Err(HostError)
        }
    }
}
