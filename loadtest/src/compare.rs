//! Everything in one run: starts the servers, asks them in turn over several rounds, ends them.
//!
//! Targets alternate, and every second round goes in reverse order, so that whatever changes slowly on the machine
//! (its clock, its neighbours) meets all of them alike. A ratio is taken within each round; the median counts.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aegis_proto::v1::DecideResponse;
use anyhow::Context;
use tokio::sync::oneshot;

use crate::bounds;
use crate::calls::Calls;
use crate::cpu::Cpu;
use crate::echo::{sample_answers, write_answers};
use crate::link::{Ask, DecideLink, EchoLink, HttpLink, StreamLink};
use crate::pump::{Link, closed_loop, open_loop};
use crate::schedule::Schedule;
use crate::servers::{Aegis, Fed, LIMITED, Lifetime, PLAIN, Server, start_echo, start_opa};
use crate::tally::Tally;
use crate::target::{Program, Target};
use crate::watch::Watch;

/// What is compared, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    /// What is asked, the reference first.
    pub targets: Vec<Target>,
    /// Calls per second, one comparison for each.
    pub rates: Vec<u32>,
    /// How often each target has its turn.
    pub rounds: u32,
    /// The unmeasured beginning of each turn.
    pub warm_up: Duration,
    /// The measured part of each turn.
    pub measured: Duration,
    /// Connections per server.
    pub connections: usize,
    /// Calls on their way per connection when the capacity is looked for; nothing: it is not.
    pub capacity: Option<usize>,
    /// The program `aegis`.
    pub aegis: PathBuf,
    /// The program `opa`.
    pub opa: Option<PathBuf>,
    /// A program `aegis` that records nothing.
    pub unrecorded: Option<PathBuf>,
    /// This program, which is the echo server too.
    pub own: PathBuf,
}

/// How a server was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Load {
    /// So many calls per second, whatever the server does.
    Rate(u32),
    /// As many as it can answer.
    Full,
}

/// One turn of one target.
#[derive(Debug, Clone)]
pub struct Sample {
    /// Who was asked.
    pub target: Target,
    /// How.
    pub load: Load,
    /// In which round, counted from 0.
    pub round: u32,
    /// The answers.
    pub tally: Tally,
    /// The server's CPU time while they were made.
    pub cpu: Cpu,
    /// How long that was.
    pub lasted: Duration,
    /// 99 of 100 calls were handed over at most so late; zero at full load, where nothing is due.
    pub late_p99: Duration,
}

/// What a comparison found.
#[derive(Debug, Clone)]
pub struct Findings {
    /// Every turn.
    pub samples: Vec<Sample>,
    /// Who was not asked at which load.
    pub skipped: Vec<Skipped>,
    /// Every server's CPU time, counted in two ways.
    pub lifetimes: Vec<Lifetime>,
    /// What bare appends and `fdatasync`s took on the disk of the servers, between their turns.
    pub syncs: Vec<Duration>,
    /// Mean bytes of a gRPC request, without headers.
    pub request_bytes: usize,
    /// Mean bytes of a gRPC answer, without headers.
    pub answer_bytes: usize,
}

/// A target that cannot keep up with a rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Skipped {
    /// Which target.
    pub target: Target,
    /// The load that it was spared.
    pub load: Load,
    /// Answers per second at full load, in its worst round.
    pub capacity: f64,
}

/// The part of its capacity that a target may be asked for: near it, latencies speak of the queue only.
const USABLE: f64 = 0.8;

/// The targets that can take `load`, as far as `samples` show what they can do; and those that cannot.
fn able(targets: &[Target], samples: &[Sample], load: Load) -> (Vec<Target>, Vec<Skipped>) {
    let Load::Rate(rate) = load else { return (targets.to_vec(), Vec::new()) };
    let full = by_target(samples, Load::Full);
    let capacity =
        |target: &Target| full.get(target)?.iter().map(|sample| sample.per_second()).reduce(f64::min);
    let (mut able, mut unable) = (Vec::new(), Vec::new());
    for &target in targets {
        match capacity(&target) {
            Some(capacity) if f64::from(rate) > USABLE * capacity => {
                unable.push(Skipped { target, load, capacity })
            }
            Some(_) | None => able.push(target),
        }
    }
    (able, unable)
}

