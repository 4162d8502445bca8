//! How long Raft waits for what.

use std::time::Duration;

use aegis_model::caps;
use openraft::{Config, SnapshotPolicy};

use super::node::StartError;

/// How long Raft waits for what, and when it makes snapshots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timings {
    /// How often a leader says that it lives; also how long it waits for the answer to entries.
    pub heartbeat: Duration,
    /// Shortest wait, beyond `election_max` after a leader was last heard, until another stands for election.
    pub election_min: Duration,
    /// Longest such wait; for this long after a leader was heard, nobody else is voted for.
    pub election_max: Duration,
    /// After how many entries a snapshot is made.
    pub snapshot_entries: u64,
    /// How many entries that a snapshot covers are kept for followers that are a little behind.
    pub kept_entries: u64,
    /// How often log time ticks and the members' clocks are looked at.
    pub tick: Duration,
}

impl Default for Timings {
    /// A leader that dies is replaced after 0.6 to 0.8 s, unless votes are split; one that is held up for half a second,
    /// by its disk or its machine, goes on leading.
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election_min: Duration::from_millis(200),
            election_max: Duration::from_millis(400),
            snapshot_entries: 10_000,
            kept_entries: 2_000,
            tick: Duration::from_secs(caps::LOG_TIME_TICK_SECONDS),
        }
    }
}

impl Timings {
    /// The configuration of openraft.
    pub(super) fn config(&self, cluster: &str) -> Result<Config, StartError> {
        let config = Config {
            cluster_name: cluster.to_owned(),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election_min),
            election_timeout_max: millis(self.election_max),
            install_snapshot_timeout: caps::SNAPSHOT_SECONDS * 1_000,
            max_payload_entries: MESSAGE_ENTRIES_MAX,
            replication_lag_threshold: self.kept_entries + self.snapshot_entries,
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_entries),
            max_in_snapshot_log_to_keep: self.kept_entries,
            purge_batch_size: PURGE_ENTRIES.min(self.kept_entries.max(1)),
            // Until a majority's clocks were seen, nobody stands for election: see `keeper`.
            enable_elect: false,
            ..Config::default()
        };
        config.validate().map_err(|error| StartError::Timings(error.to_string()))
    }
}

/// Most entries that are read from the log for one message; how many bytes are sent is bounded by `network`.
const MESSAGE_ENTRIES_MAX: u64 = 64;

/// Entries that are purged at once, or as many as are kept if those are fewer: each purge costs a commit of the log.
const PURGE_ENTRIES: u64 = 256;

/// Whole milliseconds, saturating.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
