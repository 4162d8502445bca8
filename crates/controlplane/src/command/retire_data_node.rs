//! `RetireDataNode`: a data node is gone for good, and its id never comes back.

use aegis_model::caps;
use aegis_proto::control::{DataNode, RetireDataNode, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::checks;
use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::writer::Writer;
use crate::state::{borrowers, data_nodes};

impl Kind for RetireDataNode {
    const NAME: &'static str = "RetireDataNode";
    const WHO: Who = Who::roles(&[Role::Admin]);
    type Checked = DataNode;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        format!("data node {}", self.id)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<DataNode, Failure> {
        let Some(node) = data_nodes::data_node(state, self.id)? else {
            return Err(Refused::unknown(Code::UnknownDataNode, "data node", self.id).into());
        };
        // Retiring twice is no error: the first time counts.
        if node.retired_ms > 0 {
            return Ok(node);
        }
        checks::room("retired data nodes", asked.counters.data_nodes_retired, caps::DATA_NODES_RETIRED_MAX)?;
        Ok(DataNode { retired_ms: asked.now_ms(), ..node })
    }

    fn apply(node: DataNode, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        let was_retired = data_nodes::data_node(write, node.id)?.is_some_and(|before| before.retired_ms > 0);
        if !was_retired {
            let counters = write.counters_mut();
            counters.data_nodes = counters.data_nodes.saturating_sub(1);
            counters.data_nodes_retired += 1;
            data_nodes::put(write, &node)?;
            // What it holds of budgets is lost, and so nobody asks what it was told.
            borrowers::delete(write, node.id)?;
        }
        Ok(done::Result::DataNode(node))
    }
}
