//! Searches in copies: all that a log's key signed, and nothing else, whatever somebody does to the copies. And searches while
//! retention deletes.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::journal::*;
use aegis_audit::keys::VerifyingKey;
use aegis_audit::record::*;
use aegis_audit::search::*;

use crate::node::key_of;
use crate::searches::{Node, Step, decide};

/// A folder with the layout of the store, which fails once it was asked so often.
struct There {
    root: PathBuf,
    calls: AtomicUsize,
    calls_max: usize,
    failure: io::ErrorKind,
}

impl There {
    fn new(root: &Path) -> Self {
        let (calls, calls_max, failure) = (AtomicUsize::new(0), usize::MAX, io::ErrorKind::Other);
        Self { root: root.to_owned(), calls, calls_max, failure }
    }

    fn count(&self) -> io::Result<()> {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        if calls < self.calls_max { Ok(()) } else { Err(self.failure.into()) }
    }

    fn file(&self, life: u64, file: &str) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(self.root.join(life.to_string()).join(file)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            bytes => bytes.map(Some),
        }
    }
}

impl Copies for There {
    fn list(&self, life: u64, folder: &str) -> io::Result<Vec<String>> {
        self.count()?;
        match SystemDisk.list(&self.root.join(life.to_string()).join(folder)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            names => names,
        }
    }

    fn read(&self, life: u64, files: &[String]) -> io::Result<Vec<Option<Vec<u8>>>> {
        self.count()?;
        files.iter().map(|file| self.file(life, file)).collect()
    }

    fn tail(&self, life: u64, file: &str, bytes_max: u64) -> io::Result<Option<Vec<u8>>> {
        self.count()?;
        Ok(self.file(life, file)?.map(|bytes| {
            let from = bytes.len().saturating_sub(usize::try_from(bytes_max).unwrap());
            bytes[from..].to_vec()
        }))
    }
}

/// A node of three lives, all of which ended.
fn ended(root: &Path) -> Node {
    let mut node = Node::new(root);
    for life in 0..3 {
        node.begin();
        (0..30 + life).for_each(|at| node.write(&decide(at)));
        node.write(&Step::Complete(7));
        node.write(&Step::Decide { tenant: 1, agent: 0, denied: None, version: 1, at: 3, request: None });
    }
    node.end();
    node
}

/// What the control log knows: the keys, and the checkpoints that the nodes reported.
fn known(root: &Path) -> BTreeMap<u64, Known> {
    let of = |life: u64| {
        let key: VerifyingKey = key_of(life).verifying_key().clone();
        let note = std::fs::read(root.join(life.to_string()).join("checkpoint")).unwrap();
        let checkpoint = Checkpoint::open(&note, &key).unwrap();
        let accepted = Some((checkpoint.size, checkpoint.root));
        (life, Known { key, accepted, closed: true, wanted: true })
    };
    (1..=3).map(of).collect()
}

type Hits = Vec<(u64, u64, Vec<u8>, usize)>;

/// Everything of a tenant, page by page, and what was not looked at.
fn ask(there: &There, known: &BTreeMap<u64, Known>, read_bytes: u64) -> (Hits, Vec<(u64, Lack)>) {
    let chain: Chain = "tenant/acme".parse().unwrap();
    let (mut hits, mut lacks, mut from) = (Vec::new(), Vec::new(), None);
    loop {
        // As a question has its own time.
        there.calls.store(0, Ordering::Relaxed);
        let shelf = CopyShelf::new(there, known.clone());
        let logs = Logs { shelves: &[&shelf], growing: None };
        let limits = Limits { hits: 1_000, hit_bytes: 1 << 30, read_bytes };
        let filter = Filter::default();
        let found = search(&logs, &chain, &filter, from, limits, &mut Sketches::default(), || true);
        let mut found = found.unwrap();
        shelf.vouch(&mut found.hits);
        hits.extend(found.hits.into_iter().map(|hit| (hit.life, hit.index, hit.record, hit.links.len())));
        lacks.extend(shelf.lacks());
        let Some(rest) = found.rest else { return (hits, lacks) };
        assert_ne!(Some(rest), from, "it comes further");
        from = Some(rest);
    }
}

