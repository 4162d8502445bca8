//! Who tells: the resource of every message.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;

/// A node, as collectors know it.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    /// `aegis-data`, `aegis-control` or `aegis-dev`.
    pub(crate) service: &'static str,
    /// Its name.
    pub(crate) node: String,
    /// Its cluster; empty where there is none.
    pub(crate) cluster: String,
    /// The label of its region; may be empty.
    pub(crate) region: String,
}

impl Who {
    /// The version of the software.
    pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

    /// Whether the node says an attribute of this name by itself.
    pub(super) fn is_own(name: &str) -> bool {
        name.starts_with("service.") || name.starts_with("aegis.")
    }

    pub(super) fn resource(&self, more: &BTreeMap<String, String>) -> Resource {
        let own = [
            ("service.name", self.service),
            ("service.instance.id", &self.node),
            ("service.version", Self::VERSION),
            ("aegis.cluster", &self.cluster),
            ("aegis.region", &self.region),
        ];
        let own = own.into_iter().filter(|(_, value)| !value.is_empty());
        let more = more.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let attributes = own.chain(more).map(|(name, value)| text(name, value)).collect();
        Resource { attributes, ..Resource::default() }
    }
}

/// The scope of everything that Aegis tells.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope { name: "aegis".to_owned(), version: Who::VERSION.to_owned(), ..Default::default() }
}

/// An attribute.
pub(super) fn attribute(name: &str, value: Value) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// An attribute that is a text.
pub(super) fn text(name: &str, value: impl Into<String>) -> KeyValue {
    attribute(name, Value::StringValue(value.into()))
}
