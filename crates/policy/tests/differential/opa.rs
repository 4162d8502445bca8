//! A stock `opa`, driven over bundles as we build them.
//!
//! One process per bundle: it loads the bundle and evaluates `data.aegis.verdict` for a whole array of inputs,
//! with strict built-in errors. An input without a verdict is missing from the answer, which is noticed.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// Names the program.
pub(crate) const VARIABLE: &str = "AEGIS_OPA";

/// Every input's two verdicts, with its number, so that a missing one shows.
const QUERY: &str = "[[number, [verdict, shadow]] |
    some number, one in input
    verdict := data.aegis.verdict with input as one
    shadow := data.aegis.shadow_verdict with input as one
]";

/// What is said of one input: the enforced verdict, and the one that counts shadow parts.
pub(crate) type Verdicts = Result<[Value; 2], String>;

/// The program, if the environment names one.
pub(crate) fn program() -> Option<PathBuf> {
    std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// The verdicts of `inputs` under the bundle, or what went wrong with an input.
pub(crate) fn verdicts(program: &Path, bundle: &[u8], inputs: &[Value]) -> anyhow::Result<Vec<Verdicts>> {
    let folder = tempfile::tempdir().context("a folder for the bundle")?;
    let path = folder.path().join("bundle.tar.gz");
    std::fs::write(&path, bundle).context("writing the bundle")?;
    match evaluate(program, &path, inputs) {
        Ok(found) => {
            Ok(found.into_iter().map(|one| one.ok_or_else(|| "opa gives no verdict".to_owned())).collect())
        }
        // One failing input ends the whole evaluation: ask again, one by one.
        Err(_) => Ok(inputs
            .iter()
            .map(|input| match evaluate(program, &path, std::slice::from_ref(input)) {
                Ok(mut found) => found.remove(0).ok_or_else(|| "opa gives no verdict".to_owned()),
                Err(error) => Err(format!("{error:#}")),
            })
            .collect()),
    }
}

fn evaluate(program: &Path, bundle: &Path, inputs: &[Value]) -> anyhow::Result<Vec<Option<[Value; 2]>>> {
    let mut child = Command::new(program)
        .args(["eval", "--format=json", "--strict-builtin-errors", "--stdin-input", "--bundle"])
        .arg(bundle)
        .arg(QUERY)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("starting `{}`, which {VARIABLE} names", program.display()))?;
    let text = serde_json::to_vec(inputs)?;
    let mut stdin = child.stdin.take().context("opa has a standard input")?;
    // opa reads all of its input before it writes.
    stdin.write_all(&text).context("writing the inputs")?;
    drop(stdin);
    let output = child.wait_with_output()?;
    let answer: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("opa says: {}", String::from_utf8_lossy(&output.stderr)))?;
    if let Some(errors) = answer.get("errors") {
        bail!("opa says: {errors}");
    }
    ensure!(output.status.success(), "opa ends with {}", output.status);
    let pairs =
        answer["result"][0]["expressions"][0]["value"].as_array().context("opa answers with an array")?;
    let mut found = vec![None; inputs.len()];
    for pair in pairs {
        let number = pair[0].as_u64().and_then(|number| usize::try_from(number).ok()).context("a number")?;
        *found.get_mut(number).context("the number of an input")? =
            Some([pair[1][0].clone(), pair[1][1].clone()]);
    }
    Ok(found)
}
