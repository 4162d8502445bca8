//! The service `aegis.v1.Admin`: metadata in, a function of [`service`](crate::admin::service), statuses out.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use aegis_model::caps;
use aegis_proto::admin as wire;
use aegis_proto::admin::admin_server::Admin as AdminApi;
use futures_util::{Stream, StreamExt, stream};
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Request, Response, Status};

use crate::admin::caller::{self, Caller};
use crate::admin::problem::ApiCode;
use crate::admin::room::Place;
use crate::admin::service::{
    activation, agents, approvals, budgets, channels, cluster, data_nodes, decisions, evidence, issuers,
    keys, labels, object_store, organizations, people, person_tokens, records, reveal, revocations, roles,
    shards, snapshot, tenants, tokens, versions, watch, whoami,
};
use crate::admin::{Admin, Problem};
use crate::spans::Notes;

/// Answers calls over gRPC.
#[derive(Debug, Clone)]
pub struct AdminService {
    admin: Admin,
}

/// How a write is known again when it is repeated.
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Whether the answer is an earlier one, given again.
pub(crate) const IDEMPOTENCY_REPLAYED: &str = "idempotency-replayed";

/// A piece of a bundle in a stream: well below the largest message that clients read unless told otherwise.
const PIECE_BYTES: usize = 256 << 10;

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// A call whose maker is known.
struct Entered<T> {
    caller: Arc<Caller>,
    message: T,
    _place: Place,
}

impl AdminService {
    pub(crate) fn new(admin: Admin) -> Self {
        Self { admin }
    }

    async fn enter<T>(&self, request: Request<T>) -> Result<Entered<T>, Problem> {
        let place = self.admin.rooms().call()?;
        let (metadata, extensions, message) = request.into_parts();
        let caller = match extensions.get::<Arc<Caller>>() {
            // By the door, before the message was read.
            Some(caller) => Arc::clone(caller),
            None => Arc::new(identify(&self.admin, &metadata, None).await?),
        };
        Ok(Entered { caller, message, _place: place })
    }
}

/// Who asks, by the metadata of a call.
pub(super) async fn identify(
    admin: &Admin,
    metadata: &MetadataMap,
    notes: Option<Notes>,
) -> Result<Caller, Problem> {
    let key = match single(metadata, IDEMPOTENCY_KEY)? {
        Some(value) => Some(caller::idempotency_key(std::str::from_utf8(value).unwrap_or_default())?),
        None => None,
    };
    let value = single(metadata, "authorization")?;
    let value = value.ok_or_else(|| caller::no_token("there is no `authorization` metadata"))?;
    let token = caller::bearer(value)
        .ok_or_else(|| caller::no_token("the `authorization` metadata holds no bearer token"))?;
    Caller::identify(admin, token, key, notes).await
}

/// The value of metadata that may stand once.
fn single<'m>(metadata: &'m MetadataMap, name: &str) -> Result<Option<&'m [u8]>, Problem> {
    let mut values = metadata.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first.map(|value| value.as_encoded_bytes())),
        (_, Some(_)) => {
            let detail = format!("the metadata `{name}` stands more than once");
            Err(Problem::new(ApiCode::Malformed, detail))
        }
    }
}

/// An answer, with a note if it is an earlier one.
fn answer<T>(caller: &Caller, message: T) -> Response<T> {
    let mut response = Response::new(message);
    if caller.replayed() {
        response.metadata_mut().insert(IDEMPOTENCY_REPLAYED, MetadataValue::from_static("true"));
    }
    response
}

/// `work`, within the time that a call may take.
async fn within<T>(work: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    let patience = Duration::from_secs(caps::ADMIN_CALL_SECONDS);
    let late = |_elapsed| Problem::new(ApiCode::TimedOut, "the call took too long");
    tokio::time::timeout(patience, work).await.map_err(late)?
}

