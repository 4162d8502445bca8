//! Policy versions of a tenant: list, publish, show, give up, compare, download.

use aegis_model::caps;
use aegis_policy::ast::SourceFile;
use aegis_policy::diff::{Answer, Change, Difference};
use aegis_proto::admin::{
    CallAnswer, CallChange, DiffVersionsRequest, PolicyFinding, PublishVersionRequest, PublishedVersion,
    TenantListRequest, Version, VersionDiff, VersionList, VersionRequest,
};
use aegis_proto::control as rows;
use bytes::Bytes;
use tokio::sync::watch;

use super::{row, tenants};
use crate::admin::access::Read;
use crate::admin::caller::Caller;
use crate::admin::problem::ApiCode;
use crate::admin::{Problem, form};
use crate::command::{Code, Refused};
use crate::publish::{Content, Finding, Progress, Publication, PublishError, Rejected, Report};
use crate::state::versions;

/// A tenant's versions, the newest first.
pub(crate) async fn list(caller: &Caller, request: TenantListRequest) -> Result<VersionList, Problem> {
    let (tenant, query) = (form::tenant(&request.tenant)?, form::page(request.limit, &request.cursor)?);
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let (items, next) = form::listed(versions::versions(&state, &tenant, &query)?, shown);
    Ok(VersionList { items, next })
}

/// Publishes a version.
pub(crate) async fn publish(
    caller: &Caller,
    mut request: PublishVersionRequest,
) -> Result<PublishedVersion, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    // Before anything is compiled: who may not publish neither costs anything nor learns anything.
    let state = caller.reads(Read::Publication(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    drop(state);
    let once = caller.once("PublishVersion", &request);
    if let Some(first) = caller.recalled(once.as_ref())? {
        let version = Some(shown(row!(first, Version)?));
        return Ok(PublishedVersion { version, warnings: Vec::new(), unchanged: false });
    }
    let publication = Publication {
        tenant,
        content: content(&mut request)?,
        message: request.message,
        force: request.force,
        only_if_newest: request.only_if_newest,
        once,
    };
    let progress = watch::Sender::new(Progress::Waiting);
    let published = caller.admin().publisher().publish(publication, caller.actor(), &progress).await?;
    caller.note_replayed(published.replayed);
    Ok(PublishedVersion {
        version: Some(shown(published.version)),
        warnings: findings(published.warnings).0,
        unchanged: published.unchanged,
    })
}

/// Shows a version.
pub(crate) async fn get(caller: &Caller, request: VersionRequest) -> Result<Version, Problem> {
    known(caller, &request).await.map(shown)
}

/// Gives up the bundle of a version.
pub(crate) async fn retire(caller: &Caller, request: VersionRequest) -> Result<Version, Problem> {
    let command = rows::RetireVersion { tenant: request.tenant.clone(), version: request.version };
    row!(caller.write("RetireVersion", &request, command).await?, Version).map(shown)
}

/// Says which calls are answered otherwise under `version` than under `other`.
pub(crate) async fn diff(caller: &Caller, request: DiffVersionsRequest) -> Result<VersionDiff, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    let (to, from) = (request.version, request.other);
    for version in [from, to] {
        known(caller, &VersionRequest { tenant: tenant.to_string(), version }).await?;
    }
    let found = caller.admin().publisher().diff(&tenant, from, to).await?;
    let Difference { judged, left_out, changes } = found;
    let more = changes.len().saturating_sub(caps::DIFF_CHANGES_MAX);
    let changes = changes.into_iter().take(caps::DIFF_CHANGES_MAX).map(change).collect();
    Ok(VersionDiff { from, to, judged: judged as u64, left_out: left_out as u64, changes, more: more as u64 })
}

/// The bundle of a version, and its digest.
pub(crate) async fn bundle(caller: &Caller, request: VersionRequest) -> Result<(Bytes, String), Problem> {
    let version = known(caller, &request).await?;
    let tenant = form::tenant(&request.tenant)?;
    let bundle = caller.admin().publisher().bundle(&tenant, request.version).await?;
    Ok((bundle, form::digest(&version.bundle_digest)))
}

async fn known(caller: &Caller, request: &VersionRequest) -> Result<rows::Version, Problem> {
    let tenant = form::tenant(&request.tenant)?;
    let state = caller.reads(Read::Tenant(&tenant)).await?;
    tenants::known(&state, &tenant)?;
    let row = versions::version(&state, &tenant, request.version)?;
    if let Some(row) = row {
        return Ok(row);
    }
    let newest = versions::newest(&state, &tenant)?;
    let refused = Refused::unknown(Code::UnknownVersion, "version", request.version);
    Err(refused.with("newest", newest).into())
}

