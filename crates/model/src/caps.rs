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

/// Longest life of an assertion that an agent signs to get a token, in seconds: each is remembered for as long, so that it counts
/// once. Longer: refused.
pub const ASSERTION_LIFE_SECONDS_MAX: u64 = 5 * 60;

/// Most members of a token's `basis`: for each member of the chain and the agent itself a key, a token of its own and the token
/// that it handed on. More: `Unauthenticated`.
pub const TOKEN_BASIS_MAX: usize = 3 * (CHAIN_MEMBERS_MAX + 1);

/// Most tokens that one agent gets by itself in a minute: many processes may share a registration, and each asks once in ten
/// minutes. More: refused with a hint to wait.
pub const AGENT_TOKENS_PER_MINUTE_MAX: u32 = 600;

/// Most assertions that are remembered because they count once: some three thousand a second. More: refused with a hint to wait.
pub const ASSERTIONS_REMEMBERED_MAX: u64 = 1_000_000;

/// Most records of tokens that were given out, per tenant; the oldest goes when a new one comes.
pub const TOKEN_RECORDS_MAX: u64 = 100_000;

/// Longest form of a request for a token, in bytes: two tokens and a scope. Longer: `invalid_request`.
pub const TOKEN_FORM_BYTES_MAX: usize = 32 << 10;

/// Most requests for tokens that a data node has on their way to the control plane. More: refused with a hint to wait.
pub const TOKEN_REQUESTS_MAX: usize = 64;

/// Most requests for tokens that a control node works on at once. More: refused with a hint to wait.
pub const TOKENS_ISSUED_AT_ONCE_MAX: usize = 256;

/// Longest wait of a data node for the control plane's answer to a request for a token, in milliseconds: long enough for a new
/// leader. Longer: `temporarily_unavailable`.
pub const TOKEN_ANSWER_MS: u64 = 5_000;

/// Longest time for which a key of an agent may go on beside its successor, in seconds: a week.
pub const AGENT_KEY_OVERLAP_SECONDS_MAX: u32 = 7 * 24 * 3_600;

/// Longest SPIFFE id, in bytes (the standard's own bound). Longer: `invalid`.
pub const SPIFFE_ID_BYTES_MAX: usize = 2_048;

/// Longest value of a claim that is fixed where an agent is registered, in bytes. Longer: `invalid`.
pub const FIXED_CLAIM_BYTES_MAX: usize = 256;

/// Most claims that are fixed where an agent is registered: a token has room for them and for its `basis`. More: `invalid`.
pub const FIXED_CLAIMS_MAX: usize = 16;

/// Longest name of an issuer outside within a tenant, in bytes. Longer: `invalid`.
pub const ISSUER_NAME_BYTES_MAX: usize = 64;

/// Most issuers outside whose tokens prove agents of one tenant. More: `too_many`.
pub const ISSUERS_MAX: u64 = 32;

/// Largest key set of an issuer outside, in bytes: issuers add certificates to each key. Larger: `invalid`.
pub const JWKS_BYTES_MAX: usize = 64 << 10;

/// Most keys in the key set of an issuer outside, of whatever kind. More: `invalid`.
pub const ISSUER_KEYS_MAX: usize = 32;

/// Longest life of a token of an issuer outside, in seconds from `iat` to `exp`: a day. Longer: refused.
pub const FOREIGN_TOKEN_SECONDS_MAX: u64 = 24 * 3_600;

/// Longest life of a person's token, in seconds: a working day. Longer: not minted, and refused.
pub const PERSON_TOKEN_LIFE_SECONDS_MAX: u64 = 12 * 3_600;

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

/// How often private keys are read and wrapped again when others rotate keys meanwhile. More often: refused as
/// `precondition_failed`.
pub const REWRAP_ATTEMPTS_MAX: u32 = 4;

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

/// Slots that agents are spread over; a data node owns some of them. Enough that 64 nodes have 16 each, few enough that the
/// whole map is sent at once. Fixed: clients compute slots themselves.
pub const SLOTS: u16 = 1_024;

/// Most data nodes that own slots: with more, some would own none. More of them live: those with the lowest ids own slots, and
/// the others answer whoever asks them.
pub const SHARD_NODES_MAX: usize = SLOTS as usize;

/// Seconds of a node's spending that one lease is made for, as long as the budget has so much.
pub const LEASE_SECONDS: u64 = 30;

/// Milliseconds between two batches in which a data node returns leases and asks for the next ones ahead of need.
pub const LEASE_TICK_MS: u64 = 50;

/// Most leases of one budget that are neither returned nor charged: four for each of 1,024 data nodes. More: no grant,
/// until some came back.
pub const LEASES_PER_BUDGET_MAX: usize = 4_096;

/// Most leases of one budget that a data node spends from: the present one, the next one, and those on their way back.
/// More: not taken in, and so returned at once.
pub const LEASES_PER_PURSE_MAX: usize = 8;

/// Most budgets, and most rates, that a data node has to do with at once: those that calls used within the last minute, or
/// of which it holds something. More: calls that need another one are refused as `LimitsUnavailable`.
pub const LIMITS_PER_NODE_MAX: usize = 100_000;

/// Most leases that a data node holds, of all budgets: slots of its journal, 64 bytes each. More: what was granted goes
/// back unspent, and calls that wait for it are refused as `LimitsUnavailable`.
pub const LEASES_PER_NODE_MAX: usize = 1 << 18;

/// By how many slots the journal of leases grows, before it is full.
pub const LEASE_SLOTS_STEP: usize = 4_096;

/// Seconds after which a lease that paid nothing goes back, and a limit that nobody uses is forgotten.
pub const LEASE_IDLE_SECONDS: u64 = 60;

/// Longest time that a call waits for a part of a budget, in milliseconds: longer than a change of leader takes. Longer: refused, as
/// `LimitsUnavailable`.
pub const LEND_WAIT_MS: u64 = 1_500;

/// Longest time that a call waits for a part of a rate, in milliseconds. Longer: refused, as `RateLimitExceeded`, and may be tried
/// again.
pub const SHARE_WAIT_MS: u64 = 500;

/// Milliseconds after which a budget that is known to be spent is asked for again, while calls come: what others gave back
/// is used within that time.
pub const LEND_AGAIN_MS: u64 = 500;

/// For so long after it lost the leader a data node lets calls wait for the next one, in milliseconds: a change of leader
/// takes about as long. Longer: calls that no lease pays are refused at once.
pub const LEND_GRACE_MS: u64 = 1_000;

/// Longest time to reach a control node and be welcomed by it as the leader, in milliseconds. Longer: given up.
pub const LEND_WELCOME_MS: u64 = 2_000;

/// Milliseconds after which the next control node is tried beside one that did not answer yet.
pub const LEND_STAGGER_MS: u64 = 200;

/// Milliseconds for which a leader may leave an ask or a tick unanswered. Longer: its stream is left, and the leader is
/// looked for anew.
pub const LEND_SILENCE_MS: u64 = 1_500;

/// Longest pause before the leader is looked for again, in milliseconds: a change of leader is not noticed much later.
pub const LEND_PAUSE_MS_MAX: u64 = 400;

/// Longest time that a data node that ends waits for the leader to confirm its returns, in seconds. Longer: it ends, and its
/// next start returns them.
pub const LEND_RETURN_SECONDS: u64 = 2;

/// Milliseconds between two asks for the same rate: how fast shares follow the calls, and well within their life.
pub const RATE_TICK_MS: u64 = 500;

/// Seconds after which the share of a rate that no call used is given up.
pub const RATE_IDLE_SECONDS: u64 = 20;

/// Most limits of one call: of its organization, its tenant, its agent's documents and the entries that allow it. More: the
/// call is denied, since not all of them would be kept.
pub const LIMITS_PER_CALL_MAX: usize = 16;

/// Longest decision id that a completion may name, in bytes. Longer: the completion is malformed.
pub const DECISION_ID_BYTES_MAX: usize = 128;

/// For how long a data node remembers what an allowed call was charged, in seconds, so that it can be completed. Longer: the
/// charge stays as it is.
pub const CHARGES_KEPT_SECONDS: u64 = 3_600;

/// Milliseconds for which a data node waits until another one has taken a completion that it passed on.
pub const FORWARD_MS: u64 = 2_000;

/// Most other data nodes to which a data node keeps connections. More: all are opened anew.
pub const PEER_CONNECTIONS_MAX: usize = 256;

/// Most allowed calls whose completion a data node waits for: about 128 MiB. More: the oldest are forgotten first, and
/// their charges stay as they are.
pub const CHARGES_KEPT_MAX: usize = 1 << 17;

/// Most combinations of tenant, agent, tool and unit whose spending has a series of its own in a data node's metrics. More:
/// summed up under `other`.
pub const SPEND_SERIES_MAX: usize = 1_000;

/// Most combinations of tenant and tool whose decisions have series of their own in a data node's metrics: four series each. More,
/// and tools that no rule of the policy names: summed up under `other`.
pub const TOOL_SERIES_MAX: usize = 1_000;

/// Most budgets that a control node shows in its metrics: four series each. More: left out, and counted.
pub const BUDGET_SERIES_MAX: usize = 500;

/// Most spans that wait for the exporter: two seconds of decisions at ten thousand a second, less than 16 MiB. More: dropped, and
/// counted.
pub const SPAN_QUEUE_MAX: usize = 1 << 14;

