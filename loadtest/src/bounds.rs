//! Every bound of the load generator: what it is, why it has that size, what happens at it.

/// Highest rate of one run, in calls per second: beyond, the pacing thread itself is the bottleneck.
pub const RATE_MAX: u32 = 200_000;

/// Longest measured part of one segment, in seconds. A token lives 15 minutes, and each round mints one.
pub const SECONDS_MAX: f64 = 120.0;

/// Most connections to one server.
pub const CONNECTIONS_MAX: usize = 64;

/// Most rounds.
pub const ROUNDS_MAX: u32 = 50;

/// Most rates in one comparison.
pub const RATES_MAX: usize = 8;

/// Most calls that are on their way over one connection. Beyond, a call waits here, and its wait is measured: it
/// was due. Below the 256 streams that a node takes per connection, since what waits for a stream inside the client
/// library costs more than what waits in our queue.
pub const IN_FLIGHT_MAX: usize = 250;

/// Most calls that wait here for their turn, per connection. Beyond, the pacing thread waits too; no call is left
/// out or moved, so the latencies still count from the moment each call was due.
pub const WAITING_MAX: usize = 65_536;

/// Seconds that are given to the calls still on their way when the last one was due. Beyond: errors.
pub const DRAIN_SECONDS: u64 = 10;

/// Longest latency that is told apart, in seconds. Longer ones count as this.
pub const LATENCY_SECONDS_MAX: u64 = 60;

/// Kinds of errors that are counted apart; the rest is counted together.
pub const ERROR_KINDS_MAX: usize = 16;

/// Most bytes of one HTTP answer.
pub const ANSWER_BYTES_MAX: usize = 1 << 20;

/// Most messages of one `DecideStream` that wait to be sent.
pub const STREAM_WAITING_MAX: usize = 256;

/// Seconds that a server may take to start.
pub const START_SECONDS: u64 = 60;

/// Bare syncs of a round, where what is recorded is compared with what is not.
pub const SYNCS: usize = 200;
