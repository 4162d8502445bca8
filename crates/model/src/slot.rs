//! The slot of an agent: which share of the agents it belongs to, computed alike by nodes and clients.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::caps;
use crate::ids::{AgentId, TenantId};

/// One of [`caps::SLOTS`] parts of all agents. Data nodes own slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// The slot of an agent: the first 8 bytes of `SHA-256(tenant 0x00 agent)`, big-endian, modulo [`caps::SLOTS`]. No name
    /// holds a zero byte, so that no two pairs are hashed alike.
    pub fn of(tenant: &TenantId, agent: &AgentId) -> Self {
        let mut hash = Sha256::new();
        hash.update(tenant.as_str());
        hash.update([0]);
        hash.update(agent.as_str());
        let digest: [u8; 32] = hash.finalize().into();
        let first = digest.iter().take(8).fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        Self((first % u64::from(caps::SLOTS)) as u16)
    }

    /// The slot of this number, if there is one.
    pub fn new(number: u16) -> Option<Self> {
        (number < caps::SLOTS).then_some(Self(number))
    }

    /// Its number, less than [`caps::SLOTS`].
    pub fn number(self) -> u16 {
        self.0
    }

    /// All slots, in order.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        (0..caps::SLOTS).map(Self)
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot(tenant: &str, agent: &str) -> u16 {
        Slot::of(&tenant.parse().unwrap(), &agent.parse().unwrap()).number()
    }

    /// Computed with another implementation: `int(sha256(tenant + "\0" + agent)[:8]) % 1024` of Python's `hashlib`.
    #[test]
    fn slots_are_those_of_the_definition() {
        for (tenant, agent, number) in [
            ("acme", "finance-agent", 15),
            ("acme", "clinical-agent", 741),
            ("a", "b", 467),
            ("acme-payments", "deploy-agent", 705),
            ("globex/eu", "planner:1", 443),
        ] {
            assert_eq!(slot(tenant, agent), number, "{tenant} {agent}");
        }
        assert_eq!(slot(&"t".repeat(128), &"a".repeat(128)), 867);
    }

    #[test]
    fn the_border_between_the_names_counts() {
        assert_ne!(slot("acme", "payments-agent"), slot("acmepayments", "-agent"));
    }

    #[test]
    fn every_slot_has_a_number_and_no_other_number_has_one() {
        assert_eq!(Slot::all().len(), usize::from(caps::SLOTS));
        assert!(Slot::all().all(|slot| Slot::new(slot.number()) == Some(slot)));
        assert_eq!(Slot::new(caps::SLOTS), None);
    }
}
