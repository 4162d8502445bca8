//! The commands of `docs/admin-api.md` work as they stand, one after the other, in a new cluster.

use std::process::Command;

use crate::serving::Served;
use crate::setting::Setting;

const DOCUMENT: &str = include_str!("../../../../docs/admin-api.md");

/// The commands, in order.
fn commands() -> String {
    let blocks = DOCUMENT.split("```sh\n").skip(1);
    blocks.map(|block| block.split("```").next().unwrap_or_default()).collect()
}

#[tokio::test]
async fn the_commands_of_the_documentation_work() {
    if Command::new("curl").arg("--version").output().is_err() {
        assert!(std::env::var_os("CI").is_none(), "curl is missing");
        return;
    }
    let setting = Setting::new().await;
    let served = Served::start(&setting, None).await;
    let script = format!("set -euxo pipefail\n{}", commands());
    let (address, token) = (format!("http://{}/admin/v1", served.address), setting.token.clone());
    let run = tokio::task::spawn_blocking(move || {
        Command::new("timeout")
            .args(["60", "bash", "-c", &script])
            .env("ADMIN", address)
            .env("TOKEN", token)
            .output()
    });
    let run = run.await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{out}\n{err}");
    // What they lead to, so that commands that do nothing are not taken for good ones.
    for part in [
        "\"person\":\"root\"",
        "\"enforced\":1",
        "\"state\":\"done\"",
        "\"subject\":\"payer\"",
        "\"retired\":[",
    ] {
        assert!(out.contains(part), "no {part} in {out}");
    }
    served.stop().await;
}