fn content(request: &mut PublishVersionRequest) -> Result<Content, Problem> {
    let (sources, bundle) = (std::mem::take(&mut request.sources), std::mem::take(&mut request.bundle));
    match (sources.is_empty(), bundle.is_empty()) {
        (false, true) => {
            let file =
                |it: aegis_proto::admin::PolicySource| SourceFile { path: it.path, text: it.text.into() };
            Ok(Content::Sources(sources.into_iter().map(file).collect()))
        }
        (true, false) => Ok(Content::Bundle(bundle)),
        (true, true) | (false, false) => {
            Err(Problem::invalid("sources", "there, unless a bundle is published, and then absent"))
        }
    }
}

fn shown(row: rows::Version) -> Version {
    Version {
        tenant: row.tenant,
        number: row.number,
        digest: form::digest(&row.bundle_digest),
        bundle_bytes: row.bundle_bytes,
        author: row.author,
        message: row.message,
        created_at: form::time(row.created_ms),
        key_id: row.key_id,
        enforced_at: form::maybe_time(row.enforced_ms),
        retired_at: form::maybe_time(row.retired_ms),
    }
}

fn change(change: Change) -> CallChange {
    let Change { case, before, after } = change;
    let text = |object| serde_json::Value::Object(object).to_string();
    CallChange {
        agent: case.agent.into(),
        tool: case.tool.into(),
        action: case.action.into(),
        params: text(case.params),
        context: text(case.context),
        token: text(case.token),
        callers: case.callers.into_iter().map(String::from).collect(),
        at: form::time_of_seconds(case.now.seconds()),
        before: Some(answer(before)),
        after: Some(answer(after)),
    }
}

fn answer(answer: Answer) -> CallAnswer {
    let codes = answer.codes.iter().map(|code| code.as_str().to_owned()).collect();
    CallAnswer { outcome: answer.outcome.as_str().to_owned(), codes }
}

/// What was found, and how much more there is.
fn findings(report: Report) -> (Vec<PolicyFinding>, u32) {
    let more = u32::try_from(report.more).unwrap_or(u32::MAX);
    (report.findings.into_iter().map(finding).collect(), more)
}

fn finding(found: Finding) -> PolicyFinding {
    let severity = match found.severity {
        aegis_policy::diagnostic::Severity::Error => "error",
        aegis_policy::diagnostic::Severity::Warning => "warning",
    };
    PolicyFinding {
        severity: severity.to_owned(),
        code: found.code.to_owned(),
        message: found.message,
        file: found.file,
        line: found.line,
        column: found.column,
        label: found.label,
        help: found.help,
        excerpt: found.excerpt,
    }
}

impl From<PublishError> for Problem {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Rejected(rejected) => rejected.into(),
            PublishError::Busy | PublishError::Contended => Self::new(ApiCode::Overloaded, error.to_string()),
            PublishError::Propose(error) => error.into(),
            PublishError::Read(error) => error.into(),
            PublishError::Keys(error) => error.into(),
            PublishError::Store(error) => error.into(),
            PublishError::UnknownVersion(number) => {
                Refused::unknown(Code::UnknownVersion, "version", number).into()
            }
            PublishError::VersionRetired(number) => {
                Self::new(Code::VersionRetired, error.to_string()).with("version", number)
            }
            PublishError::Damaged(_) | PublishError::Manifest(_) | PublishError::Compiler => {
                tracing::error!(%error, "a version cannot be published or read");
                Self::new(ApiCode::Internal, "the control node failed; its log says more")
            }
        }
    }
}

impl From<Rejected> for Problem {
    fn from(rejected: Rejected) -> Self {
        let detail = rejected.to_string();
        match rejected {
            Rejected::Policy(report) => {
                let (findings, more_findings) = findings(report);
                Self { findings, more_findings, ..Self::new(ApiCode::PolicyRejected, detail) }
            }
            Rejected::Sources(_) => Self::new(ApiCode::PolicyRejected, detail).at("/sources"),
            Rejected::Unpack(_) => Self::new(ApiCode::BundleRejected, detail),
            Rejected::NotReproducible { given, built } => {
                Self::new(ApiCode::BundleRejected, detail).with("given", given).with("built", built)
            }
            Rejected::TooLarge(_) => Self::new(ApiCode::TooLarge, detail),
        }
    }
}