/// Most spans of calls of a control node that wait for the exporter: people and their tools call some hundred times a second at most;
/// less than 4 MiB. More: dropped, and counted.
pub const CALL_SPAN_QUEUE_MAX: usize = 1 << 12;

/// Most waits that the span of such a call names. More: left out.
pub const SPAN_STEPS_MAX: usize = 16;

/// Most lines of the log that wait for the exporter. More: dropped, and counted.
pub const LOG_QUEUE_MAX: usize = 1 << 12;

/// Most spans, or lines of the log, in one message to a collector.
pub const TELEMETRY_BATCH_MAX: usize = 1 << 11;

/// Longest that a collector may take to answer one message, in seconds.
pub const TELEMETRY_ANSWER_SECONDS: u64 = 10;

/// Longest that a node that stops waits until a collector has what is left, in seconds. What is left then is dropped.
pub const TELEMETRY_FLUSH_SECONDS: u64 = 3;

/// Most reasons that a span names. More: left out; the record has them.
pub const SPAN_REASONS_MAX: usize = 16;

/// Longest value of a line of the log that is exported, in bytes. Longer: cut.
pub const LOG_VALUE_BYTES_MAX: usize = 4 << 10;

/// Longest `tracestate` that is kept and passed on, in bytes: what W3C Trace Context asks for at least. Longer: left out.
pub const TRACE_STATE_BYTES_MAX: usize = 512;

/// Life of a share of a rate, in seconds: longer than a change of the leader.
pub const SHARE_SECONDS: u64 = 5;

/// By how many percent a monotonic clock may run too fast or too slow before shares of a rate overlap.
pub const SHARE_DRIFT_PERCENT: u64 = 1;

/// Milliseconds that a leader waits beyond a share's life: longer than a call takes from reading the clock to taking
/// its token.
pub const SHARE_MARGIN_MS: u64 = 100;

/// Milliseconds of the sliding window in which a rate and its burst hold over all nodes together.
pub const RATE_WINDOW_MS: u64 = 1_000;

/// Most budgets that a data node asks for at once. More: the ask is refused.
pub const LEND_BUDGETS_MAX: usize = 256;

/// Most leases that a data node gives back at once. More: the ask is refused, and the node sends several.
pub const LEND_RETURNS_MAX: usize = 1_024;

/// Most costs beyond a reservation that a data node reports at once. More: the ask is refused, and the node sends several.
pub const LEND_DEBTS_MAX: usize = 256;

/// Most leases of which a data node reports at once that calls cost less than they were charged. More: the ask is refused, and
/// the node sends several.
pub const LEND_SAVINGS_MAX: usize = 256;

/// Most rates that a data node asks for in one tick. More: the stream ends; a node with more sends several ticks.
pub const LEND_RATES_MAX: usize = 1_024;

/// Largest message between a data node and the leader that lends, in bytes: a tick of the longest names. Larger: the stream
/// ends.
pub const LEND_MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Most bytes of one data node's ask, so that it fits into a command. Larger: the stream ends.
pub const LEND_ASK_BYTES_MAX: usize = 256 << 10;

/// Milliseconds for which the leader gathers what data nodes ask for into one command, so that at most 200 entries a second
/// are written for them, however many nodes ask.
pub const LEND_GATHER_MS: u64 = 5;

/// Longest wait for a command or a confirmation of the leader that lends, in seconds: shorter than a share's life. Longer: it
/// lends no more before it was made the lender anew, and data nodes look for another leader.
pub const LEND_PROPOSE_SECONDS: u64 = 3;

/// Most messages of data nodes that wait to be taken in by the leader: one of each node. More: their streams wait.
pub const LEND_QUEUE_MAX: usize = LEND_NODES_MAX;

/// Most ticks of one data node that wait for their answers: all rates of a node, asked for once. More: the stream ends.
pub const LEND_TICKS_MAX: u32 = 128;

/// Most messages to one data node that wait to be sent. More: a recall is left out, and asked for again; for anything else
/// the stream ends, since the node takes nothing.
pub const LEND_DOWNSTREAM_MAX: usize = 64;

/// Most data nodes that borrow from one leader. More: refused.
pub const LEND_NODES_MAX: usize = 1_024;

/// Seconds without a message after which the leader takes the stream of a data node as gone: it sends one every second.
pub const LEND_SILENCE_SECONDS: u64 = 10;

/// Seconds for which a data node counts as live after its stream has gone, and for which a new leader waits for streams
/// before it says who lives: a node finds its new leader within them.
pub const LEND_ABSENT_SECONDS: u64 = 3;

/// Milliseconds between two recalls of the same ledger from the same node: it has had a tick meanwhile, even if an ask was
/// under way.
pub const LEND_RECALL_MS: u64 = 2 * LEASE_TICK_MS;

/// Seconds for which what a node was last asked for of a rate counts as demand: a few ticks.
pub const RATE_DEMAND_SECONDS: u64 = 3;

/// Most budgets of one tenant that are remembered: several for each of its agents. More: no grant of a new one, until
/// some were swept.
pub const BUDGETS_PER_TENANT_MAX: u64 = 500_000;

/// Most budgets of one organization: one for each unit. More: no grant of a new one, until some were swept.
pub const BUDGETS_PER_ORGANIZATION_MAX: usize = 64;

/// Most budgets of a cluster that are remembered. More: no grant of a new one, until some were swept.
pub const BUDGETS_MAX: u64 = 5_000_000;

/// Most rates of one tenant of which parts are given out. More: no share of a new one, until some were swept.
pub const RATES_PER_TENANT_MAX: u64 = BUDGETS_PER_TENANT_MAX;

/// Most rates of a cluster of which parts are given out. More: no share of a new one, until some were swept.
pub const RATES_MAX: u64 = 1_000_000;

/// Seconds for which a ledger is kept after its epoch has ended: longer than any civil day, so that what is opened after it was
/// forgotten cannot begin before its end.
pub const LEDGER_KEPT_SECONDS: u64 = 48 * 3_600;

/// Seconds without use after which a rate is forgotten.
pub const RATE_KEPT_SECONDS: u64 = 24 * 3_600;

/// Seconds between two notes that a rate is in use.
pub const RATE_NOTED_SECONDS: u64 = 3_600;

/// Percent of a budget at which an alert is noted, once each per epoch, rising.
pub const BUDGET_ALERT_PERCENT: [u32; 3] = [50, 80, 100];

/// Most alerts that a tenant's control log takes in one day, so that they do not push out what people did. Beyond: only in the
/// node's own log and its metrics.
pub const BUDGET_ALERTS_PER_DAY_MAX: u64 = 1_000;

/// Longest spelling of a number that is read as an amount, in bytes. Longer: the amount is refused.
pub const AMOUNT_BYTES_MAX: usize = 64;

/// Most people who have to agree to one approval (`of`).
pub const APPROVERS_MAX: u32 = 20;

/// Shortest and longest time for which a request for approval may stay open, in seconds: 10 s and 7 days.
pub const APPROVAL_SECONDS_MIN: u64 = 10;
/// See [`APPROVAL_SECONDS_MIN`].
pub const APPROVAL_SECONDS_MAX: u64 = 7 * 24 * 3_600;

/// Longest parameters and circumstances together of a call that a person is asked about, in canonical bytes: 16 KiB. Nobody looks
/// through more before they agree. Beyond it the call is denied.
pub const APPROVAL_CONTENT_BYTES_MAX: usize = 16 << 10;

/// Most terms of one request for approval: entries that asked. Beyond it the call is denied.
pub const APPROVAL_TERMS_MAX: usize = 16;

/// Most reasons that a request for approval shows. What is beyond is left out.
pub const APPROVAL_REASONS_MAX: usize = 16;

/// Longest text of a reason in a request for approval, in bytes. What is beyond is cut off.
pub const APPROVAL_TEXT_BYTES_MAX: usize = 512;

/// Most names in the `by` of one approval, and most votes of one request. Beyond it a request or a vote is refused.
pub const APPROVAL_NAMES_MAX: usize = 64;

/// Most requests of one agent, and of one tenant, that are pending at a time, so that nobody floods who has to look at them.
/// Beyond it no further one is opened.
pub const APPROVALS_PENDING_AGENT_MAX: u64 = 20;
/// See [`APPROVALS_PENDING_AGENT_MAX`].
pub const APPROVALS_PENDING_TENANT_MAX: u64 = 1_000;

/// Most requests that one agent, and one tenant, opens within [`APPROVAL_COUNT_SECONDS`]. Beyond it no further one is opened.
pub const APPROVALS_OPENED_AGENT_MAX: u64 = 60;
/// See [`APPROVALS_OPENED_AGENT_MAX`].
pub const APPROVALS_OPENED_TENANT_MAX: u64 = 1_000;
/// The span over which opened requests are counted, in seconds.
pub const APPROVAL_COUNT_SECONDS: u64 = 3_600;

/// The span over which requests of an agent for the same tool and action count as similar, in seconds.
pub const APPROVAL_SIMILAR_SECONDS: u64 = 24 * 3_600;

/// Most requests for approval that a tenant keeps. From half of it on those that end are kept for an hour only, and no more than
/// [`APPROVALS_OPENED_TENANT_MAX`] are opened in one.
pub const APPROVALS_KEPT_MAX: u64 = 20_000;
/// For how long a request is kept after it ended, in seconds: 7 days.
pub const APPROVAL_KEPT_SECONDS: u64 = 7 * 24 * 3_600;
/// For how long where many are kept, in seconds.
pub const APPROVAL_KEPT_CROWDED_SECONDS: u64 = 3_600;

