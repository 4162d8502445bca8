//! One file, read in pieces: its findings with line and column, and what may be shown of each.

use std::io::{self, Read};

use aegis_dlp::finding::{Confidence, Finding, Span, Unread, Via};
use aegis_dlp::scanner::Scanner;
use aegis_dlp::stream::{Decided, StreamScanner};

/// How much is read at once.
const PIECE: usize = 256 << 10;

/// Most bytes that are shown before a value, and behind it.
const AROUND: usize = 40;

/// What was found in a file.
#[derive(Debug)]
pub(super) struct Found {
    /// Counted from 1.
    pub(super) line: u64,
    /// In characters, counted from 1.
    pub(super) column: u64,
    /// Bytes before it.
    pub(super) offset: u64,
    /// Its bytes, as they stand in the file.
    pub(super) length: u64,
    /// Its kind; `unread` for what cannot be looked at.
    pub(super) kind: String,
    /// `valid` or `looks`.
    pub(super) confidence: &'static str,
    /// How it was hidden: `plain`, `escapes`, `base64`, `hex`, `gzip`.
    pub(super) via: &'static str,
    /// What stands before it on its line, the value, and what stands behind it; values masked unless they are to be shown.
    pub(super) shown: [String; 3],
}

/// Gives every finding in `source` to `each`, in order; how many bytes there were.
pub(super) fn scan(
    source: &mut impl Read,
    scanner: &Scanner,
    show: bool,
    each: &mut impl FnMut(Found),
) -> io::Result<u64> {
    let mut stream = StreamScanner::new(scanner);
    let mut place = Place { scanner, show, line: 1, column: 1, bytes: 0 };
    let mut piece = vec![0; PIECE];
    loop {
        let count = match source.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        place.take(&stream.push(&piece[..count]), each);
    }
    place.take(&stream.finish(), each);
    Ok(place.bytes)
}

/// Where in the file everything before the next decided bytes ends.
struct Place<'s> {
    scanner: &'s Scanner,
    show: bool,
    line: u64,
    column: u64,
    bytes: u64,
}

/// One thing to tell, by its offsets in the decided bytes.
struct Spot {
    start: usize,
    end: usize,
    kind: String,
    confidence: &'static str,
    via: &'static str,
}

impl Place<'_> {
    fn take(&mut self, decided: &Decided, each: &mut impl FnMut(Found)) {
        let text = decided.text.as_slice();
        let within = |span: Span| {
            let at = |offset: usize| offset.saturating_sub(decided.at).min(text.len());
            (at(span.start), at(span.end))
        };
        let mut spots: Vec<Spot> =
            decided.report.findings.iter().map(|it| self.spot(it, within(it.span))).collect();
        spots.extend(decided.report.unread.iter().map(|(span, why)| unread(within(*span), *why)));
        spots.sort_by_key(|spot| (spot.start, spot.end));
        let masked = apart(spots.iter().map(|spot| (spot.start, spot.end)));
        let mut done = 0;
        for spot in spots {
            self.pass(&text[done..spot.start.max(done)]);
            done = spot.start.max(done);
            each(Found {
                line: self.line,
                column: self.column,
                offset: self.bytes,
                length: (spot.end - spot.start) as u64,
                shown: self.shown(text, &spot, &masked),
                kind: spot.kind,
                confidence: spot.confidence,
                via: spot.via,
            });
        }
        self.pass(&text[done..]);
    }

    /// Bytes that lie behind now.
    fn pass(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len() as u64;
        let begins = |byte: &&u8| **byte & 0xc0 != 0x80;
        match bytes.iter().rposition(|byte| *byte == b'\n') {
            Some(last) => {
                self.line += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
                self.column = 1 + bytes[last + 1..].iter().filter(begins).count() as u64;
            }
            None => self.column += bytes.iter().filter(begins).count() as u64,
        }
    }

    fn spot(&self, finding: &Finding, (start, end): (usize, usize)) -> Spot {
        let confidence = match finding.confidence {
            Confidence::Valid => "valid",
            Confidence::Looks => "looks",
        };
        let via = match finding.via {
            Via::Plain => "plain",
            Via::Escapes => "escapes",
            Via::Base64 => "base64",
            Via::Hex => "hex",
            Via::Gzip => "gzip",
        };
        Spot { start, end, kind: self.scanner.name(finding.kind).to_owned(), confidence, via }
    }

    /// The value within its line. Other values that stand there are masked as well: `all` are apart and in order.
    fn shown(&self, text: &[u8], spot: &Spot, all: &[(usize, usize)]) -> [String; 3] {
        let before = &text[..spot.start];
        let from = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let from = from.max(spot.start.saturating_sub(AROUND));
        let behind = &text[spot.end..];
        let to = spot.end + behind.iter().position(|byte| *byte == b'\n').unwrap_or(behind.len()).min(AROUND);
        let value = &text[spot.start..spot.end];
        let value = if self.show { plain(value) } else { mask(value) };
        [self.around(text, (from, spot.start), all), value, self.around(text, (spot.end, to), all)]
    }

    fn around(&self, text: &[u8], (from, to): (usize, usize), all: &[(usize, usize)]) -> String {
        let mut bytes = text[from..to].to_vec();
        if !self.show {
            let first = all.partition_point(|(_, end)| *end <= from);
            for &(start, end) in all[first..].iter().take_while(|(start, _)| *start < to) {
                let (start, end) = (start.clamp(from, to) - from, end.clamp(from, to) - from);
                bytes[start..end].fill(b'*');
            }
        }
        plain(&bytes)
    }
}