/// Runs the comparison; `progress` is told before each turn.
///
/// # Errors
/// A server does not start or ends, or the generator itself fails. Wrong or missing answers are no error here: they
/// are counted in the samples.
pub async fn run(settings: &Settings, mut progress: impl FnMut(&str)) -> anyhow::Result<Findings> {
    let folder = tempfile::tempdir().context("making a temporary folder")?;
    let mut field = Field::prepare(settings, folder.path()).await?;
    let (mut samples, mut skipped, mut syncs) = (Vec::new(), Vec::new(), Vec::new());
    // Full load first: it finds who cannot keep up with a rate, and a server in arrears would disturb the others.
    let loads = settings.rates.iter().map(|rate| Load::Rate(*rate));
    for load in settings.capacity.map(|_| Load::Full).into_iter().chain(loads) {
        let (able, unable) = able(&settings.targets, &samples, load);
        skipped.extend(unable);
        for round in 0..settings.rounds {
            let mut targets = able.clone();
            if round % 2 == 1 {
                targets.reverse();
            }
            if settings.unrecorded.is_some() {
                syncs.extend(bare_syncs(folder.path()).context("syncing a file")?);
            }
            for target in targets {
                progress(&format!("{}, {load}, round {} of {}", target.name(), round + 1, settings.rounds));
                samples.push(field.turn(settings, target, load, round).await?);
            }
        }
    }
    let (request_bytes, answer_bytes) = (field.request_bytes(), field.answer_bytes());
    Ok(Findings { samples, skipped, lifetimes: field.end()?, syncs, request_bytes, answer_bytes })
}

/// What it takes to append a page to a file and to sync it, with nothing else to do.
fn bare_syncs(folder: &Path) -> std::io::Result<Vec<Duration>> {
    let mut file = std::fs::File::create(folder.join("synced"))?;
    let one = |file: &mut std::fs::File| {
        #[expect(clippy::disallowed_methods, reason = "this is what is measured")]
        let begun = Instant::now();
        file.write_all(&[0x5a; 4_096])?;
        file.sync_data()?;
        Ok(begun.elapsed())
    };
    (0..bounds::SYNCS).map(|_| one(&mut file)).collect()
}

/// The servers, and what they are asked.
struct Field {
    calls: Arc<Calls>,
    answers: Vec<DecideResponse>,
    aegis: Option<Aegis>,
    unrecorded: Option<Aegis>,
    fed: Option<Fed>,
    echo: Option<(Server, SocketAddr)>,
    opa: Option<(Server, SocketAddr)>,
    token: Arc<str>,
    runs: u32,
}

impl Field {
    async fn prepare(settings: &Settings, folder: &Path) -> anyhow::Result<Self> {
        let wanted = |program| settings.targets.iter().any(|target| target.program() == program);
        let calls = Arc::new(Calls::typical()?);
        let aegis = match wanted(Program::Aegis) {
            true => Some(Aegis::start(&settings.aegis, folder)?),
            false => None,
        };
        let fed = match wanted(Program::Fed) {
            true => Some(Fed::start(&settings.aegis, folder)?),
            false => None,
        };
        let unrecorded = match wanted(Program::Unrecorded) {
            true => {
                let said =
                    "where is a build that records nothing? Say `--unrecorded` or set AEGIS_UNRECORDED";
                let (program, folder) =
                    (settings.unrecorded.as_deref().context(said)?, folder.join("unrecorded"));
                std::fs::create_dir_all(&folder).with_context(|| format!("making `{}`", folder.display()))?;
                Some(Aegis::start(program, &folder)?)
            }
            false => None,
        };
        let token = aegis.as_ref().map_or_else(|| Ok(sample_token()), Aegis::mint)?;
        let mut field = Self {
            answers: sample_answers(&calls),
            calls,
            aegis,
            unrecorded,
            fed,
            echo: None,
            opa: None,
            token,
            runs: 0,
        };
        field.record_answers().await?;
        if wanted(Program::Echo) {
            let path = folder.join("answers");
            write_answers(&path, &field.answers)?;
            field.echo = Some(start_echo(&settings.own, &path)?);
        }
        if wanted(Program::Opa) {
            let program = settings.opa.as_deref().context("where is `opa`? Say `--opa` or set AEGIS_OPA")?;
            let bundle = crate::servers::Aegis::build_bundle(&settings.aegis, folder)?;
            field.opa = Some(start_opa(program, &bundle)?);
        }
        Ok(field)
    }

    /// Asks the node each call once, so that the echo can answer with the same bytes.
    async fn record_answers(&mut self) -> anyhow::Result<()> {
        let Some(aegis) = &self.aegis else { return Ok(()) };
        let link = DecideLink::connect(&self.ask(aegis.grpc), false).await?;
        let mut answers = Vec::new();
        for number in 0..self.calls.len() as u64 {
            answers.push(link.answer(number).await.context("asking the node for the first time")?);
        }
        self.answers = answers;
        Ok(())
    }

