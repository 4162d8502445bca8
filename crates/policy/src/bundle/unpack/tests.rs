//! Bundles of our own come back as they were; hostile archives are refused, each for its reason.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use super::*;
use crate::bundle;
use crate::check::check;

const POLICY: &str = "agent: finance-agent\nallowed_tools:\n- name: pay\n  conditions: {max_amount: 5000}\n";

fn files() -> Vec<SourceFile> {
    let file = |path: &str, text: &str| SourceFile { path: path.to_owned(), text: text.into() };
    let long = format!("{}/b.yaml", "deep".repeat(24));
    vec![file("a.yaml", POLICY), file(&long, &POLICY.replace("finance", "research"))]
}

/// A gzipped archive of `entries`: path, kind, content.
fn archive(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (path, kind, content) in entries {
        let mut header = Header::new_gnu();
        // Written by hand: the library refuses to write what it would refuse to read.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    gzip(&tar.into_inner().unwrap())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

const FILE: EntryType = EntryType::Regular;
const LEAST: [(&str, EntryType, &[u8]); 2] =
    [(".manifest", FILE, b"{}"), ("aegis/index/data.json", FILE, b"{}")];

fn with(entry: (&str, EntryType, &[u8])) -> Result<Vec<SourceFile>, UnpackError> {
    sources(&archive(&[LEAST[0], LEAST[1], entry]))
}

#[test]
fn what_was_built_is_read_and_prepares_to_the_same() {
    let set = check(files()).set.unwrap();
    let built = bundle::build(&set).unwrap();
    let read = sources(&built.bytes).unwrap();
    assert_eq!(read, set.files);
    let again = check(read).set.unwrap();
    assert_eq!(bundle::build(&again).unwrap().digest, built.digest, "the way there and back loses nothing");
    let prepared = crate::prepared::Prepared::of_bundle(&again, &built.digest).unwrap();
    assert_eq!((prepared.digest(), prepared.agents()), (built.digest.as_str(), 2));
}

#[test]
fn a_bundle_without_sources_says_so() {
    assert_eq!(sources(&archive(&LEAST)), Err(UnpackError::NoSources));
    assert_eq!(sources(&archive(&[])), Err(UnpackError::NoSources));
    assert_eq!(sources(b"not a tar at all"), Err(UnpackError::NotATar));
}

#[test]
fn only_plain_files_are_taken() {
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Directory,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::Continuous,
        EntryType::GNUSparse,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
        EntryType::GNULongLink,
    ] {
        assert_eq!(with(("sources/a.yaml.txt", kind, b"")), Err(UnpackError::Entry), "{kind:?}");
    }
}

#[test]
fn only_plain_paths_of_the_layout_are_taken() {
    for path in [
        "/sources/a.yaml.txt",
        "sources/../a.yaml.txt",
        "../sources/a.yaml.txt",
        "./.manifest",
        "sources//a.yaml.txt",
        "sources\\a.yaml.txt",
    ] {
        assert_eq!(with((path, FILE, b"")), Err(UnpackError::Entry), "{path}");
    }
    for path in [
        "etc/passwd",
        "sources/a.yaml",
        "sources/README.md.txt",
        "sources/a_test.yaml.txt",
        "aegis/unit/a/b.rego",
        "aegis/unit/.rego",
        "aegis/data.json",
        "data.json",
        "aegis/main.rego.txt",
    ] {
        assert_eq!(with((path, FILE, b"")), Err(UnpackError::Entry), "{path}");
    }
    assert_eq!(with(("sources/\u{0}a", FILE, b"")), Err(UnpackError::Entry), "a name ends at its zero");
}

#[test]
fn a_long_name_is_read_as_it_is_written_and_bounded() {
    let long = format!("sources/{}.yaml.txt\0", "a".repeat(200));
    let name = ("././@LongLink", EntryType::GNULongName, long.as_bytes());
    let file = ("sources/aaa", FILE, b"x".as_slice());
    let read_with = |entries: &[(&str, EntryType, &[u8])]| sources(&archive(&[&LEAST, entries].concat()));
    assert_eq!(read_with(&[name, file]).unwrap()[0].path.len(), 205);
    assert_eq!(read_with(&[name, name, file]), Err(UnpackError::Entry));
    assert_eq!(read_with(&[name]), Err(UnpackError::NotATar), "a name of nothing");
    let upward = ("././@LongLink", EntryType::GNULongName, b"sources/../../etc/a.yaml.txt\0".as_slice());
    assert_eq!(read_with(&[upward, file]), Err(UnpackError::Entry));
    let endless = "a".repeat(aegis_model::caps::BUNDLE_PATH_BYTES_MAX + 10) + "\0";
    let endless = ("././@LongLink", EntryType::GNULongName, endless.as_bytes());
    assert_eq!(read_with(&[endless, file]), Err(UnpackError::Entry));
}

#[test]
fn nothing_stands_twice() {
    assert_eq!(with((".manifest", FILE, b"{}")), Err(UnpackError::Entry));
    let twice = archive(&[
        LEAST[0],
        LEAST[1],
        ("sources/a.yaml.txt", FILE, b"a"),
        ("sources/a.yaml.txt", FILE, b"b"),
    ]);
    assert_eq!(sources(&twice), Err(UnpackError::Entry));
}

#[test]
fn a_source_is_text() {
    assert_eq!(with(("sources/a.yaml.txt", FILE, b"\xff\xfe")), Err(UnpackError::NotUtf8));
}

#[test]
fn bombs_end_at_their_bounds() {
    let zeros = vec![b' '; aegis_model::caps::POLICY_FILE_BYTES_MAX + 1];
    assert_eq!(
        with(("sources/a.yaml.txt", FILE, &zeros)),
        Err(UnpackError::TooLarge),
        "a source that is too large"
    );
    // A file that nobody keeps counts as well: about 64 MiB in 64 KiB.
    let large = vec![0; 64 << 20];
    let bomb = archive(&[LEAST[0], LEAST[1], ("aegis/main.rego", FILE, &large)]);
    assert!(bomb.len() < 128 << 10, "{} bytes", bomb.len());
    assert_eq!(sources(&bomb), Err(UnpackError::TooLarge));
    // The padding behind the archive's end is content, too.
    let mut padded = Vec::new();
    flate2::read::GzDecoder::new(archive(&LEAST).as_slice()).read_to_end(&mut padded).unwrap();
    padded.resize(64 << 20, 0);
    assert_eq!(sources(&gzip(&padded)), Err(UnpackError::TooLarge));
    assert_eq!(sources(&vec![0; aegis_model::caps::BUNDLE_BYTES_MAX + 1]), Err(UnpackError::TooLarge));
}

#[test]
fn a_size_that_lies_is_refused_without_room_for_it() {
    let mut header = Header::new_gnu();
    header.set_path("sources/a.yaml.txt").unwrap();
    header.set_size(u64::MAX / 2);
    header.set_cksum();
    assert_eq!(sources(&gzip(header.as_bytes())), Err(UnpackError::TooLarge));
    header.set_size(1_000_000);
    header.set_cksum();
    assert_eq!(sources(&gzip(header.as_bytes())), Err(UnpackError::NotATar), "cut off");
}

#[test]
fn whatever_is_cut_off_changed_or_appended_is_refused() {
    let set = check(files()).set.unwrap();
    let bytes = bundle::build(&set).unwrap().bytes;
    for length in 0..bytes.len() {
        assert!(sources(&bytes[..length]).is_err(), "cut off after {length} of {}", bytes.len());
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(sources(&longer), Err(UnpackError::NotATar));
    let mut twice = bytes.clone();
    twice.extend_from_slice(&bytes);
    assert_eq!(sources(&twice), Err(UnpackError::NotATar), "a second member");
    let whole = sources(&bytes).unwrap();
    // The ten bytes of the gzip header hold flags and a time that nobody reads.
    for place in 10..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 1;
        // Compression has bits that mean nothing; whatever has a meaning is covered by the checksum.
        assert!(!sources(&changed).is_ok_and(|other| other != whole), "byte {place} was changed");
    }
    let mut behind = Vec::new();
    flate2::read::GzDecoder::new(bytes.as_slice()).read_to_end(&mut behind).unwrap();
    behind.extend_from_slice(b"something");
    assert_eq!(sources(&gzip(&behind)), Err(UnpackError::NotATar), "behind the end of the archive");
}
