//! The OpenAPI document, made of the handlers and the messages; what holds for every operation is added here, once.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, ContentBuilder, InfoBuilder, OpenApi, PathItem, Ref, RefOr, Required, ResponseBuilder, Server,
};
use utoipa::{OpenApi as _, PartialSchema, ToSchema};

use super::operations::Paths;
use super::problem::PROBLEM_JSON;
use super::reply;

/// The name of the security scheme: the token of a person.
pub(crate) const PERSON: &str = "person";

/// The document.
pub fn document() -> OpenApi {
    let mut document = Paths::openapi();
    document.info = InfoBuilder::new()
        .title("Aegis admin API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(utoipa::openapi::License::new("Apache-2.0")))
        .build();
    document.servers = Some(vec![Server::new(super::BASE)]);
    for item in document.paths.paths.values_mut() {
        for (writes, operation) in operations(item) {
            complete(operation, writes);
        }
    }
    let components = document.components.get_or_insert_with(Components::new);
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("JWT")
        .description(Some("The token of a person: `aegis-person+jwt`."));
    components.add_security_scheme(PERSON, SecurityScheme::Http(scheme.build()));
    add_schema::<aegis_proto::admin::Problem>(components);
    document
}

const DESCRIPTION: &str = "Administers a cluster of Aegis. A write may carry `Idempotency-Key`: a repetition with the \
     same key and content, within a day, gets the first answer, with `Idempotency-Replayed: true`. Every refusal is a \
     problem document (RFC 9457) with a stable `code`. The same operations are there over gRPC, as `aegis.v1.Admin`: the \
     id of an operation is the name of its method.";

/// `GET /admin/v1/openapi.json`.
pub(super) async fn serve() -> Response {
    let text = document().to_json().expect("the document has text keys only, so it is written");
    reply::with_type(StatusCode::OK, "application/json", Body::from(text))
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (bool, &mut Operation)> {
    let reads = item.get.iter_mut().map(|it| (false, it));
    let writes = [&mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
    reads.chain(writes.into_iter().flatten().map(|it| (true, it)))
}

fn complete(operation: &mut Operation, writes: bool) {
    operation.security = Some(vec![SecurityRequirement::new(PERSON, Vec::<String>::new())]);
    for (status, words) in [("4XX", "The request was refused"), ("5XX", "The control node could not do it")] {
        let content = ContentBuilder::new().schema(Some(problem())).build();
        let response = ResponseBuilder::new().description(words).content(PROBLEM_JSON, content).build();
        operation.responses.responses.insert(status.to_owned(), RefOr::T(response));
    }
    if writes {
        let text = ObjectBuilder::new().schema_type(Type::String).max_length(Some(128)).min_length(Some(1));
        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("A repetition with the same key and content gets the first answer."))
            .schema(Some(text.build()));
        operation.parameters.get_or_insert_with(Vec::new).push(RefOr::T(key.build()));
    }
}

fn problem() -> RefOr<utoipa::openapi::Schema> {
    RefOr::Ref(Ref::from_schema_name(aegis_proto::admin::Problem::name()))
}

fn add_schema<T: ToSchema + PartialSchema>(components: &mut Components) {
    let mut schemas: Vec<(String, RefOr<utoipa::openapi::Schema>)> =
        vec![(T::name().into_owned(), T::schema())];
    T::schemas(&mut schemas);
    let known: &mut BTreeMap<_, _> = &mut components.schemas;
    for (name, schema) in schemas {
        known.entry(name).or_insert(schema);
    }
}
