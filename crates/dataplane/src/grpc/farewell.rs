//! A response that would go on for ever ends when the node does.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::HeaderMap;
use hyper::body::Frame;
use tonic::body::Body;
use tonic::{Code, Status};

use crate::readiness::Readiness;

/// A body that ends with `UNAVAILABLE` once the node is stopping.
struct UntilStopped {
    body: Option<Body>,
    stopped: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// `body`, ended early when the node stops.
pub(super) fn until_stopped(body: Body, readiness: Readiness) -> Body {
    let stopped = Box::pin(async move { readiness.stopped().await });
    Body::new(UntilStopped { body: Some(body), stopped })
}

impl hyper::body::Body for UntilStopped {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        if let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) {
            return Poll::Ready(frame);
        }
        if this.stopped.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        this.body = None;
        let mut trailers = HeaderMap::new();
        trailers.insert(Status::GRPC_STATUS, (Code::Unavailable as i32).into());
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }
}
