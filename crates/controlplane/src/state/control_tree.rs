//! The control log as evidence: every entry's text, and a Merkle tree (RFC 6962) over their hashes, of which each complete
//! subtree is a row. One tree per history, since a restored backup lacks what an outside witness may have seen.
//!
//! Entries are appended within the apply that they tell of, so that no act is without its entry. The form of entries is
//! `aegis_audit::control`; why so, and what is forgotten when, tells `docs/adr/0013-control-log-entries.md`.

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::control::{self, Entry, Head, Kind, What};
use aegis_audit::hash::Hash;
use aegis_audit::record::RecordId;
use aegis_audit::tree::{self, Nodes};
use aegis_model::caps;
use aegis_model::clock::UnixNanos;
use aegis_model::ids::ClusterId;
use aegis_proto::control::{ControlEntry, ControlTree, Key};
use aegis_raft_store::tables::{StateRead, StoreError, Table};

use super::page::PageQuery;
use super::writer::Writer;
use super::{key, keys, meta, row};

/// History, big-endian → [`ControlTree`].
pub const CONTROL_TREES: Table = Table::new("control_trees");
/// History and index, big-endian → [`ControlEntry`].
pub const CONTROL_ENTRIES: Table = Table::new("control_entries");
/// History, big-endian, level (one byte) and index, big-endian → the 32 bytes of the root of that complete subtree.
pub const CONTROL_NODES: Table = Table::new("control_nodes");
/// Log time, history and index, big-endian → nothing: entries whose texts may go [`caps::AUDIT_CHECKPOINTS_KEPT_SECONDS`] after it, the
/// oldest first.
pub const CONTROL_FORGETTABLE: Table = Table::new("control_forgettable");
/// History, big-endian → the newest checkpoint with cosignatures of outside witnesses, as a signed note.
pub const CONTROL_COSIGNED: Table = Table::new("control_cosigned");

/// Entries with checkpoints whose texts are forgotten with each new one: two, so that their number falls.
const FORGET_WITH_EACH: usize = 2;

/// The tree of a history; nothing before its first entry.
///
/// # Errors
/// The storage failed.
pub fn tree(state: &impl StateRead, history: u64) -> Result<Option<ControlTree>, StoreError> {
    row::read(state, CONTROL_TREES, &key::rising(history))
}

/// How far the control log of a history is.
///
/// # Errors
/// The storage failed.
pub fn checkpoint(
    state: &impl StateRead,
    cluster: &ClusterId,
    history: u64,
) -> Result<Checkpoint, StoreError> {
    let tree = tree(state, history)?.unwrap_or_default();
    let root = compact(&tree)?.root();
    Ok(Checkpoint { origin: control::origin(cluster, history), size: tree.size, root })
}

/// The entry at an index; nothing beyond the last.
///
/// # Errors
/// The storage failed.
pub fn entry(state: &impl StateRead, history: u64, index: u64) -> Result<Option<ControlEntry>, StoreError> {
    row::read(state, CONTROL_ENTRIES, &entry_key(history, index))
}

/// Up to `limit` entries from `first` on, in their order.
///
/// # Errors
/// The storage failed.
pub fn entries(
    state: &impl StateRead,
    history: u64,
    first: u64,
    limit: usize,
) -> Result<Vec<ControlEntry>, StoreError> {
    let prefix = key::rising(history);
    let before = first.checked_sub(1).map(|index| entry_key(history, index));
    let limit = limit.min(caps::PAGE_ROWS_MAX);
    let records = state.scan_prefix(CONTROL_ENTRIES, &prefix, before.as_deref(), limit)?;
    records.iter().map(|(_, value)| row::decode(CONTROL_ENTRIES, value)).collect()
}

/// An entry as a line of a download: its text, or its kind and digest.
pub fn line(entry: &ControlEntry) -> String {
    if entry.text.is_empty() {
        let digest: String = entry.digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("- {} {digest}", entry.kind)
    } else {
        entry.text.clone()
    }
}

/// The newest checkpoint that outside witnesses have cosigned, as a signed note.
///
/// # Errors
/// The storage failed.
pub fn cosigned(state: &impl StateRead, history: u64) -> Result<Option<Vec<u8>>, StoreError> {
    state.get(CONTROL_COSIGNED, &key::rising(history))
}

