//! What the load generator can be asked, and what it prints.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aegis_loadtest::bounds;
use aegis_loadtest::calls::Calls;
use aegis_loadtest::compare::{self, Findings, Settings};
use aegis_loadtest::echo;
use aegis_loadtest::report::{Report, svg, text};
use aegis_loadtest::servers::LISTENING;
use aegis_loadtest::target::Target;
use anyhow::Context;
use clap::{Args, Parser, Subcommand, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};

/// An open-loop load generator for the decision point, and the peers it is compared with.
///
/// Calls are made at a constant rate, whatever the server does, and their latency counts from the moment they were
/// due. The servers are started as child processes on loopback ports, and their CPU time per call is measured.
#[derive(Parser)]
#[command(name = "aegis-loadtest", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  cargo build --release -p aegis -p aegis-loadtest
  target/release/aegis-loadtest compare --opa /usr/local/bin/opa --svg plot.svg --json report.json
  target/release/aegis-loadtest compare --targets echo,decide --rates 1000,5000 --rounds 9
  target/release/aegis-loadtest run decide --rates 5000 --seconds 30

Exit codes: 0 done, 1 a call was not answered, or answered wrongly; 2 wrong use.";

#[derive(Subcommand)]
enum Command {
    /// Ask several targets in turn, over several rounds, and print their ratios
    #[command(after_help = "Examples:
  aegis-loadtest compare                                        whatever can be compared here
  AEGIS_OPA=/usr/local/bin/opa aegis-loadtest compare --svg plot.svg
  aegis-loadtest compare --targets echo,decide,decide-id --rates 2000 --no-full-load
  aegis-loadtest compare --targets fed,limited --rates 4000 --no-full-load     what limits cost")]
    Compare {
        /// What is asked [default: all but `decide-id`, `fed` and `limited`; `opa` and `unrecorded` only where one is
        /// named]
        #[arg(long, value_enum, value_delimiter = ',', value_name = "NAMES")]
        targets: Option<Vec<Target>>,
        /// How often each target has its turn
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=i64::from(bounds::ROUNDS_MAX)))]
        rounds: u32,
        #[command(flatten)]
        load: LoadOptions,
        #[command(flatten)]
        programs: Programs,
        #[command(flatten)]
        results: Results,
    },
    /// Ask one target
    #[command(after_help = "Examples:
  aegis-loadtest run decide --rates 5000 --seconds 30
  aegis-loadtest run stream --rates 20000 --no-full-load")]
    Run {
        /// What is asked
        #[arg(value_enum)]
        target: Target,
        #[command(flatten)]
        load: LoadOptions,
        #[command(flatten)]
        programs: Programs,
        #[command(flatten)]
        results: Results,
    },
    /// Serve the echo until told to stop: what the stack costs when nobody judges anything
    #[command(after_help = "Example:
  aegis-loadtest echo-server --listen 127.0.0.1:7099")]
    EchoServer {
        /// Where to listen; port 0 takes a free one
        #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
        listen: SocketAddr,
        /// Decisions to answer with, as `compare` records them [default: made-up ones]
        #[arg(long, value_name = "FILE")]
        answers: Option<PathBuf>,
    },
}

#[derive(Args)]
struct LoadOptions {
    /// Calls per second, over all connections; one comparison for each
    #[arg(long, value_delimiter = ',', default_value = "2000", value_name = "NUMBERS",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(bounds::RATE_MAX)))]
    rates: Vec<u32>,
    /// Seconds that are measured in each turn
    #[arg(long, default_value_t = 8.0, value_parser = seconds)]
    seconds: f64,
    /// Seconds before that, which are not
    #[arg(long, default_value_t = 2.0, value_parser = seconds)]
    warm_up: f64,
    /// Connections to the server
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=bounds::CONNECTIONS_MAX as i64))]
    connections: u16,
    /// Calls on their way per connection when the capacity is looked for
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..=bounds::IN_FLIGHT_MAX as i64))]
    in_flight: u16,
    /// Do not look for the capacity first: how many calls a server answers when it is asked without pause. A target
    /// is not asked at a rate above four fifths of that
    #[arg(long)]
    no_full_load: bool,
}

#[derive(Args)]
struct Programs {
    /// The program `aegis` [default: the one beside this program]
    #[arg(long, env = "AEGIS_PROGRAM", value_name = "FILE")]
    aegis: Option<PathBuf>,
    /// The program `opa`
    #[arg(long, env = "AEGIS_OPA", value_name = "FILE")]
    opa: Option<PathBuf>,
    /// A program `aegis` that records nothing: built with `RUSTFLAGS="--cfg aegis_unrecorded"`
    #[arg(long, env = "AEGIS_UNRECORDED", value_name = "FILE")]
    unrecorded: Option<PathBuf>,
}

