//! A data node as its users run it: a configuration file, a policy folder, a trusted key, tokens from the command line.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use std::sync::Arc;

use aegis_identity::keys::SigningKey;
use anyhow::Context;
use serde::Deserialize;

use super::{Server, output_of, quiet};
use crate::calls::{AGENT, ORG, POLICY, SCOPE, TENANT};

/// Who signs the tokens.
const ISSUER: &str = "aegis-loadtest";

/// A running data node.
#[derive(Debug)]
pub struct Aegis {
    server: Server,
    program: PathBuf,
    key: PathBuf,
    /// Where it serves gRPC.
    pub grpc: SocketAddr,
    /// Where it serves HTTP.
    pub http: SocketAddr,
}

/// What it prints when it is ready.
#[derive(Deserialize)]
struct Ready {
    http: SocketAddr,
    grpc: SocketAddr,
}

impl Aegis {
    /// Starts `program data` with the typical policy; everything it needs is written to `folder`.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(program: &Path, folder: &Path) -> anyhow::Result<Self> {
        write_policies(folder)?;
        let key = write_keys(folder)?;
        let config = folder.join("data.toml");
        std::fs::write(&config, CONFIG).with_context(|| format!("writing `{}`", config.display()))?;

        let mut command = quiet(program);
        command.args(["data", "--log", "warn", "--output", "json", "--config"]).arg(&config);
        let mut server = Server::start("aegis", &mut command)
            .with_context(|| format!("is `{}` built? `cargo build --release -p aegis`", program.display()))?;
        let line = server.ready("\"ready\"")?;
        let Ready { http, grpc } =
            serde_json::from_str(&line).with_context(|| format!("the node said `{line}`"))?;
        Ok(Self { server, program: program.to_path_buf(), key, grpc, http })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.server.id()
    }

    /// A fresh token for the typical agent.
    ///
    /// # Errors
    /// The command fails.
    pub fn mint(&self) -> anyhow::Result<Arc<str>> {
        let mut command = quiet(&self.program);
        command.args(["token", "mint", "--issuer", ISSUER, "--key-file"]).arg(&self.key);
        command.args(["--org", ORG, "--tenant", TENANT, "--agent", AGENT, "--scope", SCOPE]);
        Ok(output_of(&mut command)?.trim().into())
    }

    /// The bundle of the typical policy, for a stock OPA.
    ///
    /// # Errors
    /// The command fails.
    pub fn build_bundle(program: &Path, folder: &Path) -> anyhow::Result<PathBuf> {
        let bundle = folder.join("bundle.tar.gz");
        let policies = write_policies(folder)?;
        output_of(quiet(program).args(["policy", "build"]).arg(policies).arg("-o").arg(&bundle))?;
        Ok(bundle)
    }

    pub(crate) fn into_server(self) -> Server {
        self.server
    }
}

/// Paths are relative to the file; the kernel gives the ports.
const CONFIG: &str = r#"node = "loadtest"
data_dir = "state"

[listen]
http = "127.0.0.1:0"
grpc = "127.0.0.1:0"
metrics = "127.0.0.1:0"

[[trust]]
issuer = "aegis-loadtest"
key = "issuer.pub.pem"

[[tenants]]
name = "loadtest"
policies = "policies"
"#;

fn write_policies(folder: &Path) -> anyhow::Result<PathBuf> {
    let policies = folder.join("policies");
    std::fs::create_dir_all(&policies).with_context(|| format!("making `{}`", policies.display()))?;
    std::fs::write(policies.join("typical.yaml"), POLICY).context("writing the policy")?;
    Ok(policies)
}

/// Makes a key pair and gives the private key's path.
fn write_keys(folder: &Path) -> anyhow::Result<PathBuf> {
    let key = SigningKey::generate(&mut rand::rng());
    std::fs::write(folder.join("issuer.pub.pem"), key.verifying_key().to_public_key_pem())
        .context("writing the public key")?;
    let path = folder.join("issuer.pem");
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(&path);
    let written = file.and_then(|mut file| file.write_all(key.to_pkcs8_pem().expose().as_bytes()));
    written.with_context(|| format!("writing `{}`", path.display()))?;
    Ok(path)
}