    fn ask(&self, address: SocketAddr) -> Ask {
        Ask { address, token: Arc::clone(&self.token), calls: Arc::clone(&self.calls), run: self.runs }
    }

    async fn turn(
        &mut self,
        settings: &Settings,
        target: Target,
        load: Load,
        round: u32,
    ) -> anyhow::Result<Sample> {
        self.runs += 1;
        let fed = || self.fed.as_ref().context("the node was not started");
        let unrecorded = || self.unrecorded.as_ref().context("the node was not started");
        self.token = match (target, &self.aegis) {
            (Target::Fed, _) => fed()?.mint(PLAIN)?,
            (Target::Limited, _) => fed()?.mint(LIMITED)?,
            (Target::Unrecorded, _) => unrecorded()?.mint()?,
            (_, Some(aegis)) => aegis.mint()?,
            (_, None) => Arc::clone(&self.token),
        };
        let started = |server: &Option<(Server, SocketAddr)>| {
            server
                .as_ref()
                .map(|(server, address)| (server.id(), *address))
                .context("the server was not started")
        };
        let aegis = || self.aegis.as_ref().context("the node was not started");
        let (id, address) = match target {
            Target::Echo => started(&self.echo)?,
            Target::Opa => started(&self.opa)?,
            Target::Http => aegis().map(|aegis| (aegis.id(), aegis.http))?,
            Target::Decide | Target::DecideId | Target::Stream => {
                aegis().map(|aegis| (aegis.id(), aegis.grpc))?
            }
            Target::Fed | Target::Limited => fed().map(|fed| (fed.id(), fed.grpc))?,
            Target::Unrecorded => unrecorded().map(|node| (node.id(), node.grpc))?,
        };
        let (ask, turn) = (self.ask(address), Turn { settings, target, load, round, id });
        let count = settings.connections;
        match target {
            Target::Echo => turn.take(links(count, || EchoLink::connect(&ask)).await?).await,
            Target::Decide | Target::Fed | Target::Limited | Target::Unrecorded => {
                turn.take(links(count, || DecideLink::connect(&ask, false)).await?).await
            }
            Target::DecideId => turn.take(links(count, || DecideLink::connect(&ask, true)).await?).await,
            Target::Stream => turn.take(links(count, || StreamLink::connect(&ask)).await?).await,
            Target::Http => turn.take(links(count, || HttpLink::node(&ask)).await?).await,
            Target::Opa => turn.take(links(count, || HttpLink::opa(&ask)).await?).await,
        }
    }

    fn request_bytes(&self) -> usize {
        let sizes = self.calls.messages();
        sizes.iter().map(prost::Message::encoded_len).sum::<usize>() / sizes.len().max(1)
    }

    fn answer_bytes(&self) -> usize {
        self.answers.iter().map(prost::Message::encoded_len).sum::<usize>() / self.answers.len().max(1)
    }

    fn end(self) -> anyhow::Result<Vec<Lifetime>> {
        let others = [self.echo, self.opa].into_iter().flatten().map(|(server, _)| server);
        let fed = self.fed.into_iter().flat_map(Fed::into_servers);
        let nodes = self.aegis.into_iter().chain(self.unrecorded);
        nodes.map(Aegis::into_server).chain(fed).chain(others).map(Server::end).collect()
    }
}

async fn links<L, F>(count: usize, mut connect: impl FnMut() -> F) -> anyhow::Result<Vec<L>>
where
    F: Future<Output = anyhow::Result<L>>,
{
    let mut links = Vec::with_capacity(count);
    for _ in 0..count {
        links.push(connect().await?);
    }
    Ok(links)
}

/// One turn that is about to be taken.
struct Turn<'a> {
    settings: &'a Settings,
    target: Target,
    load: Load,
    round: u32,
    id: u32,
}

impl Turn<'_> {
    async fn take<L: Link>(self, links: Vec<L>) -> anyhow::Result<Sample> {
        let Self { settings, target, load, round, id } = self;
        let (before, first) = oneshot::channel();
        // Whoever waits for it has given up with an error of its own, if nobody receives it.
        let mark = move || drop(before.send(Cpu::of(id)));
        let (warm_up, measured) = (settings.warm_up, settings.measured);
        let (tally, lasted, late_p99) = match load {
            Load::Rate(rate) => {
                let schedule = Schedule::new(rate, warm_up, measured);
                let drain = Duration::from_secs(bounds::DRAIN_SECONDS);
                let over = tokio::time::sleep(schedule.length() + drain);
                let recording = open_loop(links, schedule, Watch::start(), mark, over).await?;
                let begun = schedule.due(schedule.first_measured());
                let late_p99 = Duration::from_nanos(recording.lateness.value_at_percentile(99.0));
                let lasted = recording.tally.last.saturating_sub(begun);
                (recording.tally, lasted, late_p99)
            }
            Load::Full => {
                let in_flight = settings.capacity.unwrap_or(1);
                let tally = closed_loop(links, in_flight, warm_up, measured, mark).await?;
                (tally, measured, Duration::ZERO)
            }
        };
        let after = Cpu::of(id)?;
        let before = first.await.context("the measured part never began")??;
        Ok(Sample { target, load, round, tally, cpu: after.since(before), lasted, late_p99 })
    }
}

