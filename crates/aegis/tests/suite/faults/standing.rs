//! How far each control node has come, and the digest of all that it knows there (RAFT-2).

use std::time::Duration;

use reqwest::Method;

use super::WHOLE_AGAIN;
use super::writers::Admin;

/// Pause between two looks; log time moves the index on once a second.
const PAUSE: Duration = Duration::from_millis(50);

/// Waits until all control nodes have applied the same, and compares what came of it.
pub(super) async fn until_all_are_equal(admin: &Admin) {
    let equal = async {
        while !are_equal(admin).await {
            // expect(sleep): control nodes are asked; they tell nobody how far they have come.
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(WHOLE_AGAIN, equal).await.expect("control nodes that have applied the same");
}

/// Whether all are at one index, with one digest; nothing may be at one index with two.
async fn are_equal(admin: &Admin) -> bool {
    let mut all: Vec<(u64, String)> = Vec::new();
    for at in 0..admin.bases.len() {
        let Ok((status, cluster)) = admin.ask(at, Method::GET, "/cluster", None, None).await else {
            return false;
        };
        let index = &cluster["applied_index"];
        let index = index.as_u64().or_else(|| index.as_str()?.parse().ok());
        let (true, Some(index), Some(digest)) =
            (status.is_success(), index, cluster["state_digest"].as_str())
        else {
            return false;
        };
        all.push((index, digest.to_owned()));
    }
    all.sort();
    for pair in all.windows(2) {
        assert!(pair[0].0 != pair[1].0 || pair[0].1 == pair[1].1, "two states at one index: {all:?}");
    }
    all.first().map(|(index, _)| *index) == all.last().map(|(index, _)| *index)
}
