//! A piece of a file as words of memory: what this process wrote there is still there after it was killed.
//!
//! The one place of this crate with `unsafe`. Files that are mapped change under whoever holds a plain reference into them, so
//! none is ever made: all that leaves this module are atomic words.

use std::fs::File;
use std::io;
use std::sync::atomic::AtomicU64;

use memmap2::{MmapOptions, MmapRaw};

/// Words of a file, for as long as this lives.
#[derive(Debug)]
pub(super) struct Mapping(MmapRaw);

/// Bytes of a word.
const WORD: usize = size_of::<AtomicU64>();

impl Mapping {
    /// Maps so many bytes of `file` from `offset` on. They have to be there, and on disk blocks of their own: a page that
    /// the file system cannot provide ends the process when it is touched.
    pub(super) fn of(file: &File, offset: u64, bytes: usize) -> io::Result<Self> {
        MmapOptions::new().offset(offset).len(bytes).map_raw(file).map(Self)
    }

    /// The word of this number.
    #[expect(unsafe_code, reason = "an atomic word in a mapped file is made from its address")]
    pub(super) fn word(&self, number: usize) -> &AtomicU64 {
        let words = self.0.len() / WORD;
        assert!(number < words, "word {number} of {words}");
        // SAFETY:
        // - in bounds: checked above; the mapping is readable and writable, and lives as long as `self`;
        // - aligned: a mapping begins at a page, or as far behind one as the offset that was asked for, a multiple of a page;
        // - other references: this module gives out atomic ones only. Other processes may write the file, which for an
        //   atomic word is a value that was not expected, and never undefined.
        unsafe { AtomicU64::from_ptr(self.0.as_mut_ptr().cast::<u64>().add(number)) }
    }
}
