//! `aegis decide`: asks a running node.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_model::caps;
use aegis_model::ids::{ActionName, RequestId, ToolName};
use aegis_model::json::JsonObject;
use aegis_proto::http_json;
use aegis_sdk::{Call, Client, Outcome, SdkError};
use anyhow::Context;
use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use serde_json::Value;

use crate::arguments;
use crate::ended::{Ended, WrongUse};
use crate::output::{Output, Tone};
use crate::state::{DataDir, read_bounded};
use crate::token::{Bearer, mint_from_data_dir};

/// Where `aegis dev` keeps its data unless told otherwise.
const DATA_DIR: &str = ".aegis";

/// Where a node answers gRPC unless told otherwise.
const ENDPOINT: &str = "http://127.0.0.1:7081";

/// Larger than any set of certificates that a client trusts.
const ROOTS_BYTES_MAX: usize = 4 << 20;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis decide --agent finance-agent --tool stripe-payments --action create_payment --params '{\"amount\": 4999}'
  aegis decide --token-file token --request call.json --endpoint https://aegis.example.com:7081 --tls-roots ca.pem

Speaks gRPC. Ends with 0 when the call may go on (allow, sanitize), with 1 when it may not (deny, approval_required)
or no node could answer, with 2 when the call is malformed. With a data directory of `aegis dev` a fresh token is made.")]
pub(crate) struct Options {
    /// The node [default: that of the data directory, else http://127.0.0.1:7081]
    #[arg(long, env = "AEGIS_ENDPOINT", value_name = "URL")]
    endpoint: Option<String>,
    /// The agent's token; better given as the variable, which other users of the machine cannot see
    #[arg(long, env = "AEGIS_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    token: Option<String>,
    /// A file that holds the token
    #[arg(long, env = "AEGIS_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// The data directory of `aegis dev`, whose key makes a token [default: .aegis, where there is one]
    #[arg(long, env = "AEGIS_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    bearer: Bearer,
    /// The tool
    #[arg(long, env = "AEGIS_TOOL", required_unless_present = "request", value_name = "NAME")]
    tool: Option<ToolName>,
    /// Its action [default: call]
    #[arg(long, env = "AEGIS_ACTION", value_name = "NAME")]
    action: Option<ActionName>,
    /// The tool's parameters
    #[arg(long, env = "AEGIS_PARAMS", default_value = "{}", value_parser = arguments::json_object, value_name = "JSON")]
    params: JsonObject,
    /// The circumstances, such as `destination`
    #[arg(long, env = "AEGIS_CONTEXT", default_value = "{}", value_parser = arguments::json_object, value_name = "JSON")]
    context: JsonObject,
    /// What the call is expected to cost, e.g. 0.25
    #[arg(long, env = "AEGIS_COST", value_name = "NUMBER")]
    cost: Option<String>,
    /// The whole call as in `POST /v1/decide`, from a file, or from stdin for `-`
    #[arg(
        long, env = "AEGIS_REQUEST", value_name = "FILE",
        conflicts_with_all = ["tool", "action", "params", "context", "cost"]
    )]
    request: Option<PathBuf>,
    /// Repeat a call safely: the same id and content give the same answer at the same node for 60 s
    #[arg(long, env = "AEGIS_REQUEST_ID", value_name = "ID")]
    request_id: Option<RequestId>,
    /// Judge only: spend nothing, open nothing
    #[arg(long, env = "AEGIS_DRY_RUN")]
    dry_run: bool,
    /// Show each step of the judgement
    #[arg(long, env = "AEGIS_EXPLAIN")]
    explain: bool,
    /// Ask for a signed receipt: the log's own word that it holds the record (`aegis audit receipt` checks it)
    #[arg(long, env = "AEGIS_SIGN_RECEIPT")]
    sign_receipt: bool,
    /// Where a person has to agree: how long to wait for that, at most a minute
    #[arg(long, env = "AEGIS_WAIT", value_parser = arguments::duration, value_name = "TIME")]
    wait: Option<Duration>,
    /// The token that redeems an approval; better given as the variable
    #[arg(long, env = "AEGIS_OVERRIDE_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    override_token: Option<String>,
    /// How long to wait for the answer, attempts and pauses included
    #[arg(long, env = "AEGIS_DEADLINE", default_value = "5s", value_parser = arguments::duration, value_name = "TIME")]
    deadline: Duration,
    /// The certificates that the node's has to lead to (PEM); required for https
    #[arg(long, env = "AEGIS_TLS_ROOTS", value_name = "FILE")]
    tls_roots: Option<PathBuf>,
    /// The name that the node's certificate has to be for [default: the endpoint's host]
    #[arg(long, env = "AEGIS_TLS_SERVER_NAME", value_name = "NAME")]
    tls_server_name: Option<String>,
}

