//! A response body that keeps its connection busy until it was sent.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};

/// What happens on one connection.
#[derive(Debug, Default)]
pub(super) struct Activity {
    in_progress: AtomicUsize,
    begun: AtomicUsize,
}

/// One request in progress.
#[derive(Debug)]
pub(super) struct Busy(Arc<Activity>);

impl Activity {
    /// Begins a request.
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.in_progress.fetch_add(1, Ordering::Relaxed);
        self.begun.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// Whether nothing is in progress and nothing began since `begun_before` was noted; notes the present count.
    pub(super) fn is_idle_since(&self, begun_before: &mut usize) -> bool {
        let begun = self.begun.load(Ordering::Relaxed);
        let unchanged = std::mem::replace(begun_before, begun) == begun;
        unchanged && self.in_progress.load(Ordering::Relaxed) == 0
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.in_progress.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A body with its request.
#[derive(Debug)]
pub(super) struct Held<B> {
    body: B,
    _busy: Busy,
}

impl<B> Held<B> {
    pub(super) fn new(body: B, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
}

impl<B: Body + Unpin> Body for Held<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