/// Most channels of a tenant, and most that one version names. Beyond it a channel, or a version, is refused.
pub const CHANNELS_MAX: u64 = 64;
/// Most channels that one request for approval tells. Of those that its policy names, the rest is not told.
pub const NOTIFY_MAX: usize = 16;
/// Most people of one channel. Beyond it the channel is refused.
pub const CHANNEL_PEOPLE_MAX: usize = 200;
/// Longest address of a channel, in bytes. Beyond it the channel is refused.
pub const CHANNEL_URL_BYTES_MAX: usize = 2_048;
/// Longest id that another service gives a user, a channel, a workspace or a message, in bytes. Beyond it the channel is refused, and
/// the message is not changed later.
pub const FOREIGN_ID_BYTES_MAX: usize = 128;
/// Shortest and longest secret of a channel, in bytes: what a guess cannot find, and what nobody needs.
pub const CHANNEL_SECRET_BYTES_MIN: usize = 16;
/// See [`CHANNEL_SECRET_BYTES_MIN`].
pub const CHANNEL_SECRET_BYTES_MAX: usize = 512;
/// Longest secrets of one channel as they are kept, in bytes, encrypted. Beyond it the channel is refused.
pub const CHANNEL_SEALED_BYTES_MAX: usize = 8 << 10;

/// Most requests of one agent, and of all agents, that are pending and shown at a time through a channel that people look at. The
/// others wait behind them; how many they are stands with those that are shown.
pub const DELIVERIES_SHOWN_AGENT_MAX: u64 = 3;
/// See [`DELIVERIES_SHOWN_AGENT_MAX`].
pub const DELIVERIES_SHOWN_MAX: u64 = 60;
/// How many of those that wait are looked at for one that may be shown. What is beyond waits for the next time.
pub const DELIVERIES_BEHIND_LOOKED_AT: usize = 128;
/// How long a message stays as it is though more wait behind it, in milliseconds: a flood does not become one of changes.
pub const DELIVERY_BEHIND_MS: u64 = 10_000;

/// Most messages that are on their way to one channel, to the channels of one tenant, and to all, at a time: a receiver that hangs
/// holds up itself, then its tenant, and nobody else. The rest waits its turn.
pub const DELIVERIES_OF_CHANNEL_MAX: usize = 2;
/// See [`DELIVERIES_OF_CHANNEL_MAX`].
pub const DELIVERIES_OF_TENANT_MAX: usize = 4;
/// See [`DELIVERIES_OF_CHANNEL_MAX`].
pub const DELIVERIES_MAX: usize = 32;
/// Most messages about approvals that wait and are counted each time the metrics of a control node are read. More: counted as so many.
pub const DELIVERIES_COUNTED_MAX: usize = 10_000;
/// How long a receiver may take to take a message, in seconds. Beyond it the attempt failed.
pub const DELIVERY_SECONDS: u64 = 10;
/// Longest answer of a receiver that is read, in bytes. Beyond it the attempt failed.
pub const DELIVERY_ANSWER_BYTES_MAX: usize = 64 << 10;
/// Pause after the first attempt that failed, in milliseconds; each further one is twice as long, up to the longest.
pub const DELIVERY_PAUSE_MS_FIRST: u64 = 1_000;
/// See [`DELIVERY_PAUSE_MS_FIRST`].
pub const DELIVERY_PAUSE_MS_MAX: u64 = 15 * 60 * 1_000;
/// Longest pause that a receiver may ask for, in milliseconds. A longer wish is cut to it.
pub const DELIVERY_PAUSE_MS_ASKED_MAX: u64 = 3_600 * 1_000;
/// Most attempts in a row that fail: more than a week at the longest pause. Beyond it the delivery is given up, and is shown so.
pub const DELIVERY_ATTEMPTS_MAX: u64 = 700;
/// Longest form that a browser or Slack sends, in bytes. Beyond it the request is refused.
pub const FORM_BYTES_MAX: usize = 64 << 10;
/// How far the moment of what Slack sends may be from ours, in seconds, as Slack advises. Beyond it the request is refused.
pub const SLACK_SECONDS_MAX: u64 = 300;
/// Longest text of why an attempt failed, in bytes. What is beyond is cut off.
pub const DELIVERY_ERROR_BYTES_MAX: usize = 300;

/// Within how many seconds an approved call has to be made: as long as its override token may live.
pub const OVERRIDE_SECONDS: u64 = TOKEN_LIFE_SECONDS_MAX;

/// How often one approval can be given back. Beyond it a redemption stays used.
pub const APPROVAL_GIVEN_BACK_MAX: usize = 8;

/// Longest that a client may wait for people to decide, in milliseconds. A longer wish is cut to it.
pub const APPROVAL_WAIT_MS_MAX: u32 = 60_000;

/// Most clients of a data node that wait for people at a time. Beyond it they are answered at once.
pub const APPROVAL_WAITS_MAX: usize = 1_024;

/// Most data nodes' questions that wait for people at a control node at a time. Beyond it they are answered at once.
pub const APPROVAL_WATCHES_MAX: usize = 4_096;

/// Longest that a call waits until the control plane has opened or redeemed an approval, in milliseconds. Then it is denied.
pub const APPROVAL_LINK_MS: u64 = 4_000;
/// Longest that one control node may take for it before the next one is asked, in milliseconds.
pub const APPROVAL_ATTEMPT_MS: u64 = 1_500;

/// Most redemptions of a data node that wait to be given back. Beyond it they stay used.
pub const APPROVAL_RETURNS_MAX: usize = 1_024;

/// Largest message about approvals between nodes, in bytes: content, names and reasons of one request.
pub const APPROVAL_MESSAGE_BYTES_MAX: usize = 128 << 10;

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

/// Longest wait for a record to be on disk, in seconds. Longer: `AuditUnavailable`.
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

/// Longest time for which a node that is to stop answers calls as before, until it sees that its slots are others', in seconds.
/// Longer: it stops without, and clients find out by asking it in vain.
pub const LEAVE_SECONDS: u64 = 2;

/// Milliseconds for which it goes on once it has seen that: clients that ask meanwhile are told whom to ask from now on.
pub const LEAVE_LINGER_MS: u64 = 250;

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

/// Most nodes that a client learns from answers, each with a connection of its own. More: the one that was learned first is
/// forgotten, and learned again by the next answer that names it.
pub const SDK_NODES_MAX: usize = 64;

/// Milliseconds for which a client does not ask a node that failed, where there is another one: about as long as the control
/// plane takes to give its slots to others.
pub const SDK_REST_MS: u64 = 5_000;

/// Longest command of the control plane, in bytes: a chunk and its envelope. Longer: refused before it is replicated,
/// so that one entry of the log stays small enough to send within a heartbeat.
pub const COMMAND_BYTES_MAX: usize = 320 << 10;

/// Longest wait for a command to be replicated and applied, in seconds. Longer: its outcome is unknown, and it can be
/// repeated under its idempotency key.
pub const PROPOSE_SECONDS: u64 = 10;

/// Longest wait for a linearizable read, in seconds. Longer: `unavailable`.
pub const READ_SECONDS: u64 = 5;

/// Most tenants of a cluster, retired ones included, since their names are never used again. More: `too_many`.
pub const TENANTS_MAX: u64 = 10_000;

/// Most agents of a tenant, disabled ones included. More: `too_many`.
pub const AGENTS_MAX: u64 = 100_000;

/// Most keys of one agent: a few while they rotate. More: `invalid`.
pub const AGENT_KEYS_MAX: usize = 4;

/// Most pieces of a tenant that no version names: two publications at once. More: `too_many`, until they were named
/// or swept.
pub const CHUNKS_LOOSE_MAX: u64 = 2 * BUNDLE_CHUNKS_MAX as u64;

/// Seconds for which a piece waits for a version that names it, before it is swept.
pub const CHUNK_LOOSE_SECONDS: u64 = 3_600;

/// Bytes of all pieces of one tenant. More: `too_many`, until older versions were retired.
pub const TENANT_CHUNK_BYTES_MAX: u64 = 1 << 30;

/// Most versions of a tenant, retired ones included, since their rows are history. More: `too_many`.
pub const VERSIONS_MAX: u64 = 100_000;

/// Most labels of a tenant. More: `too_many`.
pub const LABELS_MAX: u64 = 256;

/// Most shadow versions of a tenant: each is judged for every call. More: `invalid`.
pub const SHADOW_VERSIONS_MAX: usize = 4;

/// Most activations that are kept per tenant; the oldest goes when a new one comes.
pub const ACTIVATIONS_KEPT_MAX: u64 = 1_000;

/// Longest message, statement, description or reason that a person gives with a command, in bytes. Longer: `invalid`.
pub const WORDS_BYTES_MAX: usize = 1_024;

/// Longest address of a node, in bytes: room for a URL. Longer: `invalid`.
pub const ADDRESS_BYTES_MAX: usize = 256;

/// Most data nodes of a cluster that were not retired. More: `too_many`, until some were retired.
pub const DATA_NODES_MAX: u64 = 100_000;

/// Most retired data nodes, which are kept because their ids are never used again. More: `too_many`.
pub const DATA_NODES_RETIRED_MAX: u64 = 1_000_000;

