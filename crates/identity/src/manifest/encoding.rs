//! The bytes of a manifest: protobuf, in ascending order of fields, nothing twice, nothing unknown, no default written.
//!
//! | field | type | |
//! |---|---|---|
//! | 1 | string | cluster |
//! | 2 | string | tenant |
//! | 3 | uint64 | version |
//! | 4 | bytes | digest of the bundle, 32 bytes |
//! | 5 | uint64 | size of the bundle |
//! | 6 | repeated bytes | digest of each chunk, 32 bytes |
//! | 7 | uint64 | created, milliseconds since 1970; absent if 0 |
//! | 8 | bytes | id of the key, 32 bytes |
//!
//! [`read`] is simple rather than picky: what it makes of the bytes is written again, and has to be the same bytes.
//! So each manifest has one spelling, whatever the reader overlooks.

use aegis_model::digest::Digest;

use super::Manifest;
use crate::keys::KeyId;

const VARINT: u64 = 0;
const BYTES: u64 = 2;

/// The bytes of `manifest`.
pub(super) fn write(manifest: &Manifest) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256 + manifest.chunks.len() * 34);
    put_bytes(&mut bytes, 1, manifest.cluster.as_str().as_bytes());
    put_bytes(&mut bytes, 2, manifest.tenant.as_str().as_bytes());
    put_number(&mut bytes, 3, manifest.version);
    put_bytes(&mut bytes, 4, manifest.bundle.as_bytes());
    put_number(&mut bytes, 5, manifest.bundle_bytes);
    for chunk in &manifest.chunks {
        put_bytes(&mut bytes, 6, chunk.as_bytes());
    }
    put_number(&mut bytes, 7, manifest.created_ms);
    put_bytes(&mut bytes, 8, manifest.key_id.as_bytes());
    bytes
}

/// The manifest that `bytes` spell, if they spell it as [`write()`] does.
pub(super) fn read(bytes: &[u8]) -> Option<Manifest> {
    let mut draft = Draft::default();
    let mut rest = Reader(bytes);
    while !rest.0.is_empty() {
        draft.field(&mut rest)?;
    }
    let manifest = draft.finish()?;
    (write(&manifest) == bytes).then_some(manifest)
}

fn put_bytes(to: &mut Vec<u8>, field: u64, value: &[u8]) {
    put_varint(to, field << 3 | BYTES);
    put_varint(to, value.len() as u64);
    to.extend_from_slice(value);
}

fn put_number(to: &mut Vec<u8>, field: u64, value: u64) {
    if value != 0 {
        put_varint(to, field << 3 | VARINT);
        put_varint(to, value);
    }
}

fn put_varint(to: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        to.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    to.push(value.to_le_bytes()[0]);
}

#[derive(Default)]
struct Draft<'b> {
    cluster: &'b [u8],
    tenant: &'b [u8],
    version: u64,
    bundle: &'b [u8],
    bundle_bytes: u64,
    chunks: Vec<Digest>,
    created_ms: u64,
    key_id: &'b [u8],
}

impl<'b> Draft<'b> {
    fn field(&mut self, from: &mut Reader<'b>) -> Option<()> {
        let tag = from.varint()?;
        match (tag >> 3, tag & 7) {
            (1, BYTES) => self.cluster = from.bytes()?,
            (2, BYTES) => self.tenant = from.bytes()?,
            (3, VARINT) => self.version = from.varint()?,
            (4, BYTES) => self.bundle = from.bytes()?,
            (5, VARINT) => self.bundle_bytes = from.varint()?,
            (6, BYTES) => self.chunks.push(digest(from.bytes()?)?),
            (7, VARINT) => self.created_ms = from.varint()?,
            (8, BYTES) => self.key_id = from.bytes()?,
            _ => return None,
        }
        Some(())
    }

    fn finish(self) -> Option<Manifest> {
        Some(Manifest {
            cluster: std::str::from_utf8(self.cluster).ok()?.parse().ok()?,
            tenant: std::str::from_utf8(self.tenant).ok()?.parse().ok()?,
            version: self.version,
            bundle: digest(self.bundle)?,
            bundle_bytes: self.bundle_bytes,
            chunks: self.chunks,
            created_ms: self.created_ms,
            key_id: KeyId::from_bytes(self.key_id.try_into().ok()?),
        })
    }
}

fn digest(bytes: &[u8]) -> Option<Digest> {
    bytes.try_into().ok().map(Digest::from_bytes)
}

struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for place in 0..10 {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn bytes(&mut self) -> Option<&'b [u8]> {
        let length = usize::try_from(self.varint()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }
}