/// `given` says which options stand on the command line: they go before the environment's.
pub(crate) fn run(options: &Options, given: &ArgMatches, output: Output) -> anyhow::Result<Ended> {
    let call = call(options)?;
    let client = client(options, given)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting")?;
    let outcome = runtime.block_on(client.decide(call)).map_err(explained)?;
    output.result(&outcome.to_json(), || describe(&outcome, output));
    Ok(match outcome {
        Outcome::Allowed { .. } | Outcome::Sanitized { .. } => Ended::Done,
        Outcome::Denied { .. } | Outcome::ApprovalRequired { .. } => Ended::Refused,
    })
}

fn call(options: &Options) -> anyhow::Result<Call> {
    let mut call = match (&options.request, &options.tool) {
        (Some(path), _) => from_file(path)?,
        (None, Some(tool)) => {
            let mut call = Call::new(tool.as_str())
                .params(Value::Object(options.params.clone()))
                .context(Value::Object(options.context.clone()));
            if let Some(action) = &options.action {
                call = call.action(action.as_str());
            }
            if let Some(cost) = &options.cost {
                call = call.cost(cost);
            }
            call
        }
        (None, None) => return Err(WrongUse("`--tool` is missing".to_owned()).into()),
    };
    if let Some(id) = &options.request_id {
        call = call.request_id(id.as_str());
    }
    if let Some(token) = &options.override_token {
        call = call.override_token(token.as_str());
    }
    if let Some(wait) = options.wait {
        call = call.wait(wait);
    }
    call = if options.sign_receipt { call.sign_receipt() } else { call };
    call = if options.dry_run { call.dry_run() } else { call };
    Ok(if options.explain { call.explain() } else { call })
}

/// A call as a client of `POST /v1/decide` would send it, read as strictly as a node does.
fn from_file(path: &Path) -> anyhow::Result<Call> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().take(caps::BODY_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map(|_| bytes)
    } else {
        read_bounded(path, caps::BODY_BYTES_MAX)
    };
    let bytes = bytes.with_context(|| format!("reading the call from `{}`", path.display()))?;
    let read = http_json::read_call(&bytes)
        .map_err(|bad| WrongUse(format!("`{}` is not a call: {}", path.display(), bad.sentence())))?;
    let mut call = Call::new(read.tool.as_str())
        .action(read.action.as_str())
        .params(Value::Object(read.params))
        .context(Value::Object(read.context));
    if let Some(id) = read.request_id {
        call = call.request_id(id.as_str());
    }
    if let Some(cost) = read.cost {
        call = call.cost(cost.to_string());
    }
    if let Some(token) = read.override_token {
        call = call.override_token(token.expose().as_str());
    }
    if read.wait_ms > 0 {
        call = call.wait(Duration::from_millis(read.wait_ms.into()));
    }
    call = if read.sign_receipt { call.sign_receipt() } else { call };
    call = if read.dry_run { call.dry_run() } else { call };
    Ok(if read.explain { call.explain() } else { call })
}

/// How the caller proves who it is.
#[derive(Debug)]
enum Evidence<'o> {
    Token(&'o str),
    TokenFile(&'o Path),
    DataDir(&'o Path),
}

/// The evidence to use: what stands on the command line goes before what stands in the environment.
fn evidence<'o>(options: &'o Options, given: &ArgMatches) -> Option<Evidence<'o>> {
    let all = [
        ("token", options.token.as_deref().map(Evidence::Token)),
        ("token_file", options.token_file.as_deref().map(Evidence::TokenFile)),
        ("data_dir", options.data_dir.as_deref().map(Evidence::DataDir)),
    ];
    let typed = |id: &str| given.value_source(id) == Some(ValueSource::CommandLine);
    let mut there: Vec<_> =
        all.into_iter().filter_map(|(id, evidence)| evidence.map(|it| (typed(id), it))).collect();
    there.sort_by_key(|(typed, _)| !typed);
    there.into_iter().map(|(_, evidence)| evidence).next()
}

