//! One sound request for every operation, over both surfaces, which `root` may make of a [`Setting`].

use aegis_audit::record::Sealed;
use aegis_proto::admin::admin_server::Admin as _;
use aegis_proto::admin::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::{StreamExt, TryStreamExt};
use serde_json::Value;
use tonic::{Request, Status};

use super::setting::{Reply, Setting, policy};

/// A request, over both surfaces.
pub(super) struct Example {
    /// The operation.
    pub(super) id: &'static str,
    pub(super) method: &'static str,
    /// Below the base. The tenant in it, if any, is `acme`.
    pub(super) path: String,
    /// The JSON body.
    pub(super) body: Option<Value>,
    grpc: Box<OverGrpc>,
}

/// Asks a setting with a token, or none, about a tenant.
type OverGrpc = dyn for<'s> Fn(&'s Setting, Option<&str>, &str) -> BoxFuture<'s, Result<Value, Status>>;

impl Example {
    /// Whether it is about a tenant.
    pub(super) fn of_tenant(&self) -> bool {
        self.path.contains("/acme") || self.path.contains("acme/")
    }

    /// Whether it changes something. To try a channel changes nothing here.
    pub(super) fn writes(&self) -> bool {
        self.method != "GET" && self.id != "TestChannel"
    }

    /// The path for another tenant.
    pub(super) fn path_of(&self, tenant: &str) -> String {
        self.path.replacen("/tenants/acme", &format!("/tenants/{tenant}"), 1)
    }

    /// Over REST, about `tenant`.
    pub(super) async fn rest(&self, setting: &Setting, token: &str, tenant: &str) -> Reply {
        setting.call(self.method, &self.path_of(tenant), token, self.body.clone()).await
    }

    /// Over gRPC, about `tenant`.
    pub(super) async fn grpc(
        &self,
        setting: &Setting,
        token: Option<&str>,
        tenant: &str,
    ) -> Result<Value, Status> {
        (self.grpc)(setting, token, tenant).await
    }
}

/// A request with a token.
pub(super) fn request<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

macro_rules! examples {
    (@body json $message:ident) => { Some(serde_json::to_value(&$message).unwrap()) };
    (@body none $message:ident) => { None };
    (@tenant $message:ident $tenant:ident tenant) => { $message.tenant = $tenant.to_owned() };
    (@tenant $message:ident $tenant:ident scope) => { $message.scope = $tenant.to_owned() };
    (@tenant $message:ident $tenant:ident none) => {};
    (@answer one $response:ident) => {
        Ok(serde_json::to_value($response.into_inner()).unwrap())
    };
    (@answer many $response:ident) => {{
        let steps: Vec<ActivationProgress> = $response.into_inner().try_collect().await?;
        Ok(serde_json::to_value(steps).unwrap())
    }};
    (@answer bytes $response:ident) => {{
        let pieces: Vec<_> = $response.into_inner().map(|piece| piece.unwrap().data).collect().await;
        Ok(Value::from(pieces.concat().len()))
    }};
    ($($id:literal $method:literal $path:literal $body:ident $scope:ident $answer:ident $call:ident $message:expr;)*) => {
        /// Every example.
        pub(super) fn examples() -> Vec<Example> {
            vec![$({
                let message = $message;
                Example {
                    id: $id,
                    method: $method,
                    path: $path.replace("KEY", &spare_key()).replace("PAYER", &payer_key()),
                    body: examples!(@body $body message),
                    grpc: Box::new(move |setting, token, tenant| {
                        #[allow(unused_mut, unused_variables, reason = "not every message has a tenant")]
                        let (mut message, tenant) = (message.clone(), tenant.to_owned());
                        examples!(@tenant message tenant $scope);
                        let request = request(message, token);
                        async move {
                            let response = setting.grpc.$call(request).await?;
                            examples!(@answer $answer response)
                        }
                        .boxed()
                    }),
                }
            }),*]
        }
    };
}

fn text(text: &str) -> String {
    text.to_owned()
}

/// A public key of nobody.
fn public_key() -> String {
    let key = crate::testing::World::signing_key("another key");
    crate::admin::form::public_key(key.verifying_key().as_bytes())
}

