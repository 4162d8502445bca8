//! A sealed segment of one chain: a text file that is read with `grep` and `jq`, and never changes.
//!
//! ```text
//! aegis-segment/v1 ORIGIN SEGMENT CHAIN
//! INDEX RECORD            for each record, in order; the record exactly as it was hashed
//! head END SEQ ENTRY PLACE KEY PROOF      but for the chain `log`: where the chain stands at the end of the segment
//! ```

use std::io::BufRead;
use std::path::PathBuf;

use crate::hash::Hash;
use crate::heads::Opening;
use crate::record::Chain;

const FORM: &str = "aegis-segment/v1";

/// The folder of a chain, below the folder of a log: names of tenants may hold what names of files may not.
pub fn folder(chain: &Chain) -> PathBuf {
    let name = match chain {
        Chain::Log => "log".to_owned(),
        Chain::Node => "node".to_owned(),
        Chain::Tenant(name) => format!("tenant-{}", &Hash::of(name.as_str().as_bytes()).to_string()[..32]),
    };
    PathBuf::from("segments").join(name)
}

/// The name of a segment's file.
pub fn file_name(segment: u64) -> String {
    format!("{segment:08}.seg")
}

/// The number of the segment whose file has this name; nothing for every other name.
pub fn number(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".seg")?.parse().ok()?;
    (file_name(number) == name).then_some(number)
}

/// Writes a file of a chain.
pub(crate) struct Builder {
    /// The text so far. Whoever takes it away puts it into the file before what follows.
    pub(crate) text: Vec<u8>,
}

impl Builder {
    pub(crate) fn new(origin: &str, segment: u64, chain: &str) -> Self {
        Self { text: format!("{FORM} {origin} {segment} {chain}\n").into_bytes() }
    }

    pub(crate) fn record(&mut self, index: u64, bytes: &[u8]) {
        use std::io::Write;
        write!(self.text, "{index} ").expect("a vector takes any write");
        self.text.extend_from_slice(bytes);
        self.text.push(b'\n');
    }

    /// The last line.
    pub(crate) fn finish(&mut self, opening: Option<&Opening>) {
        opening.into_iter().for_each(|opening| self.text.extend_from_slice(opening.to_line().as_bytes()));
    }
}

/// A file of a chain, its lines taken apart but not judged.
#[derive(Debug)]
pub struct Segment<'b> {
    /// The log that it claims to be of.
    pub origin: &'b str,
    /// Its number.
    pub number: u64,
    /// Its chain.
    pub chain: Chain,
    /// Index and bytes of each record, in the order of the file.
    pub records: Vec<(u64, &'b [u8])>,
    /// Where the chain stands at the end.
    pub opening: Option<Opening>,
}

/// Takes a file apart. Only one spelling is read.
pub fn read(bytes: &[u8]) -> Option<Segment<'_>> {
    let mut rest = bytes;
    let first = std::str::from_utf8(line_of(&mut rest)??).ok()?;
    let parts: Vec<&str> = first.split(' ').collect();
    let [FORM, origin, number, chain] = parts[..] else { return None };
    let chain = chain.parse().ok()?;
    let mut segment = Segment { origin, number: decimal(number)?, chain, records: Vec::new(), opening: None };
    while let Some(line) = line_of(&mut rest) {
        let line = line?;
        if segment.opening.is_some() {
            return None;
        }
        if line.starts_with(b"head ") {
            segment.opening = Some(Opening::read_line(std::str::from_utf8(line).ok()?)?);
        } else {
            let space = line.iter().position(|byte| *byte == b' ')?;
            let index = decimal(std::str::from_utf8(&line[..space]).ok()?)?;
            segment.records.push((index, &line[space + 1..]));
        }
    }
    Some(segment)
}

/// The next line without its line feed; nothing at the end, and nothing within if the last line has none.
fn line_of<'b>(rest: &mut &'b [u8]) -> Option<Option<&'b [u8]>> {
    let whole = *rest;
    let length = rest.skip_until(b'\n').ok().filter(|length| *length > 0)?;
    Some(whole[..length].strip_suffix(b"\n"))
}

/// A number in its one spelling.
fn decimal(text: &str) -> Option<u64> {
    crate::checkpoint::read_size(text)
}