/// Most control nodes that a cluster ever had. More: `too_many`.
pub const MEMBERS_MAX: u64 = 1_000;

/// Most keys of a cluster, retired ones included, since old signatures stay good. More: `too_many`.
pub const CLUSTER_KEYS_MAX: u64 = 1_000;

/// Longest time for which a new key of agent tokens waits for data nodes to know it, in seconds. A node that has not heard of it then
/// refuses what it signs.
pub const KEY_SPREAD_SECONDS_MAX: u64 = 60;

/// Longest wrapped private key, in bytes: 32 with nonce, tag and the name of the wrapping key. Longer: `invalid`.
pub const WRAPPED_KEY_BYTES_MAX: usize = 1_024;

/// Most versions of a tenant's secret key that are kept: weekly rotation for nearly five years. Beyond, the oldest is forgotten, and
/// what was made with it is not known again.
pub const TENANT_KEY_VERSIONS_MAX: usize = 256;

/// Most sets of redactions whose redactors are made ready when a version is prepared: a few milliseconds each. More: made when a
/// call needs them first.
pub const REDACTORS_READY_MAX: usize = 64;

/// Most redactors that are kept for a version. More: made for each call, which then takes some milliseconds.
pub const REDACTORS_KEPT_MAX: usize = 1_024;

/// Most redactions that one answer names. What is beyond is cleaned as well.
pub const REDACTIONS_MAX: usize = 1_000;

/// Most values of one call that are sealed beside their tokens. More: the call is denied, or its result kept back.
pub const SEALED_VALUES_MAX: usize = 256;

/// Most bytes of values and tokens, as JSON, that are sealed for one call: what is asked for again has to fit into a request of the
/// admin API. More: the call is denied, or its result kept back.
pub const SEALED_BYTES_MAX: usize = 24 << 10;

/// Longest token that stands for a value, in bytes: a kind, a version and 128 bits.
pub const REDACTION_TOKEN_BYTES_MAX: usize = 128;

/// Most findings that one record names, each a kind at a place. More: their number is recorded.
pub const FINDINGS_MAX: usize = 64;

/// Most people who use the admin API, disabled ones included. More: `too_many`.
pub const PEOPLE_MAX: u64 = 10_000;

/// Most living tokens of one person: a few machines. More: `too_many`, until some ended.
pub const PERSON_TOKENS_MAX: usize = 64;

/// Most revocations of a tenant: a data node holds them in memory. More: `too_many`; revoke the agent or its key.
pub const REVOCATIONS_MAX: u64 = 100_000;

/// Shortest and longest `staleness_max` that a tenant may choose, in seconds. Outside: `invalid`.
pub const STALENESS_SECONDS_MIN: u32 = 5;
/// See [`STALENESS_SECONDS_MIN`].
pub const STALENESS_SECONDS_MAX: u32 = 24 * 3_600;
/// The `staleness_max` of a tenant that chose none, in seconds.
pub const STALENESS_SECONDS_DEFAULT: u32 = 60;

/// Longest idempotency key, in bytes. Longer: `invalid`.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;

/// Seconds for which the answer to an idempotency key is remembered.
pub const IDEMPOTENCY_SECONDS: u64 = 24 * 3_600;

/// Most remembered idempotency keys of one actor: one for each agent of a tenant. More: `too_many`, until some ended.
pub const IDEMPOTENCY_ACTOR_ENTRIES_MAX: u64 = AGENTS_MAX;

/// Most remembered idempotency keys of a cluster. More: `too_many`, until some ended.
pub const IDEMPOTENCY_ENTRIES_MAX: u64 = 1_000_000;

/// Most records of the control log per scope (a tenant, or the cluster); the oldest goes when a new one comes, so that
/// nobody can push out another tenant's records.
pub const CONTROL_RECORDS_MAX: u64 = 100_000;

/// Most notes of changes that are kept for data nodes. One that missed more gets the full state.
pub const CHANGES_KEPT_MAX: u64 = 65_536;

/// Most rows of one page of the admin API. A larger page is cut to this.
pub const PAGE_ROWS_MAX: usize = 1_000;

/// Rows of a page when nothing else was asked for.
pub const PAGE_ROWS_DEFAULT: usize = 100;

/// Most rows that one sweep looks at: a command is applied while others wait.
pub const SWEEP_ROWS_MAX: usize = 1_000;

/// Longest name of a cluster, in bytes: it stands in every manifest and person token.
pub const CLUSTER_ID_BYTES_MAX: usize = 64;

/// Longest part of a DNS name between two dots, in bytes (RFC 1035). Longer: no DNS name.
pub const DNS_LABEL_BYTES_MAX: usize = 63;

/// Largest bundle of a policy version, in bytes, gzipped. Larger: refused where it is published.
pub const BUNDLE_BYTES_MAX: usize = 16 << 20;

/// The size of a bundle's chunks, in bytes; only its last one is shorter. A Raft entry stays small with one in it.
pub const BUNDLE_CHUNK_BYTES: usize = 256 << 10;

/// Most chunks of a bundle.
pub const BUNDLE_CHUNKS_MAX: usize = BUNDLE_BYTES_MAX.div_ceil(BUNDLE_CHUNK_BYTES);

/// Most publications that one control node checks and compiles at once: each takes a core and the memory of its set.
/// Beyond, they wait their turn.
pub const PUBLICATIONS_COMPILED_MAX: usize = 2;

/// Most publications and comparisons in progress at one control node, the waiting ones included. Beyond: refused, to be
/// tried again.
pub const PUBLICATIONS_MAX: usize = 32;

/// Longest wait of a publication for its turn, in seconds: some others that compile the largest set. Longer: refused,
/// to be tried again.
pub const PUBLICATION_WAIT_SECONDS: u64 = 120;

/// Chunks of one publication that are being replicated at once: enough to share the log's syncs, few enough to leave
/// room for other commands.
pub const PUBLICATION_CHUNKS_IN_FLIGHT: usize = 4;

/// How often a publication is proposed anew because another one took its number. Beyond: refused, to be tried again.
pub const PUBLICATION_ATTEMPTS_MAX: usize = 8;

/// Longest excerpt of a source in the report about a policy, in bytes. Longer: cut off.
pub const EXCERPT_BYTES_MAX: usize = 4 << 10;

/// Longest single operation at the object store, in seconds: a bundle of 16 MiB over a slow line. Longer: given up, and
/// tried again.
pub const STORE_CALL_SECONDS: u64 = 30;

/// The first and the longest pause after a failure of the object store, in milliseconds.
pub const STORE_PAUSE_MS_FIRST: u64 = 500;
/// See [`STORE_PAUSE_MS_FIRST`].
pub const STORE_PAUSE_MS_MAX: u64 = 60_000;

/// Shortest time between two looks at the state for what the object store lacks, in milliseconds: many changes are one
/// look.
pub const STORE_LOOK_MS: u64 = 500;

/// Seconds after which the object store is compared with the state as a whole, although nothing has changed: somebody
/// else may have written there.
pub const STORE_RECHECK_SECONDS: u64 = 300;

/// Most problems of the object store that are shown one by one; the rest is counted.
pub const STORE_PROBLEMS_MAX: usize = 100;

/// Longest message of the object store that is shown, in bytes. Longer: cut off.
pub const STORE_MESSAGE_BYTES_MAX: usize = 512;

/// Largest file with a secret for the object store, in bytes: room for a service account. Larger: refused.
pub const STORE_SECRET_BYTES_MAX: u64 = 64 << 10;

/// Most cluster keys that a control node reads: the active one and those that are being replaced. More: refused where
/// they are configured.
pub const CLUSTER_KEYS_READ_MAX: usize = 8;

/// Largest file of a cluster key, in bytes: 32 bytes in base64 and an end of line. Larger: refused unread.
pub const CLUSTER_KEY_FILE_BYTES_MAX: u64 = 64;

/// Most files in a bundle: its sources, a unit for each different condition, and a few of its own. More: refused.
pub const BUNDLE_FILES_MAX: usize = 1_000_000;

/// Largest bundle when it is unpacked, in bytes: sources, and units and index made of them. Larger: refused, since a
/// small archive can hold any number of zeros.
pub const BUNDLE_UNPACKED_BYTES_MAX: usize = 4 * POLICY_SET_BYTES_MAX;

/// Largest manifest of a policy version, in bytes: its names, and a digest for each chunk. Larger: refused unread.
pub const MANIFEST_BYTES_MAX: usize = 4 << 10;

/// Most keys that may sign manifests of one cluster: the active one and those before it. More: refused where they
/// are configured, and a rotation is refused.
pub const MANIFEST_KEYS_MAX: usize = 64;

/// How many times larger than itself a bundle's content may be; policy text, however much of it repeats, stays far
/// below. Beyond, and beyond [`BUNDLE_UNPACKED_BYTES_FREE`]: an archive bomb, refused.
pub const BUNDLE_RATIO_MAX: usize = 300;

/// So much content is unpacked whatever its ratio, in bytes.
pub const BUNDLE_UNPACKED_BYTES_FREE: usize = 8 << 20;

/// Longest path of a file in a bundle, in bytes. Longer: the bundle is refused.
pub const BUNDLE_PATH_BYTES_MAX: usize = 1 << 10;

