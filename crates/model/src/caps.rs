//! Every bound of the product in one place: what it is, why it has that size, what happens at it.

/// Longest tool, action, agent, tenant or organization name, in bytes. Longer: `InvalidRequest`.
pub const NAME_BYTES_MAX: usize = 128;

/// Longest `request_id`, in bytes: room for a UUID with a prefix. Longer: `InvalidRequest`.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// Largest request body, in bytes, unless configured otherwise. Larger: HTTP 413, gRPC `OUT_OF_RANGE`.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Deepest nesting of arrays and objects in a body; the root counts as 1. Deeper: `InvalidRequest`.
pub const JSON_DEPTH_MAX: usize = 64;

/// Largest integer magnitude that a double holds exactly: 2^53. Beyond: `InvalidRequest`.
pub const JSON_INTEGER_MAX: i64 = 1 << 53;

/// Longest token, in bytes. Longer: `Unauthenticated`, before anything is decoded.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Longest life of an agent token, in seconds, from `iat` (or from now) to `exp`.
pub const TOKEN_LIFE_SECONDS_MAX: u64 = 15 * 60;

/// Accepted difference between the clocks of minter and verifier, in seconds.
pub const CLOCK_SKEW_SECONDS_MAX: u64 = 30;

/// Most members of a delegation chain (`callers`). Longer: `Unauthenticated`.
pub const CHAIN_MEMBERS_MAX: usize = 5;

/// Verified tokens remembered per node, so that a token's signature is checked once. Beyond: checked again.
pub const TOKEN_CACHE_ENTRIES_MAX: usize = 65_536;

/// Largest policy file, in bytes. A rule set that needs more is generated and belongs in several files.
pub const POLICY_FILE_BYTES_MAX: usize = 4 << 20;

/// Largest policy set, all files together, in bytes. Room for 10,000 agents of 20 tools.
pub const POLICY_SET_BYTES_MAX: usize = 128 << 20;

/// Most files in a policy set.
pub const POLICY_FILES_MAX: usize = 20_000;

/// Deepest nesting in a policy file, counted over YAML nodes.
pub const POLICY_DEPTH_MAX: usize = 32;

/// Most nodes of one policy file after its aliases are expanded: an alias bomb ends here.
pub const POLICY_NODES_MAX: usize = 1_000_000;

/// Most diagnostics of one check; the rest is counted, not shown.
pub const DIAGNOSTICS_MAX: usize = 100;

/// Most tests (leaf matchers) in one entry's conditions. Keeps a generated program within the
/// register window and instruction limits of the virtual machine.
pub const CONDITION_TESTS_MAX: usize = 256;

/// Longest regular expression in a policy, in bytes.
pub const REGEX_BYTES_MAX: usize = 4 << 10;

/// Largest compiled regular expression, in bytes. A larger one is refused at check.
pub const REGEX_COMPILED_BYTES_MAX: usize = 1 << 20;

/// Longest custom Rego module, in bytes.
pub const REGO_BYTES_MAX: usize = 256 << 10;

/// Deepest nesting of brackets in custom Rego: the parser's time doubles with each level.
pub const REGO_BRACKET_DEPTH_MAX: usize = 8;

/// Most virtual machine instructions one program may execute for one call. Beyond: `CustomRule`.
pub const EVALUATION_STEPS_MAX: usize = 250_000;

/// Most decision records waiting for the writer. Beyond: `AuditUnavailable`.
pub const RECORD_QUEUE_MAX: usize = 8_192;

/// Seconds for which a `request_id` is remembered at a node.
pub const REPLAY_SECONDS: u64 = 60;

/// Most remembered `request_id`s per node. Beyond, calls that carry one are refused with `Overloaded`.
pub const REPLAY_ENTRIES_MAX: usize = 262_144;

/// Most evaluations in one AuthZEN `evaluations` request. More: HTTP 400.
pub const EVALUATIONS_MAX: usize = 100;

/// Most calls in progress at one node. Beyond: `Overloaded`.
pub const CALLS_IN_PROGRESS_MAX: usize = 4_096;

const _: () = assert!(POLICY_FILE_BYTES_MAX <= POLICY_SET_BYTES_MAX);
const _: () = assert!(REGEX_BYTES_MAX < REGEX_COMPILED_BYTES_MAX);
const _: () =
    assert!(CALLS_IN_PROGRESS_MAX <= RECORD_QUEUE_MAX, "a call that was admitted finds room for its record");
const _: () = assert!(TOKEN_BYTES_MAX < BODY_BYTES_MAX);
