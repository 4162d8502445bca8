//! Places in a JSON value.

/// One step from a value to a value within it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The member of this name.
    Key(String),
    /// The element at this index.
    Index(usize),
    /// Every element.
    Each,
}

/// The steps from the root to a place, or to several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path(pub Vec<Step>);

/// A step that was taken.
#[derive(Debug, Clone, Copy)]
pub(super) enum Taken<'a> {
    Key(&'a str),
    Index(usize),
}

impl Step {
    /// Whether this is the step that was taken.
    pub(super) fn takes(&self, taken: Taken<'_>) -> bool {
        match (self, taken) {
            (Self::Key(name), Taken::Key(key)) => name == key,
            (Self::Index(wanted), Taken::Index(at)) => *wanted == at,
            (Self::Each, Taken::Index(_)) => true,
            (Self::Key(_) | Self::Index(_) | Self::Each, _) => false,
        }
    }
}