/// By how many seconds the wall clocks of the control plane and of a data node may differ before the age of a policy
/// counts for it.
pub const STALENESS_SKEW_SECONDS: u64 = 5;

/// Most tenants that one data node serves. More: it does not take over the state, and says so.
pub const FEED_TENANTS_MAX: usize = 10_000;

/// Largest message of the feed, in bytes: a tenant with its revocations and disabled agents. Larger: the stream ends.
pub const FEED_MESSAGE_BYTES_MAX: usize = 40 << 20;

/// For how many messages of a round a data node has room at once. Beyond, the control node waits.
pub const FEED_CREDIT: u32 = 256;

/// The most room for messages that a data node is believed. Beyond: it has this much.
pub const FEED_CREDIT_MAX: usize = 16_384;

/// Milliseconds between two looks at what was applied, so that entries which follow each other closely are told together.
pub const FEED_PACE_MS: u64 = 20;

/// For how long a control node that is behind a data node tries to catch up with it, in seconds. Longer: the data node is
/// told to ask another one.
pub const FEED_BEHIND_SECONDS: u64 = 5;

/// Longest time for which a data node takes nothing that is sent to it, in seconds. Longer: its stream is ended.
pub const FEED_SLOW_SECONDS: u64 = 30;

/// Most messages from a data node that wait to be sent. Beyond, acknowledgements are put together.
pub const FEED_UPSTREAM_MAX: usize = 16;

/// Most messages to one data node that wait to be sent. Beyond, its task waits, and sends the newest state after that.
pub const FEED_DOWNSTREAM_MAX: usize = 16;

/// Most data nodes that follow one control node. More: told to ask another one.
pub const FEED_NODES_MAX: usize = 1_024;

/// Seconds without any news after which a data node leaves a control node: it should hear every second.
pub const FEED_SILENCE_SECONDS: u64 = 10;

/// Longest time to reach a control node and be welcomed, in seconds. Longer: the next one is tried.
pub const FEED_WELCOME_SECONDS: u64 = 10;

/// Longest pause before a data node tries the next control node, in milliseconds.
pub const FEED_PAUSE_MS_MAX: u64 = 5_000;

/// Longest time to fetch one bundle, in seconds. Longer: tried again.
pub const FEED_FETCH_SECONDS: u64 = 60;

/// Longest pause before a bundle that could not be had is fetched again, in seconds.
pub const FEED_RETRY_SECONDS_MAX: u64 = 30;

/// Most versions that a data node makes ready at once: each may hold [`BUNDLE_UNPACKED_BYTES_MAX`] for a while.
pub const FEED_BUILDS_MAX: usize = 4;

/// Most bytes of the bundles that a data node keeps; those not used for longest go first.
pub const FEED_CACHE_BYTES_MAX: u64 = 4 << 30;

/// Longest text with which a data node says why an activation is not in force, in bytes. Longer: cut.
pub const FEED_TROUBLE_BYTES_MAX: usize = 1 << 10;

/// Bytes that redb keeps of the Raft log's file, unless configured otherwise. The newest entries are held beside it
/// ([`RAFT_LOG_CACHE_BYTES`]), so this serves only old ones. Beyond: read from disk.
pub const RAFT_LOG_FILE_CACHE_BYTES: usize = 8 << 20;

/// Bytes that redb keeps of the state's file, unless configured otherwise; also what one transaction holds in memory
/// before its pages go to the file. Beyond: read from disk.
pub const RAFT_STATE_FILE_CACHE_BYTES: usize = 64 << 20;

/// Bytes of the newest Raft entries held in memory, so that replication and apply do not read the disk. Beyond: the
/// oldest that are on disk are let go. What is not on disk yet is always held.
pub const RAFT_LOG_CACHE_BYTES: usize = 32 << 20;

/// Bytes of entries that one message of replication carries; at least one entry. Beyond: the next message.
pub const RAFT_READ_BYTES_MAX: usize = 4 << 20;

/// Orders that wait for the thread of the log's file or of the state's file. Raft has a few at most. Beyond: it waits.
pub const RAFT_STORE_QUEUE_MAX: usize = 64;

/// Applied entries that the state's file may lag behind by, unsynced: what is replayed from the log after a crash.
/// At it: the next apply syncs.
pub const RAFT_STATE_UNSYNCED_ENTRIES_MAX: u64 = 256;

/// Bytes of commands applied and unsynced, since redb cannot use their pages again before a sync. At it: the next
/// apply syncs.
pub const RAFT_STATE_UNSYNCED_BYTES_MAX: usize = 16 << 20;

/// Milliseconds without a new entry after which the state's file is synced.
pub const RAFT_STATE_IDLE_SYNC_MS: u64 = 500;

/// Longest wait of a purge of the Raft log for the snapshot that replaces its entries, in seconds. Longer: the node stops,
/// with its log as it was.
pub const RAFT_INSTALL_SECONDS: u64 = 300;

/// Longest key of a state's record, in bytes. Longer: the snapshot that has it is refused.
pub const STATE_KEY_BYTES_MAX: usize = 64 << 10;

/// Longest value of a state's record, in bytes. Longer: the snapshot that has it is refused.
pub const STATE_VALUE_BYTES_MAX: usize = 32 << 20;

/// Largest head of a snapshot, in bytes: mostly the members' names. Larger: the snapshot is refused.
pub const SNAPSHOT_HEAD_BYTES_MAX: usize = 1 << 20;

/// Most commands in one Raft entry. More: they wait for the next one.
pub const ENTRY_COMMANDS_MAX: usize = 1_024;

/// Most bytes of the commands of one Raft entry: small against what is sent at once. More: they wait for the next one.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;

/// Most Raft entries that a leader, or forwarded batches that a follower, has under way. More: commands gather for the
/// next one, which is what makes entries large under load.
pub const ENTRIES_IN_FLIGHT_MAX: usize = 3;

/// Most commands waiting at one control node to be proposed. More: `overloaded`.
pub const COMMANDS_QUEUED_MAX: usize = 8_192;

/// Most bytes of the commands at one control node that are not answered yet. More: a command waits for room.
pub const COMMAND_BYTES_QUEUED_MAX: usize = 64 << 20;

/// Most bytes of Raft entries sent in one message; an entry more only if it is the first. More: sent in the next one.
pub const APPEND_BYTES_MAX: usize = 2 << 20;

/// Largest message between control nodes, in bytes. Larger: refused unread.
pub const RAFT_MESSAGE_BYTES_MAX: usize = 4 << 20;

/// Most `AppendEntries` of one control node that another has not answered. More: refused as `busy`, so that a stalled
/// disk does not fill the memory with what is sent again and again.
pub const APPENDS_PER_PEER_MAX: usize = 4;

/// Largest chunk of a snapshot on its way between control nodes, in bytes.
pub const SNAPSHOT_CHUNK_BYTES: usize = 256 << 10;

/// Chunks of a snapshot that are read ahead of what was sent.
pub const SNAPSHOT_CHUNKS_AHEAD: usize = 4;

/// Longest wait for the next chunk of a snapshot, or for room to send it, in seconds. Longer: given up and begun anew.
pub const SNAPSHOT_CHUNK_SECONDS: u64 = 10;

/// A control node keeps the digest of its state at every index that is a multiple of this, for the others to compare. Under
/// load nodes are apart by less than all that are kept ([`STATE_CHECKPOINTS_SPACED`]).
pub const STATE_CHECKPOINT_ENTRIES: u64 = 64;

/// How many of those are kept. Beyond: the oldest are let go, and a node that is further behind is compared when it has
/// caught up.
pub const STATE_CHECKPOINTS_SPACED: usize = 32;

/// Of how many of the last entries the digest is kept, one by one. Idle nodes are at the same entry, or one apart.
pub const STATE_CHECKPOINTS_LAST: usize = 8;

/// Most digests that one control node tells another at once. More: the answer is refused.
pub const STATE_CHECKPOINTS_MAX: usize = STATE_CHECKPOINTS_SPACED + STATE_CHECKPOINTS_LAST;

/// Looks at the other members' states in a row in which a node's own seems wrong, while members that answer have not told of
/// the entry yet. So many: they are waited for no longer, and the node stops.
pub const STATE_SUSPICIONS_MAX: u32 = 5;

/// Longest time from the first byte of a snapshot until it is installed, in seconds. Longer: given up and begun anew.
pub const SNAPSHOT_SECONDS: u64 = 600;

/// Most linearizable reads that wait for one round of questions to the voters. More: `overloaded`.
pub const READS_QUEUED_MAX: usize = 8_192;

/// Most seconds by which one entry moves log time beyond the leader's monotonic clock. More is done in several.
pub const LOG_TIME_STEP_SECONDS_MAX: u64 = 5;

/// Most seconds by which the wall clock of a control node that leads differs from the median of the voters. More: it
/// does not lead.
pub const LEADER_CLOCK_SECONDS_OFF_MAX: u64 = 5;

/// Seconds between two ticks of log time, and between two looks at the other members' clocks.
pub const LOG_TIME_TICK_SECONDS: u64 = 1;

/// Seconds for which a member's clock is judged by what it last showed. Longer: it counts as unknown.
pub const CLOCK_SAMPLE_SECONDS_MAX: u64 = 3_600;

/// Entries that a learner may be behind when it becomes a voter. More: refused, since it would slow every commit.
pub const PROMOTION_LAG_ENTRIES_MAX: u64 = 256;

