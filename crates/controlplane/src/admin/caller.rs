//! Who asks: from a person token to a caller, what they may read, and how a write becomes a command.

use std::sync::atomic::{AtomicBool, Ordering};

use aegis_identity::person::{ProvenPerson, verify_person};
use aegis_identity::refusal::TokenRefusal;
use aegis_model::ids::{PersonId, TenantId};
use aegis_proto::control::done;
use aegis_raft_store::tables::{StateView, StoreError};
use prost::{Message, Name};
use sha2::{Digest, Sha256};

use super::access::Read;
use super::problem::ApiCode;
use super::{Admin, Problem};
use crate::command::actor::Actor;
use crate::command::envelope::Once;
use crate::command::{self, Code, Request, response, who};
use crate::control::ProposeError;
use crate::keys::{KeyKind, keyring};
use crate::spans::Notes;
use crate::state::key::Scope;
use crate::state::{idempotency, meta};

/// A person who was proven, with the call they make.
#[derive(Debug)]
pub(crate) struct Caller {
    admin: Admin,
    proven: ProvenPerson,
    actor: Actor,
    idempotency_key: Option<String>,
    replayed: AtomicBool,
    notes: Option<Notes>,
}

impl Caller {
    /// The person of `token`, if it counts: signed by the cluster, not over, given out, not revoked, and the person is
    /// somebody who is not disabled.
    ///
    /// What this node has applied decides. Where that refuses, the newest state is asked once, since a token may have been
    /// given out a moment ago by another node. A revocation that has not arrived here yet is noticed by each read and each
    /// command, which look again.
    pub(crate) async fn identify(
        admin: &Admin,
        token: &str,
        idempotency_key: Option<String>,
        notes: Option<Notes>,
    ) -> Result<Self, Problem> {
        let proven = Notes::step(notes.as_ref(), "identify", prove(admin, token)).await?;
        if let Some(notes) = &notes {
            notes.person_token(&proven.token_id);
        }
        let actor = Actor::by_token(proven.person.clone(), proven.token_id.clone());
        let replayed = AtomicBool::new(false);
        Ok(Self { admin: admin.clone(), proven, actor, idempotency_key, replayed, notes })
    }

    pub(crate) fn admin(&self) -> &Admin {
        &self.admin
    }

    pub(crate) fn person(&self) -> &PersonId {
        &self.proven.person
    }

    pub(crate) fn proven(&self) -> &ProvenPerson {
        &self.proven
    }

    pub(crate) fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Whether the answer is an earlier one, given again for the same idempotency key.
    pub(crate) fn replayed(&self) -> bool {
        self.replayed.load(Ordering::Relaxed)
    }

    /// The state as of now, for somebody who may read it: the only way to it (TEN-1).
    pub(crate) async fn reads(&self, what: Read<'_>) -> Result<StateView, Problem> {
        self.note_scope(&what.needs().scope);
        let read = self.admin.control().read();
        let state = Notes::step(self.notes.as_ref(), "read", read).await?;
        self.may(&state, what)?;
        Ok(state)
    }

    /// The state as this node has applied it, for somebody who may read it: where no leader is needed.
    pub(crate) fn reads_applied(&self, what: Read<'_>) -> Result<StateView, Problem> {
        self.note_scope(&what.needs().scope);
        let state = self.admin.control().view()?;
        self.may(&state, what)?;
        Ok(state)
    }

    fn may(&self, state: &StateView, what: Read<'_>) -> Result<(), Problem> {
        if !counts(&self.admin, state, &self.proven)? {
            return Err(Refusal::NotGood.into());
        }
        let needs = what.needs();
        let oneself = needs.or_anybody || needs.or_oneself == Some(self.person());
        if oneself || who::may(state, self.person(), &needs.scope, needs.roles)? {
            return Ok(());
        }
        let names: Vec<String> = needs.roles.iter().map(|role| who::name(*role)).collect();
        let detail =
            format!("this is not permitted: it needs role `{}` on `{}`", names.join("` or `"), needs.scope);
        Err(Problem::new(Code::Forbidden, detail).with("roles", names.join(",")))
    }

    /// Proposes `command` for `request` of `operation`: the row that it made or changed.
    ///
    /// With an idempotency key a repetition is known by what was asked for, not by the command, which may hold what was
    /// made for it: a signature, an id, a moment.
    pub(crate) async fn write<R: Message + Name>(
        &self,
        operation: &'static str,
        request: &R,
        command: impl Into<Request>,
    ) -> Result<done::Result, Problem> {
        let mut command: Request = command.into();
        if let Some(key) = &self.idempotency_key {
            let request_digest = Some(digest(operation, request));
            command = command.once(Once { key: key.clone(), request_digest });
        }
        if let Ok(scope) = command::scope(&command.command).parse() {
            self.note_scope(&scope);
        }
        let propose = self.admin.control().propose(command, &self.actor);
        let answer = Notes::step(self.notes.as_ref(), "propose", propose).await?;
        self.replayed.fetch_or(answer.replayed, Ordering::Relaxed);
        answer.done.result.ok_or_else(|| Problem::internal("a command was done without a result"))
    }

