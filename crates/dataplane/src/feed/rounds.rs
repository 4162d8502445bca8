//! From messages to rounds: a round counts as a whole or not at all.

use aegis_model::caps;
use aegis_proto::v1;
use aegis_proto::v1::follow_response::Message;

/// How far a state has come: later ones are greater.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) history: u64,
    pub(super) index: u64,
}

/// Everything that has changed up to a position.
#[derive(Debug, PartialEq)]
pub(super) struct Round {
    pub(super) position: Position,
    /// What it does not name is no more.
    pub(super) full: bool,
    pub(super) trust: Option<v1::Trust>,
    pub(super) shards: Option<v1::ShardMap>,
    pub(super) tenants: Vec<v1::TenantState>,
    pub(super) gone: Vec<String>,
}

/// What a message brings about.
#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// Part of a round that is not complete.
    Gathered,
    /// The stream begins.
    Welcomed(v1::Welcome),
    /// A round is complete.
    Complete(Round),
    /// Everything up to here has been told, and this moment is confirmed.
    Confirmed {
        /// Milliseconds since 1970.
        log_time_ms: u64,
    },
    /// The stream ends.
    Farewell(v1::Farewell),
}

/// Why a stream cannot be followed any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum OutOfOrder {
    /// It is older than what is known here (POL-2).
    #[error("the control node is behind what this node knows")]
    Behind,
    /// A message that may not stand there.
    #[error("`{0}` does not belong there")]
    Misplaced(&'static str),
    /// A message that says nothing this version knows; it may matter.
    #[error("a message is of a kind that this node does not know")]
    Unknown,
    /// The end of a round counts other messages than came.
    #[error("a round is not complete")]
    Incomplete,
    /// More tenants than a node serves.
    #[error("a round has more than {} tenants", caps::FEED_TENANTS_MAX)]
    TooManyTenants,
}

/// The messages of one stream, in order.
#[derive(Debug)]
pub(super) struct Rounds {
    at: Position,
    welcomed: bool,
    open: Option<(Round, u32)>,
}

impl Rounds {
    /// A new stream, for a node that has taken over the state `at`.
    pub(super) fn new(at: Position) -> Self {
        Self { at, welcomed: false, open: None }
    }

    /// Takes the next message. After an error the stream is of no use any more.
    pub(super) fn take(&mut self, response: v1::FollowResponse) -> Result<Step, OutOfOrder> {
        let position = Position { history: response.history, index: response.index };
        let message = response.message.ok_or(OutOfOrder::Unknown)?;
        if let Message::Farewell(farewell) = message {
            return Ok(Step::Farewell(farewell));
        }
        if position < self.at {
            return Err(OutOfOrder::Behind);
        }
        match (message, self.open.take()) {
            (Message::Welcome(welcome), None) if !self.welcomed => {
                self.welcomed = true;
                Ok(Step::Welcomed(welcome))
            }
            (Message::Begin(begin), None) if self.welcomed => {
                let round = Round {
                    position,
                    full: begin.full,
                    trust: None,
                    shards: None,
                    tenants: Vec::new(),
                    gone: Vec::new(),
                };
                self.open = Some((round, 0));
                Ok(Step::Gathered)
            }
            (Message::Freshness(freshness), None) if self.welcomed => {
                self.at = position;
                Ok(Step::Confirmed { log_time_ms: freshness.log_time_ms })
            }
            (Message::End(end), Some((round, messages))) if position == round.position => {
                if end.messages != messages {
                    return Err(OutOfOrder::Incomplete);
                }
                self.at = position;
                Ok(Step::Complete(round))
            }
            (message, Some((round, messages))) if position == round.position => {
                self.open = Some((gather(round, message)?, messages + 1));
                Ok(Step::Gathered)
            }
            (message, _) => Err(OutOfOrder::Misplaced(name(&message))),
        }
    }
}

fn gather(mut round: Round, message: Message) -> Result<Round, OutOfOrder> {
    match message {
        Message::Tenant(tenant) => round.tenants.push(tenant),
        Message::TenantGone(gone) => round.gone.push(gone.tenant),
        Message::Trust(trust) if round.trust.is_none() => round.trust = Some(trust),
        Message::ShardMap(map) if round.shards.is_none() => round.shards = Some(map),
        Message::Trust(_)
        | Message::ShardMap(_)
        | Message::Welcome(_)
        | Message::Begin(_)
        | Message::End(_)
        | Message::Freshness(_)
        | Message::Farewell(_) => return Err(OutOfOrder::Misplaced(name(&message))),
    }
    let tenants_max = caps::FEED_TENANTS_MAX;
    if round.tenants.len() > tenants_max || round.gone.len() > tenants_max {
        return Err(OutOfOrder::TooManyTenants);
    }
    Ok(round)
}