#[derive(Args)]
struct Results {
    /// How the result is printed
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// Also write the whole report there, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write a plot there
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    #[default]
    Text,
    /// The whole report as one JSON document
    Json,
    /// One JSON object per figure, as `cargo xtask bar` reads them
    Figures,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "write a number of seconds, such as 8 or 0.5".to_owned())?;
    match (0.0..=bounds::SECONDS_MAX).contains(&seconds) {
        true => Ok(seconds),
        false => Err(format!("between 0 and {} seconds", bounds::SECONDS_MAX)),
    }
}

/// Does what was asked; whether every call was answered as it should be.
pub(crate) fn run(arguments: Arguments) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting")?;
    let done = runtime.block_on(async {
        match arguments.command {
            Command::Compare { targets, rounds, load, programs, results } => {
                let targets = targets.unwrap_or_else(|| usual_targets(&programs));
                measure(settings(targets, rounds, load, programs)?, &results).await
            }
            Command::Run { target, load, programs, results } => {
                measure(settings(vec![target], 1, load, programs)?, &results).await
            }
            Command::EchoServer { listen, answers } => {
                serve_echo(listen, answers.as_deref()).await.map(|()| true)
            }
        }
    });
    // The pacing thread may still be on its way to notice that nobody listens any more.
    runtime.shutdown_background();
    done
}

/// A node remembers so many `request_id`s a minute and then refuses calls that carry one, and a comparison at full load
/// asks more than that: whoever wants `decide-id` chooses the rates for it.
fn usual_targets(programs: &Programs) -> Vec<Target> {
    let usual = |target: &Target| match target {
        Target::DecideId | Target::Fed | Target::Limited => false,
        Target::Opa => programs.opa.is_some(),
        Target::Unrecorded => programs.unrecorded.is_some(),
        Target::Echo | Target::Decide | Target::Stream | Target::Http => true,
    };
    Target::ALL.into_iter().filter(usual).collect()
}

fn settings(
    mut targets: Vec<Target>,
    rounds: u32,
    load: LoadOptions,
    programs: Programs,
) -> anyhow::Result<Settings> {
    anyhow::ensure!(load.rates.len() <= bounds::RATES_MAX, "at most {} rates", bounds::RATES_MAX);
    anyhow::ensure!(load.seconds > 0.0, "nothing is measured in 0 seconds");
    targets.sort_unstable();
    targets.dedup();
    let own = std::env::current_exe().context("finding this program")?;
    let beside = || own.parent().unwrap_or(Path::new(".")).join("aegis");
    Ok(Settings {
        targets,
        rates: load.rates,
        rounds,
        warm_up: Duration::from_secs_f64(load.warm_up),
        measured: Duration::from_secs_f64(load.seconds),
        connections: usize::from(load.connections),
        capacity: (!load.no_full_load).then_some(usize::from(load.in_flight)),
        aegis: programs.aegis.unwrap_or_else(beside),
        opa: programs.opa,
        unrecorded: programs.unrecorded,
        own,
    })
}

async fn measure(settings: Settings, results: &Results) -> anyhow::Result<bool> {
    let findings = until_told_to_stop(compare::run(&settings, progress)).await?;
    let report = Report::new(&settings, &findings);
    print(&report, results.output)?;
    if let Some(path) = &results.json {
        write(path, &(serde_json::to_string_pretty(&report)? + "\n"))?;
    }
    if let Some(path) = &results.svg {
        write(path, &svg::render(&report))?;
    }
    let faults = report.faults();
    faults.iter().for_each(|fault| complain(&format!("error: {fault}")));
    Ok(faults.is_empty())
}

/// The servers end with the run, also when it is broken off.
async fn until_told_to_stop(run: impl Future<Output = anyhow::Result<Findings>>) -> anyhow::Result<Findings> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        findings = run => findings,
        _ = terminate.recv() => anyhow::bail!("told to stop"),
        _ = interrupt.recv() => anyhow::bail!("told to stop"),
    }
}

async fn serve_echo(listen: SocketAddr, answers: Option<&Path>) -> anyhow::Result<()> {
    let answers = match answers {
        Some(path) => echo::read_answers(path)?,
        None => echo::sample_answers(&Calls::typical()?),
    };
    echo::serve(listen, answers, |address| say(&format!("{LISTENING}{address}"))).await
}

fn print(report: &Report, format: Format) -> anyhow::Result<()> {
    match format {
        Format::Text => say(text::render(report).trim_end()),
        Format::Json => say(&serde_json::to_string(report)?),
        Format::Figures => report.figures().iter().for_each(|figure| say(&figure.to_string())),
    }
    Ok(())
}

fn write(path: &Path, content: &str) -> anyhow::Result<()> {
    std::fs::write(path, content).with_context(|| format!("writing `{}`", path.display()))
}

/// Tells a person at a terminal what is going on.
fn progress(what: &str) {
    if std::io::stderr().is_terminal() {
        complain(what);
    }
}

#[expect(clippy::print_stdout, reason = "the one place where this program answers")]
fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "the one place where this program complains")]
pub(crate) fn complain(line: &str) {
    eprintln!("{line}");
}
