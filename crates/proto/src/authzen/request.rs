//! `POST /access/v1/evaluation` and `/access/v1/evaluations`: what is asked.

use std::sync::Arc;

use aegis_model::call::ToolCall;
use aegis_model::caps;
use aegis_model::ids::AgentId;
use aegis_model::json::JsonObject;
use serde_json::Value;

use super::entity::{Action, Entity, Parts};
use crate::bad_request::BadRequest;
use crate::members::{Members, kind, name, read_object};

/// One evaluation, whole: nothing in it is missing any more, but its names are not yet checked.
pub struct Evaluation {
    subject: Arc<Entity>,
    action: Arc<Action>,
    resource: Arc<Entity>,
    context: Option<Arc<JsonObject>>,
}

impl Evaluation {
    /// The agent that the question is about (`subject.id`). It must be the token's `sub`, or one that the
    /// token may assert; the surface checks that.
    pub fn agent(&self) -> Result<AgentId, BadRequest> {
        name(&self.subject.id, &format!("{}/id", self.subject.at))
    }

    /// The call to judge. An error concerns this evaluation only; the others of its request go on.
    pub fn call(&self) -> Result<ToolCall, BadRequest> {
        Ok(ToolCall {
            request_id: None,
            tool: name(&self.resource.id, &format!("{}/id", self.resource.at))?,
            action: name(&self.action.name, &format!("{}/name", self.action.at))?,
            params: self.resource.properties.clone(),
            context: self.context.as_deref().cloned().unwrap_or_default(),
            cost: None,
            override_token: None,
            dry_run: false,
            explain: false,
            wait_ms: 0,
            sign_receipt: false,
        })
    }

    /// `parts` with nothing missing; `at` is where they were looked for.
    fn new(parts: Parts, at: &str) -> Result<Self, BadRequest> {
        let missing = |name: &str| BadRequest::Missing { at: format!("{at}/{name}"), expected: "an object" };
        Ok(Self {
            subject: parts.subject.ok_or_else(|| missing("subject"))?,
            action: parts.action.ok_or_else(|| missing("action"))?,
            resource: parts.resource.ok_or_else(|| missing("resource"))?,
            context: parts.context,
        })
    }
}

impl std::fmt::Debug for Evaluation {
    /// Says where its parts stand; properties and context are values of the call.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Evaluation")
            .field("subject", &self.subject.at)
            .field("action", &self.action.at)
            .field("resource", &self.resource.at)
            .finish_non_exhaustive()
    }
}

/// When a list of evaluations ends early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Semantic {
    /// Never: each evaluation is answered.
    #[default]
    ExecuteAll,
    /// After the first one that is denied or fails; that one is still answered.
    DenyOnFirstDeny,
    /// After the first one that is permitted; that one is still answered.
    PermitOnFirstPermit,
}

impl Semantic {
    const NAMES: &'static [&'static str] = &["execute_all", "deny_on_first_deny", "permit_on_first_permit"];

    /// Whether an evaluation that was answered with `decision` is the last one to be looked at.
    pub fn ends_after(self, decision: bool) -> bool {
        match self {
            Self::ExecuteAll => false,
            Self::DenyOnFirstDeny => !decision,
            Self::PermitOnFirstPermit => decision,
        }
    }

    fn read(options: &mut Members) -> Result<Self, BadRequest> {
        let at = options.pointer("evaluations_semantic");
        match options.text("evaluations_semantic")?.as_deref() {
            None | Some("execute_all") => Ok(Self::ExecuteAll),
            Some("deny_on_first_deny") => Ok(Self::DenyOnFirstDeny),
            Some("permit_on_first_permit") => Ok(Self::PermitOnFirstPermit),
            Some(_) => Err(BadRequest::UnknownValue { at, known: Self::NAMES }),
        }
    }
}

/// What `POST /access/v1/evaluations` asks.
#[derive(Debug)]
pub enum Evaluations {
    /// No list, or an empty one: a single evaluation, to be answered as such.
    One(Evaluation),
    /// A list of 1 to [`caps::EVALUATIONS_MAX`], to be answered in its order.
    Many {
        /// The evaluations, defaults filled in.
        evaluations: Vec<Evaluation>,
        /// When to end early.
        semantic: Semantic,
    },
}

/// Reads the body of `POST /access/v1/evaluation`.
///
/// Errors: the body is not one strict JSON object, holds an unknown member, or a part is missing or malformed.
pub fn read_evaluation(body: &[u8]) -> Result<Evaluation, BadRequest> {
    let known = &["subject", "action", "resource", "context"];
    let mut members = Members::new(read_object(body, "")?, "", known)?;
    Evaluation::new(Parts::read(&mut members)?, "")
}

/// Reads the body of `POST /access/v1/evaluations`.
///
/// Errors: as for one evaluation; also more than [`caps::EVALUATIONS_MAX`] evaluations, and an evaluation
/// that lacks a part for which there is no default.
pub fn read_evaluations(body: &[u8]) -> Result<Evaluations, BadRequest> {
    let known = &["subject", "action", "resource", "context", "evaluations", "options"];
    let mut members = Members::new(read_object(body, "")?, "", known)?;
    let defaults = Parts::read(&mut members)?;
    let semantic = match members.object("options")? {
        None => Semantic::default(),
        Some(options) => Semantic::read(&mut Members::new(options, "/options", &["evaluations_semantic"])?)?,
    };
    let items = members.list("evaluations")?.unwrap_or_default();
    if items.is_empty() {
        return Evaluation::new(defaults, "").map(Evaluations::One);
    }
    if items.len() > caps::EVALUATIONS_MAX {
        return Err(BadRequest::TooLong { at: "/evaluations".to_owned(), max: caps::EVALUATIONS_MAX });
    }
    let evaluations = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| read_item(item, &format!("/evaluations/{index}"), &defaults))
        .collect::<Result<_, _>>()?;
    Ok(Evaluations::Many { evaluations, semantic })
}

fn read_item(item: Value, at: &str, defaults: &Parts) -> Result<Evaluation, BadRequest> {
    let Value::Object(object) = item else {
        let found = kind(&item);
        return Err(BadRequest::WrongType { at: at.to_owned(), expected: "an object", found });
    };
    let mut members = Members::new(object, at, &["subject", "action", "resource", "context"])?;
    Evaluation::new(Parts::read(&mut members)?.or(defaults), at)
}
