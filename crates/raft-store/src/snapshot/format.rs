//! Writing and reading the bytes of a snapshot.

use std::fs::File;
use std::io::{BufReader, Read, Seek, Write};

use aegis_model::caps;
use sha2::{Digest, Sha256};

use super::{Head, damaged};
use crate::tables::{StateView, StoreError, Table};

/// The form that this version writes, and the greatest that it reads.
pub const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"AEGISNAP";
const TABLE: u8 = 1;
const RECORD: u8 = 2;
const END: u8 = 3;
const BUFFER_BYTES: usize = 256 << 10;

/// Writes the state that `view` shows to `file`, whose head is `head`; does not sync.
pub(crate) fn write(
    file: &mut File,
    head: &Head,
    view: &StateView,
    tables: &[Table],
) -> Result<(), StoreError> {
    let mut out = Hashing::over(std::io::BufWriter::with_capacity(BUFFER_BYTES, file));
    out.put(MAGIC)?;
    let head = serde_json::to_vec(head).map_err(|error| StoreError::Broken(error.to_string()))?;
    out.put(&length(head.len())?)?;
    out.put(&head)?;
    let mut records = 0_u64;
    for table in tables {
        let name = table.name().as_bytes();
        let name_length = u16::try_from(name.len()).map_err(|_| too_long())?;
        out.put(&[TABLE])?;
        out.put(&name_length.to_le_bytes())?;
        out.put(name)?;
        view.for_each(*table, |key, value| {
            records += 1;
            out.put(&[RECORD])?;
            out.put(&length(key.len())?)?;
            out.put(&length(value.len())?)?;
            out.put(key)?;
            out.put(value)
        })?;
    }
    out.put(&[END])?;
    out.put(&records.to_le_bytes())?;
    let Hashing { inner: mut file, hash } = out;
    let hash: [u8; 32] = hash.finalize().into();
    file.write_all(&hash).and_then(|()| file.flush()).map_err(writing)
}

/// A snapshot that is read from its beginning to its end, once.
#[derive(Debug)]
pub struct Source<R> {
    input: Hashing<R>,
    head: Head,
}

impl Source<BufReader<File>> {
    /// Begins to read `file`, wherever it stood.
    ///
    /// # Errors
    /// It is no snapshot, of a newer version, or cannot be read.
    pub fn open(mut file: File) -> Result<Self, StoreError> {
        file.rewind().map_err(reading)?;
        Self::new(BufReader::with_capacity(BUFFER_BYTES, file))
    }
}

impl<R: Read> Source<R> {
    /// Begins to read `input`.
    ///
    /// # Errors
    /// It is no snapshot, of a newer version, or cannot be read.
    pub fn new(input: R) -> Result<Self, StoreError> {
        let mut input = Hashing::over(input);
        if input.array()? != *MAGIC {
            return Err(damaged("it does not begin like one"));
        }
        let head = input.bytes(caps::SNAPSHOT_HEAD_BYTES_MAX)?;
        let head = read_head(&head)?;
        Ok(Self { input, head })
    }

