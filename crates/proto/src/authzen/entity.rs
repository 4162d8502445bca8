//! Subject, action, resource and context: the four parts of an evaluation.

use std::sync::Arc;

use aegis_model::caps;
use aegis_model::json::JsonObject;

use crate::bad_request::BadRequest;
use crate::members::Members;

/// A subject or a resource: something with a type and an id.
pub(super) struct Entity {
    pub(super) id: String,
    pub(super) properties: JsonObject,
    /// JSON Pointer to the entity: a default stands elsewhere than the evaluation that uses it.
    pub(super) at: String,
}

/// What is to be done.
pub(super) struct Action {
    pub(super) name: String,
    pub(super) at: String,
}

/// The parts that an object names. Shared, so that a hundred evaluations hold one copy of a default.
pub(super) struct Parts {
    pub(super) subject: Option<Arc<Entity>>,
    pub(super) action: Option<Arc<Action>>,
    pub(super) resource: Option<Arc<Entity>>,
    pub(super) context: Option<Arc<JsonObject>>,
}

impl Parts {
    /// Takes the four parts out of `members`.
    pub(super) fn read(members: &mut Members) -> Result<Self, BadRequest> {
        Ok(Self {
            subject: read_entity(members, "subject")?.map(Arc::new),
            action: read_action(members)?.map(Arc::new),
            resource: read_entity(members, "resource")?.map(Arc::new),
            context: members.object("context")?.map(Arc::new),
        })
    }

    /// These parts, and the default's where there is none. A part is replaced whole, never merged.
    pub(super) fn or(self, default: &Parts) -> Self {
        Self {
            subject: self.subject.or_else(|| default.subject.clone()),
            action: self.action.or_else(|| default.action.clone()),
            resource: self.resource.or_else(|| default.resource.clone()),
            context: self.context.or_else(|| default.context.clone()),
        }
    }
}

fn read_entity(members: &mut Members, name: &str) -> Result<Option<Entity>, BadRequest> {
    let at = members.pointer(name);
    let Some(object) = members.object(name)? else { return Ok(None) };
    let mut entity = Members::new(object, &at, &["type", "id", "properties"])?;
    let kind = entity.required_text("type")?;
    if kind.len() > caps::NAME_BYTES_MAX {
        return Err(BadRequest::TooLong { at: entity.pointer("type"), max: caps::NAME_BYTES_MAX });
    }
    let id = entity.required_text("id")?;
    let properties = entity.object("properties")?.unwrap_or_default();
    Ok(Some(Entity { id, properties, at }))
}

fn read_action(members: &mut Members) -> Result<Option<Action>, BadRequest> {
    let at = members.pointer("action");
    let Some(object) = members.object("action")? else { return Ok(None) };
    let mut action = Members::new(object, &at, &["name", "properties"])?;
    let name = action.required_text("name")?;
    action.object("properties")?;
    Ok(Some(Action { name, at }))
}
