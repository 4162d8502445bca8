//! A process that is killed while it writes, on the machine's own disk: what it acknowledged is there.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aegis_audit::journal::{Home, Means, Settings, SystemDisk};
use aegis_audit::record::{Draft, RecordId};
use aegis_audit::tiles::{Tile, read_bundle};
use aegis_audit::verify::{Scope, verify};

use crate::node::{TENANTS, key_of, means, origin};
use crate::samples::*;

const FOLDER: &str = "AEGIS_AUDIT_CHILD_FOLDER";
const LIFE: &str = "AEGIS_AUDIT_CHILD_LIFE";
const ROUNDS: u64 = 8;

fn home(root: &Path) -> Home {
    Home::open(Arc::new(SystemDisk), root, &"prod.example".parse().unwrap(), "n1").unwrap()
}

/// What the killed process does; in an ordinary run, nothing.
#[test]
fn the_child() {
    let (Ok(folder), Ok(life)) = (std::env::var(FOLDER), std::env::var(LIFE)) else { return };
    let life: u64 = life.parse().unwrap();
    let home = home(Path::new(&folder));
    home.close_earlier("boot-1", || means(100 + life)).unwrap();
    let settings = Settings { segment_bytes: 100_000, checkpoint_entries: 64, ..Settings::default() };
    let journal =
        home.begin(&origin(life), key_of(life), "boot-1", Means { settings, ..means(life) }).unwrap();
    let mut out = std::io::stdout().lock();
    for batch in 0.. {
        let append = |number: u64| {
            let (chain, durability) = TENANTS[(number % 3) as usize];
            let id = RecordId::random(&mut rng(life * 1_000_000 + number));
            let draft = Draft::new(moment(number), chain.parse().unwrap(), id, &decision(number)).unwrap();
            journal.append(draft, durability).unwrap()
        };
        let tickets: Vec<_> = (batch * 16..batch * 16 + 16).map(append).collect();
        for ticket in tickets {
            let placed = ticket.wait(Duration::from_secs(60)).unwrap();
            writeln!(out, "kept {} {}", placed.index, placed.entry).unwrap();
        }
        out.flush().unwrap();
    }
}

#[test]
fn what_a_killed_process_acknowledged_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut kept = Vec::new();
    for life in 1..=ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kills::the_child", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(LIFE, life.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut seen = 0;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            // A last line may be torn with its process.
            let parts: Vec<&str> = line.split(' ').collect();
            if let ["kept", index, entry] = parts[..]
                && entry.len() == 64
            {
                kept.push((life, index.parse::<u64>().unwrap(), entry.to_owned()));
                seen += 1;
            }
            // At another place each time, and in the middle of whatever it does then.
            if seen == 100 + life * 61 {
                child.kill().unwrap();
            }
        }
        assert!(!child.wait().unwrap().success());
        assert!(seen >= 100, "life {life} acknowledged {seen}");
    }
    let home = home(folder.path());
    home.close_earlier("boot-1", || means(99)).unwrap();
    for (life, closed) in home.lives().unwrap() {
        assert!(closed);
        let log = home.folder(life);
        let key = key_of(life).verifying_key().clone();
        let verified = verify(&SystemDisk, &log, &key, None, &Scope::Whole).unwrap();
        assert!(verified.ended && verified.gaps.is_empty(), "a kill loses nothing: {verified:?}");
        let bundles = Tile::between(0, verified.size).into_iter().filter(|tile| tile.level.is_none());
        let read = |tile: Tile| read_bundle(&std::fs::read(log.join(tile.to_string())).unwrap(), tile.width);
        let entries: Vec<_> = bundles.flat_map(|tile| read(tile).unwrap()).collect();
        for (_, index, entry) in kept.iter().filter(|(of, ..)| *of == life) {
            assert_eq!(&entries[*index as usize].to_string(), entry, "record {index} of life {life}");
        }
    }
}
