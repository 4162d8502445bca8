//! `RemoveIssuer`: tokens of an issuer outside prove nobody any more, and what was given out on their strength ends.

use aegis_model::ids::TenantId;
use aegis_proto::control::{RemoveIssuer, RevocationKind, Revoke, Role, TokenIssuer, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use super::{checks, revoke};
use crate::state::writer::Writer;
use crate::state::{issuers, tenants};

/// The row that goes, and the revocation that comes.
pub(crate) struct Checked {
    tenant: TenantId,
    issuer: TokenIssuer,
    revoked: revoke::Checked,
}

impl Kind for RemoveIssuer {
    const NAME: &'static str = "RemoveIssuer";
    const WHO: Who = Who::roles(&[Role::Operator, Role::Admin]);
    type Checked = Checked;

    fn scope(&self) -> &str {
        &self.tenant
    }

    fn summary(&self) -> String {
        format!("issuer `{}`", self.name)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Checked, Failure> {
        let (tenant, _) = checks::living_tenant(state, &self.tenant)?;
        let issuer = issuers::issuer(state, &tenant, &self.name)?;
        let issuer = issuer.ok_or_else(|| Refused::unknown(Code::UnknownIssuer, "issuer", &self.name))?;
        let revoke = Revoke {
            tenant: self.tenant.clone(),
            kind: RevocationKind::Issuer.into(),
            subject: issuer.name.clone(),
            expires_ms: 0,
            reason: "the issuer was removed".to_owned(),
        };
        Ok(Checked { tenant, issuer, revoked: revoke.check(state, asked)? })
    }

    fn apply(checked: Checked, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let Checked { tenant, issuer, revoked } = checked;
        Revoke::apply(revoked, write)?;
        let mut counters = tenants::counters(write, &tenant)?;
        counters.issuers = counters.issuers.saturating_sub(1);
        tenants::put_counters(write, &tenant, &counters)?;
        issuers::delete(write, &issuer)?;
        Ok(done::Result::TokenIssuer(issuer))
    }
}