pub(crate) fn put_cosigned(write: &mut Writer<'_, '_>, history: u64, note: &[u8]) -> Result<(), StoreError> {
    write.put_bytes(CONTROL_COSIGNED, &key::rising(history), note)
}

/// The complete subtrees of a history's tree, for proofs.
#[derive(Debug)]
pub struct Subtrees<'s, S> {
    state: &'s S,
    history: u64,
}

impl<'s, S: StateRead> Subtrees<'s, S> {
    /// Those of `history`.
    pub fn new(state: &'s S, history: u64) -> Self {
        Self { state, history }
    }
}

impl<S: StateRead> Nodes for Subtrees<'_, S> {
    type Error = StoreError;
    fn node(&self, level: u32, index: u64) -> Result<Hash, StoreError> {
        let bytes = self.state.get(CONTROL_NODES, &node_key(self.history, level, index))?;
        hash(&bytes.ok_or_else(|| damaged(CONTROL_NODES))?).ok_or_else(|| damaged(CONTROL_NODES))
    }
}

/// Appends an entry: its place. Begins the tree of this history if there is none.
pub(crate) fn append(write: &mut Writer<'_, '_>, what: What) -> Result<u64, StoreError> {
    let history = write.cluster().history;
    let mut tree = match tree(write, history)? {
        Some(tree) => tree,
        None => begin(write)?,
    };
    let index = push(write, &mut tree, what)?;
    write.put(CONTROL_TREES, &key::rising(history), &tree)?;
    Ok(index)
}

/// When it was last written down how far the logs of data nodes are.
pub(crate) fn note_checkpoints_written(write: &mut Writer<'_, '_>) -> Result<(), StoreError> {
    let history = write.cluster().history;
    let Some(mut tree) = tree(write, history)? else { return Ok(()) };
    tree.checkpoints_ms = write.now_ms();
    write.put(CONTROL_TREES, &key::rising(history), &tree)
}

/// How many of `wanted` ledgers may be written down today, of which they are counted.
pub(crate) fn note_ledgers(write: &mut Writer<'_, '_>, wanted: usize) -> Result<usize, StoreError> {
    let history = write.cluster().history;
    let mut tree = match tree(write, history)? {
        Some(tree) => tree,
        None => begin(write)?,
    };
    let today = write.now_ms() / (24 * 3_600 * 1_000);
    if tree.ledgers_day != today {
        (tree.ledgers_day, tree.ledgers) = (today, 0);
    }
    let room = caps::LEDGER_ACCOUNTS_PER_DAY_MAX.saturating_sub(tree.ledgers);
    let room = usize::try_from(room).unwrap_or(usize::MAX).min(wanted);
    tree.ledgers += room as u64;
    write.put(CONTROL_TREES, &key::rising(history), &tree)?;
    Ok(room)
}

/// Notes that the text of an entry may be forgotten after so many seconds: with the entries with checkpoints that are written then.
pub(crate) fn forget_after(write: &mut Writer<'_, '_>, index: u64, seconds: u64) -> Result<(), StoreError> {
    let later = seconds.saturating_sub(caps::AUDIT_CHECKPOINTS_KEPT_SECONDS) * 1_000;
    note_forgettable(write, write.now_ms().saturating_add(later), index)
}

fn note_forgettable(write: &mut Writer<'_, '_>, at_ms: u64, index: u64) -> Result<(), StoreError> {
    let key = [key::rising(at_ms), key::rising(write.cluster().history), key::rising(index)].concat();
    write.put_bytes(CONTROL_FORGETTABLE, &key, &[])
}

/// Notes that the text of an entry with checkpoints may be forgotten some day, and forgets some whose day has come. `needed` says
/// of an entry, by history and index, whether a log's newest place is still there.
pub(crate) fn forget_later(
    write: &mut Writer<'_, '_>,
    index: u64,
    needed: impl Fn(&Writer<'_, '_>, &Entry, u64) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    note_forgettable(write, write.now_ms(), index)?;
    for (key, _) in write.scan_prefix(CONTROL_FORGETTABLE, &[], None, FORGET_WITH_EACH)? {
        let [at_ms, history, index] = numbers(&key).ok_or_else(|| damaged(CONTROL_FORGETTABLE))?;
        if write.now_ms().saturating_sub(at_ms) < caps::AUDIT_CHECKPOINTS_KEPT_SECONDS * 1_000 {
            break;
        }
        write.delete(CONTROL_FORGETTABLE, &key)?;
        let Some(row) = entry(write, history, index)? else { continue };
        // The last word on a log whose node never came back stays.
        match Entry::read(&row.text) {
            Ok(entry) if needed(write, &entry, history)? => {}
            Ok(_) | Err(_) => forget(write, history, index)?,
        }
    }
    Ok(())
}

