//! How far an export is, over restarts: a file per export, replaced whole and synced.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::ExportName;

/// The next record to send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Position {
    /// The life of the node whose log it is in.
    pub(super) life: u64,
    /// Its index there.
    pub(super) next: u64,
}

/// What is noted of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Noted {
    /// Everything before was taken.
    pub(super) position: Position,
    /// What is under way.
    pub(super) way: Way,
}

/// What is needed to go on as if nothing had happened, beside the position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Way {
    /// Nothing.
    #[default]
    None,
    /// The records from the position up to this index are being put as one: as one they are put again.
    Upto(u64),
    /// So many bytes stand in the file that begins with the record of this index.
    File {
        /// The index.
        first: u64,
        /// The bytes.
        bytes: u64,
    },
}

impl From<Position> for Noted {
    fn from(position: Position) -> Self {
        Self { position, way: Way::None }
    }
}

const FORM: &str = "aegis-export/v1";

/// The folder of positions, below the journal's.
const FOLDER: &str = "exports";

/// The file of an export.
#[derive(Debug, Clone)]
pub(super) struct PositionFile {
    folder: PathBuf,
    name: ExportName,
}

impl PositionFile {
    /// That of the export `name` of the journal in `journal`.
    pub(super) fn new(journal: &Path, name: &ExportName) -> Self {
        Self { folder: journal.join(FOLDER), name: name.clone() }
    }

    fn path(&self) -> PathBuf {
        self.folder.join(self.name.to_string())
    }

    /// What was noted last; the beginning if nothing was. Blocks.
    ///
    /// # Errors
    /// What the system says; [`io::ErrorKind::InvalidData`] for a file that is damaged: it is not guessed.
    pub(super) fn read(&self) -> io::Result<Noted> {
        let text = match std::fs::read_to_string(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Noted::default()),
            read => read?,
        };
        parse(&text).ok_or_else(|| {
            let told = format!(
                "`{}` is damaged: put it right, or remove it to send everything again",
                self.path().display()
            );
            io::Error::new(io::ErrorKind::InvalidData, told)
        })
    }

    /// Notes that everything before was sent. Blocks, until it is on disk.
    ///
    /// # Errors
    /// What the system says; then what was noted before stays.
    pub(super) fn note(&self, noted: Noted) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let new = self.folder.join(format!("{}.new", self.name));
        let mut file = File::create(&new)?;
        let Noted { position: Position { life, next }, way } = noted;
        let way = match way {
            Way::None => String::new(),
            Way::Upto(end) => format!(" upto {end}"),
            Way::File { first, bytes } => format!(" file {first} {bytes}"),
        };
        file.write_all(format!("{FORM} {life} {next}{way}\n").as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, self.path())?;
        File::open(&self.folder)?.sync_all()
    }
}

fn parse(text: &str) -> Option<Noted> {
    let parts: Vec<&str> = text.strip_suffix('\n')?.split(' ').collect();
    let [FORM, life, next, way @ ..] = parts.as_slice() else { return None };
    let number = |text: &str| text.parse().ok();
    let way = match way {
        [] => Way::None,
        ["upto", end] => Way::Upto(number(end)?),
        ["file", first, bytes] => Way::File { first: number(first)?, bytes: number(bytes)? },
        _ => return None,
    };
    Some(Noted { position: Position { life: number(life)?, next: number(next)? }, way })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_outlives_its_process_and_is_never_guessed() {
        let folder = tempfile::tempdir().unwrap();
        let file = PositionFile::new(folder.path(), &"siem".parse().unwrap());
        assert_eq!(file.read().unwrap(), Noted::default());
        let position = Position { life: 7, next: 41 };
        for noted in [
            position.into(),
            Noted { position, way: Way::Upto(99) },
            Noted { position, way: Way::File { first: 3, bytes: 1_000 } },
            Position { life: 8, next: 0 }.into(),
        ] {
            file.note(noted).unwrap();
            assert_eq!(file.read().unwrap(), noted);
        }
        let other = PositionFile::new(folder.path(), &"other".parse().unwrap());
        assert_eq!(other.read().unwrap(), Noted::default(), "each has its own");
        for damaged in [
            "",
            "7 41\n",
            "aegis-export/v1 7\n",
            "aegis-export/v1 7 41",
            "aegis-export/v1 7 x\n",
            "aegis-export/v1 7 41 2\n",
            "aegis-export/v1 7 41 upto\n",
            "aegis-export/v1 7 41 file 3\n",
            "aegis-export/v1 7 41 file 3 -1\n",
            "aegis-export/v2 7 41\n",
        ] {
            std::fs::write(file.path(), damaged).unwrap();
            assert_eq!(file.read().unwrap_err().kind(), io::ErrorKind::InvalidData, "{damaged:?}");
        }
    }
}
