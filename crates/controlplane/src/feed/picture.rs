//! What all data nodes have to know, read once and then kept up to date by notes of changes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aegis_identity::trust::Issuer;
use aegis_model::caps;
use aegis_model::ids::TenantId;
use aegis_proto::control::{Change, ChangeKind, DataNode, OrganizationLimits};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::board::Board;
use super::rows::{self, Rows, for_each_page};
use crate::control::Applied;
use crate::state::changes::{self, Since};
use crate::state::{data_nodes, meta, organizations, tenants};

/// The rows behind a [`Board`]. One task owns it.
#[derive(Default)]
pub(super) struct Picture {
    /// The index up to which changes were taken over; nothing before the first reading.
    seen: Option<u64>,
    tenants: BTreeMap<TenantId, Rows>,
    /// The limits of organizations, by name.
    organizations: BTreeMap<String, OrganizationLimits>,
    /// When the present history began, if it is not the first: what was revoked may have been forgotten with the restore.
    tokens_void_before_ms: u64,
    board: Board,
}

impl Picture {
    /// Takes over what has changed, and gives the board with it.
    ///
    /// `applied` was read before `state` was opened, so `state` may be newer. No row that matters is newer than the newest
    /// note of a change, so the later of the two places is where the picture stands.
    pub(super) fn update(
        &mut self,
        state: &impl StateRead,
        applied: Applied,
        issuer: &Issuer,
    ) -> Result<Board, StoreError> {
        let history = meta::history(state)?;
        let newest = match self.seen.filter(|_| history == self.board.history) {
            Some(seen) => self.catch_up(state, seen, issuer)?,
            None => None,
        };
        let newest = match newest {
            Some(newest) => newest,
            None => self.read_anew(state, issuer)?,
        };
        self.seen = Some(newest);
        if history != self.board.history {
            // A new history counts anew; it is greater whatever its index.
            (self.board.history, self.board.index, self.board.log_time_ms) = (history, 0, 0);
        }
        self.board.index = self.board.index.max(newest).max(applied.index);
        if history == applied.history {
            self.board.log_time_ms = self.board.log_time_ms.max(applied.log_time_ms);
        }
        Ok(self.board.clone())
    }

    /// Takes over the changes after `seen`: the index of the newest. Nothing if some were forgotten.
    fn catch_up(
        &mut self,
        state: &impl StateRead,
        seen: u64,
        issuer: &Issuer,
    ) -> Result<Option<u64>, StoreError> {
        let mut newest = seen;
        let mut affected = BTreeSet::new();
        loop {
            match changes::since(state, newest, caps::PAGE_ROWS_MAX)? {
                Since::Forgotten => return Ok(None),
                Since::Changes { changes, more } => {
                    for change in changes {
                        newest = newest.max(change.index);
                        affected.extend(self.take(state, &change, issuer)?);
                    }
                    if !more {
                        break;
                    }
                }
            }
        }
        self.tell(&affected);
        Ok(Some(newest))
    }

    /// Takes over one change: the tenants that are told otherwise now.
    fn take(
        &mut self,
        state: &impl StateRead,
        change: &Change,
        issuer: &Issuer,
    ) -> Result<Vec<TenantId>, StoreError> {
        let tenant = match change.kind() {
            ChangeKind::Unspecified => return Ok(Vec::new()),
            ChangeKind::Cluster => {
                self.board.cluster = meta::cluster(state)?.map(|cluster| cluster.id).unwrap_or_default();
                return Ok(Vec::new());
            }
            ChangeKind::Key => {
                self.board.trust = Arc::new(rows::trust(state, issuer)?);
                self.board.generation += 1;
                return Ok(Vec::new());
            }
            ChangeKind::DataNode => {
                if let Some(node) = change.name.parse().ok().map(|id| data_nodes::data_node(state, id)) {
                    self.take_node(node?);
                }
                return Ok(Vec::new());
            }
            ChangeKind::ShardMap => {
                self.board.shards = Arc::new(rows::shards(state)?);
                self.board.generation += 1;
                return Ok(Vec::new());
            }
            ChangeKind::Organization => return self.take_organization(state, &change.name),
            ChangeKind::Tenant | ChangeKind::Agent | ChangeKind::Activation | ChangeKind::Revocation => {
                &change.tenant
            }
        };
        let Ok(tenant) = tenant.parse::<TenantId>() else { return Ok(Vec::new()) };
        let rows = self.tenants.entry(tenant.clone()).or_default();
        match change.kind() {
            ChangeKind::Tenant => rows.read_tenant(state, &tenant)?,
            ChangeKind::Activation => rows.read_activation(state, &tenant)?,
            ChangeKind::Agent => rows.read_agent(state, &tenant, &change.name)?,
            ChangeKind::Revocation => rows.read_revocation(state, &tenant, &change.name)?,
            ChangeKind::Unspecified
            | ChangeKind::Cluster
            | ChangeKind::Key
            | ChangeKind::DataNode
            | ChangeKind::ShardMap
            | ChangeKind::Organization => {}
        }
        Ok(vec![tenant])
    }