/// Most control nodes, learners included: every one more makes commits slower. More: refused.
pub const CONTROL_NODES_MAX: usize = 9;

/// Longest life of a connection between control nodes, in seconds, so that a certificate that was withdrawn does not
/// serve for longer. Longer: closed in order, and made anew.
pub const CONTROL_CONNECTION_SECONDS_MAX: u64 = 600;

/// Most connections of a control node's gRPC port. Beyond: closed at once.
pub const CONTROL_CONNECTIONS_MAX: usize = 4_096;

/// Most connections of a control node's metrics port: there are few scrapers. Beyond: closed at once.
pub const METRICS_CONNECTIONS_MAX: usize = 64;

/// Longest time that a control node takes for stopping what is under way, in seconds. Longer: cut off.
pub const CONTROL_DRAIN_SECONDS: u64 = 10;

const _: () = assert!(BUNDLE_CHUNK_BYTES + (16 << 10) < COMMAND_BYTES_MAX, "a chunk fits into a command");
const _: () = assert!(MANIFEST_BYTES_MAX > 40 * BUNDLE_CHUNKS_MAX, "a manifest has room for its chunks");
const _: () =
    assert!(BUNDLE_BYTES_MAX as u64 * 8 <= TENANT_CHUNK_BYTES_MAX, "a tenant has room for versions");
const _: () = assert!(STALENESS_SECONDS_MIN < STALENESS_SECONDS_DEFAULT);
const _: () = assert!(STALENESS_SECONDS_DEFAULT < STALENESS_SECONDS_MAX);
const _: () = assert!(PAGE_ROWS_DEFAULT <= PAGE_ROWS_MAX);
const _: () = assert!(POLICY_FILE_BYTES_MAX <= POLICY_SET_BYTES_MAX);
const _: () = assert!(REGEX_BYTES_MAX < REGEX_COMPILED_BYTES_MAX);
const _: () =
    assert!(CALLS_IN_PROGRESS_MAX <= AUDIT_QUEUE_MAX, "a call that was admitted finds room for its record");
const _: () = assert!(
    BUNDLE_CHUNKS_MAX * 34 + NAME_BYTES_MAX + CLUSTER_ID_BYTES_MAX + 256 <= MANIFEST_BYTES_MAX,
    "a manifest of the largest bundle fits"
);
const _: () = assert!(TOKEN_BYTES_MAX < BODY_BYTES_MAX);
const _: () = assert!(TOKEN_BYTES_MAX < HEAD_BYTES_MAX, "a token fits into a head");
const _: () = assert!(BODY_BYTES_MAX <= BODY_BYTES_IN_PROGRESS_MAX);
const _: () = assert!(COMMAND_BYTES_MAX <= ENTRY_BYTES_MAX);
const _: () = assert!(
    APPEND_BYTES_MAX + ENTRY_BYTES_MAX + (64 << 10) <= RAFT_MESSAGE_BYTES_MAX,
    "what is sent at once fits into a message"
);
const _: () = assert!(SNAPSHOT_CHUNK_BYTES < RAFT_MESSAGE_BYTES_MAX);
const _: () = assert!(ENTRY_BYTES_MAX <= COMMAND_BYTES_QUEUED_MAX);
const _: () = assert!(TENANT_CALLS_MIN <= CALLS_IN_PROGRESS_MAX);
const _: () = assert!(RECORD_WAIT_SECONDS < CALL_SECONDS, "a failing log is told as such");
const _: () = assert!(SDK_ATTEMPTS <= SDK_ATTEMPTS_MAX && SDK_PAUSE_MS_FIRST <= SDK_PAUSE_MS_MAX);
const _: () = assert!(
    2 * SDK_PING_MS < SDK_DEADLINE_MS,
    "a dead node is noticed while there is time for another attempt"
);

const _: () = assert!(
    LEND_BUDGETS_MAX * (5 * (NAME_BYTES_MAX + 3) + 128)
        + LEND_RETURNS_MAX * 40
        + LEND_DEBTS_MAX * 30
        + LEND_SAVINGS_MAX * 40
        < LEND_ASK_BYTES_MAX,
    "an ask with everything that it may hold fits"
);
const _: () =
    assert!(LEND_ASK_BYTES_MAX + LEND_BUDGETS_MAX * 40 + 1_024 < COMMAND_BYTES_MAX, "with its epochs, too");
const _: () = assert!(LEND_RATES_MAX * (4 * (NAME_BYTES_MAX + 3) + 128) < LEND_MESSAGE_BYTES_MAX);
const _: () = assert!(LEND_ASK_BYTES_MAX < LEND_MESSAGE_BYTES_MAX);
const _: () = assert!(RATE_NOTED_SECONDS * 2 < RATE_KEPT_SECONDS, "a rate in use is not forgotten");
const _: () = assert!(LEND_ABSENT_SECONDS < SHARE_SECONDS && LEND_PROPOSE_SECONDS < SHARE_SECONDS);
const _: () = assert!(SLOTS.is_power_of_two(), "every slot is as likely as any other");
const _: () = assert!(100 * RATE_WINDOW_MS < SHARE_SECONDS * 1_000 * (100 - SHARE_DRIFT_PERCENT));
const _: () = assert!(SHARE_MARGIN_MS < RATE_WINDOW_MS);
const _: () = assert!(2 * RATE_TICK_MS + LEND_SILENCE_MS < SHARE_SECONDS * 10 * (100 - SHARE_DRIFT_PERCENT));
const _: () = assert!(LEASES_PER_NODE_MAX.is_multiple_of(LEASE_SLOTS_STEP));
const _: () = assert!(LEND_PAUSE_MS_MAX + LEND_STAGGER_MS < LEND_GRACE_MS);

/// Most connections of people and their tools to one control node's HTTP port. Beyond: closed at once.
pub const ADMIN_CONNECTIONS_MAX: usize = 512;

/// Most calls of the admin API in progress at one control node, so that people never crowd out replication and the feed.
/// Beyond: `overloaded`.
pub const ADMIN_CALLS_MAX: usize = 128;

/// Longest call of the admin API, in seconds, but for those that wait for data nodes or transfer a bundle: a publication
/// is compiled and replicated in this time. Longer: `timed_out`.
pub const ADMIN_CALL_SECONDS: u64 = 60;

/// Longest time for a request's body at the admin API, in seconds: the largest bundle over a slow line. Longer: `too_slow`.
pub const ADMIN_BODY_SECONDS: u64 = 60;

/// Largest JSON body of the admin API but for the sources of a policy, in bytes. Larger: `too_large`.
pub const ADMIN_BODY_BYTES_MAX: usize = 64 << 10;

/// Largest body with the sources of a policy, in bytes: a bundle's size and what JSON adds. Larger: `too_large`; publish a
/// bundle instead.
pub const ADMIN_SOURCES_BYTES_MAX: usize = 2 * BUNDLE_BYTES_MAX;

/// Bytes of all bodies that are being read at one control node. Beyond: `overloaded`.
pub const ADMIN_BODIES_BYTES_MAX: usize = 4 * ADMIN_SOURCES_BYTES_MAX;

/// Longest query of a request to the admin API, in bytes. Longer: `malformed`.
pub const ADMIN_QUERY_BYTES_MAX: usize = 4 << 10;

/// Longest that what a control node has applied may lie behind or before its clock, in seconds: a majority confirms a
/// moment each second, and clocks of nodes differ by at most five. More: the node is not ready.
pub const READY_LAG_SECONDS_MAX: u64 = 15;

/// Most bytes of a problem in the trailing metadata of a gRPC answer: what every client takes beside its other headers.
/// More findings than fit are counted.
pub const PROBLEM_METADATA_BYTES_MAX: usize = 4 << 10;

/// Most calls whose outcome changes that one comparison of versions lists; the rest is counted.
pub const DIFF_CHANGES_MAX: usize = 200;

/// Longest that a call waits for data nodes to put an activation into force, in seconds. Longer: `timeout` in the
/// progress; the activation goes on.
pub const ACTIVATION_WAIT_SECONDS_MAX: u64 = 600;

/// How long it waits where the caller does not say, in seconds.
pub const ACTIVATION_WAIT_SECONDS_DEFAULT: u64 = 30;

/// Most calls that wait for data nodes at one control node. Beyond: `overloaded`.
pub const ACTIVATION_WATCHES_MAX: usize = 64;

/// Longest that a call which waits for data nodes waits for what another control node knows of them, in milliseconds.
/// Longer: its data nodes are waited for in the next round.
pub const STANDINGS_ASK_MS: u64 = 500;

/// Longest wait for what the leader says of the object store, in milliseconds. Longer: the call is refused as
/// `unavailable`.
pub const OBJECT_STORE_ASK_MS: u64 = 2_000;

/// Pause between two rounds of asking the other control nodes, in milliseconds: a person sees each step, and the nodes
/// hardly notice.
pub const STANDINGS_PAUSE_MS: u64 = 50;

/// Longest wait for a new control node to catch up before it is promoted, in seconds. Longer: it stays a learner.
pub const MEMBER_CATCH_UP_SECONDS: u64 = 30;

/// Longest change of the membership, in seconds.
pub const MEMBER_CHANGE_SECONDS: u64 = 15;

/// Longest life of the first person's token, which is printed once when the cluster is made, in seconds.
pub const BOOTSTRAP_TOKEN_SECONDS: u64 = PERSON_TOKEN_LIFE_SECONDS_MAX;