macro_rules! methods {
    ($($method:ident: $request:ident -> $response:ident = $module:ident::$function:ident;)*) => {
        #[tonic::async_trait]
        impl AdminApi for AdminService {
            $(
                async fn $method(
                    &self,
                    request: Request<wire::$request>,
                ) -> Result<Response<wire::$response>, Status> {
                    let Entered { caller, message, _place } = self.enter(request).await?;
                    let done = within($module::$function(&caller, message)).await?;
                    Ok(answer(&caller, done))
                }
            )*

            type DownloadBundleStream = Streamed<wire::BundlePiece>;

            async fn download_bundle(
                &self,
                request: Request<wire::VersionRequest>,
            ) -> Result<Response<Self::DownloadBundleStream>, Status> {
                let Entered { caller, message, _place } = self.enter(request).await?;
                let (bundle, _digest) = within(versions::bundle(&caller, message)).await?;
                let mut pieces = Vec::with_capacity(bundle.len().div_ceil(PIECE_BYTES));
                let mut rest = bundle;
                while !rest.is_empty() {
                    let data = rest.split_to(PIECE_BYTES.min(rest.len()));
                    pieces.push(Ok(wire::BundlePiece { data }));
                }
                Ok(Response::new(Box::pin(stream::iter(pieces))))
            }

            type TakeSnapshotStream = Streamed<wire::BundlePiece>;

            async fn take_snapshot(
                &self,
                request: Request<wire::TakeSnapshotRequest>,
            ) -> Result<Response<Self::TakeSnapshotStream>, Status> {
                let Entered { caller, message, _place } = self.enter(request).await?;
                let backup = within(snapshot::take(&caller, message)).await?;
                let piece = |piece: std::io::Result<bytes::Bytes>| match piece {
                    Ok(data) => Ok(wire::BundlePiece { data }),
                    Err(_told_by_the_system) => Err(Problem::internal("a backup cannot be read").into()),
                };
                Ok(answer(&caller, Box::pin(backup.pieces().map(piece)) as Self::TakeSnapshotStream))
            }

            type WatchActivationStream = Streamed<wire::ActivationProgress>;

            async fn watch_activation(
                &self,
                request: Request<wire::WatchActivationRequest>,
            ) -> Result<Response<Self::WatchActivationStream>, Status> {
                let Entered { caller, message, _place } = self.enter(request).await?;
                let steps = within(watch::watch(&caller, message)).await?;
                Ok(Response::new(Box::pin(steps.map(|step| step.map_err(Status::from)))))
            }
        }
    };
}

