//! Who this node is to the control plane, and whom it trusts there: exchangeable while it runs.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ClientConfig;
use tokio_rustls::TlsConnector;

/// This node's side of mutual TLS with control nodes. Cheap to clone; all clones change together.
#[derive(Debug, Clone)]
pub struct FeedTls(Arc<ArcSwap<ClientConfig>>);

impl FeedTls {
    /// With these settings; their list of protocols (ALPN) is replaced.
    pub fn new(config: ClientConfig) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(speaking_http2(config))))
    }

    /// Exchanges the settings: every connection from now on uses them. One that is there goes on, until the control node
    /// ends it for its age.
    pub fn replace(&self, config: ClientConfig) {
        self.0.store(Arc::new(speaking_http2(config)));
    }

    pub(super) fn connector(&self) -> TlsConnector {
        TlsConnector::from(self.0.load_full())
    }
}

fn speaking_http2(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![b"h2".to_vec()];
    config
}