/// Forgets the text of an entry. Its hash stays.
pub(crate) fn forget(write: &mut Writer<'_, '_>, history: u64, index: u64) -> Result<(), StoreError> {
    let Some(mut row) = entry(write, history, index)? else { return Ok(()) };
    let kind: Kind = row.kind.parse().map_err(|_withheld| damaged(CONTROL_ENTRIES))?;
    if !kind.may_be_forgotten() {
        return Ok(());
    }
    row.text = String::new();
    write.put(CONTROL_ENTRIES, &entry_key(history, index), &row)
}

/// The tree of a new history. After a restore its first entry says how far the one before was.
fn begin(write: &mut Writer<'_, '_>) -> Result<ControlTree, StoreError> {
    let history = write.cluster().history;
    let before = write.scan_prefix(CONTROL_TREES, &[], None, caps::PAGE_ROWS_MAX)?;
    let before: Option<ControlTree> =
        before.last().map(|(_, value)| row::decode(CONTROL_TREES, value)).transpose()?;
    let salt = match &before {
        Some(before) => Hash::of_parts(&[SALT, &before.salt, &key::rising(history)]),
        None => first_salt(write)?,
    };
    let mut tree = ControlTree { history, salt: salt.0.to_vec(), ..Default::default() };
    if let Some(before) = before {
        let cluster = cluster(write)?;
        let before = Checkpoint {
            origin: control::origin(&cluster, before.history),
            size: before.size,
            root: compact(&before)?.root(),
        };
        push(write, &mut tree, What::Continues(Head::of(&before)))?;
    }
    Ok(tree)
}

const SALT: &[u8] = b"aegis/control/salt/v1";

/// The cluster's first keys are wrapped with random nonces, which only those see who see this state.
fn first_salt(state: &impl StateRead) -> Result<Hash, StoreError> {
    let all: Vec<Key> = keys::keys(state, &PageQuery::first())?.rows;
    let wrapped = all.iter().map(|key| key.wrapped_private_key.as_slice());
    let parts: Vec<&[u8]> = std::iter::once(SALT).chain(wrapped).collect();
    Ok(Hash::of_parts(&parts))
}

fn push(write: &mut Writer<'_, '_>, tree: &mut ControlTree, what: What) -> Result<u64, StoreError> {
    let (history, index) = (tree.history, tree.size);
    let kind = what.kind();
    let at = UnixNanos(write.now_ms().saturating_mul(1_000_000));
    let id = Hash::of_parts(&[SALT, &tree.salt, &key::rising(index)]);
    let mut short = [0; 16];
    short.copy_from_slice(&id.0[..16]);
    let entry = Entry::new(at, RecordId(short), index, what);
    let text = entry.to_text();
    let digest = Hash::of(text.as_bytes());
    let row = ControlEntry { kind: kind.as_str().to_owned(), digest: digest.0.to_vec(), text };
    write.put(CONTROL_ENTRIES, &entry_key(history, index), &row)?;
    let mut root = tree::leaf(&control::entry_hash(kind, &digest).0);
    let mut place = index;
    for level in 0..=index.trailing_ones() {
        write.put_bytes(CONTROL_NODES, &node_key(history, level, place), &root.0)?;
        if level < index.trailing_ones() {
            let left = tree.roots.pop().as_deref().and_then(hash);
            root = tree::node(&left.ok_or_else(|| damaged(CONTROL_TREES))?, &root);
            place >>= 1;
        }
    }
    tree.roots.push(root.0.to_vec());
    tree.size += 1;
    Ok(index)
}