fn name(message: &Message) -> &'static str {
    match message {
        Message::Welcome(_) => "Welcome",
        Message::Begin(_) => "Begin",
        Message::Tenant(_) => "TenantState",
        Message::TenantGone(_) => "TenantGone",
        Message::Trust(_) => "Trust",
        Message::ShardMap(_) => "ShardMap",
        Message::End(_) => "End",
        Message::Freshness(_) => "Freshness",
        Message::Farewell(_) => "Farewell",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(index: u64, message: Message) -> v1::FollowResponse {
        v1::FollowResponse { history: 1, index, message: Some(message) }
    }

    fn welcome() -> Message {
        Message::Welcome(v1::Welcome::default())
    }

    fn begin() -> Message {
        Message::Begin(v1::Begin { full: false })
    }

    fn tenant(name: &str) -> Message {
        Message::Tenant(v1::TenantState { tenant: name.to_owned(), ..Default::default() })
    }

    fn end(messages: u32) -> Message {
        Message::End(v1::End { messages })
    }

    fn fresh() -> Message {
        Message::Freshness(v1::Freshness { log_time_ms: 7 })
    }

    fn trust() -> Message {
        Message::Trust(v1::Trust::default())
    }

    /// The error at the last of `messages`, after a welcome; all before it are taken.
    #[track_caller]
    fn refused(known: Position, messages: Vec<v1::FollowResponse>) -> OutOfOrder {
        let mut rounds = Rounds::new(known);
        let last = messages.len() - 1;
        for (number, message) in messages.into_iter().enumerate() {
            match rounds.take(message) {
                Ok(step) if number == last => panic!("taken: {step:?}"),
                Err(error) if number < last => panic!("message {number} was refused: {error}"),
                Ok(_) => {}
                Err(error) => return error,
            }
        }
        unreachable!("the last message returns or panics")
    }

    #[test]
    fn a_round_comes_out_whole() {
        let mut rounds = Rounds::new(Position::default());
        assert!(matches!(rounds.take(at(5, welcome())), Ok(Step::Welcomed(_))));
        for message in [begin(), trust(), tenant("a"), tenant("b")] {
            assert_eq!(rounds.take(at(5, message)), Ok(Step::Gathered));
        }
        let Ok(Step::Complete(round)) = rounds.take(at(5, end(3))) else { panic!("a round") };
        assert_eq!((round.position, round.tenants.len()), (Position { history: 1, index: 5 }, 2));
        assert_eq!(rounds.take(at(6, fresh())), Ok(Step::Confirmed { log_time_ms: 7 }));
        // A round may be empty, and may come twice.
        for _ in 0..2 {
            assert_eq!(rounds.take(at(6, begin())), Ok(Step::Gathered));
            assert!(matches!(rounds.take(at(6, end(0))), Ok(Step::Complete(_))));
        }
    }

    #[test]
    fn nothing_stands_where_it_does_not_belong() {
        let none = Position::default();
        for first in [begin(), tenant("a"), trust(), end(0), fresh()] {
            let name = name(&first);
            assert_eq!(refused(none, vec![at(1, first)]), OutOfOrder::Misplaced(name));
        }
        for second in [welcome(), tenant("a"), trust(), end(0)] {
            let name = name(&second);
            assert_eq!(refused(none, vec![at(1, welcome()), at(1, second)]), OutOfOrder::Misplaced(name));
        }
        for within in [welcome(), begin(), fresh()] {
            let name = name(&within);
            let messages = vec![at(1, welcome()), at(1, begin()), at(1, within)];
            assert_eq!(refused(none, messages), OutOfOrder::Misplaced(name));
        }
        let twice = vec![at(1, welcome()), at(1, begin()), at(1, trust()), at(1, trust())];
        assert_eq!(refused(none, twice), OutOfOrder::Misplaced("Trust"));
    }

    #[test]
    fn a_round_has_one_position_and_all_of_its_messages() {
        let none = Position::default();
        let begun = || vec![at(1, welcome()), at(2, begin()), at(2, tenant("a"))];
        let with = |message| [begun(), vec![message]].concat();
        assert_eq!(refused(none, with(at(3, tenant("b")))), OutOfOrder::Misplaced("TenantState"));
        assert_eq!(refused(none, with(at(3, end(1)))), OutOfOrder::Misplaced("End"));
        assert_eq!(refused(none, with(at(2, end(0)))), OutOfOrder::Incomplete);
        assert_eq!(refused(none, with(at(2, end(2)))), OutOfOrder::Incomplete);
    }

    #[test]
    fn a_stream_that_goes_back_is_left() {
        let known = Position { history: 1, index: 5 };
        assert_eq!(refused(known, vec![at(4, welcome())]), OutOfOrder::Behind);
        assert_eq!(refused(known, vec![at(5, welcome()), at(4, begin())]), OutOfOrder::Behind);
        assert_eq!(
            refused(known, vec![at(5, welcome()), at(9, fresh()), at(8, fresh())]),
            OutOfOrder::Behind
        );
        let newer_history = Position { history: 2, index: 0 };
        assert_eq!(refused(newer_history, vec![at(1_000, welcome())]), OutOfOrder::Behind);
        // A farewell is heard whatever it is stamped with.
        let farewell = v1::FollowResponse {
            message: Some(Message::Farewell(v1::Farewell::default())),
            ..Default::default()
        };
        assert!(matches!(Rounds::new(known).take(farewell), Ok(Step::Farewell(_))));
    }

    #[test]
    fn a_kind_that_is_not_known_ends_the_stream() {
        let unknown = v1::FollowResponse { history: 1, index: 1, message: None };
        assert_eq!(refused(Position::default(), vec![at(1, welcome()), unknown]), OutOfOrder::Unknown);
    }
}
