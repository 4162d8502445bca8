//! One control node, followed from its welcome to the end of its stream.

use std::time::Duration;

use aegis_model::caps;
use aegis_proto::v1;
use aegis_proto::v1::farewell::Reason;
use aegis_proto::v1::feed_client::FeedClient;
use aegis_proto::v1::follow_request::Message;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use super::ControlAddress;
use super::connect::Connector;
use super::keeper::{Keeper, NotWelcome, RoundRefused};
use super::rounds::{OutOfOrder, Rounds, Step};

/// How following a control node ended.
#[derive(Debug)]
pub(super) enum End {
    /// This process has to end.
    Fenced,
    /// The next control node may do better.
    Cut {
        /// Whether anything came of it.
        was_of_use: bool,
        /// Why.
        cut: Cut,
    },
}

/// Why a stream ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum Cut {
    /// There is nobody, or they are not who they should be.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It did not welcome this node in time.
    #[error("it did not welcome this node in time")]
    Slow,
    /// It refused.
    #[error("it answered {code}: {message}", code = .0.code(), message = .0.message())]
    Refused(Box<Status>),
    /// The stream ended without a word.
    #[error("it ended the stream")]
    Closed,
    /// Nothing new came for too long.
    #[error("nothing new came from it for too long")]
    Silent,
    /// It said farewell.
    #[error("it said farewell: {0}")]
    Farewell(String),
    /// It is not for this node.
    #[error(transparent)]
    NotWelcome(#[from] NotWelcome),
    /// Its messages make no sense, or are older than what is known.
    #[error(transparent)]
    OutOfOrder(#[from] OutOfOrder),
    /// A round cannot be taken over.
    #[error("a round was refused: {0}")]
    Round(#[from] RoundRefused),
}

/// Follows the control node at `address` until its stream ends.
pub(super) async fn follow(keeper: &mut Keeper, connector: &Connector, address: &ControlAddress) -> End {
    let welcome = tokio::time::timeout(keeper.config.pace.welcome, begin(keeper, connector, address)).await;
    let end = match welcome.unwrap_or(Err(Cut::Slow)) {
        Err(cut) => ended(false, cut),
        Ok(mut stream) => {
            tracing::info!(control = %address, "following a control node");
            let cut = stream.run(keeper).await;
            ended(stream.was_of_use, cut)
        }
    };
    keeper.left();
    end
}

fn ended(was_of_use: bool, cut: Cut) -> End {
    match cut {
        // The control node is sure, and this node's certificate proved who was meant.
        Cut::Refused(status) if status.code() == Code::FailedPrecondition => End::Fenced,
        cut => End::Cut { was_of_use, cut },
    }
}

/// From no connection to a welcome.
async fn begin(keeper: &mut Keeper, connector: &Connector, address: &ControlAddress) -> Result<Stream, Cut> {
    let unreachable = |error: tonic::transport::Error| Cut::Unreachable(causes(&error));
    let connected: (FeedClient<Channel>, Channel) = connector.connect(address).await.map_err(unreachable)?;
    let (mut client, channel) = connected;
    let (up, requests) = mpsc::channel(caps::FEED_UPSTREAM_MAX);
    let hello = v1::FollowRequest { message: Some(Message::Hello(keeper.hello())) };
    // The queue is empty, and its other end is held.
    let _ = up.try_send(hello);
    let mut rounds = Rounds::new(keeper.position());
    let mut down = client.follow(ReceiverStream::new(requests)).await?.into_inner();
    let first = down.message().await?.ok_or(Cut::Closed)?;
    let history = first.history;
    match rounds.take(first)? {
        Step::Welcomed(welcome) => keeper.welcomed(&welcome, history, client, channel).await?,
        Step::Farewell(farewell) => return Err(farewell_cut(&farewell)),
        // A stream that was not welcomed gives nothing else.
        Step::Gathered | Step::Complete(_) | Step::Confirmed { .. } => return Err(Cut::Closed),
    }
    Ok(Stream { up, down, rounds, owed: 0, round_taken: false, news: Instant::now(), was_of_use: false })
}

/// A stream in use.
struct Stream {
    up: mpsc::Sender<v1::FollowRequest>,
    down: Streaming<v1::FollowResponse>,
    rounds: Rounds,
    /// Messages that were taken and for which no credit was given back.
    owed: u32,
    /// Whether a round was taken that was not acknowledged.
    round_taken: bool,
    /// When something new came last.
    news: Instant,
    was_of_use: bool,
}

impl Stream {
    async fn run(&mut self, keeper: &mut Keeper) -> Cut {
        let silence = keeper.config.pace.silence;
        let mut ticks = tokio::time::interval(keeper.config.pace.tick);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let step = tokio::select! {
                message = self.down.message() => self.take(keeper, message),
                built = keeper.built() => { keeper.take_built(built); Ok(()) }
                _ = ticks.tick() => { keeper.tick(); self.check_silence(silence) }
            };
            keeper.settle().await;
            if let Err(cut) = step {
                return cut;
            }
            self.report(keeper);
        }
    }

    fn take(
        &mut self,
        keeper: &mut Keeper,
        message: Result<Option<v1::FollowResponse>, Status>,
    ) -> Result<(), Cut> {
        let step = self.rounds.take(message?.ok_or(Cut::Closed)?)?;
        match step {
            Step::Gathered => {
                self.news = Instant::now();
                self.owed += 1;
            }
            Step::Complete(round) => {
                keeper.take(round)?;
                (self.news, self.round_taken, self.was_of_use) = (Instant::now(), true, true);
            }
            Step::Confirmed { log_time_ms } => {
                // A control node that repeats an old moment has lost its majority: that is no news.
                if keeper.confirm(log_time_ms) {
                    (self.news, self.was_of_use) = (Instant::now(), true);
                }
            }
            Step::Farewell(farewell) => return Err(farewell_cut(&farewell)),
            Step::Welcomed(_) => return Err(OutOfOrder::Misplaced("Welcome").into()),
        }
        Ok(())
    }

    fn check_silence(&self, silence: Duration) -> Result<(), Cut> {
        if self.news.elapsed() > silence { Err(Cut::Silent) } else { Ok(()) }
    }

    /// Sends what is due, as far as there is room; the rest goes with the next occasion.
    fn report(&mut self, keeper: &mut Keeper) {
        if self.owed >= caps::FEED_CREDIT / 2 {
            let credit = Message::Credit(v1::Credit { messages: self.owed });
            if self.up.try_send(v1::FollowRequest { message: Some(credit) }).is_ok() {
                self.owed = 0;
            }
        }
        if self.round_taken || keeper.has_acknowledgements() {
            let Ok(place) = self.up.try_reserve() else { return };
            if keeper.is_settled() {
                place.send(v1::FollowRequest { message: Some(Message::Ack(keeper.acknowledge())) });
                self.round_taken = false;
            }
        }
    }
}

fn farewell_cut(farewell: &v1::Farewell) -> Cut {
    match farewell.reason() {
        Reason::Fenced => Cut::Refused(Box::new(Status::failed_precondition(farewell.message.clone()))),
        Reason::Behind => OutOfOrder::Behind.into(),
        Reason::Stopping | Reason::Unspecified => Cut::Farewell(farewell.message.clone()),
    }
}

impl From<Status> for Cut {
    fn from(status: Status) -> Self {
        Self::Refused(Box::new(status))
    }
}

/// An error with everything that it says it was caused by: the outermost says little about TLS.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        told.push_str(": ");
        told.push_str(&inner.to_string());
        cause = inner.source();
    }
    told
}