/// Life of a person's token where the caller does not say, in seconds.
pub const PERSON_TOKEN_LIFE_SECONDS_DEFAULT: u64 = 3_600;

/// Longest record of the audit log, in bytes: its cleaned parameters, as long as a body, escaped once. Longer: not written,
/// and so the call is refused as `AuditUnavailable`.
pub const AUDIT_RECORD_BYTES_MAX: usize = 2 * BODY_BYTES_MAX + (64 << 10);

/// Longest name of a log or a witness, in bytes: cluster, node and incarnation, or a URL. Longer: refused.
pub const AUDIT_ORIGIN_BYTES_MAX: usize = 256;

/// Longest signed note, in bytes: a checkpoint with signatures of every kind. Longer: refused unread.
pub const AUDIT_NOTE_BYTES_MAX: usize = 64 << 10;

/// Most signatures of a note: the log's and those of its witnesses. The form asks for at least 16. More: refused.
pub const AUDIT_NOTE_SIGNATURES_MAX: usize = 64;

/// Milliseconds after which synced entries get a checkpoint.
pub const AUDIT_CHECKPOINT_MS: u64 = 200;

/// Synced entries after which they get a checkpoint at once.
pub const AUDIT_CHECKPOINT_ENTRIES: u64 = 4_096;

/// Most records that wait for the journal's thread. Beyond: refused, and so `AuditUnavailable`.
pub const AUDIT_QUEUE_MAX: usize = 8_192;

/// Most bytes of records that wait for the journal's thread. Beyond: the same.
pub const AUDIT_QUEUE_BYTES_MAX: usize = 64 << 20;

/// Microseconds from the beginning of one sync of the journal to that of the next, while records come faster than they can be
/// synced one by one: a sync costs as much for many as for one. Who calls alone does not wait for others.
pub const AUDIT_SYNC_PACE_MICROS: u64 = 1_000;

/// Batches of one record after which the journal takes its callers for one that calls alone.
pub const AUDIT_SYNC_ALONE: u32 = 16;

/// Most records that one sync of the journal covers.
pub const AUDIT_BATCH_MAX: usize = 1_024;

/// Bytes after which a segment of the journal ends, unless configured otherwise.
pub const AUDIT_SEGMENT_BYTES: u64 = 64 << 20;

/// Seconds after its first record in which a segment of the journal ends, unless configured otherwise: what is not sealed is
/// neither in the store nor pruned.
pub const AUDIT_SEGMENT_SECONDS: u64 = 86_400;

/// Shortest and longest life of a segment that can be configured, in minutes: each segment is a file per chain.
pub const AUDIT_SEGMENT_MINUTES: std::ops::RangeInclusive<u64> = 1..=10_080;

/// Most ended segments that wait to be sealed. Beyond: the journal waits, so that a disk which seals too slowly does not
/// fill with what is not sealed.
pub const AUDIT_SEALING_MAX: usize = 4;

/// Days for which audit records can be asked to be kept: not less than the six months of the EU AI Act (articles 19 and 26), so
/// that a slip of the hand deletes no evidence that the law asks for. 0, the default, is for ever; HIPAA asks for six years.
pub const RETENTION_DAYS: std::ops::RangeInclusive<u32> = 183..=36_500;

/// Most legal holds of a tenant at once. More: refused.
pub const LEGAL_HOLDS_MAX: usize = 100;

/// Seconds between two looks for audit records whose retention is over: it is counted in days.
pub const PRUNE_LOOK_SECONDS: u64 = 600;

/// Seconds between two looks at how much of the disk the audit logs take, or more if looking takes long.
pub const OCCUPIED_LOOK_SECONDS: u64 = 60;

/// Most files that such a look counts: a few seconds' work. More: not counted, which is told.
pub const OCCUPIED_FILES_MAX: u64 = 2_000_000;

/// Age of the news, in seconds, beyond which a node deletes nothing: a legal hold may have been placed that it does not know.
pub const PRUNE_NEWS_SECONDS: u64 = 10;

/// Most deletions that one look records; the others are left to the next.
pub const PRUNE_BATCH_MAX: usize = 1_000;

/// Seconds between two looks for what of a node's audit logs the store lacks: a segment ends seldom.
pub const ARCHIVE_LOOK_SECONDS: u64 = 5;

/// Longest single operation at the store of audit logs, in seconds: the file of a chain, as long as a segment, over a slow
/// line. Longer: given up, and tried again.
pub const ARCHIVE_CALL_SECONDS: u64 = 120;

/// Seconds that a node which ends gives the upload of its last segment. Longer: its next start does it.
pub const ARCHIVE_END_SECONDS: u64 = 10;

/// How often a look at a log begins anew, since a file went away: its segments are sealed meanwhile. More often: it is left to
/// the next look.
pub const ARCHIVE_TRIES: u32 = 5;

/// Most chains of one log: every tenant of a cluster, the node's own, the log's own. Beyond: the record is refused.
pub const AUDIT_CHAINS_MAX: usize = 10_002;

/// Longest text of an entry of the control log, in bytes: a checkpoint of each of
/// [`AUDIT_CHECKPOINTS_ENTRY_LOGS_MAX`] logs. Longer: not read.
pub const CONTROL_ENTRY_BYTES_MAX: usize = 256 << 10;

/// Most bytes of entries of the control log in one answer, unless the first alone is longer. The rest is asked for again.
pub const CONTROL_ENTRIES_ANSWER_BYTES_MAX: usize = 2 << 20;

/// Seconds between two looks whether outside witnesses have to see the control log.
pub const WITNESS_EVERY_SECONDS: u64 = 10;

/// Seconds that an outside witness may take for its answer. The others do not wait for it.
pub const WITNESS_ANSWER_SECONDS: u64 = 5;

/// Most outside witnesses of a cluster: together with the cluster's own their signatures fit into a note.
pub const WITNESSES_MAX: usize = 16;

/// Most connections of a witness. One more is closed at once; logs ask again.
pub const WITNESS_CONNECTIONS_MAX: usize = 256;

/// Seconds that a witness may take for a request, its body included.
pub const WITNESS_REQUEST_SECONDS: u64 = 10;

/// Most logs of data nodes whose checkpoints one entry of the control log holds. The others wait for the next entry.
pub const AUDIT_CHECKPOINTS_ENTRY_LOGS_MAX: usize = 256;

/// Seconds of log time between two entries of the control log that say how far the logs of data nodes are. Each checkpoint is
/// accepted or refused at once; written down are the newest, so that the log does not grow with every node and second.
pub const AUDIT_CHECKPOINTS_ENTRY_SECONDS: u64 = 60;

/// Most ledgers in one entry of the control log.
pub const LEDGERS_PER_ENTRY_MAX: usize = 64;

/// Most ledgers of a cluster that are written into the control log in one day: the control plane's state holds them. Beyond, only their
/// number.
pub const LEDGER_ACCOUNTS_PER_DAY_MAX: u64 = 5_000;

/// Seconds of log time for which the text of an entry with ledgers is kept: a year, and a month to audit it in.
pub const LEDGER_ACCOUNTS_KEPT_SECONDS: u64 = 400 * 86_400;

/// Seconds of log time for which the text of an entry with checkpoints is kept after newer ones took its place.
pub const AUDIT_CHECKPOINTS_KEPT_SECONDS: u64 = 7 * 86_400;

/// Most logs of data nodes that a cluster knows, closed ones included: a hundred starts a day for decades. Beyond: a data node
/// cannot begin a log, and so decides nothing.
pub const AUDIT_LOGS_MAX: u64 = 1_000_000;

/// Most checkpoints of data nodes in one command. The others wait for the next.
pub const AUDIT_REPORTS_MAX: usize = 64;

/// Milliseconds for which reports of data nodes' checkpoints gather at a control node before they become one command.
pub const EVIDENCE_GATHER_MS: u64 = 500;

/// Most reports of checkpoints that wait at a control node. Beyond: refused as unavailable, and reported again.
pub const EVIDENCE_QUEUE_MAX: usize = 1_024;

/// Milliseconds between two reports of a data node's audit log that grew.
pub const EVIDENCE_EVERY_MS: u64 = 1_000;

/// Seconds after which a data node reports its audit log again, if it has no answer.
pub const EVIDENCE_ANSWER_SECONDS: u64 = 4;

/// Most exports of events that a data node has. Beyond: its configuration is refused.
pub const EXPORTS_MAX: usize = 8;

/// Longest name of an export, in bytes: it is the name of a file.
pub const EXPORT_NAME_BYTES_MAX: usize = 32;

/// Most records that an export sends at once.
pub const EXPORT_BATCH_RECORDS: usize = 1_000;

/// Most bytes of records that an export reads at once; a longer record goes alone.
pub const EXPORT_BATCH_BYTES: usize = 1 << 20;

/// Milliseconds after which an export that has nothing to send looks again.
pub const EXPORT_LOOK_MS: u64 = 200;

/// Seconds in which a collector has to be reached.
pub const EXPORT_CONNECT_SECONDS: u64 = 10;

/// Seconds in which a collector has to take a batch. Beyond: the connection is made anew.
pub const EXPORT_WRITE_SECONDS: u64 = 30;

/// Seconds for which the system keeps bytes that a collector does not acknowledge, before it ends the connection. What was sent half as
/// long again before, on a connection that lives, has arrived.
pub const EXPORT_UNACKNOWLEDGED_SECONDS: u64 = 10;

