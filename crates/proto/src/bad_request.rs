//! Why a request is refused before anything is judged: where, what is wrong, and what helps.

use aegis_model::ids::BadName;
use aegis_model::json::JsonError;
use aegis_model::money::BadQuantity;
use aegis_model::reason::ReasonCode;

/// A malformed request. Always [`ReasonCode::InvalidRequest`]; a retry as it is fails again.
///
/// Names of members may be shown, since the client has to find them; values never are.
#[derive(Debug, thiserror::Error)]
pub enum BadRequest {
    /// Not JSON, or JSON that two readers may read differently.
    #[error("{}: {} at line {}, column {}", place(.at), .source.kind(), .source.line(), .source.column())]
    Json {
        /// JSON Pointer to the problem within the request.
        at: String,
        /// What is wrong in the document; its own places count from the document's start.
        source: JsonError,
    },
    /// A member that has no meaning here.
    #[error("{}: there is no member `{name}`", place(.at))]
    UnknownMember {
        /// JSON Pointer to the object.
        at: String,
        /// The member, shortened to [`SHOWN_NAME_CHARS_MAX`] characters.
        name: String,
        /// The members that have one.
        known: &'static [&'static str],
    },
    /// A member that has to be there is not.
    #[error("{}: it is missing", place(.at))]
    Missing {
        /// JSON Pointer to the member.
        at: String,
        /// What it has to be, e.g. `a string`.
        expected: &'static str,
    },
    /// A member of another JSON type. Nothing is coerced.
    #[error("{}: it is {found} instead of {expected}", place(.at))]
    WrongType {
        /// JSON Pointer to the member.
        at: String,
        /// What it has to be, e.g. `a string`.
        expected: &'static str,
        /// What it is, e.g. `a number`.
        found: &'static str,
    },
    /// A text that is no name.
    #[error("{}: it is not a name", place(.at))]
    Name {
        /// JSON Pointer to the member.
        at: String,
        /// What a name has to be.
        source: BadName,
    },
    /// A text that is no quantity.
    #[error("{}: it is not a quantity", place(.at))]
    Quantity {
        /// JSON Pointer to the member.
        at: String,
        /// What a quantity has to be.
        source: BadQuantity,
    },
    /// A text that is none of the permitted ones.
    #[error("{}: it has a value that is not known", place(.at))]
    UnknownValue {
        /// JSON Pointer to the member.
        at: String,
        /// The permitted values.
        known: &'static [&'static str],
    },
    /// A text with too many bytes, or a list with too many items.
    #[error("{}: it is longer than {max}", place(.at))]
    TooLong {
        /// JSON Pointer to the member.
        at: String,
        /// The bound, in bytes of a text or items of a list.
        max: usize,
    },
}

/// Most characters of an unknown member's name that a message repeats.
pub const SHOWN_NAME_CHARS_MAX: usize = 64;

impl BadRequest {
    /// The stable reason code.
    pub fn code(&self) -> ReasonCode {
        ReasonCode::InvalidRequest
    }

    /// Whether the same request may succeed later: never.
    pub fn retryable(&self) -> bool {
        false
    }

    /// JSON Pointer to what is wrong; empty for the request as a whole.
    pub fn path(&self) -> &str {
        match self {
            Self::Json { at, .. }
            | Self::UnknownMember { at, .. }
            | Self::Missing { at, .. }
            | Self::WrongType { at, .. }
            | Self::Name { at, .. }
            | Self::Quantity { at, .. }
            | Self::UnknownValue { at, .. }
            | Self::TooLong { at, .. } => at,
        }
    }

    /// One sentence that says what to do about it.
    pub fn help(&self) -> String {
        match self {
            Self::Json { source, .. } => source.help().to_owned(),
            Self::UnknownMember { known, .. } => format!("Known members are {}.", list(known)),
            Self::Missing { expected, .. } => format!("Send {expected}."),
            Self::WrongType { expected, .. } => format!("Send {expected}; nothing is coerced."),
            Self::Name { source, .. } => format!("Note that {source}."),
            Self::Quantity { source, .. } => format!("Note that {source}."),
            Self::UnknownValue { known, .. } => format!("Send one of {}.", list(known)),
            Self::TooLong { max, .. } => format!("Send at most {max}."),
        }
    }

    /// Problem and help, for a client.
    pub fn sentence(&self) -> String {
        format!("{self}. {}", self.help())
    }
}

/// The place for a message. A client chose the keys: escaped, they cannot break a line.
fn place(at: &str) -> String {
    if at.is_empty() { "the request".to_owned() } else { format!("`{}`", at.escape_debug()) }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
