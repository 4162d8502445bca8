//! `aegis audit fetch`: logs from the object store that data nodes copy them to, in the layout of a node's own folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aegis_audit::journal::SystemDisk;
use aegis_controlplane::store::StoreConfig;
use aegis_dataplane::archive::Fetched;
use anyhow::{Context, bail};
use clap::Args;
use serde_json::json;

use crate::data;
use crate::ended::{Ended, WrongUse};
use crate::output::Output;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis audit fetch s3://evidence/prod --to downloaded
  aegis audit fetch s3://evidence/prod --log prod.example/data-1/7 --option aws_region=eu-central-1 --to downloaded
  aegis audit verify downloaded/prod.example/data-1 --key log-keys.txt --checkpoint newest.txt

STORE is the `url` of `[audit.store]` of the data nodes. Credentials are taken from the environment as the providers' own tools do
(`AWS_ACCESS_KEY_ID`, `GOOGLE_SERVICE_ACCOUNT`, …), or from files named with `--secret-file`.

Each log gets the folder CLUSTER/NODE/LIFE below the target, and is what its node had sealed when it last put a checkpoint. Nothing is
verified here. Ends with 1 if the store has no such log.")]
pub(crate) struct Options {
    /// `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX` or `file:///FOLDER`
    #[arg(env = "AEGIS_AUDIT_STORE", value_name = "STORE")]
    store: String,
    /// Only this log, by its whole name CLUSTER/NODE/LIFE; repeat for more. Absent: all
    #[arg(long, env = "AEGIS_AUDIT_LOG", value_name = "LOG", value_delimiter = ',')]
    log: Vec<String>,
    /// Where to; each log's own folder is made, and must not be there
    #[arg(long, env = "AEGIS_AUDIT_TO", value_name = "FOLDER")]
    to: PathBuf,
    /// A setting of the provider, as in `[audit.store.options]`
    #[arg(long, env = "AEGIS_AUDIT_STORE_OPTIONS", value_name = "NAME=VALUE", value_delimiter = ',')]
    option: Vec<String>,
    /// A secret setting of the provider: the file that holds it
    #[arg(long, env = "AEGIS_AUDIT_STORE_SECRET_FILES", value_name = "NAME=FILE", value_delimiter = ',')]
    secret_file: Vec<String>,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let files = pairs(&options.secret_file, "--secret-file")?;
    let store = StoreConfig {
        url: options.store.clone(),
        options: pairs(&options.option, "--option")?,
        secret_files: files.into_iter().map(|(name, file)| (name, PathBuf::from(file))).collect(),
    };
    // A folder that is not there would be made.
    if let Some(folder) = options.store.strip_prefix("file://")
        && !Path::new(folder).is_dir()
    {
        bail!("`{folder}` is no folder");
    }
    let archive = data::archive(&store)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting")?;
    let fetched: Vec<Fetched> = runtime.block_on(async {
        let there = archive.logs().await?;
        let wanted: Vec<String> = if options.log.is_empty() { there.clone() } else { options.log.clone() };
        if let Some(missing) = wanted.iter().find(|log| !there.contains(log)) {
            bail!("the store has no log `{missing}`");
        }
        let mut fetched = Vec::new();
        for log in wanted {
            output.progress(format_args!("downloading {log} …"));
            let folder = options.to.join(&log);
            let one = archive.fetch(&log, &SystemDisk, &folder).await;
            fetched.push(one.with_context(|| format!("downloading {log} to `{}`", folder.display()))?);
        }
        Ok(fetched)
    })?;
    let logs: Vec<_> = fetched
        .iter()
        .map(|it| json!({"log": it.log, "size": it.size, "files": it.files, "bytes": it.bytes}))
        .collect();
    output.result(&json!({"to": options.to, "logs": logs}), || {
        if fetched.is_empty() {
            return "the store has no audit logs".to_owned();
        }
        let line = |it: &Fetched| format!("{}: {} entries in {} files", it.log, it.size, it.files);
        fetched.iter().map(line).collect::<Vec<_>>().join("\n")
    });
    Ok(if fetched.is_empty() { Ended::Refused } else { Ended::Done })
}

/// Settings of the form NAME=VALUE.
fn pairs(given: &[String], option: &str) -> anyhow::Result<BTreeMap<String, String>> {
    let pair = |text: &String| match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(WrongUse(format!("`{option}` has the form NAME=VALUE")).into()),
    };
    given.iter().map(pair).collect()
}
