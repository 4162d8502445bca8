//! Events into files of a folder, one a line. Which line stands in which file follows from the log and the bound alone, so that after a
//! crash the same bytes stand there as without.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_audit::siem::Format;

use super::{Carrier, Taken};
use crate::export::position::{Noted, Position, Way};
use crate::export::worker::{Events, NotSent, Source, blocking};
use crate::export::{Files, extension};

/// How often files are synced.
const SYNC: Duration = Duration::from_secs(1);

/// The owner writes, and the group reads.
const MODE: u32 = 0o640;

pub(in crate::export) struct ToFiles {
    folder: PathBuf,
    out: Option<Out>,
}

/// The carrier into this folder.
pub(in crate::export) fn carrier(files: Files, format: Format) -> ToFiles {
    let folder = files.folder.clone();
    let out = Out { files, extension: extension(format), left: None, open: None };
    ToFiles { folder, out: Some(out) }
}

impl ToFiles {
    /// Does something with the files, away from the threads that decide. What fails, ends the session.
    async fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Out) -> io::Result<T> + Send + 'static,
    ) -> Result<T, NotSent> {
        let out = self.out.take();
        let worked = blocking(move || {
            let mut out = out.ok_or_else(|| io::Error::other("an earlier write failed"))?;
            work(&mut out).map(|done| (out, done))
        });
        let (out, done) =
            worked.await.map_err(|error| NotSent::Folder { folder: self.folder.clone(), error })?;
        self.out = Some(out);
        Ok(done)
    }
}

impl Carrier for ToFiles {
    async fn begin(&mut self, noted: Noted) -> Result<(), NotSent> {
        self.with(move |out| out.begin(noted)).await
    }

    async fn put(&mut self, events: Events) -> Result<Taken, NotSent> {
        self.with(move |out| out.put(&events)).await
    }

    fn is_due(&self, long: Duration, _idle: bool) -> bool {
        long >= SYNC
    }

    async fn keep(&mut self, upto: Position) -> Result<(Taken, Way), NotSent> {
        let way = self.with(move |out| out.keep(upto)).await?;
        Ok((Taken::default(), way))
    }
}

/// The files, as blocking code sees them.
struct Out {
    files: Files,
    extension: &'static str,
    /// The file that was left when it was last noted: the life whose log it holds, its first record, and its bytes.
    left: Option<(u64, u64, u64)>,
    open: Option<Open>,
}

/// The file that grows.
struct Open {
    life: u64,
    first: u64,
    bytes: u64,
    file: File,
}

impl Out {
    fn begin(&mut self, noted: Noted) -> io::Result<()> {
        if let Way::File { first, bytes } = noted.way {
            self.left = Some((noted.position.life, first, bytes));
        }
        if !self.files.folder.is_dir() {
            std::fs::create_dir_all(&self.files.folder)?;
            self.files.folder.parent().map_or(Ok(()), sync_folder)?;
        }
        Ok(())
    }

    fn put(&mut self, events: &Events) -> io::Result<Taken> {
        let mut taken = Taken::default();
        let life = events.source.from.life;
        if self.open.as_ref().is_some_and(|open| open.life != life) {
            self.close()?;
        }
        let mut lines = Vec::new();
        for event in &events.events {
            let length = event.text.len() as u64 + 1;
            if self.open.is_none() {
                self.open = self.go_on(&events.source)?;
            }
            if self.open.as_ref().is_some_and(|open| open.is_full(length, self.files.bytes_max)) {
                self.write(&mut lines)?;
                self.close()?;
            }
            let open = match self.open.take() {
                Some(open) => open,
                None => create(&self.path(&events.source, event.index), life, event.index)?,
            };
            let open = self.open.insert(open);
            lines.extend_from_slice(event.text.as_bytes());
            lines.push(b'\n');
            open.bytes += length;
            taken.records += 1;
            taken.bytes += length;
        }
        self.write(&mut lines)?;
        Ok(taken)
    }

    /// All that was written is on the disk, and the folder names the files.
    fn keep(&mut self, upto: Position) -> io::Result<Way> {
        let Some(open) = &self.open else {
            // No record was for this export: the file of before goes on, if its log does.
            let left = self.left.filter(|(life, ..)| *life == upto.life);
            return Ok(left.map_or(Way::None, |(_, first, bytes)| Way::File { first, bytes }));
        };
        open.file.sync_all()?;
        sync_folder(&self.files.folder)?;
        let same = open.life == upto.life;
        Ok(if same { Way::File { first: open.first, bytes: open.bytes } } else { Way::None })
    }

    fn write(&mut self, lines: &mut Vec<u8>) -> io::Result<()> {
        if let Some(open) = &mut self.open {
            open.file.write_all(lines)?;
        }
        lines.clear();
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        self.open.take().map_or(Ok(()), |open| open.file.sync_all())
    }

    /// The file that was left, as it was when it was noted; nothing if there is none, or somebody took it away.
    fn go_on(&mut self, source: &Source) -> io::Result<Option<Open>> {
        let Some((_, first, bytes)) = self.left.take().filter(|(life, ..)| *life == source.from.life) else {
            return Ok(None);
        };
        let path = self.path(source, first);
        let mut file = match OpenOptions::new().write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::warn!(file = %path.display(), "a file of events was taken away before it was full; another one follows");
                return Ok(None);
            }
            opened => opened?,
        };
        let there = file.metadata()?.len();
        if there < bytes {
            let told = format!(
                "`{}` has {there} bytes, where {bytes} were written: somebody cut it; move it away to go on in a new one",
                path.display()
            );
            return Err(io::Error::new(io::ErrorKind::InvalidData, told));
        }
        // What was written and not noted, is written again.
        file.set_len(bytes)?;
        file.seek(SeekFrom::Start(bytes))?;
        Ok(Some(Open { life: source.from.life, first, bytes, file }))
    }

    /// The id of the log's key is in the name: a log of the same name, after its node lost its disk, is another.
    fn path(&self, source: &Source, first: u64) -> PathBuf {
        let life = source.from.life;
        let node = source.origin.split('/').nth(1).unwrap_or("node");
        let (key, extension) = (&source.key, self.extension);
        self.files.folder.join(format!("{node}-{life}-{key}-{first:020}.{extension}"))
    }
}

impl Open {
    fn is_full(&self, more: u64, bytes_max: u64) -> bool {
        self.bytes > 0 && self.bytes + more > bytes_max
    }
}

/// A file of this name may be there, of before a crash: then the same is written once more.
fn create(path: &Path, life: u64, first: u64) -> io::Result<Open> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)?;
    Ok(Open { life, first, bytes: 0, file })
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
