//! Every bound of the product in one place: what it is, why it has that size, what happens at it.

/// Longest name of a node, in bytes: it stands in every decision id.
pub const NODE_NAME_BYTES_MAX: usize = 32;

/// Longest tool, action, agent, tenant or organization name, in bytes. Longer: `InvalidRequest`.
pub const NAME_BYTES_MAX: usize = 128;

/// Longest `request_id`, in bytes: room for a UUID with a prefix. Longer: `InvalidRequest`.
pub const REQUEST_ID_BYTES_MAX: usize = 128;

/// Largest request body, in bytes, unless configured otherwise. Larger: HTTP 413, gRPC `OUT_OF_RANGE`.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// Deepest nesting of arrays and objects in a body; the root counts as 1. Deeper: `InvalidRequest`.
pub const JSON_DEPTH_MAX: usize = 64;

/// Most values in a body, each array, object and member counted: a value takes up to a hundred times its text in
/// memory. Room for a table of 3,000 rows and 20 columns. More: `InvalidRequest`.
pub const JSON_VALUES_MAX: usize = 65_536;

/// Largest integer magnitude that a double holds exactly: 2^53. Beyond: `InvalidRequest`.
pub const JSON_INTEGER_MAX: i64 = 1 << 53;

/// Longest JSON Pointer in the message about a refused body, in bytes: a client chose the keys. Longer: an
/// ancestor of the place is named.
pub const JSON_POINTER_BYTES_MAX: usize = 512;

/// Longest token, in bytes. Longer: `Unauthenticated`, before anything is decoded.
pub const TOKEN_BYTES_MAX: usize = 8 << 10;

/// Longest life of an agent token, in seconds, from `iat` (or from now) to `exp`.
pub const TOKEN_LIFE_SECONDS_MAX: u64 = 15 * 60;

/// Accepted difference between the clocks of minter and verifier, in seconds.
pub const CLOCK_SKEW_SECONDS_MAX: u64 = 30;

/// Most members of a delegation chain (`callers`). Longer: `Unauthenticated`.
pub const CHAIN_MEMBERS_MAX: usize = 5;

/// Longest token id (`jti`), in bytes: room for a UUID with a prefix. Longer: `Unauthenticated`.
pub const TOKEN_ID_BYTES_MAX: usize = 128;

/// Longest `scope` of a token, in bytes. Longer: `Unauthenticated`.
pub const TOKEN_SCOPE_BYTES_MAX: usize = 4 << 10;

/// Most items in a token's `scope`: each call is compared with all of them. More: `Unauthenticated`.
pub const TOKEN_SCOPE_ITEMS_MAX: usize = 128;

/// Most claims of a token besides the registered ones. More: `Unauthenticated`.
pub const TOKEN_CLAIMS_MAX: usize = 32;

/// Most JSON values in those claims together, since each is held in memory with the token. More: `Unauthenticated`.
pub const TOKEN_CLAIM_VALUES_MAX: usize = 256;

/// Longest issuer (`iss`), in bytes: room for a URL. Longer: refused where trust is configured.
pub const ISSUER_BYTES_MAX: usize = 256;

/// Most keys that a node trusts: a few per issuer, while they rotate. More: refused where trust is configured.
pub const TRUST_KEYS_MAX: usize = 1_024;

/// Most certificates in one PEM file of a TLS identity or of authorities. More: the file is refused.
pub const TLS_CERTIFICATES_MAX: usize = 1_024;

/// Verified tokens remembered per node, so that a token's signature is checked once. Beyond: checked again.
pub const TOKEN_CACHE_ENTRIES_MAX: usize = 65_536;

/// Largest policy file, in bytes. A rule set that needs more is generated and belongs in several files.
pub const POLICY_FILE_BYTES_MAX: usize = 4 << 20;

/// Largest policy set, all files together, in bytes. Room for 10,000 agents of 20 tools.
pub const POLICY_SET_BYTES_MAX: usize = 128 << 20;

/// Most files in a policy set.
pub const POLICY_FILES_MAX: usize = 20_000;

/// Deepest nesting of folders in a policy folder; the folder itself counts as 1. Deeper: the set is refused.
pub const POLICY_FOLDER_DEPTH_MAX: usize = 16;

/// Most entries of any kind in a policy folder and those below it, since each is looked at. More: the set is refused.
pub const POLICY_FOLDER_ENTRIES_MAX: usize = 100_000;

/// Deepest nesting in a policy file, counted over YAML nodes.
pub const POLICY_DEPTH_MAX: usize = 32;

/// Most nodes of one policy file after its aliases are expanded: an alias bomb ends here.
pub const POLICY_NODES_MAX: usize = 1_000_000;

/// Most nodes of all files of a policy set after aliases are expanded: a node takes at least about ten bytes of
/// source where no alias is at work, so that [`POLICY_SET_BYTES_MAX`] of honest text fits.
pub const POLICY_NODES_MAX_SET: usize = 16_000_000;

/// Most diagnostics of one check; the rest is counted, not shown.
pub const DIAGNOSTICS_MAX: usize = 100;

