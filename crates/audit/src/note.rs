//! Signed notes (C2SP signed-note): a text, an empty line, and a line per signature.

use aegis_model::caps;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::keys::{KeyKind, KeyName, SigningKey, VerifyingKey};

/// A text with signatures. The text counts for nothing until [`Note::verify`] has found a trusted one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

/// One line of a note: who claims to have signed, and what the signature holds after the key's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name of the key.
    pub name: KeyName,
    /// The id of the key.
    pub id: [u8; 4],
    /// What the kind of the key makes of it; for Ed25519 notes the 64 bytes.
    pub bytes: Vec<u8>,
}

/// Why a note does not count. Never shows its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Longer than [`caps::AUDIT_NOTE_BYTES_MAX`], or with more than [`caps::AUDIT_NOTE_SIGNATURES_MAX`] signatures.
    #[error("the note is too long or has too many signatures")]
    TooLong,
    /// Not a signed note.
    #[error("not a signed note")]
    Malformed,
    /// A known key is named, but its signature is wrong.
    #[error("a signature of the note is wrong")]
    Signature,
    /// No known key signed.
    #[error("no known key signed the note")]
    Unsigned,
}

impl NoteError {
    /// A stable word for metrics and reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::TooLong => "note_too_long",
            Self::Malformed => "note_malformed",
            Self::Signature => "note_signature",
            Self::Unsigned => "note_unsigned",
        }
    }

    /// Whether the same note may count later: only if a key becomes known.
    pub fn retryable(self) -> bool {
        match self {
            Self::Unsigned => true,
            Self::TooLong | Self::Malformed | Self::Signature => false,
        }
    }
}

const DASH: &str = "\u{2014} ";

impl Note {
    /// A note of this text, without signatures.
    ///
    /// # Errors
    /// [`NoteError::Malformed`]: the text does not end with a line feed, or has another control character.
    pub fn new(text: String) -> Result<Self, NoteError> {
        let sound = text.ends_with('\n') && !text.chars().any(|it| it.is_ascii_control() && it != '\n');
        if sound { Ok(Self { text, signatures: Vec::new() }) } else { Err(NoteError::Malformed) }
    }

    /// Reads a note: nothing of it is trusted yet.
    ///
    /// # Errors
    /// [`NoteError::TooLong`] and [`NoteError::Malformed`].
    pub fn read(bytes: &[u8]) -> Result<Self, NoteError> {
        if bytes.len() > caps::AUDIT_NOTE_BYTES_MAX {
            return Err(NoteError::TooLong);
        }
        let whole = std::str::from_utf8(bytes).map_err(|_withheld| NoteError::Malformed)?;
        let (text, lines) = whole.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
        let mut note = Self::new(format!("{text}\n"))?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        for line in lines.split('\n') {
            if note.signatures.len() == caps::AUDIT_NOTE_SIGNATURES_MAX {
                return Err(NoteError::TooLong);
            }
            note.signatures.push(Signature::read(line)?);
        }
        Ok(note)
    }

    /// Its text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its signatures, right ones and wrong ones.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    /// Adds a signature of any kind.
    pub fn add(&mut self, signature: Signature) {
        self.signatures.push(signature);
    }

    /// Signs it with a key of the kind [`KeyKind::Note`].
    pub fn sign(mut self, key: &SigningKey) -> Self {
        let public = key.verifying_key();
        let bytes = key.sign(self.text.as_bytes()).to_vec();
        self.add(Signature { name: public.name().clone(), id: public.id(), bytes });
        self
    }

    /// Whether `key`, of the kind [`KeyKind::Note`], signed it. Signatures of other keys are not looked at.
    ///
    /// # Errors
    /// [`NoteError::Signature`] and [`NoteError::Unsigned`].
    pub fn verify(&self, key: &VerifyingKey) -> Result<(), NoteError> {
        if key.kind() != KeyKind::Note {
            return Err(NoteError::Unsigned);
        }
        let mut signed = Err(NoteError::Unsigned);
        for signature in self.of(key) {
            let bytes = signature.bytes[..].try_into().map_err(|_uninformative| NoteError::Signature)?;
            if !key.verifies(self.text.as_bytes(), bytes) {
                return Err(NoteError::Signature);
            }
            signed = Ok(());
        }
        signed
    }

    /// The signatures that name this key.
    pub(crate) fn of(&self, key: &VerifyingKey) -> impl Iterator<Item = &Signature> {
        self.signatures.iter().filter(|it| it.name == *key.name() && it.id == key.id())
    }

    /// The note as it travels.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = format!("{}\n", self.text);
        self.signatures.iter().for_each(|signature| out.push_str(&signature.to_line()));
        out.into_bytes()
    }
}

impl Signature {
    /// Reads a line without its line feed.
    ///
    /// # Errors
    /// [`NoteError::Malformed`]
    pub fn read(line: &str) -> Result<Self, NoteError> {
        let malformed = || NoteError::Malformed;
        let (name, base64) =
            line.strip_prefix(DASH).and_then(|it| it.split_once(' ')).ok_or_else(malformed)?;
        let name = name.parse().map_err(|_withheld| NoteError::Malformed)?;
        let bytes = STANDARD.decode(base64).map_err(|_withheld| NoteError::Malformed)?;
        let (id, bytes) =
            bytes.split_first_chunk().filter(|(_, rest)| !rest.is_empty()).ok_or_else(malformed)?;
        Ok(Self { name, id: *id, bytes: bytes.to_vec() })
    }

    /// The line, with its line feed.
    pub fn to_line(&self) -> String {
        format!("{DASH}{} {}\n", self.name, STANDARD.encode([&self.id[..], &self.bytes].concat()))
    }
}
