//! What is wrong with a log, and where.

use std::fmt;

/// The first thing that is wrong with a log. Shows no content of records.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// What.
    pub kind: ProblemKind,
    /// The first bad index, where one can be told.
    pub index: Option<u64>,
    /// The file, below the log's folder.
    pub file: Option<String>,
}

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// A file that the size asks for is missing or cannot be read.
    #[error("is missing or cannot be read")]
    Missing,
    /// A file that nothing asks for.
    #[error("does not belong to the log")]
    Unexpected,
    /// The checkpoint is not one, or not signed by the log's key.
    #[error("is not a checkpoint signed by this log")]
    Checkpoint,
    /// The trusted checkpoint is of another log.
    #[error("is of another log than the trusted checkpoint")]
    OtherLog,
    /// The trusted checkpoint has more entries.
    #[error("the log ends before the trusted checkpoint does")]
    RolledBack,
    /// The trusted checkpoint has another root at its size.
    #[error("the log is not the one that the trusted checkpoint was signed over")]
    Forked,
    /// The entries do not have the root that was signed.
    #[error("the entries are not those that were signed")]
    Root,
    /// A tile or a bundle has not the bytes that it should.
    #[error("is not the tile of this log")]
    Tile,
    /// A segment's file has not its form.
    #[error("is not a segment of this log")]
    Segment,
    /// A record is not what the log committed to.
    #[error("the record is not the one that was logged here")]
    Record,
    /// Bytes that were logged, but are no canonical record.
    #[error("what was logged here is no record")]
    NotARecord,
    /// A record stands in the chain of another.
    #[error("the record is of another chain")]
    Chain,
    /// A chain's numbers or links break.
    #[error("the chain breaks here")]
    Broken,
    /// A record is missing.
    #[error("the record is missing")]
    NotThere,
    /// Records stand twice, or not in order.
    #[error("the record stands twice or out of order")]
    Order,
    /// The end of a segment does not say that its chain ends here.
    #[error("the chain does not end where the log says")]
    Head,
    /// The evidence that records were deleted by retention does not hold.
    #[error("does not prove that retention deleted what is missing")]
    Pruned,
    /// The deletion is recorded in a log whose key is not among those given.
    #[error("says that retention deleted records, by a log whose key was not given")]
    PrunedBy,
}

impl ProblemKind {
    /// A stable word for reports.
    pub fn code(self) -> &'static str {
        match self {
            Self::Missing => "file_missing",
            Self::Unexpected => "file_unexpected",
            Self::Checkpoint => "checkpoint_bad",
            Self::OtherLog => "checkpoint_other_log",
            Self::RolledBack => "rolled_back",
            Self::Forked => "forked",
            Self::Root => "root_differs",
            Self::Tile => "tile_differs",
            Self::Segment => "segment_bad",
            Self::Record => "record_differs",
            Self::NotARecord => "record_bad",
            Self::Chain => "chain_other",
            Self::Broken => "chain_broken",
            Self::NotThere => "record_missing",
            Self::Order => "record_order",
            Self::Head => "chain_cut",
            Self::Pruned => "pruning_bad",
            Self::PrunedBy => "pruning_key_unknown",
        }
    }

    /// Never: the same log is refused again.
    pub fn retryable(self) -> bool {
        false
    }
}

impl Problem {
    pub(super) fn of_file(kind: ProblemKind, file: impl Into<String>) -> Self {
        Self { kind, index: None, file: Some(file.into()) }
    }

    pub(super) fn at(kind: ProblemKind, index: u64) -> Self {
        Self { kind, index: Some(index), file: None }
    }

    pub(super) fn in_file(self, file: impl Into<String>) -> Self {
        Self { file: Some(file.into()), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "`{}` ", file.escape_debug())?;
        }
        write!(f, "{}", self.kind)?;
        self.index.map_or(Ok(()), |index| write!(f, ", first at index {index}"))
    }
}
