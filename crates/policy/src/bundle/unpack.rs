//! The sources within a bundle, read back: bounded before anything is unpacked, and nothing touches a disk. Whoever signed
//! a bundle vouches for its content, not for what a reader does with it, so it is read as hostile input.

use std::collections::HashSet;
use std::io::{self, Read};

use aegis_model::caps::{
    BUNDLE_BYTES_MAX, BUNDLE_FILES_MAX, BUNDLE_PATH_BYTES_MAX, BUNDLE_RATIO_MAX, BUNDLE_UNPACKED_BYTES_FREE,
    BUNDLE_UNPACKED_BYTES_MAX, POLICY_FILE_BYTES_MAX, POLICY_FILES_MAX, POLICY_SET_BYTES_MAX,
};
use flate2::bufread::GzDecoder;
use tar::EntryType;

use crate::ast::SourceFile;
use crate::sources::{FileKind, resolve_path};

/// Why the sources of a bundle cannot be read. No message holds any of its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// Larger than [`BUNDLE_BYTES_MAX`] as it is, or than [`BUNDLE_UNPACKED_BYTES_MAX`] unpacked, or far larger
    /// unpacked than policy text ever is.
    #[error(
        "the bundle is too large: at most {BUNDLE_BYTES_MAX} bytes, and {BUNDLE_UNPACKED_BYTES_MAX} unpacked"
    )]
    TooLarge,
    /// More files than [`BUNDLE_FILES_MAX`], or more sources than a policy set may have.
    #[error(
        "the bundle has too many files: at most {BUNDLE_FILES_MAX}, and {POLICY_FILES_MAX} of them sources"
    )]
    TooManyFiles,
    /// Not a gzipped tar, or cut off.
    #[error("the bundle is not a whole gzipped tar")]
    NotATar,
    /// A path that has no place in a bundle or is not in plain form, a file twice, or something that is not a file.
    #[error("the bundle has an entry that is not a plain file in its place")]
    Entry,
    /// A source that is not UTF-8.
    #[error("a source in the bundle is not UTF-8")]
    NotUtf8,
    /// No sources at all: it was not made by `aegis policy build`.
    #[error("the bundle has no sources: build it with `aegis policy build`")]
    NoSources,
}

/// The sources within `bundle`, sorted by path. That they give this bundle is for the caller to prove, by building it
/// anew, or by the signature of somebody who did.
///
/// # Errors
/// [`UnpackError`]
pub fn sources(bundle: &[u8]) -> Result<Vec<SourceFile>, UnpackError> {
    if bundle.len() > BUNDLE_BYTES_MAX {
        return Err(UnpackError::TooLarge);
    }
    let content_max = bundle
        .len()
        .saturating_mul(BUNDLE_RATIO_MAX)
        .clamp(BUNDLE_UNPACKED_BYTES_FREE, BUNDLE_UNPACKED_BYTES_MAX);
    let mut unpacked = Bounded { inner: GzDecoder::new(bundle), left: content_max, over: false };
    let found = read_entries(&mut unpacked).and_then(|found| to_the_end(&mut unpacked).map(|()| found));
    // Whatever the tar reader makes of an error of ours, the bound is the reason.
    if unpacked.over {
        return Err(UnpackError::TooLarge);
    }
    let mut found = found?;
    if !unpacked.inner.into_inner().is_empty() {
        return Err(UnpackError::NotATar);
    }
    if found.is_empty() {
        return Err(UnpackError::NoSources);
    }
    found.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(found)
}

