//! Bytes of request bodies in memory: one budget for the node, so that slow or large senders cannot fill it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The budget, in bytes. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ByteBudget(Arc<Semaphore>);

/// Bytes taken from the budget; dropping gives them back.
#[derive(Debug, Default)]
pub(crate) struct Charge(Option<OwnedSemaphorePermit>);

/// Why a body cannot be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The connection failed, or the client gave up.
    #[error("the body could not be received")]
    Broken(#[from] hyper::Error),
    /// The node holds as many bytes of bodies as it may.
    #[error("the node has no room for the body")]
    NoRoom,
}

impl ByteBudget {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// Adds `bytes` to `charge`.
    pub(crate) fn charge(&self, charge: &mut Charge, bytes: usize) -> Result<(), BodyError> {
        let bytes = u32::try_from(bytes).map_err(|_| BodyError::NoRoom)?;
        let more = Arc::clone(&self.0).try_acquire_many_owned(bytes).map_err(|_| BodyError::NoRoom)?;
        match &mut charge.0 {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

/// A request body whose bytes count until it is dropped.
#[derive(Debug)]
pub(crate) struct Metered {
    body: Incoming,
    budget: ByteBudget,
    charge: Charge,
}

impl Metered {
    pub(crate) fn new(body: Incoming, budget: ByteBudget) -> Self {
        Self { body, budget, charge: Charge::default() }
    }

    /// What was taken for it, to be kept as long as its bytes are.
    pub(crate) fn into_charge(self) -> Charge {
        self.charge
    }
}

impl Body for Metered {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = &mut *self;
        Pin::new(&mut this.body).poll_frame(cx).map(|frame| {
            let frame = match frame? {
                Ok(frame) => frame,
                Err(error) => return Some(Err(BodyError::Broken(error))),
            };
            let bytes = frame.data_ref().map_or(0, Bytes::len);
            Some(this.budget.charge(&mut this.charge, bytes).map(|()| frame))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_back_when_the_charge_is_dropped() {
        let budget = ByteBudget::new(10);
        let mut one = Charge::default();
        budget.charge(&mut one, 4).unwrap();
        budget.charge(&mut one, 4).unwrap();
        let mut other = Charge::default();
        assert!(matches!(budget.charge(&mut other, 3), Err(BodyError::NoRoom)));
        budget.charge(&mut other, 2).unwrap();
        drop(one);
        budget.charge(&mut other, 8).unwrap();
        assert!(matches!(budget.charge(&mut other, 1), Err(BodyError::NoRoom)));
    }
}
