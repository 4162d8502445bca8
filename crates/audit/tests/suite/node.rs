//! A node that writes records until something happens to it, and what it remembers of what was acknowledged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aegis_audit::checkpoint::Checkpoint;
use aegis_audit::journal::{Disk, Durability, Home, Journal, JournalError, Means, NotKept, Placed, Settings};
use aegis_audit::keys::{KeyKind, SigningKey, VerifyingKey};
use aegis_audit::origin::Origin;
use aegis_audit::record::{Chain, Draft, RecordId};
use aegis_audit::verify::{Scope, Verified, verify};
use aegis_model::clock::{Clock, UnixNanos};

use crate::samples::*;

pub(crate) const ROOT: &str = "/journal";
pub(crate) const TENANTS: [(&str, Durability); 3] =
    [("tenant/acme", Durability::Synced), ("tenant/beta", Durability::Written), ("node", Durability::Synced)];

pub(crate) fn origin(life: u64) -> Origin {
    Origin::new("prod.example".parse().unwrap(), "n1", life).unwrap()
}

pub(crate) fn key_of(life: u64) -> SigningKey {
    SigningKey::generate(origin(life).key_name(), KeyKind::Note, &mut rng(life))
}

pub(crate) fn open(disk: &Arc<dyn Disk>) -> Result<Home, JournalError> {
    Home::open(Arc::clone(disk), Path::new(ROOT), &"prod.example".parse().unwrap(), "n1")
}

/// Segments of a few records, and checkpoints by number only, so that every run makes the same calls.
pub(crate) fn means(life: u64) -> Means {
    let settings = Settings {
        segment_bytes: 4_000,
        segment_after: Duration::from_secs(3_600),
        checkpoint_after: Duration::from_secs(3_600),
        checkpoint_entries: 5,
        sync_pace: Duration::from_millis(1),
    };
    let clock = Clock::manual(UnixNanos::from_seconds(1_795_741_200 + life));
    Means { clock, randomness: Box::new(rng(1_000 + life)), settings }
}

/// What a client of the node remembers.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) acknowledged: Vec<(u64, Chain, Durability, Placed)>,
    pub(crate) newest: BTreeMap<u64, Checkpoint>,
}

impl Memory {
    /// Appends `count` records, one after the other, and stops at the first that is not kept.
    pub(crate) fn append(&mut self, journal: &Journal, life: u64, count: u64) -> Result<(), NotKept> {
        for number in 0..count {
            let (chain, durability) = TENANTS[(number % 3) as usize];
            let chain: Chain = chain.parse().unwrap();
            let id = RecordId::random(&mut rng(life * 1_000 + number));
            let draft = Draft::new(moment(number), chain.clone(), id, &decision(number)).unwrap();
            let placed = journal.append(draft, durability)?.wait(Duration::from_secs(20))?;
            self.acknowledged.push((life, chain, durability, placed));
            self.remember(journal, life);
        }
        Ok(())
    }

    pub(crate) fn remember(&mut self, journal: &Journal, life: u64) {
        if let Some(signed) = journal.newest() {
            self.newest.insert(life, signed.checkpoint.clone());
        }
    }
}

/// The whole life of a node: closes what was, begins, writes, closes. Stops where the disk does.
pub(crate) fn live(disk: &Arc<dyn Disk>, life: u64, boot: &str, memory: &mut Memory) -> Result<(), String> {
    let text = |error: JournalError| error.to_string();
    let home = open(disk).map_err(text)?;
    home.close_earlier(boot, || means(100 + life)).map_err(text)?;
    let journal = home.begin(&origin(life), key_of(life), boot, means(life)).map_err(text)?;
    let written = memory.append(&journal, life, 14);
    let closed = written.and_then(|()| journal.close());
    memory.remember(&journal, life);
    if closed.is_err() {
        assert!(journal.failure().is_some(), "it fails and says so: {closed:?}");
        let draft = Draft::new(moment(0), Chain::Node, RecordId([0; 16]), &decision(0)).unwrap();
        assert!(journal.append(draft, Durability::Synced).is_err(), "nothing is taken after a failure");
    }
    closed.map(drop).map_err(|error| error.to_string())
}

/// Closes all that is left, and checks every log against what was remembered.
pub(crate) fn check(disk: &Arc<dyn Disk>, boot: &str, memory: &Memory, context: &str) -> Vec<Verified> {
    let home = open(disk).unwrap();
    let closed = home.close_earlier(boot, || means(200));
    closed.unwrap_or_else(|error| panic!("{context}: {error}"));
    let mut verified = Vec::new();
    for (life, closed) in home.lives().unwrap() {
        assert!(closed, "{context}");
        let folder = PathBuf::from(ROOT).join(life.to_string());
        let key: VerifyingKey = key_of(life).verifying_key().clone();
        let judged = verify(&**disk, &folder, &key, memory.newest.get(&life), &Scope::Whole);
        verified.push(judged.unwrap_or_else(|problem| panic!("{context}: life {life}: {problem}")));
    }
    for (life, chain, durability, placed) in &memory.acknowledged {
        let folder = PathBuf::from(ROOT).join(life.to_string());
        let bundle = format!("tile/entries/{:03}", placed.index / 256);
        let names = disk.list(&folder.join("tile/entries")).unwrap();
        let part = names.iter().find(|name| name.ends_with(".p")).map(|name| {
            let parts = folder.join("tile/entries").join(name);
            let newest = disk.list(&parts).unwrap().into_iter().max_by_key(|it| it.parse::<u64>().unwrap());
            disk.read(&parts.join(newest.unwrap())).unwrap()
        });
        let bytes = disk.read(&folder.join(&bundle)).ok().or(part).unwrap();
        let at = (placed.index % 256) as usize * 34 + 2;
        let found = bytes.get(at..at + 32) == Some(&placed.entry.0);
        let gap = verified.iter().any(|log| log.gaps.iter().any(|(of, _)| of == chain));
        assert!(
            found || (*durability == Durability::Written && gap),
            "{context}: the record {} of {chain} in life {life} is lost",
            placed.index
        );
    }
    verified
}
