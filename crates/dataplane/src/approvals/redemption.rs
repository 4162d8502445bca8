//! A redemption that is not told to anybody yet: given back if the call is not released after all, and only then (APR-1).

use aegis_proto::v1;
use tokio::sync::mpsc;

/// An approval that was redeemed, or is about to be. Dropping it gives it back.
#[derive(Debug)]
#[must_use = "dropping it gives the approval back"]
pub(crate) struct Redemption {
    back: Option<v1::ApprovalReturn>,
    returns: mpsc::Sender<v1::ApprovalReturn>,
}

/// An approval that stays used: the record of its call is on its way, and a client may be told of it.
#[derive(Debug)]
pub(crate) struct Held(Redemption);

impl Redemption {
    pub(super) fn new(back: v1::ApprovalReturn, returns: mpsc::Sender<v1::ApprovalReturn>) -> Self {
        Self { back: Some(back), returns }
    }

    /// The call's record is on its way: from now on it stays used, whoever goes away.
    pub(crate) fn hold(self) -> Held {
        Held(self)
    }

    /// The control plane said that it did not happen: there is nothing to give back.
    pub(super) fn never_happened(mut self) {
        self.back = None;
    }

    fn give_back(&mut self) {
        let Some(back) = self.back.take() else { return };
        if let Err(error) = self.returns.try_send(back) {
            tracing::warn!(%error, "an approval of which nothing was released stays used");
        }
    }
}

impl Drop for Redemption {
    fn drop(&mut self) {
        self.give_back();
    }
}

impl Held {
    /// The record could not be written, so that nobody was told: it is given back.
    pub(crate) fn release(mut self) {
        self.0.give_back();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Whatever becomes of the answer, the approval was used.
        self.0.back = None;
    }
}
