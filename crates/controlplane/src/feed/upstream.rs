//! What a data node says after its hello: room for more, and what it enforces.

use aegis_model::caps;
use aegis_proto::v1;
use aegis_proto::v1::follow_request::Message;
use futures_util::StreamExt;
use tokio::sync::Semaphore;
use tonic::{Status, Streaming};

use super::acks::Standing;
use super::follower::End;

/// Listens until the data node leaves or says what it may not.
pub(super) async fn listen(
    up: &mut Streaming<v1::FollowRequest>,
    credit: &Semaphore,
    standing: &Standing,
) -> End {
    while let Some(request) = up.next().await {
        let Ok(request) = request else { return End::Left };
        match request.message {
            Some(Message::Ack(ack)) => {
                if let Err(problem) = standing.take(ack) {
                    return End::Refused(Status::invalid_argument(problem));
                }
            }
            Some(Message::Credit(v1::Credit { messages })) => {
                let room = caps::FEED_CREDIT_MAX.saturating_sub(credit.available_permits());
                credit.add_permits((messages as usize).min(room));
            }
            Some(Message::Hello(_)) => return End::Refused(Status::invalid_argument("a second `Hello`")),
            // Of newer software; nothing here depends on it.
            None => {}
        }
    }
    End::Left
}