fn read_entries(unpacked: &mut impl Read) -> Result<Vec<SourceFile>, UnpackError> {
    let mut archive = tar::Archive::new(unpacked);
    let mut seen = HashSet::new();
    let mut sources = Vec::new();
    let mut source_bytes = 0;
    let mut long_name: Option<Vec<u8>> = None;
    // Raw entries: a header that only describes the next one is an entry of its own. Of these we write, and so read,
    // one kind: the name of a file that does not fit into its header.
    for entry in archive.entries().map_err(not_a_tar)?.raw(true) {
        let mut entry = entry.map_err(not_a_tar)?;
        match (entry.header().entry_type(), &long_name) {
            (EntryType::Regular, _) => {}
            (EntryType::GNULongName, None) => {
                long_name = Some(read_long_name(&mut entry)?);
                continue;
            }
            _ => return Err(UnpackError::Entry),
        }
        let path = path(&long_name.take().unwrap_or_else(|| entry.path_bytes().into_owned()))?;
        if seen.len() >= BUNDLE_FILES_MAX {
            return Err(UnpackError::TooManyFiles);
        }
        if let Some(source) = source_path(&path)? {
            let size = usize::try_from(entry.size()).unwrap_or(usize::MAX);
            source_bytes += size.min(POLICY_SET_BYTES_MAX + 1);
            if size > POLICY_FILE_BYTES_MAX || source_bytes > POLICY_SET_BYTES_MAX {
                return Err(UnpackError::TooLarge);
            }
            let mut text = Vec::with_capacity(size);
            entry.read_to_end(&mut text).map_err(not_a_tar)?;
            if text.len() != size {
                return Err(UnpackError::NotATar);
            }
            let text = String::from_utf8(text).map_err(|_withheld| UnpackError::NotUtf8)?;
            if sources.len() == POLICY_FILES_MAX {
                return Err(UnpackError::TooManyFiles);
            }
            sources.push(SourceFile { path: source, text: text.into() });
        }
        if !seen.insert(path) {
            return Err(UnpackError::Entry);
        }
    }
    if long_name.is_some() {
        return Err(UnpackError::NotATar);
    }
    Ok(sources)
}

/// A name, and the zero behind it.
fn read_long_name(entry: &mut impl Read) -> Result<Vec<u8>, UnpackError> {
    let mut name = Vec::new();
    let read = entry.take(BUNDLE_PATH_BYTES_MAX as u64 + 2).read_to_end(&mut name);
    read.map_err(not_a_tar)?;
    match name.pop() {
        Some(0) => Ok(name),
        Some(_) | None => Err(UnpackError::Entry),
    }
}

/// The path of an entry, in plain form.
fn path(bytes: &[u8]) -> Result<String, UnpackError> {
    if bytes.len() > BUNDLE_PATH_BYTES_MAX {
        return Err(UnpackError::Entry);
    }
    let path = std::str::from_utf8(bytes).map_err(|_withheld| UnpackError::Entry)?;
    // A path that is not what it is resolved to leads elsewhere, or has a second spelling.
    match resolve_path("", path) {
        Some(plain) if plain == path => Ok(plain),
        Some(_) | None => Err(UnpackError::Entry),
    }
}

/// The path of the source that lies at `path`; nothing for what the compiler made of the sources.
fn source_path(path: &str) -> Result<Option<String>, UnpackError> {
    if let Some(source) = path.strip_prefix("sources/") {
        let source = source.strip_suffix(".txt").ok_or(UnpackError::Entry)?;
        return match FileKind::of(source) {
            FileKind::Yaml | FileKind::Json | FileKind::Rego => Ok(Some(source.to_owned())),
            FileKind::Test | FileKind::Other => Err(UnpackError::Entry),
        };
    }
    let module = |folder: &str| {
        let name = path.strip_prefix(folder)?.strip_suffix(".rego")?;
        Some(!name.is_empty() && !name.contains('/'))
    };
    match path {
        ".manifest" | "aegis/index/data.json" | "aegis/main.rego" => Ok(None),
        _ if module("aegis/unit/") == Some(true) || module("aegis/custom/") == Some(true) => Ok(None),
        _ => Err(UnpackError::Entry),
    }
}

/// The reader's own message may quote what it found.
/// A tar ends before its gzip does: what follows is padding, and the gzip's checksum.
fn to_the_end(unpacked: &mut impl Read) -> Result<(), UnpackError> {
    io::copy(unpacked, &mut Zeros).map(drop).map_err(not_a_tar)
}

/// The reader's own message may quote what it found.
fn not_a_tar(_withheld: io::Error) -> UnpackError {
    UnpackError::NotATar
}

/// Ends the reading when more than `left` bytes were unpacked: a small archive can hold any number of zeros.
struct Bounded<R> {
    inner: R,
    left: usize,
    over: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        match self.left.checked_sub(read) {
            Some(left) => {
                self.left = left;
                Ok(read)
            }
            None => {
                self.over = true;
                Err(io::ErrorKind::FileTooLarge.into())
            }
        }
    }
}

/// Takes zeros and nothing else: what pads an archive.
struct Zeros;

impl io::Write for Zeros {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match bytes.iter().all(|&byte| byte == 0) {
            true => Ok(bytes.len()),
            false => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
