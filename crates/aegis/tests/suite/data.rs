//! `aegis data`: a node from static files, with TLS, several tenants, and policies read again on SIGHUP.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aegis_identity::keys::SigningKey;
use aegis_testkit::{TestProcess, root};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{LONG, aegis, finish, run, text_below, wait_for_error_line};

/// A folder with everything that `examples/managed-security/aegis.toml` names, and more if asked for.
struct Site {
    folder: TempDir,
    config: PathBuf,
    tls: bool,
}

impl Site {
    fn new(tls: bool) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let example = root().join("examples/managed-security");
        for tenant in ["acme-bank", "globex-health"] {
            fs::create_dir(at(tenant)).expect("a folder");
            for file in fs::read_dir(example.join(tenant))
                .expect("the example")
                .map(|file| file.expect("a file").path())
            {
                fs::copy(&file, at(tenant).join(file.file_name().expect("a name"))).expect("a copy");
            }
        }
        let key = SigningKey::generate(&mut rand::rng());
        fs::write(at("issuer.pub.pem"), key.verifying_key().to_public_key_pem()).expect("a file");
        fs::write(at("issuer.pem"), key.to_pkcs8_pem().expose()).expect("a file");
        fs::set_permissions(at("issuer.pem"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .expect("its mode");
        // Ports come from the kernel here.
        let mut text = fs::read_to_string(example.join("aegis.toml")).expect("the example");
        for port in ["7080", "7081", "7090"] {
            text = text.replace(&format!("127.0.0.1:{port}"), "127.0.0.1:0");
        }
        if tls {
            let certificate =
                rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate");
            fs::write(at("node.pem"), certificate.cert.pem()).expect("a file");
            fs::write(at("node-key.pem"), certificate.signing_key.serialize_pem()).expect("a file");
            text.push_str("\n[tls]\ncertificate = \"node.pem\"\nkey = \"node-key.pem\"\n");
        }
        let config = at("aegis.toml");
        fs::write(&config, text).expect("a file");
        Self { folder, config, tls }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self) -> Command {
        let mut command = aegis();
        command.args(["data", "--output", "json", "--config"]).arg(&self.config);
        command
    }

    fn start(&self) -> Running<'_> {
        let mut process = TestProcess::start(&mut self.command()).expect("it starts");
        let line = process.wait_for("\"ready\"", LONG).expect("it is ready");
        let ready: Value = serde_json::from_str(&line).expect("JSON");
        let grpc = ready["grpc"].as_str().expect("an address").to_owned();
        Running { site: self, process, grpc }
    }
}

struct Running<'s> {
    site: &'s Site,
    process: TestProcess,
    grpc: String,
}

impl Running<'_> {
    /// Asks as the support agent of a tenant.
    fn decide(&self, tenant: &str, request: &Path) -> Value {
        let key = self.site.path("issuer.pem");
        let mint =
            ["token", "mint", "--issuer", "https://issuer.example", "--org", tenant, "--tenant", tenant];
        let bearer = ["--agent", "support-agent", "--scope", "*:*"];
        let token = finish(aegis().args(mint).args(bearer).arg("--key-file").arg(key));
        assert_eq!(token.code, Some(0), "{token:?}");
        let mut ask = aegis();
        ask.args(["decide", "--output", "json", "--request"])
            .arg(request)
            .env("AEGIS_TOKEN", token.stdout.trim());
        if self.site.tls {
            let port = self.grpc.rsplit_once(':').expect("a port").1;
            ask.args(["--endpoint", &format!("https://localhost:{port}"), "--tls-roots"])
                .arg(self.site.path("node.pem"));
        } else {
            ask.args(["--endpoint", &format!("http://{}", self.grpc)]);
        }
        finish(&mut ask).json()
    }

    fn hang_up(&self) {
        let kill = format!("kill -HUP {}", self.process.id());
        assert!(Command::new("sh").arg("-c").arg(kill).status().expect("a shell").success());
    }

    fn stop(mut self) {
        self.process.terminate().expect("it runs");
        let status = self.process.wait_end(LONG).expect("it ends");
        assert_eq!(status.code(), Some(0), "{:?}", self.process.error_lines());
    }
}

fn request(name: &str) -> PathBuf {
    root().join("examples/requests/managed-security").join(name)
}