#[test]
fn copies_show_what_the_folder_shows() {
    let folder = tempfile::tempdir().unwrap();
    let node = ended(folder.path());
    let wanted = node.wanted("tenant/acme", &Filter::default());
    let known = known(folder.path());
    for read_bytes in [1, 9_000, 1 << 30] {
        let (hits, lacks) = ask(&There::new(folder.path()), &known, read_bytes);
        let places: Vec<(u64, u64)> = hits.iter().map(|(life, index, ..)| (*life, *index)).collect();
        assert_eq!((places, lacks), (wanted.clone(), Vec::new()), "{read_bytes}");
    }
    let linked = ask(&There::new(folder.path()), &known, 1 << 30).0;
    assert_eq!(linked.iter().filter(|(.., links)| *links == 1).count(), 3, "completions");
}

/// Every file of the copies: taken away, cut off, changed at many places, put in the place of another one, given another index. What is
/// shown is true, and what is not shown is told.
#[test]
fn a_forged_copy_is_never_shown_and_never_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    drop(ended(folder.path()));
    let known = known(folder.path());
    let there = There::new(folder.path());
    let (truth, none) = ask(&there, &known, 1 << 30);
    assert!(none.is_empty() && truth.len() == 93, "{}", truth.len());
    let mut files = Vec::new();
    walk(&folder.path().join("2"), &mut files);
    let (mut refused, mut incomplete) = (0, 0);
    for path in files {
        let whole = std::fs::read(&path).unwrap();
        let is_tile = path.to_string_lossy().contains("/tile/");
        let mut forgeries: Vec<Option<Vec<u8>>> =
            vec![None, Some(Vec::new()), Some(whole[..whole.len() / 2].to_vec())];
        for part in 0..7 {
            let mut changed = whole.clone();
            changed[part * (whole.len() - 1) / 6] ^= 1;
            forgeries.push(Some(changed));
        }
        if let Ok(text) = std::str::from_utf8(&whole) {
            // A line taken out, and the index of one changed.
            let lines: Vec<&str> = text.lines().collect();
            let without = |at: usize| [&lines[..at], &lines[at + 1..]].concat().join("\n") + "\n";
            forgeries.extend((0..lines.len()).map(|at| Some(without(at).into_bytes())));
            if let Some((index, rest)) = lines.get(1).and_then(|line| line.split_once(' ')) {
                let moved = format!("{}1 {rest}", &index[..index.len() - 1]);
                forgeries.push(Some(text.replacen(lines[1], &moved, 1).into_bytes()));
            }
        }
        for forged in forgeries {
            if forged.as_deref() == Some(&whole[..]) {
                continue;
            }
            match &forged {
                Some(bytes) => std::fs::write(&path, bytes).unwrap(),
                None => std::fs::remove_file(&path).unwrap(),
            }
            let (hits, lacks) = ask(&there, &known, 1 << 30);
            for (life, index, record, links) in &hits {
                let is_true = |it: &&(u64, u64, Vec<u8>, usize)| {
                    (it.0, it.1, &it.2) == (*life, *index, record) && *links <= it.3
                };
                assert!(truth.iter().any(|it| is_true(&it)), "{} {life} {index}", path.display());
            }
            let whole_answer = hits == truth;
            assert!(whole_answer || !lacks.is_empty(), "{}: {} hits", path.display(), hits.len());
            assert!(lacks.iter().all(|(life, _)| *life == 2), "{lacks:?}");
            let shows = path.to_string_lossy().contains(&segment_folder()) || path.ends_with("checkpoint");
            assert!(!shows || !lacks.is_empty(), "{}", path.display());
            refused += usize::from(lacks.iter().any(|(_, lack)| *lack == Lack::Refused));
            incomplete += usize::from(lacks.iter().any(|(_, lack)| *lack == Lack::Incomplete));
            let _ = is_tile;
            std::fs::write(&path, &whole).unwrap();
        }
    }
    assert!(refused > 100 && incomplete > 5, "{refused} {incomplete}");
    assert_eq!(ask(&there, &known, 1 << 30).0, truth);
}

fn segment_folder() -> String {
    let chain: Chain = "tenant/acme".parse().unwrap();
    aegis_audit::segment::folder(&chain).to_string_lossy().into_owned()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { walk(&path, files) } else { files.push(path) }
    }
}

