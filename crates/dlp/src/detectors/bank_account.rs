//! Bank account numbers, with context: no form is common to banks.

use super::{Anchor, Detector, financial};
use crate::place::{Hit, Place};

pub(super) const DETECTOR: Detector = Detector {
    about: financial("bank_account", "Bank account number", "none: banks choose", "context only"),
    words: &["account number", "account no", "acct", "acct no", "bank account", "kontonummer", "account num"],
    anchors: &[Anchor::Plain(&[6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17], plain)],
};

fn plain(place: &Place<'_>) -> Option<Hit> {
    let fits = place.context() && place.alone(1);
    fits.then(|| Hit::looks(place.start(), place.end(1)))?
}
