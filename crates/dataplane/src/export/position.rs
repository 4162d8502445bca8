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
    pub(super) fn read(&self) -> io::Result<Position> {
        let text = match std::fs::read_to_string(self.path()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Position::default()),
            read => read?,
        };
        let damaged = || {
            let told = format!(
                "`{}` is damaged: put it right, or remove it to send everything again",
                self.path().display()
            );
            io::Error::new(io::ErrorKind::InvalidData, told)
        };
        let mut parts = text.strip_suffix('\n').ok_or_else(damaged)?.split(' ');
        let mut number = |form: Option<&str>| match form {
            Some(form) => (parts.next() == Some(form)).then_some(0),
            None => parts.next()?.parse().ok(),
        };
        let (_form, life, next) = (number(Some(FORM)), number(None), number(None));
        match (_form, life, next, parts.next()) {
            (Some(_), Some(life), Some(next), None) => Ok(Position { life, next }),
            _ => Err(damaged()),
        }
    }

    /// Notes that everything before was sent. Blocks, until it is on disk.
    ///
    /// # Errors
    /// What the system says; then what was noted before stays.
    pub(super) fn note(&self, position: Position) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        let new = self.folder.join(format!("{}.new", self.name));
        let mut file = File::create(&new)?;
        file.write_all(format!("{FORM} {} {}\n", position.life, position.next).as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, self.path())?;
        File::open(&self.folder)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_outlives_its_process_and_is_never_guessed() {
        let folder = tempfile::tempdir().unwrap();
        let file = PositionFile::new(folder.path(), &"siem".parse().unwrap());
        assert_eq!(file.read().unwrap(), Position::default());
        for position in [Position { life: 7, next: 41 }, Position { life: 8, next: 0 }] {
            file.note(position).unwrap();
            assert_eq!(file.read().unwrap(), position);
        }
        let other = PositionFile::new(folder.path(), &"other".parse().unwrap());
        assert_eq!(other.read().unwrap(), Position::default(), "each has its own");
        for damaged in [
            "",
            "7 41\n",
            "aegis-export/v1 7\n",
            "aegis-export/v1 7 41",
            "aegis-export/v1 7 x\n",
            "aegis-export/v1 7 41 2\n",
        ] {
            std::fs::write(file.path(), damaged).unwrap();
            assert_eq!(file.read().unwrap_err().kind(), io::ErrorKind::InvalidData, "{damaged:?}");
        }
    }
}