/// Another key's log in the place of the real one, and one that its own key forked.
#[test]
fn the_control_log_decides_which_log_it_is() {
    let folder = tempfile::tempdir().unwrap();
    drop(ended(folder.path()));
    let there = There::new(folder.path());
    let mut other = known(folder.path());
    let stranger = aegis_audit::keys::SigningKey::generate(
        crate::node::origin(2).key_name(),
        aegis_audit::keys::KeyKind::Note,
        &mut crate::samples::rng(99),
    );
    other.get_mut(&2).unwrap().key = stranger.verifying_key().clone();
    let (hits, lacks) = ask(&there, &other, 1 << 30);
    assert!(hits.iter().all(|(life, ..)| *life != 2) && hits.len() == 62);
    assert_eq!(lacks, [(2, Lack::Refused)]);
    let mut forked = known(folder.path());
    let (size, root) = forked[&3].accepted.unwrap();
    forked.get_mut(&3).unwrap().accepted = Some((size, aegis_audit::hash::Hash::of(&root.0)));
    assert_eq!(ask(&there, &forked, 1 << 30).1, [(3, Lack::Refused)]);
    // The node went on after its last copy: what is there is shown, and what is not is told.
    let mut longer = known(folder.path());
    longer.get_mut(&1).unwrap().accepted = Some((size + 1_000, root));
    let (hits, lacks) = ask(&there, &longer, 1 << 30);
    assert_eq!((hits.len(), lacks), (93, vec![(1, Lack::Incomplete)]));
    // Not asked for: not looked at.
    let mut unwanted = known(folder.path());
    unwanted.get_mut(&1).unwrap().wanted = false;
    assert!(ask(&there, &unwanted, 1 << 30).0.iter().all(|(life, ..)| *life != 1));
}

/// A place that fails after any number of calls: what is lacking is told; one that is slow goes on with the next page.
#[test]
fn a_place_that_fails_is_told_and_one_that_is_slow_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    drop(ended(folder.path()));
    let known = known(folder.path());
    let (truth, _) = ask(&There::new(folder.path()), &known, 1 << 30);
    for calls_max in 0..60 {
        let failing = There { calls_max, ..There::new(folder.path()) };
        let (hits, lacks) = ask(&failing, &known, 1 << 30);
        assert!(hits == truth || lacks.iter().any(|(_, lack)| *lack == Lack::Unreadable), "{calls_max}");
        assert!(hits.iter().all(|hit| truth.contains(hit)), "{calls_max}");
    }
    // Twelve calls show a segment, and no question shows all.
    let failure = io::ErrorKind::TimedOut;
    let slow = There { calls_max: 16, failure, ..There::new(folder.path()) };
    let (hits, lacks) = ask(&slow, &known, 1);
    let places = |hits: &Hits| hits.iter().map(|(life, index, ..)| (*life, *index)).collect::<Vec<_>>();
    assert_eq!((places(&hits), lacks), (places(&truth), Vec::new()));
}

/// Retention deletes the oldest segments while a tenant's decisions are searched: no error, and always the newest ones without a hole.
#[test]
fn a_search_while_segments_are_deleted_shows_the_newest_without_a_hole() {
    let folder = tempfile::tempdir().unwrap();
    let node = ended(folder.path());
    let wanted = node.wanted("tenant/acme", &Filter::default());
    let disk: Arc<dyn Disk> = Arc::new(SystemDisk);
    let shelf = Folder { disk, root: folder.path().to_owned() };
    let chain: Chain = "tenant/acme".parse().unwrap();
    let below = segment_folder();
    std::thread::scope(|scope| {
        let deletes = scope.spawn(|| {
            for life in ["1", "2", "3"] {
                let log = folder.path().join(life).join(&below);
                for name in SystemDisk.list(&log).unwrap() {
                    SystemDisk.remove(&log.join(name)).unwrap();
                    std::thread::yield_now();
                }
            }
        });
        loop {
            let done = deletes.is_finished();
            let logs = Logs { shelves: &[&shelf], growing: None };
            let limits = Limits { hits: 1_000, hit_bytes: 1 << 30, read_bytes: 1 << 30 };
            let filter = Filter::default();
            let found = search(&logs, &chain, &filter, None, limits, &mut Sketches::default(), || true);
            let places: Vec<(u64, u64)> =
                found.unwrap().hits.iter().map(|hit| (hit.life, hit.index)).collect();
            assert_eq!(places, wanted[..places.len()]);
            if done {
                assert!(places.is_empty());
                break;
            }
        }
    });
}
