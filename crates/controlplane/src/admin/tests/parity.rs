//! Both surfaces do the same: the same operations, the same answers, the same codes, and a document that says so.

use std::collections::BTreeSet;

use aegis_proto::status::reason_of;
use prost::Message;
use prost_types::FileDescriptorSet;
use serde_json::Value;
use tonic::Status;

use super::examples::{Example, examples};
use super::setting::{Reply, Setting};
use crate::admin::rest::{openapi_document, operations};

/// REST operations that are one gRPC method with another scope.
const SAME_METHOD: [(&str, &str); 3] =
    [("ListTenantRoles", "ListRoles"), ("GrantTenantRole", "GrantRole"), ("RevokeTenantRole", "RevokeRole")];

#[test]
fn every_operation_has_its_method_and_every_method_its_operation() {
    let set = FileDescriptorSet::decode(aegis_proto::ADMIN_DESCRIPTOR).unwrap();
    let service = set.file.iter().flat_map(|file| &file.service).find(|it| it.name() == "Admin").unwrap();
    let methods: BTreeSet<&str> = service.method.iter().map(|method| method.name()).collect();
    let grpc =
        |id: &'static str| SAME_METHOD.iter().find(|(rest, _)| *rest == id).map_or(id, |(_, grpc)| *grpc);
    let operations: BTreeSet<&str> = operations::IDS.iter().map(|id| grpc(id)).collect();
    assert_eq!(operations, methods);
}

/// What a fresh cluster cannot do, and why.
const NOT_POSSIBLE: [(&str, &str); 1] = [("RaiseLevel", "members_behind")];

/// Both clusters see the same calls, and so are the same. Where what was done before stands in the way of a call, as a tenant that was
/// retired, it is asked of new ones.
#[tokio::test]
async fn every_operation_gives_the_same_over_both_surfaces() {
    let mut clusters = Clusters::new();
    for example in examples() {
        let (mut over_rest, mut over_grpc) = clusters.ask(&example).await;
        if !(200..300).contains(&over_rest.status) {
            clusters = Clusters::new();
            (over_rest, over_grpc) = clusters.ask(&example).await;
        }
        if let Some((_, code)) = NOT_POSSIBLE.iter().find(|(id, _)| *id == example.id) {
            assert_eq!(over_rest.code(), *code);
            assert_eq!(reason_of(&over_grpc.unwrap_err()), Some(*code));
            continue;
        }
        assert!((200..300).contains(&over_rest.status), "{}: {over_rest:?}", example.id);
        let answered = match example.id {
            "DownloadBundle" | "TakeSnapshot" => Value::from(over_rest.body.len()),
            "WatchActivation" => {
                let lines = over_rest.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                lines.map(|line| serde_json::from_slice::<Value>(line).unwrap()).collect()
            }
            _ => over_rest.json(),
        };
        assert_eq!(answered, over_grpc.unwrap(), "{}", example.id);
    }
}

/// Two clusters, one for each surface.
struct Clusters {
    rest: Setting,
    grpc: Setting,
}

impl Clusters {
    fn new() -> Self {
        Self { rest: Setting::new(), grpc: Setting::new() }
    }

    async fn ask(&self, example: &Example) -> (Reply, Result<Value, Status>) {
        let over_rest = example.rest(&self.rest, &self.rest.token("root"), "acme").await;
        let over_grpc = example.grpc(&self.grpc, Some(&self.grpc.token("root")), "acme").await;
        (over_rest, over_grpc)
    }
}

#[test]
fn the_document_has_every_operation_and_nothing_else() {
    let document = openapi_document();
    let mut ids = BTreeSet::new();
    for (path, _method, operation) in operations::each(&document) {
        let id = operation.operation_id.clone().unwrap_or_default();
        assert!(operation.summary.as_ref().is_some_and(|it| !it.is_empty()), "{id} has no summary");
        assert!(operation.security.as_ref().is_some_and(|it| !it.is_empty()), "{id} says not who may");
        for status in ["4XX", "5XX"] {
            assert!(operation.responses.responses.contains_key(status), "{id} has no problems");
        }
        let placeholders = path.matches('{').count();
        let in_path = operation.parameters.iter().flatten().filter(|parameter| match parameter {
            utoipa::openapi::RefOr::T(it) => it.parameter_in == utoipa::openapi::path::ParameterIn::Path,
            utoipa::openapi::RefOr::Ref(_) => false,
        });
        assert_eq!(placeholders, in_path.count(), "{id} describes its path");
        assert!(ids.insert(id.clone()), "{id} is there twice");
    }
    let listed: BTreeSet<String> = operations::IDS.iter().map(|id| (*id).to_owned()).collect();
    assert_eq!(ids, listed);
}

#[tokio::test]
async fn every_operation_is_where_the_document_says_and_takes_no_other_method() {
    let setting = Setting::new();
    let document = openapi_document();
    for (path, _, operation) in operations::each(&document) {
        let path = format!("/admin/v1{path}").replace("{tenant}", "acme").replace(['{', '}'], "");
        let reply = setting.ask("OPTIONS", &path, &[], b"").await;
        assert_eq!((reply.status, reply.code().as_str()), (405, "method_not_allowed"), "{path}");
        assert!(reply.headers.contains_key("allow"), "{:?}", operation.operation_id);
    }
    let served = setting.ask("GET", "/admin/v1/openapi.json", &[], b"").await;
    assert_eq!(served.json()["openapi"], "3.1.0");
}