/// For an echo without a node: as long as a real token.
fn sample_token() -> Arc<str> {
    "e".repeat(380).into()
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rate(rate) => write!(f, "{rate} calls/s"),
            Self::Full => f.write_str("full load"),
        }
    }
}

impl Sample {
    /// The server's CPU time per answered call, in microseconds.
    pub fn cpu_us(&self) -> f64 {
        self.cpu.user_us_per(self.tally.count()) + self.cpu.system_us_per(self.tally.count())
    }

    /// Answers per second.
    #[expect(clippy::cast_precision_loss, reason = "counts of one run are far below 2^53")]
    pub fn per_second(&self) -> f64 {
        self.tally.count() as f64 / self.lasted.as_secs_f64().max(f64::MIN_POSITIVE)
    }
}

/// The samples of each target, in the order of their rounds.
pub fn by_target(samples: &[Sample], load: Load) -> BTreeMap<Target, Vec<&Sample>> {
    let mut targets: BTreeMap<Target, Vec<&Sample>> = BTreeMap::new();
    for sample in samples.iter().filter(|sample| sample.load == load) {
        targets.entry(sample.target).or_default().push(sample);
    }
    for samples in targets.values_mut() {
        samples.sort_by_key(|sample| sample.round);
    }
    targets
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn settings() -> Settings {
        Settings {
            targets: vec![Target::Echo, Target::Decide, Target::Opa],
            rates: vec![2_000],
            rounds: 2,
            warm_up: Duration::from_secs(1),
            measured: Duration::from_secs(5),
            connections: 4,
            capacity: Some(64),
            aegis: PathBuf::new(),
            opa: None,
            unrecorded: None,
            own: PathBuf::new(),
        }
    }

    /// `calls` answers, for `ticks` hundredths of a second of CPU time per thousand.
    pub(crate) fn sample(target: Target, load: Load, round: u32, calls: u64, ticks: u64) -> Sample {
        let mut tally = Tally::default();
        for call in 0..calls {
            // Every tenth takes twice as long as most, every hundredth four times, every thousandth eight times.
            let shift = [10, 100, 1_000].into_iter().filter(|every| call.is_multiple_of(*every)).count();
            let latency = Duration::from_micros((60 * ticks) << shift);
            let outcome = if call.is_multiple_of(10) { "deny" } else { "allow" };
            tally.answered(outcome, latency, Duration::from_secs(5));
        }
        let cpu = Cpu::of_ticks(calls * ticks / 1_000 / 2, calls * ticks / 1_000 - calls * ticks / 1_000 / 2);
        let lasted = Duration::from_secs(5);
        Sample { target, load, round, tally, cpu, lasted, late_p99: Duration::from_micros(80) }
    }

    #[test]
    fn who_cannot_keep_up_is_not_asked() {
        let full = |target, calls| sample(target, Load::Full, 0, calls, 2);
        let samples = [full(Target::Echo, 20_000), full(Target::Opa, 2_000)];
        let targets = [Target::Echo, Target::Decide, Target::Opa];
        let asked = |load| able(&targets, &samples, load);
        assert_eq!(asked(Load::Full).0, targets);
        assert_eq!(asked(Load::Rate(320)).0, targets, "four fifths of 400");
        let (able, unable) = asked(Load::Rate(321));
        assert_eq!(able, [Target::Echo, Target::Decide], "nothing is known against the second");
        assert_eq!(unable, [Skipped { target: Target::Opa, load: Load::Rate(321), capacity: 400.0 }]);
    }

    #[test]
    fn samples_come_in_the_order_of_their_rounds() {
        let full = |target, round| sample(target, Load::Full, round, 1_000, 2);
        let samples = [full(Target::Echo, 1), full(Target::Decide, 0), full(Target::Echo, 0)];
        let targets = by_target(&samples, Load::Full);
        let rounds: Vec<u32> = targets[&Target::Echo].iter().map(|sample| sample.round).collect();
        assert_eq!((rounds, targets.len()), (vec![0, 1], 2));
        assert!(by_target(&samples, Load::Rate(1)).is_empty());
    }
}
