//! Where a page ended at each data node. Opaque to clients, and nothing that anybody has to be kept from.

use std::collections::BTreeMap;

use aegis_model::caps;
use aegis_proto::v1;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// Where a search stands at one data node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Place {
    /// Everything below is still to be looked at.
    At(v1::SearchPosition),
    /// Everything was looked at.
    Done,
    /// It was missing, and stays so for this search: what it has would come in the wrong place.
    Missing,
}

/// Where a search stands. It is good for the question alone that it was made for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Cursor {
    /// Names the question.
    pub(crate) question: [u8; 8],
    /// Which record of the tenant's control log says that it was asked.
    pub(crate) noted: u64,
    /// The data nodes that were registered when the search began, by id; others are newer than it.
    pub(crate) places: BTreeMap<u64, Place>,
}

const FORM: u8 = 2;
const HEAD_BYTES: usize = 17;

impl Cursor {
    /// Its text.
    pub(crate) fn to_text(&self) -> String {
        let mut bytes = vec![FORM];
        bytes.extend(self.question);
        bytes.extend(self.noted.to_be_bytes());
        for (node, place) in &self.places {
            bytes.extend(node.to_be_bytes());
            match place {
                Place::Done => bytes.push(0),
                Place::Missing => bytes.push(1),
                Place::At(at) => {
                    bytes.push(2);
                    // The end of a segment is `u64::MAX`, which takes one byte this way.
                    for number in [at.life, at.segment, at.below.wrapping_add(1)] {
                        prost::encoding::encode_varint(number, &mut bytes);
                    }
                }
            }
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads what [`Cursor::to_text`] writes; nothing if it is something else.
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text.len() > caps::SEARCH_CURSOR_BYTES_MAX {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        let (head, mut rest) = bytes.split_at_checked(HEAD_BYTES)?;
        let (question, noted) = head.strip_prefix(&[FORM])?.split_first_chunk::<8>()?;
        let (question, noted) = (*question, u64::from_be_bytes(noted.try_into().ok()?));
        let mut places = BTreeMap::new();
        while !rest.is_empty() {
            let (node, after) = rest.split_first_chunk::<8>()?;
            let (kind, after) = after.split_first()?;
            rest = after;
            let place = match kind {
                0 => Place::Done,
                1 => Place::Missing,
                2 => {
                    let mut number = || prost::encoding::decode_varint(&mut rest).ok();
                    let (life, segment, below) = (number()?, number()?, number()?);
                    Place::At(v1::SearchPosition { life, segment, below: below.wrapping_sub(1) })
                }
                _ => return None,
            };
            let node = u64::from_be_bytes(*node);
            let rising = places.last_key_value().is_none_or(|(last, _)| *last < node);
            if !rising || places.len() >= caps::SEARCH_NODES_MAX {
                return None;
            }
            places.insert(node, place);
        }
        Some(Self { question, noted, places })
    }
}

const _: () = assert!(
    (HEAD_BYTES + caps::SEARCH_NODES_MAX * (8 + 1 + 4 + 3 + 5)) * 4 / 3 < caps::SEARCH_CURSOR_BYTES_MAX,
    "there is room for every data node at 2^28 lives, 2^21 segments and 2^35 records of each"
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> impl Strategy<Value = Place> {
        let at = (any::<u64>(), any::<u64>(), any::<u64>())
            .prop_map(|(life, segment, below)| Place::At(v1::SearchPosition { life, segment, below }));
        prop_oneof![Just(Place::Done), Just(Place::Missing), at]
    }

    proptest! {
        #[test]
        fn a_cursor_comes_back_as_it_was(question: [u8; 8], noted: u64, places in proptest::collection::btree_map(any::<u64>(), place(), 0..40)) {
            let cursor = Cursor { question, noted, places };
            prop_assert_eq!(Cursor::read(&cursor.to_text()), Some(cursor));
        }

        #[test]
        fn anything_else_is_none_and_never_two_spellings(text in "[A-Za-z0-9_=-]{0,80}", bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            for text in [text, URL_SAFE_NO_PAD.encode([&[FORM][..], &bytes].concat())] {
                if let Some(cursor) = Cursor::read(&text) {
                    prop_assert_eq!(Cursor::read(&cursor.to_text()), Some(cursor));
                }
            }
        }
    }

    #[test]
    fn what_is_too_much_is_none() {
        let places = |count: u64| (0..count).map(|node| (node, Place::Done)).collect();
        let most = caps::SEARCH_NODES_MAX as u64;
        let whole = Cursor { question: [7; 8], noted: 3, places: places(most) };
        assert_eq!(Cursor::read(&whole.to_text()), Some(whole));
        let more = Cursor { question: [7; 8], noted: 3, places: places(most + 1) };
        assert_eq!(Cursor::read(&more.to_text()), None);
        assert_eq!(Cursor::read(&"A".repeat(caps::SEARCH_CURSOR_BYTES_MAX + 1)), None);
        let twice = [&[FORM][..], &[0; 8], &[0; 8], &[0; 9], &[0; 9]].concat();
        assert_eq!(Cursor::read(&URL_SAFE_NO_PAD.encode(twice)), None, "a data node stands once");
    }
}
