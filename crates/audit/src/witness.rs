//! The rules of a witness (C2SP tlog-witness), and its cosignatures (tlog-cosignature, v1), as functions of their
//! arguments: what a witness remembers, and how requests reach it, is the caller's matter.

use aegis_model::caps;

use crate::checkpoint::{Checkpoint, read_size};
use crate::hash::Hash;
use crate::keys::{KeyKind, SigningKey, VerifyingKey};
use crate::note::{Note, NoteError, Signature};
use crate::tree::verify_consistency;

/// A request to accept a checkpoint: the body of `add-checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The size that the log believes the witness to know.
    pub old_size: u64,
    /// The proof from there.
    pub proof: Vec<Hash>,
    /// The new checkpoint with its signatures; not verified yet.
    pub note: Note,
}

/// Why a checkpoint is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not a request, or its old size is larger than its new one.
    #[error("the request is malformed")]
    Malformed,
    /// Signed by no known key of the log, or wrongly.
    #[error("no known key of the log signed the checkpoint")]
    Unsigned,
    /// The log believes the witness to know another size than it does: it has to ask again from here. So does a log that
    /// was rolled back.
    #[error("the newest known checkpoint has size {0}")]
    Stale(u64),
    /// The same size with another root: the log was forked.
    #[error("the log showed another root for the size {0}")]
    Forked(u64),
    /// The proof does not lead from the known checkpoint to the new one.
    #[error("the new checkpoint does not follow from the known one")]
    Inconsistent,
}

impl Refusal {
    /// A stable word for metrics and reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "checkpoint_malformed",
            Self::Unsigned => "checkpoint_unsigned",
            Self::Stale(_) => "checkpoint_stale",
            Self::Forked(_) => "checkpoint_forked",
            Self::Inconsistent => "checkpoint_inconsistent",
        }
    }

    /// The HTTP status that tlog-witness has for it.
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unsigned => 403,
            Self::Stale(_) | Self::Forked(_) => 409,
            Self::Inconsistent => 422,
        }
    }

    /// Whether the log may ask again, from the size that the refusal names.
    pub fn retryable(self) -> bool {
        match self {
            Self::Stale(_) => true,
            Self::Malformed | Self::Unsigned | Self::Forked(_) | Self::Inconsistent => false,
        }
    }
}

/// A checkpoint that may become the newest known one. The witness keeps it **before** it answers, and only if what it
/// knows has not changed meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    checkpoint: Checkpoint,
}

impl Accepted {
    /// The checkpoint.
    pub fn checkpoint(&self) -> &Checkpoint {
        &self.checkpoint
    }

    /// Cosigns it as of `seconds` since 1970, with a key of the kind [`KeyKind::Cosignature`].
    pub fn cosign(&self, key: &SigningKey, seconds: u64) -> Signature {
        let signature = key.sign(&message(&self.checkpoint.to_text(), seconds));
        let public = key.verifying_key();
        let bytes = [&seconds.to_be_bytes()[..], &signature].concat();
        Signature { name: public.name().clone(), id: public.id(), bytes }
    }
}

/// Judges a request (AUD-1: a fork or a rollback is refused), given the newest checkpoint known of this log, if there is one, and the key of the log.
///
/// # Errors
/// [`Refusal`]: nothing may be cosigned, and what is known stays.
pub fn judge(known: Option<&Checkpoint>, request: &Request, key: &VerifyingKey) -> Result<Accepted, Refusal> {
    request.note.verify(key).map_err(|_reported| Refusal::Unsigned)?;
    let new = Checkpoint::read_text(request.note.text()).map_err(|_reported| Refusal::Malformed)?;
    if new.origin != *key.name() {
        return Err(Refusal::Unsigned);
    }
    follows(known, request.old_size, &request.proof, &new)?;
    Ok(Accepted { checkpoint: new })
}

