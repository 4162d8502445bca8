//! Records with a checksum of their place and their bytes: a record that was damaged, cut, or moved to another place
//! is told from one that was written there.

use sha2::{Digest, Sha256};

/// How much of the SHA-256 stands before a record.
const CHECKSUM_BYTES: usize = 8;

/// The record is not what was written at this place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

/// `body` with its checksum before it. `place` is where it will stand: a table's name and a key.
pub(crate) fn seal(place: &[&[u8]], body: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(CHECKSUM_BYTES + body.len());
    record.extend_from_slice(&checksum(place, body));
    record.extend_from_slice(body);
    record
}

/// The body of `record`, if it was sealed for this place.
pub(crate) fn unseal<'r>(place: &[&[u8]], record: &'r [u8]) -> Result<&'r [u8], Broken> {
    let (sum, body) = record.split_at_checked(CHECKSUM_BYTES).ok_or(Broken)?;
    if checksum(place, body) == *sum { Ok(body) } else { Err(Broken) }
}

fn checksum(place: &[&[u8]], body: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let mut hash = Sha256::new();
    for part in place {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update(body);
    let whole: [u8; 32] = hash.finalize().into();
    let mut sum = [0; CHECKSUM_BYTES];
    sum.copy_from_slice(&whole[..CHECKSUM_BYTES]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_record_opens_at_its_place_only() {
        let record = seal(&[b"log", b"7"], b"entry");
        assert_eq!(unseal(&[b"log", b"7"], &record), Ok(b"entry".as_slice()));
        assert_eq!(unseal(&[b"log", b"8"], &record), Err(Broken));
        assert_eq!(unseal(&[b"log7", b""], &record), Err(Broken));
    }

    #[test]
    fn any_flipped_bit_and_any_cut_is_seen() {
        let record = seal(&[b"log"], b"entry");
        for bit in 0..record.len() * 8 {
            let mut flipped = record.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(&[b"log"], &flipped), Err(Broken), "bit {bit}");
        }
        for length in 0..record.len() {
            assert_eq!(unseal(&[b"log"], &record[..length]), Err(Broken), "cut to {length}");
        }
    }
}
