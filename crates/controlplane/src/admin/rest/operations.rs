//! Every operation of the REST surface, once: its id, which is the name of its gRPC method, and its handler. Path and
//! method stand beside the handler only; the router takes them from the OpenAPI document, so that the two cannot differ.

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, on};
use utoipa::OpenApi;
use utoipa::openapi::path::{HttpMethod, Operation};

use super::{
    activation, agents, approvals, budgets, channels, cluster, data_nodes, decisions, evidence, issuers,
    keys, labels, openapi, organizations, people, person_tokens, records, revocations, roles, tenants,
    tokens, traced, versions, whoami,
};
use crate::admin::Admin;

macro_rules! operations {
    ($($id:literal: $module:ident::$function:ident,)*) => {
        /// The paths, as the handlers describe them.
        #[derive(OpenApi)]
        #[openapi(paths($($module::$function),*))]
        pub(super) struct Paths;

        /// The ids of all operations.
        pub(crate) const IDS: &[&str] = &[$($id),*];

        /// Adds every operation to `router`, at the path and under the method of the document.
        pub(super) fn router(router: Router<Admin>) -> Router<Admin> {
            let document = openapi::document();
            $(let router = add(router, &document, $id, $module::$function);)*
            router
        }
    };
}

operations! {
    "WhoAmI": whoami::who_am_i,
    "ListTenants": tenants::list,
    "CreateTenant": tenants::create,
    "GetTenant": tenants::get,
    "UpdateTenant": tenants::update,
    "RetireTenant": tenants::retire,
    "PlaceHold": tenants::place_hold,
    "LiftHold": tenants::lift_hold,
    "GetTenantKeys": tenants::list_keys,
    "RotateTenantKey": tenants::rotate_key,
    "RevealValue": tenants::reveal,
    "ListAgents": agents::list,
    "RegisterAgent": agents::register,
    "GetAgent": agents::get,
    "UpdateAgent": agents::update,
    "SetAgentKeys": agents::set_keys,
    "AddAgentKey": agents::add_key,
    "RetireAgentKey": agents::retire_key,
    "ListIssuers": issuers::list,
    "GetIssuer": issuers::get,
    "SetIssuer": issuers::set,
    "RemoveIssuer": issuers::remove,
    "ListTokens": tokens::list,
    "MintToken": tokens::mint,
    "ListRevocations": revocations::list,
    "Revoke": revocations::revoke,
    "ListVersions": versions::list,
    "PublishVersion": versions::publish,
    "GetVersion": versions::get,
    "RetireVersion": versions::retire,
    "DiffVersions": versions::diff,
    "DownloadBundle": versions::bundle,
    "ListLabels": labels::list,
    "PutLabel": labels::put,
    "RemoveLabel": labels::remove,
    "GetActivation": activation::get,
    "Activate": activation::activate,
    "Rollback": activation::roll_back,
    "ListActivations": activation::list,
    "WatchActivation": activation::watch,
    "ListTenantRoles": roles::list_of_tenant,
    "GrantTenantRole": roles::grant_in_tenant,
    "RevokeTenantRole": roles::revoke_in_tenant,
    "ListTenantRecords": records::of_tenant,
    "ListDecisions": decisions::list,
    "ListApprovals": approvals::list,
    "GetApproval": approvals::get,
    "Approve": approvals::approve,
    "Reject": approvals::reject,
    "CancelApproval": approvals::cancel,
    "ListDeliveries": channels::deliveries,
    "ListChannels": channels::list,
    "SetChannel": channels::set,
    "RemoveChannel": channels::remove,
    "TestChannel": channels::test,
    "ListBudgets": budgets::list,
    "AdjustBudget": budgets::adjust,
    "ListOrganizationBudgets": budgets::of_organization,
    "AdjustOrganizationBudget": budgets::adjust_of_organization,
    "GetOrganizationLimits": organizations::limits,
    "SetOrganizationLimits": organizations::set_limits,
    "ListPeople": people::list,
    "GetPerson": people::get,
    "PutPerson": people::put,
    "ListPersonRoles": roles::of_person,
    "ListPersonTokens": person_tokens::list,
    "IssuePersonToken": person_tokens::issue,
    "RevokePersonToken": person_tokens::revoke,
    "ListRoles": roles::list,
    "GrantRole": roles::grant,
    "RevokeRole": roles::revoke,
    "ListDataNodes": data_nodes::list,
    "GetDataNode": data_nodes::get,
    "RetireDataNode": data_nodes::retire,
    "GetCluster": cluster::get,
    "GetObjectStore": cluster::object_store,
    "GetShards": cluster::shards,
    "AddMember": cluster::add_member,
    "PromoteMember": cluster::promote_member,
    "RemoveMember": cluster::remove_member,
    "TakeSnapshot": cluster::take_snapshot,
    "RaiseLevel": cluster::raise_level,
    "ListKeys": keys::list,
    "RotateKey": keys::rotate,
    "RewrapKeys": keys::rewrap,
    "RetireKey": keys::retire,
    "ListRecords": records::list,
    "GetControlCheckpoint": evidence::checkpoint,
    "GetControlEntries": evidence::entries,
    "ProveControlLog": evidence::prove,
    "ListJournals": evidence::journals,
}

fn add<H, T>(
    router: Router<Admin>,
    document: &utoipa::openapi::OpenApi,
    id: &'static str,
    handler: H,
) -> Router<Admin>
where
    H: Handler<T, Admin>,
    T: 'static,
{
    let (path, method) = place(document, id).expect("a test compares the ids with the document's");
    router.route(&path, on(method, traced::named(handler, id)))
}

/// Where the operation `id` is, below the base.
fn place(document: &utoipa::openapi::OpenApi, id: &str) -> Option<(String, MethodFilter)> {
    let mut all = each(document);
    all.find(|(_, _, operation)| operation.operation_id.as_deref() == Some(id))
        .map(|(path, method, _)| (path.trim_start_matches(super::BASE).to_owned(), filter(&method)))
}

/// Every operation of a document with its path and method.
pub(crate) fn each(
    document: &utoipa::openapi::OpenApi,
) -> impl Iterator<Item = (&str, HttpMethod, &Operation)> {
    document.paths.paths.iter().flat_map(|(path, item)| {
        let all = [
            item.get.as_ref().map(|it| (HttpMethod::Get, it)),
            item.put.as_ref().map(|it| (HttpMethod::Put, it)),
            item.post.as_ref().map(|it| (HttpMethod::Post, it)),
            item.delete.as_ref().map(|it| (HttpMethod::Delete, it)),
            item.patch.as_ref().map(|it| (HttpMethod::Patch, it)),
        ];
        all.into_iter().flatten().map(|(method, operation)| (path.as_str(), method, operation))
    })
}

fn filter(method: &HttpMethod) -> MethodFilter {
    match method {
        HttpMethod::Put => MethodFilter::PUT,
        HttpMethod::Post => MethodFilter::POST,
        HttpMethod::Delete => MethodFilter::DELETE,
        HttpMethod::Patch => MethodFilter::PATCH,
        HttpMethod::Get | HttpMethod::Options | HttpMethod::Head | HttpMethod::Trace => MethodFilter::GET,
    }
}