/// Whether a state's control logs hold together: every text has its digest, every subtree is what the entries make of it, and
/// the trees end where they say. For tests, and for whoever takes a backup over.
///
/// # Errors
/// [`StoreError::Damaged`], naming the table; or the storage failed.
pub fn check(state: &impl StateRead) -> Result<u64, StoreError> {
    let mut checked = 0;
    for (_, value) in state.scan_prefix(CONTROL_TREES, &[], None, caps::PAGE_ROWS_MAX)? {
        let tree: ControlTree = row::decode(CONTROL_TREES, &value)?;
        let mut grown = tree::Compact::default();
        while grown.size() < tree.size {
            let rows = entries(state, tree.history, grown.size(), caps::PAGE_ROWS_MAX)?;
            if rows.is_empty() {
                return Err(damaged(CONTROL_ENTRIES));
            }
            for entry in rows {
                let (kind, digest) = entry
                    .kind
                    .parse()
                    .ok()
                    .zip(hash(&entry.digest))
                    .ok_or_else(|| damaged(CONTROL_ENTRIES))?;
                let said = Entry::read(&entry.text).ok().map(|it| (it.index, it.what.kind()));
                let whole = Hash::of(entry.text.as_bytes()) == digest && said == Some((grown.size(), kind));
                let forgotten = entry.text.is_empty() && kind.may_be_forgotten();
                if !(whole || forgotten) {
                    return Err(damaged(CONTROL_ENTRIES));
                }
                grown.push(tree::leaf(&control::entry_hash(kind, &digest).0));
                checked += 1;
            }
        }
        let stored = tree::root_at(&Subtrees::new(state, tree.history), tree.size)?;
        if grown.root() != stored || grown.root() != compact(&tree)?.root() {
            return Err(damaged(CONTROL_NODES));
        }
        if entry(state, tree.history, tree.size)?.is_some() {
            return Err(damaged(CONTROL_TREES));
        }
    }
    Ok(checked)
}

/// Whether each tree ends where its subtrees do: a few reads, at every start. [`check`] looks at everything.
///
/// # Errors
/// [`StoreError::Damaged`], naming the table; or the storage failed.
pub fn check_ends(state: &impl StateRead) -> Result<(), StoreError> {
    for (_, value) in state.scan_prefix(CONTROL_TREES, &[], None, caps::PAGE_ROWS_MAX)? {
        let tree: ControlTree = row::decode(CONTROL_TREES, &value)?;
        let stored = tree::root_at(&Subtrees::new(state, tree.history), tree.size)?;
        if stored != compact(&tree)?.root() {
            return Err(damaged(CONTROL_NODES));
        }
    }
    Ok(())
}

fn compact(tree: &ControlTree) -> Result<tree::Compact, StoreError> {
    let roots: Option<Vec<Hash>> = tree.roots.iter().map(|root| hash(root)).collect();
    let compact = roots.and_then(|roots| tree::Compact::from_roots(tree.size, roots));
    compact.ok_or_else(|| damaged(CONTROL_TREES))
}

/// The cluster's id as an id.
pub(crate) fn cluster(state: &impl StateRead) -> Result<ClusterId, StoreError> {
    let cluster = meta::cluster(state)?.unwrap_or_default();
    cluster.id.parse().map_err(|_withheld| damaged(meta::CLUSTER))
}

fn hash(bytes: &[u8]) -> Option<Hash> {
    bytes.try_into().ok().map(Hash)
}

fn entry_key(history: u64, index: u64) -> Vec<u8> {
    [key::rising(history), key::rising(index)].concat()
}

fn node_key(history: u64, level: u32, index: u64) -> Vec<u8> {
    // A tree of 64 bits has no more levels than a byte counts.
    let level = u8::try_from(level).unwrap_or(u8::MAX);
    [&key::rising(history)[..], &[level], &key::rising(index)].concat()
}

fn numbers(key: &[u8]) -> Option<[u64; 3]> {
    let (parts, rest) = key.as_chunks::<8>();
    let parts: [[u8; 8]; 3] = parts.try_into().ok()?;
    rest.is_empty().then(|| parts.map(u64::from_be_bytes))
}

fn damaged(table: Table) -> StoreError {
    StoreError::Damaged { table: table.name().to_owned() }
}

