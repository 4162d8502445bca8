//! Bitcoin addresses.
//!
//! Source: BIP 173 and 350 (Bech32 and its check), Base58Check of the reference client (form only).

use super::{Anchor, Detector, financial};
use crate::place::{Hit, Spot, begins, ends};

pub(super) const DETECTOR: Detector = Detector {
    about: financial("bitcoin_address", "Bitcoin address", "BIP 173, BIP 350", "Bech32 check"),
    words: &[],
    anchors: &[Anchor::Prefixes(&["bc1q", "bc1p"], find)],
};

fn find(spot: &Spot<'_>) -> Option<Hit> {
    let text = spot.text;
    let (start, mut sum) = (spot.at, 1_u32);
    if !begins(text, start) {
        return None;
    }
    let mut step = |value: u32| {
        const TURN: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
        let top = sum >> 25;
        sum = (sum & 0x01ff_ffff) << 5 ^ value;
        for (bit, turn) in TURN.iter().enumerate() {
            if top >> bit & 1 == 1 {
                sum ^= turn;
            }
        }
    };
    [3, 3, 0, 2, 3].into_iter().for_each(&mut step);
    let mut end = start + 3;
    while let Some(value) =
        text.get(end).and_then(|byte| b"qpzry9x8gf2tvdw0s3jn54khce6mua7l".iter().position(|it| it == byte))
    {
        if end - start > 90 {
            return None;
        }
        step(u32::try_from(value).unwrap_or(0));
        end += 1;
    }
    let fits = end - start >= 42 && ends(text, end);
    fits.then(|| Hit::of(start, end, sum == 1 || sum == 0x2bc8_30a3))?
}
