//! What was acknowledged is there after every crash, and nothing else (RAFT-1).

use crate::crash::run_cases;

/// More than 500 images, each opened after a crash. `examples/crash_images.rs` opens as many as wanted.
#[test]
fn what_was_acknowledged_survives_every_crash() {
    let tally = run_cases(0..80);
    assert!(tally.images >= 500, "{tally:?}");
    assert!(tally.acknowledged >= 1_000, "the crashes come too early: {tally:?}");
    assert!(tally.recoveries_crashed >= 50 && tally.replayed >= 200, "the crashes come too late: {tally:?}");
}
