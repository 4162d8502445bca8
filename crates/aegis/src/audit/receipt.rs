//! `aegis audit receipt`: whether a log signed a receipt, and whether the record it speaks of is really there. Needs no network.

use std::io::Read;
use std::path::{Path, PathBuf};

use aegis_model::caps;
use aegis_proto::http_json;
use aegis_sdk::{InclusionProof, Receipt, verify_receipt};
use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use super::logs::Trusted;
use crate::ended::{Ended, WrongUse};
use crate::output::{Output, Tone};
use crate::state::read_bounded;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  aegis audit control verify evidence/ --key \"$CONTROL_LOG_KEY\" --write-keys log-keys.txt
  aegis audit receipt answer.json --key log-keys.txt
  aegis audit prove data-1/audit/7 --index 41 --output json > proof.json
  aegis audit receipt answer.json --key log-keys.txt --proof proof.json

FILE holds a receipt, or a whole answer of `/v1/decide` or `/v1/complete`, or of `aegis decide --output json`. A signature proves that the
node said so at that time; a proof, from `aegis audit prove` or `POST /v1/proof`, that its log really holds the record. A receipt that is
not signed needs a proof. Keys must come from somewhere else than the node.

Ends with 0 if everything that is there holds, with 1 if anything does not.")]
pub(crate) struct Options {
    /// The receipt, or `-` for standard input
    #[arg(env = "AEGIS_AUDIT_RECEIPT", value_name = "FILE")]
    receipt: PathBuf,
    /// A file of verifier keys (`NAME+ID+KEY`), one a line, from somewhere you trust
    #[arg(long, env = "AEGIS_AUDIT_KEY", value_name = "FILE", value_delimiter = ',', required = true)]
    key: Vec<PathBuf>,
    /// The proof that the record is in the log
    #[arg(long, env = "AEGIS_AUDIT_PROOF", value_name = "FILE")]
    proof: Option<PathBuf>,
}

pub(super) fn run(options: &Options, output: Output) -> anyhow::Result<Ended> {
    let trusted = Trusted::read(&options.key, &[])?;
    let receipt = read(&options.receipt)?;
    let proof = options.proof.as_deref().map(bytes).transpose()?;
    let place = format!("record {} of {}", receipt.index, receipt.log);
    let told = match judge(&receipt, &trusted, proof.as_deref()) {
        Ok(told) => told,
        Err(problem) => {
            let told = json!({"ok": false, "log": receipt.log, "index": receipt.index, "problem": problem});
            output.result(&told, || format!("{place}: {}: {problem}", output.paint("BAD", Tone::Bad)));
            return Ok(Ended::Refused);
        }
    };
    output.result(&told, || {
        let signed = match told["signed_at"].as_str() {
            Some(at) => format!("by the log's key at {at}"),
            None => "no: the receipt only says where to look".to_owned(),
        };
        let included = match told["size"].as_u64() {
            Some(size) => format!("proved: among the first {size} entries of the log"),
            None => "not looked at: give a proof with `--proof`".to_owned(),
        };
        format!(
            "{place}: {}\n  signed    {signed}\n  included  {included}",
            output.paint("sound", Tone::Good)
        )
    });
    Ok(Ended::Done)
}

/// What holds, or the first thing that does not.
fn judge(receipt: &Receipt, trusted: &Trusted, proof: Option<&[u8]>) -> Result<Value, String> {
    let key = trusted.key(&receipt.log).ok_or("no key was given for a log of this name")?;
    let signed = !receipt.signature.is_empty();
    if signed || proof.is_none() {
        verify_receipt(receipt, key).map_err(|bad| bad.to_string())?;
    }
    let proved = |proof: &[u8]| InclusionProof::from_json(proof)?.verify(receipt, key);
    let size = proof.map(proved).transpose().map_err(|bad| bad.to_string())?;
    Ok(json!({
        "ok": true, "log": receipt.log, "index": receipt.index, "leaf": receipt.leaf,
        "signed_at": signed.then_some(&receipt.time), "size": size,
    }))
}

fn read(path: &Path) -> anyhow::Result<Receipt> {
    let wrong = |why: String| WrongUse(format!("`{}` holds no receipt: {why}", path.display()));
    let value: Value = serde_json::from_slice(&bytes(path)?).map_err(|bad| wrong(bad.to_string()))?;
    let receipt = if value["receipt"].is_object() { &value["receipt"] } else { &value };
    let read =
        http_json::read_receipt(receipt.to_string().as_bytes()).map_err(|bad| wrong(bad.sentence()))?;
    Ok(Receipt {
        log: read.log.as_ref().to_owned(),
        index: read.index,
        leaf: read.leaf,
        time: read.time.unwrap_or_default(),
        signature: read.signature.unwrap_or_default(),
    })
}

fn bytes(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = if path == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().take(caps::BODY_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map(|_| bytes)
    } else {
        read_bounded(path, caps::BODY_BYTES_MAX)
    };
    bytes.with_context(|| format!("reading `{}`", path.display()))
}
