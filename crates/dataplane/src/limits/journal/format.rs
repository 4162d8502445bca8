//! What stands in the journal, byte for byte.
//!
//! ```text
//!  header, one page: magic, version, boot, node, history, device, inode, SHA-256 over these
//!                    and, each with its complement: whether it is settled, and how many steps there are
//!  slot, 64 bytes:   word, complement, ledger, lease, amount, incarnation, checksum over the last four, nothing
//! ```
//!
//! The word of a lease changes with every call, so no checksum can cover it. It stands there twice instead, the second time
//! inverted; where they differ, the smaller rest counts, so that no flipped bit makes a lease larger.

use sha2::{Digest, Sha256};

/// Bytes of the header: a page, or several, of every machine.
pub(super) const HEADER_BYTES: usize = 64 << 10;
/// Bytes of a slot.
pub(super) const SLOT_BYTES: usize = 64;
/// Words of a slot.
pub(super) const SLOT_WORDS: usize = SLOT_BYTES / 8;

/// The words of a slot, by their place in it.
pub(super) const WORD: usize = 0;
pub(super) const COMPLEMENT: usize = 1;
pub(super) const LEDGER: usize = 2;
pub(super) const LEASE: usize = 3;
pub(super) const AMOUNT: usize = 4;
pub(super) const INCARNATION: usize = 5;
pub(super) const CHECKSUM: usize = 6;

/// Words of the header that change, by their number in the file; the complement of each follows it.
pub(super) const SETTLED: usize = 512;
pub(super) const STEPS: usize = 514;

const MAGIC: &[u8; 8] = b"AEGISLSE";
const VERSION: u32 = 1;
/// Bytes of the header that are covered by its digest, which follows them.
const COVERED: usize = 96;

/// Names a start of the machine: 36 characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Boot(pub(super) [u8; 36]);

/// Whose journal it is, and which file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) boot: Boot,
    pub(super) node: u64,
    pub(super) history: u64,
    pub(super) device: u64,
    pub(super) inode: u64,
}

/// Why a file is not the journal of this node's life before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Foreign {
    #[error("it is damaged")]
    Damaged,
    #[error("it is of another version")]
    Version,
    #[error("the machine was started since, so what it says may not be the last that was written")]
    OtherBoot,
    #[error("it is another node's")]
    OtherNode,
    #[error("it is of another history of the cluster, in which leases of this one are void")]
    OtherHistory,
    #[error("it is a copy of the file that was written")]
    Copy,
}

/// Under which the slots of a journal are signed: those of another one prove nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SlotKey([u8; 32]);

impl Header {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(SLOT_BYTES as u32).to_le_bytes());
        for number in [self.node, self.history, self.device, self.inode] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.boot.0);
        bytes.resize(COVERED, 0);
        let digest = Sha256::digest(&bytes);
        bytes.extend_from_slice(&digest);
        bytes.resize(HEADER_BYTES, 0);
        bytes
    }

    /// The key of this journal's slots.
    pub(super) fn slot_key(self) -> SlotKey {
        SlotKey(Sha256::digest(self.to_bytes()).into())
    }

    /// Whether `bytes`, the beginning of a file, are this header.
    pub(super) fn check(self, bytes: &[u8]) -> Result<(), Foreign> {
        let (covered, rest) = bytes.split_at_checked(COVERED).ok_or(Foreign::Damaged)?;
        if covered[..8] != *MAGIC || rest.get(..32) != Some(&Sha256::digest(covered)[..]) {
            return Err(Foreign::Damaged);
        }
        let number = |at: usize| {
            covered[at..at + 8].iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte))
        };
        let expected = self.to_bytes();
        if covered[8..16] != expected[8..16] {
            return Err(Foreign::Version);
        }
        if covered[48..84] != self.boot.0 {
            return Err(Foreign::OtherBoot);
        }
        if number(16) != self.node {
            return Err(Foreign::OtherNode);
        }
        if number(24) != self.history {
            return Err(Foreign::OtherHistory);
        }
        if (number(32), number(40)) != (self.device, self.inode) {
            return Err(Foreign::Copy);
        }
        Ok(())
    }
}

impl SlotKey {
    /// The checksum of what never changes in the slot of this number: ledger, lease, amount, incarnation. Never 0.
    pub(super) fn checksum(&self, slot: usize, identity: [u64; 4]) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update((slot as u64).to_le_bytes());
        for number in identity {
            hash.update(number.to_le_bytes());
        }
        let digest: [u8; 32] = hash.finalize().into();
        digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte)).max(1)
    }
}
