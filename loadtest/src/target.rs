//! The kinds of targets: what is asked, and of which server.

use clap::ValueEnum;
use serde::Serialize;

/// What a run asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// An empty echo: the same stack and sizes as `decide`, and nothing is judged
    Echo,
    /// `aegis.v1.Decision/Decide`, one call per request
    Decide,
    /// The same with a `request_id` in each call, as the SDKs send them
    DecideId,
    /// `aegis.v1.Decision/DecideStream`, all calls of a connection over one stream
    Stream,
    /// `POST /v1/decide` over HTTP/2
    Http,
    /// A stock OPA with the same bundle: `POST /v1/data/aegis/verdict` over HTTP/2
    Opa,
    /// `decide` at a node that follows a control node, for a tenant without limits
    Fed,
    /// The same process, for a tenant whose agents and whole have budgets and rates
    Limited,
    /// `decide` at a build that records nothing: what the record costs is the difference
    Unrecorded,
}

/// Which program answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Program {
    /// `aegis-loadtest echo-server`.
    Echo,
    /// `aegis data`.
    Aegis,
    /// `opa run --server`.
    Opa,
    /// `aegis data` with an `aegis control`.
    Fed,
    /// `aegis data`, built with `--cfg aegis_unrecorded`.
    Unrecorded,
}

impl Target {
    /// All of them, the reference first.
    pub const ALL: [Self; 9] = [
        Self::Echo,
        Self::Decide,
        Self::DecideId,
        Self::Stream,
        Self::Http,
        Self::Opa,
        Self::Fed,
        Self::Limited,
        Self::Unrecorded,
    ];

    /// The name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Echo => "echo",
            Self::Decide => "decide",
            Self::DecideId => "decide-id",
            Self::Stream => "stream",
            Self::Http => "http",
            Self::Opa => "opa",
            Self::Fed => "fed",
            Self::Limited => "limited",
            Self::Unrecorded => "unrecorded",
        }
    }

    /// The program that answers.
    pub fn program(self) -> Program {
        match self {
            Self::Echo => Program::Echo,
            Self::Decide | Self::DecideId | Self::Stream | Self::Http => Program::Aegis,
            Self::Opa => Program::Opa,
            Self::Fed | Self::Limited => Program::Fed,
            Self::Unrecorded => Program::Unrecorded,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_command_line() {
        for target in Target::ALL {
            assert_eq!(Target::from_str(target.name(), false), Ok(target));
            assert_eq!(serde_json::to_value(target).unwrap(), target.name());
        }
        assert_eq!(Target::value_variants(), Target::ALL);
    }
}
