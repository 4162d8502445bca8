//! The folder of a node's logs: one per life, the earlier ones closed before a new one begins.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aegis_model::ids::ClusterId;
use aegis_model::secret::Secret;

use super::disk::{Disk, write_whole};
use super::error::JournalError;
use super::frame::{Frame, Head, Kind, Place};
use super::live::{Live, Signed};
use super::seal::{Sealer, file, replay};
use super::writer::{Log, Resume, Writer, begin};
use super::{Journal, Means};
use crate::checkpoint::Checkpoint;
use crate::hash::{from_hex, to_hex};
use crate::keys::{KeyKind, SigningKey, VerifyingKey};
use crate::origin::Origin;
use crate::record::{Chain, Gap, GapCause, Record, What};
use crate::tree;

/// The open folder of a node's logs. One process has it open at a time.
///
/// ```text
/// lock  node                    whose it is: CLUSTER/NODE
/// 7/                            one log per life, named by its incarnation
///   verifier  checkpoint        the public key; the newest checkpoint over what is sealed
///   key  boot                   the private key, gone once the log is closed; the start of the machine
///   wal/00000003.wal            the segment that grows
///   segments/CHAIN/00000002.seg sealed records
///   tile/…                      the tree and its entries
/// ```
pub struct Home {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// Nothing until it is known.
    cluster: Option<ClusterId>,
    node: String,
    lock: Lock,
}

/// What keeps other processes out. The journal holds it as well, so that its folder outlives the value that opened it.
pub(super) type Lock = Arc<dyn Send + Sync>;

/// A log of an earlier life that was closed now.
#[derive(Debug)]
pub struct Closed {
    /// Which log.
    pub origin: Origin,
    /// Its last checkpoint, to be reported to the control log.
    pub last: Signed,
    /// Chains in which a gap was recorded.
    pub gaps: Vec<Chain>,
}

impl Home {
    /// Opens the folder of this node, and makes it if it is not there.
    ///
    /// # Errors
    /// [`JournalError::Locked`], [`JournalError::OtherNode`], [`JournalError::File`].
    pub fn open(
        disk: Arc<dyn Disk>,
        root: &Path,
        cluster: &ClusterId,
        node: &str,
    ) -> Result<Self, JournalError> {
        let mut home = Self::of_node(disk, root, node)?;
        home.belong_to(cluster)?;
        Ok(home)
    }

