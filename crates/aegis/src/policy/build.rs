//! `aegis policy build`: an OPA bundle from a set.

use std::path::PathBuf;

use aegis_policy::bundle::{self, Bundle};
use anyhow::Context;
use clap::Args;
use serde_json::json;

use super::{Loaded, Reading, compile, load};
use crate::ended::Ended;
use crate::output::Output;
use crate::problems::Problems;
use crate::state;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis policy build policies/ -o bundle.tar.gz && opa eval -b bundle.tar.gz -I data.aegis.verdict <input.json")]
pub(crate) struct Options {
    /// The policy folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// Where the bundle is written; an older file is replaced
    #[arg(short = 'o', long = "bundle", env = "AEGIS_BUNDLE", value_name = "FILE")]
    bundle: PathBuf,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let bundle = match built(options, output) {
        Ok(bundle) => bundle,
        Err(problems) => {
            problems.print(output);
            return Ok(Ended::Refused);
        }
    };
    let file = options.bundle.display();
    state::write_whole(&options.bundle, &bundle.bytes, state::Readers::All)
        .with_context(|| format!("writing `{file}`"))?;
    let bytes = bundle.bytes.len();
    let told =
        json!({"file": options.bundle, "bytes": bytes, "digest": bundle.digest, "revision": bundle.revision});
    output.result(&told, || format!("{file}: {bytes} bytes, {}", bundle.digest));
    Ok(Ended::Done)
}

fn built(options: &Options, output: Output) -> Reading<Bundle> {
    let Loaded { set, warnings, .. } = load(&options.path)?;
    // A bundle that this build could not evaluate itself is not worth shipping.
    compile(&options.path, &set)?;
    warnings.print(output);
    bundle::build(&set).map_err(|diagnostics| Problems::found(&options.path, &set.files, diagnostics, 0))
}
