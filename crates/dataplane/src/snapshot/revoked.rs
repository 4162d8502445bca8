//! Evidence that counts no more although its time is not over.

use std::collections::{HashMap, HashSet};

use aegis_identity::claims::BASIS;
use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::ids::AgentId;
use aegis_model::principal::Principal;
use serde_json::Value;

/// What was revoked for one tenant. Immutable; the next state brings another one.
#[derive(Debug, Default, Clone)]
pub struct Revoked {
    tokens: HashSet<Box<str>>,
    /// Ids of keys of agents.
    keys: HashSet<Box<str>>,
    /// Issuers outside: what was given out on their strength up to that moment counts no more.
    issuers: HashMap<Box<str>, UnixNanos>,
    /// Tokens issued up to that moment count no more; nothing: no token does.
    agents: HashMap<AgentId, Option<UnixNanos>>,
    /// Tokens issued before that moment count no more, whoever's they are.
    before: Option<UnixNanos>,
}

impl Revoked {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// With the token `token_id`.
    pub fn token(&mut self, token_id: &str) {
        self.tokens.insert(token_id.into());
    }

    /// With the key `key_id` of an agent, and so with everything that was given out on its strength.
    pub fn key(&mut self, key_id: &str) {
        self.keys.insert(key_id.into());
    }

    /// With everything that was given out up to a moment on the strength of an issuer outside.
    pub fn issuer(&mut self, name: &str, issued_until: UnixNanos) {
        let kept = self.issuers.entry(name.into()).or_insert(issued_until);
        *kept = (*kept).max(issued_until);
    }

    /// With the tokens of `agent` that were issued up to a moment; nothing: with all of them.
    pub fn agent(&mut self, agent: AgentId, issued_until: Option<UnixNanos>) {
        let kept = self.agents.entry(agent).or_insert(issued_until);
        // The stricter one stays: no moment covers every token.
        *kept = kept.zip(issued_until).map(|(one, other)| one.max(other));
    }

    /// With every token that was issued before `moment`.
    ///
    /// No clock skew is allowed for, since whoever mints takes its time from the same log that the moment is of.
    pub fn everything_before(&mut self, moment: UnixNanos) {
        self.before = self.before.max(Some(moment));
    }

    /// Whether the evidence behind `principal` was revoked: its token, a key or a token that it rests on, its agent, or an agent on
    /// whose behalf it acts.
    ///
    /// Clocks differ: a token that was issued within [`caps::CLOCK_SKEW_SECONDS_MAX`] after an agent's revocation, by
    /// its minter's clock, may have been issued before it, so it does not count either.
    pub(crate) fn covers(&self, principal: &Principal) -> bool {
        if self.tokens.contains(principal.token_id.as_str())
            || self.before.is_some_and(|moment| principal.issued_at < moment)
            || self.covers_basis(principal)
        {
            return true;
        }
        if self.agents.is_empty() {
            return false;
        }
        let before = |until: UnixNanos| was_issued_until(principal, until);
        std::iter::once(&principal.agent)
            .chain(&principal.callers)
            .filter_map(|agent| self.agents.get(agent))
            .any(|until| until.is_none_or(before))
    }
}

impl Revoked {
    /// Whether something was revoked that the token rests on. What newer software calls by another name may have been.
    fn covers_basis(&self, principal: &Principal) -> bool {
        let members = principal.claims.get(BASIS).and_then(Value::as_array).into_iter().flatten();
        members.map(|member| member.as_str().and_then(|text| text.split_once(':'))).any(|member| match member
        {
            Some(("key", id)) => self.keys.contains(id),
            Some(("token", id)) => self.tokens.contains(id),
            Some(("issuer", name)) => {
                self.issuers.get(name).is_some_and(|until| was_issued_until(principal, *until))
            }
            Some(_) | None => true,
        })
    }
}

/// Whether a token may have been issued up to `until`, by whatever clock.
fn was_issued_until(principal: &Principal, until: UnixNanos) -> bool {
    let skew = UnixNanos::from_seconds(caps::CLOCK_SKEW_SECONDS_MAX);
    principal.issued_at.0 <= until.0.saturating_add(skew.0)
}

