//! `RaiseLevel`: lets the cluster use the commands of newer software, once every member understands them.

use aegis_model::caps;
use aegis_proto::control::{ChangeKind, Cluster, RaiseLevel, Role, done};
use aegis_raft_store::tables::{StateRead, StoreError};

use super::kind::{Asked, Failure, Kind};
use super::refused::{Code, Refused};
use super::who::Who;
use crate::state::key::EVERYWHERE;
use crate::state::page::PageQuery;
use crate::state::writer::Writer;
use crate::state::{changes, members};

impl Kind for RaiseLevel {
    const NAME: &'static str = "RaiseLevel";
    const WHO: Who = Who::roles(&[Role::Admin]).or_control_node();
    type Checked = Cluster;

    fn scope(&self) -> &str {
        EVERYWHERE
    }

    fn summary(&self) -> String {
        format!("to level {}", self.to)
    }

    fn check(&self, state: &impl StateRead, asked: &Asked<'_>) -> Result<Cluster, Failure> {
        let level = asked.cluster.level;
        if level.checked_add(1) != Some(self.to) {
            return Err(Refused::stale("level", level).into());
        }
        let all = members::members(state, &PageQuery::first())?.rows;
        let behind: Vec<String> = all
            .into_iter()
            .filter(|member| member.retired_ms == 0 && member.level < self.to)
            .map(|member| member.name)
            .collect();
        if !behind.is_empty() {
            let message = format!("not every member understands level {}", self.to);
            return Err(Refused::new(Code::MembersBehind, message).with("members", behind.join(",")).into());
        }
        Ok(Cluster { level: self.to, ..asked.cluster.clone() })
    }

    fn apply(cluster: Cluster, write: &mut Writer<'_, '_>) -> Result<done::Result, StoreError> {
        write.put_cluster(cluster.clone())?;
        changes::note(write, ChangeKind::Cluster, "", "")?;
        Ok(done::Result::Cluster(cluster))
    }
}

const _: () = assert!(caps::MEMBERS_MAX <= caps::PAGE_ROWS_MAX as u64, "all members are looked at");
