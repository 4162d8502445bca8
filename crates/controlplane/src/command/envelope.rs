//! A command with who wants it, as bytes in the log.

use aegis_model::caps;
use aegis_proto::control as proto;
use prost::Message;
use sha2::{Digest, Sha256};

use super::actor::{self, Actor};
use super::refused::Refused;

/// A command: one of the messages of `aegis.control.v1`.
pub use proto::envelope::Command;

/// Makes a command of each message, so that callers pass the message itself.
macro_rules! into_command {
    ($($name:ident),* $(,)?) => {$(
        impl From<proto::$name> for Request {
            fn from(command: proto::$name) -> Self {
                Self { command: Command::$name(command), once: None }
            }
        }
    )*};
}

/// A command, and how it is known again when it is repeated.
#[derive(Debug, Clone, PartialEq)]
pub struct Request {
    /// What is wanted.
    pub command: Command,
    /// How it is known again. Nothing: a repetition is a command of its own.
    pub once: Option<Once>,
}

into_command!(
    InitCluster,
    AdvanceHistory,
    RaiseLevel,
    SetMember,
    RetireMember,
    NoteMembership,
    CreateTenant,
    SetTenant,
    RetireTenant,
    RotateTenantKey,
    RewrapTenantKeys,
    NoteReveal,
    NoteSearch,
    PlaceHold,
    LiftHold,
    RegisterAgent,
    SetAgentKeys,
    DisableAgent,
    SetAgent,
    AddAgentKey,
    RetireAgentKey,
    SetIssuer,
    RemoveIssuer,
    PutChunk,
    PublishVersion,
    LabelVersion,
    RetireVersion,
    Activate,
    Rollback,
    RegisterDataNode,
    RetireDataNode,
    AddKey,
    RetireKey,
    RewrapKeys,
    RotateKey,
    SettleKeys,
    PutPerson,
    GrantRole,
    RevokeRole,
    IssuePersonToken,
    RevokePersonToken,
    Revoke,
    IssueAgentToken,
    GrantAgentToken,
    SweepChunks,
    SweepExpired,
    Lend,
    TakeLending,
    SweepLimits,
    AdjustBudget,
    SetOrganizationLimits,
    SetShardMap,
    OpenApproval,
    VoteApproval,
    CancelApproval,
    RedeemApproval,
    GiveBackApproval,
    SweepApprovals,
    OpenJournal,
    NoteCheckpoints,
    KeepCosignatures,
    SetChannel,
    RemoveChannel,
    NoteDelivery,
);

impl From<Command> for Request {
    fn from(command: Command) -> Self {
        Self { command, once: None }
    }
}

impl Request {
    /// The same command, applied once: a repetition with the same key, by the same actor, within a day of log time
    /// gets the first answer, also if that was a refusal.
    #[must_use]
    pub fn once(self, once: Once) -> Self {
        Self { once: Some(once), ..self }
    }

    /// The bytes that are replicated.
    pub fn encode(&self, actor: &Actor) -> Vec<u8> {
        let (idempotency_key, request_digest) = match &self.once {
            Some(once) => (once.key.clone(), once.request_digest.map(Vec::from).unwrap_or_default()),
            None => (String::new(), Vec::new()),
        };
        let envelope = proto::Envelope {
            actor: Some(actor.into()),
            idempotency_key,
            request_digest,
            command: Some(self.command.clone()),
        };
        envelope.encode_to_vec()
    }
}

/// How a command is known again when it is repeated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once {
    /// The idempotency key: 1 to [`caps::IDEMPOTENCY_KEY_BYTES_MAX`] printable ASCII characters.
    pub key: String,
    /// SHA-256 of the request as its author made it: what has to be equal in a repetition. Nothing: of the command,
    /// which is too strict where the command holds what was made for it, as a signature or a time.
    pub request_digest: Option<[u8; 32]>,
}

/// A command out of the log.
pub(crate) struct Opened {
    pub(crate) actor: Actor,
    pub(crate) once: Option<OnceChecked>,
    pub(crate) command: Command,
}

/// An idempotency key with the digest that a repetition must have.
pub(crate) struct OnceChecked {
    pub(crate) key: String,
    pub(crate) digest: [u8; 32],
}

/// Reads a command out of the log.
///
/// Content that this software does not know is refused, not skipped: it came from newer software, which refuses it as
/// well while the level was not raised (RAFT-2). The lengths tell: what was skipped is missing in the one anew.
pub(crate) fn open(bytes: &[u8]) -> Result<Opened, Refused> {
    if bytes.len() > caps::COMMAND_BYTES_MAX {
        return Err(Refused::invalid("command", format!("at most {} bytes", caps::COMMAND_BYTES_MAX)));
    }
    let envelope = proto::Envelope::decode(bytes).map_err(|_uninformative| Refused::unknown_command())?;
    if envelope.encoded_len() != bytes.len() {
        return Err(Refused::unknown_command());
    }
    let proto::Envelope { actor, idempotency_key, request_digest, command } = envelope;
    let command = command.ok_or_else(Refused::unknown_command)?;
    let actor = actor.and_then(actor::read).ok_or_else(|| Refused::invalid("actor", "nobody is named"))?;
    let once = check_once(idempotency_key, &request_digest, &command)?;
    Ok(Opened { actor, once, command })
}

fn check_once(key: String, request_digest: &[u8], command: &Command) -> Result<Option<OnceChecked>, Refused> {
    if key.is_empty() {
        return Ok(None);
    }
    if key.len() > caps::IDEMPOTENCY_KEY_BYTES_MAX || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        let form = format!("1 to {} printable ASCII characters", caps::IDEMPOTENCY_KEY_BYTES_MAX);
        return Err(Refused::invalid("idempotency_key", form));
    }
    let digest = match request_digest {
        [] => digest_of(command),
        given => given.try_into().map_err(|_length| Refused::invalid("request_digest", "32 bytes"))?,
    };
    Ok(Some(OnceChecked { key, digest }))
}

fn digest_of(command: &Command) -> [u8; 32] {
    let mut bytes = Vec::with_capacity(command.encoded_len());
    command.encode(&mut bytes);
    Sha256::digest(&bytes).into()
}
