//! gzip, within bounds: a few bytes unpack to gigabytes if one lets them.

use std::io::Read;

use aegis_model::caps::{DLP_UNPACKED_BYTES_MAX, DLP_UNPACKED_RATIO_MAX};
use flate2::bufread::GzDecoder;

use crate::finding::Unread;

/// What every member begins with: the magic number and the only method there is.
pub(crate) const MAGIC: &[u8] = &[0x1F, 0x8B, 0x08];

/// What was unpacked, how many packed bytes that took, and why it is not all.
pub(crate) struct Unpacked {
    pub text: Vec<u8>,
    pub taken: usize,
    pub unread: Option<Unread>,
}

/// Unpacks the member at the beginning of `packed`.
pub(crate) fn unpack(packed: &[u8]) -> Unpacked {
    let most = DLP_UNPACKED_BYTES_MAX.min(packed.len().saturating_mul(DLP_UNPACKED_RATIO_MAX));
    let mut decoder = GzDecoder::new(packed);
    let mut text = Vec::new();
    let result = decoder.by_ref().take(most as u64 + 1).read_to_end(&mut text);
    let taken = packed.len() - decoder.into_inner().len();
    let unread = match result {
        Ok(_) if text.len() > most => Some(Unread::Inflates),
        Ok(_) => None,
        Err(_) => Some(Unread::Broken),
    };
    text.truncate(most);
    Unpacked { text, taken, unread }
}