/// Most tests (leaf matchers) in one entry's conditions. Keeps a generated program within the
/// register window and instruction limits of the virtual machine.
pub const CONDITION_TESTS_MAX: usize = 256;

/// Longest regular expression in a policy, in bytes.
pub const REGEX_BYTES_MAX: usize = 4 << 10;

/// Largest compiled regular expression, in bytes. A larger one is refused at check.
pub const REGEX_COMPILED_BYTES_MAX: usize = 1 << 20;

/// Most nodes of one JSON Schema after its `$ref`s are resolved: references multiply like aliases do.
pub const SCHEMA_NODES_MAX: usize = 10_000;

/// Highest `rps_limit`, in calls per second. No agent needs more, and shares of it stay exact.
pub const RATE_MAX: u32 = 1_000_000;

/// Largest `burst`, in calls.
pub const BURST_MAX: u32 = 1_000_000;

/// Most people who have to agree to one approval (`of`).
pub const APPROVERS_MAX: u32 = 20;

/// Shortest and longest time for which a request for approval may stay open, in seconds: 10 s and 7 days.
pub const APPROVAL_SECONDS_MIN: u64 = 10;
/// See [`APPROVAL_SECONDS_MIN`].
pub const APPROVAL_SECONDS_MAX: u64 = 7 * 24 * 3_600;

/// Longest custom Rego module, in bytes.
pub const REGO_BYTES_MAX: usize = 256 << 10;

/// Deepest nesting of brackets in custom Rego: the parser's time doubles with each level.
pub const REGO_BRACKET_DEPTH_MAX: usize = 8;

/// Most work of parsing custom Rego: every token counts 2 to the power of the brackets around it, as the parser
/// may read it so often. Some tenths of a second. More: refused at check.
pub const REGO_PARSE_WORK_MAX: usize = 1 << 20;

/// Most operators, dots and brackets in a row in one expression of custom Rego: each is a level of the syntax
/// tree, which is walked recursively. More: refused at check.
pub const REGO_CHAIN_MAX: usize = 32;

/// Deepest nesting of operators and calls in one expression of custom Rego, for the same reason.
pub const REGO_EXPRESSION_DEPTH_MAX: usize = 32;

/// Most rules in a custom Rego module, each definition counted. More: refused at check.
pub const REGO_RULES_MAX: usize = 512;

/// Deepest nesting that custom Rego may add to the values of its input: values are compared and dropped
/// recursively. Deeper: refused at check.
pub const REGO_VALUE_DEPTH_MAX: u32 = 64;

/// Longest string literal of custom Rego, in bytes with its escapes. Longer: refused at check.
pub const REGO_LITERAL_BYTES_MAX: usize = 900;

/// Most work of the built-ins in one evaluation of custom Rego, in bytes looked at; a value counts 16. About a
/// tenth of a second. Beyond: `CustomRule`.
pub const REGO_WORK_MAX: usize = 64 << 20;

/// Longest string that a built-in of custom Rego makes, in bytes: as long as a body. Longer: `CustomRule`.
pub const REGO_STRING_BYTES_MAX: usize = BODY_BYTES_MAX;

/// Most values in an element of a set or a key of an object, which are compared without being counted as work.
/// Larger: `CustomRule`.
pub const REGO_KEY_VALUES_MAX: usize = 1_024;

/// Most different regular expressions in a custom Rego module: each may take [`REGEX_COMPILED_BYTES_MAX`]. More:
/// refused at check.
pub const REGO_PATTERNS_MAX: usize = 64;

/// Most instructions of a lowered custom module, as estimated: the virtual machine's jumps reach 65,535. More:
/// refused at check.
pub const REGO_INSTRUCTIONS_MAX: usize = 60_000;

/// Most compiled regular expressions of custom Rego kept per thread; beyond, all are compiled anew.
pub const REGEX_CACHE_MAX: usize = 256;

/// Most virtual machine instructions one program may execute for one call. Beyond: `CustomRule`.
pub const EVALUATION_STEPS_MAX: usize = 250_000;

/// Most decision records waiting for the writer. Beyond: `AuditUnavailable`.
pub const RECORD_QUEUE_MAX: usize = 8_192;

/// Seconds for which a `request_id` is remembered at a node.
pub const REPLAY_SECONDS: u64 = 60;

/// Most remembered `request_id`s per node: 17,000 calls a second, the rate of a node and more, at about half a KiB
/// each. Beyond, calls that carry one are refused with `Overloaded`.
pub const REPLAY_ENTRIES_MAX: usize = 1 << 20;

/// Most evaluations in one AuthZEN `evaluations` request. More: HTTP 400.
pub const EVALUATIONS_MAX: usize = 100;

/// Most calls in progress at one node. Beyond: `Overloaded`.
pub const CALLS_IN_PROGRESS_MAX: usize = 4_096;

/// Calls in progress that each tenant may have at least, however many tenants a node serves. Beyond its share:
/// `Overloaded`.
pub const TENANT_CALLS_MIN: usize = 64;