    /// The same for a node that does not know its cluster yet: the folder may say, and otherwise [`Home::belong_to`] does.
    ///
    /// # Errors
    /// As for [`Home::open`].
    pub fn of_node(disk: Arc<dyn Disk>, root: &Path, node: &str) -> Result<Self, JournalError> {
        let cannot = |what| file(root, what);
        make_root(&*disk, root).map_err(cannot("cannot be made"))?;
        let lock = disk.lock(&root.join("lock")).map_err(cannot("cannot be locked"))?;
        let lock = lock.ok_or_else(|| JournalError::Locked { path: root.to_owned() })?;
        let cluster = match disk.read(&root.join("node")) {
            Ok(found) => Some(owner(&found, node).ok_or_else(|| JournalError::OtherNode {
                path: root.to_owned(),
                found: String::from_utf8_lossy(&found).trim().escape_debug().to_string(),
                wanted: node.to_owned(),
            })?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(cannot("cannot be read")(error)),
        };
        Ok(Self { disk, root: root.to_owned(), cluster, node: node.to_owned(), lock: lock.into() })
    }

    /// The cluster of the node, if it is known.
    pub fn cluster(&self) -> Option<&ClusterId> {
        self.cluster.as_ref()
    }

    /// Says, for ever, which cluster the node is of.
    ///
    /// # Errors
    /// [`JournalError::OtherNode`]: the folder is of another one. [`JournalError::File`].
    pub fn belong_to(&mut self, cluster: &ClusterId) -> Result<(), JournalError> {
        let wanted = format!("{cluster}/{}", self.node);
        match &self.cluster {
            Some(known) if known == cluster => Ok(()),
            Some(known) => Err(JournalError::OtherNode {
                path: self.root.clone(),
                found: format!("{known}/{}", self.node),
                wanted,
            }),
            None => {
                let path = self.root.join("node");
                let written = write_whole(&*self.disk, &path, format!("{wanted}\n").as_bytes());
                let written = written.and_then(|()| self.disk.sync_dir(&self.root));
                written.map_err(file(&self.root, "cannot be written"))?;
                self.cluster = Some(cluster.clone());
                Ok(())
            }
        }
    }

    /// The lives that have a log here, and whether it is closed.
    ///
    /// # Errors
    /// [`JournalError::File`]
    pub fn lives(&self) -> Result<Vec<(u64, bool)>, JournalError> {
        let names = self.disk.list(&self.root).map_err(file(&self.root, "cannot be listed"))?;
        let mut lives = Vec::new();
        for life in names.iter().filter_map(|name| crate::checkpoint::read_size(name)) {
            let folder = self.folder(life);
            let files = self.disk.list(&folder).map_err(file(&folder, "cannot be listed"))?;
            lives.push((life, !files.iter().any(|name| name == "key")));
        }
        lives.sort_unstable();
        Ok(lives)
    }

    /// The folder of a log.
    pub fn folder(&self, life: u64) -> PathBuf {
        self.root.join(life.to_string())
    }

    /// Begins the log of this life, under a key made for it.
    ///
    /// # Errors
    /// [`JournalError::Unclosed`]: call [`Home::close_earlier`] first. [`JournalError::Used`], [`JournalError::Key`],
    /// [`JournalError::File`].
    pub fn begin(
        &self,
        origin: &Origin,
        key: SigningKey,
        boot: &str,
        means: Means,
    ) -> Result<Journal, JournalError> {
        let ours = Some(origin.cluster()) == self.cluster.as_ref() && origin.node() == self.node;
        let named =
            *key.verifying_key().name() == origin.key_name() && key.verifying_key().kind() == KeyKind::Note;
        if !ours || !named {
            return Err(JournalError::Key);
        }
        let life = origin.incarnation();
        for (known, closed) in self.lives()? {
            match closed {
                _ if known >= life => return Err(JournalError::Used(life)),
                false => return Err(JournalError::Unclosed(known)),
                true => {}
            }
        }
        let folder = self.folder(life);
        self.make(&folder, &key, boot).map_err(file(&folder, "cannot be made"))?;
        let live = Arc::new(Live::new(Arc::clone(&self.disk), folder.clone(), 0));
        let log = Log { disk: Arc::clone(&self.disk), folder: folder.clone(), key, live };
        let opened = self.disk.grow(&log.wal_file(0)).map_err(file(&folder, "cannot be opened"))?;
        let offset = super::writer::first_frame(log.origin(), &first_head()).len() as u64;
        let tree = tree::Compact::default();
        let from = Resume { file: opened, segment: 0, offset, chains: [].into(), tree };
        let sealer = Sealer::resume(log.clone(), 0)?;
        Journal::start(log.clone(), Writer::new(log, means, from), sealer, Arc::clone(&self.lock))
    }

    /// Makes a log's folder under another name first: a crash leaves all of it or nothing.
    fn make(&self, folder: &Path, key: &SigningKey, boot: &str) -> io::Result<()> {
        let new = folder.with_extension("new");
        match self.disk.remove_dir(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.disk.create_dir(&new)?;
        self.disk.create_dir(&new.join("wal"))?;
        let seed = key.to_seed();
        let seed = Secret::new(to_hex(seed.expose()));
        write_whole(&*self.disk, &new.join("key"), seed.expose().as_bytes())?;
        write_whole(&*self.disk, &new.join("verifier"), format!("{}\n", key.verifying_key()).as_bytes())?;
        write_whole(&*self.disk, &new.join("boot"), boot.as_bytes())?;
        let live = Arc::new(Live::new(Arc::clone(&self.disk), new.clone(), 0));
        let log = Log { disk: Arc::clone(&self.disk), folder: new.clone(), key: key.clone(), live };
        begin(&log, &first_head())?;
        self.disk.sync_dir(&new)?;
        self.disk.rename(&new, folder)?;
        self.disk.sync_dir(&self.root)
    }

    /// Closes every log of an earlier life: cuts off what a crash tore, records gaps, ends, signs and seals it, and destroys
    /// its key. `boot` names the present start of the machine: under the same one nothing that was written is lost.
    ///
    /// # Errors
    /// [`JournalError`]. What is done already stays done, and calling again goes on.
    pub fn close_earlier(
        &self,
        boot: &str,
        mut means: impl FnMut() -> Means,
    ) -> Result<Vec<Closed>, JournalError> {
        let unclosed = self.lives()?.into_iter().filter(|(_, closed)| !closed);
        unclosed.map(|(life, _)| self.close(life, boot, means())).collect()
    }

    fn close(&self, life: u64, boot: &str, means: Means) -> Result<Closed, JournalError> {
        let cluster = self.cluster.clone().ok_or(JournalError::Key)?;
        let origin = Origin::new(cluster, &self.node, life).map_err(|_withheld| JournalError::Key)?;
        let folder = self.folder(life);
        let key = self.key(&folder, &origin)?;
        let same_boot =
            self.disk.read(&folder.join("boot")).map_err(file(&folder, "has no readable boot"))?;
        let live = Arc::new(Live::new(Arc::clone(&self.disk), folder.clone(), 0));
        let log = Log { disk: Arc::clone(&self.disk), folder: folder.clone(), key, live };
        let files = self.disk.list(&folder).map_err(file(&folder, "cannot be listed"))?;
        let loss = match (same_boot == boot.as_bytes(), files.iter().any(|name| name == FAILED)) {
            (false, _) => Some(GapCause::PowerLoss),
            (true, true) => Some(GapCause::DiskFailure),
            (true, false) => None,
        };
        let gaps = finish(&log, means, loss)?;
        let note = self
            .disk
            .read(&folder.join("checkpoint"))
            .map_err(file(&folder, "has no readable checkpoint"))?;
        let checkpoint = Checkpoint::open(&note, log.key.verifying_key()).map_err(|_reported| {
            JournalError::Damaged { path: folder.join("checkpoint"), what: "it is not signed by this log" }
        })?;
        destroy_key(&log).map_err(file(&folder, "cannot be closed"))?;
        Ok(Closed { origin, last: Signed { checkpoint, note }, gaps })
    }

    fn key(&self, folder: &Path, origin: &Origin) -> Result<SigningKey, JournalError> {
        let damaged = |what| JournalError::Damaged { path: folder.to_owned(), what };
        let text = self.disk.read(&folder.join("key")).map_err(file(folder, "has no readable key"))?;
        let text = Secret::new(text);
        let seed = std::str::from_utf8(text.expose()).ok().and_then(from_hex);
        let seed = Secret::new(seed.ok_or_else(|| damaged("its key is no key"))?);
        let key = SigningKey::from_seed(origin.key_name(), KeyKind::Note, &seed);
        let public =
            self.disk.read(&folder.join("verifier")).map_err(file(folder, "has no readable verifier"))?;
        let public =
            std::str::from_utf8(&public).ok().and_then(|text| text.trim_end().parse::<VerifyingKey>().ok());
        if public.as_ref() == Some(key.verifying_key()) {
            Ok(key)
        } else {
            Err(damaged("its key is of another log"))
        }
    }
}

/// The cluster that the file `node` names, if it names this node.
fn owner(found: &[u8], node: &str) -> Option<ClusterId> {
    let text = std::str::from_utf8(found).ok()?.strip_suffix('\n')?;
    let (cluster, name) = text.split_once('/')?;
    cluster.parse().ok().filter(|_| name == node)
}

/// Makes the folder and those above it that are not there, and syncs the names of all: a folder that a power cut takes away
/// takes everything in it along.
pub(crate) fn make_root(disk: &dyn Disk, root: &Path) -> io::Result<()> {
    let missing = |path: &&Path| disk.list(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let missing: Vec<&Path> = root.ancestors().take_while(missing).collect();
    disk.create_dir(root)?;
    for path in missing.iter().rev() {
        match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => disk.sync_dir(Path::new("."))?,
            Some(parent) => disk.sync_dir(parent)?,
            None => {}
        }
    }
    Ok(())
}

/// The file that says that the disk failed while the log was open.
pub(super) const FAILED: &str = "failed";

fn first_head() -> Head {
    Head { segment: 0, start: 0, chains: Vec::new() }
}

/// Ends and seals a log that nobody has open.
fn finish(log: &Log, means: Means, loss: Option<GapCause>) -> Result<Vec<Chain>, JournalError> {
    let names = log.disk.list(&log.wal()).map_err(file(&log.wal(), "cannot be listed"))?;
    let number = |name: &String| name.strip_suffix(".wal").and_then(|it| it.parse::<u64>().ok());
    let segments: Vec<u64> = names.iter().filter_map(number).collect();
    let Some((&first, &last)) = segments.first().zip(segments.last()) else { return Ok(Vec::new()) };
    let start = start_of(log, first)?;
    let mut sealer = Sealer::resume(log.clone(), start)?;
    log.live.sealed(start, || ());
    (first..last).try_for_each(|segment| sealer.seal(segment, &|| false))?;
    let (mut writer, end) = reopen(log, means, &sealer, last)?;
    let mut gaps = Vec::new();
    let cannot = || file(&log.folder, "cannot be written");
    if end == Some(false) {
        writer.next().map_err(cannot())?;
    }
    let last = if end == Some(false) { last + 1 } else { last };
    if end != Some(true) {
        if let Some(cause) = loss {
            gaps = record_gaps(&mut writer, cause).map_err(cannot())?;
        }
        writer.end(true).map_err(cannot())?;
    }
    (sealer_next(last, end)..=last).try_for_each(|segment| sealer.seal(segment, &|| false))?;
    Ok(gaps)
}

/// The first segment that is left to be sealed.
fn sealer_next(last: u64, end: Option<bool>) -> u64 {
    if end == Some(false) { last - 1 } else { last }
}

/// The index at which a segment begins.
fn start_of(log: &Log, segment: u64) -> Result<u64, JournalError> {
    let path = log.wal_file(segment);
    let bytes = log.disk.read(&path).map_err(file(&path, "cannot be read"))?;
    let damaged = |what| JournalError::Damaged { path: path.clone(), what };
    let (frames, _) = Place::new(log.origin(), segment).read(&bytes).map_err(|_damage| damaged(CHANGED))?;
    let (head, ..) = replay(frames.get(..1).unwrap_or_default()).ok_or_else(|| damaged("it has no head"))?;
    Ok(head.start)
}

const CHANGED: &str = "what was on disk has changed";

/// A writer at the end of the last segment, after what a crash tore was cut off. Whether the segment has its end, and
/// whether that is the log's, is the second answer.
fn reopen(
    log: &Log,
    means: Means,
    sealer: &Sealer,
    segment: u64,
) -> Result<(Writer, Option<bool>), JournalError> {
    let path = log.wal_file(segment);
    let bytes = log.disk.read(&path).map_err(file(&path, "cannot be read"))?;
    let damaged = |what| JournalError::Damaged { path: path.clone(), what };
    let (frames, end) = Place::new(log.origin(), segment).read(&bytes).map_err(|_damage| damaged(CHANGED))?;
    let (head, records, chains) = replay(&frames).ok_or_else(|| damaged("its frames do not fit together"))?;
    if head.start != sealer.maker().size() || head.segment != segment {
        return Err(damaged("it does not follow what was sealed before"));
    }
    let tree = regrow(log, sealer.maker().compact(), &frames)
        .ok_or_else(|| damaged("a checkpoint says otherwise"))?;
    let mut opened = log.disk.open(&path).map_err(file(&path, "cannot be opened"))?;
    if end < bytes.len() {
        opened.truncate(end as u64).map_err(file(&path, "cannot be cut"))?;
    }
    // Whatever was written without a sync is kept, and so has to stay from now on.
    opened.sync().map_err(file(&path, "cannot be synced"))?;
    let ended = match records.last().and_then(|frame| Record::read(frame.body).ok()) {
        Some(Record { what: What::SegmentEnd(end), .. }) => Some(end.last),
        _ => None,
    };
    let from = Resume { file: opened, segment, offset: end as u64, chains, tree };
    Ok((Writer::new(log.clone(), means, from), ended))
}

/// The tree after all records; nothing if a checkpoint on the way was signed over another one (AUD-1).
fn regrow(log: &Log, mut tree: tree::Compact, frames: &[Frame<'_>]) -> Option<tree::Compact> {
    for frame in frames {
        match frame.kind {
            Kind::Head => {}
            Kind::Record => {
                let leaf = tree::leaf(&frame.hash.0);
                tree.push(leaf);
                log.live.extend([leaf]);
            }
            Kind::Checkpoint => {
                let said = Checkpoint::open(frame.body, log.key.verifying_key()).ok()?;
                if (said.size, said.root) != (tree.size(), tree.root()) {
                    return None;
                }
            }
        }
    }
    Some(tree)
}

/// Notes a gap in every chain that did not wait for syncs: what it may have lost with the machine is not known.
fn record_gaps(writer: &mut Writer, cause: GapCause) -> io::Result<Vec<Chain>> {
    let relaxed = writer.chains().iter().filter(|(_, standing)| standing.relaxed);
    let mut relaxed: Vec<(Chain, u64)> = relaxed.map(|(chain, it)| (chain.clone(), it.seq)).collect();
    relaxed.sort_unstable();
    for (chain, after) in &relaxed {
        let gap = What::Gap(Gap { after: *after, cause });
        writer.put_own(chain.clone(), &gap)?;
    }
    Ok(relaxed.into_iter().map(|(chain, _)| chain).collect())
}

/// A log without its key grows no more.
pub(super) fn destroy_key(log: &Log) -> io::Result<()> {
    super::seal::remove_if_there(&*log.disk, &log.folder.join("key"))?;
    log.disk.sync_dir(&log.folder)
}