#[cfg(test)]
mod tests {
    use aegis_audit::control::{Download, verify};
    use aegis_audit::tree::{consistency, inclusion, verify_consistency, verify_inclusion};
    use aegis_proto::control::{AdvanceHistory, PutPerson};

    use super::*;
    use crate::command::Code;
    use crate::keys::keyring;
    use crate::testing::World;

    fn acts(world: &World, count: usize) {
        for number in 0..count {
            let name = format!("person-{number}");
            world.done(PutPerson { name, ..Default::default() }, &World::root());
        }
    }

    fn standing(world: &World, history: u64) -> Checkpoint {
        checkpoint(&world.view(), &World::cluster_id(), history).expect("memory")
    }

    /// AUD-1, for the log of the cluster itself.
    #[test]
    fn every_act_has_an_entry_and_every_checkpoint_follows_from_the_one_before() {
        let world = World::new();
        let mut seen = vec![standing(&world, 1)];
        for _ in 0..37 {
            acts(&world, 1);
            seen.push(standing(&world, 1));
        }
        assert_eq!(seen.iter().map(|it| it.size).collect::<Vec<_>>(), (1..=38).collect::<Vec<_>>());
        let view = world.view();
        let nodes = Subtrees::new(&view, 1);
        let newest = seen.last().expect("one");
        for old in &seen {
            assert_eq!(tree::root_at(&nodes, old.size).expect("memory"), old.root);
            let proof = consistency(&nodes, old.size, newest.size).expect("memory");
            verify_consistency(old.size, newest.size, &proof, &old.root, &newest.root).expect("consistent");
        }
        for (index, row) in (0..).zip(entries(&view, 1, 0, 100).expect("memory")) {
            let entry = Entry::read(&row.text).expect("an entry");
            let proof = inclusion(&nodes, index, newest.size).expect("memory");
            let leaf = tree::leaf(&entry.hash().0);
            verify_inclusion(index, newest.size, &leaf, &proof, &newest.root).expect("included");
        }
        assert_eq!(check(&view).expect("whole"), 38);
    }

    #[test]
    fn a_refused_act_has_an_entry_too() {
        let world = World::new();
        let before = standing(&world, 1).size;
        let refused =
            world.refused(PutPerson { name: "eve".into(), ..Default::default() }, &World::person("x"));
        assert_eq!(refused.code, Code::Unauthenticated);
        let row = entry(&world.view(), 1, before).expect("memory").expect("an entry");
        assert!(row.text.contains(r#""refused":"unauthenticated""#), "{}", row.text);
    }

    /// RAFT-2: ids of entries are random to those who do not see the state, and equal on every node.
    #[test]
    fn two_nodes_that_apply_the_same_have_the_same_log() {
        let (one, other) = (World::new(), World::new());
        acts(&one, 3);
        acts(&other, 3);
        assert_eq!(standing(&one, 1), standing(&other, 1));
        let ids: std::collections::BTreeSet<_> = entries(&one.view(), 1, 0, 9)
            .expect("memory")
            .iter()
            .map(|row| Entry::read(&row.text).expect("an entry").id)
            .collect();
        assert_eq!(ids.len(), 4);
    }

    #[test]
    fn after_a_restore_another_log_says_how_far_the_one_before_was() {
        let world = World::new();
        acts(&world, 2);
        let before = standing(&world, 1);
        world.done(AdvanceHistory { from: 1, to: 0 }, &World::node());
        assert_eq!(standing(&world, 1), before, "the old log stays as it is");
        let view = world.view();
        let first = entry(&view, 2, 0).expect("memory").expect("an entry");
        let what = Entry::read(&first.text).expect("an entry").what;
        assert_eq!(what, What::Continues(Head::of(&before)));
        let lines: String =
            entries(&view, 2, 0, 9).expect("memory").iter().map(|row| line(row) + "\n").collect();
        let key = keyring::control_log_key(&view, &World::cluster_keys(), 2).expect("a key");
        let note = standing(&world, 2).sign(&key).to_bytes();
        let download = Download { checkpoint: &note, entries: &lines };
        let verified = verify(download, key.verifying_key(), &[], None).expect("a whole log");
        assert_eq!(verified.continues, Some(before));
        assert_eq!(check(&view).expect("whole"), 5);
        check_ends(&view).expect("whole");
    }
}