#[cfg(test)]
mod tests {
    use aegis_model::json::JsonObject;
    use aegis_model::scope::Scope;

    use super::*;

    fn principal(agent: &str, callers: &[&str], issued_seconds: u64) -> Principal {
        Principal {
            org: "acme-inc".parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            agent: agent.parse().unwrap(),
            scope: Scope::parse("*:*"),
            callers: callers.iter().map(|caller| caller.parse().unwrap()).collect(),
            claims: JsonObject::new(),
            token_id: format!("token-of-{agent}"),
            issued_at: UnixNanos::from_seconds(issued_seconds),
            expires_at: UnixNanos(u64::MAX),
        }
    }

    #[test]
    fn a_moment_covers_every_token_before_it() {
        let mut revoked = Revoked::new();
        revoked.everything_before(UnixNanos::from_seconds(1_000));
        revoked.everything_before(UnixNanos::from_seconds(10));
        assert!(revoked.covers(&principal("a", &[], 999)), "the later moment stays");
        assert!(!revoked.covers(&principal("a", &[], 1_000)));
    }

    #[test]
    fn a_token_an_agent_and_whoever_acts_for_it() {
        let mut revoked = Revoked::new();
        assert!(!revoked.covers(&principal("a", &[], 1_000)));
        revoked.token("token-of-a");
        assert!(revoked.covers(&principal("a", &[], 1_000)));
        assert!(!revoked.covers(&principal("b", &["a"], 1_000)), "another token that names the same agent");
        revoked.agent("c".parse().unwrap(), Some(UnixNanos::from_seconds(500)));
        for (issued, expected) in [(400, true), (500, true), (530, true), (531, false)] {
            assert_eq!(revoked.covers(&principal("c", &[], issued)), expected, "issued at {issued}");
            assert_eq!(revoked.covers(&principal("b", &["x", "c"], issued)), expected, "issued at {issued}");
        }
    }

    #[test]
    fn what_a_token_rests_on_ends_it() {
        let resting = |members: &[&str]| {
            let mut principal = principal("a", &[], 1_000);
            principal.claims.insert(BASIS.to_owned(), serde_json::json!(members));
            principal
        };
        let mut revoked = Revoked::new();
        let both = resting(&["key:k-1", "token:t-1"]);
        assert!(!revoked.covers(&both));
        revoked.key("t-1");
        revoked.token("k-1");
        assert!(!revoked.covers(&both), "a key is no token");
        revoked.key("k-1");
        assert!(revoked.covers(&both) && !revoked.covers(&resting(&["token:t-1"])));
        revoked.token("t-1");
        assert!(revoked.covers(&resting(&["token:t-1"])));
        assert!(revoked.covers(&resting(&["moon:full"])), "nobody here can say whether it was revoked");
    }

    #[test]
    fn an_issuer_ends_what_it_proved_before() {
        let at = |seconds| {
            let mut principal = principal("a", &[], seconds);
            principal.claims.insert(BASIS.to_owned(), serde_json::json!(["issuer:ci", "token:t"]));
            principal
        };
        let mut revoked = Revoked::new();
        assert!(!revoked.covers(&at(1_000)));
        revoked.issuer("ci", UnixNanos::from_seconds(1_000));
        revoked.issuer("ci", UnixNanos::from_seconds(10));
        revoked.issuer("other", UnixNanos::from_seconds(9_000));
        assert!(revoked.covers(&at(999)) && revoked.covers(&at(1_030)), "by whatever clock");
        assert!(!revoked.covers(&at(1_031)) && !revoked.covers(&principal("a", &[], 999)));
    }

    #[test]
    fn the_stricter_of_two_revocations_counts() {
        let at = |seconds| Some(UnixNanos::from_seconds(seconds));
        for (first, second) in [(at(500), at(900)), (at(900), at(500)), (None, at(1)), (at(1), None)] {
            let mut revoked = Revoked::new();
            revoked.agent("a".parse().unwrap(), first);
            revoked.agent("a".parse().unwrap(), second);
            assert!(revoked.covers(&principal("a", &[], 900)), "{first:?} {second:?}");
        }
    }
}