/// Most tenants with a name of their own in metrics; the rest is summed up as `other`.
pub const TENANT_LABELS_MAX: usize = 100;

/// The pause that an answer `Overloaded` or `…Unavailable` suggests, in milliseconds.
pub const RETRY_AFTER_MS: u64 = 250;

/// Most decision records that one write to the log holds.
pub const RECORD_BATCH_MAX: usize = 1_024;

/// Longest wait for a record to be written, in seconds. Longer: `AuditUnavailable`.
pub const RECORD_WAIT_SECONDS: u64 = 5;

/// Most reasons and most rules in one record; the rest is counted in it.
pub const RECORD_REASONS_MAX: usize = 64;

/// Most sources whose refused calls are counted apart; the rest is counted together.
pub const REFUSAL_SOURCES_MAX: usize = 4_096;

/// Most connections of one listener. Beyond: closed at once.
pub const CONNECTIONS_MAX: usize = 8_192;

/// Most streams in one HTTP/2 connection: what a client multiplexes, far below what exhausts a node.
pub const CONNECTION_STREAMS_MAX: u32 = 256;

/// Most bytes of a request's head. More: HTTP 431.
pub const HEAD_BYTES_MAX: usize = 32 << 10;

/// Most header fields of a request. More: HTTP 431.
pub const HEADERS_MAX: usize = 64;

/// Bytes of all request bodies that are being read or decoded at one node. Beyond: `Overloaded`.
pub const BODY_BYTES_IN_PROGRESS_MAX: usize = 256 << 20;

/// Longest TLS handshake, in seconds. Longer: closed.
pub const HANDSHAKE_SECONDS: u64 = 10;

/// Longest time for the head of a request, in seconds, and so for an HTTP/1 connection without one. Longer: closed.
pub const HEAD_SECONDS: u64 = 30;

/// Longest time for a request's body and its answer, in seconds. Longer: HTTP 408, gRPC `DEADLINE_EXCEEDED`.
pub const CALL_SECONDS: u64 = 15;

/// Longest time that a connection stays open without a request, in seconds. Longer: closed.
pub const CONNECTION_IDLE_SECONDS: u64 = 120;

/// Longest time that a stopping node gives to calls in progress, in seconds. Longer: cut off, unanswered.
pub const DRAIN_SECONDS: u64 = 20;

/// Most `DecideStream`s open at one node. Beyond: `Overloaded`.
pub const DECIDE_STREAMS_MAX: usize = 1_024;

/// Most unanswered calls of one `DecideStream`; the next is read when one of them was answered.
pub const STREAM_CALLS_MAX: usize = 64;

/// Milliseconds that one call of the SDK may take in all, unless the caller says otherwise. Beyond: an error.
pub const SDK_DEADLINE_MS: u64 = 5_000;

/// How often the SDK tries one call, unless the caller says otherwise.
pub const SDK_ATTEMPTS: u32 = 3;

/// How often the SDK tries one call at most: more would only add load to what is overloaded.
pub const SDK_ATTEMPTS_MAX: u32 = 10;

/// Milliseconds of the SDK's longest first pause between attempts; a node is back within that after a blip.
pub const SDK_PAUSE_MS_FIRST: u64 = 20;

/// Milliseconds of the SDK's longest pause between attempts, unless the node asks for more.
pub const SDK_PAUSE_MS_MAX: u64 = 1_000;

/// Milliseconds after which the SDK pings a node that owes it an answer, and waits for the echo.
pub const SDK_PING_MS: u64 = 1_000;

/// Most unanswered calls of one SDK stream. Beyond, a call waits for its turn.
pub const SDK_STREAM_CALLS_MAX: usize = 1_024;

const _: () = assert!(POLICY_FILE_BYTES_MAX <= POLICY_SET_BYTES_MAX);
const _: () = assert!(REGEX_BYTES_MAX < REGEX_COMPILED_BYTES_MAX);
const _: () =
    assert!(CALLS_IN_PROGRESS_MAX <= RECORD_QUEUE_MAX, "a call that was admitted finds room for its record");
const _: () = assert!(TOKEN_BYTES_MAX < BODY_BYTES_MAX);
const _: () = assert!(TOKEN_BYTES_MAX < HEAD_BYTES_MAX, "a token fits into a head");
const _: () = assert!(BODY_BYTES_MAX <= BODY_BYTES_IN_PROGRESS_MAX);
const _: () = assert!(TENANT_CALLS_MIN <= CALLS_IN_PROGRESS_MAX);
const _: () = assert!(RECORD_WAIT_SECONDS < CALL_SECONDS, "a failing log is told as such");
const _: () = assert!(SDK_ATTEMPTS <= SDK_ATTEMPTS_MAX && SDK_PAUSE_MS_FIRST <= SDK_PAUSE_MS_MAX);
const _: () = assert!(
    2 * SDK_PING_MS < SDK_DEADLINE_MS,
    "a dead node is noticed while there is time for another attempt"
);
