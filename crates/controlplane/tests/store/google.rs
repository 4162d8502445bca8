//! Google Cloud Storage, by the emulator that `AEGIS_FAKE_GCS` names (`fake-gcs-server`); without it, nothing is tested.

use aegis_controlplane::store::StoreConfig;
use aegis_testkit::stores::Google;

use crate::contract::keeps_the_contract;

const VARIABLE: &str = "AEGIS_FAKE_GCS";
const BUCKET: &str = "bundles";

#[tokio::test(flavor = "multi_thread")]
async fn google_keeps_the_contract() {
    let Some(program) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) else {
        println!("skipped: {VARIABLE} does not name a `fake-gcs-server`");
        return;
    };
    let google = Google::start(&program, BUCKET).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("account.json");
    std::fs::write(&path, google.account()).unwrap();
    let config = StoreConfig {
        url: format!("gs://{BUCKET}/policies"),
        options: [("allow_http".to_owned(), "true".to_owned())].into(),
        secret_files: [("google_service_account_key".to_owned(), path)].into(),
    };
    keeps_the_contract(&config.open().unwrap()).await;
}
