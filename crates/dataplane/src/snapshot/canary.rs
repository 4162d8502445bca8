//! Which agents a canary judges: a share that stays the same from call to call, and grows without losing anybody.

use aegis_model::ids::{AgentId, TenantId};
use sha2::{Digest, Sha256};

/// A share in percent: 0 to 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(u8);

impl Percent {
    /// So many of a hundred; nothing above 100.
    pub fn new(percent: u32) -> Option<Self> {
        u8::try_from(percent).ok().filter(|&percent| percent <= 100).map(Self)
    }

    /// So many of a hundred.
    pub fn get(self) -> u8 {
        self.0
    }
}

/// Whether `agent` of `tenant` is among the `share` of agents that a canary judges: the first 8 bytes, big-endian, of
/// SHA-256(`canary`, 0x00, tenant, 0x00, agent), modulo 100, are below it. Names hold no zero byte.
///
/// Whoever is in at a share is in at every larger one, so that raising it moves nobody back.
pub fn is_in_canary(tenant: &TenantId, agent: &AgentId, share: Percent) -> bool {
    match share.0 {
        0 => false,
        100.. => true,
        share => place(tenant, agent) < u64::from(share),
    }
}

/// The agent's place: 0 to 99.
fn place(tenant: &TenantId, agent: &AgentId) -> u64 {
    let mut hash = Sha256::new();
    for part in ["canary", "\0", tenant.as_str(), "\0", agent.as_str()] {
        hash.update(part.as_bytes());
    }
    let hash: [u8; 32] = hash.finalize().into();
    let (first, _) = hash.split_first_chunk().expect("a hash has more than 8 bytes");
    u64::from_be_bytes(*first) % 100
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agents(count: usize) -> impl Iterator<Item = AgentId> {
        (0..count).map(|number| format!("agent-{number}").parse().expect("a name"))
    }

    #[test]
    fn nobody_everybody_and_about_the_share_in_between() {
        let tenant: TenantId = "acme".parse().unwrap();
        for (percent, least, most) in
            [(0, 0, 0), (1, 60, 140), (5, 400, 600), (50, 4_800, 5_200), (100, 10_000, 10_000)]
        {
            let share = Percent::new(percent).unwrap();
            let within = agents(10_000).filter(|agent| is_in_canary(&tenant, agent, share)).count();
            assert!((least..=most).contains(&within), "{percent} %: {within} of 10,000");
        }
        assert_eq!(Percent::new(101), None);
    }

    #[test]
    fn raising_the_share_moves_nobody_back() {
        let tenant: TenantId = "acme".parse().unwrap();
        for agent in agents(200) {
            let within: Vec<bool> =
                (0..=100).map(|percent| is_in_canary(&tenant, &agent, Percent(percent))).collect();
            assert!(within.is_sorted(), "{agent}: {within:?}");
            assert_eq!(within.iter().filter(|&&within| within).count() as u64, 100 - place(&tenant, &agent));
        }
    }

    #[test]
    fn places_are_those_of_the_definition() {
        // Computed by another program.
        for (tenant, agent, expected) in VECTORS {
            let (tenant, agent) = (tenant.parse().unwrap(), agent.parse().unwrap());
            assert_eq!(place(&tenant, &agent), expected, "{tenant} {agent}");
        }
    }

    const VECTORS: [(&str, &str, u64); 3] =
        [("acme", "finance-agent", 2), ("acme", "research-agent", 91), ("acme-eu", "finance-agent", 65)];
}
