//! `aegis policy test`: runs the tests of a set.

use std::path::PathBuf;

use aegis_policy::tests_file::{self, TestResult};
use clap::Args;
use serde_json::json;

use super::{Loaded, Reading, compile, load, read_tests};
use crate::ended::Ended;
use crate::output::{Output, Tone};

#[derive(Debug, Args)]
#[command(after_help = "Example:
  aegis policy test policies/

A test, in a file that ends in `_test.yaml`:
  tests:
  - name: a large payment asks
    agent: finance-agent
    call: {tool: stripe-payments, action: create_payment, params: {amount: 50000}}
    expect: {outcome: approval_required, reasons: [ParameterOutOfRange]}

Besides: `token` (claims), `callers`, `at` (a moment); `path`, `rules` and `params` (cleaned ones) in `expect`. A set without tests fails.")]
pub(crate) struct Options {
    /// The policy folder
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

pub(super) fn run(options: &Options, output: Output) -> Ended {
    let results = match results(options, output) {
        Ok(results) => results,
        Err(problems) => {
            problems.print(output);
            return Ended::Refused;
        }
    };
    let failed = results.iter().filter(|result| !result.passed()).count();
    let place = options.path.display();
    output.result(&json!({"tests": results, "failed": failed}), || {
        let failures = results.iter().filter(|result| !result.passed());
        let mut lines: Vec<String> = failures.map(|result| describe(result, output)).collect();
        let passed = results.len() - failed;
        lines.push(match (failed, results.len()) {
            (_, 0) => format!("{place} has no tests: write some into a file that ends in `_test.yaml`"),
            (0, _) => format!("{passed} tests passed"),
            _ => format!("{failed} of {} tests failed", results.len()),
        });
        lines.join("\n")
    });
    if failed > 0 || results.is_empty() { Ended::Refused } else { Ended::Done }
}

fn results(options: &Options, output: Output) -> Reading<Vec<TestResult>> {
    let Loaded { set, tests, warnings } = load(&options.path)?;
    let prepared = compile(&options.path, &set)?;
    let tests = read_tests(&options.path, tests)?;
    warnings.print(output);
    Ok(tests_file::run(&tests, |question| prepared.inspect(question)))
}

fn describe(result: &TestResult, output: Output) -> String {
    let mut text = format!("{} {} ({})\n", output.paint("failed:", Tone::Bad), result.name, result.position);
    for failure in &result.failures {
        text.push_str(&format!("  {failure}\n"));
    }
    for reason in &result.verdict.reasons {
        text.push_str(&format!("  answered: {}: {}\n", reason.code, reason.message));
    }
    text
}
