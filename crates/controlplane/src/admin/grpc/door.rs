//! In front of the service: who asks, and how much may be sent, before anything of the message is read.
//!
//! Left to itself gRPC reads a whole message before anybody looks at the token, for as long as the client likes.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::admin::admin_server::{AdminServer, SERVICE_NAME};
use futures_util::future::{BoxFuture, FutureExt};
use http::{Request, Response};
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;
use tonic::{Code, Status};
use tower::Service;

use super::service::{self, AdminService};
use crate::admin::problem::ApiCode;
use crate::admin::{Admin, Problem};
use crate::spans::Notes;

/// The service as it is served.
#[derive(Debug, Clone)]
pub struct AdminDoor {
    admin: Admin,
    /// Reads messages as large as most are.
    usual: AdminServer<AdminService>,
    /// Reads messages as large as a policy may be.
    large: AdminServer<AdminService>,
}

/// The one method whose messages are large.
const PUBLISH: &str = "/aegis.v1.Admin/PublishVersion";

impl AdminDoor {
    pub(super) fn new(admin: Admin) -> Self {
        let service = AdminService::new(admin.clone());
        let reading = |bytes_max| AdminServer::new(service.clone()).max_decoding_message_size(bytes_max);
        let usual = reading(caps::ADMIN_BODY_BYTES_MAX);
        Self { admin, usual, large: reading(caps::ADMIN_SOURCES_BYTES_MAX) }
    }

    async fn answer(self, mut request: Request<Body>) -> Result<Response<Body>, Problem> {
        let Self { admin, usual, large } = self;
        let (mut inner, bytes_max, _charge) = match request.uri().path() {
            PUBLISH => {
                let bytes_max = caps::ADMIN_SOURCES_BYTES_MAX;
                (large, bytes_max, Some(admin.rooms().body(bytes_max)?))
            }
            _ => (usual, caps::ADMIN_BODY_BYTES_MAX, None),
        };
        let answered = async {
            let metadata = MetadataMap::from_headers(request.headers().clone());
            let notes = request.extensions().get::<Notes>().cloned();
            let caller = service::identify(&admin, &metadata, notes).await?;
            request.extensions_mut().insert(Arc::new(caller));
            match inner.call(request).await {
                Ok(response) if is_too_large(&response) => {
                    let detail = format!("the message is larger than {bytes_max} bytes");
                    Err(Problem::new(ApiCode::TooLarge, detail))
                }
                Ok(response) => Ok(response),
                Err(never) => match never {},
            }
        };
        let patience = Duration::from_secs(caps::ADMIN_BODY_SECONDS + caps::ADMIN_CALL_SECONDS);
        let late = |_elapsed| Problem::new(ApiCode::TimedOut, "the call took too long");
        tokio::time::timeout(patience, answered).await.map_err(late)?
    }
}

/// Whether gRPC has refused the message for its size: it says so with a status that nothing else here has.
fn is_too_large(response: &Response<Body>) -> bool {
    Status::from_header_map(response.headers()).is_some_and(|status| status.code() == Code::OutOfRange)
}

impl Service<Request<Body>> for AdminDoor {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.clone().answer(request);
        async move { Ok(answer.await.unwrap_or_else(|problem| Status::from(problem).into_http())) }.boxed()
    }
}

impl NamedService for AdminDoor {
    const NAME: &'static str = SERVICE_NAME;
}