/// Spans, given in the order of their beginnings, as spans that do not overlap.
fn apart(spans: impl Iterator<Item = (usize, usize)>) -> Vec<(usize, usize)> {
    let mut all: Vec<(usize, usize)> = Vec::new();
    for (start, end) in spans {
        match all.last_mut() {
            Some(last) if start <= last.1 => last.1 = last.1.max(end),
            _ => all.push((start, end)),
        }
    }
    all
}

fn unread((start, end): (usize, usize), why: Unread) -> Spot {
    let via = match why {
        Unread::Inflates => "unpacks to too much",
        Unread::Broken => "packed and broken off",
        Unread::Work => "too much is encoded",
        Unread::Depth => "encoded too often",
    };
    Spot { start, end, kind: "unread".to_owned(), confidence: "looks", via }
}

/// Longest value that is shown, in characters, masked or not.
const VALUE_MAX: usize = 80;

/// The first characters of a long value, which tell what it is, and asterisks.
fn mask(value: &[u8]) -> String {
    let text = plain(value);
    let count = text.chars().count();
    let kept = if count >= 20 { 4 } else { 0 };
    let hidden = (count - kept).min(VALUE_MAX / 4);
    text.chars().take(kept).chain(std::iter::repeat_n('*', hidden)).collect()
}

/// Bytes as they may be printed: no control characters.
fn plain(bytes: &[u8]) -> String {
    let end = bytes.len().min(VALUE_MAX * 4);
    let text = String::from_utf8_lossy(&bytes[..end]);
    let printed = |it: char| if it.is_control() { ' ' } else { it };
    text.chars().take(VALUE_MAX).map(printed).collect()
}

#[cfg(test)]
mod tests {
    use aegis_dlp::scanner::{Detectors, Precision};

    use super::*;

    fn found(text: &str, show: bool) -> Vec<Found> {
        let scanner = Scanner::new(Detectors::all(Precision::Lenient)).unwrap();
        let mut all = Vec::new();
        let bytes = scan(&mut text.as_bytes(), &scanner, show, &mut |found| all.push(found)).unwrap();
        assert_eq!(bytes, text.len() as u64);
        all
    }

    #[test]
    fn a_finding_has_its_place_in_characters() {
        let text = "nothing here\nßß ssn 219-09-9999, mail ann@example.com\n";
        let all = found(text, false);
        let places: Vec<(&str, u64, u64)> =
            all.iter().map(|it| (it.kind.as_str(), it.line, it.column)).collect();
        assert_eq!(places, [("us_ssn", 2, 8), ("email", 2, 26)]);
        assert_eq!(&text[all[0].offset as usize..][..all[0].length as usize], "219-09-9999");
    }

    #[test]
    fn no_value_is_shown_unless_it_is_asked_for() {
        let text = "ssn 219-09-9999 and 219-09-9998 ";
        for hidden in found(text, false) {
            let shown = hidden.shown.concat();
            assert!(!shown.contains("219-09"), "{shown}");
        }
        assert!(found(text, true)[0].shown.concat().contains("219-09-9999"));
        assert_eq!(mask(b"219-09-9999"), "***********");
        assert!(mask(b"ghp_0123456789abcdefghij").starts_with("ghp_***"));
    }

    /// However a file is read, the places are those of the whole.
    #[test]
    fn places_do_not_depend_on_pieces() {
        let text = "ssn 219-09-9999\n".repeat(40_000);
        let all = found(&text, false);
        assert_eq!(all.len(), 40_000);
        assert!(all.iter().zip(1..).all(|(it, line)| (it.line, it.column) == (line, 5)));
    }
}