methods! {
    who_am_i: WhoAmIRequest -> WhoAmIResponse = whoami::who_am_i;
    list_tenants: ListRequest -> TenantList = tenants::list;
    create_tenant: CreateTenantRequest -> Tenant = tenants::create;
    get_tenant: TenantRequest -> Tenant = tenants::get;
    update_tenant: UpdateTenantRequest -> Tenant = tenants::update;
    retire_tenant: TenantRequest -> Tenant = tenants::retire;
    place_hold: PlaceHoldRequest -> Tenant = tenants::place_hold;
    lift_hold: LiftHoldRequest -> Tenant = tenants::lift_hold;
    get_tenant_keys: TenantRequest -> TenantKeyList = tenants::list_keys;
    rotate_tenant_key: TenantRequest -> TenantKeyList = tenants::rotate_key;
    reveal_value: RevealValueRequest -> RevealedValue = reveal::reveal;
    list_agents: TenantListRequest -> AgentList = agents::list;
    register_agent: RegisterAgentRequest -> Agent = agents::register;
    get_agent: AgentRequest -> Agent = agents::get;
    update_agent: UpdateAgentRequest -> Agent = agents::update;
    set_agent_keys: SetAgentKeysRequest -> Agent = agents::set_keys;
    add_agent_key: AddAgentKeyRequest -> Agent = agents::add_key;
    retire_agent_key: RetireAgentKeyRequest -> Agent = agents::retire_key;
    list_issuers: TenantListRequest -> IssuerList = issuers::list;
    get_issuer: IssuerRequest -> TokenIssuer = issuers::get;
    set_issuer: SetIssuerRequest -> TokenIssuer = issuers::set;
    remove_issuer: IssuerRequest -> TokenIssuer = issuers::remove;
    list_tokens: TenantListRequest -> TokenRecordList = tokens::list;
    mint_token: MintTokenRequest -> MintedToken = tokens::mint;
    list_revocations: TenantListRequest -> RevocationList = revocations::list;
    revoke: RevokeRequest -> Revocation = revocations::revoke;
    list_versions: TenantListRequest -> VersionList = versions::list;
    publish_version: PublishVersionRequest -> PublishedVersion = versions::publish;
    get_version: VersionRequest -> Version = versions::get;
    retire_version: VersionRequest -> Version = versions::retire;
    diff_versions: DiffVersionsRequest -> VersionDiff = versions::diff;
    list_labels: TenantListRequest -> LabelList = labels::list;
    put_label: PutLabelRequest -> Label = labels::put;
    remove_label: LabelRequest -> Label = labels::remove;
    get_activation: TenantRequest -> InForce = activation::get;
    activate: ActivateRequest -> InForce = activation::activate;
    rollback: RollbackRequest -> InForce = activation::roll_back;
    list_activations: TenantListRequest -> ActivationList = activation::list;
    list_approvals: ApprovalListRequest -> ApprovalList = approvals::list;
    get_approval: ApprovalRequest -> Approval = approvals::get;
    approve: ApprovalVoteRequest -> Approval = approvals::approve;
    reject: ApprovalVoteRequest -> Approval = approvals::reject;
    cancel_approval: ApprovalVoteRequest -> Approval = approvals::cancel;
    list_deliveries: DeliveryListRequest -> DeliveryList = channels::deliveries;
    list_channels: TenantListRequest -> ChannelList = channels::list;
    set_channel: SetChannelRequest -> Channel = channels::set;
    remove_channel: ChannelRequest -> Channel = channels::remove;
    test_channel: ChannelRequest -> ChannelTested = channels::test;
    list_budgets: BudgetListRequest -> BudgetList = budgets::list;
    adjust_budget: AdjustBudgetRequest -> AdjustedBudget = budgets::adjust;
    list_organization_budgets: OrganizationListRequest -> BudgetList = budgets::of_organization;
    adjust_organization_budget: AdjustOrganizationBudgetRequest -> AdjustedBudget = budgets::adjust_of_organization;
    get_organization_limits: OrganizationRequest -> SharedLimits = organizations::limits;
    set_organization_limits: SetOrganizationLimitsRequest -> SharedLimits = organizations::set_limits;
    list_people: ListRequest -> PersonList = people::list;
    get_person: PersonRequest -> Person = people::get;
    put_person: PutPersonRequest -> Person = people::put;
    list_person_roles: PersonListRequest -> RoleBindingList = roles::of_person;
    list_roles: ScopeListRequest -> RoleBindingList = roles::list;
    grant_role: RoleRequest -> RoleBinding = roles::grant;
    revoke_role: RoleRequest -> RoleBinding = roles::revoke;
    list_person_tokens: PersonListRequest -> PersonTokenList = person_tokens::list;
    issue_person_token: IssuePersonTokenRequest -> IssuedPersonToken = person_tokens::issue;
    revoke_person_token: PersonTokenRequest -> PersonToken = person_tokens::revoke;
    list_data_nodes: ListRequest -> DataNodeList = data_nodes::list;
    get_data_node: NodeRequest -> DataNode = data_nodes::get;
    retire_data_node: NodeRequest -> DataNode = data_nodes::retire;
    get_cluster: GetClusterRequest -> ClusterStatus = cluster::get;
    get_object_store: GetObjectStoreRequest -> ObjectStoreStatus = object_store::get;
    get_shards: GetShardsRequest -> Shards = shards::get;
    add_member: AddMemberRequest -> ClusterMember = cluster::add_member;
    promote_member: NodeRequest -> ClusterMember = cluster::promote_member;
    remove_member: NodeRequest -> ClusterMember = cluster::remove_member;
    raise_level: RaiseLevelRequest -> ClusterStatus = cluster::raise_level;
    list_keys: ListRequest -> KeyList = keys::list;
    rotate_key: RotateKeyRequest -> RotatedKey = keys::rotate;
    rewrap_keys: RewrapKeysRequest -> RewrappedKeys = keys::rewrap;
    retire_key: RetireKeyRequest -> Key = keys::retire;
    list_records: ListRequest -> ControlRecordList = records::list;
    list_tenant_records: TenantListRequest -> ControlRecordList = records::of_tenant;
    list_decisions: DecisionListRequest -> DecisionList = decisions::list;
    get_control_checkpoint: GetControlCheckpointRequest -> ControlCheckpoint = evidence::checkpoint;
    get_control_entries: GetControlEntriesRequest -> ControlEntryList = evidence::entries;
    prove_control_log: ProveControlLogRequest -> ControlProof = evidence::prove;
    list_journals: ListRequest -> JournalList = evidence::journals;
}
