//! Checkpoints (C2SP tlog-checkpoint): what a log says it is, signed.

use crate::hash::Hash;
use crate::keys::{KeyName, SigningKey, VerifyingKey};
use crate::note::{Note, NoteError};

/// The head of a log: who it is, how many entries it has, and the root over them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log.
    pub origin: KeyName,
    /// How many entries.
    pub size: u64,
    /// The root over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The text that is signed.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, self.root.to_base64())
    }

    /// Reads the text. Lines of extension, which the form allows and advises against, are refused: nothing here would
    /// know what they claim.
    ///
    /// # Errors
    /// [`NoteError::Malformed`]
    pub fn read_text(text: &str) -> Result<Self, NoteError> {
        let malformed = || NoteError::Malformed;
        let mut lines = text.strip_suffix('\n').ok_or_else(malformed)?.split('\n');
        let (Some(origin), Some(size), Some(root), None) =
            (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(NoteError::Malformed);
        };
        let origin = origin.parse().map_err(|_withheld| NoteError::Malformed)?;
        let size = read_size(size).ok_or_else(malformed)?;
        let root = Hash::from_base64(root).map_err(|_withheld| NoteError::Malformed)?;
        Ok(Self { origin, size, root })
    }

    /// The checkpoint, signed by its log.
    pub fn sign(&self, key: &SigningKey) -> Note {
        Note::new(self.to_text()).expect("a checkpoint's text is a note's").sign(key)
    }

    /// Reads a signed checkpoint, if `key` signed it and it is of the log whose name `key` has.
    ///
    /// # Errors
    /// [`NoteError`]. Nothing of it is trusted then.
    pub fn open(bytes: &[u8], key: &VerifyingKey) -> Result<Self, NoteError> {
        let note = Note::read(bytes)?;
        note.verify(key)?;
        let checkpoint = Self::read_text(note.text())?;
        if checkpoint.origin == *key.name() { Ok(checkpoint) } else { Err(NoteError::Unsigned) }
    }
}

/// A size in decimal, in its one spelling.
pub(crate) fn read_size(text: &str) -> Option<u64> {
    text.parse().ok().filter(|size: &u64| size.to_string() == text)
}
