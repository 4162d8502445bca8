//! Who wants a command.

use std::fmt;

use aegis_model::ids::PersonId;
use aegis_proto::control as proto;

/// How a control node is named where a person could be. No person may have such a name.
pub(crate) const CONTROL_NODE_PREFIX: &str = "control-node:";

/// Who wants a command. What they may do is looked up when it is applied, so that a right that was taken away, or a
/// token that was revoked, no longer counts however long the command was on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A person, proven by the admin API.
    Person {
        /// The name.
        name: PersonId,
        /// The `jti` of the person token that proved it; nothing if it was proven otherwise, as by a certificate.
        token_id: Option<String>,
    },
    /// A control node itself, by its Raft node id; for what no person asked for.
    ControlNode(u64),
}

impl Actor {
    /// A person who was proven by the token with this `jti`.
    pub fn by_token(name: PersonId, token_id: impl Into<String>) -> Self {
        Self::Person { name, token_id: Some(token_id.into()) }
    }

    /// A person who was proven otherwise.
    pub fn person(name: PersonId) -> Self {
        Self::Person { name, token_id: None }
    }
}

/// As it stands in records and rows: `alice@example.com`, `control-node:17`.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person { name, .. } => write!(f, "{name}"),
            Self::ControlNode(id) => write!(f, "{CONTROL_NODE_PREFIX}{id}"),
        }
    }
}

impl From<&Actor> for proto::Actor {
    fn from(actor: &Actor) -> Self {
        let who = match actor {
            Actor::Person { name, token_id } => proto::actor::Who::Person(proto::PersonActor {
                name: name.to_string(),
                token_id: token_id.clone().unwrap_or_default(),
            }),
            Actor::ControlNode(id) => proto::actor::Who::ControlNode(*id),
        };
        Self { who: Some(who) }
    }
}

/// Reads an actor; nothing if nobody, or nobody possible, is named.
pub(crate) fn read(actor: proto::Actor) -> Option<Actor> {
    match actor.who? {
        proto::actor::Who::Person(person) => Some(Actor::Person {
            name: person.name.parse().ok()?,
            token_id: (!person.token_id.is_empty()).then_some(person.token_id),
        }),
        proto::actor::Who::ControlNode(id) => Some(Actor::ControlNode(id)),
    }
}
