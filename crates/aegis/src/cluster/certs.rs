//! `aegis cluster certs`: certificates for a cluster, from an authority for development.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Duration;

use aegis_controlplane::keys::ClusterKey;
use aegis_model::clock::Clock;
use aegis_model::ids::{ClusterId, TenantId};
use anyhow::Context;
use clap::Args;
use serde_json::json;

use crate::authority::{Authority, Role, Subject, files};
use crate::ended::{Ended, WrongUse};
use crate::output::Output;
use crate::state::{Readers, write_whole};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis cluster certs --dir certs --cluster demo --control control-1,control-2,control-3 --data data-1,data-2
  aegis cluster certs --dir certs --cluster demo --data data-4 --hosts data-4.example.com,10.0.0.14

Makes an authority in DIR, unless one is there, and a certificate and a key for every node; the same command again
exchanges them, and running nodes take the new ones over by themselves. Also makes a cluster key, unless one is there.

For development and tests: the authority's private key lies beside what it signs. In production let your own
authority issue certificates for the same names: `control.CLUSTER` and `NODE.control.CLUSTER` for a control node,
`data.CLUSTER` and `NODE.data.CLUSTER` for a data node, each with its host names (a sidecar's: docs/operations.md).")]
pub(crate) struct Options {
    /// Where the files are; made if it is not there
    #[arg(long, env = "AEGIS_CERTS_DIR", value_name = "DIR")]
    dir: PathBuf,
    /// The cluster's name, which stands in every certificate
    #[arg(long, env = "AEGIS_CLUSTER", value_name = "NAME")]
    cluster: ClusterId,
    /// Control nodes, by name
    #[arg(long, env = "AEGIS_CONTROL_NODES", value_delimiter = ',', value_name = "NAMES")]
    control: Vec<String>,
    /// Data nodes, by name
    #[arg(long, env = "AEGIS_DATA_NODES", value_delimiter = ',', value_name = "NAMES")]
    data: Vec<String>,
    /// Data nodes that serve one tenant only
    #[arg(long, env = "AEGIS_SIDECARS", value_delimiter = ',', value_parser = sidecar, value_name = "NODE=TENANT")]
    sidecar: Vec<(String, TenantId)>,
    /// Hosts at which these nodes are reached, beside their own names
    #[arg(
        long,
        env = "AEGIS_HOSTS",
        value_delimiter = ',',
        default_value = "localhost,127.0.0.1",
        value_name = "HOSTS"
    )]
    hosts: Vec<String>,
    /// How many days the certificates of nodes count
    #[arg(long, env = "AEGIS_CERTS_DAYS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=397), value_name = "DAYS")]
    days: u32,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let subjects = subjects(options)?;
    let dir = &options.dir;
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.with_context(|| format!("making the folder `{}`", dir.display()))?;
    let now = Clock::System.now();
    let authority = Authority::open(dir, &options.cluster, now)?;
    let life = Duration::from_secs(u64::from(options.days) * 24 * 3_600);
    let mut nodes = Vec::new();
    for subject in &subjects {
        authority.issue(subject, life, now)?.write(dir, &subject.name)?;
        let (certificate, key) = files(dir, &subject.name);
        nodes.push(json!({"name": subject.name, "role": subject.role.as_str(), "certificate": certificate, "key": key}));
    }
    let cluster_key = dir.join("cluster.key");
    if !cluster_key.exists() {
        let text = ClusterKey::generate(&mut rand::rng()).to_text();
        write_whole(&cluster_key, text.expose().as_bytes(), Readers::Owner)
            .with_context(|| format!("writing `{}`", cluster_key.display()))?;
    }
    let told = json!({
        "dir": dir, "cluster": options.cluster, "authority": dir.join("ca.pem"), "cluster_key": cluster_key,
        "days": options.days, "nodes": nodes,
    });
    output.result(&told, || {
        let names: Vec<&str> = subjects.iter().map(|subject| subject.name.as_str()).collect();
        format!(
            "{}: certificates for {} ({} days), from an authority for development: not for production",
            dir.display(),
            names.join(", "),
            options.days
        )
    });
    Ok(Ended::Done)
}

fn subjects(options: &Options) -> Result<Vec<Subject>, WrongUse> {
    let all = |names: &[String], role: &Role| -> Vec<Subject> {
        names.iter().map(|name| subject(name, role.clone(), &options.hosts)).collect()
    };
    let mut subjects = [all(&options.control, &Role::Control), all(&options.data, &Role::Data)].concat();
    for (name, tenant) in &options.sidecar {
        subjects.push(subject(name, Role::Sidecar(tenant.clone()), &options.hosts));
    }
    if subjects.is_empty() {
        return Err(WrongUse("no node is named: give `--control`, `--data` or `--sidecar`".to_owned()));
    }
    if let Some(bad) = subjects.iter().find(|subject| !is_label(&subject.name)) {
        let name = &bad.name;
        return Err(WrongUse(format!(
            "`{name}` is no node name: lower-case letters, digits and `-`, up to 32"
        )));
    }
    let mut names: Vec<&str> = subjects.iter().map(|subject| subject.name.as_str()).collect();
    names.push("ca");
    names.sort_unstable();
    match names.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(twice) => Err(WrongUse(format!("the name `{}` is taken twice", twice[0]))),
        None => Ok(subjects),
    }
}

fn subject(name: &str, role: Role, hosts: &[String]) -> Subject {
    let hosts = std::iter::once(name.to_owned()).chain(hosts.iter().cloned()).collect();
    Subject { name: name.to_owned(), role, hosts }
}

/// `side-1=acme`: a node and its tenant.
fn sidecar(text: &str) -> Result<(String, TenantId), String> {
    let (node, tenant) = text.split_once('=').ok_or_else(|| "write `NODE=TENANT`".to_owned())?;
    Ok((node.to_owned(), tenant.parse().map_err(|bad: aegis_model::ids::BadName| bad.to_string())?))
}

/// Whether `name` can stand in a certificate as a node.
fn is_label(name: &str) -> bool {
    let fits = (1..=aegis_model::caps::NODE_NAME_BYTES_MAX).contains(&name.len());
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    fits && plain && !name.starts_with('-') && !name.ends_with('-')
}
