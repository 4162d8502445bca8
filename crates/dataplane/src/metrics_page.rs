//! `/metrics`, on a listener of its own.

use std::sync::Arc;

use aegis_proto::exposition::Format;
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::ACCEPT;
use hyper::{Method, Request, Response, StatusCode};

use crate::decider::Decider;
use crate::http::reply;
use crate::serve::Traffic;

/// Answers scrapes.
#[derive(Debug)]
pub(crate) struct MetricsPage {
    decider: Arc<Decider>,
    traffic: Vec<Arc<Traffic>>,
}

impl MetricsPage {
    /// The page of `decider` and of the listeners of `traffic`.
    pub(crate) fn new(decider: Arc<Decider>, traffic: Vec<Arc<Traffic>>) -> Self {
        Self { decider, traffic }
    }

    pub(crate) fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let status = match (request.uri().path(), request.method()) {
            ("/metrics", &Method::GET | &Method::HEAD) => StatusCode::OK,
            ("/metrics", _) => StatusCode::METHOD_NOT_ALLOWED,
            _ => StatusCode::NOT_FOUND,
        };
        let accept =
            request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let format = Format::accepted(accept);
        let page = match status {
            StatusCode::OK => format.page(&self.decider.families(&self.traffic)).into(),
            _ => Bytes::new(),
        };
        reply::with_type(status, format.content_type(), page)
    }
}