/// The key set of an issuer.
pub(crate) fn key_set() -> String {
    let key = crate::testing::World::signing_key("an issuer's").verifying_key().to_jwk();
    serde_json::json!({ "keys": [key] }).to_string()
}

/// The id of the key of the agent `payer`.
fn payer_key() -> String {
    crate::testing::World::signing_key("payer").id().to_string()
}

/// The id of a manifest key that does not sign.
fn spare_key() -> String {
    crate::testing::World::signing_key("spare").id().to_string()
}

/// The `jti` of a token of `nobody` that [`Setting`] gave out.
pub(super) const TOKEN_OF_NOBODY: &str = "nobody-0";

const DATA_NODE: &str = "0000000000000011";

fn of_tenant() -> TenantRequest {
    TenantRequest { tenant: text("acme") }
}

/// A token with its value, sealed as a data node seals it.
fn sealed() -> RevealValueRequest {
    let token = text("<us_ssn:v1:00>");
    let tokens = vec![token.clone()];
    let about = Sealed::about(&"acme".parse().unwrap(), 1, &tokens);
    let public = crate::testing::World::sealing_key("acme").public().unwrap();
    let sealed = public.seal(&about, br#"{"<us_ssn:v1:00>":"219-09-9999"}"#).unwrap();
    let values = SealedValues { key: 1, tokens, values: STANDARD.encode(sealed) };
    RevealValueRequest { tenant: text("acme"), token, sealed: Some(values), reason: text("ticket 7") }
}

fn listed() -> TenantListRequest {
    TenantListRequest { tenant: text("acme"), ..Default::default() }
}

fn of_person() -> PersonListRequest {
    PersonListRequest { person: text("nobody"), ..Default::default() }
}

fn version(version: u64) -> VersionRequest {
    VersionRequest { tenant: text("acme"), version }
}

fn issuer() -> IssuerRequest {
    IssuerRequest { tenant: text("acme"), issuer: text("ci") }
}

fn label() -> LabelRequest {
    LabelRequest { tenant: text("acme"), label: text("good") }
}

fn role(scope: &str, person: &str, role: &str) -> RoleRequest {
    RoleRequest { scope: text(scope), person: text(person), role: text(role) }
}

fn publication() -> PublishVersionRequest {
    let source = PolicySource { path: text("payer.yaml"), text: policy(300) };
    PublishVersionRequest { sources: vec![source], message: text("more"), ..Default::default() }
}

fn watched() -> WatchActivationRequest {
    WatchActivationRequest { tenant: text("acme"), activation: 1, seconds: 1 }
}

examples! {
    "WhoAmI" "GET" "/whoami" none none one who_am_i WhoAmIRequest {};
    "ListTenants" "GET" "/tenants" none none one list_tenants ListRequest::default();
    "CreateTenant" "POST" "/tenants" json none one create_tenant
        CreateTenantRequest { name: text("initech"), four_eyes: true, ..Default::default() };
    "GetTenant" "GET" "/tenants/acme" none tenant one get_tenant of_tenant();
    "UpdateTenant" "PATCH" "/tenants/acme" json tenant one update_tenant
        UpdateTenantRequest { four_eyes: Some(true), only_if_revision: Some(2), ..Default::default() };
    "RetireTenant" "DELETE" "/tenants/acme" none tenant one retire_tenant of_tenant();
    "PlaceHold" "PUT" "/tenants/acme/holds/case-8" json tenant one place_hold
        PlaceHoldRequest { hold: text("case-8"), reason: text("a dispute"), ..Default::default() };
    "LiftHold" "POST" "/tenants/acme/holds/case-7/lift" json tenant one lift_hold
        LiftHoldRequest { hold: text("case-7"), reason: text("settled"), ..Default::default() };
    "ListAgents" "GET" "/tenants/acme/agents" none tenant one list_agents listed();
    "RegisterAgent" "POST" "/tenants/acme/agents" json tenant one register_agent
        RegisterAgentRequest { name: text("team/other"), public_keys: vec![public_key()], ..Default::default() };
    "GetAgent" "GET" "/tenants/acme/agents/payer" none tenant one get_agent
        AgentRequest { tenant: text("acme"), agent: text("payer") };
    "UpdateAgent" "PATCH" "/tenants/acme/agents/payer" json tenant one update_agent
        UpdateAgentRequest { agent: text("payer"), disabled: Some(true), ..Default::default() };
    "SetAgentKeys" "PUT" "/tenants/acme/agents/payer/keys" json tenant one set_agent_keys
        SetAgentKeysRequest { agent: text("payer"), public_keys: vec![public_key()], ..Default::default() };
    "AddAgentKey" "POST" "/tenants/acme/agents/payer/keys" json tenant one add_agent_key
        AddAgentKeyRequest { agent: text("payer"), public_key: public_key(), ..Default::default() };
    "RetireAgentKey" "DELETE" "/tenants/acme/agents/payer/keys/PAYER?overlap_seconds=60" none tenant one retire_agent_key
        RetireAgentKeyRequest { agent: text("payer"), id: payer_key(), overlap_seconds: 60, ..Default::default() };
    "ListIssuers" "GET" "/tenants/acme/issuers" none tenant one list_issuers listed();
    "GetIssuer" "GET" "/tenants/acme/issuers/ci" none tenant one get_issuer issuer();
    "SetIssuer" "PUT" "/tenants/acme/issuers/ci" json tenant one set_issuer
        SetIssuerRequest { issuer: text("ci"), iss: text("https://ci.example"), aud: text("aegis"), algorithm: text("EdDSA"),
            key_set: key_set(), ..Default::default() };
    "RemoveIssuer" "DELETE" "/tenants/acme/issuers/ci" none tenant one remove_issuer issuer();
    "ListTokens" "GET" "/tenants/acme/tokens" none tenant one list_tokens listed();
    "MintToken" "POST" "/tenants/acme/tokens" json tenant one mint_token
        MintTokenRequest { agent: text("payer"), scope: text("stripe:pay"), life_seconds: 60,
            claims: vec![TokenClaim { name: text("purpose"), value: text("billing") }], ..Default::default() };
    "GetTenantKeys" "GET" "/tenants/acme/keys" none tenant one get_tenant_keys of_tenant();
    "RotateTenantKey" "POST" "/tenants/acme/keys/rotate" none tenant one rotate_tenant_key of_tenant();
    "RevealValue" "POST" "/tenants/acme/reveal" json tenant one reveal_value sealed();
    "ListRevocations" "GET" "/tenants/acme/revocations" none tenant one list_revocations listed();
    "Revoke" "POST" "/tenants/acme/revocations" json tenant one revoke
        RevokeRequest { kind: text("agent"), subject: text("payer"), reason: text("lost"), ..Default::default() };
    "ListVersions" "GET" "/tenants/acme/versions" none tenant one list_versions listed();
    "PublishVersion" "POST" "/tenants/acme/versions" json tenant one publish_version publication();
    "GetVersion" "GET" "/tenants/acme/versions/1" none tenant one get_version version(1);
    "RetireVersion" "DELETE" "/tenants/acme/versions/3" none tenant one retire_version version(3);
    "DiffVersions" "GET" "/tenants/acme/versions/2/diff/1" none tenant one diff_versions
        DiffVersionsRequest { tenant: text("acme"), version: 2, other: 1 };
    "DownloadBundle" "GET" "/tenants/acme/versions/1/bundle.tar.gz" none tenant bytes download_bundle version(1);
    "ListLabels" "GET" "/tenants/acme/labels" none tenant one list_labels listed();
    "PutLabel" "PUT" "/tenants/acme/labels/good" json tenant one put_label
        PutLabelRequest { label: text("good"), version: 2, ..Default::default() };
    "RemoveLabel" "DELETE" "/tenants/acme/labels/good" none tenant one remove_label label();
    "GetActivation" "GET" "/tenants/acme/activation" none tenant one get_activation of_tenant();
    "Activate" "PUT" "/tenants/acme/activation" json tenant one activate
        ActivateRequest { enforced: 1, canary: Some(CanaryShare { version: 2, percent: 5 }), ..Default::default() };
    "Rollback" "POST" "/tenants/acme/rollback" json tenant one rollback RollbackRequest::default();
    "ListActivations" "GET" "/tenants/acme/activations" none tenant one list_activations listed();
    "WatchActivation" "GET" "/tenants/acme/activation/progress?activation=1&seconds=1" none tenant many
        watch_activation watched();
    "ListTenantRoles" "GET" "/tenants/acme/roles" none scope one list_roles
        ScopeListRequest { scope: text("acme"), ..Default::default() };
    "GrantTenantRole" "PUT" "/tenants/acme/roles/nobody/viewer" none scope one grant_role
        role("acme", "nobody", "viewer");
    "RevokeTenantRole" "DELETE" "/tenants/acme/roles/ann/author" none scope one revoke_role
        role("acme", "ann", "author");
    "ListTenantRecords" "GET" "/tenants/acme/records" none tenant one list_tenant_records listed();
    "ListDecisions" "GET" "/tenants/acme/decisions" none tenant one list_decisions
        DecisionListRequest { tenant: text("acme"), ..Default::default() };
    "ListApprovals" "GET" "/tenants/acme/approvals" none tenant one list_approvals
        ApprovalListRequest::default();
    "GetApproval" "GET" "/tenants/acme/approvals/a-1" none tenant one get_approval
        ApprovalRequest { tenant: text("acme"), approval: text("a-1") };
    "Approve" "POST" "/tenants/acme/approvals/a-1/approve" json tenant one approve
        ApprovalVoteRequest { approval: text("a-1"), reason: text("agreed by phone"), ..Default::default() };
    "Reject" "POST" "/tenants/acme/approvals/a-2/reject" json tenant one reject
        ApprovalVoteRequest { approval: text("a-2"), reason: text("too much"), ..Default::default() };
    "CancelApproval" "POST" "/tenants/acme/approvals/a-3/cancel" json tenant one cancel_approval
        ApprovalVoteRequest { approval: text("a-3"), reason: text("not needed"), ..Default::default() };
    "ListDeliveries" "GET" "/tenants/acme/deliveries" none tenant one list_deliveries
        DeliveryListRequest::default();
    "ListChannels" "GET" "/tenants/acme/channels" none tenant one list_channels listed();
    "SetChannel" "PUT" "/tenants/acme/channels/%23payments" json tenant one set_channel
        SetChannelRequest { channel: text("#payments"), kind: text("webhook"), url: text("https://hooks.example.com/"),
            secret: text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"), ..Default::default() };
    "RemoveChannel" "DELETE" "/tenants/acme/channels/hook" none tenant one remove_channel
        ChannelRequest { channel: text("hook"), ..Default::default() };
    "TestChannel" "POST" "/tenants/acme/channels/hook/test" none tenant one test_channel
        ChannelRequest { channel: text("hook"), ..Default::default() };
    "ListBudgets" "GET" "/tenants/acme/budgets" none tenant one list_budgets
        BudgetListRequest::default();
    "AdjustBudget" "POST" "/tenants/acme/budgets/adjust" json tenant one adjust_budget
        AdjustBudgetRequest { agent: text("payer"), unit: text("usd"), limit: Some(text("12.5")),
            reason: text("a busy day"), ..Default::default() };
    "ListOrganizationBudgets" "GET" "/organizations/holding/budgets" none none one list_organization_budgets
        OrganizationListRequest { organization: text("holding"), ..Default::default() };
    "AdjustOrganizationBudget" "POST" "/organizations/holding/budgets/adjust" json none one
        adjust_organization_budget
        AdjustOrganizationBudgetRequest { organization: text("holding"), unit: text("usd"), reset_spent: true,
            ..Default::default() };
    "GetOrganizationLimits" "GET" "/organizations/holding/limits" none none one get_organization_limits
        OrganizationRequest { organization: text("holding") };
    "SetOrganizationLimits" "PUT" "/organizations/holding/limits" json none one set_organization_limits
        SetOrganizationLimitsRequest { organization: text("holding"), rps_limit: text("50"),
            daily_budget: text("1000"), unit: text("usd"), timezone: text("Europe/Zurich"), ..Default::default() };
    "ListPeople" "GET" "/people" none none one list_people ListRequest::default();
    "GetPerson" "GET" "/people/nobody" none none one get_person PersonRequest { person: text("nobody") };
    "PutPerson" "PUT" "/people/nobody" json none one put_person
        PutPersonRequest { person: text("nobody"), display_name: text("No Body"), disabled: false };
    "ListPersonRoles" "GET" "/people/nobody/roles" none none one list_person_roles of_person();
    "ListPersonTokens" "GET" "/people/nobody/tokens" none none one list_person_tokens of_person();
    "IssuePersonToken" "POST" "/people/nobody/tokens" json none one issue_person_token
        IssuePersonTokenRequest { person: text("nobody"), life_seconds: 60 };
    "RevokePersonToken" "DELETE" "/people/nobody/tokens/nobody-0" none none one revoke_person_token
        PersonTokenRequest { person: text("nobody"), token_id: text(TOKEN_OF_NOBODY) };
    "ListRoles" "GET" "/roles" none none one list_roles
        ScopeListRequest { scope: text("*"), ..Default::default() };
    "GrantRole" "PUT" "/roles/nobody/auditor" none none one grant_role role("*", "nobody", "auditor");
    "RevokeRole" "DELETE" "/roles/second/admin" none none one revoke_role role("*", "second", "admin");
    "ListDataNodes" "GET" "/data-nodes" none none one list_data_nodes ListRequest::default();
    "GetDataNode" "GET" "/data-nodes/0000000000000011" none none one get_data_node NodeRequest { id: text(DATA_NODE) };
    "RetireDataNode" "DELETE" "/data-nodes/0000000000000011" none none one retire_data_node
        NodeRequest { id: text(DATA_NODE) };
    "GetCluster" "GET" "/cluster" none none one get_cluster GetClusterRequest {};
    "GetObjectStore" "GET" "/cluster/object-store" none none one get_object_store GetObjectStoreRequest {};
    "GetShards" "GET" "/cluster/shards" none none one get_shards GetShardsRequest {};
    "AddMember" "POST" "/cluster/members" json none one add_member
        AddMemberRequest { name: text("control-2"), address: text("https://control-2:7071"), promote: true };
    "PromoteMember" "POST" "/cluster/members/0000000000000003/promote" none none one promote_member
        NodeRequest { id: text("0000000000000003") };
    "RemoveMember" "DELETE" "/cluster/members/0000000000000003" none none one remove_member
        NodeRequest { id: text("0000000000000003") };
    "TakeSnapshot" "POST" "/cluster/snapshot" none none bytes take_snapshot TakeSnapshotRequest {};
    "RaiseLevel" "POST" "/cluster/level" json none one raise_level RaiseLevelRequest { to: 2 };
    "ListKeys" "GET" "/keys" none none one list_keys ListRequest::default();
    "RotateKey" "POST" "/keys/rotate" json none one rotate_key RotateKeyRequest { kind: text("manifest") };
    "RewrapKeys" "POST" "/keys/rewrap" none none one rewrap_keys RewrapKeysRequest {};
    "RetireKey" "DELETE" "/keys/KEY?revoke=true" none none one retire_key
        RetireKeyRequest { id: spare_key(), revoke: true };
    "ListRecords" "GET" "/records" none none one list_records ListRequest::default();
    "GetControlCheckpoint" "GET" "/audit/checkpoint" none none one get_control_checkpoint
        GetControlCheckpointRequest { history: 0 };
    "GetControlEntries" "GET" "/audit/entries?first=1&limit=2" none none one get_control_entries
        GetControlEntriesRequest { first: 1, limit: 2, history: 0 };
    "ProveControlLog" "GET" "/audit/proof?index=1&size=3" none none one prove_control_log
        ProveControlLogRequest { index: Some(1), old: None, size: 3, history: 0 };
    "ListJournals" "GET" "/audit/journals" none none one list_journals ListRequest::default();
}
