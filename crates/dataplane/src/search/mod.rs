//! Questions of the control plane about the decisions in this node's logs.
//!
//! ```text
//! control node ══ Attend ══▶ link (one per control node) ──▶ queue ──▶ thread `aegis-search` ──▶ sealed files, the growing one
//!              ◀═════════════════════════ answer ═══════════════════════════┘
//! ```
//!
//! The node dials, so nobody needs a way in, and only who shows the certificate of a control node is attended. One thread of its own
//! works on one question after the other, each bounded in bytes, time and hits; calls share nothing with it but the machine. A second one
//! does for questions that lead to the object store, so that a slow store delays no others.

mod copies;

mod counts;

mod desk;

mod link;

mod wire;

use std::path::PathBuf;
use std::sync::Arc;

use aegis_audit::journal::Disk;
use aegis_model::ids::TenantId;
use tokio::task::JoinSet;

use crate::archive::Archive;
use crate::decider::Decider;
use crate::feed::{Connector, ControlAddress, Pauses};
use copies::Store;
pub(crate) use counts::Counts;
use desk::Desk;
use link::Link;
use tokio::runtime::Handle;

/// Who answers, and whom.
#[derive(Debug)]
pub(crate) struct AttendanceConfig {
    /// The node's name, as in its certificate.
    pub(crate) node: String,
    /// The only tenant that it serves.
    pub(crate) tenant: Option<TenantId>,
    /// The control nodes.
    pub(crate) controls: Vec<ControlAddress>,
    /// Opens connections to them.
    pub(crate) connector: Connector,
    /// The first and longest pause before a control node is tried again.
    pub(crate) pause: (std::time::Duration, std::time::Duration),
    /// Spreads pauses.
    pub(crate) randomness: u64,
}

/// The folder of a node's logs.
#[derive(Debug, Clone)]
pub(crate) struct LogsFolder {
    /// The file system that it is on.
    pub(crate) disk: Arc<dyn Disk>,
    /// The folder.
    pub(crate) root: PathBuf,
}

/// Attends every control node for as long as it is polled.
///
/// # Errors
/// There is no thread to answer in.
pub(crate) async fn attend(
    config: AttendanceConfig,
    decider: Arc<Decider>,
    archive: Option<Archive>,
) -> std::io::Result<()> {
    let open = |store: Option<Store>| {
        let (folder, clock) = (decider.records.folder(), decider.clock.clone());
        Desk::open(folder, clock, Arc::clone(&decider.searches), store).map(Arc::new)
    };
    let desk = open(None)?;
    let far = match archive {
        Some(archive) => Some(open(Some(Store { archive, runtime: Handle::current() }))?),
        None => None,
    };
    // Before, there are no logs of this life, and nobody to say who asks.
    let identity = decider.book.identity().await;
    let mut links = JoinSet::new();
    for (number, address) in (0_u64..).zip(config.controls) {
        let link = Link {
            node: config.node.clone(),
            tenant: config.tenant.clone(),
            identity: identity.clone(),
            address,
            connector: config.connector.clone(),
            desk: Arc::clone(&desk),
            far: far.clone(),
            decider: Arc::clone(&decider),
            pauses: Pauses::new(config.pause, config.randomness ^ number),
        };
        links.spawn(link.run());
    }
    // None of them ends by itself, but for one that panicked.
    drop(links.join_next().await);
    Ok(())
}
