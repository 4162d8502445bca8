//! `Revoke`: a token, an agent's earlier tokens, a key of an agent, or what an issuer outside proved before is no longer accepted by the
//! tenant's nodes.

use aegis_identity::keys::KeyId;
use aegis_model::caps;
use aegis_model::ids::{AgentId, TenantId};
use aegis_proto::control::{Revocation, RevocationKind, Revoke, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::Refused;
use super::who::Who;
use super::{checks, set_issuer};
use crate::state::writer::Writer;
use crate::state::{revocations, tenants};

/// The row, and the one that it takes the place of.
pub(crate) struct Checked {
    tenant: TenantId,
    revocation: Revocation,
    known: Option<Revocation>,
}

impl Kind for Revoke {
    const NAME: &'static str = "Revoke";
    const WHO: Who = Who::roles(&[Role::Operator, Role::Admin]);
    type Checked = Checked;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        format!("{} `{}`", self.kind().as_str_name(), self.subject)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let (tenant, _) = checks::living_tenant(state, &self.tenant)?;
        let kind = self.kind();
        let subject = read_subject(kind, &self.subject)?;
        let known = revocations::revocation(state, &tenant, kind, &subject)?;
        if known.is_none() {
            let count = tenants::counters(state, &tenant)?.revocations;
            checks::room("revocations", count, caps::REVOCATIONS_MAX)?;
        }
        let revocation = Revocation {
            tenant: tenant.to_string(),
            kind: kind.into(),
            subject,
            at_ms: asked.now_ms(),
            expires_ms: end(self, known.as_ref(), asked)?,
            by: asked.by(),
            reason: checks::words("reason", &self.reason)?,
        };
        Ok(Checked { tenant, revocation, known })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { tenant, revocation, known } = checked;
        if known.is_none() {
            let mut counters = tenants::counters(write, &tenant)?;
            counters.revocations += 1;
            tenants::put_counters(write, &tenant, &counters)?;
        }
        revocations::put(write, &revocation, known.as_ref())?;
        Ok(done::Result::Revocation(revocation))
    }
}

fn read_subject(kind: RevocationKind, subject: &str) -> Result<String, Refused> {
    match kind {
        RevocationKind::Unspecified => Err(Refused::invalid("kind", "a known kind")),
        RevocationKind::Token => checks::token_id("subject", subject),
        RevocationKind::Agent => checks::name("subject", subject).map(AgentId::into),
        RevocationKind::Key => subject
            .parse::<KeyId>()
            .map(|id| id.to_string())
            .map_err(|error| Refused::invalid("subject", error)),
        // Also of one that was removed: its tokens may go on.
        RevocationKind::Issuer => set_issuer::name("subject", subject),
    }
}

/// When the revocation may be forgotten.
///
/// An agent token ends after [`caps::TOKEN_LIFE_SECONDS_MAX`] at the latest, so that what was minted before now is
/// history then, with room for clocks that differ. So it is with tokens of issuers outside, which go on for longer. A key can sign anew at any time: its revocation is never forgotten.
/// A repetition never shortens what is known.
fn end(command: &Revoke, known: Option<&Revocation>, asked: &Asked<'_>) -> Result<u64, Refused> {
    let margin_ms = 2 * caps::CLOCK_SKEW_SECONDS_MAX * 1_000;
    let after =
        |seconds: u64| asked.now_ms().saturating_add(seconds.saturating_mul(1_000)).saturating_add(margin_ms);
    let latest = after(caps::TOKEN_LIFE_SECONDS_MAX);
    let end = match command.kind() {
        RevocationKind::Key | RevocationKind::Unspecified => 0,
        RevocationKind::Agent => latest,
        RevocationKind::Issuer => after(caps::FOREIGN_TOKEN_SECONDS_MAX),
        RevocationKind::Token if command.expires_ms == 0 => latest,
        RevocationKind::Token => command.expires_ms.saturating_add(margin_ms).min(latest),
    };
    if command.expires_ms != 0 && command.expires_ms < asked.now_ms() {
        return Err(Refused::invalid("expires_ms", "in the future, or 0"));
    }
    Ok(match known {
        Some(known) if known.expires_ms == 0 => 0,
        Some(known) => end.max(known.expires_ms),
        None => end,
    })
}