    /// Takes over the limits of an organization: its tenants.
    fn take_organization(&mut self, state: &impl StateRead, name: &str) -> Result<Vec<TenantId>, StoreError> {
        let Ok(organization) = name.parse() else { return Ok(Vec::new()) };
        match organizations::limits(state, &organization)? {
            Some(limits) => drop(self.organizations.insert(name.to_owned(), limits)),
            None => drop(self.organizations.remove(name)),
        }
        let of_it = self.tenants.iter().filter(|(_, rows)| rows.organization() == Some(name));
        Ok(of_it.map(|(tenant, _)| tenant.clone()).collect())
    }

    fn take_node(&mut self, node: Option<DataNode>) {
        if let Some(node) = node {
            Arc::make_mut(&mut self.board.nodes).insert(node.id, node.into());
            self.board.generation += 1;
        }
    }

    /// Reads everything: the index of the newest change in it.
    fn read_anew(&mut self, state: &impl StateRead, issuer: &Issuer) -> Result<u64, StoreError> {
        let mut names = Vec::new();
        for_each_page(|query| tenants::tenants(state, query), |tenant| names.push(tenant.name))?;
        self.tenants.clear();
        for name in names {
            let Ok(tenant) = name.parse::<TenantId>() else { continue };
            self.tenants.insert(tenant.clone(), Rows::read(state, &tenant)?);
        }
        let mut nodes = BTreeMap::new();
        for_each_page(
            |query| data_nodes::data_nodes(state, query),
            |node| {
                nodes.insert(node.id, node.into());
            },
        )?;
        self.board.nodes = Arc::new(nodes);
        self.organizations.clear();
        for_each_page(
            |query| organizations::all_limits(state, query),
            |limits| {
                self.organizations.insert(limits.organization.clone(), limits);
            },
        )?;
        let cluster = meta::cluster(state)?.unwrap_or_default();
        // A new history is always read anew.
        self.tokens_void_before_ms = if cluster.history > 1 { cluster.history_began_ms } else { 0 };
        self.board.cluster = cluster.id;
        self.board.trust = Arc::new(rows::trust(state, issuer)?);
        self.board.shards = Arc::new(rows::shards(state)?);
        self.board.tenants = Arc::default();
        let all = self.tenants.keys().cloned().collect();
        self.tell(&all);
        self.board.generation += 1;
        newest_change(state)
    }

    /// Writes the messages of `affected` tenants anew.
    fn tell(&mut self, affected: &BTreeSet<TenantId>) {
        if affected.is_empty() {
            return;
        }
        let told = Arc::make_mut(&mut self.board.tenants);
        for tenant in affected {
            let state = self.tenants.get(tenant).and_then(|rows| {
                let limits =
                    rows.organization().and_then(|organization| self.organizations.get(organization));
                rows.told(self.tokens_void_before_ms, limits)
            });
            match state {
                Some(state) => drop(told.insert(tenant.clone(), Arc::new(state))),
                None => drop(told.remove(tenant)),
            }
        }
        self.board.generation += 1;
    }
}

/// The index of the newest note of a change.
fn newest_change(state: &impl StateRead) -> Result<u64, StoreError> {
    let mut newest = meta::counters(state)?.changes_forgotten_index;
    loop {
        match changes::since(state, newest, caps::PAGE_ROWS_MAX)? {
            // Notes are forgotten in the order of their indexes, so what was just read of them cannot be too old.
            Since::Forgotten => return Ok(newest),
            Since::Changes { changes, more } => {
                newest = changes.last().map_or(newest, |change| newest.max(change.index));
                if !more {
                    return Ok(newest);
                }
            }
        }
    }
}
