//! `cargo xtask`: the command line of the project's own checks, code generation and measurements.

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use xtask::bar::{registry, report, run};
use xtask::{cluster, tidy, tree};

/// The project's own checks, code generation and measurements.
#[derive(Parser)]
#[command(
    name = "cargo xtask",
    after_help = "Examples:\n  cargo xtask tidy\n  cargo xtask verify\n  \
    cargo xtask fix\n  cargo xtask bar            list the bars\n  cargo xtask bar NAME       run one\n  cargo xtask cluster up     a cluster on this machine"
)]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Run every check that reads only: tidy, formatting, clippy. What CI asks, without the tests.
    #[command(after_help = "Example:\n  cargo xtask verify && git push")]
    Verify,
    /// Run only the tidy checks: arrows, manifests, module docs, error pages, invariants, links, …
    #[command(after_help = "Examples:\n  cargo xtask tidy\n  cargo xtask tidy --output json")]
    Tidy {
        /// How to print the result.
        #[arg(long, value_enum, default_value_t = Form::Text)]
        output: Form,
    },
    /// Write what a machine can write: format all code, generate the protobuf code anew.
    #[command(after_help = "Example:\n  cargo xtask fix && git diff")]
    Fix,
    /// Write only the generated protobuf code: what `fix` does, without formatting.
    #[command(after_help = "Example:\n  cargo xtask gen && git diff crates/proto/src/gen")]
    Gen,
    /// Run a measurement and write `docs/measurements/NAME.md` and `.json`; without a name, list them.
    #[command(after_help = "Examples:\n  cargo xtask bar\n  cargo xtask bar evaluate")]
    Bar {
        /// The bar's name.
        name: Option<String>,
    },
    /// Run three control nodes and three data nodes as processes of this machine.
    #[command(
        after_help = "Examples:\n  cargo xtask cluster up\n  cargo xtask cluster status\n  cargo xtask cluster down"
    )]
    Cluster {
        /// What to do with it.
        #[arg(value_enum)]
        step: Step,
        /// Where its files are; removed, the next cluster begins anew.
        #[arg(long, default_value = "target/cluster")]
        dir: PathBuf,
        /// The `aegis` to run; otherwise one is built.
        #[arg(long)]
        program: Option<PathBuf>,
        /// Build with optimization.
        #[arg(long)]
        release: bool,
    },
}

/// What to do with the local cluster.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Start it, and give it work.
    Up,
    /// End its processes; the files stay.
    Down,
    /// Say how it is.
    Status,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// One line per finding.
    Text,
    /// One JSON object per line: each finding, then the time taken as a figure.
    Json,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let root = tree::root();
    let done = match arguments.command {
        Task::Verify => verify(&root),
        Task::Tidy { output } => run_tidy(&root, output),
        Task::Fix => fix(&root),
        Task::Gen => generate(&root),
        Task::Bar { name: None } => list_bars(),
        Task::Bar { name: Some(name) } => run_bar(&root, &name),
        Task::Cluster { step, dir, program, release } => run_cluster(&root, step, &dir, program, release),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            complain(&format!("error: {error:#}"));
            ExitCode::from(1)
        }
    }
}

fn verify(root: &Path) -> anyhow::Result<bool> {
    // All three run even if one complains: a contributor wants to see everything at once.
    let tidy = run_tidy(root, Form::Text)?;
    let formatted = cargo(root, &[], &["fmt", "--all", "--check"])?;
    let lints = ["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    Ok(cargo(root, &[], &lints)? & formatted & tidy)
}

fn run_tidy(root: &Path, form: Form) -> anyhow::Result<bool> {
    #[expect(clippy::disallowed_methods, reason = "the time taken is printed, nothing decides on it")]
    let started = Instant::now();
    let outcomes = tidy::all(root)?;
    let mut problems = 0;
    for outcome in &outcomes {
        problems += outcome.findings.len();
        for finding in &outcome.findings {
            let row = serde_json::json!({
                "check": outcome.check, "place": finding.place, "problem": finding.problem,
            });
            say(&if form == Form::Json { row.to_string() } else { format!("{}: {finding}", outcome.check) });
        }
    }
    let took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    say(&match form {
        Form::Json => serde_json::json!({"name": "tidy", "value": took_ms, "unit": "ms"}).to_string(),
        Form::Text => format!("tidy: {} checks, {problems} findings, {took_ms} ms", outcomes.len()),
    });
    Ok(problems == 0)
}

fn fix(root: &Path) -> anyhow::Result<bool> {
    Ok(cargo(root, &[], &["fmt", "--all"])? & generate(root)?)
}

fn generate(root: &Path) -> anyhow::Result<bool> {
    let test = ["test", "--package", "aegis-proto", "--test", "generated"];
    cargo(root, &[("AEGIS_GENERATE", "write")], &test)
}

fn list_bars() -> anyhow::Result<bool> {
    for bar in registry::BARS {
        say(&format!("{:<20} {}", bar.name, bar.question));
    }
    Ok(true)
}

fn run_bar(root: &Path, name: &str) -> anyhow::Result<bool> {
    let names = || registry::BARS.iter().map(|bar| bar.name).collect::<Vec<_>>().join(", ");
    let bar =
        registry::find(name).with_context(|| format!("no bar is named `{name}`; there are: {}", names()))?;
    let measured = run::run(bar, root)?;
    let path = report::write(&measured, &root.join("docs/measurements"))?;
    say(&report::markdown(&measured));
    say(&format!("written to {}", path.strip_prefix(root).unwrap_or(&path).display()));
    Ok(measured.goals.iter().all(|goal| goal.met))
}

fn run_cluster(
    root: &Path,
    step: Step,
    dir: &Path,
    program: Option<PathBuf>,
    release: bool,
) -> anyhow::Result<bool> {
    let dir = root.join(dir);
    if step == Step::Down {
        cluster::down(&dir, &say)?;
        return Ok(true);
    }
    let program = match program {
        Some(program) => program,
        None => {
            let profile = if release { "release" } else { "dev" };
            if !cargo(root, &[], &["build", "--package", "aegis", "--locked", "--profile", profile])? {
                return Ok(false);
            }
            let target =
                std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
            target.join(if release { "release" } else { "debug" }).join("aegis")
        }
    };
    match step {
        Step::Up => cluster::up(root, &dir, &program, &say)?,
        Step::Status => cluster::status(&dir, &program, &say)?,
        Step::Down => {}
    }
    Ok(true)
}

/// Runs cargo where the user sees its output; whether it succeeded.
fn cargo(root: &Path, variables: &[(&str, &str)], arguments: &[&str]) -> anyhow::Result<bool> {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(program)
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(root)
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("starting `cargo {}`", arguments.join(" ")))?;
    Ok(status.success())
}

#[expect(clippy::print_stdout, reason = "the one place where this program answers")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "the one place where this program complains")]
fn complain(line: &str) {
    eprintln!("{line}");
}