    /// How a write of this call is known again, for those who propose by themselves.
    pub(crate) fn once<R: Message + Name>(&self, operation: &'static str, request: &R) -> Option<Once> {
        let request_digest = Some(digest(operation, request));
        self.idempotency_key.clone().map(|key| Once { key, request_digest })
    }

    /// What was answered before to the same request under the same key, without proposing anything: where a proposal would
    /// cost much, as a compilation, before it is found out.
    pub(crate) fn recalled(&self, once: Option<&Once>) -> Result<Option<done::Result>, Problem> {
        let Some(once) = once else { return Ok(None) };
        let state = self.admin.control().view()?;
        let now_ms = self.admin.control().applied().borrow().log_time_ms;
        let remembered = idempotency::remembered(&state, &self.actor.to_string(), &once.key, now_ms)?;
        let Some(first) = remembered else { return Ok(None) };
        if once.request_digest.is_some_and(|digest| digest.as_slice() != first.request_digest) {
            let detail = "the idempotency key was used for another request";
            return Err(Problem::new(Code::IdempotencyConflict, detail));
        }
        let answer = response::read(&first.response).map_err(ProposeError::from)??;
        self.note_replayed(true);
        Ok(answer.done.result)
    }

    /// Notes which tenant the call is about, where no read and no command says so.
    pub(crate) fn is_about(&self, tenant: &TenantId) {
        if let Some(notes) = &self.notes {
            notes.tenant(tenant);
        }
    }

    fn note_scope(&self, scope: &Scope) {
        if let Scope::Tenant(tenant) = scope {
            self.is_about(tenant);
        }
    }

    /// Notes that the answer is an earlier one.
    pub(crate) fn note_replayed(&self, replayed: bool) {
        self.replayed.fetch_or(replayed, Ordering::Relaxed);
    }
}

/// What was asked for, as a digest.
fn digest<R: Message + Name>(operation: &'static str, request: &R) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(operation.as_bytes());
    hash.update([0]);
    hash.update(R::NAME.as_bytes());
    hash.update([0]);
    hash.update(request.encode_to_vec());
    hash.finalize().into()
}

/// Why a caller is nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The token does not count.
    Token(TokenRefusal),
    /// The person or the token no longer counts, or not yet here.
    NotGood,
}

impl Refusal {
    /// Whether the newest state may say otherwise.
    fn is_late(self) -> bool {
        self == Self::NotGood
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Token(refusal) => Self::new(Code::Unauthenticated, refusal.to_string()),
            Refusal::NotGood => Self::new(Code::Unauthenticated, "the person or the token no longer counts"),
        }
    }
}

/// The person of a token, by what is applied here or, where that may be late, by the newest state.
async fn prove(admin: &Admin, token: &str) -> Result<ProvenPerson, Problem> {
    match verify(admin, &admin.control().view()?, token)? {
        Ok(proven) => Ok(proven),
        // Whoever has no key of the cluster does not make it ask its leader.
        Err(refusal) if refusal != Refusal::Token(TokenRefusal::UnknownKey) && !refusal.is_late() => {
            Err(refusal.into())
        }
        Err(_perhaps_late) => Ok(verify(admin, &admin.control().read().await?, token)??),
    }
}

fn verify(admin: &Admin, state: &StateView, token: &str) -> Result<Result<ProvenPerson, Refusal>, Problem> {
    let trust = keyring::token_trust(state, KeyKind::PersonToken)?;
    let proven = match verify_person(token, &trust, admin.clock().now()) {
        Ok(proven) => proven,
        Err(refusal) => return Ok(Err(Refusal::Token(refusal))),
    };
    Ok(if counts(admin, state, &proven)? { Ok(proven) } else { Err(Refusal::NotGood) })
}

/// Whether the token was given out in this history and is still good, and the person may do anything at all.
fn counts(admin: &Admin, state: &StateView, proven: &ProvenPerson) -> Result<bool, StoreError> {
    let history = meta::history(state)?;
    let now_ms = admin.control().applied().borrow().log_time_ms;
    who::counts(state, &proven.person, Some(&proven.token_id), history, now_ms)
}

/// No token, or several, or one in a form that nobody reads.
pub(crate) fn no_token(detail: &str) -> Problem {
    Problem::new(Code::Unauthenticated, detail)
}

/// An idempotency key as a client gave it.
pub(crate) fn idempotency_key(text: &str) -> Result<String, Problem> {
    let max = aegis_model::caps::IDEMPOTENCY_KEY_BYTES_MAX;
    if text.is_empty() || text.len() > max || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        let detail = format!("an idempotency key has 1 to {max} printable ASCII characters");
        return Err(Problem::new(ApiCode::Malformed, detail));
    }
    Ok(text.to_owned())
}

/// The token in the value of an `Authorization` header or metadata: `Bearer`, in any case, one space, visible ASCII.
pub(crate) fn bearer(value: &[u8]) -> Option<&str> {
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    let named = scheme.eq_ignore_ascii_case(b"Bearer ");
    let visible = !token.is_empty() && token.iter().all(u8::is_ascii_graphic);
    std::str::from_utf8(token).ok().filter(|_| named && visible)
}