#[test]
fn tenants_are_judged_apart() {
    let site = Site::new(false);
    let node = site.start();
    let outcome = |tenant: &str, name: &str| node.decide(tenant, &request(name))["outcome"].clone();
    assert_eq!(outcome("acme-bank", "balance.json"), json!("allow"));
    assert_eq!(outcome("globex-health", "balance.json"), json!("deny"));
    assert_eq!(outcome("globex-health", "appointment.json"), json!("allow"));
    assert_eq!(outcome("acme-bank", "appointment.json"), json!("deny"));
    let log = text_below(&site.path("state/audit"));
    assert_eq!(log.matches("\"chain\":\"tenant/acme-bank\"").count(), 2, "{log}");
    node.stop();
}

#[test]
fn calls_travel_under_tls_where_it_is_configured() {
    let site = Site::new(true);
    let node = site.start();
    assert_eq!(node.decide("acme-bank", &request("balance.json"))["outcome"], json!("allow"));
    let port = node.grpc.rsplit_once(':').expect("a port").1;
    let plain = [
        "decide",
        "--endpoint",
        &format!("http://localhost:{port}"),
        "--token",
        "x",
        "--tool",
        "t",
        "--deadline",
        "2s",
    ];
    assert_eq!(run(&plain).code, Some(1), "nothing is said in the clear");
    node.stop();
}

#[test]
fn policies_are_read_again_on_a_hang_up_and_a_broken_one_keeps_its_version() {
    let site = Site::new(false);
    let node = site.start();
    let version = |tenant: &str, name: &str| node.decide(tenant, &request(name))["policy"]["version"].clone();
    assert_eq!(version("acme-bank", "balance.json"), json!(1));
    fs::write(site.path("acme-bank/tellers.yaml"), "agent: [").expect("a file");
    let front_desk = site.path("globex-health/front-desk.yaml");
    let text = fs::read_to_string(&front_desk).expect("a policy");
    fs::write(&front_desk, text.replace("[north, south]", "[south]")).expect("a file");
    node.hang_up();
    wait_for_error_line(&node.process, "tenant acme-bank: policy version 1 stays in force");
    wait_for_error_line(&node.process, "policies were read again");
    let denied = node.decide("globex-health", &request("appointment.json"));
    assert_eq!((&denied["outcome"], &denied["policy"]["version"]), (&json!("deny"), &json!(2)));
    let kept = node.decide("acme-bank", &request("balance.json"));
    assert_eq!((&kept["outcome"], &kept["policy"]["version"]), (&json!("allow"), &json!(1)));
    node.stop();

    // A start needs every tenant sound, and an unknown key is refused with its line.
    let broken = finish(&mut site.command());
    assert!(broken.code == Some(1) && broken.stderr.contains("tellers.yaml"), "{broken:?}");
    let text = fs::read_to_string(&site.config).expect("a configuration");
    fs::write(&site.config, format!("nodes = 1\n{text}")).expect("a file");
    let unknown = finish(&mut site.command());
    assert_eq!(unknown.code, Some(2));
    assert!(
        unknown.stderr.contains("line 1") && unknown.stderr.contains("unknown field `nodes`"),
        "{unknown:?}"
    );
}

#[test]
fn the_effective_configuration_has_every_default() {
    let site = Site::new(false);
    let ran = finish(aegis().args(["config", "show", "--config"]).arg(&site.config));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let shown: toml::Table = ran.stdout.parse().expect("TOML");
    assert_eq!(shown["body_bytes_max"].as_integer(), Some(1 << 20));
    assert!(shown["audit_dir"].as_str().expect("a path").ends_with("/state/audit"));
}

#[test]
fn limits_are_refused_by_name_where_nobody_lends_them() {
    let site = Site::new(false);
    let policy = root().join("examples/api-spend/api-spend.yaml");
    fs::copy(policy, site.path("acme-bank").join("api-spend.yaml")).expect("a copy");
    let ran = finish(&mut site.command());
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for field in ["rps_limit", "burst", "daily_budget", "cost", "timezone"] {
        assert!(ran.stderr.contains(&format!("`{field}` needs a control plane")), "{field}: {}", ran.stderr);
    }
    assert!(ran.stderr.contains("api-spend.yaml:3:1"), "{}", ran.stderr);
}
