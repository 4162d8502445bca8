//! Ids of decisions: they name the node and its incarnation, and never occur twice.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use aegis_model::caps::NODE_NAME_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// The name of a node: 1 to [`NODE_NAME_BYTES_MAX`] characters of `a-z 0-9 -`, neither first nor last a `-`.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// Why a text is not a node name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a node name has 1 to {NODE_NAME_BYTES_MAX} characters of `a-z 0-9 -` and neither begins nor ends with `-`"
)]
pub struct BadNodeName;

impl FromStr for NodeName {
    type Err = BadNodeName;

    fn from_str(text: &str) -> Result<Self, BadNodeName> {
        let valid = (1..=NODE_NAME_BYTES_MAX).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
            && !text.starts_with('-')
            && !text.ends_with('-');
        if valid { Ok(Self(text.to_owned())) } else { Err(BadNodeName) }
    }
}

impl TryFrom<String> for NodeName {
    type Error = BadNodeName;
    fn try_from(text: String) -> Result<Self, BadNodeName> {
        text.parse()
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> String {
        name.0
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Makes the ids of one incarnation: `d-NODE-INCARNATION-COUNTER`, the numbers in base 32 without `i l o u`
/// (Crockford). They are unique, not secret: nothing is proven by knowing one.
#[derive(Debug)]
pub(crate) struct DecisionIds {
    node: String,
    /// 0 until it is given; nothing is decided before.
    incarnation: AtomicU64,
    next: AtomicU64,
}

impl DecisionIds {
    /// Ids of `node` in its `incarnation`, which no start of the node has had before.
    pub(crate) fn new(node: &NodeName, incarnation: u64) -> Self {
        let incarnation = AtomicU64::new(incarnation);
        Self { node: format!("d-{node}-"), incarnation, next: AtomicU64::new(1) }
    }

    /// Gives the incarnation to a node that has none yet. Whether it is this one now.
    pub(crate) fn begin(&self, incarnation: u64) -> bool {
        let given = self.incarnation.compare_exchange(0, incarnation, Ordering::Relaxed, Ordering::Relaxed);
        given.is_ok_and(|_none| incarnation != 0) || given == Err(incarnation)
    }

    /// The incarnation; 0: not given yet.
    pub(crate) fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Relaxed)
    }

    /// An id that was never given before.
    pub(crate) fn next(&self) -> String {
        let mut id = String::with_capacity(self.node.len() + 27);
        id.push_str(&self.node);
        push_base32(&mut id, self.incarnation());
        id.push('-');
        push_base32(&mut id, self.next.fetch_add(1, Ordering::Relaxed));
        id
    }
}

/// A decision that was not made by this process.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Elsewhere {
    /// No decision id at all.
    #[error("it is no id of a decision")]
    Nowhere,
    /// By another node.
    #[error("node `{0}` made the decision: ask that one")]
    Node(String),
    /// By this node in an earlier life.
    #[error("the node was started anew since the decision: its charge stays as it is")]
    Before,
}

impl DecisionIds {
    /// Whether this process made `id`.
    ///
    /// # Errors
    /// Who else did.
    pub(crate) fn check(&self, id: &str) -> Result<(), Elsewhere> {
        let mut parts = id.rsplitn(3, '-');
        let (Some(_counter), Some(incarnation), Some(node)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(Elsewhere::Nowhere);
        };
        let node: NodeName =
            node.strip_prefix("d-").and_then(|name| name.parse().ok()).ok_or(Elsewhere::Nowhere)?;
        if self.node.strip_prefix("d-").and_then(|own| own.strip_suffix('-')) != Some(node.0.as_str()) {
            return Err(Elsewhere::Node(node.0));
        }
        let mut own = String::new();
        push_base32(&mut own, self.incarnation());
        if incarnation == own { Ok(()) } else { Err(Elsewhere::Before) }
    }
}

/// Appends `number` in base 32, without leading zeros, at most 13 characters.
fn push_base32(text: &mut String, number: u64) {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
    let significant = (64 - number.leading_zeros()).div_ceil(5).max(1);
    for digit in (0..significant).rev() {
        text.push(char::from(DIGITS[(number >> (5 * digit)) as usize & 31]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_name_node_and_incarnation() {
        let ids = DecisionIds::new(&"eu-1".parse().unwrap(), 33);
        let made: Vec<_> = (0..33).map(|_| ids.next()).collect();
        assert_eq!(made[0], "d-eu-1-11-1");
        assert_eq!(made[30], "d-eu-1-11-z");
        assert_eq!(made[31], "d-eu-1-11-10");
    }

    #[test]
    fn an_id_says_who_made_it() {
        let ids = DecisionIds::new(&"eu-1".parse().unwrap(), 33);
        assert_eq!(ids.check(&ids.next()), Ok(()));
        assert_eq!(ids.check("d-eu-1-z-1"), Err(Elsewhere::Before));
        assert_eq!(ids.check("d-eu-2-11-1"), Err(Elsewhere::Node("eu-2".to_owned())));
        for text in ["", "d", "d-1-1", "x-eu-1-11-1", "d--11-1", "d-E-11-1", "--"] {
            assert_eq!(ids.check(text), Err(Elsewhere::Nowhere), "{text:?}");
        }
    }

    #[test]
    fn an_incarnation_is_given_once() {
        let ids = DecisionIds::new(&"n".parse().unwrap(), 0);
        assert!(!ids.begin(0), "none is none");
        assert!(ids.begin(7) && ids.begin(7));
        assert!(!ids.begin(8) && !ids.begin(0));
        assert_eq!((ids.incarnation(), ids.next().as_str()), (7, "d-n-7-1"));
    }

    #[test]
    fn base_32_is_exact_at_its_ends() {
        for (number, expected) in [(0, "0"), (31, "z"), (32, "10"), (u64::MAX, "fzzzzzzzzzzzz")] {
            let mut text = String::new();
            push_base32(&mut text, number);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn a_node_name_cannot_break_an_id() {
        for text in ["", "-a", "a-", "A", "a_b", "a b", &"a".repeat(NODE_NAME_BYTES_MAX + 1)] {
            assert_eq!(text.parse::<NodeName>(), Err(BadNodeName), "{text:?}");
        }
        assert!("eu-west-1".parse::<NodeName>().is_ok());
    }
}