/// Most bytes of events in one message of OTLP; a longer event goes alone. Collectors take 4 MiB over gRPC unless they are told otherwise.
pub const EXPORT_OTLP_BYTES: usize = 2 << 20;

/// Bytes of a file of events after which another one begins, unless it is configured; and what can be configured.
pub const EXPORT_FILE_BYTES: u64 = 64 << 20;
/// See [`EXPORT_FILE_BYTES`]. Fewer would be a file per event, more is nothing that can be moved about.
pub const EXPORT_FILE_BYTES_RANGE: std::ops::RangeInclusive<u64> = (4 << 10)..=(4 << 30);

/// Bytes of events that an export to an object store gathers, before they are put without waiting for more. They are in memory.
pub const EXPORT_OBJECT_BYTES: usize = 8 << 20;

/// Seconds for which an export to an object store gathers events, unless it is configured; and what can be configured: less would be an
/// object per event, more would look as if the store were not there.
pub const EXPORT_OBJECT_SECONDS: u64 = 60;
/// See [`EXPORT_OBJECT_SECONDS`].
pub const EXPORT_OBJECT_SECONDS_RANGE: std::ops::RangeInclusive<u64> = 1..=240;

/// Seconds that a node that ends gives each export to send what is left. The rest is sent by its next start.
pub const EXPORT_END_SECONDS: u64 = 3;

/// How long a node that ends waits for the end of its audit log to be taken by the control log. Longer than a leader's change takes;
/// what is not taken in time, the next start of the node reports.
pub const EVIDENCE_END_SECONDS: u64 = 3;

/// Longest message of a data node about its audit log, in bytes: a report with its names. Longer: refused.
pub const EVIDENCE_MESSAGE_BYTES_MAX: usize = 16 << 10;

/// Longest report of a data node's checkpoint, in bytes: a note with one signature and a consistency proof. Longer: refused.
pub const AUDIT_REPORT_BYTES_MAX: usize = 8 << 10;

/// Most searches for decisions that a data node keeps waiting; it works on one at a time. More: `busy`.
pub const SEARCH_QUEUE_MAX: usize = 8;

/// Most bytes of files that one question reads at a data node, but for the last one: four segments. Then the answer says how far
/// it came, and the next page goes on there.
pub const SEARCH_READ_BYTES_MAX: u64 = 4 * AUDIT_SEGMENT_BYTES;

/// How long a data node works on one question, in milliseconds, but for the file it is at. Then as for
/// [`SEARCH_READ_BYTES_MAX`].
pub const SEARCH_WORK_MS: u64 = 2_000;

/// How long a control node waits for the answer of a data node, in milliseconds: also behind others. Then it is `late`.
pub const SEARCH_ANSWER_MS: u64 = 10_000;

/// Bytes of records after which a page of decisions ends: with the longest record it still fits into a message of 4 MiB.
pub const SEARCH_PAGE_BYTES_MAX: usize = 1 << 20;

/// Longest message about a search, in bytes: a page with the longest record, and what stands around it. Longer: not read.
pub const SEARCH_MESSAGE_BYTES_MAX: usize = SEARCH_PAGE_BYTES_MAX + 2 * AUDIT_RECORD_BYTES_MAX;

/// Most searches that a control node has under way, of all people. More: `overloaded`.
pub const SEARCHES_MAX: usize = 8;

/// Most data nodes that one search asks: a cursor has room for no more. More: a search has to name one.
pub const SEARCH_NODES_MAX: usize = 96;

/// Longest cursor of a search, in bytes: with its filters it stands in a query.
pub const SEARCH_CURSOR_BYTES_MAX: usize = 3 << 10;

/// How long one question waits for the object store in all, in milliseconds. What was not read by then: the page ends, or the copy is
/// told as one that cannot be read, where nothing was.
pub const SEARCH_STORE_MS: u64 = 7_000;

/// Most files that a search reads from the object store at once: tiles, of some kilobytes each.
pub const SEARCH_STORE_READS_MAX: usize = 16;

/// Larger than any file of a log: the file of a chain, with room for records that ended its segment. A larger one in the store is none.
pub const SEARCH_COPY_BYTES_MAX: u64 = 4 * AUDIT_SEGMENT_BYTES;

/// Most logs of one data node of whose copies a question speaks, the newest. More: those before are told as not looked at.
pub const SEARCH_LOGS_MAX: usize = 512;

/// How far the clock of a data node may be off the control plane's, in milliseconds, where it is judged by the control log's times whether
/// a log can hold what is asked for: an hour.
pub const SEARCH_CLOCKS_MS: u64 = 3_600_000;

/// Most data nodes that are asked, one after the other, whether they can look for the copies of one that is gone.
pub const SEARCH_READERS_MAX: usize = 4;

/// For how long the pages of a search count as what the control log says was asked, in seconds: a day. Later, the next page stands
/// there as well.
pub const SEARCH_NOTE_SECONDS: u64 = 86_400;

/// Most records that name one decision and are told with it: its completion, and a verdict of each version that is judged by
/// beside it. More: the oldest are left out.
pub const SEARCH_LINKS_MAX: usize = 16;

/// Most sealed segments whose moments a data node remembers for searches, at 96 bytes each. More: those are read again.
pub const SEARCH_SKETCHES_MAX: usize = 100_000;

const _: () = assert!(
    SEARCH_PAGE_BYTES_MAX + AUDIT_RECORD_BYTES_MAX < 4 << 20,
    "a page of decisions fits into what clients of gRPC take unless they are told otherwise"
);
const _: () = assert!(SEARCH_CURSOR_BYTES_MAX < ADMIN_QUERY_BYTES_MAX, "a cursor leaves room for filters");
const _: () = assert!(SEARCH_ANSWER_MS < ADMIN_CALL_SECONDS * 1_000, "a search ends before its call does");
const _: () = assert!(SEARCH_STORE_MS + SEARCH_WORK_MS < SEARCH_ANSWER_MS, "a slow store is told in time");
const _: () = assert!(SEARCH_WORK_MS < SEARCH_ANSWER_MS, "whoever is asked first answers in time");
const _: () = assert!(POLICY_SET_BYTES_MAX < BUNDLE_UNPACKED_BYTES_MAX, "the largest set fits into a bundle");
const _: () = assert!(
    (REVOCATIONS_MAX + AGENTS_MAX) as usize * (NAME_BYTES_MAX + 24) + (1 << 20) < FEED_MESSAGE_BYTES_MAX,
    "a tenant with as many revocations and disabled agents as it may have fits into a message"
);
const _: () =
    assert!(TENANTS_MAX as usize <= FEED_TENANTS_MAX, "a data node can serve every tenant of its cluster");
const _: () = assert!(FEED_BEHIND_SECONDS < FEED_WELCOME_SECONDS, "who is behind says so in time");
const _: () = assert!(
    FEED_SILENCE_SECONDS + FEED_WELCOME_SECONDS + FEED_PAUSE_MS_MAX / 1_000
        < STALENESS_SECONDS_DEFAULT as u64,
    "a control node that falls silent is left for another one before policies are stale"
);
const _: () =
    assert!(AUDIT_CHAINS_MAX >= TENANTS_MAX as usize + 2, "every tenant of a cluster can have its chain");
const _: () = assert!(
    AUDIT_ORIGIN_BYTES_MAX >= CLUSTER_ID_BYTES_MAX + NODE_NAME_BYTES_MAX + 22,
    "every node of every cluster can name its log"
);

/// Most bytes that a packed text is unpacked to while it is looked for sensitive data: as long as a body. More: reported as
/// unread, for the caller to deny.
pub const DLP_UNPACKED_BYTES_MAX: usize = BODY_BYTES_MAX;

/// Most bytes that one packed byte may unpack to, on the whole: text packs to a tenth, bombs to a thousandth. More: reported
/// as unread.
pub const DLP_UNPACKED_RATIO_MAX: usize = 200;

/// How many encodings within each other are undone. Deeper: reported as unread if it looks encoded still.
pub const DLP_DEPTH_MAX: usize = 3;

/// Most bytes that are decoded for each byte of an encoded run, all depths together. More: reported as unread.
pub const DLP_DECODED_RATIO_MAX: usize = 4;

/// Longest value that is looked for, in bytes: a private key of 16,384 bits in PEM. Of a longer one so much is found.
pub const DLP_VALUE_BYTES_MAX: usize = 16 << 10;

/// Most bytes that a stream holds back: the longest run that is decoded at once, and what a finding needs around it. In
/// ordinary text it holds back less than a KiB.
pub const DLP_HOLD_BYTES_MAX: usize = 96 << 10;

/// Most detectors of a tenant's own. More: the scanner is not built.
pub const DLP_CUSTOM_MAX: usize = 64;

/// Longest match of a tenant's own regular expression, in bytes: a stream holds back as much. An expression that could match
/// more is refused.
pub const DLP_CUSTOM_MATCH_BYTES_MAX: usize = 256;

/// Most words in one tenant's dictionaries, all detectors together. More: the scanner is not built.
pub const DLP_DICTIONARY_WORDS_MAX: usize = 10_000;

const _: () =
    assert!(DLP_CUSTOM_MATCH_BYTES_MAX < DLP_VALUE_BYTES_MAX && DLP_VALUE_BYTES_MAX < DLP_HOLD_BYTES_MAX);