fn client(options: &Options, given: &ArgMatches) -> anyhow::Result<Client> {
    let default_dir = Path::new(DATA_DIR);
    let evidence = evidence(options, given)
        .or_else(|| default_dir.is_dir().then_some(Evidence::DataDir(default_dir)))
        .ok_or_else(|| {
            WrongUse(
                "there is no token: give `--token-file`, AEGIS_TOKEN or the `--data-dir` of `aegis dev`"
                    .to_owned(),
            )
        })?;
    let (token, endpoint) = match evidence {
        Evidence::Token(token) => (token.trim().to_owned(), None),
        Evidence::TokenFile(path) => {
            let bytes = read_bounded(path, caps::TOKEN_BYTES_MAX + 2)
                .with_context(|| format!("reading the token from `{}`", path.display()))?;
            (String::from_utf8_lossy(&bytes).trim().to_owned(), None)
        }
        Evidence::DataDir(path) => {
            let data_dir = DataDir::open(path)?;
            let minted = mint_from_data_dir(&data_dir, &options.bearer)?;
            let grpc = data_dir.dev_node()?.grpc.map(|address| format!("http://{address}"));
            (minted.token.expose().clone(), grpc)
        }
    };
    let endpoint = options.endpoint.clone().or(endpoint).unwrap_or_else(|| ENDPOINT.to_owned());
    let mut builder =
        Client::builder(endpoint).token(token).deadline(options.deadline + options.wait.unwrap_or_default());
    if let Some(path) = &options.tls_roots {
        let roots =
            read_bounded(path, ROOTS_BYTES_MAX).with_context(|| format!("reading `{}`", path.display()))?;
        builder = builder.tls_roots(roots);
    }
    if let Some(name) = &options.tls_server_name {
        builder = builder.tls_server_name(name);
    }
    builder.build().map_err(explained)
}

/// What the caller got wrong is wrong use; the rest is a failed check.
fn explained(error: SdkError) -> anyhow::Error {
    match &error {
        SdkError::Call(bad) => WrongUse(format!("the call is malformed: {}", bad.sentence())).into(),
        SdkError::Endpoint(_) | SdkError::Tls(_) | SdkError::AgentKey(_) | SdkError::NoToken => {
            WrongUse(error.to_string()).into()
        }
        SdkError::Refused(status) => match status.reason() {
            Some(code) => anyhow::anyhow!(
                "PolicyViolation: {code}: {}. {}",
                status.message.trim_end_matches('.'),
                code.next_step()
            ),
            None => error.into(),
        },
        SdkError::Token(_)
        | SdkError::Unavailable { .. }
        | SdkError::StreamClosed(_)
        | SdkError::Deadline
        | SdkError::Answer(_) => error.into(),
    }
}

fn describe(outcome: &Outcome, output: Output) -> String {
    let tone = match outcome {
        Outcome::Allowed { .. } | Outcome::Sanitized { .. } => Tone::Good,
        Outcome::Denied { .. } => Tone::Bad,
        Outcome::ApprovalRequired { .. } => Tone::Open,
    };
    let mut text = output.paint(outcome.name(), tone);
    for reason in outcome.reasons() {
        let message = reason.message.trim_end_matches('.');
        text.push_str(&format!(
            "\n  PolicyViolation: {}: {message}. {}",
            reason.code,
            reason.code.next_step()
        ));
        let place = [&reason.path, &reason.rule, &reason.position];
        let place: Vec<&str> = place.into_iter().filter_map(Option::as_deref).collect();
        if !place.is_empty() {
            text.push_str(&format!("\n    {}", place.join("  ")));
        }
    }
    if let Outcome::Sanitized { redactions, .. } = outcome {
        for redaction in redactions {
            text.push_str(&format!("\n  {}: {}, {}", redaction.path, redaction.kind, redaction.with));
        }
    }
    let decided = outcome.decision();
    if let Some(policy) = &decided.policy {
        text.push_str(&format!("\n  policy version {}, activation {}", policy.version, policy.activation));
    }
    let again = if decided.replayed { ", given before" } else { "" };
    text.push_str(&format!("\n  decision {}{again}", decided.decision_id));
    text.push_str(&decided.explanation.as_ref().map(steps).unwrap_or_default());
    text
}

/// The steps of a judgement, a line each, with the reasons below.
fn steps(explanation: &Value) -> String {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut lines = String::new();
    for (number, step) in (1..).zip(list(&explanation["steps"])) {
        lines.push_str(&format!("\n  {number}. {}", text(&step["finding"])));
        if let Some(position) = step["position"].as_str() {
            lines.push_str(&format!("  ({position})"));
        }
        for reason in list(&step["reasons"]) {
            lines.push_str(&format!("\n       {}: {}", text(&reason["code"]), text(&reason["message"])));
        }
    }
    lines
}