#[cfg(test)]
mod tests {
    use aegis_proto::control::SweepExpired;

    use super::*;
    use crate::command::Code;
    use crate::testing::World;

    fn revoke(kind: RevocationKind, subject: &str, expires_ms: u64) -> Revoke {
        let (tenant, subject) = ("acme".to_owned(), subject.to_owned());
        Revoke { tenant, kind: kind.into(), subject, expires_ms, reason: "leaked".to_owned() }
    }

    #[test]
    fn a_revocation_is_forgotten_only_after_what_it_revokes() {
        let world = World::new();
        let acme = world.tenant("acme");
        let key = World::signing_key("agent").id().to_string();
        let now_ms = world.now_ms();
        world.done(revoke(RevocationKind::Token, "t-1", now_ms + 60_000), &World::root());
        world.done(revoke(RevocationKind::Token, "t-2", 0), &World::root());
        world.done(revoke(RevocationKind::Agent, "crawler", 0), &World::root());
        world.done(revoke(RevocationKind::Issuer, "ci", 0), &World::root());
        world.done(revoke(RevocationKind::Key, &key, now_ms + 1_000), &World::root());
        let sweep = || world.done(SweepExpired { tenant: "acme".to_owned() }, &World::node());
        let left = || {
            let query = crate::state::page::PageQuery::first();
            let page = revocations::revocations(&world.view(), &acme, &query).expect("memory");
            page.rows.into_iter().map(|row| row.subject).collect::<Vec<_>>()
        };
        world.pass_seconds(60 + 2 * caps::CLOCK_SKEW_SECONDS_MAX - 1);
        sweep();
        assert_eq!(left(), ["t-1", "t-2", "crawler", key.as_str(), "ci"]);
        world.pass_seconds(1);
        sweep();
        assert_eq!(left(), ["t-2", "crawler", key.as_str(), "ci"]);
        world.pass_seconds(caps::TOKEN_LIFE_SECONDS_MAX);
        sweep();
        assert_eq!(left(), [key.as_str(), "ci"], "tokens of issuers go on for a day");
        world.pass_seconds(caps::FOREIGN_TOKEN_SECONDS_MAX);
        sweep();
        assert_eq!(left(), [key.as_str()], "a key is never forgotten");
        assert_eq!(tenants::counters(&world.view(), &acme).expect("memory").revocations, 1);
    }

    #[test]
    fn a_repetition_never_shortens_what_is_known() {
        let world = World::new();
        let acme = world.tenant("acme");
        let now_ms = world.now_ms();
        world.done(revoke(RevocationKind::Token, "t-1", now_ms + 120_000), &World::root());
        world.done(revoke(RevocationKind::Token, "t-1", now_ms + 1_000), &World::root());
        let row = revocations::revocation(&world.view(), &acme, RevocationKind::Token, "t-1");
        let margin_ms = 2 * caps::CLOCK_SKEW_SECONDS_MAX * 1_000;
        assert_eq!(row.expect("memory").expect("one").expires_ms, now_ms + 120_000 + margin_ms);
        assert_eq!(tenants::counters(&world.view(), &acme).expect("memory").revocations, 1);
    }

    #[test]
    fn forms_are_checked() {
        let world = World::new();
        world.tenant("acme");
        let bad = [
            revoke(RevocationKind::Unspecified, "t", 0),
            Revoke { kind: 99, ..revoke(RevocationKind::Token, "t", 0) },
            revoke(RevocationKind::Token, "", 0),
            revoke(RevocationKind::Token, "t", 1),
            revoke(RevocationKind::Agent, "a b", 0),
            revoke(RevocationKind::Key, "no thumbprint", 0),
            Revoke { reason: "r".repeat(caps::WORDS_BYTES_MAX + 1), ..revoke(RevocationKind::Token, "t", 0) },
        ];
        for command in bad {
            assert_eq!(world.refused(command, &World::root()).code, Code::Invalid);
        }
    }
}