    /// What stands at its beginning. It is not to be trusted before all records were read.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Calls `each` with every record, then checks the end. Nothing that `each` did may last if this fails.
    ///
    /// # Errors
    /// The snapshot is damaged, names a table that is not among `tables`, or `each` failed.
    pub fn for_each(
        &mut self,
        tables: &[Table],
        mut each: impl FnMut(Table, &[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut current = None;
        self.walk(
            |name| {
                let known = tables.iter().find(|table| table.name().as_bytes() == name);
                let unknown =
                    || StoreError::Broken("the snapshot has a table that this version lacks".to_owned());
                current = Some(*known.ok_or_else(unknown)?);
                Ok(current)
            },
            |table, key, value| match table {
                Some(table) => each(table, key, value),
                None => Err(damaged("a record stands before its table")),
            },
        )
    }

    /// Reads and checks the rest.
    pub(super) fn skip_records(&mut self) -> Result<(), StoreError> {
        self.walk(|_name| Ok(None), |_table, _key, _value| Ok(()))
    }

    fn walk(
        &mut self,
        mut on_table: impl FnMut(&[u8]) -> Result<Option<Table>, StoreError>,
        mut on_record: impl FnMut(Option<Table>, &[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (mut records, mut table) = (0_u64, None);
        let (mut key, mut value) = (Vec::new(), Vec::new());
        loop {
            match self.input.array::<1>()? {
                [TABLE] => {
                    let length = u16::from_le_bytes(self.input.array()?);
                    self.input.fill(&mut key, usize::from(length))?;
                    table = on_table(&key)?;
                }
                [RECORD] => {
                    let key_length = self.input.length(caps::STATE_KEY_BYTES_MAX)?;
                    let value_length = self.input.length(caps::STATE_VALUE_BYTES_MAX)?;
                    self.input.fill(&mut key, key_length)?;
                    self.input.fill(&mut value, value_length)?;
                    on_record(table, &key, &value)?;
                    records += 1;
                }
                [END] => break,
                _ => return Err(damaged("an unknown mark")),
            }
        }
        if u64::from_le_bytes(self.input.array()?) != records {
            return Err(damaged("records are missing"));
        }
        self.input.end()
    }
}

fn read_head(bytes: &[u8]) -> Result<Head, StoreError> {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    let unreadable = |_| damaged("its head cannot be read");
    let Version { version } = serde_json::from_slice(bytes).map_err(unreadable)?;
    if version > VERSION {
        return Err(StoreError::Broken(format!(
            "the snapshot is of version {version}; this program reads up to {VERSION}"
        )));
    }
    serde_json::from_slice(bytes).map_err(unreadable)
}

/// Bytes on their way, and the hash of those that passed.
#[derive(Debug)]
struct Hashing<I> {
    inner: I,
    hash: Sha256,
}

impl<I> Hashing<I> {
    fn over(inner: I) -> Self {
        Self { inner, hash: Sha256::new() }
    }
}

impl<W: Write> Hashing<W> {
    fn put(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        self.hash.update(bytes);
        self.inner.write_all(bytes).map_err(writing)
    }
}

impl<R: Read> Hashing<R> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes).map_err(reading)?;
        self.hash.update(bytes);
        Ok(bytes)
    }

    fn length(&mut self, max: usize) -> Result<usize, StoreError> {
        let length = usize::try_from(u32::from_le_bytes(self.array()?)).map_err(|_| too_long())?;
        if length <= max { Ok(length) } else { Err(too_long()) }
    }

    fn bytes(&mut self, max: usize) -> Result<Vec<u8>, StoreError> {
        let length = self.length(max)?;
        let mut bytes = Vec::new();
        self.fill(&mut bytes, length)?;
        Ok(bytes)
    }

    /// Fills `bytes` with the next `length` bytes; grows as they come, not as they were promised.
    fn fill(&mut self, bytes: &mut Vec<u8>, length: usize) -> Result<(), StoreError> {
        bytes.clear();
        let read = (&mut self.inner).take(length as u64).read_to_end(bytes).map_err(reading)?;
        if read != length {
            return Err(damaged("it ends early"));
        }
        self.hash.update(&bytes);
        Ok(())
    }

    /// The checksum is next, it fits, and nothing follows.
    fn end(&mut self) -> Result<(), StoreError> {
        let computed: [u8; 32] = std::mem::take(&mut self.hash).finalize().into();
        if self.array::<32>()? != computed {
            return Err(damaged("its checksum does not fit"));
        }
        let mut rest = [0; 1];
        match self.inner.read(&mut rest).map_err(reading)? {
            0 => Ok(()),
            _ => Err(damaged("something follows its end")),
        }
    }
}

fn length(length: usize) -> Result<[u8; 4], StoreError> {
    Ok(u32::try_from(length).map_err(|_| too_long())?.to_le_bytes())
}

fn too_long() -> StoreError {
    damaged("a part is too long")
}

fn reading(error: std::io::Error) -> StoreError {
    StoreError::file("read a snapshot", error)
}

fn writing(error: std::io::Error) -> StoreError {
    StoreError::file("write a snapshot", error)
}
