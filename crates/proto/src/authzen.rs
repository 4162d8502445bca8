//! AuthZEN Authorization API 1.0: its messages, read strictly, and what they mean here.
//!
//! | AuthZEN | here |
//! |---|---|
//! | `subject.id` | the agent; the surface compares it with the token |
//! | `resource.id`, `resource.properties` | the tool, its parameters |
//! | `action.name` | the action |
//! | `context` | the call's context |
//! | `subject.type`, `resource.type`, `subject.properties`, `action.properties` | read, and not judged |
//!
//! AuthZEN lets each `properties` and `context` hold anything; a member that is unknown anywhere else is
//! refused, options included. Source: <https://openid.net/specs/authorization-api-1_0.html>.

mod answer;
mod entity;
mod metadata;
mod request;

pub use answer::{AnswerContext, EvaluationAnswer, EvaluationAnswers, EvaluationError};
pub use metadata::{EVALUATION_PATH, EVALUATIONS_PATH, METADATA_PATH, Metadata};
pub use request::{Evaluation, Evaluations, Semantic, read_evaluation, read_evaluations};

#[cfg(test)]
mod tests;