/// Whether `new`, whose signature is right, follows from what is known.
///
/// # Errors
/// [`Refusal`], but never [`Refusal::Unsigned`].
pub fn follows(
    known: Option<&Checkpoint>,
    old_size: u64,
    proof: &[Hash],
    new: &Checkpoint,
) -> Result<(), Refusal> {
    if old_size > new.size || known.is_some_and(|known| known.origin != new.origin) {
        return Err(Refusal::Malformed);
    }
    let known_size = known.map_or(0, |known| known.size);
    if old_size != known_size {
        return Err(Refusal::Stale(known_size));
    }
    match known {
        Some(known) if known.size == new.size && known.root != new.root => Err(Refusal::Forked(known.size)),
        Some(known) if known.size > 0 => {
            let proved = verify_consistency(known.size, new.size, proof, &known.root, &new.root);
            proved.map_err(|_reported| Refusal::Inconsistent)
        }
        // Everything follows from nothing; there is one root for no entries.
        _ if !proof.is_empty() => Err(Refusal::Inconsistent),
        _ if new.size == 0 && new.root != crate::tree::empty_root() => Err(Refusal::Inconsistent),
        _ => Ok(()),
    }
}

/// The moment of `key`'s cosignature on a checkpoint, in seconds since 1970, if there is one and it is right.
///
/// # Errors
/// [`NoteError::Signature`] and [`NoteError::Unsigned`].
pub fn cosigned_at(note: &Note, key: &VerifyingKey) -> Result<u64, NoteError> {
    if key.kind() != KeyKind::Cosignature {
        return Err(NoteError::Unsigned);
    }
    let mut newest = Err(NoteError::Unsigned);
    for signature in note.of(key) {
        let Some((seconds, bytes)) = signature.bytes.split_first_chunk() else {
            return Err(NoteError::Signature);
        };
        let seconds = u64::from_be_bytes(*seconds);
        let bytes = bytes.try_into().map_err(|_uninformative| NoteError::Signature)?;
        if !key.verifies(&message(note.text(), seconds), bytes) {
            return Err(NoteError::Signature);
        }
        newest = Ok(newest.unwrap_or(0).max(seconds));
    }
    newest
}

fn message(text: &str, seconds: u64) -> Vec<u8> {
    format!("cosignature/v1\ntime {seconds}\n{text}").into_bytes()
}

impl Request {
    /// Reads the body of a request.
    ///
    /// # Errors
    /// [`Refusal::Malformed`]
    pub fn read(bytes: &[u8]) -> Result<Self, Refusal> {
        let malformed = || Refusal::Malformed;
        if bytes.len() > caps::AUDIT_NOTE_BYTES_MAX {
            return Err(Refusal::Malformed);
        }
        let text = std::str::from_utf8(bytes).map_err(|_withheld| Refusal::Malformed)?;
        let (head, note) = text.split_once("\n\n").ok_or_else(malformed)?;
        let mut lines = head.split('\n');
        let old = lines.next().and_then(|line| line.strip_prefix("old ")).ok_or_else(malformed)?;
        let old_size = read_size(old).ok_or_else(malformed)?;
        let proof: Result<Vec<_>, _> = lines.map(Hash::from_base64).collect();
        let proof = proof.map_err(|_withheld| Refusal::Malformed)?;
        if proof.len() > PROOF_HASHES_MAX {
            return Err(Refusal::Malformed);
        }
        let note = Note::read(note.as_bytes()).map_err(|_reported| Refusal::Malformed)?;
        Ok(Self { old_size, proof, note })
    }

    /// The body of the request.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut body = format!("old {}\n", self.old_size);
        self.proof.iter().for_each(|hash| body.push_str(&format!("{}\n", hash.to_base64())));
        body.push('\n');
        [body.as_bytes(), &self.note.to_bytes()].concat()
    }
}

/// The longest consistency proof that tlog-witness allows.
const PROOF_HASHES_MAX: usize = 63;
